//! Counts what sources let in, exactly and while they run; a job's own figures are 100 ms old.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_utils::CachePadded;

use crate::time::Nanos;

/// What the sources of one run let in. Clones share the count.
#[derive(Clone)]
pub(crate) struct Meter {
    cells: Arc<[CachePadded<Cell>]>,
}

/// Written by one partition with plain stores, so it costs a nanosecond a batch. All accesses are
/// relaxed: figures, which publish nothing else.
#[derive(Default)]
struct Cell {
    records: AtomicU64,
    /// When it first let records in; 0 is never.
    first: AtomicU64,
    last: AtomicU64,
}

impl Meter {
    pub(crate) fn new(partitions: usize) -> Meter {
        Meter { cells: (0..partitions).map(|_| CachePadded::default()).collect() }
    }

    /// `partition` let in so many records, at `now`.
    #[inline]
    pub(super) fn add(&self, partition: usize, records: u64, now: Nanos) {
        self.cells[partition].add(records, now);
    }

    /// Records so far.
    pub(crate) fn records(&self) -> u64 {
        self.by_partition().iter().sum()
    }

    /// Records so far, by partition.
    pub(crate) fn by_partition(&self) -> Vec<u64> {
        self.cells.iter().map(|cell| cell.records.load(Ordering::Relaxed)).collect()
    }

    /// When the first record came in, in monotonic nanoseconds; `None` before.
    pub(crate) fn first(&self) -> Option<Nanos> {
        let firsts = self.cells.iter().map(|cell| cell.first.load(Ordering::Relaxed));
        firsts.filter(|first| *first > 0).min()
    }

    /// When the latest records came in; 0 before any.
    pub(crate) fn last(&self) -> Nanos {
        self.cells.iter().map(|cell| cell.last.load(Ordering::Relaxed)).max().unwrap_or(0)
    }
}

impl Cell {
    #[inline]
    fn add(&self, records: u64, now: Nanos) {
        let before = self.records.load(Ordering::Relaxed);
        self.records.store(before + records, Ordering::Relaxed);
        self.last.store(now, Ordering::Relaxed);
        if before == 0 {
            self.first.store(now, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_by_partition_and_keeps_the_first_and_the_last_time() {
        let meter = Meter::new(2);
        assert_eq!((meter.records(), meter.first(), meter.last()), (0, None, 0));
        for (partition, records, now) in [(0, 100, 50), (0, 7, 60), (1, 1_024, 40)] {
            meter.clone().add(partition, records, now);
        }
        assert_eq!(meter.by_partition(), [107, 1_024]);
        assert_eq!((meter.first(), meter.last()), (Some(40), 60));
    }
}
