//! Those with the largest value of a window, all of them if several have it: q5 and q7.

use crate::state::Storable;
use crate::state::aggregate::Aggregate;
use crate::time::Timestamp;

/// All records with the largest `value`.
pub(super) fn leaders<T, V, F>(value: F) -> Leaders<F>
where
    V: Ord,
    F: Fn(&T) -> V,
{
    Leaders { value }
}

/// Whether nothing larger of the window in hand has passed here before: what is beaten on its own
/// partition need not travel to be beaten by the winner.
///
/// * `place` - window and value of a record.
pub(super) fn unbeaten<T, V, F>(place: F) -> impl FnMut(&T) -> bool + Clone + Send + 'static
where
    V: Ord + Copy + Default + Send + 'static,
    F: Fn(&T) -> (Timestamp, V) + Clone + Send + 'static,
{
    let mut best = (Timestamp::MIN, V::default());
    move |record| {
        let (window, value) = place(record);
        if window != best.0 || value > best.1 {
            best = (window, value);
        }
        value == best.1
    }
}

/// See [`leaders`].
#[derive(Clone, Copy)]
pub(super) struct Leaders<F> {
    value: F,
}

impl<T, V, F> Aggregate<T> for Leaders<F>
where
    T: Clone + Storable,
    V: Ord,
    F: Fn(&T) -> V + Clone + Send + 'static,
{
    type Accumulator = Vec<T>;
    type Output = Vec<T>;

    #[inline]
    fn add(&self, accumulator: &mut Vec<T>, record: &T) {
        if let Some(leader) = accumulator.first() {
            let (value, most) = ((self.value)(record), (self.value)(leader));
            if value < most {
                return;
            }
            if value > most {
                accumulator.clear();
            }
        }
        accumulator.push(record.clone());
    }

    fn merge(&self, into: &mut Vec<T>, from: Vec<T>) {
        from.iter().for_each(|record| self.add(into, record));
    }

    fn finish(&self, accumulator: &Vec<T>) -> Vec<T> {
        accumulator.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_with_the_largest_value_are_kept() {
        let aggregate = leaders(|record: &(u64, char)| record.0);
        let of = |records: &[(u64, char)]| {
            let mut accumulator = Vec::new();
            records.iter().for_each(|record| aggregate.add(&mut accumulator, record));
            accumulator
        };
        assert_eq!(of(&[(2, 'a'), (3, 'b'), (1, 'c'), (3, 'd')]), [(3, 'b'), (3, 'd')]);
        let mut merged = of(&[(2, 'a')]);
        aggregate.merge(&mut merged, of(&[(2, 'b'), (1, 'c')]));
        assert_eq!(merged, [(2, 'a'), (2, 'b')]);
    }

    #[test]
    fn what_has_been_beaten_in_its_window_does_not_pass() {
        let records = [(0, 5), (0, 3), (0, 5), (0, 6), (1, 2), (1, 1)];
        let mut passes = unbeaten(|record: &(i64, u64)| (record.0.into(), record.1));
        let passed: Vec<_> = records.iter().filter(|record| passes(record)).collect();
        assert_eq!(passed, [&(0, 5), &(0, 5), &(0, 6), &(1, 2)]);
    }
}
