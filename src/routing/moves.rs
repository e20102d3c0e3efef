//! Moves: what changes its owner, from one epoch of a routing table to the next.

use crate::routing::{KEY_GROUPS, RoutingTable, key_group};

/// The number of a move, unique in its job.
pub type MoveId = u32;

/// The most units of one move.
pub const UNITS_MAX: usize = 64;

const WORDS: usize = KEY_GROUPS / u64::BITS as usize;

/// Some key groups and some keys, by their hashes: what one move moves.
///
/// A key that has an owner of its own is no part of its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Units {
    /// One bit per key group.
    groups: Box<[u64; WORDS]>,
    /// Hashes of keys in those groups that have owners of their own, in order.
    except: Vec<u64>,
    /// Hashes of single keys, in order.
    keys: Vec<u64>,
}

impl Units {
    /// The given key groups and keys, by hash, as they are in `table`.
    ///
    /// # Panics
    /// If a group is not below [`KEY_GROUPS`].
    pub fn of(table: &RoutingTable, groups: &[u16], keys: &[u64]) -> Units {
        let mut bits = Box::new([0; WORDS]);
        for group in groups {
            assert!(usize::from(*group) < KEY_GROUPS, "key group {group}");
            bits[usize::from(*group) / 64] |= 1u64 << (group % 64);
        }
        let mut units = Units { groups: bits, except: Vec::new(), keys: keys.to_vec() };
        units.keys.sort_unstable();
        units.keys.dedup();
        let own = table.overrides().map(|over| over.hash);
        units.except = own.filter(|hash| units.has_group(key_group(*hash))).collect();
        units
    }

    /// Whether `group` is one of them.
    #[inline]
    pub fn has_group(&self, group: usize) -> bool {
        self.groups[group / 64] >> (group % 64) & 1 == 1
    }

    /// Whether the key with this hash is one of them, or belongs to one.
    #[inline]
    pub fn contains(&self, hash: u64) -> bool {
        if self.has_group(key_group(hash)) && self.except.binary_search(&hash).is_err() {
            return true;
        }
        self.keys.binary_search(&hash).is_ok()
    }

    /// The key groups, in order.
    pub fn groups(&self) -> impl Iterator<Item = usize> {
        (0..KEY_GROUPS).filter(|group| self.has_group(*group))
    }

    /// Hashes of the single keys, in order.
    pub fn keys(&self) -> &[u64] {
        &self.keys
    }

    /// Hashes of keys in its groups that are no part of it, in order.
    pub fn except(&self) -> &[u64] {
        &self.except
    }

    /// How many groups and keys.
    pub fn len(&self) -> usize {
        self.groups.iter().map(|word| word.count_ones() as usize).sum::<usize>() + self.keys.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether both cannot move at once: they share a unit, or one has a key and the other its
    /// group, whose records would then not know whose they are.
    pub fn conflicts_with(&self, other: &Units) -> bool {
        let share_group =
            self.groups.iter().zip(&*other.groups).any(|(one, other)| one & other != 0);
        let touches = |one: &Units, other: &Units| {
            one.keys.iter().any(|key| {
                other.has_group(key_group(*key)) || other.keys.binary_search(key).is_ok()
            })
        };
        share_group || touches(self, other) || touches(other, self)
    }
}

/// Units that go from one partition to another, with their state and what is queued for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// Its number.
    pub id: MoveId,
    /// Index of the domain: of the keyed task.
    pub domain: usize,
    /// What moves.
    pub units: Units,
    /// The partition that gives.
    pub donor: usize,
    /// The partition that gets.
    pub taker: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::with_group;

    #[test]
    fn key_with_an_owner_of_its_own_is_no_part_of_its_group() {
        let own = with_group(77, 5);
        let table = RoutingTable::even(2);
        let one = Units::of(&table, &[], &[own]);
        let table = table.moved(&Move { id: 1, domain: 0, units: one, donor: 0, taker: 1 });
        let units = Units::of(&table, &[5, 9], &[]);
        assert!(units.contains(with_group(78, 5)) && units.contains(with_group(1, 9)));
        assert!(!units.contains(own) && !units.contains(with_group(1, 6)));
        assert_eq!((units.len(), units.except()), (2, &[own][..]));
        assert_eq!(units.groups().collect::<Vec<_>>(), [5, 9]);
    }

    #[test]
    fn a_key_conflicts_with_its_group_and_with_itself() {
        let table = RoutingTable::even(2);
        let of = |groups: &[u16], keys: &[u64]| Units::of(&table, groups, keys);
        let key = with_group(77, 5);
        assert!(of(&[5], &[]).conflicts_with(&of(&[], &[key])));
        assert!(of(&[], &[key]).conflicts_with(&of(&[5], &[])));
        assert!(of(&[], &[key]).conflicts_with(&of(&[], &[key])));
        assert!(of(&[4, 5], &[]).conflicts_with(&of(&[5, 6], &[])));
        assert!(!of(&[4], &[key]).conflicts_with(&of(&[6], &[with_group(78, 5)])));
    }
}
