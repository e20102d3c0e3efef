//! `distinct_sketch`: about how many different values, in a few kilobytes.
//!
//! HyperLogLog over the crate's stable hash (63 bits vary): the top *p* bits choose one of 2^*p*
//! registers, which keeps the largest rank seen, the place of the highest bit set among the rest.
//! While the values are few, their hashes are kept instead, which is exact and smaller. Which of
//! the two it is depends on the set of hashes only, so any split and order gives the same state.

use std::hash::Hash;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::record::hash_key;
use crate::state::aggregate::Aggregate;

/// The precision of a sketch that is not told another.
const PRECISION: u32 = 12;

/// Registers, of a byte each, for one hash of eight: as many hashes take half their room.
const REGISTERS_PER_HASH: usize = 16;

/// About how many different values `value(record)` has had.
///
/// Exact up to 256 values; beyond, the standard error is 1.6 % (1.04 / √2¹²), so that 99 % of
/// results are within 4.2 %. [`precision`](DistinctSketch::precision) sets another one. The state
/// takes up to 4 KiB, and for few values 8 bytes for each.
/// [`count_distinct`](crate::state::aggregate::count_distinct) is exact and keeps all values.
///
/// The hash is [`hash_key`], which is no defence against values that are chosen to deceive it.
///
/// ```
/// use millstream::state::aggregate::{Aggregate, distinct_sketch};
///
/// let visitors = distinct_sketch(|address: &String| address.clone());
/// let mut accumulator = Default::default();
/// for n in 0..100_000 {
///     visitors.add(&mut accumulator, &format!("10.0.{}.{}", n % 40, n % 250));
/// }
/// let about = visitors.finish(&accumulator);
/// assert!((950..=1_050).contains(&about), "{about}"); // 1,000
/// ```
///
/// # Source
/// Flajolet, Fusy, Gandouet, Meunier, "HyperLogLog", 2007; the estimate, which needs no tables of
/// bias, from Ertl, "New cardinality estimation algorithms for HyperLogLog sketches", 2017.
pub fn distinct_sketch<T, V, F>(value: F) -> DistinctSketch<F>
where
    V: Hash,
    F: Fn(&T) -> V + Clone + Send + 'static,
{
    DistinctSketch { precision: PRECISION, value }
}

/// See [`distinct_sketch`].
#[derive(Clone, Copy, Debug)]
pub struct DistinctSketch<F> {
    precision: u32,
    value: F,
}

impl<F> DistinctSketch<F> {
    /// Sets the precision *p*, 4..=18; 12 where it is not set. The standard error is 1.04 / √2^*p*,
    /// the state takes up to 2^*p* bytes, and up to 2^*p* / 16 values are counted exactly. Sketches
    /// of two precisions do not merge, so state that was stored under another one cannot be gone on
    /// with.
    ///
    /// ```
    /// # use millstream::state::aggregate::distinct_sketch;
    /// // 0.4 % in 64 KiB.
    /// let visitors = distinct_sketch(|address: &String| address.clone()).precision(16);
    /// ```
    #[must_use]
    pub fn precision(self, precision: u32) -> Self {
        DistinctSketch { precision, ..self }
    }

    fn registers(&self) -> usize {
        1 << self.precision
    }

    /// Takes one hash in; goes over to registers where they are too many.
    #[inline]
    fn insert(&self, into: &mut Hashes, hash: u64) {
        match into {
            Hashes::Few(hashes) => {
                let Err(place) = hashes.binary_search(&hash) else { return };
                hashes.insert(place, hash);
                if hashes.len() > self.registers() / REGISTERS_PER_HASH {
                    *into = Hashes::Many(self.ranked(hashes));
                }
            }
            Hashes::Many(ranks) => raise(ranks, hash),
        }
    }

    /// The registers after `hashes`.
    fn ranked(&self, hashes: &[u64]) -> Vec<u8> {
        let mut ranks = vec![0; self.registers()];
        for hash in hashes {
            raise(&mut ranks, *hash);
        }
        ranks
    }
}

/// What a [`DistinctSketch`] keeps of the values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hashes {
    /// Their hashes, ascending.
    Few(Vec<u64>),
    /// By register, the largest rank of their hashes, 0 for none; as many as a power of two.
    Many(Vec<u8>),
}

impl Default for Hashes {
    fn default() -> Self {
        Hashes::Few(Vec::new())
    }
}

impl<T, V, F> Aggregate<T> for DistinctSketch<F>
where
    V: Hash,
    F: Fn(&T) -> V + Clone + Send + 'static,
{
    type Accumulator = Hashes;
    type Output = u64;

    fn check(&self) -> Result<()> {
        match self.precision {
            4..=18 => Ok(()),
            other => Err(Error::new(
                ErrorKind::InvalidConfig,
                format!("precision of a distinct_sketch is {other}; allowed: 4..=18"),
            )),
        }
    }

    #[inline]
    fn add(&self, accumulator: &mut Hashes, record: &T) {
        self.insert(accumulator, hash_key(&(self.value)(record)));
    }

    fn merge(&self, into: &mut Hashes, mut from: Hashes) {
        if matches!(into, Hashes::Few(_)) {
            std::mem::swap(into, &mut from);
        }
        match (into, from) {
            (into, Hashes::Few(hashes)) => {
                hashes.into_iter().for_each(|hash| self.insert(into, hash));
            }
            (Hashes::Many(into), Hashes::Many(from)) => {
                assert_eq!(into.len(), from.len(), "sketches of one aggregate have one precision");
                into.iter_mut().zip(from).for_each(|(into, from)| *into = from.max(*into));
            }
            (Hashes::Few(_), Hashes::Many(_)) => unreachable!("they have changed places"),
        }
    }

    fn finish(&self, accumulator: &Hashes) -> u64 {
        match accumulator {
            Hashes::Few(hashes) => hashes.len() as u64,
            Hashes::Many(ranks) => estimate(ranks).round() as u64,
        }
    }
}

/// Bits of a hash that choose no register, of which the lowest is always 1 and says nothing.
fn rank_bits(registers: usize) -> u32 {
    63 - registers.trailing_zeros()
}

/// Keeps the rank of `hash` in its register.
#[inline]
fn raise(ranks: &mut [u8], hash: u64) {
    let bits = rank_bits(ranks.len());
    let register = (hash >> (bits + 1)) as usize;
    // The bit that is always 1 ends the run of zeros, so the rank is at most bits + 1.
    let rank = (hash << (63 - bits)).leading_zeros() as u8 + 1;
    ranks[register] = ranks[register].max(rank);
}

/// Ertl's improved estimate from the ranks of all registers.
fn estimate(ranks: &[u8]) -> f64 {
    let registers = ranks.len() as f64;
    let bits = rank_bits(ranks.len()) as usize;
    let mut counts = [0u32; 65];
    for rank in ranks {
        counts[usize::from(*rank)] += 1;
    }
    let mut sum = registers * tau(1.0 - f64::from(counts[bits + 1]) / registers);
    for rank in (1..=bits).rev() {
        sum = 0.5 * (sum + f64::from(counts[rank]));
    }
    sum += registers * sigma(f64::from(counts[0]) / registers);
    registers * registers / (2.0 * std::f64::consts::LN_2 * sum)
}

/// Corrects for registers that no value has reached: x + Σ x^(2^k) 2^(k−1), for x within 0..1.
fn sigma(x: f64) -> f64 {
    let (mut power, mut factor, mut sum) = (x, 1.0, x);
    loop {
        power *= power;
        let before = sum;
        sum += power * factor;
        factor += factor;
        if sum == before {
            return sum;
        }
    }
}

/// Corrects for registers at the highest rank: (1 − x − Σ (1 − x^(2^−k))² 2^−k) / 3.
fn tau(x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut root, mut factor, mut sum) = (x, 1.0, 1.0 - x);
    loop {
        root = root.sqrt();
        let before = sum;
        factor *= 0.5;
        sum -= (1.0 - root) * (1.0 - root) * factor;
        if sum == before {
            return sum / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(precision: u32, values: impl Iterator<Item = u64>) -> u64 {
        let aggregate = distinct_sketch(|value: &u64| *value).precision(precision);
        let mut accumulator = Hashes::default();
        for value in values {
            aggregate.add(&mut accumulator, &value);
        }
        Aggregate::<u64>::finish(&aggregate, &accumulator)
    }

    #[test]
    fn few_values_are_counted_exactly() {
        for count in [0, 1, 2, 255, 256] {
            assert_eq!(of(12, (0..count).chain(0..count)), count);
        }
    }

    // The root of the mean square over 60 sets has a standard deviation of 9 % of itself.
    #[test]
    fn standard_error_is_as_promised_at_every_size() {
        for (precision, sizes) in [(4, [2, 50, 10_000]), (12, [257, 4_000, 100_000])] {
            let promised = 1.04 / f64::from(1u32 << precision).sqrt();
            for size in sizes {
                let squares = (0..60u64).map(|set| {
                    let about = of(precision, (0..size).map(|value| (set << 40) + value));
                    (about as f64 / size as f64 - 1.0).powi(2)
                });
                let error = (squares.sum::<f64>() / 60.0).sqrt();
                assert!(error < 1.3 * promised, "2^{precision} registers, {size} values: {error}");
            }
        }
    }

    #[test]
    fn every_register_and_rank_can_be_reached_and_no_other() {
        let mut ranks = vec![0; 16];
        raise(&mut ranks, 1);
        assert_eq!(ranks[0], 60);
        raise(&mut ranks, u64::MAX);
        assert_eq!(ranks[15], 1);
        assert!(estimate(&[60; 16]).is_infinite());
    }

    #[test]
    fn precision_out_of_range_is_an_error() {
        for wrong in [0, 3, 19, 64] {
            let sketch = distinct_sketch(|value: &u64| *value).precision(wrong);
            let error = Aggregate::<u64>::check(&sketch).expect_err("out of range").to_string();
            assert_eq!(
                error,
                format!("precision of a distinct_sketch is {wrong}; allowed: 4..=18")
            );
        }
    }
}
