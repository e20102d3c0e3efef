//! An average that follows: how costs that jitter from tick to tick become a demand.

/// How much an ordinary observation counts.
const WEIGHT: f64 = 0.4;
/// How much one counts that is far off: that is no jitter, the load has changed.
const WEIGHT_WHEN_FAR: f64 = 0.8;
/// Far off: more than three times the average, or less than a third of it.
const FAR: f64 = 3.0;
/// What was sampled must be off by so many standard deviations besides.
const FAR_DEVIATIONS: f64 = 4.0;

/// The exponential average of what was observed once a tick.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Average {
    value: f64,
    is_started: bool,
}

impl Average {
    /// Variance of the average over that of what is observed, once it has followed for a while.
    pub const VARIANCE: f64 = WEIGHT / (2.0 - WEIGHT);

    /// Takes one observation in, and returns the average.
    pub fn observe(&mut self, observed: f64) -> f64 {
        self.observe_sample(observed, 0.0)
    }

    /// Takes one observation in that is a count of samples, each of which stands for `grain`, and
    /// returns the average. Few samples are far off by chance, and more often below than above.
    pub fn observe_sample(&mut self, observed: f64, grain: f64) -> f64 {
        if !self.is_started {
            *self = Average { value: observed, is_started: true };
            return observed;
        }
        let (off, highest) = (observed - self.value, observed.max(self.value));
        let is_far = (observed > self.value * FAR || observed * FAR < self.value)
            && off * off > FAR_DEVIATIONS * FAR_DEVIATIONS * grain * highest;
        let weight = if is_far { WEIGHT_WHEN_FAR } else { WEIGHT };
        self.value += weight * (observed - self.value);
        self.value
    }

    /// Moves the average by what has gone or come for good, such as a key that has got a route of
    /// its own and is no part of its group any more. Never below 0.
    pub fn shift(&mut self, by: f64) {
        self.value = (self.value + by).max(0.0);
    }

    /// The average; 0 before the first observation.
    pub fn value(&self) -> f64 {
        self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_observation_is_the_average() {
        let mut average = Average::default();
        assert_eq!(average.value(), 0.0);
        assert_eq!(average.observe(5.0), 5.0);
    }

    #[test]
    fn jitter_is_damped_and_a_jump_is_followed() {
        let mut average = Average::default();
        average.observe(100.0);
        assert!((average.observe(110.0) - 104.0).abs() < 1e-9);
        assert!((average.observe(1_104.0) - 904.0).abs() < 1e-9);
        assert!((average.observe(4.0) - 184.0).abs() < 1e-9);
    }

    #[test]
    fn what_has_gone_for_good_is_forgotten_at_once() {
        let mut average = Average::default();
        average.observe(100.0);
        average.shift(-90.0);
        assert!((average.value() - 10.0).abs() < 1e-9);
        average.shift(-90.0);
        assert_eq!(average.value(), 0.0);
    }

    #[test]
    fn silence_brings_the_average_to_nothing() {
        let mut average = Average::default();
        average.observe(1e9);
        (0..20).for_each(|_| _ = average.observe(0.0));
        assert!(average.value() < 1.0);
    }
}
