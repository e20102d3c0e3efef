//! `range`: sorted bounds cut the keys into ranges; ranges stay in order over the partitions.

use std::cmp::Ordering;
use std::fmt::Debug;

use crate::error::{Error, ErrorKind, Result};
use crate::record::{Key, hash_key};
use crate::routing::{KEY_GROUPS, KeyedPartitioner, LearnedRanges, first_group, with_group};

/// Keeps neighbouring keys together: every key of partition *i* lies below every key of *i* + 1.
///
/// `n` bounds make `n + 1` ranges; range *r* holds the keys from bound *r* − 1 (inclusive) to
/// bound *r* (exclusive). Ranges are dealt out evenly, so as many ranges as partitions, or a
/// multiple, balances best if the bounds do. At the end of its input a partition emits in the order
/// of keys. So that this holds, ranges stay where they are whatever the load; those of
/// [`learned`](Self::learned)`().starting_with(bounds)` follow it and keep their order.
#[derive(Clone, Debug)]
pub struct Ranges<K> {
    bounds: Vec<K>,
}

impl<K> Ranges<K> {
    /// Ranges between `bounds`, strictly ascending, at most 4,095 of them. Checked before start.
    pub fn new(bounds: Vec<K>) -> Ranges<K> {
        Ranges { bounds }
    }

    /// Ranges whose bounds are learned from the keys that come, and follow them.
    ///
    /// ```
    /// # use millstream::{connector::iterator, prelude::*};
    /// # let pipeline = Pipeline::new("example");
    /// use millstream::routing::Ranges;
    ///
    /// let keyed = pipeline.source(iterator([3, 1, 2, 1])).key_by(|n| *n);
    /// let counts = keyed.partition_by(Ranges::learned()).count().collect();
    /// # Engine::new(Config::builder().partitions(1).build()?)?.run(pipeline)?;
    /// assert_eq!(counts.take(), [(1, 2), (2, 1), (3, 1)]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn learned() -> LearnedRanges<K>
    where
        K: Key + Ord + Sync,
    {
        LearnedRanges::new()
    }
}

impl<K: Key + Ord> KeyedPartitioner<K> for Ranges<K> {
    fn name(&self) -> String {
        format!("range ({} bounds)", self.bounds.len())
    }

    #[inline]
    fn hash(&self, key: &K) -> u64 {
        let range = self.bounds.partition_point(|bound| bound <= key);
        with_group(hash_key(key), first_group(range, self.bounds.len() + 1))
    }

    fn check(&self) -> Result<()> {
        check_bounds(&self.bounds)
    }

    fn order(&self) -> Option<fn(&K, &K) -> Ordering> {
        Some(K::cmp)
    }
}

/// Says what is wrong with bounds of ranges, if anything is.
pub(super) fn check_bounds<K: Ord + Debug>(bounds: &[K]) -> Result<()> {
    let invalid = |context| Err(Error::new(ErrorKind::InvalidConfig, context));
    if bounds.len() >= KEY_GROUPS {
        let (seen, allowed) = (bounds.len(), KEY_GROUPS - 1);
        return invalid(format!("range partitioner has {seen} bounds, at most {allowed} fit"));
    }
    match bounds.windows(2).position(|pair| pair[0] >= pair[1]) {
        Some(index) => invalid(format!(
            "bounds of the range partitioner must ascend: bound {} is {:?}, bound {} is {:?}",
            index,
            bounds[index],
            index + 1,
            bounds[index + 1]
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::RoutingTable;

    #[test]
    fn partitions_hold_the_ranges_in_order() {
        for partitions in [1, 2, 3, 5] {
            let ranges = Ranges::new((1..partitions as i64).map(|i| i * 100).collect());
            ranges.check().expect("ascending");
            let table = RoutingTable::even(partitions);
            for key in -10..(partitions as i64 * 100) {
                let expected = (key / 100).max(0) as usize;
                assert_eq!(table.owner(ranges.hash(&key)), expected, "{key} of {partitions}");
            }
        }
    }

    #[test]
    fn a_bound_belongs_to_the_range_above_it() {
        let ranges = Ranges::new(vec!["g", "p"]);
        let table = RoutingTable::even(3);
        let owners = ["", "f", "g", "o", "p", "z"].map(|key| table.owner(ranges.hash(&key)));
        assert_eq!(owners, [0, 0, 1, 1, 2, 2]);
    }

    #[test]
    fn bounds_that_do_not_ascend_are_refused_with_the_pair() {
        for bounds in [vec![1, 3, 2], vec![1, 2, 2]] {
            let error = Ranges::new(bounds).check().expect_err("must be refused");
            assert_eq!(error.kind(), ErrorKind::InvalidConfig);
            assert!(error.to_string().contains("bound 2 is 2"), "{error}");
        }
    }

    #[test]
    fn more_ranges_than_groups_are_refused() {
        assert!(Ranges::new((0..4095).collect::<Vec<u32>>()).check().is_ok());
        let error = Ranges::new((0..4096).collect::<Vec<u32>>()).check().expect_err("too many");
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    }

    #[test]
    fn the_most_bounds_allowed_give_every_range_a_group_of_its_own() {
        let ranges = Ranges::new((1..4096).collect::<Vec<u32>>());
        let groups: Vec<u64> = (0..4096).map(|key: u32| ranges.hash(&key) >> 52).collect();
        assert_eq!(groups, (0..4096).collect::<Vec<u64>>());
    }
}
