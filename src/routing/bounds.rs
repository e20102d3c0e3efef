//! Bounds: which key group each range of keys is, in one version.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use crate::record::Key;
use crate::routing::KEY_GROUPS;

/// Ranges of keys in their order, as a routing table carries them: it does not know the keys.
pub trait KeyRanges: Any + fmt::Debug + Send + Sync {
    /// `groups()[i]` is the key group of the *i*-th range; each is there once.
    fn groups(&self) -> &[u16];

    /// The ranges with range `index` and the one above it as one, which is the group of the lower.
    ///
    /// # Panics
    /// If there is no range above.
    fn merged(&self, index: usize) -> Arc<dyn KeyRanges>;
}

/// Ranges of keys `K`. Range *i* begins with `lower[i − 1]` and ends before `lower[i]`; the first
/// has no lower end, the last no upper one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bounds<K> {
    /// Strictly ascending.
    lower: Vec<K>,
    /// One more than `lower` has.
    groups: Vec<u16>,
}

impl<K: Key + Ord + Sync> Bounds<K> {
    /// Ranges between `lower`, which is checked before the start; range *i* is group *i*.
    pub(super) fn between(lower: Vec<K>) -> Bounds<K> {
        let groups = (0..=lower.len()).map(|group| group as u16).collect();
        Bounds { lower, groups }
    }

    /// Where ranges begin, but for the first.
    pub(super) fn lower(&self) -> &[K] {
        &self.lower
    }

    /// The bounds that `ranges` has, which are those of a table of this job.
    pub(super) fn of(ranges: &Arc<dyn KeyRanges>) -> Arc<Bounds<K>> {
        let ranges: Arc<dyn Any + Send + Sync> = Arc::clone(ranges) as _;
        ranges.downcast().expect("the ranges of a domain are of its keys")
    }

    /// The key group of the range that `key` lies in.
    #[inline]
    pub(super) fn group_of(&self, key: &K) -> usize {
        usize::from(self.groups[self.lower.partition_point(|lower| lower <= key)])
    }

    /// Where a group's range begins and ends; `None` if no range is of this group.
    pub(super) fn ends_of(&self, group: u16) -> Option<(Option<&K>, Option<&K>)> {
        let index = self.groups.iter().position(|other| *other == group)?;
        Some(self.ends(index))
    }

    fn ends(&self, index: usize) -> (Option<&K>, Option<&K>) {
        let below = index.checked_sub(1);
        (below.map(|below| &self.lower[below]), self.lower.get(index))
    }

    /// With the range of `group` cut before each of `at`: the group keeps the lowest part, the
    /// others are groups that were none. `None` if nothing can be cut so: keys that do not ascend
    /// within the range, or no group left.
    pub(super) fn cut(&self, group: u16, at: Vec<K>) -> Option<Bounds<K>> {
        let index = self.groups.iter().position(|other| *other == group)?;
        let (low, high) = self.ends(index);
        let fits = at.is_sorted_by(|one, next| one < next)
            && at.first().is_some_and(|first| low.is_none_or(|low| low < first))
            && at.last().is_some_and(|last| high.is_none_or(|high| last < high));
        let mut is_free = vec![true; KEY_GROUPS];
        self.groups.iter().for_each(|group| is_free[usize::from(*group)] = false);
        let free = (0..KEY_GROUPS as u16).filter(|group| is_free[usize::from(*group)]);
        let new: Vec<u16> = free.take(at.len()).collect();
        if !fits || new.len() < at.len() {
            return None;
        }
        let mut cut = self.clone();
        cut.lower.splice(index..index, at);
        cut.groups.splice(index + 1..index + 1, new);
        Some(cut)
    }

    /// The groups of `before` that are not the same range any more.
    pub(super) fn changed_since(&self, before: &Bounds<K>) -> Vec<u16> {
        let mut now = vec![None; KEY_GROUPS];
        for (index, group) in self.groups.iter().enumerate() {
            now[usize::from(*group)] = Some(self.ends(index));
        }
        let of_before = before.groups.iter().enumerate();
        let changed = of_before
            .filter(|(index, group)| now[usize::from(**group)] != Some(before.ends(*index)));
        changed.map(|(_, group)| *group).collect()
    }
}

impl<K: Key + Ord + Sync> KeyRanges for Bounds<K> {
    fn groups(&self) -> &[u16] {
        &self.groups
    }

    fn merged(&self, index: usize) -> Arc<dyn KeyRanges> {
        let mut merged = self.clone();
        merged.lower.remove(index);
        merged.groups.remove(index + 1);
        Arc::new(merged)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::record::hash_key;

    #[test]
    fn a_cut_keeps_the_lowest_part_and_a_merge_gives_it_all_back() {
        let whole = Bounds::between(vec![10, 20]);
        let cut = whole.cut(1, vec![12, 17]).expect("both lie within");
        assert_eq!(
            (&cut.lower[..], &cut.groups[..]),
            (&[10, 12, 17, 20][..], &[0, 1, 3, 4, 2][..])
        );
        assert_eq!(cut.changed_since(&whole), [1]);
        assert_eq!(whole.changed_since(&cut), [1, 3, 4]);
        let merged: Arc<dyn KeyRanges> = cut.merged(1);
        assert_eq!(Bounds::<i32>::of(&merged).ends_of(1), Some((Some(&10), Some(&17))));
        assert_eq!(merged.groups(), [0, 1, 4, 2]);
        assert_eq!(*Bounds::<i32>::of(&merged.merged(1)), whole);
    }

    #[test]
    fn what_lies_outside_of_a_range_does_not_cut_it() {
        let whole = Bounds::between(vec![10, 20]);
        for at in [vec![], vec![10], vec![20], vec![9], vec![12, 12], vec![15, 12]] {
            assert_eq!(whole.cut(1, at.clone()), None, "{at:?}");
        }
        assert_eq!(whole.cut(7, vec![12]), None, "there is no such range");
        let full = Bounds::between((1..KEY_GROUPS as i32).map(|bound| bound * 2).collect());
        assert_eq!(full.cut(1, vec![3]), None, "no group is left");
    }

    /// Numbers that are as good as random, and the same for equal seeds.
    struct Draws(u64);

    impl Draws {
        fn below(&mut self, bound: u64) -> u64 {
            self.0 += 1;
            (hash_key(&self.0) >> 8) % bound
        }
    }

    /// Cuts and merges at random, beside a map from every key to its group.
    #[test]
    fn random_cuts_and_merges_agree_with_a_map_of_all_keys() {
        const KEYS: u64 = 60;
        for seed in 0..50 {
            let mut random = Draws(seed << 32);
            let mut bounds = Bounds::<u64>::between(vec![]);
            let mut naive: BTreeMap<u64, u16> = (0..KEYS).map(|key| (key, 0)).collect();
            for _ in 0..60 {
                let before = bounds.clone();
                let index = random.below(bounds.groups.len() as u64) as usize;
                let group = bounds.groups[index];
                let at = random.below(KEYS);
                if random.below(2) == 0 {
                    if let Some(cut) = bounds.cut(group, vec![at]) {
                        let new = (0..).find(|free| !bounds.groups.contains(free)).expect("some");
                        let upper =
                            naive.iter_mut().filter(|(key, own)| **own == group && **key >= at);
                        upper.for_each(|(_, own)| *own = new);
                        bounds = cut;
                    }
                } else if index + 1 < bounds.groups.len() {
                    let upper = bounds.groups[index + 1];
                    naive.values_mut().filter(|own| **own == upper).for_each(|own| *own = group);
                    bounds = (*Bounds::of(&bounds.merged(index))).clone();
                }
                for (key, group) in &naive {
                    assert_eq!(bounds.group_of(key), usize::from(*group), "seed {seed}: {key}");
                    // Whoever keeps what is not said to have changed keeps it under its group.
                    let old = before.group_of(key);
                    let is_same = !bounds.changed_since(&before).contains(&(old as u16));
                    assert!(!is_same || old == usize::from(*group), "seed {seed}: {key}");
                }
            }
        }
    }
}
