//! Learned ranges: bounds that follow the keys while the job runs.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::error::Result;
use crate::metrics::Kll;
use crate::record::{Key, hash_key};
use crate::routing::bounds::{Bounds, KeyRanges};
use crate::routing::range::check_bounds;
use crate::routing::{KEY_GROUPS, KeyedPartitioner, Ranging, RoutingTable, with_group};

/// After so many keys the older half of what is known of them is forgotten: ranges are cut where
/// keys are, not where they were.
const RECENT_KEYS: u64 = 4_096;
/// A part of a range has so many of the keys that were seen, or chance would cut it.
const PART_KEYS_MIN: u64 = 4;

/// Keeps neighbouring keys together, as [`Ranges`](crate::routing::Ranges) do, and learns from the
/// keys that come where one range ends and the next begins:
/// [`Ranges::learned`](crate::routing::Ranges::learned) makes one.
///
/// Heavy ranges are cut, light ones merged, and partition *i* gives to *i* − 1 or *i* + 1 what lies
/// at the border between them, so that every key of partition *i* lies below every key of *i* + 1
/// at all times. At the end of its input a partition emits in the order of keys.
///
/// All keys begin in one range, so the first bounds are learned whatever the `rebalance` knob says;
/// with `off` they stay as they are then, otherwise they follow the load.
#[derive(Debug)]
pub struct LearnedRanges<K> {
    bounds: Arc<Bounds<K>>,
    /// What is known of the keys that come; nothing where none are noted.
    recent: Option<Box<Recent<K>>>,
}

#[derive(Debug)]
struct Recent<K> {
    older: Kll<K>,
    newer: Kll<K>,
}

impl<K> Clone for LearnedRanges<K> {
    /// Without the keys that it has seen.
    fn clone(&self) -> Self {
        LearnedRanges { bounds: Arc::clone(&self.bounds), recent: None }
    }
}

impl<K: Key + Ord + Sync> LearnedRanges<K> {
    pub(super) fn new() -> Self {
        LearnedRanges::starting_with_bounds(Vec::new())
    }

    fn starting_with_bounds(bounds: Vec<K>) -> Self {
        LearnedRanges { bounds: Arc::new(Bounds::between(bounds)), recent: None }
    }

    /// Starts with ranges between `bounds`, strictly ascending, at most 4,095 of them, checked
    /// before the start. Without these all keys are partition 0's until the first are learned,
    /// which takes some hundredths of a second.
    ///
    /// ```
    /// # use millstream::{connector::iterator, prelude::*};
    /// # let pipeline = Pipeline::new("example");
    /// use millstream::routing::Ranges;
    ///
    /// let ranges = Ranges::learned().starting_with(vec![1_000, 2_000]);
    /// let keyed = pipeline.source(iterator(0..3_000)).key_by(|n| *n);
    /// let counts = keyed.partition_by(ranges).count().collect();
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// assert_eq!(counts.take().len(), 3_000);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    #[must_use]
    pub fn starting_with(self, bounds: Vec<K>) -> Self {
        LearnedRanges::starting_with_bounds(bounds)
    }
}

impl<K: Key + Ord + Sync> KeyedPartitioner<K> for LearnedRanges<K> {
    fn name(&self) -> String {
        "learned range".into()
    }

    #[inline]
    fn hash(&self, key: &K) -> u64 {
        with_group(hash_key(key), self.bounds.group_of(key))
    }

    fn check(&self) -> Result<()> {
        check_bounds(self.bounds.lower())
    }

    fn order(&self) -> Option<fn(&K, &K) -> Ordering> {
        Some(K::cmp)
    }

    #[inline]
    fn ranging(&mut self) -> Option<&mut dyn Ranging<K>> {
        Some(self)
    }
}

impl<K: Key + Ord + Sync> Ranging<K> for LearnedRanges<K> {
    fn ranges(&self) -> Arc<dyn KeyRanges> {
        Arc::clone(&self.bounds) as _
    }

    fn follow(&mut self, table: &RoutingTable) -> Vec<u16> {
        let bounds = table.ranges().map(Bounds::of).expect("its table has ranges");
        let before = std::mem::replace(&mut self.bounds, bounds);
        if Arc::ptr_eq(&before, &self.bounds) {
            return Vec::new();
        }
        self.bounds.changed_since(&before)
    }

    fn note(&mut self, key: &K) {
        let new = || Box::new(Recent { older: Kll::new(), newer: Kll::new() });
        let recent = self.recent.get_or_insert_with(new);
        recent.newer.add(key.clone());
        if recent.newer.count() == RECENT_KEYS {
            recent.older = std::mem::take(&mut recent.newer);
        }
    }

    fn cut(&self, table: &RoutingTable, group: u16, parts: usize) -> Option<Arc<dyn KeyRanges>> {
        let bounds: Arc<Bounds<K>> = Bounds::of(table.ranges()?);
        let recent = self.recent.as_deref()?;
        let mut keys = recent.newer.clone();
        keys.merge(recent.older.clone());
        let (low, high) = bounds.ends_of(group)?;
        let lies_within =
            |key: &K| low.is_none_or(|low| low <= key) && high.is_none_or(|high| key < high);
        let mut weighed = keys.weighed();
        weighed.retain(|(key, _)| lies_within(key));
        let at = cuts(&weighed, parts.min(KEY_GROUPS));
        Some(Arc::new(bounds.cut(group, at)?))
    }
}

/// Where to cut keys, in order and each with its weight, into about `parts` parts of equal weight.
/// A key that outweighs a part gets a part of its own.
fn cuts<K: Clone>(weighed: &[(&K, u64)], parts: usize) -> Vec<K> {
    let total: u64 = weighed.iter().map(|(_, weight)| weight).sum();
    let each = (total / parts.max(1) as u64).max(PART_KEYS_MIN);
    let (mut at, mut held) = (Vec::new(), 0);
    for (key, weight) in weighed {
        if held > 0 && held + weight > each {
            at.push((*key).clone());
            held = 0;
        }
        held += weight;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::{Ranges, key_group};

    fn noted(keys: impl IntoIterator<Item = u64>) -> LearnedRanges<u64> {
        let mut ranges = Ranges::learned();
        keys.into_iter().for_each(|key| ranges.note(&key));
        ranges
    }

    fn table(ranges: &LearnedRanges<u64>) -> RoutingTable {
        RoutingTable::ranged(2, ranges.ranges())
    }

    /// Cuts group 0, and returns how many of the keys lie in each range.
    fn shares(ranges: &mut LearnedRanges<u64>, parts: usize, keys: &[u64]) -> Vec<usize> {
        let before = table(ranges);
        let cut = ranges.cut(&before, 0, parts).expect("there are keys");
        let groups = cut.groups().to_vec();
        assert_eq!(ranges.follow(&before.regrouped(cut, 0)), [0]);
        let mut shares = vec![0; groups.len()];
        for key in keys {
            let group = key_group(ranges.hash(key)) as u16;
            shares[groups.iter().position(|other| *other == group).expect("it has one")] += 1;
        }
        shares
    }

    #[test]
    fn a_range_is_cut_into_parts_of_equal_weight() {
        // Squares: far more small keys than large ones.
        let chance = |number: u64| (hash_key(&number) >> 8) % 1_000;
        let keys: Vec<u64> = (0..6_000).map(|n| chance(2 * n) * chance(2 * n + 1)).collect();
        let mut ranges = noted(keys.iter().copied());
        let shares = shares(&mut ranges, 16, &keys);
        assert!((14..=20).contains(&shares.len()), "{shares:?}");
        assert!(shares.iter().all(|share| (150..600).contains(share)), "{shares:?}");
    }

    #[test]
    fn a_key_that_outweighs_a_part_is_alone_and_the_rest_is_cut_around_it() {
        let keys: Vec<u64> = (0..3_000).map(|n| if n % 2 == 0 { 500 } else { n % 1_000 }).collect();
        let mut ranges = noted(keys.iter().copied());
        let shares = shares(&mut ranges, 8, &keys);
        let heavy = shares.iter().copied().max().expect("there are some");
        assert!((1_500..1_520).contains(&heavy), "{shares:?}");
        assert_eq!(shares.iter().filter(|share| **share > 500).count(), 1, "{shares:?}");
    }

    #[test]
    fn what_was_long_ago_is_forgotten() {
        let mut ranges = noted((0..8_192).chain(100_000..108_192));
        let cut = ranges.cut(&table(&ranges), 0, 4).expect("there are keys");
        let bounds: Arc<Bounds<u64>> = Bounds::of(&cut);
        assert!(bounds.lower().iter().all(|bound| *bound > 100_000), "{bounds:?}");
        assert!(ranges.clone().cut(&table(&ranges), 0, 4).is_none(), "a clone has seen nothing");
        ranges.note(&1);
    }

    #[test]
    fn one_key_or_too_few_are_no_reason_to_cut() {
        assert!(noted([]).cut(&table(&noted([])), 0, 4).is_none());
        assert!(noted([5; 100]).cut(&table(&noted([])), 0, 4).is_none());
        assert!(noted([1, 2, 3]).cut(&table(&noted([])), 0, 4).is_none());
    }

    #[test]
    fn bounds_to_start_with_are_checked() {
        assert!(Ranges::learned().starting_with(vec![1, 2]).check().is_ok());
        let error = Ranges::learned().starting_with(vec![2, 1]).check().expect_err("no order");
        assert!(error.to_string().contains("bound 0 is 2"), "{error}");
    }
}
