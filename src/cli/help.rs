//! Help pages, printed from the tables of commands, flags, knobs and workloads.

use std::fmt::Write;

use crate::cli::args::{Topic, Workload};
use crate::cli::flag::{Flag, Scope};
use crate::cli::inspect::InspectTopic;
use crate::config::parse::Choice;
use crate::config::{Form, Knob, Lifetime, Preset};

/// Where the second column begins.
const COLUMN: usize = 28;

/// Columns of a page.
const WIDTH: usize = 100;

/// The page of help about `topic`.
pub(crate) fn page(topic: Topic) -> String {
    match topic {
        Topic::Millstream => millstream(),
        Topic::Bench => format!(
            "usage: millstream bench WORKLOAD [flags]\n\
             Runs a built-in workload and prints a report.\n\n\
             Workloads:\n{}\nFlags:\n{}\n{}",
            workloads(),
            flags(Scope::Bench),
            engine_flags()
        ),
        Topic::Doctor => format!(
            "usage: millstream doctor [flags]\n\
             Shows the host, where the flags would place partitions and why, and what costs\n\
             latency here with what to do about it.\n\n\
             Flags:\n{}\n{}",
            flags(Scope::Doctor),
            engine_flags()
        ),
        Topic::Simulate => format!(
            "usage: millstream simulate [flags]\n\
             Runs random jobs with windows, and checks each against a naive model.\n\n\
             Flags:\n{}",
            flags(Scope::Simulate)
        ),
        Topic::WhatIf => format!(
            "usage: millstream whatif [flags]\n\
             Simulates the supervisor on many cores, beside a fixed hash, partial key grouping\n\
             and D-Choices, under a recorded trace, a built-in load, or all of these.\n\n\
             Flags:\n{}",
            flags(Scope::WhatIf)
        ),
        Topic::ReplayDecisions => format!(
            "usage: millstream replay-decisions FILE [flags]\n\
             Asks the policy the same again, for each line of a decision log, and compares.\n\n\
             Flags:\n{}",
            flags(Scope::Replay)
        ),
        Topic::Inspect => format!(
            "usage: millstream inspect TOPIC [flags]\n\
             Asks a job that runs on this machine: its hot keys, tasks, lanes, checkpoints,\n\
             decisions or health. A job of bench serves a socket that only its user can open,\n\
             PID.sock in $XDG_RUNTIME_DIR/millstream, or in /tmp/millstream-UID without that\n\
             variable.\n\n\
             Topics:\n{}\nFlags:\n{}",
            topics(),
            flags(Scope::Inspect)
        ),
        Topic::Knobs => "usage: millstream knobs [NAME]\n\
                         Explains one engine flag, or all.\n"
            .to_owned(),
    }
}

/// The workloads, a line each.
pub(crate) fn workloads() -> String {
    let mut page = String::new();
    for (name, workload) in Workload::NAMES {
        row(&mut page, name, workload.about());
    }
    page
}

/// What `inspect` can ask, a line each.
fn topics() -> String {
    let mut page = String::new();
    for (name, topic) in InspectTopic::NAMES {
        row(&mut page, name, topic.about());
    }
    page
}

/// The reference of `knob`, or of all.
pub(crate) fn knobs(knob: Option<&Knob>) -> String {
    match knob {
        Some(knob) => reference(knob),
        None => Knob::all().iter().map(reference).collect::<Vec<_>>().join("\n"),
    }
}

fn millstream() -> String {
    let mut page = "usage: millstream COMMAND\n\
                    Runs and measures stream-processing jobs on one machine.\n\n\
                    Commands:\n"
        .to_owned();
    row(&mut page, "bench WORKLOAD [flags]", "run a built-in workload and print a report");
    row(
        &mut page,
        "doctor [flags]",
        "show the host, what costs latency on it, and where partitions go",
    );
    row(&mut page, "whatif [flags]", "simulate the supervisor on many cores, beside others");
    row(
        &mut page,
        "inspect TOPIC [flags]",
        "ask a running job: hot keys, tasks, decisions, health",
    );
    row(&mut page, "replay-decisions FILE", "decide again what a decision log holds, and compare");
    row(&mut page, "knobs [NAME]", "explain the engine flags");
    row(&mut page, "simulate [flags]", "run random jobs from seeds against a naive model");
    row(&mut page, "help [COMMAND]", "show this page, or that of a command");
    row(&mut page, "--version, -V", "show the version");
    page.push_str("\nEvery command takes --help.\n");
    page
}

fn flags(scope: Scope) -> String {
    let mut page = String::new();
    for flag in scope.flags() {
        row(&mut page, &names(flag), flag.help);
        if let Some((_, allowed)) = flag.value {
            row(&mut page, "", &format!("{allowed}; default {}", flag.default));
        }
    }
    row(&mut page, "--help, -h", "show this page");
    page
}

fn engine_flags() -> String {
    let mut page =
        "Engine flags, also variables such as MILLSTREAM_LINGER and keys of --config:\n".to_owned();
    for knob in Knob::all() {
        row(&mut page, &knob.flag(), knob.help());
        row(&mut page, "", &format!("{}; default {}", knob.allowed(), preset(knob)));
    }
    page
}

fn reference(knob: &Knob) -> String {
    let mut page = String::new();
    let form = match knob.form() {
        Form::Text => "string",
        Form::Integer => "integer",
        Form::IntegerOrText => "integer or string",
    };
    let lifetime = match knob.lifetime() {
        Lifetime::Live => "while the job runs",
        Lifetime::Start => "at the next start",
        Lifetime::Snapshot => "never for stored state",
    };
    let _ = writeln!(page, "{}: {}", knob.key(), knob.help());
    row(&mut page, "flag", &knob.flag());
    row(&mut page, "variable", &knob.variable());
    row(&mut page, "key in a file", &format!("{} ({form})", knob.key()));
    row(&mut page, "allowed", knob.allowed());
    row(&mut page, "default", preset(knob));
    row(&mut page, "a change takes effect", lifetime);
    paragraph(&mut page, knob.docs());
    page
}

fn names(flag: &Flag) -> String {
    let mut names = format!("--{}", flag.name);
    if let Some((placeholder, _)) = flag.value {
        let _ = write!(names, " {placeholder}");
    }
    if let Some(short) = flag.short {
        let _ = write!(names, ", -{short}");
    }
    names
}

fn preset(knob: &Knob) -> &'static str {
    match knob.preset() {
        Preset::Value(text) | Preset::Derived(text) => text,
    }
}

fn row(page: &mut String, left: &str, right: &str) {
    let width = COLUMN - 2;
    let _ = writeln!(page, "  {left:width$}{right}");
}

/// Writes `text` as lines of at most `WIDTH` columns.
fn paragraph(page: &mut String, text: &str) {
    let mut column = WIDTH;
    for word in text.split_whitespace() {
        column += 1 + word.chars().count();
        if column > WIDTH {
            let separator = if page.ends_with('\n') { "  " } else { "\n  " };
            page.push_str(separator);
            column = 2 + word.chars().count();
        } else {
            page.push(' ');
        }
        page.push_str(word);
    }
    page.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_of_bench_names_every_workload_flag_and_knob() {
        let page = page(Topic::Bench);
        for (name, workload) in Workload::NAMES {
            assert!(page.contains(name) && page.contains(workload.about()), "{name}");
        }
        for flag in Scope::Bench.flags() {
            assert!(page.contains(&names(flag)) && page.contains(flag.help), "{}", flag.name);
        }
        for knob in Knob::all() {
            assert!(page.contains(&knob.flag()) && page.contains(knob.help()), "{}", knob.key());
        }
    }

    #[test]
    fn help_of_doctor_leaves_out_what_it_does_not_take() {
        let page = page(Topic::Doctor);
        assert!(page.contains("--format FORMAT") && page.contains("--partitions"));
        assert!(!page.contains("--records"));
    }

    #[test]
    fn reference_names_every_knob_in_all_its_forms() {
        let page = knobs(None);
        for knob in Knob::all() {
            assert!(page.contains(&knob.variable()) && page.contains(knob.help()));
        }
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let one = knobs(Knob::named("linger"));
        let docs = Knob::named("linger").map(|knob| words(knob.docs())).expect("a knob");
        assert!(words(&one).ends_with(&docs));
        assert!(one.starts_with("linger: ") && !one.contains("MILLSTREAM_PIN"));
    }

    #[test]
    fn pages_keep_to_their_width() {
        let topics = Topic::NAMES.iter().map(|(_, topic)| page(*topic)).chain([knobs(None)]);
        for line in topics.collect::<String>().lines() {
            assert!(line.chars().count() <= WIDTH, "{line}");
            assert_eq!(line.trim_end(), line);
        }
    }
}
