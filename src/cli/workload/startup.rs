//! `startup`: from the start of an engine to its first result at a sink, and how long a stop takes.
//!
//! `start_ns` and `stop_ns` are medians over `--repeat`; `starts_ns` and `stops_ns` have them all.

use std::sync::mpsc;
use std::time::Duration;

use serde_json::json;

use crate::cli::process;
use crate::cli::workload::run::{Run, median};
use crate::cli::workload::{Bench, Outcome, object};
use crate::connector::for_each;
use crate::dataflow::{
    Collector, Emit, EmitAt, Pipeline, Polled, Source, SourceConnector, TaskContext,
};
use crate::error::{Error, ErrorKind, Result};
use crate::time::{Clock, MonotonicClock, Nanos};

/// Records that each partition makes at once, before it falls silent.
const RECORDS: u64 = 16;
/// A first result that takes longer will not come.
const PATIENCE: Duration = Duration::from_secs(10);

/// A source that makes a few records at its first poll and then stays open.
struct Brief;

/// One partition's share of a [`Brief`].
struct BriefSource {
    left: u64,
}

impl SourceConnector for Brief {
    type Item = u64;
    type Source = BriefSource;

    fn name(&self) -> String {
        "brief".to_owned()
    }

    fn is_bounded(&self) -> bool {
        false
    }

    fn open(&mut self, _: &TaskContext) -> Result<BriefSource> {
        Ok(BriefSource { left: RECORDS })
    }
}

impl Source for BriefSource {
    type Item = u64;

    fn poll<E: Emit<u64>>(
        &mut self,
        max: usize,
        _: Nanos,
        out: &mut Collector<'_, E>,
    ) -> Result<Polled> {
        let count = self.left.min(max as u64);
        self.left -= out.emit_all(self.left - count..self.left);
        Ok(if self.left > 0 { Polled::Ready } else { Polled::Pending })
    }
}

pub(crate) fn run(bench: &Bench<'_>) -> Result<Outcome> {
    let (mut starts, mut stops) = (Vec::new(), Vec::new());
    let runs = bench.repeat(|| {
        let (run, start_ns, stop_ns) = once(bench)?;
        starts.push(start_ns);
        stops.push(stop_ns);
        Ok(run)
    })?;
    let middle = |figures: &[Nanos]| {
        let figures: Vec<f64> = figures.iter().map(|ns| *ns as f64).collect();
        median(&figures) as Nanos
    };
    let result = object(json!({
        "start_ns": middle(&starts),
        "stop_ns": middle(&stops),
        "starts_ns": starts,
        "stops_ns": stops,
    }));
    Ok(Outcome { runs, result, ..Outcome::default() })
}

/// One start and stop; returns how long they took.
fn once(bench: &Bench<'_>) -> Result<(Run, Nanos, Nanos)> {
    let (arrived, arrivals) = mpsc::channel();
    let pipeline = Pipeline::new("startup");
    pipeline.source(Brief).key_by(|record: &u64| *record).emit_at(EmitAt::EachRecord).count().sink(
        for_each(move |_| {
            // After the first result nobody listens.
            let _ = arrived.send(MonotonicClock.now());
        }),
    );
    let cpu_ns = process::cpu_ns();
    let started = MonotonicClock.now();
    let job = bench.engine.start(pipeline)?;
    let first = arrivals.recv_timeout(PATIENCE);
    let stopping = MonotonicClock.now();
    let report = job.stop()?;
    let stop_ns = MonotonicClock.now() - stopping;
    let first = first.map_err(|error| {
        let seen = format!("no first result within {} s", PATIENCE.as_secs());
        Error::new(ErrorKind::JobFailed, seen).with_source(error)
    })?;
    let start_ns = first.saturating_sub(started);
    let run = Run {
        seconds: start_ns as f64 / 1e9,
        cpu_seconds: process::cpu_ns().saturating_sub(cpu_ns) as f64 / 1e9,
        rss_bytes_max: process::rss_bytes_max(),
        report,
        ..Run::default()
    };
    Ok((run, start_ns, stop_ns))
}
