//! The workloads of `bench`, a file each, and what they all run with.

mod keyed_count;
mod limits;
mod meter;
mod run;
mod tally;
mod write;

use serde_json::{Map, Value};

pub(crate) use limits::Limits;
pub(crate) use run::{Bench, Run};

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
/// Those of the engine, of the files that the flags name, and [`ErrorKind::JobFailed`] if
/// repetitions disagree.
pub(crate) fn run(workload: Workload, bench: &Bench<'_>) -> Result<Outcome> {
    match workload {
        Workload::KeyedCount => keyed_count::run(bench),
        _ => Err(Error::new(ErrorKind::Usage, "workload not available in this build")),
    }
}
