//! `millstream knobs`: what each engine flag means, and which benchmark shows what it does.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::cli::help::{paragraph, preset, row};
use crate::cli::options::Format;
use crate::config::{Effect, Form, Knob, Lifetime};

/// The page about `knob`, or the table of all.
pub(crate) fn page(knob: Option<&Knob>, format: Format) -> String {
    match (format, knob) {
        (Format::Text, Some(knob)) => one(knob),
        (Format::Text, None) => table(),
        (Format::Json, Some(knob)) => object(knob).to_string() + "\n",
        (Format::Json, None) => {
            let all: Vec<Value> = Knob::all().iter().map(object).collect();
            json!({ "knobs": all }).to_string() + "\n"
        }
    }
}

fn one(knob: &Knob) -> String {
    let effect = knob.effect();
    let mut page = format!("{}: {}\n", knob.key(), knob.help());
    row(&mut page, "flag", &knob.flag());
    row(&mut page, "variable", &knob.variable());
    row(&mut page, "key in a file", &format!("{} ({})", knob.key(), form(knob)));
    row(&mut page, "allowed", knob.allowed());
    row(&mut page, "default", preset(knob));
    row(&mut page, "a change takes effect", lifetime(knob));
    paragraph(&mut page, knob.docs());
    let _ = writeln!(page, "  Its effect shows in {} of:", effect.shows);
    for command in commands(knob) {
        let _ = writeln!(page, "    {command}");
    }
    page
}

/// A line of figures and a line of meaning for each knob.
fn table() -> String {
    let mut page = String::new();
    let mut line = |cells: [&str; 4]| {
        let [key, preset, allowed, workload] = cells;
        let line = format!("{key:<24}{preset:<25}{allowed:<36}{workload}");
        let _ = writeln!(page, "{}", line.trim_end());
    };
    line(["KNOB", "DEFAULT", "ALLOWED", "BENCHMARK"]);
    for knob in Knob::all() {
        line([knob.key(), preset(knob), knob.allowed(), workload(knob.effect())]);
        line([&format!("  {} (from {})", knob.help(), since(knob)), "", "", ""]);
    }
    page.push_str("\nmillstream knobs NAME says when to change it, and how to see what it does.\n");
    page
}

fn object(knob: &Knob) -> Value {
    let Effect { shows, .. } = knob.effect();
    json!({
        "name": knob.key(),
        "flag": knob.flag(),
        "variable": knob.variable(),
        "form": form(knob),
        "allowed": knob.allowed(),
        "default": preset(knob),
        "takes_effect": lifetime(knob),
        "help": knob.help(),
        "docs": knob.docs(),
        "benchmark": { "commands": commands(knob), "shows": shows },
    })
}

/// The command lines whose reports are to be compared.
pub(crate) fn commands(knob: &Knob) -> [String; 2] {
    let Effect { bench, values, .. } = knob.effect();
    values.map(|value| format!("millstream bench {bench} {} {value}", knob.flag()))
}

/// How a configuration file writes it.
pub(crate) fn form(knob: &Knob) -> &'static str {
    match knob.form() {
        Form::Text => "string",
        Form::Integer => "integer",
        Form::IntegerOrText => "integer or string",
    }
}

/// When a change takes effect.
pub(crate) fn lifetime(knob: &Knob) -> &'static str {
    match knob.lifetime() {
        Lifetime::Live => "while the job runs",
        Lifetime::Start => "at the next start",
        Lifetime::Snapshot => "never for stored state",
    }
}

/// The same, behind the word "from".
fn since(knob: &Knob) -> &'static str {
    match knob.lifetime() {
        Lifetime::Live => "now on",
        Lifetime::Start => "the next start",
        Lifetime::Snapshot => "the first start; stored state keeps it",
    }
}

/// The workload that shows what the knob does.
pub(crate) fn workload(effect: Effect) -> &'static str {
    effect.bench.split(' ').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::cli::args::{Command, Environment, parse};
    use crate::cli::help::WIDTH;
    use crate::config::Config;

    #[test]
    fn each_benchmark_is_a_command_that_is_understood() {
        for knob in Knob::all() {
            let [low, high] = commands(knob).map(|command| {
                let words = command.split(' ').skip(1).map(OsString::from);
                let allowed_cores = Some([0, 1].into_iter().collect());
                let environment = Environment { variables: Vec::new(), allowed_cores };
                match parse(words, environment) {
                    Ok(Command::Bench(bench)) => bench,
                    other => panic!("{command}: {other:?}"),
                }
            });
            let value = |config: &Config| {
                let found = config.entries().find(|(entry, _)| entry.key() == knob.key());
                found.and_then(|(_, text)| text)
            };
            assert_ne!(value(&low.config), value(&high.config), "{}", knob.key());
            assert_eq!((low.workload, &low.run), (high.workload, &high.run), "{}", knob.key());
        }
    }

    #[test]
    fn page_names_a_knob_in_all_its_forms() {
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        for knob in Knob::all() {
            let page = words(&page(Some(knob), Format::Text));
            let command = &commands(knob)[0];
            for part in [knob.help(), &knob.flag(), &knob.variable(), knob.docs(), command] {
                assert!(page.contains(part), "{part}");
            }
        }
    }

    #[test]
    fn table_has_two_lines_for_each_knob() {
        let page = page(None, Format::Text);
        let mut lines = page.lines().skip(1);
        for knob in Knob::all() {
            let figures = lines.next().expect("a line of figures");
            for part in [knob.key(), preset(knob), knob.allowed(), workload(knob.effect())] {
                assert!(figures.split("  ").any(|cell| cell.trim() == part), "{part}: {figures}");
            }
            let meaning = lines.next().expect("a line of meaning");
            assert_eq!(meaning, format!("  {} (from the next start)", knob.help()));
        }
        assert!(page.lines().all(|line| line.chars().count() <= WIDTH), "{page}");
    }

    #[test]
    fn json_holds_what_the_page_holds() {
        let all: Value = serde_json::from_str(&page(None, Format::Json)).expect("JSON");
        let all = all["knobs"].as_array().expect("a list");
        assert_eq!(all.len(), Knob::all().len());
        for (knob, seen) in Knob::all().iter().zip(all) {
            let one: Value = serde_json::from_str(&page(Some(knob), Format::Json)).expect("JSON");
            assert_eq!(&one, seen);
            assert_eq!(one["name"], knob.key());
            assert_eq!(one["benchmark"]["commands"][1], commands(knob)[1].as_str());
        }
    }
}
