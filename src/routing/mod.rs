//! Who gets a record: partitioners say where it belongs, the routing table who owns that now.
//!
//! A *keyed* partitioner gives every key a **key group**, 0..4096, and never a partition. The
//! group stands in the top 12 bits of the hash that goes with the record's key, so that the table,
//! moves and state read one word and do not ask which partitioner made it. An unkeyed
//! partitioner gives a partition and cannot feed keyed state.
//!
//! Which key is of which group is fixed, but for [`LearnedRanges`]: their bounds are part of the
//! routing table, version by version, and everybody who reads group numbers follows it; see
//! [`Ranging`].
//!
//! Broadcasting is no partitioner: it has no choice to make, and the exchange copies.

mod bounds;
mod custom;
mod domain;
mod hash;
mod learned;
mod modulo;
mod moves;
mod range;
mod round_robin;
mod table;

pub use bounds::KeyRanges;
pub use custom::Custom;
pub use domain::Domain;
pub use hash::Hashed;
pub use learned::LearnedRanges;
pub use modulo::{IntegerKey, Modulo};
pub use moves::{Move, MoveId, UNITS_MAX, Units};
pub use range::Ranges;
pub use round_robin::RoundRobin;
pub use table::{OVERRIDES_MAX, Override, PARTITIONS_MAX, RoutingTable};

use std::cmp::Ordering;
use std::sync::Arc;

use crate::error::Result;

/// How many key groups there are, in every job. Stored with state, never derived.
pub const KEY_GROUPS: usize = 4096;

const GROUP_BITS: u32 = KEY_GROUPS.trailing_zeros();
const GROUP_SHIFT: u32 = u64::BITS - GROUP_BITS;

const _: () = assert!(KEY_GROUPS.is_power_of_two());

/// The key group of a carried hash: its top 12 bits.
#[inline]
pub fn key_group(hash: u64) -> usize {
    (hash >> GROUP_SHIFT) as usize
}

/// `hash` with its top 12 bits replaced by `group`. Never 0.
///
/// # Panics
/// If `group` is not below [`KEY_GROUPS`].
#[inline]
pub fn with_group(hash: u64, group: usize) -> u64 {
    assert!(group < KEY_GROUPS, "key group {group} is not below {KEY_GROUPS}");
    let hash = (hash << GROUP_BITS >> GROUP_BITS) | ((group as u64) << GROUP_SHIFT);
    hash | 1
}

/// The first of `KEY_GROUPS` groups that belongs to share `index` of `count` even shares: the
/// smallest group whose `⌊group · count / 4096⌋` is `index`.
fn first_group(index: usize, count: usize) -> usize {
    (index * KEY_GROUPS).div_ceil(count)
}

/// Gives every key a key group. Called for every record, on the partition that made it; each
/// partition has its own clone, and all clones must agree.
pub trait KeyedPartitioner<K>: Clone + Send + 'static {
    /// The name shown in `explain` and reports.
    fn name(&self) -> String;

    /// The hash that goes with `key`, at its feeders and its owner: never 0, equal for equal keys,
    /// its top 12 bits are the key group. [`with_group`] makes one.
    fn hash(&self, key: &K) -> u64;

    /// Checks the partitioner before any thread starts.
    ///
    /// # Errors
    /// [`InvalidConfig`](crate::ErrorKind::InvalidConfig), with what is wrong and what is allowed.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// How keys are ordered, where neighbouring keys go to one partition: at the end of the input
    /// a partition then emits in this order. `None` where there is no order to keep.
    fn order(&self) -> Option<fn(&K, &K) -> Ordering> {
        None
    }

    /// The other side of one whose groups change while the job runs; `None`, as for nearly all, if
    /// a key stays in its group.
    #[inline]
    fn ranging(&mut self) -> Option<&mut dyn Ranging<K>> {
        None
    }
}

/// A partitioner whose key groups are ranges of keys that are cut and merged while the job runs.
///
/// The routing table of the task has the ranges that hold. Each clone of the partitioner has those
/// of the table that it followed last: every feeder gives a key the group, and the group the
/// partition, by one and the same version.
pub trait Ranging<K> {
    /// The ranges that it has.
    fn ranges(&self) -> Arc<dyn KeyRanges>;

    /// Goes over to the ranges of `table`. Returns the groups of before that are not the same range
    /// any more: what is kept for them has to be put under the groups of now.
    fn follow(&mut self, table: &RoutingTable) -> Vec<u16>;

    /// Takes note of a key that has come. Called for a sample, where the state of the keys is.
    fn note(&mut self, key: &K);

    /// The ranges of `table` with that of `group` cut into about so many parts, as even as the keys
    /// that came last; `None` if these give no reason to cut.
    fn cut(&self, table: &RoutingTable, group: u16, parts: usize) -> Option<Arc<dyn KeyRanges>>;
}

/// Gives every record a partition, whatever its key. Called for every record, on the partition
/// that made it; each partition has its own clone.
pub trait Partitioner<T>: Clone + Send + 'static {
    /// The name shown in `explain` and reports.
    fn name(&self) -> String;

    /// Where `record` goes, as an index in `0..partitions`.
    fn partition(&mut self, record: &T, partitions: usize) -> usize;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn group_replaces_the_top_bits_only() {
        assert_eq!(with_group(u64::MAX, 5), (5 << 52) | (u64::MAX >> 12));
        assert_eq!(key_group(with_group(0x1234_5678_9abc_def0, 4095)), 4095);
    }

    #[test]
    fn hash_with_a_group_is_never_zero_and_keeps_its_group() {
        assert_eq!(with_group(0xfff0_0000_0000_0000, 0), 1);
        assert_eq!(key_group(with_group(0, 7)), 7);
    }

    #[test]
    fn first_group_of_a_share_is_owned_by_its_partition() {
        for count in [1, 2, 3, 7, 16, 1000, 4095, 4096] {
            for index in 0..count {
                let group = first_group(index, count);
                assert_eq!(group * count / KEY_GROUPS, index, "{index} of {count}");
                assert!(index == 0 || (group - 1) * count / KEY_GROUPS == index - 1);
            }
        }
    }
}
