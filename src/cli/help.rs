//! Help pages, printed from the tables of commands, flags, knobs and workloads.

use std::fmt::Write;

use crate::cli::command::{COMMANDS, Entry, Operand, Topic};
use crate::cli::flag::Flag;
use crate::config::{Knob, Preset};

/// Where the second column begins.
const COLUMN: usize = 28;

/// What the program does.
pub(crate) const ABOUT: &str = "Runs and measures stream-processing jobs on one machine.";

/// Columns of a page.
pub(crate) const WIDTH: usize = 100;

/// The page of help about `topic`.
pub(crate) fn page(topic: Topic) -> String {
    match COMMANDS.iter().find(|command| command.topic == topic) {
        Some(command) => about(command),
        None => millstream(),
    }
}

/// The workloads, a line each.
pub(crate) fn workloads() -> String {
    choices(Operand::Workload)
}

fn millstream() -> String {
    let mut page = format!("usage: millstream COMMAND\n{ABOUT}\n\nCommands:\n");
    for command in &COMMANDS {
        let typed = format!("{} {}", command.name, command.operand.written());
        row(&mut page, typed.trim_end(), command.help);
    }
    row(&mut page, "--version, -V", "show the version");
    page.push_str("\nEvery command takes --help.\n");
    page
}

fn about(command: &Entry) -> String {
    let mut page = format!("usage: millstream {}\n", command.usage());
    wrapped(&mut page, "", command.about);
    if let Some(title) = command.operand.title() {
        let _ = write!(page, "\n{title}:\n{}", choices(command.operand));
    }
    let _ = write!(page, "\nFlags:\n{}", flags(command));
    if !command.knobs().is_empty() {
        page.push_str(
            "\nEngine flags, also variables such as MILLSTREAM_LINGER and keys of --config:\n",
        );
        for knob in command.knobs() {
            row(&mut page, &knob.flag(), knob.help());
            row(&mut page, "", &format!("{}; default {}", knob.allowed(), preset(knob)));
        }
    }
    page
}

/// What may stand for `operand`, a line each.
fn choices(operand: Operand) -> String {
    let mut page = String::new();
    for (name, about) in operand.choices() {
        row(&mut page, name, about);
    }
    page
}

fn flags(command: &Entry) -> String {
    let mut page = String::new();
    for flag in command.flags() {
        row(&mut page, &names(flag), flag.help);
        if let Some((_, allowed)) = flag.value {
            row(&mut page, "", &format!("{allowed}; default {}", flag.default));
        }
    }
    row(&mut page, "--help, -h", "show this page");
    page
}

/// The names of `flag`, as usage writes them: `--quiet, -q`.
pub(crate) fn names(flag: &Flag) -> String {
    let mut names = format!("--{}", flag.name);
    if let Some((placeholder, _)) = flag.value {
        let _ = write!(names, " {placeholder}");
    }
    if let Some(short) = flag.short {
        let _ = write!(names, ", -{short}");
    }
    names
}

/// What holds when nobody sets `knob`.
pub(crate) fn preset(knob: &Knob) -> &'static str {
    match knob.preset() {
        Preset::Value(text) | Preset::Derived(text) => text,
    }
}

/// Writes a line of two columns.
pub(crate) fn row(page: &mut String, left: &str, right: &str) {
    let width = COLUMN - 2;
    let _ = writeln!(page, "  {left:width$}{right}");
}

/// Writes `text` as lines of at most `WIDTH` columns, two of them empty.
pub(crate) fn paragraph(page: &mut String, text: &str) {
    wrapped(page, "  ", text);
}

/// Writes `text` as lines of at most `WIDTH` columns that begin with `indent`.
fn wrapped(page: &mut String, indent: &str, text: &str) {
    let mut column = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if column > 0 && column + 1 + length <= WIDTH {
            page.push(' ');
            column += 1 + length;
        } else {
            page.push_str(if column == 0 { "" } else { "\n" });
            page.push_str(indent);
            column = indent.len() + length;
        }
        page.push_str(word);
    }
    page.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::Workload;
    use crate::cli::flag::Scope;
    use crate::config::parse::Choice;

    #[test]
    fn help_of_bench_names_every_workload_flag_and_knob() {
        let page = page(Topic::Bench);
        for (name, workload) in Workload::NAMES {
            assert!(page.contains(name) && page.contains(workload.about()), "{name}");
        }
        for flag in COMMANDS.iter().flat_map(Entry::flags).filter(|f| Scope::Bench.takes(f.scope)) {
            assert!(page.contains(&names(flag)) && page.contains(flag.help), "{}", flag.name);
        }
        for knob in Knob::all() {
            assert!(page.contains(&knob.flag()) && page.contains(knob.help()), "{}", knob.key());
        }
    }

    #[test]
    fn first_page_lists_every_command_in_two_columns() {
        let page = page(Topic::Millstream);
        for command in &COMMANDS {
            let start = format!("\n  {} ", command.name);
            assert!(page.contains(&start), "{}", command.name);
            assert!(page.contains(&format!("  {}\n", command.help)), "{}", command.name);
        }
    }

    #[test]
    fn help_of_doctor_leaves_out_what_it_does_not_take() {
        let page = page(Topic::Doctor);
        assert!(page.contains("--format FORMAT") && page.contains("--partitions"));
        assert!(!page.contains("--records"));
    }

    #[test]
    fn pages_keep_to_their_width() {
        let pages = Topic::names().map(|(_, topic)| page(topic));
        for line in pages.collect::<String>().lines() {
            assert!(line.chars().count() <= WIDTH, "{line}");
            assert_eq!(line.trim_end(), line);
        }
    }
}
