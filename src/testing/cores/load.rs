//! Loads for the simulation of many cores: which share of the records each key has, tick by tick.

use std::f64::consts::TAU;
use std::fmt;
use std::str::FromStr;

use crate::error::{Error, ErrorKind, Result};
use crate::record::hash_key;
use crate::supervisor::Trace;

/// Ticks in a second.
pub(super) const TICKS_PER_S: u64 = 10;
/// Keys of the built-in loads.
const KEYS: usize = 100_000;
/// Skew under what drifts: the hottest key has 8 % of the records.
const DRIFT_EXPONENT: f64 = 1.0;
/// Every two seconds the hottest key goes cold, and all others move up by one rank.
const DRIFT_TICKS: u64 = 20;
/// Skew under what comes and goes: no key has more than 2.2 %.
const CALM_EXPONENT: f64 = 0.8;
/// A cold key takes this share of all records, within a second, for a third of the time.
const CROWD_SHARE: f64 = 0.3;
/// One half of the keys swings up while the other swings down, by this much around its mean.
const SWING: f64 = 0.8;
const SWING_TICKS: f64 = 100.0;
/// Two keys have this share by turns, half a second each.
const FLIP_SHARE: f64 = 0.2;
const FLIP_TICKS: u64 = 5;

/// A load by name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pattern {
    /// Key *k* has the weight (*k* + 1)^-S, all the time.
    Zipf(f64),
    /// The hottest key changes every two seconds.
    Drift,
    /// A cold key turns hot for a third of the time.
    FlashCrowd,
    /// Two halves of the keys swing against each other every ten seconds.
    Periodic,
    /// Two keys are hot by turns, half a second each.
    FlipFlop,
}

impl Pattern {
    /// Every load that the bars are about.
    pub const ALL: [Pattern; 11] = [
        Pattern::Zipf(0.8),
        Pattern::Zipf(1.0),
        Pattern::Zipf(1.2),
        Pattern::Zipf(1.4),
        Pattern::Zipf(1.6),
        Pattern::Zipf(1.8),
        Pattern::Zipf(2.0),
        Pattern::Drift,
        Pattern::FlashCrowd,
        Pattern::Periodic,
        Pattern::FlipFlop,
    ];

    /// Whether the load stays as it is.
    pub fn is_static(self) -> bool {
        matches!(self, Pattern::Zipf(_))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pattern::Zipf(exponent) => write!(f, "zipf:{exponent:.1}"),
            Pattern::Drift => f.write_str("drift"),
            Pattern::FlashCrowd => f.write_str("flash-crowd"),
            Pattern::Periodic => f.write_str("periodic"),
            Pattern::FlipFlop => f.write_str("flip-flop"),
        }
    }
}

impl FromStr for Pattern {
    type Err = Error;

    fn from_str(text: &str) -> Result<Pattern> {
        let zipf = text.strip_prefix("zipf:").and_then(|digits| digits.parse::<f64>().ok());
        match (text, zipf) {
            (_, Some(exponent)) if (0.0..=10.0).contains(&exponent) => Ok(Pattern::Zipf(exponent)),
            ("drift", _) => Ok(Pattern::Drift),
            ("flash-crowd", _) => Ok(Pattern::FlashCrowd),
            ("periodic", _) => Ok(Pattern::Periodic),
            ("flip-flop", _) => Ok(Pattern::FlipFlop),
            _ => Err(Error::new(
                ErrorKind::Usage,
                format!(
                    "load is `{text}`, not zipf:S with S 0..=10, drift, flash-crowd, periodic or \
                     flip-flop"
                ),
            )),
        }
    }
}

/// What arrives, tick by tick.
#[derive(Clone, Debug)]
pub(super) enum Load {
    Pattern { pattern: Pattern, weights: Vec<f64>, hashes: Vec<u64>, ticks: u64 },
    Trace(Trace),
}

impl Load {
    pub(super) fn of_pattern(pattern: Pattern, seed: u64, seconds: u64) -> Load {
        let exponent = match pattern {
            Pattern::Zipf(exponent) => exponent,
            Pattern::Drift => DRIFT_EXPONENT,
            Pattern::FlashCrowd | Pattern::Periodic => CALM_EXPONENT,
            Pattern::FlipFlop => 0.0,
        };
        let mut weights: Vec<f64> = (1..=KEYS).map(|rank| (rank as f64).powf(-exponent)).collect();
        let whole: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|weight| *weight /= whole);
        let hashes = (0..KEYS as u64).map(|key| hash_key(&(seed, key))).collect();
        Load::Pattern { pattern, weights, hashes, ticks: seconds * TICKS_PER_S }
    }

    /// The hash of every key.
    pub(super) fn hashes(&self) -> &[u64] {
        match self {
            Load::Pattern { hashes, .. } => hashes,
            Load::Trace(trace) => trace.hashes(),
        }
    }

    pub(super) fn ticks(&self) -> u64 {
        match self {
            Load::Pattern { ticks, .. } => *ticks,
            Load::Trace(trace) => trace.tick_count() as u64,
        }
    }

    /// Writes the share of every key at `tick` into `shares`, as parts of an average tick's
    /// records; `false` if they are those of the tick before.
    pub(super) fn fill(&self, tick: u64, shares: &mut Vec<f64>) -> bool {
        match self {
            Load::Trace(trace) => {
                trace.fill(tick as usize, shares);
                true
            }
            Load::Pattern { pattern, weights, ticks, .. } => {
                shares.resize(weights.len(), 0.0);
                fill_pattern(*pattern, weights, (tick, *ticks), shares)
            }
        }
    }

    /// The largest share of any key at any time.
    pub(super) fn hottest(&self) -> f64 {
        let mut shares = Vec::new();
        let mut hottest: f64 = 0.0;
        for tick in 0..self.ticks() {
            if self.fill(tick, &mut shares) || tick == 0 {
                hottest = shares.iter().copied().fold(hottest, f64::max);
            }
        }
        hottest
    }
}

fn fill_pattern(
    pattern: Pattern,
    weights: &[f64],
    (tick, ticks): (u64, u64),
    shares: &mut [f64],
) -> bool {
    let is_first = tick == 0;
    match pattern {
        Pattern::Zipf(_) => {
            if is_first {
                shares.copy_from_slice(weights);
            }
            is_first
        }
        Pattern::Drift => {
            let shift = (tick / DRIFT_TICKS) as usize % weights.len();
            let is_new = tick.is_multiple_of(DRIFT_TICKS);
            if is_new {
                let (hot, cold) = weights.split_at(weights.len() - shift);
                shares[shift..].copy_from_slice(hot);
                shares[..shift].copy_from_slice(cold);
            }
            is_new
        }
        Pattern::FlashCrowd => {
            let since = tick as f64 - (ticks / 3) as f64;
            let until = (2 * ticks / 3) as f64 - tick as f64;
            let ramp = TICKS_PER_S as f64;
            let share = CROWD_SHARE * (since.min(until) / ramp).clamp(0.0, 1.0);
            mix(weights, share, weights.len() / 2, shares);
            true
        }
        Pattern::Periodic => {
            let swing = SWING * (tick as f64 / SWING_TICKS * TAU).sin();
            let whole: f64 = shares_of_swing(weights, swing).sum();
            let swung = shares_of_swing(weights, swing);
            shares.iter_mut().zip(swung).for_each(|(share, swung)| *share = swung / whole);
            true
        }
        Pattern::FlipFlop => {
            let side = (tick / FLIP_TICKS) as usize % 2;
            mix(weights, FLIP_SHARE, side * weights.len() / 2, shares);
            tick.is_multiple_of(FLIP_TICKS)
        }
    }
}

/// One key takes `share`, the others what is left in their proportions.
fn mix(weights: &[f64], share: f64, key: usize, shares: &mut [f64]) {
    for (mixed, weight) in shares.iter_mut().zip(weights) {
        *mixed = weight * (1.0 - share);
    }
    shares[key] += share;
}

fn shares_of_swing(weights: &[f64], swing: f64) -> impl Iterator<Item = f64> + '_ {
    let factor = move |key: usize| if key.is_multiple_of(2) { 1.0 + swing } else { 1.0 - swing };
    weights.iter().enumerate().map(move |(key, weight)| weight * factor(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_every_load_make_one_at_every_tick() {
        for pattern in Pattern::ALL {
            let load = Load::of_pattern(pattern, 1, 30);
            let mut shares = Vec::new();
            for tick in 0..load.ticks() {
                load.fill(tick, &mut shares);
                let whole: f64 = shares.iter().sum();
                assert!((whole - 1.0).abs() < 1e-9, "{pattern} at {tick}: {whole}");
            }
        }
    }

    #[test]
    fn hottest_keys_change_where_they_should() {
        let hottest = |pattern, tick| {
            let load = Load::of_pattern(pattern, 1, 30);
            let mut shares = Vec::new();
            (0..=tick).for_each(|tick| _ = load.fill(tick, &mut shares));
            (0..shares.len()).max_by(|a, b| shares[*a].total_cmp(&shares[*b])).expect("keys")
        };
        assert_eq!([hottest(Pattern::Drift, 19), hottest(Pattern::Drift, 21)], [0, 1]);
        assert_eq!([hottest(Pattern::FlipFlop, 4), hottest(Pattern::FlipFlop, 5)], [0, KEYS / 2]);
        assert_eq!(hottest(Pattern::FlashCrowd, 99), 0);
        assert_eq!(hottest(Pattern::FlashCrowd, 150), KEYS / 2);
        let crowd = Load::of_pattern(Pattern::FlashCrowd, 1, 30).hottest();
        assert!((crowd - CROWD_SHARE).abs() < 1e-3, "{crowd}");
    }

    #[test]
    fn names_of_loads_are_read_back() {
        for pattern in Pattern::ALL {
            assert_eq!(pattern.to_string().parse::<Pattern>().expect("its own name"), pattern);
        }
        for wrong in ["zipf", "zipf:", "zipf:-1", "zipf:11", "zipf:NaN", "flood", ""] {
            let error = wrong.parse::<Pattern>().expect_err(wrong);
            assert!(error.to_string().starts_with("load is `"), "{error}");
        }
    }
}
