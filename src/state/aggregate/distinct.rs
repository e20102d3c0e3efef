//! `count_distinct`: how many different values, exactly.

use std::collections::BTreeSet;

use crate::state::Storable;
use crate::state::aggregate::Aggregate;

/// How many different values `value(record)` has had, exactly. All of them are kept: where they
/// are many, [`distinct_sketch`](crate::state::aggregate::distinct_sketch) takes a few kilobytes.
///
/// ```
/// use millstream::state::aggregate::{Aggregate, count_distinct};
///
/// let users = count_distinct(|(user, _page): &(u32, &str)| *user);
/// let mut accumulator = Default::default();
/// for visit in [(7, "/"), (8, "/"), (7, "/cart")] {
///     users.add(&mut accumulator, &visit);
/// }
/// assert_eq!(users.finish(&accumulator), 2);
/// ```
pub fn count_distinct<T, V, F>(value: F) -> CountDistinct<F>
where
    V: Ord + Storable,
    F: Fn(&T) -> V + Clone + Send + 'static,
{
    CountDistinct { value }
}

/// See [`count_distinct`].
#[derive(Clone, Copy, Debug)]
pub struct CountDistinct<F> {
    value: F,
}

impl<T, V, F> Aggregate<T> for CountDistinct<F>
where
    V: Ord + Storable,
    F: Fn(&T) -> V + Clone + Send + 'static,
{
    type Accumulator = BTreeSet<V>;
    type Output = u64;

    #[inline]
    fn add(&self, accumulator: &mut BTreeSet<V>, record: &T) {
        accumulator.insert((self.value)(record));
    }

    #[inline]
    fn merge(&self, into: &mut BTreeSet<V>, mut from: BTreeSet<V>) {
        // `append` would rebuild the larger set to take in one value.
        if into.len() < from.len() {
            std::mem::swap(into, &mut from);
        }
        into.extend(from);
    }

    #[inline]
    fn finish(&self, accumulator: &BTreeSet<V>) -> u64 {
        accumulator.len() as u64
    }
}
