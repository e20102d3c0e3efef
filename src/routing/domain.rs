//! A domain: all exchange edges that feed one keyed task, and the table that they share.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::routing::{KeyRanges, Move, MoveId, RoutingTable};

/// Who owns which key of one keyed task, now. Shared by its feeders on all partitions, by its own
/// instances, and by whoever decides about moves.
///
/// Feeders look at [`epoch`](Self::epoch) before each batch; the lock is taken only when it has
/// changed.
pub struct Domain {
    index: usize,
    is_ranged: bool,
    epoch: AtomicU32,
    published: Mutex<Published>,
}

struct Published {
    table: Arc<RoutingTable>,
    /// Moves that are under way, with the epoch in which each was published, in order.
    open: Vec<(u32, Arc<Move>)>,
    /// Partitions whose instance of the task can give nothing any more.
    ended: Vec<bool>,
}

impl Domain {
    /// Domain `index` of a job of `partitions` partitions, as it is at the start.
    pub fn new(index: usize, partitions: usize) -> Domain {
        Domain::starting(index, RoutingTable::even(partitions), partitions)
    }

    /// As [`new`](Self::new), of keys whose groups are `ranges`.
    pub fn ranged(index: usize, partitions: usize, ranges: Arc<dyn KeyRanges>) -> Domain {
        Domain::starting(index, RoutingTable::ranged(partitions, ranges), partitions)
    }

    fn starting(index: usize, table: RoutingTable, partitions: usize) -> Domain {
        let (is_ranged, table) = (table.ranges().is_some(), Arc::new(table));
        let published = Published { table, open: Vec::new(), ended: vec![false; partitions] };
        Domain { index, is_ranged, epoch: AtomicU32::new(0), published: Mutex::new(published) }
    }

    /// Its index in the job.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Whether its key groups are ranges that are cut and merged while the job runs.
    #[inline]
    pub fn is_ranged(&self) -> bool {
        self.is_ranged
    }

    /// Version of the table that holds now.
    #[inline]
    pub fn epoch(&self) -> u32 {
        // Acquire: pairs with the store behind a change, although the lock would do as well.
        self.epoch.load(Ordering::Acquire)
    }

    /// The table that holds now.
    pub fn table(&self) -> Arc<RoutingTable> {
        Arc::clone(&self.lock().table)
    }

    /// The table that holds now, and the moves that have been published since `epoch` and are
    /// under way, in order.
    pub fn since(&self, epoch: u32) -> (Arc<RoutingTable>, Vec<Arc<Move>>) {
        let published = self.lock();
        let later = published.open.iter().filter(|(at, _)| *at > epoch);
        (Arc::clone(&published.table), later.map(|(_, moved)| Arc::clone(moved)).collect())
    }

    /// Lets `moved` hold from now on; `false` if its donor has ended and can give nothing.
    pub fn publish(&self, moved: Arc<Move>) -> bool {
        let mut published = self.lock();
        if published.ended[moved.donor] {
            return false;
        }
        let table = published.table.moved(&moved);
        published.open.push((table.epoch(), moved));
        self.renew(&mut published, table);
        true
    }

    /// Says from now on that the key with this hash is to be combined at its feeders, or no longer.
    /// Nobody has to be waited for: a feeder sends what it has folded before it follows, over the
    /// same lane.
    ///
    /// Not while the key or its group is in a move: its units were told apart by the table before.
    pub fn set_combined(&self, hash: u64, is_combined: bool) {
        let mut published = self.lock();
        let table = published.table.combined(hash, is_combined);
        self.renew(&mut published, table);
    }

    /// Lets the ranges hold that `cut` makes of a range of `partition`; `false` if that owns none
    /// of this group, has ended, or there is nothing to cut. Nobody has to be waited for: feeders
    /// that do not know the new groups yet send their keys to the same partition.
    ///
    /// Not while the group is in a move: its units were told apart by the table before.
    pub fn cut(
        &self,
        partition: usize,
        group: u16,
        cut: impl FnOnce(&RoutingTable) -> Option<Arc<dyn KeyRanges>>,
    ) -> bool {
        let mut published = self.lock();
        let owner = published.table.owner_of_group(usize::from(group));
        if owner != partition || published.ended[partition] {
            return false;
        }
        let Some(ranges) = cut(&published.table) else { return false };
        let table = published.table.regrouped(ranges, partition);
        self.renew(&mut published, table);
        true
    }

    /// Makes the range of `group` and the one above it one range; `false` if there is none above,
    /// or it belongs to another partition.
    ///
    /// Not while one of them is in a move.
    pub fn merge(&self, group: u16) -> bool {
        let mut published = self.lock();
        let table = &published.table;
        let owner = |group: u16| table.owner_of_group(usize::from(group));
        let Some(ranges) = table.ranges() else { return false };
        let groups = ranges.groups();
        let Some(index) = groups.iter().position(|other| *other == group) else { return false };
        if groups.get(index + 1).is_none_or(|above| owner(*above) != owner(group)) {
            return false;
        }
        let table = table.regrouped(ranges.merged(index), owner(group));
        self.renew(&mut published, table);
        true
    }

    fn renew(&self, published: &mut Published, table: RoutingTable) {
        let epoch = table.epoch();
        published.table = Arc::new(table);
        self.epoch.store(epoch, Ordering::Release);
    }

    /// Forgets a move: all feeders have followed it.
    pub fn close(&self, id: MoveId) {
        self.lock().open.retain(|(_, moved)| moved.id != id);
    }

    /// Notes that `partition` can give nothing from now on, unless something was published since
    /// `epoch`, which it has to look at first: then `false`.
    pub fn end(&self, partition: usize, epoch: u32) -> bool {
        let mut published = self.lock();
        let is_last = published.table.epoch() == epoch;
        published.ended[partition] |= is_last;
        is_last
    }

    fn lock(&self) -> MutexGuard<'_, Published> {
        // Whoever panics while it holds the lock leaves one epoch or the next.
        self.published.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::{Ranges, Ranging, Units};

    fn moved(domain: &Domain, id: MoveId, group: u16, donor: usize, taker: usize) -> Arc<Move> {
        let units = Units::of(&domain.table(), &[group], &[]);
        Arc::new(Move { id, domain: 0, units, donor, taker })
    }

    #[test]
    fn follower_that_skips_an_epoch_gets_every_open_move_in_order() {
        let domain = Domain::new(0, 2);
        for (id, group) in [(1, 0), (2, 7), (3, 9)] {
            assert!(domain.publish(moved(&domain, id, group, 0, 1)));
        }
        let ids = |epoch| {
            let (table, moves) = domain.since(epoch);
            assert_eq!(table.epoch(), 3);
            moves.iter().map(|moved| moved.id).collect::<Vec<_>>()
        };
        assert_eq!(ids(0), [1, 2, 3]);
        assert_eq!(ids(2), [3]);
        domain.close(2);
        assert_eq!(ids(0), [1, 3]);
        assert_eq!(domain.table().owner_of_group(7), 1);
    }

    #[test]
    fn partition_that_has_ended_gives_nothing() {
        let domain = Domain::new(0, 2);
        assert!(domain.publish(moved(&domain, 1, 0, 0, 1)));
        assert!(!domain.end(0, 0), "it has not seen the first move");
        assert!(domain.end(0, 1));
        assert!(!domain.publish(moved(&domain, 2, 1, 0, 1)));
        assert_eq!((domain.epoch(), domain.table().owner_of_group(1)), (1, 0));
    }

    #[test]
    fn cuts_and_merges_are_new_epochs_in_which_nothing_changes_its_owner() {
        let mut ranges = Ranges::learned().starting_with(vec![10]);
        (0..10).chain(0..10).for_each(|key| ranges.note(&key));
        let domain = Domain::ranged(0, 2, ranges.ranges());
        assert!(domain.is_ranged() && !domain.merge(0), "the range above has another owner");
        assert!(!domain.cut(1, 0, |table| ranges.cut(table, 0, 2)), "it is partition 0's");
        assert!(!domain.cut(1, 1, |table| ranges.cut(table, 1, 2)), "it has seen no keys");
        assert!(domain.cut(0, 0, |table| ranges.cut(table, 0, 2)));
        let table = domain.table();
        assert_eq!(table.ranges().expect("some").groups(), [0, 2, 1]);
        assert_eq!([0, 2, 1].map(|group| table.owner_of_group(group)), [0, 0, 1]);
        assert_eq!((domain.epoch(), domain.since(0).1.len()), (1, 0));
        assert!(domain.merge(0) && !domain.merge(2), "group 2 is none any more");
        assert!(domain.end(0, 2) && !domain.cut(0, 0, |table| ranges.cut(table, 0, 2)));
        assert!(!Domain::new(0, 2).merge(0));
    }
}
