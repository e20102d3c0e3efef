//! `min`, `max`, `arg_min`, `arg_max`: the record or value at one end of an order.

use std::cmp::Ordering;
use std::marker::PhantomData;

use crate::state::Storable;
use crate::state::aggregate::Aggregate;

/// The smallest `value(record)`, `None` before the first. A value that does not equal itself
/// (a float's NaN) is skipped.
///
/// ```
/// use millstream::state::aggregate::{Aggregate, min};
///
/// let coldest = min(|degrees: &f64| *degrees);
/// let mut accumulator = None;
/// for degrees in [3.5, f64::NAN, -1.0] {
///     coldest.add(&mut accumulator, &degrees);
/// }
/// assert_eq!(coldest.finish(&accumulator), Some(-1.0));
/// ```
pub fn min<T, V, F>(value: F) -> Min<F>
where
    V: PartialOrd + Clone + Storable,
    F: Fn(&T) -> V + Clone + Send + 'static,
{
    Extreme { value, wanted: PhantomData }
}

/// The largest `value(record)`; otherwise as [`min`].
pub fn max<T, V, F>(value: F) -> Max<F>
where
    V: PartialOrd + Clone + Storable,
    F: Fn(&T) -> V + Clone + Send + 'static,
{
    Extreme { value, wanted: PhantomData }
}

/// The record whose `value` is smallest, `None` before the first. A record whose value does not
/// equal itself (a float's NaN) is skipped.
///
/// Of several records with the smallest value it is any one, and may be another in the next run.
/// Where that matters, let `value` be a tuple that ends in something unique, such as an id.
/// `value` is called again for the record that is kept, and must give the same for the same.
///
/// ```
/// use millstream::state::aggregate::{Aggregate, arg_min};
///
/// let cheapest = arg_min(|(_, price): &(String, u64)| *price);
/// let mut accumulator = None;
/// for offer in [("tea", 4), ("jam", 3), ("bun", 9)] {
///     cheapest.add(&mut accumulator, &(offer.0.to_owned(), offer.1));
/// }
/// assert_eq!(cheapest.finish(&accumulator), Some(("jam".to_owned(), 3)));
/// ```
pub fn arg_min<T, V, F>(value: F) -> ArgMin<F>
where
    T: Clone + Storable,
    V: PartialOrd,
    F: Fn(&T) -> V + Clone + Send + 'static,
{
    ArgExtreme { value, wanted: PhantomData }
}

/// The record whose `value` is largest; otherwise as [`arg_min`].
pub fn arg_max<T, V, F>(value: F) -> ArgMax<F>
where
    T: Clone + Storable,
    V: PartialOrd,
    F: Fn(&T) -> V + Clone + Send + 'static,
{
    ArgExtreme { value, wanted: PhantomData }
}

/// The first record by `time`, whenever it arrives: [`arg_min`] under the name that fits. Unlike
/// [`First`](crate::state::aggregate::First) it merges.
pub fn first_by<T, V, F>(time: F) -> ArgMin<F>
where
    T: Clone + Storable,
    V: PartialOrd,
    F: Fn(&T) -> V + Clone + Send + 'static,
{
    arg_min(time)
}

/// The last record by `time`, whenever it arrives: [`arg_max`] under the name that fits. Unlike
/// [`Last`](crate::state::aggregate::Last) it merges.
pub fn last_by<T, V, F>(time: F) -> ArgMax<F>
where
    T: Clone + Storable,
    V: PartialOrd,
    F: Fn(&T) -> V + Clone + Send + 'static,
{
    arg_max(time)
}

/// See [`min`].
pub type Min<F> = Extreme<F, Smallest>;
/// See [`max`].
pub type Max<F> = Extreme<F, Largest>;
/// See [`arg_min`].
pub type ArgMin<F> = ArgExtreme<F, Smallest>;
/// See [`arg_max`].
pub type ArgMax<F> = ArgExtreme<F, Largest>;

/// Which end of the order is wanted: [`Smallest`] or [`Largest`].
pub trait Wanted: Clone + Send + 'static {
    /// How what is wanted compares to the rest.
    const ORDERING: Ordering;

    /// Whether a record with `value` is to be kept, where one with `best` has been.
    #[inline]
    fn prefers<V: PartialOrd>(value: &V, best: Option<&V>) -> bool {
        match best {
            Some(best) => value.partial_cmp(best) == Some(Self::ORDERING),
            None => value.partial_cmp(value).is_some(),
        }
    }
}

/// The lower end.
#[derive(Clone, Copy, Debug)]
pub struct Smallest;

/// The upper end.
#[derive(Clone, Copy, Debug)]
pub struct Largest;

impl Wanted for Smallest {
    const ORDERING: Ordering = Ordering::Less;
}

impl Wanted for Largest {
    const ORDERING: Ordering = Ordering::Greater;
}

/// See [`min`] and [`max`].
#[derive(Clone, Copy, Debug)]
pub struct Extreme<F, W> {
    value: F,
    wanted: PhantomData<W>,
}

impl<T, V, F, W> Aggregate<T> for Extreme<F, W>
where
    V: PartialOrd + Clone + Storable,
    F: Fn(&T) -> V + Clone + Send + 'static,
    W: Wanted,
{
    type Accumulator = Option<V>;
    type Output = Option<V>;

    #[inline]
    fn add(&self, accumulator: &mut Option<V>, record: &T) {
        let value = (self.value)(record);
        if W::prefers(&value, accumulator.as_ref()) {
            *accumulator = Some(value);
        }
    }

    #[inline]
    fn merge(&self, into: &mut Option<V>, from: Option<V>) {
        if from.as_ref().is_some_and(|value| W::prefers(value, into.as_ref())) {
            *into = from;
        }
    }

    #[inline]
    fn finish(&self, accumulator: &Option<V>) -> Option<V> {
        accumulator.clone()
    }
}

/// See [`arg_min`] and [`arg_max`].
#[derive(Clone, Copy, Debug)]
pub struct ArgExtreme<F, W> {
    value: F,
    wanted: PhantomData<W>,
}

impl<T, V, F, W> Aggregate<T> for ArgExtreme<F, W>
where
    T: Clone + Storable,
    V: PartialOrd,
    F: Fn(&T) -> V + Clone + Send + 'static,
    W: Wanted,
{
    type Accumulator = Option<T>;
    type Output = Option<T>;

    #[inline]
    fn add(&self, accumulator: &mut Option<T>, record: &T) {
        let best = accumulator.as_ref().map(&self.value);
        if W::prefers(&(self.value)(record), best.as_ref()) {
            *accumulator = Some(record.clone());
        }
    }

    #[inline]
    fn merge(&self, into: &mut Option<T>, from: Option<T>) {
        let best = into.as_ref().map(&self.value);
        if from.as_ref().is_some_and(|record| W::prefers(&(self.value)(record), best.as_ref())) {
            *into = from;
        }
    }

    #[inline]
    fn finish(&self, accumulator: &Option<T>) -> Option<T> {
        accumulator.clone()
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
        let (lowest, highest) = (arg_min(|value: &f64| *value), arg_max(|value: &f64| *value));
        for records in [[f64::NAN, 2.0, 1.0], [2.0, f64::NAN, 1.0], [1.0, 2.0, f64::NAN]] {
            let (mut low, mut high, mut arg_low, mut arg_high) = (None, None, None, None);
            for record in &records {
                smallest.add(&mut low, record);
                largest.add(&mut high, record);
                lowest.add(&mut arg_low, record);
                highest.add(&mut arg_high, record);
            }
            assert_eq!((low, high), (Some(1.0), Some(2.0)), "{records:?}");
            assert_eq!((arg_low, arg_high), (Some(1.0), Some(2.0)), "{records:?}");
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

    #[test]
    fn last_by_time_is_the_last_however_it_arrives() {
        let last = last_by(|(time, _): &(u64, char)| *time);
        let mut accumulator = None;
        for record in [(1, 'a'), (3, 'c'), (2, 'b')] {
            last.add(&mut accumulator, &record);
        }
        assert_eq!(last.finish(&accumulator), Some((3, 'c')));
    }
}
