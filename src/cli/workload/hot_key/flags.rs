//! The flags that only `hot-key` and `hot-key-shift` read, and how their values are shown.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::flag::{Flag, Scope, decimal, text};
use crate::cli::options::{HotOptions, Period, Placing, Stages};
use crate::config::parse::{self, Choice, Refusal};

const KEYS: RangeInclusive<u64> = 1..=65_536;
const WORK_NS: RangeInclusive<u64> = 0..=1_000_000;
const WORK_ROUNDS: RangeInclusive<u64> = 0..=1_000_000;
const PERIOD_RECORDS: RangeInclusive<u64> = 1..=1_000_000_000_000_000;
const PERIOD: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(3_600);
const MOVES: RangeInclusive<u64> = 0..=1_000_000;

/// See the file's head.
pub(crate) static FLAGS: [Flag; 9] = [
    Flag {
        name: "share",
        short: None,
        value: Some(("S", "0..=1")),
        default: "0.8",
        help: "share of the records on the hot keys of hot-key",
        scope: Scope::Bench,
        set: |options, value| {
            let refused = |what| Refusal::new(what, "0..=1");
            options.run.hot.share = decimal(text(value)?, 1.0).map_err(refused)?;
            Ok(())
        },
    },
    Flag {
        name: "hot-keys",
        short: None,
        value: Some(("N", "1..=65536")),
        default: "1",
        help: "how many keys are hot at once",
        scope: Scope::Bench,
        set: |options, value| {
            options.run.hot.keys = parse::count(text(value)?, KEYS)?;
            Ok(())
        },
    },
    Flag {
        name: "colocate",
        short: None,
        value: None,
        default: "",
        help: "hot keys all start on partition 0, those of a shift on the last",
        scope: Scope::Bench,
        set: |options, _| {
            options.run.hot.placing = Placing::Colocated;
            Ok(())
        },
    },
    Flag {
        name: "work-ns",
        short: None,
        value: Some(("W", "0..=1000000")),
        default: "200",
        help: "nanoseconds of work on each record, by a measurement at the start",
        scope: Scope::Bench,
        set: |options, value| {
            options.run.hot.work_ns = parse::count(text(value)?, WORK_NS)?;
            Ok(())
        },
    },
    Flag {
        name: "work-rounds",
        short: None,
        value: Some(("N", "0..=1000000")),
        default: "calibrated",
        help: "so much work instead, as another run reports it: to compare the two",
        scope: Scope::Bench,
        set: |options, value| {
            let rounds = parse::count(text(value)?, WORK_ROUNDS)?;
            options.run.hot.work_rounds = u32::try_from(rounds).ok();
            Ok(())
        },
    },
    Flag {
        name: "mergeable",
        short: None,
        value: Some(("WHETHER", "yes|no")),
        default: "yes",
        help: "whether records of a hot key can be combined",
        scope: Scope::Bench,
        set: |options, value| {
            options.run.hot.mergeable = parse::choice(text(value)?)?;
            Ok(())
        },
    },
    Flag {
        name: "period",
        short: None,
        value: Some(("D", "1ms..=1h at a rate, or a number of records")),
        default: "by workload",
        help: "other keys turn hot this often (hot-key-shift: at half of the records)",
        scope: Scope::Bench,
        set: |options, value| {
            options.run.hot.period = Some(period(text(value)?)?);
            Ok(())
        },
    },
    Flag {
        name: "stages",
        short: None,
        value: Some(("N", "1|2")),
        default: "1",
        help: "keyed stages; the second one, with --mergeable no, checks the order",
        scope: Scope::Bench,
        set: |options, value| {
            options.run.hot.stages = parse::choice(text(value)?)?;
            Ok(())
        },
    },
    Flag {
        name: "force-moves",
        short: None,
        value: Some(("N", "0..=1000000 a minute")),
        default: "0",
        help: "move the hottest keys and key groups so often",
        scope: Scope::Bench,
        set: |options, value| {
            options.run.hot.force_moves = parse::count(text(value)?, MOVES)?;
            Ok(())
        },
    },
];

fn period(text: &str) -> Result<Period, Refusal> {
    let is_count = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_count {
        return parse::count(text, PERIOD_RECORDS).map(Period::Records);
    }
    parse::duration(text, PERIOD).map(Period::Time)
}

/// The flags with their values.
pub(crate) fn parameters(options: &HotOptions) -> [(&'static str, Value); 9] {
    [
        ("share", json!(options.share)),
        ("hot-keys", json!(options.keys)),
        ("colocate", json!(options.placing == Placing::Colocated)),
        ("work-ns", json!(options.work_ns)),
        ("work-rounds", json!(options.work_rounds)),
        ("mergeable", json!(options.mergeable.name())),
        ("period", json!(options.period.map(|period| period.to_string()))),
        ("stages", json!(1 + u64::from(options.stages == Stages::Two))),
        ("force-moves", json!(options.force_moves)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_a_time_or_a_number_of_records() {
        for (text, expected) in [
            ("500ms", Period::Time(Duration::from_millis(500))),
            ("1h", Period::Time(Duration::from_secs(3_600))),
            ("2000000", Period::Records(2_000_000)),
        ] {
            assert_eq!(period(text), Ok(expected));
            assert_eq!(period(&expected.to_string()), Ok(expected));
        }
        for (text, what) in [
            ("0", "out of range"),
            ("0ms", "out of range"),
            ("2h", "out of range"),
            ("-1s", "out of range"),
            ("", "empty value"),
            ("1e3", "unknown unit"),
        ] {
            assert_eq!(period(text).expect_err(text).what, what, "{text}");
        }
    }

    #[test]
    fn every_flag_is_among_the_parameters() {
        let shown = parameters(&HotOptions::default()).map(|(name, _)| name);
        assert_eq!(shown, FLAGS.each_ref().map(|flag| flag.name));
    }
}
