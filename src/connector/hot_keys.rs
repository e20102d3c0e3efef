//! `HotInput`: the benchmark's input with a share of its records on a few hot keys, which others
//! may relieve at certain records.
//!
//! As with [`BenchInput`], record *i* is a pure function of seed and *i*, so the input is the same
//! for every number of partitions, and another program can make it too.

use std::ops::Range;
use std::sync::Arc;

use crate::connector::generator::{BenchInput, GOLDEN, Recipe, mix64, scale};
use crate::dataflow::{Collector, Emit};
use crate::error::{Error, ErrorKind, Result};
use crate::record::hash_key;
use crate::routing::{KEY_GROUPS, PARTITIONS_MAX, key_group};

const SHARE_SALT: u64 = 0x407;

/// Up to so many partitions, colocated keys are the same ones.
const COLOCATED_ALIKE: usize = 16;

/// The two sets of hot keys: the one that an input begins with, and the one that relieves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HotKeys {
    sets: [Arc<[u64]>; 2],
}

impl HotKeys {
    /// The first `count` keys, and the `count` after them.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] if `count` is 0 or both sets do not fit into `0..keys`.
    pub fn first(count: usize, keys: u64) -> Result<HotKeys> {
        let count = count as u64;
        HotKeys::of([(0..count.min(keys)).collect(), (count..keys.min(2 * count)).collect()], count)
    }

    /// The first `count` of `0..keys` that partition 0 of `partitions` owns at the start, and the
    /// first `count` that the last one owns.
    ///
    /// They are keys of the first 256 and of the last 256 key groups, so that they are the same
    /// for up to 16 partitions; above, of as many groups as a partition owns.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] if `count` is 0 or there are not so many.
    ///
    /// # Panics
    /// If `partitions` is 0 or above [`PARTITIONS_MAX`].
    pub fn colocated(count: usize, keys: u64, partitions: usize) -> Result<HotKeys> {
        assert!((1..=PARTITIONS_MAX).contains(&partitions), "{partitions} partitions");
        let groups = KEY_GROUPS / partitions.max(COLOCATED_ALIKE);
        let (mut first, mut last) = (Vec::new(), Vec::new());
        for key in 0..keys {
            let group = key_group(hash_key(&key));
            if group < groups && first.len() < count {
                first.push(key);
            } else if group >= KEY_GROUPS - groups && last.len() < count {
                last.push(key);
            } else if first.len() + last.len() == 2 * count {
                break;
            }
        }
        HotKeys::of([first, last], count as u64)
    }

    fn of(sets: [Vec<u64>; 2], count: u64) -> Result<HotKeys> {
        let least = sets.iter().map(Vec::len).min().unwrap_or(0);
        if count == 0 || (least as u64) < count {
            let seen =
                format!("hot keys are {count} in each of two sets, of which one has {least}");
            return Err(Error::new(ErrorKind::InvalidConfig, seen));
        }
        Ok(HotKeys { sets: sets.map(Arc::from) })
    }

    /// The keys that are hot at first, and those that are after the first shift.
    pub fn sets(&self) -> [&[u64]; 2] {
        [&self.sets[0], &self.sets[1]]
    }
}

/// A record of a [`HotInput`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// What it is grouped by.
    pub key: u64,
    /// Below 2^16.
    pub value: u64,
    /// Whether it is of the hot share. The others may have the same key by chance.
    pub is_hot: bool,
}

/// A [`BenchInput`] of which a share has hot keys instead.
///
/// With 64-bit wrapping arithmetic and `d = mix64((seed ^ 0x407) + i * 0x9E3779B97F4A7C15)`, record
/// *i* is of the hot share if `d >> 11` is below `share * 2^53`. Then its key is the one at
/// `(mix64(d) as u128 * count as u128) >> 64` of the set that is hot: the first one at first, and
/// with every `period` records the other one. All else is as in the [`BenchInput`].
#[derive(Clone, Debug)]
pub struct HotInput {
    base: BenchInput,
    keys: HotKeys,
    /// Of 2^53.
    share: u64,
    period: Option<u64>,
}

impl HotInput {
    /// * `share` - of the records, 0..=1; with 0 it is `base`.
    /// * `period` - records from one shift to the next, at least 1; `None` is without any.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] if the share or the period is out of its range.
    pub fn new(
        base: BenchInput,
        keys: HotKeys,
        share: f64,
        period: Option<u64>,
    ) -> Result<HotInput> {
        let refused = |seen| Err(Error::new(ErrorKind::InvalidConfig, seen));
        if !(0.0..=1.0).contains(&share) {
            return refused(format!("share of the hot keys is {share}, not in 0..=1"));
        }
        if period == Some(0) {
            return refused("records between two shifts are 0, not at least 1".to_owned());
        }
        let share = (share * (1u64 << 53) as f64) as u64;
        Ok(HotInput { base, keys, share, period })
    }

    /// Record `index`.
    #[inline]
    pub fn record(&self, index: u64) -> Hit {
        self.hit(index, self.hot_at(index).0)
    }

    /// The records of `indexes`, in order.
    #[inline]
    pub fn records(&self, indexes: Range<u64>) -> impl Iterator<Item = Hit> {
        let (mut hot, mut until): (&[u64], u64) = (&[], indexes.start);
        indexes.map(move |index| {
            if index >= until {
                (hot, until) = self.hot_at(index);
            }
            self.hit(index, hot)
        })
    }

    /// The keys that are hot at record `index`, and the record before which that changes.
    fn hot_at(&self, index: u64) -> (&[u64], u64) {
        let Some(period) = self.period else { return (&self.keys.sets[0], u64::MAX) };
        let phase = index / period;
        let set = &self.keys.sets[(phase % 2) as usize];
        (set, (phase + 1).saturating_mul(period))
    }

    #[inline]
    fn hit(&self, index: u64, hot: &[u64]) -> Hit {
        let (key, value) = self.base.record(index);
        let seed = self.base.seed() ^ SHARE_SALT;
        let draw = mix64(seed.wrapping_add(index.wrapping_mul(GOLDEN)));
        if draw >> 11 >= self.share {
            return Hit { key, value, is_hot: false };
        }
        let key = hot[scale(mix64(draw), hot.len() as u64) as usize];
        Hit { key, value, is_hot: true }
    }
}

impl Recipe for HotInput {
    type Item = (u64, u64);

    #[inline]
    fn make<E: Emit<(u64, u64)>>(
        &mut self,
        indexes: Range<u64>,
        out: &mut Collector<'_, E>,
    ) -> u64 {
        out.emit_all(self.records(indexes).map(|hit| (hit.key, hit.value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::generator::{Dealt, Skew};
    use crate::routing::RoutingTable;

    fn base(keys: u64) -> BenchInput {
        BenchInput::new(1, keys, Skew::Uniform).expect("valid")
    }

    fn owners(keys: &[u64], partitions: usize) -> Vec<usize> {
        let table = RoutingTable::even(partitions);
        keys.iter().map(|key| table.owner(hash_key(key))).collect()
    }

    #[test]
    fn colocated_keys_are_on_the_first_and_on_the_last_partition() {
        let known = HotKeys::colocated(8, 100_000, 1).expect("enough keys");
        for partitions in (1..=20).chain([100, 1000, PARTITIONS_MAX]) {
            let keys = HotKeys::colocated(8, 100_000, partitions).expect("enough keys");
            let [first, last] = keys.sets();
            assert_eq!(owners(first, partitions), [0; 8], "{partitions}");
            assert_eq!(owners(last, partitions), [partitions - 1; 8], "{partitions}");
            assert!(keys == known || partitions > COLOCATED_ALIKE, "{partitions}");
        }
    }

    #[test]
    fn keys_that_do_not_suffice_are_refused() {
        let most = |refused: Result<HotKeys>| {
            let error = refused.expect_err("too many");
            assert_eq!(error.kind(), ErrorKind::InvalidConfig);
            error.to_string()
        };
        assert_eq!(
            HotKeys::first(5, 10).expect("just so").sets(),
            [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
        );
        assert!(
            most(HotKeys::first(6, 10)).ends_with("are 6 in each of two sets, of which one has 4")
        );
        assert!(most(HotKeys::first(0, 10)).starts_with("hot keys are 0 in each "));
        assert!(most(HotKeys::colocated(8, 10, 2)).starts_with("hot keys are 8 in each "));
    }

    #[test]
    fn shares_and_periods_out_of_range_are_refused() {
        let keys = HotKeys::first(1, 10).expect("enough");
        for (share, period) in [(-0.1, None), (1.1, None), (f64::NAN, None), (0.5, Some(0))] {
            assert!(HotInput::new(base(10), keys.clone(), share, period).is_err(), "{share}");
        }
    }

    #[test]
    fn hot_keys_share_their_part_evenly_and_the_rest_is_the_uniform_input() {
        const RECORDS: u64 = 100_000;
        let keys = HotKeys::colocated(4, 1_000, 2).expect("enough");
        let input = HotInput::new(base(1_000), keys.clone(), 0.8, None).expect("valid");
        let (hot, cold): (Vec<u64>, Vec<u64>) =
            (0..RECORDS).partition(|&index| input.record(index).is_hot);
        assert!((79_500..80_500).contains(&hot.len()), "{}", hot.len());
        for key in keys.sets()[0] {
            let count = hot.iter().filter(|&&index| input.record(index).key == *key).count();
            assert!((19_500..20_500).contains(&count), "{key}: {count}");
        }
        for index in cold {
            let hit = input.record(index);
            assert_eq!((hit.key, hit.value), base(1_000).record(index));
        }
    }

    #[test]
    fn share_of_0_is_the_uniform_input_and_of_1_all_hot() {
        let keys = HotKeys::first(2, 50).expect("enough");
        let none = HotInput::new(base(50), keys.clone(), 0.0, Some(7)).expect("valid");
        let all = HotInput::new(base(50), keys, 1.0, None).expect("valid");
        for index in 0..10_000 {
            let hit = none.record(index);
            assert_eq!((hit.key, hit.value, hit.is_hot), {
                let (key, value) = base(50).record(index);
                (key, value, false)
            });
            assert!(all.record(index).is_hot && all.record(index).key < 2);
        }
    }

    #[test]
    fn sets_relieve_each_other_at_every_period() {
        let keys = HotKeys::first(3, 50).expect("enough");
        let mut input = HotInput::new(base(50), keys.clone(), 1.0, Some(1_500)).expect("valid");
        let all: Vec<Hit> = input.records(0..6_000).collect();
        for (index, hit) in (0u64..).zip(&all) {
            let set = keys.sets()[(index / 1_500 % 2) as usize];
            assert!(set.contains(&hit.key), "record {index}");
            assert_eq!(*hit, input.record(index));
        }
        let mut made = Vec::new();
        input.make(1_024..2_048, &mut Collector::new(&mut made, Default::default()));
        assert!(made.iter().zip(&all[1_024..]).all(|(pair, hit)| *pair == (hit.key, hit.value)));
        assert_eq!(made.len(), 1_024);
    }

    #[test]
    fn partitions_deal_out_the_same_records_as_one_makes() {
        let keys = HotKeys::first(3, 50).expect("enough");
        let input = HotInput::new(base(50), keys, 0.5, Some(2_000)).expect("valid");
        let sorted = |partitions: usize| {
            let mut all = Vec::new();
            for partition in 0..partitions {
                let mut dealt = Dealt::new(input.clone(), partition, partitions, Some(10_000));
                while dealt.fill(700, &mut all) > 0 {}
            }
            all.sort_unstable();
            all
        };
        assert_eq!(sorted(1).len(), 10_000);
        assert_eq!(sorted(1), sorted(3));
    }
}
