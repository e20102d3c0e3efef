//! Which keys weigh most, in 64 counters, however many keys there are.
//!
//! # Method
//! Space-Saving (Metwally, Agrawal, El Abbadi: "Efficient computation of frequent and top-k
//! elements in data streams", ICDT 2005), with weights. A key that has no counter takes over the
//! lightest one with all its weight, which from then on is the error of the new owner. Merging:
//! Agarwal et al., "Mergeable summaries", PODS 2012.

/// Counters of a sketch. Keys with more than 1/64 of the weight are found without exception.
pub const COUNTERS: usize = 64;

// A set of counters is a word.
const _: () = assert!(COUNTERS == u64::BITS as usize);

/// The heaviest keys of a stream of (key hash, weight), with bounds.
///
/// * Every key with more than `total / 64` of the weight has a counter.
/// * `weight - error <= true weight <= weight`, and `error <= total / 64`.
///
/// Adding costs a pass over 512 bytes, and allocates nothing. Owned by one partition.
#[derive(Clone, Debug)]
pub struct SpaceSaving {
    // One array each, so that the search for a hash is a plain compare of vectors. 0 is free.
    hashes: [u64; COUNTERS],
    weights: [u64; COUNTERS],
    errors: [u64; COUNTERS],
    len: usize,
    total: u64,
    /// Some of the lightest counters, a bit each. Equal weights (the long tail) share one search.
    lightest: u64,
}

/// What the sketch says about one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heavy {
    /// The key's hash.
    pub hash: u64,
    /// At most this weight was added for it.
    pub weight: u64,
    /// At least `weight - error` was.
    pub error: u64,
}

impl SpaceSaving {
    /// A sketch of an empty stream.
    pub fn new() -> SpaceSaving {
        SpaceSaving {
            hashes: [0; COUNTERS],
            weights: [0; COUNTERS],
            errors: [0; COUNTERS],
            len: 0,
            total: 0,
            lightest: 0,
        }
    }

    /// Adds `weight` to the key with this hash, which is not 0.
    #[inline]
    pub fn add(&mut self, hash: u64, weight: u64) {
        debug_assert!(hash != 0, "0 stands for a free counter; no key hashes to it");
        self.total = self.total.saturating_add(weight);
        let index = match self.position(hash) {
            Some(index) => index,
            None => self.take_counter(hash),
        };
        self.weights[index] = self.weights[index].saturating_add(weight);
        self.lightest &= !(1 << index);
    }

    /// All weight that was added.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The keys that have a counter, heaviest first; among equals the smaller hash.
    pub fn heaviest(&self) -> Vec<Heavy> {
        let mut keys: Vec<Heavy> = (0..self.len)
            .map(|i| Heavy { hash: self.hashes[i], weight: self.weights[i], error: self.errors[i] })
            .collect();
        keys.sort_unstable_by_key(|key| (std::cmp::Reverse(key.weight), key.hash));
        keys
    }

    /// Adds everything that `other` has seen; the bounds hold for both streams together.
    pub fn merge(&mut self, other: &SpaceSaving) {
        let mut keys = self.heaviest();
        let (floor, others_floor) = (self.floor(), other.floor());
        for key in &mut keys {
            let (weight, error) = match other.position(key.hash) {
                Some(index) => (other.weights[index], other.errors[index]),
                None => (others_floor, others_floor),
            };
            key.weight = key.weight.saturating_add(weight);
            key.error = key.error.saturating_add(error);
        }
        let unknown = other.heaviest().into_iter().filter(|key| self.position(key.hash).is_none());
        keys.extend(unknown.map(|key| Heavy {
            hash: key.hash,
            weight: key.weight.saturating_add(floor),
            error: key.error.saturating_add(floor),
        }));
        keys.sort_unstable_by_key(|key| (std::cmp::Reverse(key.weight), key.hash));
        keys.truncate(COUNTERS);
        let total = self.total.saturating_add(other.total);
        *self = SpaceSaving { total, len: keys.len(), ..SpaceSaving::new() };
        for (index, key) in keys.into_iter().enumerate() {
            self.hashes[index] = key.hash;
            self.weights[index] = key.weight;
            self.errors[index] = key.error;
        }
    }

    /// Halves every weight, so that what is older counts for less; halves are rounded up.
    pub fn halve(&mut self) {
        for index in 0..self.len {
            let sure = (self.weights[index] - self.errors[index]) / 2;
            self.weights[index] = self.weights[index].div_ceil(2);
            self.errors[index] = self.weights[index] - sure;
        }
        // Rounding up 64 times may add more than rounding up the total.
        let counted = self.weights.iter().fold(0, |sum: u64, weight| sum.saturating_add(*weight));
        self.total = self.total.div_ceil(2).max(counted);
        self.lightest = 0;
    }

    /// Forgets the stream.
    pub fn clear(&mut self) {
        *self = SpaceSaving::new();
    }

    /// What a key without a counter weighs at most.
    fn floor(&self) -> u64 {
        if self.len < COUNTERS { 0 } else { self.weights.iter().copied().min().unwrap_or(0) }
    }

    #[inline]
    fn position(&self, hash: u64) -> Option<usize> {
        // Eight at a time and without a way out in between: that is what compiles to vectors.
        let (chunks, _) = self.hashes.as_chunks::<8>();
        let found = chunks
            .iter()
            .position(|chunk| chunk.iter().fold(false, |found, known| found | (*known == hash)))?;
        let within = chunks[found].iter().position(|known| *known == hash)?;
        Some(found * 8 + within)
    }

    /// Gives the key a counter: a free one, else the lightest with its weight.
    fn take_counter(&mut self, hash: u64) -> usize {
        let index = if self.len < COUNTERS {
            self.len += 1;
            self.len - 1
        } else {
            if self.lightest == 0 {
                self.find_lightest();
            }
            self.lightest.trailing_zeros() as usize
        };
        self.hashes[index] = hash;
        self.errors[index] = self.weights[index];
        index
    }

    fn find_lightest(&mut self) {
        let floor = self.floor();
        for (index, weight) in self.weights.iter().enumerate() {
            self.lightest |= u64::from(*weight == floor) << index;
        }
    }
}

impl Default for SpaceSaving {
    fn default() -> SpaceSaving {
        SpaceSaving::new()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    type Exact = BTreeMap<u64, u64>;

    /// Hashes of keys 0..keys with Zipf weights, drawn from a seed.
    fn zipf(exponent: f64, keys: u64, records: usize, seed: u64) -> Vec<u64> {
        let mut sums: Vec<f64> = (1..=keys).map(|rank| (rank as f64).powf(-exponent)).collect();
        for index in 1..sums.len() {
            sums[index] += sums[index - 1];
        }
        let whole = sums.last().copied().unwrap_or_default();
        let mut state = seed;
        let draw = |state: &mut u64| {
            *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            (mixed >> 11) as f64 / (1u64 << 53) as f64
        };
        (0..records)
            .map(|_| {
                let point = draw(&mut state) * whole;
                let key = sums.partition_point(|sum| *sum < point) as u64;
                crate::record::hash_key(&key)
            })
            .collect()
    }

    fn check(sketch: &SpaceSaving, exact: &Exact, total: u64) {
        assert_eq!(sketch.total(), total);
        let known: BTreeMap<u64, Heavy> =
            sketch.heaviest().into_iter().map(|key| (key.hash, key)).collect();
        for (hash, weight) in exact {
            match known.get(hash) {
                Some(key) => {
                    assert!(key.weight >= *weight, "{key:?} is really {weight}");
                    assert!(key.weight - key.error <= *weight, "{key:?} is really {weight}");
                    assert!(key.error <= total / COUNTERS as u64, "{key:?} of {total}");
                }
                None => assert!(*weight <= total / COUNTERS as u64, "{weight} of {total} is lost"),
            }
        }
    }

    fn counted(stream: &[(u64, u64)]) -> (SpaceSaving, Exact, u64) {
        let (mut sketch, mut exact, mut total) = (SpaceSaving::new(), Exact::new(), 0);
        for (hash, weight) in stream {
            sketch.add(*hash, *weight);
            *exact.entry(*hash).or_default() += weight;
            total += weight;
        }
        (sketch, exact, total)
    }

    #[test]
    fn every_key_above_a_64th_of_a_zipf_stream_is_found_within_its_bounds() {
        for exponent in [0.0, 0.8, 1.0, 1.4, 2.0] {
            for seed in 0..4 {
                let records = zipf(exponent, 100_000, 50_000, seed);
                let stream: Vec<_> = records.into_iter().map(|hash| (hash, 1)).collect();
                let (sketch, exact, total) = counted(&stream);
                check(&sketch, &exact, total);
            }
        }
    }

    #[test]
    fn the_hottest_key_of_a_skewed_stream_is_estimated_to_a_hundredth() {
        let stream: Vec<_> = zipf(1.4, 100_000, 50_000, 1).iter().map(|hash| (*hash, 7)).collect();
        let (sketch, exact, _) = counted(&stream);
        let top = sketch.heaviest()[0];
        let (hash, weight) = exact.iter().max_by_key(|(_, weight)| **weight).expect("some");
        assert_eq!(top.hash, *hash);
        assert!(top.weight - weight <= weight / 100, "{top:?} is really {weight}");
    }

    #[test]
    fn few_keys_are_counted_exactly() {
        let (sketch, ..) = counted(&[(3, 5), (1, 2), (3, 1), (9, 2)]);
        let told: Vec<_> =
            sketch.heaviest().iter().map(|key| (key.hash, key.weight, key.error)).collect();
        assert_eq!(told, [(3, 6, 0), (1, 2, 0), (9, 2, 0)]);
    }

    #[test]
    fn a_cleared_sketch_has_forgotten_everything() {
        let (mut sketch, ..) = counted(&[(3, 5), (1, 2)]);
        sketch.clear();
        assert_eq!((sketch.total(), sketch.heaviest().len()), (0, 0));
        sketch.add(7, 1);
        assert_eq!(sketch.heaviest(), [Heavy { hash: 7, weight: 1, error: 0 }]);
    }

    #[test]
    fn weights_near_the_end_of_their_range_saturate() {
        let (mut sketch, ..) = counted(&[(3, u64::MAX - 1)]);
        sketch.add(3, 5);
        sketch.merge(&sketch.clone());
        sketch.halve();
        assert_eq!(sketch.heaviest()[0].weight, u64::MAX.div_ceil(2));
    }

    /// Up to 300 keys, so that counters change hands, with few distinct weights, so that they tie.
    fn streams() -> impl Strategy<Value = Vec<(u64, u64)>> {
        let record = (1u64..300, prop_oneof![Just(1u64), 1u64..4, 1u64..1_000]);
        prop::collection::vec(record, 0..2_000)
    }

    proptest! {
        #[test]
        fn bounds_hold_for_any_stream(stream in streams()) {
            let (sketch, exact, total) = counted(&stream);
            check(&sketch, &exact, total);
        }

        #[test]
        fn bounds_hold_for_merged_streams_that_go_on(
            (one, two, more) in (streams(), streams(), streams())
        ) {
            let (mut sketch, mut exact, mut total) = counted(&one);
            let (other, others_exact, others_total) = counted(&two);
            sketch.merge(&other);
            total += others_total;
            for (hash, weight) in others_exact {
                *exact.entry(hash).or_default() += weight;
            }
            check(&sketch, &exact, total);
            for (hash, weight) in more {
                sketch.add(hash, weight);
                *exact.entry(hash).or_default() += weight;
                total += weight;
            }
            check(&sketch, &exact, total);
        }

        #[test]
        fn a_halved_sketch_bounds_the_halved_weights(stream in streams()) {
            let (mut sketch, exact, total) = counted(&stream);
            sketch.halve();
            prop_assert!(sketch.total() >= total.div_ceil(2));
            prop_assert!(sketch.total() <= total.div_ceil(2) + COUNTERS as u64);
            let floor = sketch.heaviest().last().map_or(0, |key| key.weight);
            for (hash, weight) in exact {
                match sketch.heaviest().iter().find(|key| key.hash == hash) {
                    Some(key) => {
                        prop_assert!(2 * key.weight >= weight);
                        prop_assert!(2 * (key.weight - key.error) <= weight);
                    }
                    None => prop_assert!(weight <= 2 * floor),
                }
            }
        }
    }
}
