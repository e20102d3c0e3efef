//! `millstream man --markdown`: every command, flag and knob as a page of documentation.
//!
//! The page is kept as `docs/reference/command-line.md`.

use std::fmt::Write;

use crate::cli::command::{COMMANDS, Entry};
use crate::cli::help::{ABOUT, names, preset};
use crate::cli::knobs::{commands, form, lifetime};
use crate::config::Knob;

const HEAD: &str = "<!-- Printed by `millstream man --markdown`; a test compares it. -->\n";

/// Variables that are not those of knobs, and what they do.
pub(crate) const VARIABLES: [(&str, &str); 2] = [
    ("NO_COLOR", "without an empty value, turns colour off where no flag says otherwise"),
    ("XDG_RUNTIME_DIR", "where the sockets of running jobs are, in the folder millstream"),
];

/// Every exit code, and what it says.
pub(crate) const EXIT_CODES: [(u8, &str); 12] = [
    (0, "done"),
    (64, "the command line is wrong"),
    (65, "bytes of an input or a file are wrong"),
    (66, "an input is missing, or is no file"),
    (69, "nobody answers at the other end of a socket"),
    (70, "the job failed while running"),
    (73, "a file cannot be created"),
    (74, "reading or writing failed"),
    (75, "time ran out; the job goes on, or may be tried again"),
    (77, "the operating system does not permit it"),
    (78, "a configuration or a graph is wrong"),
    (130, "a second interrupt ended the program"),
];

/// The page.
pub(crate) fn page() -> String {
    let mut page = format!("{HEAD}\n# Command line\n\n{ABOUT}\n\n");
    table(
        &mut page,
        ["Command", "Does"],
        COMMANDS.iter().map(|c| [code(&c.usage()), text(c.help)]),
    );
    for command in &COMMANDS {
        about(&mut page, command);
    }
    page.push_str(
        "\n# Engine flags\n\nEach is a flag, a variable and a key of the file of `--config`; the \
         flag wins over the variable, the variable over the file.\n\n",
    );
    let rows = Knob::all().iter().map(|knob| {
        let link = format!("[`{0}`](#{0})", knob.key());
        [link, text(knob.help()), text(knob.allowed()), text(preset(knob))]
    });
    table(&mut page, ["Name", "Meaning", "Allowed", "Default"], rows);
    for knob in Knob::all() {
        explain(&mut page, knob);
    }
    page.push_str("\n# Variables\n\n");
    table(&mut page, ["Variable", "Does"], VARIABLES.map(|(name, does)| [code(name), text(does)]));
    page.push_str("\n# Exit codes\n\n");
    let codes = EXIT_CODES.map(|(exit, says)| [exit.to_string(), text(says)]);
    table(&mut page, ["Code", "Says"], codes);
    page
}

fn about(page: &mut String, command: &Entry) {
    let Entry { name, about, operand, .. } = command;
    let _ = writeln!(page, "\n## {name}\n\n`millstream {}`\n\n{}", command.usage(), text(about));
    if let Some(title) = operand.title() {
        page.push('\n');
        let rows = operand.choices().into_iter().map(|(name, about)| [code(name), text(about)]);
        table(page, [title, "About"], rows);
    }
    if command.flags().next().is_some() {
        page.push('\n');
        let rows = command.flags().map(|flag| {
            let (allowed, default) = match flag.value {
                Some((_, allowed)) => (allowed, flag.default),
                None => ("", ""),
            };
            [code(&names(flag)), text(flag.help), text(allowed), text(default)]
        });
        table(page, ["Flag", "Does", "Allowed", "Default"], rows);
    }
    if !command.knobs().is_empty() {
        page.push_str("\nIt takes the [engine flags](#engine-flags) too.\n");
    }
}

fn explain(page: &mut String, knob: &Knob) {
    let _ = writeln!(page, "\n## {}\n\n{}\n", knob.key(), text(knob.docs()));
    let _ = writeln!(page, "- flag `{}`, variable `{}`", knob.flag(), knob.variable());
    let _ = writeln!(page, "- key in a file: `{}`, {}", knob.key(), form(knob));
    let _ = writeln!(page, "- allowed: {}; default: {}", text(knob.allowed()), text(preset(knob)));
    let _ = writeln!(page, "- a change takes effect {}", lifetime(knob));
    let _ = writeln!(page, "- its effect shows in {} of:\n", knob.effect().shows);
    let _ = writeln!(page, "```sh\n{}\n```", commands(knob).join("\n"));
}

fn table<const N: usize>(
    page: &mut String,
    titles: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) {
    let _ = writeln!(page, "| {} |\n|{}", titles.join(" | "), "---|".repeat(N));
    for row in rows {
        let _ = writeln!(page, "| {} |", row.join(" | "));
    }
}

/// Code in a cell: only what would end the cell is special there.
fn code(text: &str) -> String {
    format!("`{}`", text.replace('|', r"\|"))
}

/// Text in which nothing is markup.
fn text(text: &str) -> String {
    let mut line = String::new();
    for character in text.chars() {
        if matches!(character, '|' | '<' | '>' | '[' | ']' | '*' | '_' | '`' | '\\' | '$') {
            line.push('\\');
        }
        line.push(character);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn every_kind_of_error_has_its_exit_code_explained() {
        let kinds = [
            ErrorKind::Usage,
            ErrorKind::BadData,
            ErrorKind::NoInput,
            ErrorKind::Unavailable,
            ErrorKind::JobFailed,
            ErrorKind::CannotCreate,
            ErrorKind::Io,
            ErrorKind::TryAgain,
            ErrorKind::Permission,
            ErrorKind::InvalidConfig,
            ErrorKind::NoReply,
            ErrorKind::Closed,
        ];
        for kind in kinds {
            let is_told = EXIT_CODES.iter().any(|(code, _)| *code == kind.exit_code());
            assert!(is_told, "{kind:?}");
        }
        for (code, _) in &EXIT_CODES[1..11] {
            assert!(kinds.iter().any(|kind| kind.exit_code() == *code), "{code}");
        }
    }

    #[test]
    fn markup_in_cells_is_text() {
        let mut page = String::new();
        table(&mut page, ["A", "B"], [[code("a|b"), text("[x] | y_z")]]);
        assert_eq!(page, "| A | B |\n|---|---|\n| `a\\|b` | \\[x\\] \\| y\\_z |\n");
    }

    #[test]
    fn each_section_has_its_own_title() {
        let page = page();
        let mut titles: Vec<&str> = page.lines().filter(|line| line.starts_with('#')).collect();
        let all = titles.len();
        titles.sort_unstable();
        titles.dedup();
        assert_eq!(titles.len(), all);
        assert_eq!(all, 1 + COMMANDS.len() + 1 + Knob::all().len() + 2);
    }
}
