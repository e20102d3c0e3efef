//! `millstream man`: the manual as a page for `man`, every command, flag and knob in it.

use roff::{Inline, Roff, bold, italic, roman};

use crate::cli::command::{COMMANDS, Entry};
use crate::cli::flag::Flag;
use crate::cli::help::{ABOUT, preset};
use crate::cli::knobs::{commands, lifetime};
use crate::cli::reference::{EXIT_CODES, VARIABLES};
use crate::config::Knob;

/// The day of this version: that of its release in CHANGELOG.md. Readers of manuals ask for one,
/// and the day of printing would make each page another one.
const DATE: &str = "2026-12-01";

/// The page.
pub(crate) fn page() -> String {
    let mut page = Roff::new();
    let version = concat!("millstream ", env!("CARGO_PKG_VERSION"));
    page.control("TH", ["MILLSTREAM", "1", DATE, version]);
    section(&mut page, "NAME");
    let about = ABOUT.trim_end_matches('.').to_lowercase();
    page.text([roman(format!("millstream - {about}"))]);
    section(&mut page, "SYNOPSIS");
    for (index, command) in COMMANDS.iter().enumerate() {
        if index > 0 {
            page.control("br", []);
        }
        page.text(usage(command));
    }
    section(&mut page, "DESCRIPTION");
    page.text([roman(ABOUT)]);
    page.text([roman(
        "What a command prints goes to stdout, everything else to stderr: a line that begins with \
         error: or warning: for each problem.",
    )]);
    section(&mut page, "COMMANDS");
    for command in &COMMANDS {
        about_command(&mut page, command);
    }
    section(&mut page, "ENGINE FLAGS");
    page.text([roman(
        "Each is a flag, a variable and a key of the file of --config; the flag wins over the \
         variable, the variable over the file.",
    )]);
    for knob in Knob::all() {
        explain(&mut page, knob);
    }
    section(&mut page, "ENVIRONMENT");
    for (name, does) in VARIABLES {
        entry(&mut page, vec![bold(name)], does);
    }
    for knob in Knob::all() {
        entry(&mut page, vec![bold(knob.variable())], &format!("sets {}", knob.flag()));
    }
    section(&mut page, "EXIT STATUS");
    for (code, says) in EXIT_CODES {
        entry(&mut page, vec![bold(code.to_string())], says);
    }
    page.render()
}

fn section(page: &mut Roff, title: &str) {
    page.control("SH", [title]);
}

/// A paragraph with a term in front.
fn entry(page: &mut Roff, term: Vec<Inline>, text: &str) {
    page.control("TP", []);
    page.text(term);
    page.text([roman(text)]);
}

fn usage(command: &Entry) -> Vec<Inline> {
    let mut line = vec![bold(format!("millstream {}", command.name))];
    let operand = command.operand.written();
    if !operand.is_empty() {
        line.extend([roman(" "), italic(operand)]);
    }
    if command.flags().next().is_some() {
        line.push(roman(" [flags]"));
    }
    line
}

fn about_command(page: &mut Roff, command: &Entry) {
    page.control("SS", [command.usage().as_str()]);
    page.text([roman(command.about)]);
    if command.operand.title().is_some() {
        for (name, about) in command.operand.choices() {
            entry(page, vec![bold(name)], about);
        }
    }
    for flag in command.flags() {
        let does = match flag.value {
            None => flag.help.to_owned(),
            Some((_, allowed)) => format!("{}; {allowed}; default {}", flag.help, flag.default),
        };
        entry(page, term(flag), &does);
    }
    if !command.knobs().is_empty() {
        page.control("PP", []);
        page.text([roman("It takes the engine flags too.")]);
    }
}

fn term(flag: &Flag) -> Vec<Inline> {
    let mut term = vec![bold(format!("--{}", flag.name))];
    if let Some((placeholder, _)) = flag.value {
        term.extend([roman(" "), italic(placeholder)]);
    }
    if let Some(short) = flag.short {
        term.extend([roman(", "), bold(format!("-{short}"))]);
    }
    term
}

fn explain(page: &mut Roff, knob: &Knob) {
    let term = vec![bold(knob.flag()), roman(" "), italic("VALUE")];
    let [low, high] = commands(knob);
    entry(page, term, &format!("{}; {}; default {}", knob.help(), knob.allowed(), preset(knob)));
    let more = [
        format!("{} A change takes effect {}.", knob.docs(), lifetime(knob)),
        format!("Its effect shows in {} of: {low}; {high}.", knob.effect().shows),
    ];
    for text in more {
        page.control("IP", []);
        page.text([roman(text)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_names_every_command_flag_and_knob() {
        let page = page().replace("\\-", "-");
        for command in &COMMANDS {
            assert!(page.contains(&format!(".SS \"{}", command.name)), "{}", command.name);
            for flag in command.flags() {
                assert!(page.contains(&format!("--{}", flag.name)), "{}", flag.name);
            }
        }
        for knob in Knob::all() {
            assert!(page.contains(&knob.flag()) && page.contains(&knob.variable()));
        }
    }

    #[test]
    fn date_is_that_of_the_release() {
        let changes = include_str!("../../CHANGELOG.md");
        let released = changes
            .lines()
            .find_map(|line| line.strip_prefix(concat!("## [", env!("CARGO_PKG_VERSION"), "] - ")));
        assert_eq!(released.unwrap_or(DATE), DATE);
    }
}
