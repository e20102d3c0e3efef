//! `millstream whatif`: the supervisor on simulated cores, beside what others do.

mod bars;

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::args::WhatIfArgs;
use crate::cli::flag::{Flag, Scope, path, text};
use crate::cli::options::{Format, Verbosity};
use crate::cli::whatif::bars::{Bar, bars};
use crate::cli::{input, output};
use crate::config::parse::{self, Refusal};
use crate::error::{Error, ErrorKind, Result};
use crate::supervisor::Trace;
use crate::testing::cores::{Cores, Outcome, Pattern, Scheme};
use crate::time::{MonotonicClock, Nanos};

/// The flags that only this command takes.
pub(crate) static FLAGS: [Flag; 3] = [
    Flag {
        name: "trace",
        short: None,
        value: Some(("FILE", "a path")),
        default: "none",
        help: "run on this recorded trace of key hashes and gaps",
        scope: Scope::WhatIf,
        set: |options, value| {
            options.whatif.trace = Some(path(value)?);
            Ok(())
        },
    },
    Flag {
        name: "load",
        short: None,
        value: Some(("LOAD", "zipf:S, drift, flash-crowd, periodic or flip-flop")),
        default: "all",
        help: "run on this built-in load",
        scope: Scope::WhatIf,
        set: |options, value| {
            let refused = |_| {
                let allowed = "zipf:S with S 0..=10, drift, flash-crowd, periodic, flip-flop";
                Refusal::new("unknown value", allowed)
            };
            options.whatif.load = Some(text(value)?.parse::<Pattern>().map_err(refused)?);
            Ok(())
        },
    },
    Flag {
        name: "cores",
        short: None,
        value: Some(("N", "2..=1024")),
        default: "4, 16, 64 and 256",
        help: "how many cores, each with a partition",
        scope: Scope::WhatIf,
        set: |options, value| {
            options.whatif.cores = Some(parse::count(text(value)?, 2..=1024)? as usize);
            Ok(())
        },
    },
];

const CORES: [usize; 4] = [4, 16, 64, 256];
const DURATION: Duration = Duration::from_secs(60);

/// A shorter run is half warm-up, and says nothing about bars.
const JUDGED_FROM: Duration = Duration::from_secs(20);

/// One line of the table.
struct Row {
    load: String,
    /// The load, if it is a built-in one.
    pattern: Option<Pattern>,
    cores: usize,
    scheme: Scheme,
    outcome: Outcome,
}

/// Simulates what `args` ask for and prints a table, and below it which bars the rows hold.
///
/// # Errors
/// [`ErrorKind::JobFailed`] if a bar is missed; those of the trace's file and its content, and of
/// stdout.
pub(crate) fn run(args: &WhatIfArgs) -> Result<()> {
    let duration = args.run.duration.unwrap_or(DURATION);
    let counts = args.whatif.cores.map_or(CORES.to_vec(), |count| vec![count]);
    let verbosity = args.show.verbosity;
    let mut rows = Vec::new();
    if let Some(path) = &args.whatif.trace {
        let (file, name) = input::open(path)?;
        let trace = Trace::read(&name, file)?;
        for count in counts {
            let cores = Cores::under_trace(count, trace.clone(), args.run.seed);
            rows.extend(compare(&cores, (&name, None), count, verbosity));
        }
    } else {
        let loads = args.whatif.load.map_or(Pattern::ALL.to_vec(), |load| vec![load]);
        for (load, count) in loads.iter().flat_map(|load| counts.iter().map(move |n| (*load, *n))) {
            let seconds = duration.as_secs().max(1);
            let cores = Cores::under_pattern(count, load, args.run.seed, seconds);
            rows.extend(compare(&cores, (&load.to_string(), Some(load)), count, verbosity));
        }
    }
    let is_timed = !cfg!(debug_assertions);
    let bars = if duration < JUDGED_FROM { Vec::new() } else { bars(&rows, is_timed) };
    match args.show.format {
        Format::Text => output::print(&(table(&rows) + &bars::table(&bars)))?,
        Format::Json => {
            let rows: Vec<Value> = rows.iter().map(Row::json).collect();
            let bars: Vec<Value> = bars.iter().map(Bar::json).collect();
            let page = json!({ "whatif": rows, "bars": bars, "seed": args.run.seed });
            output::print(&format!("{page}\n"))?;
        }
    }
    match bars.iter().filter(|bar| !bar.holds()).count() {
        0 => Ok(()),
        missed => {
            let of = bars.len();
            let context = format!("{missed} of {of} bars missed; allowed what the table says");
            Err(Error::new(ErrorKind::JobFailed, context))
        }
    }
}

/// Runs every scheme on `cores`, under a load that is called `name`.
fn compare(
    cores: &Cores,
    (name, pattern): (&str, Option<Pattern>),
    count: usize,
    verbosity: Verbosity,
) -> [Row; Scheme::ALL.len()] {
    Scheme::ALL.map(|scheme| {
        let outcome = cores.run(scheme, &MonotonicClock, &mut |at, decision| {
            if verbosity == Verbosity::Verbose {
                let seconds = at as f64 / 1e9;
                output::note(&format!("{name} on {count}: {seconds:.3} s: {decision}"));
            }
        });
        Row { load: name.to_owned(), pattern, cores: count, scheme, outcome }
    })
}

impl Row {
    fn json(&self) -> Value {
        json!({
            "load": self.load,
            "cores": self.cores,
            "scheme": self.scheme.to_string(),
            "fullest": self.outcome.fullest,
            "over_optimum": self.outcome.over_optimum,
            "placing": self.outcome.placing,
            "actions_per_minute": self.outcome.actions_per_minute,
            "steals": self.outcome.steals,
            "wait_p99_ns": self.outcome.wait_p99_ns,
            "plan_ns": self.outcome.plan_ns,
            "plan_p99_ns": self.outcome.plan_p99_ns,
        })
    }
}

fn table(rows: &[Row]) -> String {
    let mut page = "load         cores  scheme                fullest/mean  over optimum  \
                    placing  then/min   p99 wait          plan\n"
        .to_owned();
    for Row { load, cores, scheme, outcome, .. } in rows {
        let ms = |ns: Nanos| ns as f64 / 1e6;
        let _ = writeln!(
            page,
            "{load:<12} {cores:>5}  {scheme:<20}  {:>12.3}  {:>12.3}  {:>7}  {:>8.0}  \
             {:>6.1} ms  {:>9.3} ms",
            outcome.fullest,
            outcome.over_optimum,
            outcome.placing,
            outcome.actions_per_minute,
            ms(outcome.wait_p99_ns),
            ms(outcome.plan_ns),
        );
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_has_a_line_for_every_row_and_straight_columns() {
        let outcome = Outcome {
            fullest: 1.25,
            over_optimum: 1.0,
            placing: 7,
            actions_per_minute: 14.4,
            steals: 1,
            wait_p99_ns: 1_500_000,
            plan_ns: 200_000,
            plan_p99_ns: 900_000,
        };
        let row = |scheme| {
            let load = "zipf:1.4".to_owned();
            Row { load, pattern: Some(Pattern::Zipf(1.4)), cores: 256, scheme, outcome }
        };
        let rows = Scheme::ALL.map(row);
        let page = table(&rows);
        let lengths: Vec<_> = page.lines().map(str::len).collect();
        assert_eq!(lengths.len(), 6);
        assert!(lengths.iter().all(|length| *length == lengths[0]), "{page}");
        assert!(page.contains("7        14     1.5 ms      0.200 ms"), "{page}");
        assert_eq!(rows[0].json()["scheme"], "keys");
    }
}
