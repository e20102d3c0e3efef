//! Completions for bash, 3.2 and later.

use std::fmt::Write;

use super::{Offer, Values, firsts, offers};
use crate::cli::command::{COMMANDS, Entry, Operand};

const HEAD: &str = r#"# Lets bash complete millstream. Printed by: millstream completions bash
_millstream() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    local choices='' flags='' index
    COMPREPLY=()
    # bash takes --flag=value for three words.
    if [[ $word == '=' ]]; then
        word=''
    elif [[ $before == '=' ]]; then
        before=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    if ((COMP_CWORD == 1)); then
        _millstream_offer "$word" '@FIRSTS@'
        return
    fi
    case ${COMP_WORDS[1]} in
"#;

const TAIL: &str = r#"        *) return ;;
    esac
    # What stands for itself is named once.
    for ((index = 2; index < COMP_CWORD; index++)); do
        [[ " $choices " == *" ${COMP_WORDS[index]} "* ]] && choices=''
    done
    if [[ $word == -* || -z $choices ]]; then
        choices=$flags
    fi
    _millstream_offer "$word" "$choices"
}

# _millstream_offer WORD 'CHOICE...': those that begin with WORD.
_millstream_offer() {
    local IFS=$' \t\n'
    COMPREPLY=($(compgen -W "$2" -- "$1"))
}

# Leaves it to readline, which completes names of files.
_millstream_path() {
    compopt -o default 2>/dev/null || COMPREPLY=($(compgen -f -- "$1"))
}

complete -F _millstream millstream
"#;

pub(super) fn script() -> String {
    let firsts: Vec<&str> = firsts().map(|(name, _)| name).collect();
    let mut script = HEAD.replace("@FIRSTS@", &firsts.join(" "));
    for command in &COMMANDS {
        arm(&mut script, command);
    }
    script + TAIL
}

/// What follows one command.
fn arm(script: &mut String, command: &Entry) {
    let offers = offers(command);
    let _ = writeln!(script, "        {})\n            case $before in", command.name);
    let mut names_of = |is_path: bool, then: &str| {
        let values = if is_path { Values::Path } else { Values::Words(Vec::new()) };
        let names: Vec<_> = offers.iter().filter(|o| o.values == values).map(long).collect();
        if !names.is_empty() {
            let _ = writeln!(script, "                {}) {then}return ;;", names.join(" | "));
        }
    };
    names_of(true, "_millstream_path \"$word\"; ");
    names_of(false, "");
    for offer in &offers {
        let Values::Words(words) = &offer.values else { continue };
        if !words.is_empty() {
            let (name, words) = (long(offer), words.join(" "));
            let _ = writeln!(
                script,
                "                {name}) _millstream_offer \"$word\" '{words}'; return ;;"
            );
        }
    }
    script.push_str("            esac\n");
    if command.operand == Operand::File {
        let line = "[[ $word == -* ]] || { _millstream_path \"$word\"; return; }";
        let _ = writeln!(script, "            {line}");
    }
    let names: Vec<_> = offers.iter().flat_map(names).collect();
    let choices: Vec<_> = command.operand.choices().into_iter().map(|(name, _)| name).collect();
    let _ = writeln!(script, "            flags='{}'", names.join(" "));
    let _ = writeln!(script, "            choices='{}'\n            ;;", choices.join(" "));
}

fn long(offer: &Offer) -> String {
    format!("--{}", offer.name)
}

fn names(offer: &Offer) -> impl Iterator<Item = String> {
    [Some(long(offer)), offer.short.map(|short| format!("-{short}"))].into_iter().flatten()
}
