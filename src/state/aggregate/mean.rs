//! `mean`: the arithmetic mean of a number that each record has.

use serde::{Deserialize, Serialize};

use crate::state::aggregate::Aggregate;

/// The mean of `value(record)`, `None` while no value is known. `value` returns an `f64`, or an
/// `Option<f64>` whose `None` is unknown and left out. A value that is NaN makes the mean NaN.
///
/// ```
/// use millstream::state::aggregate::{Aggregate, mean};
///
/// let delay = mean(|minutes: &Option<f64>| *minutes);
/// let mut accumulator = Default::default();
/// for minutes in [Some(1.0), None, Some(4.0)] {
///     delay.add(&mut accumulator, &minutes);
/// }
/// assert_eq!(delay.finish(&accumulator), Some(2.5));
/// ```
pub fn mean<T, V, F>(value: F) -> Mean<F>
where
    V: Into<Option<f64>>,
    F: Fn(&T) -> V + Clone + Send + 'static,
{
    Mean { value }
}

/// See [`mean`].
#[derive(Clone, Copy, Debug)]
pub struct Mean<F> {
    value: F,
}

/// How many values, and their sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Total {
    count: u64,
    sum: f64,
}

impl<T, V, F> Aggregate<T> for Mean<F>
where
    V: Into<Option<f64>>,
    F: Fn(&T) -> V + Clone + Send + 'static,
{
    type Accumulator = Total;
    type Output = Option<f64>;

    #[inline]
    fn add(&self, accumulator: &mut Total, record: &T) {
        if let Some(value) = (self.value)(record).into() {
            accumulator.count += 1;
            accumulator.sum += value;
        }
    }

    #[inline]
    fn merge(&self, into: &mut Total, from: Total) {
        into.count += from.count;
        into.sum += from.sum;
    }

    #[inline]
    fn finish(&self, accumulator: &Total) -> Option<f64> {
        (accumulator.count > 0).then(|| accumulator.sum / accumulator.count as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_values_are_left_out_and_none_known_is_none() {
        let known = mean(|value: &Option<i32>| value.map(f64::from));
        let mut accumulator = Total::default();
        known.add(&mut accumulator, &None);
        assert_eq!(known.finish(&accumulator), None);
        for value in [Some(1), None, Some(4)] {
            known.add(&mut accumulator, &value);
        }
        assert_eq!(known.finish(&accumulator), Some(2.5));
    }
}
