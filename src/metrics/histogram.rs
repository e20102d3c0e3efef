//! Durations as an HDR histogram of one partition: 2 significant digits, 1 ns to 1,000 s.

use serde::{Deserialize, Serialize};

use crate::metrics::Counter;
use crate::time::Nanos;

/// The longest duration that is told apart: 1,000 s.
pub const RANGE_NS_MAX: Nanos = 1_000_000_000_000;
const SIGNIFICANT_DIGITS: u8 = 2;
/// Points of a [`curve`](Histogram::curve) each time that the rest halves.
#[cfg(feature = "cli")]
const CURVE_STEPS: u32 = 5;

/// A distribution of durations in nanoseconds, exact to 1 %. Its size is fixed (about 34 KiB), so
/// recording never allocates; a value costs about 2 ns. Owned by one partition, merged by readers.
#[derive(Clone, Debug)]
pub struct Histogram {
    // u64 cells: a u32 cell fills within a minute when latency is weighted by records.
    cells: hdrhistogram::Histogram<u64>,
    max: Nanos,
    overflow: Counter,
}

impl Histogram {
    /// An empty histogram.
    pub fn new() -> Histogram {
        let cells = hdrhistogram::Histogram::new_with_bounds(1, RANGE_NS_MAX, SIGNIFICANT_DIGITS)
            .expect("the bounds are constants that the crate accepts");
        Histogram { cells, max: 0, overflow: Counter::default() }
    }

    /// Records one duration. What lies beyond the range counts as the end of the range and in
    /// [`overflow`](Histogram::overflow).
    #[inline]
    pub fn record(&mut self, ns: Nanos) {
        self.record_n(ns, 1);
    }

    /// Records `count` equal durations; none if `count` is 0.
    #[inline]
    pub fn record_n(&mut self, ns: Nanos, count: u64) {
        if count == 0 {
            return;
        }
        if ns > RANGE_NS_MAX {
            self.overflow.add(count);
        }
        self.max = self.max.max(ns);
        self.cells.saturating_record_n(ns.min(RANGE_NS_MAX), count);
    }

    /// Records the time from `start` to `end` for `count` records. A clock that went backwards
    /// counts as 0 ns and in [`overflow`](Histogram::overflow).
    #[inline]
    pub fn record_span(&mut self, start: Nanos, end: Nanos, count: u64) {
        if end < start {
            self.overflow.add(count);
        }
        self.record_n(end.saturating_sub(start), count);
    }

    /// Durations recorded.
    pub fn count(&self) -> u64 {
        self.cells.len()
    }

    /// Durations out of range: longer than [`RANGE_NS_MAX`] or negative.
    pub fn overflow(&self) -> u64 {
        self.overflow.value()
    }

    /// Adds everything that `other` recorded.
    pub fn merge(&mut self, other: &Histogram) {
        if other.count() == 0 {
            return;
        }
        self.cells.add(&other.cells).expect("every histogram has the same bounds");
        self.max = self.max.max(other.max);
        self.overflow.add(other.overflow());
    }

    /// Makes this one equal to `source`, of which it must be an earlier copy (or empty), in place.
    pub fn catch_up(&mut self, source: &Histogram) {
        // Counts only grow, so an equal count is an equal histogram: a quiet task costs nothing,
        // and memory that no value has touched stays untouched in the copy.
        if self.count() == source.count() {
            return;
        }
        self.cells.set_to(&source.cells).expect("every histogram has the same bounds");
        self.max = source.max;
        self.overflow = source.overflow;
    }

    /// The summary: all zero if nothing was recorded.
    pub fn percentiles(&self) -> Percentiles {
        // A cell answers with its upper end, which may lie 1 % above the largest value seen.
        let at = |quantile: f64| self.cells.value_at_quantile(quantile).min(self.max);
        Percentiles {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: self.max,
            count: self.count(),
        }
    }

    /// The curve of a percentile plot, rising: `(n, ns)` says that one value of `n` is longer than
    /// `ns`. It ends with the largest value at the number of values; empty if there are none.
    #[cfg(feature = "cli")]
    pub(crate) fn curve(&self) -> Vec<(f64, Nanos)> {
        let count = self.count() as f64;
        let steps = self.cells.iter_quantiles(CURVE_STEPS).map(|step| {
            let one_of = 1.0 / (1.0 - step.quantile_iterated_to()).max(1.0 / count);
            (one_of, step.value_iterated_to().min(self.max))
        });
        let mut curve: Vec<(f64, Nanos)> = steps.collect();
        // Beyond one of `count` there is no value to tell, but for the largest.
        curve.dedup_by(|next, kept| {
            next.0 == kept.0 && {
                kept.1 = next.1;
                true
            }
        });
        curve
    }

    /// Bytes of memory that one histogram holds, cells included.
    pub fn size_bytes(&self) -> usize {
        size_of::<Histogram>() + self.cells.distinct_values() * size_of::<u64>()
    }
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram::new()
    }
}

/// What a report says about a distribution, in nanoseconds: `p50 <= p90 <= p99 <= p999 <= max`.
/// Percentiles are exact to 1 % and end at 1,000 s; the maximum is exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Percentiles {
    /// Half of the values are at most this.
    pub p50: Nanos,
    /// 90 % of the values are at most this.
    pub p90: Nanos,
    /// 99 % of the values are at most this.
    pub p99: Nanos,
    /// 99.9 % of the values are at most this.
    pub p999: Nanos,
    /// The largest value.
    pub max: Nanos,
    /// How many values there were.
    pub count: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_within_one_percent() {
        let mut histogram = Histogram::new();
        for ns in 1..=100_000 {
            histogram.record(ns);
        }
        let seen = histogram.percentiles();
        let expected = [50_000, 90_000, 99_000, 99_900];
        for (value, wanted) in [seen.p50, seen.p90, seen.p99, seen.p999].into_iter().zip(expected) {
            assert!(value.abs_diff(wanted) * 100 <= wanted, "{value} instead of {wanted}");
        }
        assert_eq!((seen.max, seen.count), (100_000, 100_000));
    }

    #[test]
    fn zero_and_forty_days_and_a_clock_going_back_are_counted_without_panic() {
        let forty_days = 40 * 24 * 3_600 * 1_000_000_000;
        let mut histogram = Histogram::new();
        histogram.record(0);
        assert_eq!(histogram.overflow(), 0);
        histogram.record(forty_days);
        histogram.record(u64::MAX);
        histogram.record_span(10, 3, 1);
        assert_eq!((histogram.count(), histogram.overflow()), (4, 3));
        let seen = histogram.percentiles();
        assert_eq!((seen.p50, seen.max), (0, u64::MAX));
        assert!(seen.p999 >= RANGE_NS_MAX && seen.p999 <= RANGE_NS_MAX / 100 * 101);
    }

    #[test]
    fn percentiles_never_exceed_the_maximum() {
        let mut histogram = Histogram::new();
        histogram.record_n(1_000_003, 5);
        let seen = histogram.percentiles();
        assert_eq!(
            seen,
            Percentiles {
                p50: 1_000_003,
                p90: 1_000_003,
                p99: 1_000_003,
                p999: 1_000_003,
                max: 1_000_003,
                count: 5
            }
        );
    }

    #[test]
    fn merging_equals_recording_into_one() {
        let (mut left, mut right, mut whole) =
            (Histogram::new(), Histogram::new(), Histogram::new());
        for i in 0..10_000u64 {
            let ns = i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
            if i % 3 == 0 {
                left.record(ns)
            } else {
                right.record(ns)
            }
            whole.record(ns);
        }
        left.merge(&right);
        assert_eq!(left.percentiles(), whole.percentiles());
        assert_eq!(left.overflow(), whole.overflow());
        assert!(whole.overflow() > 0, "the test means to cover values out of range");
    }

    #[test]
    fn a_copy_catches_up_and_forgets_nothing() {
        let (mut live, mut copy) = (Histogram::new(), Histogram::new());
        live.record(10);
        copy.catch_up(&live);
        live.record(2 * RANGE_NS_MAX);
        assert_eq!(copy.percentiles().max, 10);
        copy.catch_up(&live);
        assert_eq!(copy.percentiles(), live.percentiles());
        assert_eq!(copy.overflow(), 1);
    }

    #[cfg(feature = "cli")]
    #[test]
    fn a_curve_rises_through_the_percentiles_to_the_largest_value() {
        let mut histogram = Histogram::new();
        assert_eq!(histogram.curve(), []);
        (1..=1_000).for_each(|us| histogram.record(us * 1_000));
        let curve = histogram.curve();
        assert!(curve.is_sorted() && curve.len() < 100, "{curve:?}");
        assert_eq!(curve.last(), Some(&(1_000.0, 1_000_000)));
        let (_, median) = curve.iter().find(|(one_of, _)| *one_of >= 2.0).expect("half");
        assert!(median.abs_diff(500_000) <= 10_000, "{median}");
    }

    #[test]
    fn an_empty_one_is_all_zero_and_its_size_is_known() {
        let histogram = Histogram::new();
        assert_eq!(histogram.percentiles(), Percentiles::default());
        assert!((30_000..40_000).contains(&histogram.size_bytes()), "{}", histogram.size_bytes());
    }
}
