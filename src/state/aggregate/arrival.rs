//! `First`, `Last`, `Collect`: records by the order in which they arrive.
//!
//! The order of a key's records is that of each source; between several sources it is chance. It
//! is lost where records are combined in parts, so none of these merges: the engine switches
//! pre-aggregation off for them.

use crate::state::Storable;
use crate::state::aggregate::Aggregate;

/// The record that arrived first, `None` before it. Does not merge;
/// [`first_by`](crate::state::aggregate::first_by) a time does.
///
/// ```
/// use millstream::state::aggregate::{Aggregate, First};
///
/// let mut accumulator = None;
/// for record in ["b", "a", "c"].map(str::to_owned) {
///     First.add(&mut accumulator, &record);
/// }
/// assert_eq!(First.finish(&accumulator).as_deref(), Some("b"));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct First;

/// The record that arrived last, `None` before the first. Does not merge;
/// [`last_by`](crate::state::aggregate::last_by) a time does.
///
/// ```
/// use millstream::state::aggregate::{Aggregate, Last};
///
/// let mut accumulator = None;
/// for record in ["b", "a", "c"].map(str::to_owned) {
///     Last.add(&mut accumulator, &record);
/// }
/// assert_eq!(Last.finish(&accumulator).as_deref(), Some("c"));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Last;

/// All records, in the order in which they arrived. Does not merge. The state grows with each
/// record.
///
/// ```
/// use millstream::state::aggregate::{Aggregate, Collect};
///
/// let mut accumulator = Vec::new();
/// for record in [3, 1, 2] {
///     Collect.add(&mut accumulator, &record);
/// }
/// assert_eq!(Collect.finish(&accumulator), [3, 1, 2]);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Collect;

impl<T: Clone + Storable> Aggregate<T> for First {
    type Accumulator = Option<T>;
    type Output = Option<T>;
    const MERGES: bool = false;

    #[inline]
    fn add(&self, accumulator: &mut Option<T>, record: &T) {
        if accumulator.is_none() {
            *accumulator = Some(record.clone());
        }
    }

    #[inline]
    fn merge(&self, into: &mut Option<T>, from: Option<T>) {
        if into.is_none() {
            *into = from;
        }
    }

    #[inline]
    fn finish(&self, accumulator: &Option<T>) -> Option<T> {
        accumulator.clone()
    }
}

impl<T: Clone + Storable> Aggregate<T> for Last {
    type Accumulator = Option<T>;
    type Output = Option<T>;
    const MERGES: bool = false;

    #[inline]
    fn add(&self, accumulator: &mut Option<T>, record: &T) {
        *accumulator = Some(record.clone());
    }

    #[inline]
    fn merge(&self, into: &mut Option<T>, from: Option<T>) {
        if from.is_some() {
            *into = from;
        }
    }

    #[inline]
    fn finish(&self, accumulator: &Option<T>) -> Option<T> {
        accumulator.clone()
    }
}

impl<T: Clone + Storable> Aggregate<T> for Collect {
    type Accumulator = Vec<T>;
    type Output = Vec<T>;
    const MERGES: bool = false;

    #[inline]
    fn add(&self, accumulator: &mut Vec<T>, record: &T) {
        accumulator.push(record.clone());
    }

    #[inline]
    fn merge(&self, into: &mut Vec<T>, mut from: Vec<T>) {
        into.append(&mut from);
    }

    #[inline]
    fn finish(&self, accumulator: &Vec<T>) -> Vec<T> {
        accumulator.clone()
    }
}
