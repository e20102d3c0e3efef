//! What moves of keyed state have come to.

use serde::Serialize;

use crate::metrics::Histogram;
use crate::time::Nanos;

/// Moves of a job since its start, as they are counted.
#[derive(Clone, Debug, Default)]
pub struct Moves {
    /// Key groups that have moved.
    pub groups: u64,
    /// Keys that have moved by themselves.
    pub keys: u64,
    /// Keys whose records feeders have begun to fold.
    pub combined_keys: u64,
    /// Records that were taken out of their donors' queues.
    pub stolen_records: u64,
    /// For each move, how long nothing of its units was worked off, in nanoseconds.
    pub pause: Histogram,
}

/// Moves of a job since its start, as they are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MovesReport {
    /// Moves, each of one or several units.
    pub count: u64,
    /// Key groups that have moved.
    pub groups: u64,
    /// Keys that have moved by themselves.
    pub keys: u64,
    /// Keys whose records feeders have begun to fold.
    pub combined_keys: u64,
    /// Records that were taken out of their donors' queues.
    pub stolen_records: u64,
    /// For half of the moves nothing of their units was worked off for so long at most.
    pub pause_ns_p50: Nanos,
    /// For 99 % of the moves nothing of their units was worked off for so long at most.
    pub pause_ns_p99: Nanos,
}

impl Moves {
    /// What to tell of them.
    pub fn report(&self) -> MovesReport {
        let pause = self.pause.percentiles();
        MovesReport {
            count: pause.count,
            groups: self.groups,
            keys: self.keys,
            combined_keys: self.combined_keys,
            stolen_records: self.stolen_records,
            pause_ns_p50: pause.p50,
            pause_ns_p99: pause.p99,
        }
    }
}
