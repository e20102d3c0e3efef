//! `millstream completions`: a script that lets a shell complete commands, flags and values.
//!
//! A shell is a file with its `script`, written from the tables of commands, flags and knobs.

mod bash;
mod fish;
mod zsh;

use crate::cli::command::{COMMANDS, Entry};
use crate::config::parse::Choice;

/// A shell that completions are made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shell {
    /// GNU bash.
    Bash,
    /// The Z shell.
    Zsh,
    /// fish.
    Fish,
}

impl Choice for Shell {
    const NAMES: &'static [(&'static str, Shell)] =
        &[("bash", Shell::Bash), ("zsh", Shell::Zsh), ("fish", Shell::Fish)];
}

impl Shell {
    /// Where its script goes, in one line.
    pub(crate) fn about(self) -> &'static str {
        match self {
            Shell::Bash => "write it to ~/.local/share/bash-completion/completions/millstream",
            Shell::Zsh => "write it to a file _millstream in a folder of $fpath",
            Shell::Fish => "write it to ~/.config/fish/completions/millstream.fish",
        }
    }
}

/// The script for `shell`.
pub(crate) fn script(shell: Shell) -> String {
    match shell {
        Shell::Bash => bash::script(),
        Shell::Zsh => zsh::script(),
        Shell::Fish => fish::script(),
    }
}

/// A flag as shells offer it.
#[derive(Debug)]
struct Offer {
    name: &'static str,
    short: Option<char>,
    help: &'static str,
    values: Values,
}

/// What may follow a flag.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Values {
    /// Nothing: it is a switch.
    Switch,
    /// A path.
    Path,
    /// One of these words, or, where there are none, something that no shell can guess.
    Words(Vec<&'static str>),
}

/// Every flag of `command`, `--help` the last.
fn offers(command: &Entry) -> Vec<Offer> {
    let flags = command.flags().map(|flag| Offer {
        name: flag.name,
        short: flag.short,
        help: flag.help,
        values: flag.value.map_or(Values::Switch, |(_, allowed)| values(allowed)),
    });
    let knobs = command.knobs().iter().map(|knob| Offer {
        name: knob.key(),
        short: None,
        help: knob.help(),
        values: values(knob.allowed()),
    });
    let help =
        Offer { name: "help", short: Some('h'), help: "show the page", values: Values::Switch };
    flags.chain(knobs).chain([help]).collect()
}

/// What can stand in the place of a command, with a line about each.
fn firsts() -> impl Iterator<Item = (&'static str, &'static str)> {
    let flags = [("--help", "show the commands"), ("--version", "show the version")];
    COMMANDS.iter().map(|command| (command.name, command.help)).chain(flags)
}

/// What the text of help about the allowed values says in words: `auto` of `auto or 1..=65536`.
fn values(allowed: &'static str) -> Values {
    if allowed.starts_with("a path") {
        return Values::Path;
    }
    let is_word = |part: &&str| {
        !part.is_empty()
            && part.bytes().all(|b| b == b'-' || b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    let parts = allowed.split(", ").flat_map(|part| part.split(" or "));
    Values::Words(parts.flat_map(|part| part.split('|')).filter(is_word).collect())
}

/// The text between quotation marks of a shell, each of `special` behind a backslash.
fn quoted(text: &str, special: &[char]) -> String {
    let mut line = String::new();
    for character in text.chars() {
        if special.contains(&character) {
            line.push('\\');
        }
        line.push(character);
    }
    line
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::cli::args::{Environment, parse};
    use crate::cli::command::Operand;

    #[test]
    fn words_of_the_allowed_values_are_offered() {
        assert_eq!(values("park|yield|spin"), Values::Words(vec!["park", "yield", "spin"]));
        assert_eq!(values("auto or 1..=65536 records"), Values::Words(vec!["auto"]));
        assert_eq!(
            values("zipf:S, drift, flash-crowd or flip-flop"),
            Values::Words(vec!["drift", "flash-crowd", "flip-flop"])
        );
        assert_eq!(values("1..=1024"), Values::Words(Vec::new()));
        assert_eq!(values("a path, or off"), Values::Path);
    }

    #[test]
    fn every_word_that_is_offered_is_taken() {
        for command in &COMMANDS {
            let operand = match command.operand {
                Operand::File => Some("log.jsonl"),
                operand => operand.choices().first().map(|(name, _)| *name),
            };
            for offer in offers(command) {
                let words = match offer.values {
                    Values::Switch => vec![None],
                    Values::Path => Vec::new(),
                    Values::Words(words) => words.into_iter().map(Some).collect(),
                };
                for word in words {
                    let flag = format!("--{}", offer.name);
                    let line = [Some(command.name), operand, Some(flag.as_str()), word];
                    // It takes the place of the workload.
                    let line = line
                        .into_iter()
                        .flatten()
                        .filter(|part| offer.name != "list" || Some(*part) != operand);
                    let line: Vec<_> = line.map(OsString::from).collect();
                    let taken = parse(line.clone(), Environment::default());
                    assert!(taken.is_ok(), "{line:?}: {taken:?}");
                }
            }
        }
    }

    #[test]
    fn every_script_names_every_command_flag_and_choice() {
        for (name, shell) in Shell::NAMES {
            let script = script(*shell);
            let words: Vec<&str> =
                script.split(|c: char| !c.is_alphanumeric() && c != '-' && c != '_').collect();
            let named = |word: &str| words.iter().any(|seen| seen.trim_start_matches('-') == word);
            for command in &COMMANDS {
                assert!(named(command.name), "{name}: {}", command.name);
                for offer in offers(command) {
                    assert!(named(offer.name), "{name}: --{}", offer.name);
                }
                for (choice, _) in command.operand.choices() {
                    assert!(named(choice), "{name}: {choice}");
                }
            }
        }
    }
}
