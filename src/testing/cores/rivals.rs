//! What others do about hot keys: hash and leave it, two choices, and more choices for the hottest.
//!
//! # Source
//! Partial key grouping: Nasir et al., "The power of both choices", ICDE 2015. D-Choices: Nasir et
//! al., "When two choices are not enough", ICDE 2016. Both are given their best shape: every
//! feeder knows the true loads of all partitions, of this very tick.

use crate::record::hash_key;
use crate::testing::cores::costs::{PARTIAL_NS, PARTIALS_PER_S};

/// Imbalance that D-Choices is set to tolerate, as its authors do.
const TOLERANCE: f64 = 1e-4;

/// How keys are split over partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Split {
    /// Every key goes to one of two partitions, record by record.
    Pairs,
    /// So do cold keys; hot ones have as many choices as it takes.
    Choices,
}

/// What splitting comes to.
#[derive(Debug)]
pub(super) struct Spread {
    /// Share of the records by partition.
    pub(super) shares: Vec<f64>,
    /// Core time per second that merging the partials takes, all partitions together.
    pub(super) merging: f64,
}

/// Splits the records of keys over `partitions`.
///
/// * `shares` - of every key; `hashes` - likewise.
/// * `records_per_s` - of all keys together.
pub(super) fn spread(
    split: Split,
    (shares, hashes): (&[f64], &[u64]),
    partitions: usize,
    records_per_s: f64,
) -> Spread {
    let mut order: Vec<u32> = (0..shares.len() as u32).collect();
    order.sort_unstable_by(|a, b| shares[*b as usize].total_cmp(&shares[*a as usize]));
    let head = match split {
        Split::Pairs => 0,
        Split::Choices => head_len(&order, shares, partitions),
    };
    let choices = choices(&order[..head], shares, partitions);
    let mut spread = Spread { shares: vec![0.0; partitions], merging: 0.0 };
    for (rank, key) in order.iter().enumerate() {
        let (share, hash) = (shares[*key as usize], hashes[*key as usize]);
        let parts = if rank < head {
            pour(&mut spread.shares, share, hash, choices)
        } else {
            pour_pair(&mut spread.shares, share, hash)
        };
        // Each part sends a partial per flush, if it has had a record.
        let records = share * records_per_s;
        let partials = records.min(parts as f64 * PARTIALS_PER_S);
        spread.merging += partials * PARTIAL_NS / 1e9;
    }
    spread
}

/// Keys with more than 1/(5 n) of the records are the head.
fn head_len(order: &[u32], shares: &[f64], partitions: usize) -> usize {
    let least = 1.0 / (5.0 * partitions as f64);
    order.partition_point(|key| shares[*key as usize] > least)
}

/// The fewest choices for the head with which no prefix of it overflows the partitions that it
/// may use: the condition of the authors, section 4.
fn choices(head: &[u32], shares: &[f64], partitions: usize) -> usize {
    let n = partitions as f64;
    let of_head: Vec<f64> = head.iter().map(|key| shares[*key as usize]).collect();
    let whole: f64 = of_head.iter().sum();
    let tail = 1.0 - whole;
    let first = of_head.first().map_or(2.0, |share| (share * n).ceil().max(2.0)) as usize;
    (first..partitions)
        .find(|d| {
            let mut prefix = 0.0;
            of_head.iter().enumerate().all(|(index, share)| {
                prefix += share;
                let used = n - n * ((n - 1.0) / n).powf((index + 1) as f64 * *d as f64);
                let part = used / n;
                let load = prefix + part.powi(*d as i32) * (whole - prefix) + part.powi(2) * tail;
                load <= part + TOLERANCE
            })
        })
        .unwrap_or(partitions)
}

/// Pours a hot key's share over `choices` partitions, the emptiest first; how many got some.
fn pour(loads: &mut [f64], share: f64, hash: u64, choices: usize) -> usize {
    let mut targets: Vec<usize> = match choices == loads.len() {
        true => (0..loads.len()).collect(),
        false => (0..choices as u64).map(|choice| target(hash, choice, loads.len())).collect(),
    };
    targets.sort_unstable();
    targets.dedup();
    targets.sort_by(|a, b| loads[*a].total_cmp(&loads[*b]));
    let mut level = 0.0;
    let mut used = 0;
    let mut sum = 0.0;
    // The level to which the emptiest `used` rise when they share all of it.
    for target in &targets {
        if used > 0 && loads[*target] >= level {
            break;
        }
        sum += loads[*target];
        used += 1;
        level = (sum + share) / used as f64;
    }
    targets[..used].iter().for_each(|target| loads[*target] = level);
    used
}

/// Pours a share over a key's two partitions so that they end as even as it allows.
fn pour_pair(loads: &mut [f64], share: f64, hash: u64) -> usize {
    let (one, other) = (target(hash, 0, loads.len()), target(hash, 1, loads.len()));
    if one == other {
        loads[one] += share;
        return 1;
    }
    let to_one = ((loads[other] - loads[one] + share) / 2.0).clamp(0.0, share);
    loads[one] += to_one;
    loads[other] += share - to_one;
    1 + usize::from(to_one > 0.0 && to_one < share)
}

fn target(hash: u64, choice: u64, partitions: usize) -> usize {
    let mixed = hash_key(&(hash, choice));
    ((u128::from(mixed) * partitions as u128) >> 64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zipf(exponent: f64) -> (Vec<f64>, Vec<u64>) {
        let weights: Vec<f64> = (1..=10_000).map(|rank| f64::from(rank).powf(-exponent)).collect();
        let whole: f64 = weights.iter().sum();
        (
            weights.iter().map(|weight| weight / whole).collect(),
            (0..10_000u64).map(|k| hash_key(&k)).collect(),
        )
    }

    fn ratio(split: Split, exponent: f64, partitions: usize) -> f64 {
        let (shares, hashes) = zipf(exponent);
        let spread = spread(split, (&shares, &hashes), partitions, 1e6);
        assert!((spread.shares.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        spread.shares.iter().copied().fold(0.0, f64::max) * partitions as f64
    }

    #[test]
    fn two_choices_even_out_what_is_not_too_hot_and_halve_what_is() {
        assert!(ratio(Split::Pairs, 0.8, 8) < 1.001);
        let (shares, _) = zipf(2.0);
        let half = shares[0] / 2.0 * 64.0;
        assert!((ratio(Split::Pairs, 2.0, 64) - half).abs() < half * 0.1);
    }

    #[test]
    fn more_choices_even_out_what_two_cannot() {
        for exponent in [1.0, 1.4, 2.0] {
            let ratio = ratio(Split::Choices, exponent, 64);
            assert!(ratio < 1.2, "zipf {exponent}: {ratio}");
        }
    }

    #[test]
    fn merging_costs_by_flush_and_never_more_than_a_partial_per_record() {
        let (shares, hashes) = zipf(0.0);
        let slow = spread(Split::Pairs, (&shares, &hashes), 4, 1e3).merging;
        assert!((slow - 1e3 * PARTIAL_NS / 1e9).abs() < 1e-9);
        let fast = spread(Split::Pairs, (&shares, &hashes), 4, 1e12).merging;
        assert!(fast <= 2.0 * 1e4 * PARTIALS_PER_S * PARTIAL_NS / 1e9);
    }
}
