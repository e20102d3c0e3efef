//! What the runs came to: totals, the order of a second stage, latency and how it recovers.

use serde_json::{Map, Value, json};

use crate::cli::options::Stages;
use crate::cli::workload::hot_key::ledger::Found;
use crate::cli::workload::hot_key::timeline::Recovery;
use crate::cli::workload::hot_key::{Load, lasting, ns};
use crate::cli::workload::latency::medians;
use crate::cli::workload::write::indexes;
use crate::cli::workload::{Bench, object};
use crate::connector::generator::mix64;
use crate::metrics::Percentiles;
use crate::time::Nanos;

/// The answer of repetitions that found `all`; `made` is the records by partition of the last one.
pub(super) fn answer(
    bench: &Bench<'_>,
    load: &Load,
    made: &[u64],
    all: &[&Found],
) -> Map<String, Value> {
    let last = all.last().expect("there is at least one run");
    let mut answer = object(json!({
        "keys": last.totals.keys,
        "total_count": last.totals.total_count,
        "checksum": last.totals.checksum,
        "work_rounds": load.rounds,
        "hot_keys": load.keys.sets()[0],
    }));
    if load.stages == Stages::Two {
        answer.extend(order(made, last));
    }
    if let Some(period) = load.period {
        answer.insert("hot_keys_after_shift".to_owned(), json!(load.keys.sets()[1]));
        answer.insert("records_per_shift".to_owned(), json!(period));
    }
    if let Some(delays) = &last.delays {
        let others = all.iter().filter_map(|found| found.delays.as_ref());
        let others: Vec<Percentiles> = others.map(|delays| delays.others.percentiles()).collect();
        answer.insert("other_latency_ns".to_owned(), json!(medians(&others)));
        answer.insert("p99_ns_samples".to_owned(), json!(delays.timeline.windows()));
        answer.insert("sample_ns".to_owned(), json!(delays.timeline.window_ns()));
    }
    answer.extend(shifts(bench, load, all).unwrap_or_default());
    answer
}

/// What a second stage has seen, beside what was made.
fn order(made: &[u64], found: &Found) -> Map<String, Value> {
    let order = found.order;
    let count: u64 = made.iter().sum();
    let digest = indexes(made).fold(0, |sum: u64, index| sum.wrapping_add(mix64(index)));
    let different = order.count - order.repeats;
    object(json!({
        "order_inversions": order.inversions,
        "lost": count.saturating_sub(different),
        "doubled": order.repeats + different.saturating_sub(count),
        "is_complete": (order.count, order.digest) == (count, digest),
    }))
}

/// How latency went after the shifts, where there is a rate: of all shifts the worst, of all
/// repetitions the median. `None` without a shift, a rate, or records on both sides of one.
fn shifts(bench: &Bench<'_>, load: &Load, all: &[&Found]) -> Option<Map<String, Value>> {
    let (period, rate) = (load.period?, bench.limits.rate?);
    let end = ns(lasting(&bench.limits)?);
    let at = |shift: u64| {
        let after = u128::from(shift) * u128::from(period) * 1_000_000_000 / u128::from(rate);
        Nanos::try_from(after).unwrap_or(Nanos::MAX)
    };
    let (mut befores, mut peaks, mut afters) = (Vec::new(), Vec::new(), Vec::new());
    for found in all {
        let timeline = &found.delays.as_ref()?.timeline;
        let before = timeline.p99_of(ns(bench.limits.warmup)..at(1))?;
        let spans = (1..).map(|shift| at(shift)..at(shift + 1).min(end));
        let recoveries: Vec<Recovery> = spans
            .take_while(|span| span.start < end)
            .map(|span| timeline.recovery(span, before))
            .collect();
        befores.push(before);
        peaks.push(recoveries.iter().map(|one| one.peak).max()?);
        // One that has not recovered is longer than any.
        afters.push(recoveries.iter().map(|one| one.after.unwrap_or(Nanos::MAX)).max()?);
    }
    let after = Some(middle(afters)).filter(|after| *after < Nanos::MAX);
    Some(object(json!({
        "p99_ns_before_shift": middle(befores),
        "p99_ns_peak_after_shift": middle(peaks),
        "recovery_ms": after.map(|after| after as f64 / 1e6),
    })))
}

/// The median, the lower one of two.
fn middle(mut figures: Vec<Nanos>) -> Nanos {
    figures.sort_unstable();
    figures[(figures.len() - 1) / 2]
}
