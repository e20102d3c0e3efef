//! `count`: how many records.

use crate::state::aggregate::Aggregate;

/// Counts records.
///
/// ```
/// use millstream::state::aggregate::{Aggregate, Count};
///
/// let mut accumulator = 0;
/// for record in ["a", "b"] {
///     Count.add(&mut accumulator, &record);
/// }
/// assert_eq!(Aggregate::<&str>::finish(&Count, &accumulator), 2);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Count;

impl<T> Aggregate<T> for Count {
    type Accumulator = u64;
    type Output = u64;

    #[inline]
    fn add(&self, accumulator: &mut u64, _record: &T) {
        *accumulator += 1;
    }

    #[inline]
    fn merge(&self, into: &mut u64, from: u64) {
        *into += from;
    }

    #[inline]
    fn finish(&self, accumulator: &u64) -> u64 {
        *accumulator
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_record_counts_once() {
        let mut accumulator = 0;
        for record in ["a", "a", "b"] {
            Count.add(&mut accumulator, &record);
        }
        assert_eq!(Aggregate::<&str>::finish(&Count, &accumulator), 3);
    }
}
