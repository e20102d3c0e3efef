//! `top_k`: the records with the largest values.

use crate::error::{Error, ErrorKind, Result};
use crate::state::Storable;
use crate::state::aggregate::Aggregate;

/// The `k` records with the largest `value`, largest first; fewer where fewer have come. A record
/// whose value does not equal itself (a float's NaN) is skipped. For the smallest, let `value`
/// return [`Reverse`](std::cmp::Reverse).
///
/// Of several records with equal values any is kept, and may be another in the next run. Where
/// that matters, let `value` be a tuple that ends in something unique, such as an id. `value` is
/// called again for records that are kept, and must give the same for the same.
///
/// A record costs `log k` calls of `value`, and one that enters moves up to `k` others; `k` is
/// meant to be below a few thousand. A `k` of 0 is an error before the start.
///
/// ```
/// use millstream::state::aggregate::{Aggregate, top_k};
///
/// let dearest = top_k(2, |price: &u64| *price);
/// let mut accumulator = Vec::new();
/// for price in [3, 9, 1, 4] {
///     dearest.add(&mut accumulator, &price);
/// }
/// assert_eq!(dearest.finish(&accumulator), [9, 4]);
/// ```
pub fn top_k<T, V, F>(k: usize, value: F) -> TopK<F>
where
    T: Clone + Storable,
    V: PartialOrd,
    F: Fn(&T) -> V + Clone + Send + 'static,
{
    TopK { k, value }
}

/// See [`top_k`].
#[derive(Clone, Copy, Debug)]
pub struct TopK<F> {
    k: usize,
    value: F,
}

impl<F> TopK<F> {
    /// Where `record` belongs among the `kept`, if it does.
    #[inline]
    fn place<T, V>(&self, kept: &[T], record: &T) -> Option<usize>
    where
        V: PartialOrd,
        F: Fn(&T) -> V,
    {
        let value = (self.value)(record);
        let beats = |other: &T| value > (self.value)(other);
        let is_full = kept.len() >= self.k;
        if value.partial_cmp(&value).is_none() || is_full && !kept.last().is_some_and(beats) {
            return None;
        }
        Some(kept.partition_point(|other| !beats(other)))
    }
}

impl<T, V, F> Aggregate<T> for TopK<F>
where
    T: Clone + Storable,
    V: PartialOrd,
    F: Fn(&T) -> V + Clone + Send + 'static,
{
    /// Largest first.
    type Accumulator = Vec<T>;
    type Output = Vec<T>;

    fn check(&self) -> Result<()> {
        match self.k {
            0 => Err(Error::new(
                ErrorKind::InvalidConfig,
                "top_k keeps 0 records; allowed: at least 1",
            )),
            _ => Ok(()),
        }
    }

    #[inline]
    fn add(&self, accumulator: &mut Vec<T>, record: &T) {
        if let Some(place) = self.place(accumulator, record) {
            accumulator.truncate(self.k - 1);
            accumulator.insert(place, record.clone());
        }
    }

    fn merge(&self, into: &mut Vec<T>, from: Vec<T>) {
        for record in from {
            // In descending order: the first that finds no place is followed by none that does.
            let Some(place) = self.place(into, &record) else { break };
            into.truncate(self.k - 1);
            into.insert(place, record);
        }
    }

    fn finish(&self, accumulator: &Vec<T>) -> Vec<T> {
        accumulator.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;

    use super::*;

    fn of<V: PartialOrd + 'static>(k: usize, value: fn(&f64) -> V, records: &[f64]) -> Vec<f64> {
        let aggregate = top_k(k, value);
        let mut accumulator = Vec::new();
        for record in records {
            aggregate.add(&mut accumulator, record);
        }
        aggregate.finish(&accumulator)
    }

    #[test]
    fn fewer_records_than_k_are_all_kept_in_order() {
        assert!(of(9, |value| *value, &[]).is_empty());
        assert_eq!(of(9, |value| *value, &[1.0, 3.0, 2.0, 3.0]), [3.0, 3.0, 2.0, 1.0]);
    }

    #[test]
    fn reverse_keeps_the_smallest() {
        assert_eq!(of(2, |value| Reverse(*value as i64), &[5.0, 1.0, 4.0, 2.0]), [1.0, 2.0]);
    }

    #[test]
    fn nan_is_skipped_wherever_it_comes() {
        for records in [[f64::NAN, 2.0, 1.0], [2.0, f64::NAN, 1.0], [1.0, 2.0, f64::NAN]] {
            assert_eq!(of(2, |value| *value, &records), [2.0, 1.0], "{records:?}");
            assert_eq!(of(1, |value| *value, &records), [2.0], "{records:?}");
        }
    }

    #[test]
    fn keeping_none_is_an_error() {
        let error = top_k(0, |value: &u64| *value).check().expect_err("nothing is kept");
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        assert_eq!(error.to_string(), "top_k keeps 0 records; allowed: at least 1");
    }
}
