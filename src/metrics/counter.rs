//! Counters that one partition owns, and the split of its time into busy, idle and stalled.

use crate::time::Nanos;

/// A number that only grows. Plain memory of its partition: readers see published copies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counter(u64);

impl Counter {
    /// Adds `n`; stops at the largest value instead of wrapping.
    #[inline]
    pub fn add(&mut self, n: u64) {
        self.0 = self.0.saturating_add(n);
    }

    /// What was counted so far.
    #[inline]
    pub fn value(self) -> u64 {
        self.0
    }
}

/// What a partition did since the last look at the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// At least one task moved records.
    Busy,
    /// No task had anything to do.
    Idle,
    /// There was work, but every task that had some was blocked on a full lane or a full sink.
    Stalled,
}

/// Where a partition's time went. Every nanosecond between the first and the last
/// [`account`](TimeSplit::account) is in exactly one of the three, so their shares sum to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeSplit {
    busy: Counter,
    idle: Counter,
    stalled: Counter,
    last: Option<Nanos>,
}

impl TimeSplit {
    /// Books the time since the previous call under `activity`. The first call only sets the
    /// start. Called once a turn with the turn's own clock reading.
    #[inline]
    pub fn account(&mut self, activity: Activity, now: Nanos) {
        let Some(last) = self.last else {
            self.last = Some(now);
            return;
        };
        let elapsed = now.saturating_sub(last);
        match activity {
            Activity::Busy => self.busy.add(elapsed),
            Activity::Idle => self.idle.add(elapsed),
            Activity::Stalled => self.stalled.add(elapsed),
        }
        self.last = Some(last.max(now));
    }

    /// Nothing is booked for the time up to the next call.
    pub(crate) fn pause(&mut self) {
        self.last = None;
    }

    /// Nanoseconds busy, idle and stalled.
    pub fn parts_ns(&self) -> [u64; 3] {
        [self.busy, self.idle, self.stalled].map(Counter::value)
    }

    /// Nanoseconds booked in all.
    pub fn total_ns(&self) -> u64 {
        self.busy.value() + self.idle.value() + self.stalled.value()
    }

    /// Busy, idle and stalled as fractions that sum to 1; idle is 1 if no time passed.
    pub fn shares(&self) -> [f64; 3] {
        let total = self.total_ns();
        if total == 0 {
            return [0.0, 1.0, 0.0];
        }
        [self.busy, self.idle, self.stalled].map(|part| part.value() as f64 / total as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_sum_to_one_and_follow_the_activity() {
        let mut split = TimeSplit::default();
        split.account(Activity::Busy, 1_000);
        split.account(Activity::Busy, 1_500);
        split.account(Activity::Idle, 1_800);
        split.account(Activity::Stalled, 2_000);
        assert_eq!(split.total_ns(), 1_000);
        assert_eq!(split.shares(), [0.5, 0.3, 0.2]);
    }

    #[test]
    fn a_partition_that_never_ran_is_idle() {
        assert_eq!(TimeSplit::default().shares(), [0.0, 1.0, 0.0]);
    }

    #[test]
    fn a_clock_that_steps_back_books_nothing_twice() {
        let mut split = TimeSplit::default();
        split.account(Activity::Idle, 100);
        split.account(Activity::Busy, 50);
        split.account(Activity::Busy, 110);
        assert_eq!(split.total_ns(), 10);
    }

    #[test]
    fn a_full_counter_stays_full() {
        let mut counter = Counter::default();
        counter.add(u64::MAX);
        counter.add(2);
        assert_eq!(counter.value(), u64::MAX);
    }
}
