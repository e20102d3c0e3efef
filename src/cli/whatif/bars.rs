//! What the simulation must show, and whether it does.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::cli::whatif::Row;
use crate::testing::cores::{Pattern, Scheme};

/// Cores that the bars are about.
const CORES_MIN: usize = 4;
const CORES_MAX: usize = 256;

/// Something measured that must not be more than is allowed.
pub(super) struct Bar {
    name: &'static str,
    allowed: f64,
    worst: f64,
    /// Where the worst was seen.
    place: String,
}

impl Bar {
    /// The worst of what `measure` finds in `rows`; `None` if it finds nothing.
    fn of<'a>(
        name: &'static str,
        allowed: f64,
        rows: &[&'a Row],
        measure: impl Fn(&'a Row) -> Option<f64>,
    ) -> Option<Bar> {
        let measured = rows.iter().filter_map(|row| Some((measure(row)?, row)));
        let (worst, row) = measured.max_by(|one, other| one.0.total_cmp(&other.0))?;
        let place = format!("{} under {} on {} cores", row.scheme, row.load, row.cores);
        Some(Bar { name, allowed, worst, place })
    }

    pub(super) fn holds(&self) -> bool {
        self.worst <= self.allowed
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "bar": self.name,
            "worst": self.worst,
            "allowed": self.allowed,
            "place": self.place,
            "holds": self.holds(),
        })
    }
}

/// The bars that `rows` say something about; those on speed only if `is_timed`.
pub(super) fn bars(rows: &[Row], is_timed: bool) -> Vec<Bar> {
    let is_judged = |row: &&Row| {
        let is_known = row.pattern.is_some_and(|pattern| Pattern::ALL.contains(&pattern));
        is_known && (CORES_MIN..=CORES_MAX).contains(&row.cores)
    };
    let rows: Vec<&Row> = rows.iter().filter(is_judged).collect();
    let is_ours = |row: &Row| matches!(row.scheme, Scheme::Keys | Scheme::Combine);
    let is_static = |row: &Row| row.pattern.is_some_and(Pattern::is_static);
    let fullest = |row: &Row, scheme: Scheme| {
        let is_beside = |other: &&&Row| {
            (other.pattern, other.cores, other.scheme) == (row.pattern, row.cores, scheme)
        };
        rows.iter().find(is_beside).map(|other| other.outcome.fullest)
    };
    let over = |row: &Row, scheme| Some(row.outcome.fullest / fullest(row, scheme)?);
    let combines = |row: &Row| row.scheme == Scheme::Combine;
    let flips = |row: &Row| is_ours(row) && row.pattern == Some(Pattern::FlipFlop);
    let optimum = |row: &Row| row.outcome.over_optimum;
    let found = [
        Bar::of("H12 fullest over optimum, static loads", 1.10, &rows, |row| {
            (is_ours(row) && is_static(row)).then(|| optimum(row))
        }),
        Bar::of("H12 fullest over optimum, moving loads", 1.25, &rows, |row| {
            (is_ours(row) && !is_static(row)).then(|| optimum(row))
        }),
        // Equal where a key that is not split fills the fullest by itself.
        Bar::of("H12 fullest over that of a fixed hash", 1.001, &rows, |row| {
            is_ours(row).then(|| over(row, Scheme::Hash)).flatten()
        }),
        // Both rivals know this moment's load of every partition, which nobody does.
        Bar::of("H12 over partial key grouping, combining", 1.001, &rows, |row| {
            combines(row).then(|| over(row, Scheme::Pairs)).flatten()
        }),
        Bar::of("H12 over D-Choices, combining", 1.001, &rows, |row| {
            combines(row).then(|| over(row, Scheme::Choices)).flatten()
        }),
        Bar::of("H13 actions a minute under flip-flop", 60.0, &rows, |row| {
            flips(row).then_some(row.outcome.actions_per_minute)
        }),
        Bar::of("H14 planning, median ms", 1.0, &rows, |row| {
            (is_timed && is_ours(row)).then_some(row.outcome.plan_ns as f64 / 1e6)
        }),
    ];
    found.into_iter().flatten().collect()
}

/// The bars as lines; nothing if there are none.
pub(super) fn table(bars: &[Bar]) -> String {
    let mut page = String::new();
    for bar in bars {
        let verdict = if bar.holds() { "holds" } else { "MISSED" };
        let Bar { name, allowed, worst, place } = bar;
        let _ = writeln!(page, "{verdict:<6}  {name:<40}  {worst:>7.3} of {allowed:<6}  {place}");
    }
    if page.is_empty() { page } else { format!("\n{page}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::cores::Outcome;

    /// A run of all schemes; figures are those of the fullest partition, by scheme.
    fn rows(pattern: Pattern, cores: usize, fullest: [f64; 5]) -> Vec<Row> {
        let outcome = |fullest: f64| Outcome {
            fullest,
            over_optimum: fullest,
            placing: 1_000,
            actions_per_minute: 30.0,
            steals: 0,
            wait_p99_ns: 0,
            plan_ns: 300_000,
            plan_p99_ns: 2_000_000,
        };
        let row = |(scheme, fullest): (Scheme, f64)| Row {
            load: pattern.to_string(),
            pattern: Some(pattern),
            cores,
            scheme,
            outcome: outcome(fullest),
        };
        Scheme::ALL.into_iter().zip(fullest).map(row).collect()
    }

    fn missed(rows: &[Row]) -> Vec<&'static str> {
        bars(rows, true).into_iter().filter(|bar| !bar.holds()).map(|bar| bar.name).collect()
    }

    #[test]
    fn each_bar_is_missed_by_what_it_is_about() {
        let good = rows(Pattern::FlipFlop, 4, [1.2, 1.0, 1.6, 1.05, 1.01]);
        assert_eq!(missed(&good), Vec::<&str>::new());
        assert_eq!((bars(&good, true).len(), bars(&good, false).len()), (6, 5));
        let judge = |change: fn(&mut Outcome)| {
            let mut rows = rows(Pattern::FlipFlop, 4, [1.2, 1.0, 1.6, 1.05, 1.01]);
            rows.iter_mut().for_each(|row| change(&mut row.outcome));
            missed(&rows)
        };
        let many = judge(|outcome| outcome.actions_per_minute = 61.0);
        assert_eq!(many, ["H13 actions a minute under flip-flop"]);
        let slow = judge(|outcome| outcome.plan_ns = 1_100_000);
        assert_eq!(slow, ["H14 planning, median ms"]);
        let uneven = judge(|outcome| outcome.over_optimum = 1.3);
        assert_eq!(uneven, ["H12 fullest over optimum, moving loads"]);
        let uneven = missed(&rows(Pattern::Zipf(1.4), 4, [1.11, 1.0, 1.2, 1.0, 1.0]));
        assert_eq!(uneven, ["H12 fullest over optimum, static loads"]);
    }

    #[test]
    fn rivals_are_compared_with_under_the_same_load() {
        let one = rows(Pattern::Zipf(0.8), 4, [1.0, 1.0, 3.0, 3.0, 3.0]);
        let other = rows(Pattern::Zipf(1.0), 4, [1.05, 1.09, 1.04, 1.03, 1.02]);
        let all: Vec<Row> = one.into_iter().chain(other).collect();
        assert_eq!(
            missed(&all),
            [
                "H12 fullest over that of a fixed hash",
                "H12 over partial key grouping, combining",
                "H12 over D-Choices, combining",
            ]
        );
        let page = table(&bars(&all, true));
        assert!(page.contains("combine under zipf:1.0 on 4 cores"), "{page}");
    }

    #[test]
    fn nothing_is_said_about_other_numbers_of_cores() {
        assert!(bars(&rows(Pattern::Drift, 2, [9.0; 5]), true).is_empty());
        assert_eq!(table(&[]), "");
    }
}
