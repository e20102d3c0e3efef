//! Aggregates: how the records of a key become one value, in any order and in parts.
//!
//! One law serves running aggregates, window panes, pre-aggregation before an exchange and hot
//! keys on several partitions: `merge` is associative and commutative, the default accumulator is
//! its identity, and adding records one by one equals merging the accumulators of any split of
//! them. Integers obey it to the bit, floats up to rounding.

mod count;
mod extreme;
mod mean;
mod std_dev;
mod sum;

pub use count::Count;
pub use extreme::{Max, Min, max, min};
pub use mean::{Mean, Total, mean};
pub use std_dev::{Moments, StdDev, std_dev};
pub use sum::{Sum, Summand, sum};

use crate::state::Storable;

/// How the records of a key become one value. Called on the partition that owns the key; the
/// aggregate itself is configuration and each partition has its own clone.
///
/// ```
/// use millstream::state::aggregate::{Aggregate, Count, sum};
///
/// let aggregate = (Count, sum(|value: &u64| *value));
/// let mut accumulator = Default::default();
/// for value in [3, 4] {
///     aggregate.add(&mut accumulator, &value);
/// }
/// assert_eq!(aggregate.finish(&accumulator), (2, 7));
/// ```
pub trait Aggregate<T>: Clone + Send + 'static {
    /// What is kept per key. Its default has seen no record.
    type Accumulator: Default + Storable;
    /// What comes out.
    type Output;
    /// Whether [`merge`](Self::merge) obeys the law. An aggregate whose result depends on the
    /// order of records says `false`; it is never combined in parts and its `merge` not called.
    const MERGES: bool = true;

    /// Takes one record in.
    fn add(&self, accumulator: &mut Self::Accumulator, record: &T);

    /// Takes in everything that `from` has seen.
    fn merge(&self, into: &mut Self::Accumulator, from: Self::Accumulator);

    /// The value so far. The accumulator goes on.
    fn finish(&self, accumulator: &Self::Accumulator) -> Self::Output;
}

/// Two aggregates in one pass. Nest tuples for more.
impl<T, A: Aggregate<T>, B: Aggregate<T>> Aggregate<T> for (A, B) {
    type Accumulator = (A::Accumulator, B::Accumulator);
    type Output = (A::Output, B::Output);
    const MERGES: bool = A::MERGES && B::MERGES;

    #[inline]
    fn add(&self, accumulator: &mut Self::Accumulator, record: &T) {
        self.0.add(&mut accumulator.0, record);
        self.1.add(&mut accumulator.1, record);
    }

    #[inline]
    fn merge(&self, into: &mut Self::Accumulator, from: Self::Accumulator) {
        self.0.merge(&mut into.0, from.0);
        self.1.merge(&mut into.1, from.1);
    }

    #[inline]
    fn finish(&self, accumulator: &Self::Accumulator) -> Self::Output {
        (self.0.finish(&accumulator.0), self.1.finish(&accumulator.1))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn accumulate<T, A: Aggregate<T>>(aggregate: &A, records: &[T]) -> A::Accumulator {
        let mut accumulator = A::Accumulator::default();
        for record in records {
            aggregate.add(&mut accumulator, record);
        }
        accumulator
    }

    fn merged<T, A: Aggregate<T>>(aggregate: &A, parts: &[&[T]]) -> A::Accumulator {
        let mut into = A::Accumulator::default();
        for part in parts {
            aggregate.merge(&mut into, accumulate(aggregate, part));
        }
        into
    }

    /// The law, on one split of the records into three.
    fn check_law<T, A: Aggregate<T>>(
        aggregate: A,
        [a, b, c]: [&[T]; 3],
        same: impl Fn(&A::Output, &A::Output) -> bool,
    ) where
        T: Clone,
        A::Output: std::fmt::Debug,
    {
        let whole = aggregate.finish(&accumulate(&aggregate, &[a, b, c].concat()));
        let mut right = accumulate(&aggregate, a);
        aggregate.merge(&mut right, merged(&aggregate, &[b, c]));
        let with_identity = merged(&aggregate, &[a, &[], b, &[], c]);
        for (name, other) in [
            ("associative, to the left", merged(&aggregate, &[a, b, c])),
            ("associative, to the right", right),
            ("commutative", merged(&aggregate, &[c, b, a])),
            ("identity", with_identity),
        ] {
            let other = aggregate.finish(&other);
            assert!(same(&whole, &other), "{name}: {whole:?} is not {other:?}");
        }
    }

    fn close(a: &Option<f64>, b: &Option<f64>) -> bool {
        match (a, b) {
            (Some(a), Some(b)) => (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0),
            _ => a == b,
        }
    }

    proptest! {
        #[test]
        fn built_in_aggregates_obey_the_law(
            records in prop::collection::vec(any::<i64>(), 0..60),
            cuts in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
        ) {
            let places = records.len() + 1;
            let (first, second) = (cuts.0.index(places), cuts.1.index(places));
            let (low, high) = (first.min(second), first.max(second));
            let parts = [&records[..low], &records[low..high], &records[high..]];
            check_law(Count, parts, u64::eq);
            check_law(sum(|r: &i64| *r), parts, i64::eq);
            check_law(min(|r: &i64| *r), parts, Option::eq);
            check_law(max(|r: &i64| *r), parts, Option::eq);
            check_law((Count, (sum(|r: &i64| *r as u8), max(|r: &i64| *r))), parts, |a, b| a == b);
            let small = |r: &i64| (*r % 1_000_003) as f64;
            check_law(mean(small), parts, close);
            check_law(std_dev(small), parts, close);
        }
    }

    #[derive(Clone)]
    struct Last;

    impl Aggregate<u64> for Last {
        type Accumulator = u64;
        type Output = u64;
        const MERGES: bool = false;
        fn add(&self, accumulator: &mut u64, record: &u64) {
            *accumulator = *record;
        }
        fn merge(&self, _into: &mut u64, _from: u64) {}
        fn finish(&self, accumulator: &u64) -> u64 {
            *accumulator
        }
    }

    #[test]
    fn a_tuple_merges_only_if_both_do() {
        fn merges<A: Aggregate<u64>>(_aggregate: &A) -> bool {
            A::MERGES
        }
        assert!(merges(&(Count, Count)));
        assert!(!merges(&(Count, Last)));
        assert!(!merges(&((Last, Count), Count)));
    }
}
