//! Emptied buffers of one outbox, which take turns.
//!
//! A buffer that another core has just read still lies in that core's cache, and every line of it
//! has to be taken away from there when it is written again. A store waits for that longer than
//! for the memory behind the caches, which is asked ahead of a run of stores. So buffers that
//! cross come round in turn, and a turn is longer than a core's second-level cache: with 4 MiB
//! the scatter of `keyed-count` spends a third of the time that it spends with a ring of ten
//! buffers, and with 1 MiB most of the loss is back.

use std::collections::VecDeque;

use crate::record::Batch;

/// Bytes of records written before a buffer comes round again: twice the largest second-level
/// caches of today.
pub const ROUND_BYTES: usize = 4 << 20;

/// The buffers that wait for their turn.
pub(super) struct Pool<T, P> {
    home: VecDeque<Batch<T, P>>,
    /// Buffers that make a round.
    round: usize,
}

impl<T, P> Pool<T, P> {
    /// A pool of buffers for `batch_records` records each. Holds none yet.
    pub(super) fn new(batch_records: usize) -> Self {
        let buffer_bytes = batch_records.saturating_mul(size_of::<T>()).max(1);
        Pool { home: VecDeque::new(), round: (ROUND_BYTES / buffer_bytes).min(ROUND_MAX) }
    }

    /// Lets a buffer that came home queue up.
    pub(super) fn put(&mut self, buffer: Batch<T, P>) {
        self.home.push_back(buffer);
    }

    /// The buffer that has waited longest, if the round is complete.
    pub(super) fn take(&mut self) -> Option<Batch<T, P>> {
        if self.home.len() < self.round { None } else { self.home.pop_front() }
    }
}

/// Small buffers do not fill a round of bytes; then they are few enough to stay in a cache anyway.
const ROUND_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer(capacity: usize) -> Batch<u64> {
        let mut batch = Batch::new();
        batch.records.reserve_exact(capacity);
        batch
    }

    #[test]
    fn buffer_comes_round_when_all_others_have_had_their_turn() {
        let mut pool = Pool::new(ROUND_BYTES / 8 / 3);
        for capacity in 1..=2 {
            pool.put(buffer(capacity));
            assert!(pool.take().is_none(), "a round is three");
        }
        pool.put(buffer(3));
        for (capacity, next) in [(1, 4), (2, 5), (3, 6), (4, 7)] {
            let taken = pool.take().expect("the round is complete");
            assert_eq!(taken.records.capacity(), capacity);
            pool.put(buffer(next));
        }
    }
}
