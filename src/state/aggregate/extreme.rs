//! `min` and `max`: of a value that each record has.

use std::cmp::Ordering;

use crate::state::Storable;
use crate::state::aggregate::Aggregate;

/// The smallest `value(record)`, `None` before the first. A value that does not equal itself
/// (a float's NaN) is skipped.
pub fn min<T, V, F>(value: F) -> Min<F>
where
    V: PartialOrd + Clone + Storable,
    F: Fn(&T) -> V + Clone + Send + 'static,
{
    Min { value }
}

/// The largest `value(record)`, `None` before the first. A value that does not equal itself
/// (a float's NaN) is skipped.
pub fn max<T, V, F>(value: F) -> Max<F>
where
    V: PartialOrd + Clone + Storable,
    F: Fn(&T) -> V + Clone + Send + 'static,
{
    Max { value }
}

/// See [`min`].
#[derive(Clone, Copy, Debug)]
pub struct Min<F> {
    value: F,
}

/// See [`max`].
#[derive(Clone, Copy, Debug)]
pub struct Max<F> {
    value: F,
}

impl<T, V, F> Aggregate<T> for Min<F>
where
    V: PartialOrd + Clone + Storable,
    F: Fn(&T) -> V + Clone + Send + 'static,
{
    type Accumulator = Option<V>;
    type Output = Option<V>;

    #[inline]
    fn add(&self, accumulator: &mut Option<V>, record: &T) {
        keep(accumulator, (self.value)(record), Ordering::Less);
    }

    #[inline]
    fn merge(&self, into: &mut Option<V>, from: Option<V>) {
        if let Some(value) = from {
            keep(into, value, Ordering::Less);
        }
    }

    #[inline]
    fn finish(&self, accumulator: &Option<V>) -> Option<V> {
        accumulator.clone()
    }
}

impl<T, V, F> Aggregate<T> for Max<F>
where
    V: PartialOrd + Clone + Storable,
    F: Fn(&T) -> V + Clone + Send + 'static,
{
    type Accumulator = Option<V>;
    type Output = Option<V>;

    #[inline]
    fn add(&self, accumulator: &mut Option<V>, record: &T) {
        keep(accumulator, (self.value)(record), Ordering::Greater);
    }

    #[inline]
    fn merge(&self, into: &mut Option<V>, from: Option<V>) {
        if let Some(value) = from {
            keep(into, value, Ordering::Greater);
        }
    }

    #[inline]
    fn finish(&self, accumulator: &Option<V>) -> Option<V> {
        accumulator.clone()
    }
}

/// Puts `value` in `best` if it is `wanted` compared to what is there.
#[inline]
fn keep<V: PartialOrd>(best: &mut Option<V>, value: V, wanted: Ordering) {
    let better = match best {
        Some(best) => value.partial_cmp(best) == Some(wanted),
        None => value.partial_cmp(&value).is_some(),
    };
    if better {
        *best = Some(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_seen_is_none() {
        let smallest = min(|value: &i32| *value);
        assert_eq!(smallest.finish(&None), None);
    }

    #[test]
    fn nan_is_skipped_wherever_it_comes() {
        let (smallest, largest) = (min(|value: &f64| *value), max(|value: &f64| *value));
        for records in [[f64::NAN, 2.0, 1.0], [2.0, f64::NAN, 1.0], [1.0, 2.0, f64::NAN]] {
            let (mut low, mut high) = (None, None);
            for record in &records {
                smallest.add(&mut low, record);
                largest.add(&mut high, record);
            }
            assert_eq!((low, high), (Some(1.0), Some(2.0)), "{records:?}");
        }
    }

    #[test]
    fn strings_compare_too() {
        let largest = max(|value: &&str| value.to_string());
        let mut high = None;
        for record in ["b", "c", "a"] {
            largest.add(&mut high, &record);
        }
        assert_eq!(largest.finish(&high).as_deref(), Some("c"));
    }
}
