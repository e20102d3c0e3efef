//! What operators count of records that did not go the usual way.

use serde::Serialize;

/// Records and timers, by what became of them. Counts from the start of the job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Tally {
    /// Records that sources found in their input.
    pub read: u64,
    /// Those of them that could not be read and left no record behind.
    pub unread: u64,
    /// Records that came to windows or joins, as their task counted them.
    pub taken: u64,
    /// Records that windows or joins took: with those that were late, all that came to them.
    pub applied: u64,
    /// Records that came after all their windows were closed.
    pub late: u64,
    /// Records too far ahead of the clock to move event time.
    pub future_skew: u64,
    /// Sources whose times look like seconds, microseconds or nanoseconds.
    pub odd_units: u64,
    /// Timers of processing time that were still to come when the input was over.
    pub dropped_timers: u64,
}

impl Tally {
    /// What was counted since `earlier`.
    pub(crate) fn since(self, earlier: Tally) -> Tally {
        Tally {
            read: self.read - earlier.read,
            unread: self.unread - earlier.unread,
            taken: self.taken - earlier.taken,
            applied: self.applied - earlier.applied,
            late: self.late - earlier.late,
            future_skew: self.future_skew - earlier.future_skew,
            odd_units: self.odd_units - earlier.odd_units,
            dropped_timers: self.dropped_timers - earlier.dropped_timers,
        }
    }
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.read += other.read;
        self.unread += other.unread;
        self.taken += other.taken;
        self.applied += other.applied;
        self.late += other.late;
        self.future_skew += other.future_skew;
        self.odd_units += other.odd_units;
        self.dropped_timers += other.dropped_timers;
    }
}

impl std::iter::Sum for Tally {
    fn sum<I: Iterator<Item = Tally>>(all: I) -> Tally {
        all.fold(Tally::default(), |mut sum, one| {
            sum += one;
            sum
        })
    }
}
