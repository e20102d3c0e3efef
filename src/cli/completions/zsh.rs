//! Completions for zsh, through its `_arguments`.

use std::fmt::Write;

use super::{Offer, Values, firsts, offers, quoted};
use crate::cli::command::{COMMANDS, Entry, Operand};

const HEAD: &str = r"#compdef millstream
# Lets zsh complete millstream. Printed by: millstream completions zsh
_millstream() {
    local curcontext=$curcontext state line
    local -a choices
    typeset -A opt_args
    _arguments -C '1:command:->command' '*::argument:->argument' && return
    case $state in
        (command)
            choices=(
";

const MIDDLE: &str = r"            )
            _describe command choices
            return
            ;;
        (argument) ;;
        (*) return 1 ;;
    esac
    curcontext=${curcontext%:*:*}:millstream-$words[1]:
    case $words[1] in
";

// The script is a function of its own where zsh loads it by name.
const TAIL: &str = r#"        (*) return 1 ;;
    esac
}

if [[ $funcstack[1] == _millstream ]]; then
    _millstream "$@"
else
    compdef _millstream millstream
fi
"#;

pub(super) fn script() -> String {
    let mut script = HEAD.to_owned();
    for (name, about) in firsts() {
        let _ = writeln!(script, "                {}", choice(name, about));
    }
    script.push_str(MIDDLE);
    for command in &COMMANDS {
        arm(&mut script, command);
    }
    script + TAIL
}

/// What follows one command.
fn arm(script: &mut String, command: &Entry) {
    let _ = writeln!(script, "        ({})", command.name);
    let title = command.operand.written().trim_matches(['[', ']']);
    let mut rules: Vec<String> = offers(command).iter().map(rule).collect();
    match command.operand {
        Operand::None => {}
        Operand::File => rules.push(format!("'1:{title}:_files'")),
        _ => {
            script.push_str("            choices=(\n");
            for (name, about) in command.operand.choices() {
                let _ = writeln!(script, "                {}", choice(name, about));
            }
            script.push_str("            )\n");
            rules.push(format!("'1:{title}:{{_describe {title} choices}}'"));
        }
    }
    let rules = rules.join(" \\\n                ");
    let _ =
        writeln!(script, "            _arguments -s \\\n                {rules}\n            ;;");
}

/// An entry of `_describe`: its name and what it is.
fn choice(name: &str, about: &str) -> String {
    format!("'{}'", plain(&format!("{name}:{about}")))
}

/// A rule of `_arguments`: names, help and what follows a flag.
fn rule(offer: &Offer) -> String {
    let (name, help) = (offer.name, plain(&quoted(offer.help, &['\\', '[', ']', ':'])));
    let (attached, action) = match &offer.values {
        Values::Switch => ("", String::new()),
        Values::Path => ("=", ":FILE:_files".to_owned()),
        Values::Words(words) if words.is_empty() => ("=", ":VALUE: ".to_owned()),
        Values::Words(words) => ("=", format!(":VALUE:({})", words.join(" "))),
    };
    match offer.short {
        None => format!("'--{name}{attached}[{help}]{action}'"),
        Some(short) => {
            format!("'(-{short} --{name})'{{-{short},--{name}}}'{attached}[{help}]{action}'")
        }
    }
}

/// Text between single quotation marks.
fn plain(text: &str) -> String {
    text.replace('\'', r"'\''")
}
