//! `quantile_sketch`: quantiles within a relative error, in a few kilobytes.

use serde::{Deserialize, Serialize};
use sketches_ddsketch::{Config, DDSketch};

use crate::error::{Error, ErrorKind, Result};
use crate::state::aggregate::Aggregate;
use crate::state::aggregate::quantiles::check_quantiles;

/// The relative error of a sketch that is not told another.
const ACCURACY: f64 = 0.01;

/// Values whose magnitudes are further apart than this share the lowest bin.
const SPAN: f64 = 1e18;

/// The quantiles `at` (each within 0..=1, or it is an error before the start) of `value(record)`,
/// in the order of `at`, within 1 % or [`accuracy`](QuantileSketch::accuracy); `None` while no
/// value is known. `value` returns an `f64`, or an `Option<f64>` whose `None` is unknown and left
/// out, as NaN is. Infinity counts as the largest finite value.
///
/// The error is that of the value: of *n* values the result for *q* is within 1 % of the one that
/// has ⌊*q* (*n* − 1)⌋ below it. 0 and 1 give the smallest and the largest exactly. Magnitudes
/// below 10⁻¹⁸ of the largest (of the same sign) count as that; those below 2.3 · 10⁻³⁰⁸ as 0.
///
/// The state takes 1 to 17 KiB for each sign that values have, by the span of their magnitudes; at
/// other accuracies in proportion. [`quantiles`](crate::state::aggregate::quantiles) keeps all
/// values instead.
///
/// ```
/// use millstream::state::aggregate::{Aggregate, quantile_sketch};
///
/// let latency = quantile_sketch([0.5, 1.0], |ms: &f64| *ms);
/// let mut accumulator = Default::default();
/// for ms in 0..=1_000 {
///     latency.add(&mut accumulator, &f64::from(ms));
/// }
/// let [median, longest] = latency.finish(&accumulator).expect("there are values");
/// assert!((495.0..=505.0).contains(&median));
/// assert_eq!(longest, 1_000.0);
/// ```
///
/// # Source
/// Masson, Rim, Lee, "DDSketch: a fast and fully-mergeable quantile sketch with relative-error
/// guarantees", VLDB 2019.
pub fn quantile_sketch<T, V, F, const N: usize>(at: [f64; N], value: F) -> QuantileSketch<F, N>
where
    V: Into<Option<f64>>,
    F: Fn(&T) -> V + Clone + Send + 'static,
{
    QuantileSketch { at, accuracy: ACCURACY, value }
}

/// See [`quantile_sketch`].
#[derive(Clone, Copy, Debug)]
pub struct QuantileSketch<F, const N: usize> {
    at: [f64; N],
    accuracy: f64,
    value: F,
}

impl<F, const N: usize> QuantileSketch<F, N> {
    /// Sets the relative error, 0.0001..=0.5; 0.01 where it is not set. Sketches of two accuracies
    /// do not merge, so state that was stored under another one cannot be gone on with.
    ///
    /// ```
    /// # use millstream::state::aggregate::quantile_sketch;
    /// let latency = quantile_sketch([0.99], |ms: &f64| *ms).accuracy(0.002);
    /// ```
    #[must_use]
    pub fn accuracy(self, accuracy: f64) -> Self {
        QuantileSketch { accuracy, ..self }
    }

    fn empty(&self) -> Box<DDSketch> {
        let gamma = (1.0 + self.accuracy) / (1.0 - self.accuracy);
        let bins = (SPAN.ln() / gamma.ln()).ceil() as u32;
        Box::new(DDSketch::new(Config::new(self.accuracy, bins, f64::MIN_POSITIVE)))
    }
}

/// How many values fell into which bin.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Bins {
    /// In a box, since it is 200 bytes beside its bins; `None` before the first value, since an
    /// empty one holds infinities that not every format can store.
    sketch: Option<Box<DDSketch>>,
}

impl<T, V, F, const N: usize> Aggregate<T> for QuantileSketch<F, N>
where
    V: Into<Option<f64>>,
    F: Fn(&T) -> V + Clone + Send + 'static,
{
    type Accumulator = Bins;
    type Output = Option<[f64; N]>;

    fn check(&self) -> Result<()> {
        if !(0.0001..=0.5).contains(&self.accuracy) {
            let accuracy = self.accuracy;
            return Err(Error::new(
                ErrorKind::InvalidConfig,
                format!("accuracy of a quantile_sketch is {accuracy}; allowed: 0.0001..=0.5"),
            ));
        }
        check_quantiles(&self.at)
    }

    #[inline]
    fn add(&self, accumulator: &mut Bins, record: &T) {
        if let Some(value) = (self.value)(record).into().filter(|value| !value.is_nan()) {
            let sketch = accumulator.sketch.get_or_insert_with(|| self.empty());
            // The index of infinity's bin would be out of range.
            sketch.add(value.clamp(f64::MIN, f64::MAX));
        }
    }

    fn merge(&self, into: &mut Bins, from: Bins) {
        match (&mut into.sketch, from.sketch) {
            (_, None) => {}
            (into @ None, from) => *into = from,
            (Some(into), Some(from)) => {
                into.merge(&from).expect("sketches of one aggregate have one accuracy");
            }
        }
    }

    fn finish(&self, accumulator: &Bins) -> Option<[f64; N]> {
        let sketch = accumulator.sketch.as_ref()?;
        let (low, high) = (sketch.min()?, sketch.max()?);
        Some(self.at.map(|quantile| {
            let value = sketch.quantile(quantile).expect("quantiles are checked before the start");
            // The middle of the outermost bins may lie beyond the outermost values.
            value.expect("the sketch has a value").clamp(low, high)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::aggregate::quantiles;

    fn of<const N: usize>(at: [f64; N], values: &[f64]) -> Option<[f64; N]> {
        let aggregate = quantile_sketch(at, |value: &f64| *value);
        let mut accumulator = Bins::default();
        for value in values {
            aggregate.add(&mut accumulator, value);
        }
        aggregate.finish(&accumulator)
    }

    #[test]
    fn the_ends_are_exact_and_nothing_is_none() {
        assert_eq!(of([0.5], &[]), None);
        assert_eq!(of([0.5], &[f64::NAN]), None);
        assert_eq!(of([0.0, 0.5, 1.0], &[7.0]), Some([7.0; 3]));
        assert_eq!(of([0.0, 1.0], &[-3.0, f64::NAN, 0.0, 5.0]), Some([-3.0, 5.0]));
    }

    #[test]
    fn infinite_and_tiny_values_are_counted() {
        let extremes = [f64::INFINITY, f64::NEG_INFINITY, f64::MIN_POSITIVE / 4.0, 0.0, 1.0];
        let [low, middle, high] = of([0.0, 0.5, 1.0], &extremes).expect("five values");
        assert_eq!((low, middle, high), (f64::MIN, 0.0, f64::MAX));
    }

    #[test]
    fn values_beyond_the_span_take_the_lowest_bin() {
        let [low, high] = of([0.25, 0.75], &[1e-100, 1e-90, 1e100, 1e100]).expect("four values");
        assert!((1e-100..1e83).contains(&low), "{low}");
        assert!((high / 1e100 - 1.0).abs() <= ACCURACY, "{high}");
    }

    #[test]
    fn finer_accuracy_is_closer() {
        let values: Vec<f64> = (1..=10_000).map(|value| f64::from(value).powi(3)).collect();
        let at = [0.01, 0.25, 0.5, 0.75, 0.999];
        let exact = quantiles(at, |value: &f64| *value).finish(&values).expect("values");
        for accuracy in [0.0001, 0.001, 0.01, 0.1] {
            let aggregate = quantile_sketch(at, |value: &f64| *value).accuracy(accuracy);
            Aggregate::<f64>::check(&aggregate).expect("it is allowed");
            let mut accumulator = Bins::default();
            values.iter().for_each(|value| aggregate.add(&mut accumulator, value));
            let sketched = Aggregate::<f64>::finish(&aggregate, &accumulator).expect("values");
            for (sketched, exact) in sketched.iter().zip(exact) {
                // What is interpolated lies within 3 % ... 0.03 % of the value below.
                let off = (sketched / exact - 1.0).abs();
                assert!(off <= accuracy + 0.03, "{sketched} is not {exact} within {accuracy}");
            }
        }
    }

    #[test]
    fn accuracy_and_quantiles_out_of_range_are_an_error() {
        let sketch = quantile_sketch([0.5], |value: &f64| *value);
        for wrong in [0.0, -0.1, 0.6, f64::NAN, 1e-9] {
            let error = sketch.accuracy(wrong).check().expect_err("out of range").to_string();
            assert!(error.ends_with("; allowed: 0.0001..=0.5"), "{error}");
        }
        let error = quantile_sketch([2.0], |value: &f64| *value).check().expect_err("it is 2");
        assert_eq!(error.to_string(), "quantile 2 is asked for; allowed: 0..=1");
    }
}
