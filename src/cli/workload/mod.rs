//! The workloads of `bench`, a file each, and what they all run with.

mod chain;
mod exchange;
mod feed;
mod fold;
mod gather;
pub(crate) mod hot_key;
mod idle;
mod keyed_count;
mod lane;
mod latency;
mod limits;
mod meter;
mod nexmark;
mod pairs;
mod run;
mod startup;
mod tally;
mod timed;
mod watermark_lag;
mod window_sum;
pub(crate) mod write;

use serde_json::{Map, Value};

pub(crate) use limits::Limits;
pub(crate) use run::{Bench, Run, median, median_index};

use crate::cli::args::Workload;
use crate::error::{Error, ErrorKind, Result};
use crate::metrics::Percentiles;

/// What a workload came to.
#[derive(Default)]
pub(crate) struct Outcome {
    /// One per repetition, in order; at least one.
    pub(crate) runs: Vec<Run>,
    /// The workload's own answer.
    pub(crate) result: Map<String, Value>,
    /// End to end, from the intended send; `None` leaves it to the engine's report.
    pub(crate) latency: Option<Percentiles>,
    /// What the machine did to a loop that only reads the clock.
    pub(crate) hiccup: Option<Percentiles>,
}

/// Runs `workload`.
///
/// # Errors
/// Those of the engine, of the files that the flags name, and
/// [`JobFailed`](crate::ErrorKind::JobFailed) if repetitions disagree.
pub(crate) fn run(workload: Workload, bench: &Bench<'_>) -> Result<Outcome> {
    match workload {
        Workload::Chain => chain::run(bench),
        Workload::Lane => lane::run(bench),
        Workload::Exchange => exchange::run(bench),
        Workload::KeyedCount => keyed_count::run(bench),
        Workload::WindowSum => window_sum::run(bench),
        Workload::Nexmark(query) => nexmark::run(query, bench),
        Workload::HotKey | Workload::HotKeyShift => hot_key::run(workload, bench),
        Workload::Latency => latency::run(bench),
        Workload::Idle => idle::run(bench),
        Workload::Startup => startup::run(bench),
    }
}

/// Records per second of event time, where `workload` has one and no flag says it.
pub(crate) fn event_rate(workload: Workload) -> Option<u64> {
    match workload {
        Workload::WindowSum => Some(window_sum::EVENT_RATE),
        Workload::Nexmark(_) => Some(nexmark::EVENT_RATE),
        _ => None,
    }
}

/// Repetitions that made the same records must come to the same result. Each is the records by
/// partition, and the checksum.
///
/// # Errors
/// [`JobFailed`](crate::ErrorKind::JobFailed) if they do not.
fn agree(before: (&[u64], u64), now: (&[u64], u64)) -> Result<()> {
    if before.0 != now.0 || before.1 == now.1 {
        return Ok(());
    }
    let seen = format!(
        "repetitions disagree: checksum {} after {}; the same records give the same",
        now.1, before.1
    );
    Err(Error::new(ErrorKind::JobFailed, seen))
}

/// The fields of `json!({ … })`.
fn object(fields: Value) -> Map<String, Value> {
    match fields {
        Value::Object(fields) => fields,
        other => unreachable!("a workload's answer is an object, not {other}"),
    }
}
