//! The routing table: which partition owns a key group, in one version.

use crate::routing::{KEY_GROUPS, key_group};

/// The most partitions a table can name: an owner has 10 bits of its 16.
pub const PARTITIONS_MAX: usize = 1024;

/// Owners of all key groups in one epoch. Immutable, small (8 KiB), shared by pointer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutingTable {
    epoch: u32,
    owners: [u16; KEY_GROUPS],
}

impl RoutingTable {
    /// The table a job starts with, epoch 0: partition *i* of *P* owns the groups whose
    /// `⌊group · P / 4096⌋` is *i*, a run of neighbours.
    ///
    /// # Panics
    /// If `partitions` is 0 or above [`PARTITIONS_MAX`]; the configuration is checked before.
    pub fn even(partitions: usize) -> RoutingTable {
        assert!((1..=PARTITIONS_MAX).contains(&partitions), "{partitions} partitions");
        let owners = std::array::from_fn(|group| (group * partitions / KEY_GROUPS) as u16);
        RoutingTable { epoch: 0, owners }
    }

    /// Version of the table: moves applied since the start, a count without a unit.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The partition that owns the key with this carried hash.
    #[inline(always)]
    pub fn owner(&self, hash: u64) -> usize {
        usize::from(self.owners[key_group(hash)])
    }

    /// The partition that owns `group`.
    ///
    /// # Panics
    /// If `group` is not below [`KEY_GROUPS`].
    pub fn owner_of_group(&self, group: usize) -> usize {
        usize::from(self.owners[group])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
