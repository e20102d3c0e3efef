//! Completions for fish, through its `complete`.

use std::fmt::Write;

use super::{Offer, Values, firsts, offers, quoted};
use crate::cli::command::{COMMANDS, Entry, Operand};

const HEAD: &str = r"# Lets fish complete millstream. Printed by: millstream completions fish
function __millstream_runs
    set -l words (commandline -opc)
    test (count $words) -ge 2; and test $words[2] = $argv[1]
end

function __millstream_starts
    test (count (commandline -opc)) -eq 1
end

complete -c millstream -f
";

pub(super) fn script() -> String {
    let mut script = HEAD.to_owned();
    for (name, about) in firsts() {
        let name = match name.strip_prefix("--") {
            Some(flag) => format!("-l {flag}"),
            None => format!("-a {name}"),
        };
        line(&mut script, "__millstream_starts", &name, about);
    }
    for command in &COMMANDS {
        follow(&mut script, command);
    }
    script
}

/// What follows one command.
fn follow(script: &mut String, command: &Entry) {
    let runs = format!("'__millstream_runs {}'", command.name);
    if command.operand == Operand::File {
        let _ = writeln!(script, "complete -c millstream -n {runs} -F");
    }
    for (name, about) in command.operand.choices() {
        line(script, &runs, &format!("-a {name}"), about);
    }
    for offer in offers(command) {
        line(script, &runs, &flag(&offer), offer.help);
    }
}

fn flag(offer: &Offer) -> String {
    let mut flag = format!("-l {}", offer.name);
    if let Some(short) = offer.short {
        let _ = write!(flag, " -s {short}");
    }
    match &offer.values {
        Values::Switch => {}
        Values::Path => flag.push_str(" -r -F"),
        Values::Words(words) if words.is_empty() => flag.push_str(" -x"),
        Values::Words(words) => {
            let _ = write!(flag, " -x -a '{}'", words.join(" "));
        }
    }
    flag
}

fn line(script: &mut String, condition: &str, offered: &str, about: &str) {
    let about = quoted(about, &['\\', '\'']);
    let _ = writeln!(script, "complete -c millstream -n {condition} {offered} -d '{about}'");
}
