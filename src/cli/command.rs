//! Every command, one entry each: parsing, help, completions and the manual come from here.

use crate::cli::args::Workload;
use crate::cli::completions::Shell;
use crate::cli::flag::{Flag, Scope};
use crate::cli::inspect::InspectTopic;
use crate::config::Knob;
use crate::config::parse::Choice;

/// A page of help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// The commands.
    Millstream,
    /// `bench`.
    Bench,
    /// `doctor`.
    Doctor,
    /// `whatif`.
    WhatIf,
    /// `replay-decisions`.
    ReplayDecisions,
    /// `inspect`.
    Inspect,
    /// `knobs`.
    Knobs,
    /// `simulate`.
    Simulate,
    /// `completions`.
    Completions,
    /// `man`.
    Man,
    /// `help`.
    Help,
}

impl Topic {
    /// Every page with its name.
    pub(crate) fn names() -> impl Iterator<Item = (&'static str, Topic)> {
        let commands = COMMANDS.iter().map(|command| (command.name, command.topic));
        [("millstream", Topic::Millstream)].into_iter().chain(commands)
    }
}

/// One command: its name, what it takes, what it does.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) topic: Topic,
    pub(crate) name: &'static str,
    pub(crate) operand: Operand,
    /// Which flags it takes.
    pub(crate) scope: Scope,
    /// What it does, in one line of the list of commands.
    pub(crate) help: &'static str,
    /// What it does, in sentences.
    pub(crate) about: &'static str,
}

/// The argument of a command that is no flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operand {
    None,
    /// A workload of `bench`.
    Workload,
    /// What `inspect` can ask.
    Topic,
    /// A knob, or none.
    Knob,
    /// A shell.
    Shell,
    /// A command, or none.
    Command,
    /// A path.
    File,
}

impl Operand {
    /// How usage lines write it; empty for none.
    pub(crate) fn written(self) -> &'static str {
        match self {
            Operand::None => "",
            Operand::Workload => "WORKLOAD",
            Operand::Topic => "TOPIC",
            Operand::Knob => "[NAME]",
            Operand::Shell => "SHELL",
            Operand::Command => "[COMMAND]",
            Operand::File => "FILE",
        }
    }

    /// What may stand for it, with a line about each; empty where that is no list.
    pub(crate) fn choices(self) -> Vec<(&'static str, &'static str)> {
        match self {
            Operand::None | Operand::File => Vec::new(),
            Operand::Workload => Workload::NAMES.iter().map(|(n, w)| (*n, w.about())).collect(),
            Operand::Topic => InspectTopic::NAMES.iter().map(|(n, t)| (*n, t.about())).collect(),
            Operand::Knob => Knob::all().iter().map(|knob| (knob.key(), knob.help())).collect(),
            Operand::Shell => Shell::NAMES.iter().map(|(n, s)| (*n, s.about())).collect(),
            Operand::Command => COMMANDS.iter().map(|c| (c.name, c.help)).collect(),
        }
    }

    /// The title of its list on a page about the command; `None` where the page needs none.
    pub(crate) fn title(self) -> Option<&'static str> {
        match self {
            Operand::None | Operand::File | Operand::Knob | Operand::Command => None,
            Operand::Workload => Some("Workloads"),
            Operand::Topic => Some("Topics"),
            Operand::Shell => Some("Shells"),
        }
    }
}

impl Entry {
    /// The command as it is typed: `bench WORKLOAD [flags]`.
    pub(crate) fn usage(&self) -> String {
        let flags = if self.flags().next().is_some() { "[flags]" } else { "" };
        let parts = [self.name, self.operand.written(), flags];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
    }

    /// The flags that it takes, the knobs left out.
    pub(crate) fn flags(&self) -> impl Iterator<Item = &'static Flag> {
        self.scope.flags()
    }

    /// The knobs that it takes as flags.
    pub(crate) fn knobs(&self) -> &'static [Knob] {
        if self.scope.takes_knobs() { Knob::all() } else { &[] }
    }
}

/// Every command, in the order in which help lists them.
pub(crate) static COMMANDS: [Entry; 10] = [
    Entry {
        topic: Topic::Bench,
        name: "bench",
        operand: Operand::Workload,
        scope: Scope::Bench,
        help: "run a built-in workload and print a report",
        about: "Runs a built-in workload and prints a report.",
    },
    Entry {
        topic: Topic::Doctor,
        name: "doctor",
        operand: Operand::None,
        scope: Scope::Doctor,
        help: "show the host, what costs latency on it, and where partitions go",
        about: "Shows the host, where the flags would place partitions and why, and what costs \
                latency here with what to do about it.",
    },
    Entry {
        topic: Topic::WhatIf,
        name: "whatif",
        operand: Operand::None,
        scope: Scope::WhatIf,
        help: "simulate the supervisor on many cores, beside others",
        about: "Simulates the supervisor on many cores, beside a fixed hash, partial key grouping \
                and D-Choices, under a recorded trace, a built-in load, or all of these.",
    },
    Entry {
        topic: Topic::Inspect,
        name: "inspect",
        operand: Operand::Topic,
        scope: Scope::Inspect,
        help: "ask a running job: hot keys, tasks, decisions, health",
        about: "Asks a job that runs on this machine: its hot keys, tasks, lanes, checkpoints, \
                decisions or health. A job of bench serves a socket that only its user can open, \
                PID.sock in $XDG_RUNTIME_DIR/millstream, or in /tmp/millstream-UID without that \
                variable.",
    },
    Entry {
        topic: Topic::ReplayDecisions,
        name: "replay-decisions",
        operand: Operand::File,
        scope: Scope::Replay,
        help: "decide again what a decision log holds, and compare",
        about: "Asks the policy the same again, for each line of a decision log, and compares.",
    },
    Entry {
        topic: Topic::Knobs,
        name: "knobs",
        operand: Operand::Knob,
        scope: Scope::Knobs,
        help: "explain the engine flags",
        about: "Explains one engine flag, or lists all: what it does, its bounds, its default, \
                when a change takes effect, and the benchmark that shows what it does.",
    },
    Entry {
        topic: Topic::Simulate,
        name: "simulate",
        operand: Operand::None,
        scope: Scope::Simulate,
        help: "run random jobs from seeds against a naive model",
        about: "Runs random jobs with windows, and checks each against a naive model.",
    },
    Entry {
        topic: Topic::Completions,
        name: "completions",
        operand: Operand::Shell,
        scope: Scope::Bare,
        help: "print what lets a shell complete commands and flags",
        about: "Prints a script that lets a shell complete commands, flags and their values.",
    },
    Entry {
        topic: Topic::Man,
        name: "man",
        operand: Operand::None,
        scope: Scope::Man,
        help: "print the manual, as a page for man",
        about: "Prints the manual as a page for man: millstream man >millstream.1.",
    },
    Entry {
        topic: Topic::Help,
        name: "help",
        operand: Operand::Command,
        scope: Scope::Bare,
        help: "show this page, or that of a command",
        about: "Shows the list of commands, or the page of one.",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_has_its_own_name_and_page() {
        let names: Vec<_> = Topic::names().collect();
        for (index, (name, topic)) in names.iter().enumerate() {
            assert!(names[..index].iter().all(|(other, _)| other != name), "{name}");
            assert!(names[..index].iter().all(|(_, other)| other != topic), "{name}");
        }
    }

    #[test]
    fn usage_names_operand_and_flags_where_there_are_any() {
        let usage = |topic| COMMANDS.iter().find(|c| c.topic == topic).map(Entry::usage);
        assert_eq!(usage(Topic::Bench).as_deref(), Some("bench WORKLOAD [flags]"));
        assert_eq!(usage(Topic::Completions).as_deref(), Some("completions SHELL"));
        assert_eq!(usage(Topic::Man).as_deref(), Some("man [flags]"));
    }
}
