//! The built-in generators: bounded disorder, monotone, punctuated.

use std::time::Duration;

use crate::time::watermark::WatermarkGenerator;
use crate::time::{Timestamp, millis};

/// Records come at most `disorder` after a later one: the watermark is the latest time seen, less
/// the disorder, less one millisecond.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use millstream::time::Timestamp;
/// use millstream::time::watermark::{BoundedDisorder, WatermarkGenerator};
///
/// let mut generator = BoundedDisorder::new(Duration::from_millis(10));
/// generator.observe(&(), Timestamp::from_millis(100));
/// generator.observe(&(), Timestamp::from_millis(95));
/// let watermark = WatermarkGenerator::<()>::watermark(&generator);
/// assert_eq!(watermark, Timestamp::from_millis(89));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct BoundedDisorder {
    /// Disorder and one millisecond more.
    behind_ms: i64,
    latest: Timestamp,
}

impl BoundedDisorder {
    /// For records that come at most `disorder` after a later one, in whole milliseconds.
    pub fn new(disorder: Duration) -> Self {
        BoundedDisorder { behind_ms: millis(disorder).saturating_add(1), latest: Timestamp::MIN }
    }
}

impl<T> WatermarkGenerator<T> for BoundedDisorder {
    #[inline]
    fn observe(&mut self, _record: &T, time: Timestamp) {
        self.latest = self.latest.max(time);
    }

    #[inline]
    fn watermark(&self) -> Timestamp {
        self.latest.plus_millis(-self.behind_ms)
    }
}

/// Times never fall: the watermark is the latest time seen less one millisecond, since another
/// record of that time may come.
#[derive(Clone, Copy, Debug)]
pub struct Monotone(BoundedDisorder);

impl Monotone {
    /// For records in order of time.
    pub fn new() -> Self {
        Monotone(BoundedDisorder::new(Duration::ZERO))
    }
}

impl Default for Monotone {
    fn default() -> Self {
        Monotone::new()
    }
}

impl<T> WatermarkGenerator<T> for Monotone {
    #[inline]
    fn observe(&mut self, record: &T, time: Timestamp) {
        self.0.observe(record, time);
    }

    #[inline]
    fn watermark(&self) -> Timestamp {
        WatermarkGenerator::<T>::watermark(&self.0)
    }
}

/// Some records say themselves how far time has come: the watermark is the latest time that
/// `mark(&record)` has given.
#[derive(Clone)]
pub struct Punctuated<F> {
    mark: F,
    watermark: Timestamp,
}

impl<F> Punctuated<F> {
    /// Asks `mark` about each record; `Some(t)` says that no more at or before `t` will come.
    pub fn new<T>(mark: F) -> Self
    where
        F: FnMut(&T) -> Option<Timestamp>,
    {
        Punctuated { mark, watermark: Timestamp::MIN }
    }
}

impl<T, F> WatermarkGenerator<T> for Punctuated<F>
where
    F: FnMut(&T) -> Option<Timestamp> + Clone + Send + 'static,
{
    #[inline]
    fn observe(&mut self, record: &T, _time: Timestamp) {
        if let Some(mark) = (self.mark)(record) {
            self.watermark = self.watermark.max(mark);
        }
    }

    #[inline]
    fn watermark(&self) -> Timestamp {
        self.watermark
    }
}

impl<F> std::fmt::Debug for Punctuated<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Punctuated").field("watermark", &self.watermark).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The watermark after each of `times`.
    fn watermarks<G: WatermarkGenerator<i64>>(mut generator: G, times: &[i64]) -> Vec<i64> {
        let after = |&time: &i64| {
            generator.observe(&time, Timestamp::from_millis(time));
            generator.watermark().as_millis()
        };
        times.iter().map(after).collect()
    }

    #[test]
    fn bounded_disorder_stays_behind_the_latest_and_never_goes_back() {
        let generator = BoundedDisorder::new(Duration::from_millis(5));
        assert_eq!(watermarks(generator, &[10, 7, 4, 20, -3]), [4, 4, 4, 14, 14]);
    }

    #[test]
    fn nothing_is_known_before_the_first_record() {
        let generator = BoundedDisorder::new(Duration::MAX);
        assert_eq!(WatermarkGenerator::<()>::watermark(&generator), Timestamp::MIN);
        assert_eq!(WatermarkGenerator::<()>::watermark(&Monotone::new()), Timestamp::MIN);
        // A bound beyond all time holds the watermark back for good, and does not overflow.
        assert_eq!(watermarks(generator, &[i64::MIN, -1]), [i64::MIN, i64::MIN]);
    }

    #[test]
    fn monotone_lets_another_record_of_the_same_time_in() {
        assert_eq!(watermarks(Monotone::new(), &[1, 1, 2, 2]), [0, 0, 1, 1]);
    }

    #[test]
    fn punctuated_moves_on_marks_only_and_never_goes_back() {
        let marks = |time: &i64| (time % 10 == 0).then(|| Timestamp::from_millis(*time));
        let generator = Punctuated::new(marks);
        assert_eq!(watermarks(generator, &[20, 31, 10, 40]), [20, 20, 20, 40]);
    }
}
