//! `median`, `quantiles`: exact, by keeping every value.

use crate::error::{Error, ErrorKind, Result};
use crate::state::aggregate::Aggregate;

/// The median of `value(record)`, `None` while no value is known: the middle value, or the mean of
/// the two in the middle. Otherwise as [`quantiles`].
///
/// ```
/// use millstream::state::aggregate::{Aggregate, median};
///
/// let middle = median(|value: &f64| *value);
/// let mut accumulator = Vec::new();
/// for value in [9.0, 1.0, 2.0] {
///     middle.add(&mut accumulator, &value);
/// }
/// assert_eq!(middle.finish(&accumulator), Some(2.0));
/// ```
pub fn median<T, V, F>(value: F) -> Median<F>
where
    V: Into<Option<f64>>,
    F: Fn(&T) -> V + Clone + Send + 'static,
{
    Median { quantiles: quantiles([0.5], value) }
}

/// The quantiles `at` (each within 0..=1, or it is an error before the start) of `value(record)`,
/// in the order of `at`; `None` while no value is known. `value` returns an `f64`, or an
/// `Option<f64>` whose `None` is unknown and left out, as NaN is.
///
/// Every value is kept, 8 bytes each, and sorted for each result; where they are many,
/// [`quantile_sketch`](crate::state::aggregate::quantile_sketch) takes a few kilobytes.
///
/// ```
/// use millstream::state::aggregate::{Aggregate, quantiles};
///
/// let latency = quantiles([0.0, 0.5, 0.9], |ms: &f64| *ms);
/// let mut accumulator = Vec::new();
/// for ms in [4.0, 1.0, 2.0] {
///     latency.add(&mut accumulator, &ms);
/// }
/// assert_eq!(latency.finish(&accumulator), Some([1.0, 2.0, 3.6]));
/// ```
///
/// # Source
/// Between two values the result is interpolated: definition 7 of Hyndman and Fan, "Sample
/// quantiles in statistical packages", 1996, which R, NumPy and DuckDB's `quantile_cont` have too.
pub fn quantiles<T, V, F, const N: usize>(at: [f64; N], value: F) -> Quantiles<F, N>
where
    V: Into<Option<f64>>,
    F: Fn(&T) -> V + Clone + Send + 'static,
{
    Quantiles { at, value }
}

/// See [`median`].
#[derive(Clone, Copy, Debug)]
pub struct Median<F> {
    quantiles: Quantiles<F, 1>,
}

/// See [`quantiles`].
#[derive(Clone, Copy, Debug)]
pub struct Quantiles<F, const N: usize> {
    at: [f64; N],
    value: F,
}

impl<T, V, F> Aggregate<T> for Median<F>
where
    V: Into<Option<f64>>,
    F: Fn(&T) -> V + Clone + Send + 'static,
{
    type Accumulator = Vec<f64>;
    type Output = Option<f64>;

    #[inline]
    fn add(&self, accumulator: &mut Vec<f64>, record: &T) {
        self.quantiles.add(accumulator, record);
    }

    #[inline]
    fn merge(&self, into: &mut Vec<f64>, from: Vec<f64>) {
        self.quantiles.merge(into, from);
    }

    fn finish(&self, accumulator: &Vec<f64>) -> Option<f64> {
        self.quantiles.finish(accumulator).map(|[median]| median)
    }
}

impl<T, V, F, const N: usize> Aggregate<T> for Quantiles<F, N>
where
    V: Into<Option<f64>>,
    F: Fn(&T) -> V + Clone + Send + 'static,
{
    type Accumulator = Vec<f64>;
    type Output = Option<[f64; N]>;

    fn check(&self) -> Result<()> {
        check_quantiles(&self.at)
    }

    #[inline]
    fn add(&self, accumulator: &mut Vec<f64>, record: &T) {
        accumulator.extend((self.value)(record).into().filter(|value| !value.is_nan()));
    }

    #[inline]
    fn merge(&self, into: &mut Vec<f64>, mut from: Vec<f64>) {
        into.append(&mut from);
    }

    fn finish(&self, accumulator: &Vec<f64>) -> Option<[f64; N]> {
        if accumulator.is_empty() {
            return None;
        }
        let mut sorted = accumulator.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        Some(self.at.map(|quantile| interpolated(&sorted, quantile)))
    }
}

/// Refuses quantiles outside 0..=1.
pub(super) fn check_quantiles(at: &[f64]) -> Result<()> {
    match at.iter().find(|quantile| !(0.0..=1.0).contains(*quantile)) {
        Some(quantile) => Err(Error::new(
            ErrorKind::InvalidConfig,
            format!("quantile {quantile} is asked for; allowed: 0..=1"),
        )),
        None => Ok(()),
    }
}

/// The value at `quantile`, 0..=1, of ascending values, at least one.
fn interpolated(sorted: &[f64], quantile: f64) -> f64 {
    let place = quantile * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    let share = place.fract();
    // Two products, since the difference of two large values may be beyond `f64`; and not where
    // there is nothing between, since infinity times 0 is NaN.
    if low == high { low } else { low * (1.0 - share) + high * share }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of<const N: usize>(at: [f64; N], values: &[f64]) -> Option<[f64; N]> {
        let aggregate = quantiles(at, |value: &f64| *value);
        let mut accumulator = Vec::new();
        for value in values {
            aggregate.add(&mut accumulator, value);
        }
        aggregate.finish(&accumulator)
    }

    #[test]
    fn quantiles_are_those_of_numpy() {
        let values = [15.0, 20.0, 35.0, 40.0, 50.0];
        let seen = of([0.05, 0.3, 0.4, 0.5, 1.0], &values).expect("five values");
        for (seen, expected) in seen.iter().zip([16.0, 23.0, 29.0, 35.0, 50.0]) {
            assert!((seen - expected).abs() < 1e-12, "{seen} is not {expected}");
        }
    }

    #[test]
    fn median_of_an_even_count_lies_in_the_middle() {
        let middle = median(|value: &i32| f64::from(*value));
        assert_eq!(middle.finish(&vec![4.0, 1.0, 2.0, 9.0]), Some(3.0));
        assert_eq!(middle.finish(&Vec::new()), None);
    }

    #[test]
    fn infinity_and_large_values_stay_what_they_are() {
        let inf = f64::INFINITY;
        assert_eq!(of([0.0, 0.25, 1.0], &[-inf, -inf, inf]), Some([-inf, -inf, inf]));
        assert_eq!(of([0.5], &[f64::MIN, f64::MAX]), Some([0.0]));
        assert_eq!(of([0.5], &[3.0, inf, inf]), Some([inf]));
    }

    #[test]
    fn nan_and_unknown_values_are_left_out() {
        assert_eq!(of([0.5], &[f64::NAN]), None);
        assert_eq!(of([0.5], &[1.0, f64::NAN, 3.0]), Some([2.0]));
        let known = median(|value: &Option<f64>| *value);
        let mut accumulator = Vec::new();
        known.add(&mut accumulator, &None);
        known.add(&mut accumulator, &Some(2.0));
        assert_eq!(known.finish(&accumulator), Some(2.0));
    }

    #[test]
    fn quantiles_outside_0_to_1_are_an_error() {
        for wrong in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            let aggregate = quantiles([0.5, wrong], |value: &f64| *value);
            let error = aggregate.check().expect_err("it is outside").to_string();
            assert_eq!(error, format!("quantile {wrong} is asked for; allowed: 0..=1"));
        }
        quantiles([0.0, -0.0, 1.0], |value: &f64| *value).check().expect("the ends are inside");
    }
}
