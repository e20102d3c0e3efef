//! The routing table: which partition owns a key, in one version.

use std::sync::Arc;

use crate::routing::{KEY_GROUPS, KeyRanges, Move, Units, key_group};

/// The most partitions a table can name: an owner has 10 bits of its 16.
pub const PARTITIONS_MAX: usize = 1024;

/// The most keys with entries of their own.
pub const OVERRIDES_MAX: usize = 1024;

/// The bits of a group's entry that name its owner.
const OWNER: u16 = PARTITIONS_MAX as u16 - 1;
/// The bit of a group's entry that says: keys of this group have entries of their own.
const HAS_OVERRIDES: u16 = 1 << 15;

/// A key that does not go with its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Override {
    /// The carried hash of the key.
    pub hash: u64,
    /// The partition that owns it.
    pub owner: u16,
    /// Whether feeders fold its records before they send them.
    pub is_combined: bool,
}

/// Owners of all keys in one epoch. Immutable, small (8 KiB), shared by pointer.
#[derive(Clone, Debug)]
pub struct RoutingTable {
    epoch: u32,
    groups: [u16; KEY_GROUPS],
    /// In the order of their hashes.
    overrides: Vec<Override>,
    /// Where groups are ranges of keys that may change: which, in the order of keys. Their owners
    /// never descend.
    ranges: Option<Arc<dyn KeyRanges>>,
}

impl RoutingTable {
    /// The table a job starts with, epoch 0: partition *i* of *P* owns the groups whose
    /// `⌊group · P / 4096⌋` is *i*, a run of neighbours.
    ///
    /// # Panics
    /// If `partitions` is 0 or above [`PARTITIONS_MAX`]; the configuration is checked before.
    pub fn even(partitions: usize) -> RoutingTable {
        assert!((1..=PARTITIONS_MAX).contains(&partitions), "{partitions} partitions");
        let groups = std::array::from_fn(|group| (group * partitions / KEY_GROUPS) as u16);
        RoutingTable { epoch: 0, groups, overrides: Vec::new(), ranges: None }
    }

    /// As [`even`](Self::even), of groups that are `ranges`: these are dealt out in the order of
    /// their keys, to each partition as many as to any other, but for one.
    ///
    /// # Panics
    /// As [`even`](Self::even).
    pub fn ranged(partitions: usize, ranges: Arc<dyn KeyRanges>) -> RoutingTable {
        let mut table = RoutingTable::even(partitions);
        let count = ranges.groups().len();
        for (index, group) in ranges.groups().iter().enumerate() {
            table.groups[usize::from(*group)] = (index * partitions / count) as u16;
        }
        table.ranges = Some(ranges);
        table
    }

    /// Version of the table: changes since the start, a count without a unit.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The partition that owns the key with this carried hash.
    #[inline(always)]
    pub fn owner(&self, hash: u64) -> usize {
        let entry = self.groups[key_group(hash)];
        if entry & HAS_OVERRIDES == 0 { usize::from(entry) } else { self.owner_of_key(hash) }
    }

    /// The partition that owns `group`, but for keys that have an entry of their own.
    ///
    /// # Panics
    /// If `group` is not below [`KEY_GROUPS`].
    pub fn owner_of_group(&self, group: usize) -> usize {
        usize::from(self.groups[group] & OWNER)
    }

    /// The keys that have an entry of their own, in the order of their hashes.
    pub fn overrides(&self) -> impl ExactSizeIterator<Item = Override> {
        self.overrides.iter().copied()
    }

    /// The entry of this key's own, if it has one.
    #[inline]
    pub fn override_of(&self, hash: u64) -> Option<Override> {
        if self.groups[key_group(hash)] & HAS_OVERRIDES == 0 {
            return None;
        }
        self.find(hash).ok().map(|at| self.overrides[at])
    }

    /// Whether the key with this hash is to be combined at its feeders.
    #[inline(always)]
    pub fn is_combined(&self, hash: u64) -> bool {
        self.groups[key_group(hash)] & HAS_OVERRIDES != 0 && self.is_key_combined(hash)
    }

    /// Whether any key is to be combined at its feeders.
    pub fn has_combined(&self) -> bool {
        self.overrides.iter().any(|over| over.is_combined)
    }

    /// The table of the next epoch, in which the units of `moved` belong to the taker. A key that
    /// comes to the owner of its group has no entry of its own any more, unless it is combined.
    #[must_use]
    pub fn moved(&self, moved: &Move) -> RoutingTable {
        let mut next = self.clone();
        next.epoch += 1;
        let taker = moved.taker as u16;
        for group in moved.units.groups() {
            next.groups[group] = next.groups[group] & HAS_OVERRIDES | taker;
        }
        for hash in moved.units.keys() {
            let is_combined = self.override_of(*hash).is_some_and(|over| over.is_combined);
            next.set(Override { hash: *hash, owner: taker, is_combined });
        }
        next
    }

    /// The ranges of keys that its groups are, where these may change.
    pub fn ranges(&self) -> Option<&Arc<dyn KeyRanges>> {
        self.ranges.as_ref()
    }

    /// Whether owners of ranges never descend from one range to the next, also if `units` belonged
    /// to `taker`.
    pub fn keeps_order(&self, units: &Units, taker: usize) -> bool {
        let groups = self.ranges.iter().flat_map(|ranges| ranges.groups());
        groups.map(|group| usize::from(*group)).is_sorted_by_key(|group| {
            if units.has_group(group) { taker } else { self.owner_of_group(group) }
        })
    }

    /// The table of the next epoch, with other ranges; those of groups that were none belong to
    /// `owner`.
    #[must_use]
    pub fn regrouped(&self, ranges: Arc<dyn KeyRanges>, owner: usize) -> RoutingTable {
        let mut next = self.clone();
        next.epoch += 1;
        let known = self.ranges.iter().flat_map(|ranges| ranges.groups());
        let mut is_known = vec![false; KEY_GROUPS];
        known.for_each(|group| is_known[usize::from(*group)] = true);
        for group in ranges.groups().iter().map(|group| usize::from(*group)) {
            if !is_known[group] {
                next.groups[group] = owner as u16;
            }
        }
        next.ranges = Some(ranges);
        next
    }

    /// The table of the next epoch, in which the key with this hash is to be combined at its
    /// feeders, or no longer.
    #[must_use]
    pub fn combined(&self, hash: u64, is_combined: bool) -> RoutingTable {
        let mut next = self.clone();
        next.epoch += 1;
        next.set(Override { hash, owner: self.owner(hash) as u16, is_combined });
        next
    }

    /// Makes, changes or drops the entry of one key.
    fn set(&mut self, over: Override) {
        let group = key_group(over.hash);
        let goes_with_group =
            !over.is_combined && usize::from(over.owner) == self.owner_of_group(group);
        match (self.find(over.hash), goes_with_group) {
            (Ok(at), true) => drop(self.overrides.remove(at)),
            (Ok(at), false) => self.overrides[at] = over,
            (Err(_), true) => {}
            (Err(at), false) => self.overrides.insert(at, over),
        }
        let has_some = self.overrides.iter().any(|other| key_group(other.hash) == group);
        let flag = if has_some { HAS_OVERRIDES } else { 0 };
        self.groups[group] = self.groups[group] & OWNER | flag;
    }

    #[inline(never)]
    fn owner_of_key(&self, hash: u64) -> usize {
        match self.find(hash) {
            Ok(at) => usize::from(self.overrides[at].owner),
            Err(_) => self.owner_of_group(key_group(hash)),
        }
    }

    #[inline(never)]
    fn is_key_combined(&self, hash: u64) -> bool {
        self.find(hash).is_ok_and(|at| self.overrides[at].is_combined)
    }

    fn find(&self, hash: u64) -> Result<usize, usize> {
        self.overrides.binary_search_by_key(&hash, |over| over.hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::{KeyedPartitioner, Ranges, Ranging, with_group};

    #[test]
    fn even_table_gives_neighbouring_groups_in_nearly_equal_shares() {
        for partitions in [1, 2, 3, 7, 64, 1000, PARTITIONS_MAX] {
            let table = RoutingTable::even(partitions);
            let mut shares = vec![0; partitions];
            for group in 0..KEY_GROUPS {
                let owner = table.owner_of_group(group);
                assert_eq!(owner, group * partitions / KEY_GROUPS);
                shares[owner] += 1;
            }
            let (low, high) = (KEY_GROUPS / partitions, KEY_GROUPS.div_ceil(partitions));
            assert!(shares.iter().all(|share| (low..=high).contains(share)), "{partitions}");
        }
    }

    #[test]
    fn owner_is_read_from_the_top_bits() {
        let table = RoutingTable::even(2);
        assert_eq!(table.epoch(), 0);
        assert_eq!(table.owner(0x7fff_ffff_ffff_ffff), 0);
        assert_eq!(table.owner(0x8000_0000_0000_0000), 1);
    }

    fn moved(table: &RoutingTable, groups: &[u16], keys: &[u64], taker: usize) -> RoutingTable {
        let units = Units::of(table, groups, keys);
        table.moved(&Move { id: 1, domain: 0, units, donor: 0, taker })
    }

    #[test]
    fn key_of_its_own_stays_where_it_is_while_its_group_moves() {
        let (own, other) = (with_group(77, 5), with_group(78, 5));
        let table = moved(&RoutingTable::even(3), &[], &[own], 2);
        assert_eq!((table.owner(own), table.owner(other), table.epoch()), (2, 0, 1));
        let table = moved(&table, &[5], &[], 1);
        assert_eq!((table.owner(own), table.owner(other), table.epoch()), (2, 1, 2));
        let table = moved(&table, &[], &[own], 1);
        assert_eq!((table.owner(own), table.overrides().len()), (1, 0), "home again");
        let even = RoutingTable::even(3);
        assert_eq!(moved(&table, &[5], &[], 0).groups, even.groups, "no flag is left");
    }

    #[test]
    fn combined_key_keeps_its_entry_wherever_it_goes() {
        let key = with_group(77, 5);
        let table = RoutingTable::even(2).combined(key, true);
        assert!(table.has_combined() && table.is_combined(key));
        assert!(!table.is_combined(with_group(78, 5)), "its group is not combined");
        let expected = Override { hash: key, owner: 0, is_combined: true };
        assert_eq!((table.owner(key), table.override_of(key)), (0, Some(expected)));
        let table = moved(&moved(&table, &[], &[key], 1), &[], &[key], 0);
        assert_eq!(table.override_of(key), Some(expected));
        let table = table.combined(key, false);
        assert_eq!((table.override_of(key), table.has_combined()), (None, false));
    }
    #[test]
    fn ranges_are_dealt_out_in_their_order_and_moves_may_not_break_it() {
        let mut ranges = Ranges::learned().starting_with(vec![10, 20, 30, 40, 50]);
        let table = RoutingTable::ranged(3, ranges.ranges());
        let owner = |table: &RoutingTable, key: i32| table.owner(ranges.hash(&key));
        assert_eq!([5, 15, 25, 35, 45, 55].map(|key| owner(&table, key)), [0, 0, 1, 1, 2, 2]);
        let keeps =
            |groups: &[u16], taker| table.keeps_order(&Units::of(&table, groups, &[]), taker);
        assert!(keeps(&[], 0) && keeps(&[1], 1) && keeps(&[2, 3], 0) && keeps(&[2], 0));
        assert!(!keeps(&[0], 1) && !keeps(&[1], 2) && !keeps(&[2], 2) && !keeps(&[4], 0));
        let merged = table.regrouped(table.ranges().expect("some").merged(0), 0);
        assert_eq!((merged.epoch(), ranges.follow(&merged)), (1, vec![0, 1]));
        assert_eq!([5, 15, 25].map(|key| merged.owner(ranges.hash(&key))), [0, 0, 1]);
    }
}
