//! `Guarded`: keeps a record from the future from moving time for all others.

use std::time::Duration;

use crate::time::watermark::WatermarkGenerator;
use crate::time::{Nanos, Timestamp, millis};

/// A generator whose watermark never passes the wall clock by more than a skew.
///
/// A record that is further ahead passes, but the generator does not see it. The wall clock is
/// read once, when the job starts, and goes on by the monotonic clock, so that a step of the
/// system's time changes nothing. Until [`set_now`](Self::set_now) has been called, time stands at
/// the start.
#[derive(Clone, Copy, Debug)]
pub struct Guarded<G> {
    generator: G,
    /// Wall time at which the monotonic clock showed `started`, plus the skew.
    limit_at_start: Timestamp,
    started: Nanos,
    limit: Timestamp,
    held: u64,
    /// The time of the latest record that was too far ahead.
    held_time: Timestamp,
}

impl<G> Guarded<G> {
    /// Guards `generator`: at monotonic time `started` it was `wall_time`, and records may be
    /// `max_future_skew` ahead of that.
    pub fn new(
        generator: G,
        wall_time: Timestamp,
        started: Nanos,
        max_future_skew: Duration,
    ) -> Self {
        let limit = wall_time.plus_millis(millis(max_future_skew));
        let held_time = Timestamp::MIN;
        Guarded { generator, limit_at_start: limit, started, limit, held: 0, held_time }
    }

    /// Lets time go on to monotonic time `now`. Called once a batch, before its records.
    #[inline]
    pub fn set_now(&mut self, now: Nanos) {
        let passed = Duration::from_nanos(now.saturating_sub(self.started));
        self.limit = self.limit.max(self.limit_at_start + passed);
    }

    /// The latest time that was seen, as far as the generator tells, or too far ahead for it.
    pub fn latest(&self, watermark: Timestamp) -> Timestamp {
        watermark.max(self.held_time)
    }

    /// How many records were too far ahead to be seen, since the start.
    pub fn held(&self) -> u64 {
        self.held
    }
}

impl<T, G: WatermarkGenerator<T>> WatermarkGenerator<T> for Guarded<G> {
    #[inline]
    fn observe(&mut self, record: &T, time: Timestamp) {
        if time > self.limit {
            self.held += 1;
            self.held_time = time;
        } else {
            self.generator.observe(record, time);
        }
    }

    #[inline]
    fn watermark(&self) -> Timestamp {
        // A punctuated or user-defined generator may run ahead of the records it sees.
        self.generator.watermark().min(self.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::watermark::{Monotone, Punctuated};

    const HOUR_MS: i64 = 3_600_000;
    const START: Nanos = 77;

    fn guarded<G>(generator: G) -> Guarded<G> {
        Guarded::new(generator, HOUR_MS.into(), START, Duration::from_secs(300))
    }

    fn see<G: WatermarkGenerator<i64>>(guarded: &mut Guarded<G>, time: i64) -> i64 {
        guarded.observe(&time, time.into());
        guarded.watermark().as_millis()
    }

    #[test]
    fn record_two_hours_ahead_is_counted_and_does_not_move_time() {
        let mut guarded = guarded(Monotone::new());
        assert_eq!(see(&mut guarded, HOUR_MS), HOUR_MS - 1);
        assert_eq!(see(&mut guarded, 3 * HOUR_MS), HOUR_MS - 1);
        assert_eq!(see(&mut guarded, i64::MAX), HOUR_MS - 1);
        assert_eq!(guarded.held(), 2);
        assert_eq!(see(&mut guarded, HOUR_MS + 300_000), HOUR_MS + 299_999);
        assert_eq!(see(&mut guarded, HOUR_MS + 300_001), HOUR_MS + 299_999);
        assert_eq!(guarded.held(), 3);
    }

    #[test]
    fn limit_follows_the_monotonic_clock() {
        let mut guarded = guarded(Monotone::new());
        assert_eq!(see(&mut guarded, 2 * HOUR_MS), i64::MIN);
        guarded.set_now(START + HOUR_MS as Nanos * 1_000_000);
        assert_eq!(see(&mut guarded, 2 * HOUR_MS), 2 * HOUR_MS - 1);
        guarded.set_now(0);
        assert_eq!(guarded.watermark_of_i64(), 2 * HOUR_MS - 1);
        assert_eq!(guarded.held(), 1);
    }

    #[test]
    fn mark_in_the_future_waits_for_the_clock() {
        let mut guarded = guarded(Punctuated::new(|_: &i64| Some(Timestamp::from(2 * HOUR_MS))));
        assert_eq!(see(&mut guarded, 0), HOUR_MS + 300_000);
        guarded.set_now(START + HOUR_MS as Nanos * 1_000_000);
        assert_eq!(guarded.watermark_of_i64(), 2 * HOUR_MS);
    }

    impl<G: WatermarkGenerator<i64>> Guarded<G> {
        fn watermark_of_i64(&self) -> i64 {
            self.watermark().as_millis()
        }
    }
}
