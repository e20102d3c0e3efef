//! `variance`, `std_dev`: the sample variance of a number that each record has, and its root.
//!
//! Welford's update (1962) for one value and the merge of Chan, Golub and LeVeque (1979) for two
//! parts: both keep the sum of squared distances from the running mean, and so do not cancel
//! where all values are large and close together.

use serde::{Deserialize, Serialize};

use crate::state::aggregate::Aggregate;

/// The sample variance (divided by n − 1) of `value(record)`; `None` below two known values.
/// `value` returns an `f64`, or an `Option<f64>` whose `None` is unknown and left out. A value
/// that is NaN or infinite makes the result NaN.
///
/// ```
/// use millstream::state::aggregate::{Aggregate, variance};
///
/// let spread = variance(|value: &f64| *value);
/// let mut accumulator = Default::default();
/// for value in [1.0, 3.0] {
///     spread.add(&mut accumulator, &value);
/// }
/// assert_eq!(spread.finish(&accumulator), Some(2.0));
/// ```
pub fn variance<T, V, F>(value: F) -> Variance<F>
where
    V: Into<Option<f64>>,
    F: Fn(&T) -> V + Clone + Send + 'static,
{
    Variance { value }
}

/// The sample standard deviation of `value(record)`: the square root of its [`variance`].
pub fn std_dev<T, V, F>(value: F) -> StdDev<F>
where
    V: Into<Option<f64>>,
    F: Fn(&T) -> V + Clone + Send + 'static,
{
    StdDev { variance: Variance { value } }
}

/// See [`variance`].
#[derive(Clone, Copy, Debug)]
pub struct Variance<F> {
    value: F,
}

/// See [`std_dev`].
#[derive(Clone, Copy, Debug)]
pub struct StdDev<F> {
    variance: Variance<F>,
}

/// How many values, their mean, and the sum of their squared distances from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    count: u64,
    mean: f64,
    squares: f64,
}

impl<T, V, F> Aggregate<T> for Variance<F>
where
    V: Into<Option<f64>>,
    F: Fn(&T) -> V + Clone + Send + 'static,
{
    type Accumulator = Moments;
    type Output = Option<f64>;

    #[inline]
    fn add(&self, accumulator: &mut Moments, record: &T) {
        if let Some(value) = (self.value)(record).into() {
            accumulator.count += 1;
            let distance = value - accumulator.mean;
            accumulator.mean += distance / accumulator.count as f64;
            accumulator.squares += distance * (value - accumulator.mean);
        }
    }

    #[inline]
    fn merge(&self, into: &mut Moments, from: Moments) {
        if from.count == 0 {
            return;
        }
        let count = into.count + from.count;
        let share = from.count as f64 / count as f64;
        let distance = from.mean - into.mean;
        into.squares += from.squares + distance * distance * into.count as f64 * share;
        into.mean += distance * share;
        into.count = count;
    }

    #[inline]
    fn finish(&self, accumulator: &Moments) -> Option<f64> {
        let freedom = accumulator.count.checked_sub(1).filter(|freedom| *freedom > 0)?;
        Some(accumulator.squares / freedom as f64)
    }
}

impl<T, V, F> Aggregate<T> for StdDev<F>
where
    V: Into<Option<f64>>,
    F: Fn(&T) -> V + Clone + Send + 'static,
{
    type Accumulator = Moments;
    type Output = Option<f64>;

    #[inline]
    fn add(&self, accumulator: &mut Moments, record: &T) {
        self.variance.add(accumulator, record);
    }

    #[inline]
    fn merge(&self, into: &mut Moments, from: Moments) {
        self.variance.merge(into, from);
    }

    #[inline]
    fn finish(&self, accumulator: &Moments) -> Option<f64> {
        self.variance.finish(accumulator).map(f64::sqrt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f64]) -> (Option<f64>, Option<f64>) {
        let aggregate = (variance(|value: &f64| *value), std_dev(|value: &f64| *value));
        let mut accumulator = Default::default();
        for value in values {
            aggregate.add(&mut accumulator, value);
        }
        aggregate.finish(&accumulator)
    }

    #[test]
    fn fewer_than_two_values_have_none() {
        assert_eq!(of(&[]), (None, None));
        assert_eq!(of(&[3.0]), (None, None));
        assert_eq!(of(&[3.0, 3.0]), (Some(0.0), Some(0.0)));
    }

    #[test]
    fn they_are_those_of_the_sample() {
        let (variance, std_dev) = of(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]);
        let (variance, std_dev) = (variance.expect("eight"), std_dev.expect("eight"));
        assert!((variance - 32.0 / 7.0).abs() < 1e-12, "{variance}");
        assert!((std_dev - (32.0f64 / 7.0).sqrt()).abs() < 1e-12, "{std_dev}");
    }

    #[test]
    fn large_values_close_together_do_not_cancel() {
        let seen = of(&[1e9 + 4.0, 1e9 + 7.0, 1e9 + 13.0, 1e9 + 16.0]).0.expect("four values");
        assert!((seen - 30.0).abs() < 1e-5, "{seen}");
    }

    #[test]
    fn unknown_values_are_left_out() {
        let aggregate = std_dev(|value: &Option<f64>| *value);
        let mut accumulator = Moments::default();
        for value in [Some(1.0), None, Some(3.0), None] {
            aggregate.add(&mut accumulator, &value);
        }
        assert_eq!(aggregate.finish(&accumulator), Some(2f64.sqrt()));
    }
}
