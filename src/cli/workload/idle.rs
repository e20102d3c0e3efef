//! `idle`: an engine whose source is open and has nothing to say.
//!
//! `cpu_fraction_of_one_core` is the processor time of the whole process over the time; with
//! several repetitions the median.

use std::time::Duration;

use serde_json::json;

use crate::cli::process;
use crate::cli::workload::run::{Run, median};
use crate::cli::workload::{Bench, Outcome, object};
use crate::connector::blackhole;
use crate::dataflow::{
    Collector, Emit, EmitAt, Pipeline, Polled, Source, SourceConnector, TaskContext,
};
use crate::error::Result;
use crate::time::{Clock, MonotonicClock, Nanos};

/// Between two looks for an interrupt; ten a second are not seen in the figure.
const LOOK_NS: Nanos = 100_000_000;
/// For threads to start and go to sleep, which is not idling.
const SETTLE: Duration = Duration::from_millis(50);

/// A source that stays silent and never ends.
pub(super) struct Silent;

impl SourceConnector for Silent {
    type Item = (u64, u64);
    type Source = Silent;

    fn name(&self) -> String {
        "silent".to_owned()
    }

    fn is_bounded(&self) -> bool {
        false
    }

    fn open(&mut self, _: &TaskContext) -> Result<Silent> {
        Ok(Silent)
    }
}

impl Source for Silent {
    type Item = (u64, u64);

    fn poll<E: Emit<(u64, u64)>>(
        &mut self,
        _: usize,
        _: Nanos,
        _: &mut Collector<'_, E>,
    ) -> Result<Polled> {
        Ok(Polled::Pending)
    }
}

pub(crate) fn run(bench: &Bench<'_>) -> Result<Outcome> {
    let mut shares = Vec::new();
    let runs = bench.repeat(|| {
        let run = once(bench)?;
        shares.push(if run.seconds > 0.0 { run.cpu_seconds / run.seconds } else { 0.0 });
        Ok(run)
    })?;
    let result = object(json!({ "cpu_fraction_of_one_core": median(&shares) }));
    Ok(Outcome { runs, result, ..Outcome::default() })
}

fn once(bench: &Bench<'_>) -> Result<Run> {
    let pipeline = Pipeline::new("idle");
    pipeline
        .source(Silent)
        .key_by(|record: &(u64, u64)| record.0)
        .emit_at(EmitAt::EachRecord)
        .count()
        .sink(blackhole());
    let job = bench.engine.start(pipeline)?;
    let _served = bench.serve(&job);
    wait(bench, SETTLE + bench.limits.warmup);
    let (started, cpu_ns) = (MonotonicClock.now(), process::cpu_ns());
    wait(bench, bench.limits.duration.unwrap_or_default());
    let elapsed = MonotonicClock.now() - started;
    let used = process::cpu_ns().saturating_sub(cpu_ns);
    let report = job.stop()?;
    Ok(Run {
        seconds: elapsed as f64 / 1e9,
        cpu_seconds: used as f64 / 1e9,
        rss_bytes_max: process::rss_bytes_max(),
        report,
        ..Run::default()
    })
}

#[allow(clippy::disallowed_methods)] // Not on a partition: this thread only waits.
fn wait(bench: &Bench<'_>, time: Duration) {
    let ns = time.as_nanos().try_into().unwrap_or(Nanos::MAX);
    let until = MonotonicClock.now().saturating_add(ns);
    while !bench.interrupt.is_asked() {
        let left = until.saturating_sub(MonotonicClock.now());
        if left == 0 {
            return;
        }
        std::thread::sleep(Duration::from_nanos(left.min(LOOK_NS)));
    }
}
