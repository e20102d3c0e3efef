//! `latency`: open loop, from the time a record should have been sent to the time its result, kept
//! per key and emitted for each record, is at the sink.
//!
//! A record that the source hands over late counts from when it was due, so a stall shows in every
//! record that it held up (no coordinated omission). Figures of several repetitions are medians,
//! `max` is the largest.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;

use crate::cli::hiccup;
use crate::cli::options::Baseline;
use crate::cli::workload::meter::Meter;
use crate::cli::workload::run::median;
use crate::cli::workload::write::Target;
use crate::cli::workload::{Bench, Outcome, object};
use crate::connector::LEAD_NS;
use crate::connector::generator::generate;
use crate::dataflow::{
    Emit, KeyContext, KeyedOperator, Pipeline, Sink, SinkConnector, TaskContext,
};
use crate::error::Result;
use crate::metrics::{Histogram, Percentiles};
use crate::record::{Batch, Never};
use crate::time::{Clock, MonotonicClock, Nanos};

/// A key and when the record should be sent.
type Stamped = (u64, Nanos);

/// Counts per key, and sends every record's count on with its stamp.
#[derive(Clone)]
struct CountEach;

impl KeyedOperator<u64, Stamped> for CountEach {
    type Out = (u64, u64, Nanos);
    type State = u64;
    type Partial = Never;
    const NAME: &'static str = "count each";

    #[inline]
    fn on_record<E: Emit<Self::Out>>(
        &mut self,
        (key, due): Stamped,
        count: &mut u64,
        context: &mut KeyContext<'_, u64, E>,
    ) {
        *count += 1;
        context.emit((key, *count, due));
    }

    fn on_partial<E: Emit<Self::Out>>(
        &mut self,
        partial: Never,
        _: &mut u64,
        _: &mut KeyContext<'_, u64, E>,
    ) {
        match partial {}
    }
}

/// A sink that measures how late results are.
#[derive(Clone, Default)]
struct Lateness {
    warmup_ns: Nanos,
    all: Arc<Mutex<Histogram>>,
}

impl SinkConnector for Lateness {
    type Item = (u64, u64, Nanos);
    type Sink = LatenessSink;

    fn name(&self) -> String {
        "lateness".to_owned()
    }

    fn open(&mut self, context: &TaskContext) -> Result<LatenessSink> {
        let from = context.now.saturating_add(LEAD_NS).saturating_add(self.warmup_ns);
        Ok(LatenessSink { from, own: Histogram::new(), all: Arc::clone(&self.all) })
    }
}

/// One partition's end of a [`Lateness`].
struct LatenessSink {
    /// Records that were due before belong to the warm-up.
    from: Nanos,
    own: Histogram,
    all: Arc<Mutex<Histogram>>,
}

impl Sink for LatenessSink {
    type Item = (u64, u64, Nanos);

    fn write(&mut self, batch: &mut Batch<Self::Item>, _: Nanos) -> Result<()> {
        // The clock is read after everything was applied, once a batch.
        let now = MonotonicClock.now();
        for (_, _, due) in batch.records.drain(..) {
            if due >= self.from {
                self.own.record_span(due, now, 1);
            }
        }
        Ok(())
    }

    fn finish(&mut self, _: Nanos) -> Result<bool> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).merge(&self.own);
        Ok(true)
    }
}

/// The longest probe beside a run, of which it takes a quarter of the time otherwise.
const PROBE_NS_MAX: Nanos = 500_000_000;

pub(crate) fn run(bench: &Bench<'_>) -> Result<Outcome> {
    let dump = Target::open(bench.options.dump.as_deref())?;
    let input = bench.input()?;
    let cores = bench.cores();
    let mut hiccups = Histogram::new();
    let mut probe = || {
        if bench.options.baseline == Baseline::On {
            let lasting =
                bench.limits.lasting().map_or(Nanos::MAX, |of| (of / 4).as_nanos() as Nanos);
            for seen in hiccup::probe(&cores, lasting.min(PROBE_NS_MAX)) {
                hiccups.merge(&seen.waits);
            }
        }
    };
    let mut seen: Vec<Histogram> = Vec::new();
    let mut made = Vec::new();
    probe();
    let runs = bench.repeat(|| {
        let meter = Meter::new(bench.partitions());
        let warmup_ns = bench.limits.warmup.as_nanos().try_into().unwrap_or(Nanos::MAX);
        let lateness = Lateness { warmup_ns, ..Lateness::default() };
        let recipe = input.clone();
        let unpaced = generate(bench.limits.records, |_| (0, 0));
        let feed = bench.feed(&meter, unpaced, move |index, due| (recipe.record(index).0, due));
        let pipeline = Pipeline::new("latency");
        pipeline
            .source(feed)
            .key_by(|record: &Stamped| record.0)
            .apply_keyed(CountEach)
            .sink(lateness.clone());
        let mut run = bench.observe(pipeline, &meter)?;
        let measured = lateness.all.lock().unwrap_or_else(PoisonError::into_inner).clone();
        run.show_latency(&measured);
        seen.push(measured);
        made = meter.by_partition();
        Ok(run)
    })?;
    probe();
    if let Some(dump) = dump {
        dump.write_pairs(&input, &made)?;
    }
    let shares = runs.iter().map(|run| {
        let core_seconds = run.seconds * bench.partitions() as f64;
        if core_seconds > 0.0 { run.cpu_seconds / core_seconds } else { 0.0 }
    });
    let repetitions: Vec<Percentiles> = seen.iter().map(Histogram::percentiles).collect();
    let result = object(json!({
        "total_count": seen.last().map(Histogram::count),
        "cpu_fraction_of_cores": median(&shares.collect::<Vec<f64>>()),
        "overflow_total": seen.iter().map(Histogram::overflow).sum::<u64>(),
        "repetitions": repetitions,
    }));
    let hiccup = (hiccups.count() > 0).then(|| hiccups.percentiles());
    Ok(Outcome { runs, result, latency: Some(medians(&repetitions)), hiccup })
}

/// The median of every figure.
pub(super) fn medians(repetitions: &[Percentiles]) -> Percentiles {
    let figure = |of: fn(&Percentiles) -> u64| {
        let mut figures: Vec<u64> = repetitions.iter().map(of).collect();
        figures.sort_unstable();
        figures[(figures.len() - 1) / 2]
    };
    Percentiles {
        p50: figure(|one| one.p50),
        p90: figure(|one| one.p90),
        p99: figure(|one| one.p99),
        p999: figure(|one| one.p999),
        max: repetitions.iter().map(|one| one.max).max().unwrap_or(0),
        count: figure(|one| one.count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::wake::wake_pair;

    #[test]
    fn lateness_counts_from_the_due_time_and_leaves_the_warm_up_out() {
        let mut connector = Lateness { warmup_ns: 1_000, ..Lateness::default() };
        let mut context = TaskContext::new(0, 1, wake_pair().1);
        context.now = 7;
        let mut sink = connector.open(&context).expect("opens");
        let from = sink.from;
        assert_eq!(from, 7 + LEAD_NS + 1_000);
        // The clock of this process may have begun just now.
        while MonotonicClock.now() <= from {
            std::hint::spin_loop();
        }
        let mut batch = Batch::new();
        let ahead = from + 40 * 24 * 3_600 * 1_000_000_000;
        batch.records.extend([(1, 1, from - 1), (2, 1, from), (3, 1, ahead)]);
        sink.write(&mut batch, 0).expect("takes all");
        assert!(batch.is_empty() && sink.finish(0).expect("finishes"));
        let seen = connector.all.lock().expect("no panic").clone();
        assert_eq!(
            (seen.count(), seen.overflow()),
            (2, 1),
            "a due time ahead is a clock gone back"
        );
    }

    #[test]
    fn figures_of_repetitions_are_medians() {
        let of = |p50, max| Percentiles { p50, max, count: 7, ..Percentiles::default() };
        let seen = medians(&[of(5, 9), of(1, 90), of(3, 5)]);
        assert_eq!((seen.p50, seen.max, seen.count), (3, 90, 7));
    }
}
