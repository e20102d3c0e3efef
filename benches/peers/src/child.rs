//! One contender in a process of its own: passes over a case until enough time was measured.

use std::fs;

use serde_json::{Value, json};

use crate::Fault;
use crate::case::Case;
use crate::cores;
use crate::options::Options;
use crate::work::{Contender, Work};

/// What a child process is told, in its command line.
#[derive(Clone, Debug)]
pub struct Order {
    /// Whom to run.
    pub contender: Contender,
    /// In which shape.
    pub shape: String,
    /// On which records.
    pub case: Case,
    /// On which cores.
    pub cores: Vec<usize>,
    /// Seed of the records.
    pub seed: u64,
    /// Least time to measure.
    pub seconds: f64,
}

/// Passes over the case until `seconds` were measured, and tells what it took in all.
///
/// The first pass is not counted: it takes the memory from the system that later ones find in the
/// allocator, for all contenders alike. With no time to measure, it is the only one and counts.
pub fn run(order: &Order) -> Result<Value, Fault> {
    cores::restrict(&order.cores)?;
    let input = order.case.input(order.seed)?;
    let work = Work {
        case: &order.case,
        input: &input,
        cores: &order.cores,
        options: Options(&order.shape),
    };
    let mut passes = 0;
    let mut seconds = 0.0;
    let first = (order.contender.run)(&work);
    if order.seconds == 0.0 {
        passes = 1;
        seconds = first.seconds;
    }
    while seconds < order.seconds {
        let pass = (order.contender.run)(&work);
        if pass.checksum != first.checksum {
            let seen = format!("{:#x}, then {:#x}", first.checksum, pass.checksum);
            return Err(Fault::failed(format!("{} answers {seen}", order.contender.name)));
        }
        passes += 1;
        seconds += pass.seconds;
    }
    Ok(json!({
        "records": order.case.records * passes,
        "seconds": seconds,
        "checksum": first.checksum,
        "rss_bytes_max": rss_bytes_max()?,
    }))
}

/// The most memory that this process had resident so far.
fn rss_bytes_max() -> Result<u64, Fault> {
    let status = fs::read_to_string("/proc/self/status")
        .map_err(|error| Fault::failed(format!("/proc/self/status: {error}")))?;
    let kib = status.lines().find_map(|line| {
        line.strip_prefix("VmHWM:")?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
    });
    kib.map(|kib| kib * 1024).ok_or_else(|| Fault::failed("no VmHWM in /proc/self/status"))
}
