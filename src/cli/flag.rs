//! Flags that are no knobs: what `bench` runs, on which input, and how results are shown.

use std::ffi::OsStr;
use std::ops::{Range, RangeInclusive};
use std::path::PathBuf;
use std::time::Duration;

use crate::cli::doctor;
use crate::cli::inspect;
use crate::cli::options::{Emit, Keep, Manual, Options, Skew, Verbosity, Windows};
use crate::cli::report;
use crate::cli::whatif;
use crate::cli::workload::hot_key;
use crate::config::parse::{self, Refusal};

const COUNT: RangeInclusive<u64> = 1..=1_000_000_000_000_000;
const KEYS: RangeInclusive<u64> = 1..=1_000_000_000_000;
const REPEAT: RangeInclusive<u64> = 1..=1_000;
const RUN: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(604_800);
const WARMUP: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(3_600);
const EMIT_EVERY: RangeInclusive<Duration> = Duration::from_micros(1)..=Duration::from_secs(3_600);
const WINDOW: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(86_400);
const ZIPF_EXPONENT_MAX: f64 = 10.0;

/// The commands that take a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// `bench` only.
    Bench,
    /// `simulate` only, which takes no others.
    Simulate,
    /// `whatif`.
    WhatIf,
    /// `replay-decisions`.
    Replay,
    /// `inspect`.
    Inspect,
    /// `doctor`.
    Doctor,
    /// `man` only.
    Man,
    /// `knobs`.
    Knobs,
    /// Commands without flags.
    Bare,
    /// Commands that make an input: `bench` and `whatif`.
    Runs,
    /// Commands that show keys: `inspect`, and `bench` on the page that it writes.
    Keys,
    /// Commands that print a report: those of the engine, `whatif` and `replay-decisions`.
    Shows,
    /// Commands that print text or JSON: these and `knobs`.
    Forms,
    /// Every command that runs the engine as it is configured.
    All,
}

impl Scope {
    /// Whether a command of this scope takes flags of the scope `flag`.
    pub(crate) fn takes(self, flag: Scope) -> bool {
        match flag {
            Scope::All => self.takes_knobs(),
            Scope::Runs => matches!(self, Scope::Bench | Scope::WhatIf),
            Scope::Keys => matches!(self, Scope::Bench | Scope::Inspect),
            Scope::Shows => {
                !matches!(self, Scope::Simulate | Scope::Knobs | Scope::Man | Scope::Bare)
            }
            Scope::Forms => self == Scope::Knobs || self.takes(Scope::Shows),
            Scope::Bench
            | Scope::Simulate
            | Scope::WhatIf
            | Scope::Replay
            | Scope::Inspect
            | Scope::Man
            | Scope::Knobs
            | Scope::Doctor
            | Scope::Bare => flag == self,
        }
    }

    /// Whether it takes the engine's knobs.
    pub(crate) fn takes_knobs(self) -> bool {
        matches!(self, Scope::Bench | Scope::Doctor)
    }

    /// The flags that a command of this scope takes.
    pub(crate) fn flags(self) -> impl Iterator<Item = &'static Flag> {
        every().filter(move |flag| self.takes(flag.scope))
    }

    /// The command that takes what others do not.
    pub(crate) fn command(self) -> &'static str {
        match self {
            Scope::Bench | Scope::Runs | Scope::Shows | Scope::Forms | Scope::All => {
                "millstream bench"
            }
            Scope::Man => "millstream man",
            Scope::Knobs => "millstream knobs",
            Scope::Bare => "millstream",
            Scope::Simulate => "millstream simulate",
            Scope::WhatIf => "millstream whatif",
            Scope::Replay => "millstream replay-decisions",
            Scope::Inspect | Scope::Keys => "millstream inspect",
            Scope::Doctor => "millstream doctor",
        }
    }
}

/// Every flag of every command.
pub(crate) fn every() -> impl Iterator<Item = &'static Flag> {
    let own =
        [&report::FLAGS[..], &doctor::FLAGS, &whatif::FLAGS, &inspect::FLAGS, &hot_key::FLAGS];
    FLAGS.iter().chain(own.into_iter().flatten())
}

/// One flag: its names, its bounds, what it does.
#[derive(Debug)]
pub(crate) struct Flag {
    pub(crate) name: &'static str,
    pub(crate) short: Option<char>,
    /// Placeholder and allowed values; `None` for a switch.
    pub(crate) value: Option<(&'static str, &'static str)>,
    pub(crate) default: &'static str,
    pub(crate) help: &'static str,
    pub(crate) scope: Scope,
    /// Reads the value, empty for a switch.
    pub(crate) set: fn(&mut Options, &OsStr) -> Result<(), Refusal>,
}

/// Flags that cannot stand together.
pub(crate) const CONFLICTS: [(&str, &str); 2] = [("quiet", "verbose"), ("load", "trace")];

static FLAGS: [Flag; 25] = [
    Flag {
        name: "list",
        short: None,
        value: None,
        default: "",
        help: "list the workloads and exit",
        scope: Scope::Bench,
        set: |options, _| {
            options.list = true;
            Ok(())
        },
    },
    Flag {
        name: "duration",
        short: None,
        value: Some(("D", "1ms..=168h, with a unit")),
        default: "by workload",
        help: "stop after this time",
        scope: Scope::Runs,
        set: |options, value| {
            options.run.duration = Some(parse::duration(text(value)?, RUN)?);
            Ok(())
        },
    },
    Flag {
        name: "records",
        short: None,
        value: Some(("N", "1..=1000000000000000")),
        default: "by workload",
        help: "stop after so many records",
        scope: Scope::Bench,
        set: |options, value| {
            options.run.records = Some(parse::count(text(value)?, COUNT)?);
            Ok(())
        },
    },
    Flag {
        name: "rate",
        short: None,
        value: Some(("N", "1..=1000000000000000 records per second")),
        default: "as fast as it goes",
        help: "offer records at this rate, whether they are taken or not",
        scope: Scope::Bench,
        set: |options, value| {
            options.run.rate = Some(parse::count(text(value)?, COUNT)?);
            Ok(())
        },
    },
    Flag {
        name: "seed",
        short: None,
        value: Some(("N", "0..=18446744073709551615")),
        default: "1",
        help: "seed of the input",
        scope: Scope::Runs,
        set: |options, value| {
            options.run.seed = parse::count(text(value)?, 0..=u64::MAX)?;
            Ok(())
        },
    },
    Flag {
        name: "warmup",
        short: None,
        value: Some(("D", "0..=1h, with a unit")),
        default: "by workload",
        help: "run this long before the clock starts",
        scope: Scope::Bench,
        set: |options, value| {
            options.run.warmup = Some(parse::duration(text(value)?, WARMUP)?);
            Ok(())
        },
    },
    Flag {
        name: "repeat",
        short: None,
        value: Some(("N", "1..=1000")),
        default: "1",
        help: "run so often; the report gives the median and the spread",
        scope: Scope::Bench,
        set: |options, value| {
            options.run.repeat = parse::count(text(value)?, REPEAT)?;
            Ok(())
        },
    },
    Flag {
        name: "keys",
        short: None,
        value: Some(("N", "1..=1000000000000")),
        default: "100000",
        help: "distinct keys",
        scope: Scope::Bench,
        set: |options, value| {
            options.run.keys = parse::count(text(value)?, KEYS)?;
            Ok(())
        },
    },
    Flag {
        name: "skew",
        short: None,
        value: Some(("SKEW", "uniform, zipf:S (S 0..=10) or hot:SHARE (0..=1)")),
        default: "uniform",
        help: "how keys are distributed",
        scope: Scope::Bench,
        set: |options, value| {
            options.run.skew = skew(text(value)?)?;
            Ok(())
        },
    },
    Flag {
        name: "emit",
        short: None,
        value: Some(("WHEN", "end, each or every:D (1us..=1h)")),
        default: "end",
        help: "when running aggregates emit",
        scope: Scope::Bench,
        set: |options, value| {
            options.run.emit = emit(text(value)?)?;
            Ok(())
        },
    },
    Flag {
        name: "window",
        short: None,
        value: Some(("WINDOW", "tumbling:D, sliding:D,D or session:D, 1ms..=24h")),
        default: "tumbling:1s",
        help: "windows that records are cut into (sliding: size, slide)",
        scope: Scope::Bench,
        set: |options, value| {
            options.run.windows = windows(text(value)?)?;
            Ok(())
        },
    },
    Flag {
        name: "event-rate",
        short: None,
        value: Some(("N", "1..=1000000000000000 records per second")),
        default: "by workload",
        help: "how fast event time goes (1000000; nexmark: 10000)",
        scope: Scope::Bench,
        set: |options, value| {
            options.run.event_rate = Some(parse::count(text(value)?, COUNT)?);
            Ok(())
        },
    },
    Flag {
        name: "baseline",
        short: None,
        value: Some(("WHETHER", "on|off")),
        default: "on",
        help: "also measure what the workload is compared with",
        scope: Scope::Bench,
        set: |options, value| {
            options.run.baseline = parse::choice(text(value)?)?;
            Ok(())
        },
    },
    Flag {
        name: "dump",
        short: None,
        value: Some(("FILE", "a path")),
        default: "none",
        help: "write the input to FILE as CSV, with nexmark as JSON lines",
        scope: Scope::Bench,
        set: |options, value| {
            options.run.dump = Some(path(value)?);
            Ok(())
        },
    },
    Flag {
        name: "output",
        short: None,
        value: Some(("FILE", "a path")),
        default: "none",
        help: "write the results to FILE as JSON lines",
        scope: Scope::Bench,
        set: |options, value| {
            options.run.output = Some(path(value)?);
            Ok(())
        },
    },
    Flag {
        name: "decisions",
        short: None,
        value: Some(("FILE", "a path")),
        default: "none",
        help: "write what the supervisor decides to FILE as JSON lines",
        scope: Scope::Bench,
        set: |options, value| {
            options.run.decisions = Some(path(value)?);
            Ok(())
        },
    },
    Flag {
        name: "record-trace",
        short: None,
        value: Some(("FILE", "a path")),
        default: "none",
        help: "write keys and times to FILE, for whatif --trace; none that is combined",
        scope: Scope::Bench,
        set: |options, value| {
            options.run.record_trace = Some(path(value)?);
            Ok(())
        },
    },
    Flag {
        name: "seeds",
        short: None,
        value: Some(("A..B", "A..B with A < B, without B")),
        default: "0..1000",
        help: "simulate one job for each of these seeds",
        scope: Scope::Simulate,
        set: |options, value| {
            options.simulate.seeds = seeds(text(value)?)?;
            Ok(())
        },
    },
    Flag {
        name: "keep",
        short: None,
        value: Some(("FILE", "a path, or off")),
        default: "benches/runs/simulations.jsonl in a clone",
        help: "append the result to FILE as a line of JSON",
        scope: Scope::Simulate,
        set: |options, value| {
            options.simulate.keep = if value == "off" { Keep::Off } else { Keep::In(path(value)?) };
            Ok(())
        },
    },
    Flag {
        name: "markdown",
        short: None,
        value: None,
        default: "",
        help: "print it as a page in Markdown instead",
        scope: Scope::Man,
        set: |options, _| {
            options.manual = Manual::Markdown;
            Ok(())
        },
    },
    Flag {
        name: "format",
        short: None,
        value: Some(("FORMAT", "text|json")),
        default: "text",
        help: "form of the report; json is one object on stdout",
        scope: Scope::Forms,
        set: |options, value| {
            options.show.format = parse::choice(text(value)?)?;
            Ok(())
        },
    },
    Flag {
        name: "config",
        short: None,
        value: Some(("FILE", "a path")),
        default: "none",
        help: "read engine flags from a TOML file",
        scope: Scope::All,
        set: |options, value| {
            options.config = Some(path(value)?);
            Ok(())
        },
    },
    Flag {
        name: "quiet",
        short: Some('q'),
        value: None,
        default: "",
        help: "show no progress",
        scope: Scope::Shows,
        set: |options, _| {
            options.show.verbosity = Verbosity::Quiet;
            Ok(())
        },
    },
    Flag {
        name: "verbose",
        short: Some('v'),
        value: None,
        default: "",
        help: "say what the engine decides",
        scope: Scope::Shows,
        set: |options, _| {
            options.show.verbosity = Verbosity::Verbose;
            Ok(())
        },
    },
    Flag {
        name: "color",
        short: None,
        value: Some(("WHEN", "auto|always|never")),
        default: "auto",
        help: "colour the text; NO_COLOR turns auto off",
        scope: Scope::Shows,
        set: |options, value| {
            options.show.color = parse::choice(text(value)?)?;
            Ok(())
        },
    },
];

pub(crate) fn text(value: &OsStr) -> Result<&str, Refusal> {
    value.to_str().ok_or_else(|| Refusal::new("not UTF-8", "UTF-8 text"))
}

pub(crate) fn path(value: &OsStr) -> Result<PathBuf, Refusal> {
    if value.is_empty() {
        return Err(Refusal::new("empty value", "a path"));
    }
    Ok(PathBuf::from(value))
}

fn seeds(text: &str) -> Result<Range<u64>, Refusal> {
    let refused = |what| Refusal::new(what, "A..B with A < B, without B");
    let (first, end) = text.split_once("..").ok_or_else(|| refused("not a range"))?;
    let seed = |text| parse::count(text, 0..=u64::MAX).map_err(|_| refused("not a range"));
    let (first, end) = (seed(first)?, seed(end)?);
    if first < end { Ok(first..end) } else { Err(refused("empty range")) }
}

fn skew(text: &str) -> Result<Skew, Refusal> {
    let refused = |what| Refusal::new(what, "uniform, zipf:S with S 0..=10, hot:SHARE with 0..=1");
    let (name, number) = text.split_once(':').unwrap_or((text, ""));
    match name {
        "uniform" if name == text => Ok(Skew::Uniform),
        "zipf" => decimal(number, ZIPF_EXPONENT_MAX).map(Skew::Zipf).map_err(refused),
        "hot" => decimal(number, 1.0).map(Skew::Hot).map_err(refused),
        _ => Err(refused("unknown value")),
    }
}

fn emit(text: &str) -> Result<Emit, Refusal> {
    match text.split_once(':') {
        None if text == "end" => Ok(Emit::End),
        None if text == "each" => Ok(Emit::Each),
        Some(("every", interval)) => parse::duration(interval, EMIT_EVERY).map(Emit::Every),
        _ => Err(Refusal::new("unknown value", "end, each or every:D")),
    }
}

fn windows(text: &str) -> Result<Windows, Refusal> {
    let length = |text| parse::duration(text, WINDOW);
    match text.split_once(':') {
        Some(("tumbling", size)) => length(size).map(Windows::Tumbling),
        Some(("session", gap)) => length(gap).map(Windows::Session),
        Some(("sliding", both)) => {
            let (size, slide) = both.split_once(',').unwrap_or((both, ""));
            Ok(Windows::Sliding { size: length(size)?, slide: length(slide)? })
        }
        _ => Err(Refusal::new("unknown value", "tumbling:D, sliding:D,D or session:D")),
    }
}

/// Reads digits with at most one point between them, 0..=`most`; no sign, exponent or NaN.
pub(crate) fn decimal(text: &str, most: f64) -> Result<f64, &'static str> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return Err("not a decimal number");
    }
    let number: f64 = text.parse().map_err(|_| "not a decimal number")?;
    if number <= most { Ok(number) } else { Err("out of range") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, value: &str) -> Result<Options, Refusal> {
        let flag = every().find(|flag| flag.name == name).expect(name);
        let mut options = Options::default();
        (flag.set)(&mut options, OsStr::new(value))?;
        Ok(options)
    }

    #[test]
    fn defaults_that_help_shows_are_those_that_hold() {
        for flag in every() {
            let is_derived = matches!(
                flag.default,
                "" | "none"
                    | "by workload"
                    | "as fast as it goes"
                    | "calibrated"
                    | "the one running job"
                    | "this one"
                    | "all"
                    | "4, 16, 64 and 256"
                    | "benches/runs/simulations.jsonl in a clone"
            );
            if !is_derived {
                let options = set(flag.name, flag.default).expect(flag.name);
                assert_eq!(options, Options::default(), "{}", flag.name);
            }
        }
    }

    #[test]
    fn bounds_that_help_shows_are_those_that_hold() {
        for name in
            ["records", "rate", "event-rate", "seed", "repeat", "keys", "duration", "warmup"]
        {
            let flag = FLAGS.iter().find(|flag| flag.name == name).expect(name);
            let (_, allowed) = flag.value.expect("takes a value");
            let bounds = allowed.split([' ', ',']).next().expect("a range");
            let refusal = set(name, "-1").expect_err(name);
            assert!(refusal.allowed.starts_with(&format!("allowed {bounds}")), "{name}");
        }
        for name in ["format", "color", "baseline"] {
            let flag = FLAGS.iter().find(|flag| flag.name == name).expect(name);
            let (_, allowed) = flag.value.expect("takes a value");
            let refusal = set(name, "?").expect_err(name);
            assert_eq!(refusal.allowed, format!("allowed {allowed}"));
        }
    }

    #[test]
    fn skew_emit_and_window_are_read_back_as_written() {
        for skewed in [Skew::Uniform, Skew::Zipf(1.2), Skew::Hot(0.25)] {
            assert_eq!(skew(&skewed.to_string()), Ok(skewed));
        }
        for emitted in [Emit::End, Emit::Each, Emit::Every(Duration::from_millis(10))] {
            assert_eq!(emit(&emitted.to_string()), Ok(emitted));
        }
        let [second, minute] = [1, 60].map(Duration::from_secs);
        for window in [
            Windows::Tumbling(second),
            Windows::Sliding { size: minute, slide: second },
            Windows::Session(minute),
        ] {
            assert_eq!(windows(&window.to_string()), Ok(window));
        }
    }

    #[test]
    fn seeds_are_a_range_that_is_not_empty() {
        assert_eq!(seeds("5..100000"), Ok(5..100_000));
        for (text, what) in [
            ("5", "not a range"),
            ("a..7", "not a range"),
            ("5..=7", "not a range"),
            ("7..5", "empty range"),
            ("5..5", "empty range"),
        ] {
            assert_eq!(seeds(text).expect_err(text).what, what, "{text}");
        }
    }

    #[test]
    fn wrong_skew_emit_and_window_are_refused() {
        for (text, what) in [
            ("zipf", "not a decimal number"),
            ("zipf:nan", "not a decimal number"),
            ("zipf:1e1", "not a decimal number"),
            ("zipf:-1", "not a decimal number"),
            ("zipf:1.", "not a decimal number"),
            ("zipf:11", "out of range"),
            ("hot:1.01", "out of range"),
            ("uniform:1", "unknown value"),
            ("", "unknown value"),
        ] {
            assert_eq!(skew(text).expect_err(text).what, what, "{text}");
        }
        for (text, what) in [
            ("every", "unknown value"),
            ("every:", "empty value"),
            ("every:5", "number without a unit"),
            ("every:0", "out of range"),
            ("never", "unknown value"),
        ] {
            assert_eq!(emit(text).expect_err(text).what, what, "{text}");
        }
        for (text, what) in [
            ("tumbling", "unknown value"),
            ("tumbling:0", "out of range"),
            ("sliding:60s", "empty value"),
            ("sliding:60s,1", "number without a unit"),
            ("hopping:1s", "unknown value"),
        ] {
            assert_eq!(windows(text).expect_err(text).what, what, "{text}");
        }
    }
}
