//! Draws that the simulation of many cores needs.

use std::f64::consts::TAU;

use crate::testing::Random;

/// Above this mean a Poisson draw is a rounded normal one: off by less than it jitters.
const NORMAL_FROM: f64 = 30.0;

/// A number of events when `mean` are expected.
pub(super) fn poisson(random: &mut Random, mean: f64) -> f64 {
    if mean >= NORMAL_FROM {
        return (mean + mean.sqrt() * normal(random)).round().max(0.0);
    }
    let limit = (-mean).exp();
    let mut product = unit(random);
    let mut events = 0.0;
    while product > limit {
        product *= unit(random);
        events += 1.0;
    }
    events
}

fn normal(random: &mut Random) -> f64 {
    let (one, other) = (unit(random), unit(random));
    (-2.0 * one.ln()).sqrt() * (other * TAU).cos()
}

/// In (0, 1].
fn unit(random: &mut Random) -> f64 {
    ((random.draw() >> 11) + 1) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poisson_draws_have_the_mean_and_the_spread_they_should() {
        for mean in [0.0, 0.3, 4.0, 29.0, 31.0, 4_000.0] {
            let mut random = Random::seeded(3);
            let draws: Vec<f64> = (0..20_000).map(|_| poisson(&mut random, mean)).collect();
            let average = draws.iter().sum::<f64>() / 20_000.0;
            let spread = draws.iter().map(|draw| (draw - average).powi(2)).sum::<f64>() / 20_000.0;
            let slack = 0.05 * mean + 1e-9;
            assert!((average - mean).abs() <= slack, "{average} for {mean}");
            assert!((spread - mean).abs() <= 2.0 * slack, "{spread} for {mean}");
        }
    }
}
