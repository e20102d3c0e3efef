//! The way of a record to the partition that owns its key.

use std::sync::Arc;
use std::vec::Drain;

use crate::dataflow::chain::{feed, stow};
use crate::dataflow::{Folded, Route};
use crate::exchange::combine::Combine;
use crate::exchange::planted::{Fault, is_planted};
use crate::exchange::{Mark, Outbox};
use crate::record::{Batch, Key};
use crate::routing::{Domain, KeyedPartitioner, Move, RoutingTable};
use crate::time::Nanos;

/// Sends every record to the owner of its key, or folds it into a partial that goes there later:
/// where that pays, and of keys that the table says are combined.
///
/// The hash does not travel: the owner computes it again, which costs less than eight bytes more
/// from core to core.
pub(super) struct ByKey<K, F, Q, C, P> {
    key_of: F,
    partitioner: Q,
    domain: Arc<Domain>,
    /// The table that is followed now.
    table: Arc<RoutingTable>,
    /// Moves whose donors have to be told before it is changed, the last one first.
    untold: Vec<Arc<Move>>,
    /// Up to this epoch they are told, or among those.
    told: u32,
    /// Whether keys of it are to be combined.
    has_combined: bool,
    /// When what is held of those has to go.
    combined_by: Option<Nanos>,
    combine: C,
    /// How long a partial may be held; `None`: to the end of the input.
    hold: Option<Nanos>,
    /// When what is held has to go.
    flush_at: Option<Nanos>,
    /// A partial that there was no room for.
    evicted: Option<P>,
    /// (hash, records) of what was folded for the table since the start, in no order.
    folded: Vec<(u64, u64)>,
    key: std::marker::PhantomData<fn() -> K>,
}

/// How long a partial of a combined key may be held: its owner then sees 2,000 of each feeder a
/// second, whatever the key's rate.
const COMBINED_NS: Nanos = 500_000;

impl<K, F, Q: KeyedPartitioner<K>, C, P> ByKey<K, F, Q, C, P> {
    /// Routes by `partitioner` over the key that `key_of` finds, folding in `combine` first and
    /// holding what was folded for half of `emit_every`, so that a result is never older than one
    /// and a half intervals.
    pub(super) fn new(
        key_of: F,
        partitioner: Q,
        domain: Arc<Domain>,
        combine: C,
        emit_every: Option<Nanos>,
    ) -> Self {
        let table = domain.table();
        let mut partitioner = partitioner;
        follow_ranges(&mut partitioner, &table);
        ByKey {
            key_of,
            partitioner,
            untold: Vec::new(),
            told: table.epoch(),
            domain,
            has_combined: table.has_combined(),
            table,
            combined_by: None,
            combine,
            hold: emit_every.map(|interval| interval / 2),
            flush_at: None,
            evicted: None,
            folded: Vec::new(),
            key: std::marker::PhantomData,
        }
    }
}

impl<T, K, F, Q, C> Route<T> for ByKey<K, F, Q, C, C::Partial>
where
    T: Send,
    K: Key,
    F: Fn(&T) -> K + Send,
    Q: KeyedPartitioner<K>,
    C: Combine<T, K>,
{
    type Item = T;
    type Partial = C::Partial;

    fn begin_slice(&mut self) {
        self.combine.begin_slice();
    }

    fn follow(&mut self, outbox: &mut Outbox<T, C::Partial>) -> bool {
        self.domain.epoch() == self.table.epoch() || self.switch(outbox)
    }

    fn scatter(
        &mut self,
        records: &mut Vec<T>,
        spare: &mut Vec<T>,
        outbox: &mut Outbox<T, C::Partial>,
    ) {
        if self.has_combined {
            self.combined_by.get_or_insert(outbox.now().saturating_add(COMBINED_NS));
        }
        if self.combine.is_on() {
            self.fold(records, spare, outbox);
        }
        // The combiner may have switched itself off in the middle.
        if records.is_empty() || self.combine.is_on() || !outbox.is_open() {
            return;
        }
        let capacity = records.capacity();
        let mut drain = records.drain(..);
        if self.has_combined {
            while self.send_evicted(outbox) && self.combine_run(&mut drain, outbox) {}
        } else {
            while let Some(target) = self.scatter_run(&mut drain, outbox.open()) {
                if !outbox.make_room(target) {
                    break;
                }
            }
        }
        if stow(drain, capacity, spare) {
            std::mem::swap(records, spare);
        }
    }

    fn is_holding(&self) -> bool {
        self.evicted.is_some() || !self.combine.is_empty()
    }

    fn empty_into(&mut self, outbox: &mut Outbox<T, C::Partial>) -> bool {
        while self.send_evicted(outbox) {
            self.evicted = self.combine.take_next();
            if self.evicted.is_none() {
                return true;
            }
        }
        false
    }

    fn settle(&mut self, outbox: &mut Outbox<T, C::Partial>, now: Nanos) {
        if self.combined_by.is_some_and(|by| now >= by) && self.send_combined(outbox) {
            self.combined_by = None;
        }
        let Some(hold) = self.hold else { return };
        if self.combine.is_empty() {
            self.flush_at = None;
            return;
        }
        let flush_at = *self.flush_at.get_or_insert(now.saturating_add(hold));
        if now >= flush_at && self.empty_into(outbox) {
            self.flush_at = None;
        }
    }

    fn folded(&self, folded: &mut Vec<Folded>) {
        let domain = self.domain.index();
        let of_key =
            |(hash, records): &(u64, u64)| Folded { domain, hash: *hash, records: *records };
        folded.extend(self.folded.iter().map(of_key));
    }

    fn wake_at(&self) -> Option<Nanos> {
        [self.flush_at, self.combined_by].into_iter().flatten().min()
    }
}

impl<K, F, Q, C, P> ByKey<K, F, Q, C, P>
where
    K: Key,
    Q: KeyedPartitioner<K>,
{
    /// Goes over to the table that holds now. What was routed or folded by the old one goes first,
    /// and behind it each donor is told that nothing of the moved units follows.
    #[inline(never)]
    fn switch<T>(&mut self, outbox: &mut Outbox<T, P>) -> bool
    where
        Self: Route<T, Item = T, Partial = P>,
    {
        let keeps =
            is_planted(Fault::MarkerBeforePartials) || is_planted(Fault::FollowsWithPartials);
        if !keeps && !self.empty_into(outbox) {
            return false;
        }
        loop {
            while let Some(moved) = self.untold.last() {
                if !outbox.mark(moved.donor, Mark::Reroute { id: moved.id }) {
                    return false;
                }
                self.untold.pop();
            }
            let (table, moves) = self.domain.since(self.told);
            self.told = table.epoch();
            self.untold = moves;
            if is_planted(Fault::SkippedDelta) {
                self.untold.drain(..self.untold.len().saturating_sub(1));
            }
            self.untold.reverse();
            if self.untold.is_empty() {
                if is_planted(Fault::MarkerBeforePartials) && !self.empty_into(outbox) {
                    return false;
                }
                assert!(!self.is_holding(), "what one table has folded goes before the next");
                (self.has_combined, self.combined_by) = (table.has_combined(), None);
                if !is_planted(Fault::FeederKeepsRanges) {
                    follow_ranges(&mut self.partitioner, &table);
                }
                self.table = table;
                return true;
            }
        }
    }

    /// Moves records into their targets' open batches until one is full; returns that target.
    ///
    /// Everything the loop needs lies in locals: what is behind `self` would be read again for
    /// every record, since the compiler cannot know that a push does not change it.
    #[inline(always)]
    fn scatter_run<T>(
        &mut self,
        drain: &mut Drain<'_, T>,
        open: &mut [Batch<T, P>],
    ) -> Option<usize>
    where
        F: Fn(&T) -> K,
    {
        let (table, key_of, partitioner) = (&*self.table, &self.key_of, &self.partitioner);
        while let Some(next) = drain.as_slice().first() {
            let hash = partitioner.hash(&key_of(next));
            let target = table.owner(hash);
            let batch = &mut open[target].records;
            if batch.len() == batch.capacity() {
                return Some(target);
            }
            let record = drain.next()?;
            batch.push(record);
        }
        None
    }

    /// As [`scatter_run`](Self::scatter_run), but folds records of combined keys, and stops where
    /// one makes a partial go; `false` if there is no room, or nothing is left.
    #[inline(always)]
    fn combine_run<T>(&mut self, drain: &mut Drain<'_, T>, outbox: &mut Outbox<T, P>) -> bool
    where
        F: Fn(&T) -> K,
        C: Combine<T, K, Partial = P>,
    {
        let (table, key_of, partitioner) = (&*self.table, &self.key_of, &self.partitioner);
        let (open, combine) = (outbox.open(), &mut self.combine);
        let (folded, mut last) = (&mut self.folded, 0);
        while let Some(next) = drain.as_slice().first() {
            let key = key_of(next);
            let hash = partitioner.hash(&key);
            if table.is_combined(hash) {
                if folded.get(last).is_none_or(|(known, _)| *known != hash) {
                    last = place_of(folded, hash);
                }
                folded[last].1 += 1;
                self.evicted = combine.fold_named(next, hash, key);
                drain.next();
                if self.evicted.is_some() {
                    return true;
                }
                continue;
            }
            let target = table.owner(hash);
            let batch = &mut open[target].records;
            if batch.len() == batch.capacity() {
                return outbox.make_room(target);
            }
            let Some(record) = drain.next() else { break };
            batch.push(record);
        }
        false
    }

    /// Sends what is held of combined keys; `false` if there is no room for all of it.
    #[inline(never)]
    fn send_combined<T>(&mut self, outbox: &mut Outbox<T, P>) -> bool
    where
        C: Combine<T, K, Partial = P>,
    {
        let table = Arc::clone(&self.table);
        let mut combined = table.overrides().filter(|over| over.is_combined);
        combined.all(|over| {
            while self.send_evicted(outbox) {
                self.evicted = self.combine.take(over.hash);
                if self.evicted.is_none() {
                    return true;
                }
            }
            false
        })
    }

    /// Folds records until there is no room for a partial, or folding no longer pays.
    fn fold<T>(&mut self, records: &mut Vec<T>, spare: &mut Vec<T>, outbox: &mut Outbox<T, P>)
    where
        F: Fn(&T) -> K,
        C: Combine<T, K, Partial = P>,
    {
        if !self.send_evicted(outbox) {
            return;
        }
        feed(records, spare, |record| {
            let key = (self.key_of)(&record);
            let hash = self.partitioner.hash(&key);
            if let Some(evicted) = self.combine.fold(&record, hash, key) {
                self.evicted = Some(evicted);
                if !self.send_evicted(outbox) {
                    return false;
                }
            }
            self.combine.is_on()
        });
    }

    /// Sends the partial that waits, if one does; `false` if there is no room for it.
    #[inline(always)]
    fn send_evicted<T>(&mut self, outbox: &mut Outbox<T, P>) -> bool
    where
        C: Combine<T, K, Partial = P>,
    {
        let Some(partial) = self.evicted.take() else { return true };
        let target = self.table.owner(C::hash_of(&partial));
        self.evicted = outbox.push_partial(target, partial).err();
        self.evicted.is_none()
    }
}

/// Has keys grouped as `table` has it.
fn follow_ranges<K>(partitioner: &mut impl KeyedPartitioner<K>, table: &RoutingTable) {
    if let Some(ranging) = partitioner.ranging() {
        ranging.follow(table);
    }
}

/// Where the records of this key are counted; a new place if it has none.
fn place_of(folded: &mut Vec<(u64, u64)>, hash: u64) -> usize {
    let known = folded.iter().position(|(known, _)| *known == hash);
    known.unwrap_or_else(|| {
        folded.push((hash, 0));
        folded.len() - 1
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::combine::{Combiner, Mode, Partial};
    use crate::exchange::lane::{LaneReceiver, Message, lane};
    use crate::exchange::{EdgeConfig, Mark};
    use crate::routing::{Hashed, Units};

    type Record = (u64, u64);
    type KeyOf = fn(&Record) -> u64;
    type Sum = Partial<u64, u64>;
    type Adder = Combiner<u64, u64, fn(&mut u64, &Record) -> Option<u64>>;
    type Records = Vec<Record>;

    fn hash(key: u64) -> u64 {
        KeyedPartitioner::hash(&Hashed, &key)
    }

    /// A feeder of two partitions that sums what comes, where it folds at all.
    struct Feeder {
        route: ByKey<u64, KeyOf, Hashed, Adder, Sum>,
        outbox: Outbox<Record, Sum>,
        lanes: Vec<LaneReceiver<Record, Sum>>,
        domain: Arc<Domain>,
    }

    impl Feeder {
        fn new(mode: Mode, batch: usize) -> Feeder {
            let (senders, lanes) = (0..2).map(|_| lane(2, None, None)).unzip();
            let config = EdgeConfig {
                batch_records: Some(batch),
                linger: 0,
                lane_batches: 2,
                parcels: 1,
                staged: 8,
            };
            let domain = Arc::new(Domain::new(0, 2));
            let adder: Adder = Combiner::new(mode, |sum, record| {
                *sum += record.1;
                None
            });
            let route = ByKey::new(
                (|record: &Record| record.0) as KeyOf,
                Hashed,
                Arc::clone(&domain),
                adder,
                None,
            );
            Feeder { route, outbox: Outbox::new(senders, &config), lanes, domain }
        }

        /// Follows the table, and gives it records; what it has no room for.
        fn feed(&mut self, records: &[Record]) -> Records {
            assert!(self.route.follow(&mut self.outbox));
            let mut records = records.to_vec();
            self.route.scatter(&mut records, &mut Vec::new(), &mut self.outbox);
            records
        }

        fn settle(&mut self, now: Nanos) {
            self.route.settle(&mut self.outbox, now);
        }

        /// Records and partials (key and sum) that are open for whoever owns `key`.
        fn open(&mut self, key: u64) -> (Records, Records) {
            let owner = self.domain.table().owner(hash(key));
            let batch = &mut self.outbox.open()[owner];
            let partials = batch.partials.drain(..).map(|one| (one.key, one.state)).collect();
            (batch.records.drain(..).collect(), partials)
        }

        /// Takes what is in the lanes; adds what records and partials of it come to.
        fn receive(&mut self, sums: &mut [u64; 2]) {
            for lane in &mut self.lanes {
                while let Some(message) = lane.try_recv() {
                    let Message::Batch(batch) = message else { continue };
                    sums[0] += batch.records.iter().map(|record| record.1).sum::<u64>();
                    sums[1] += batch.partials.iter().map(|one| one.state).sum::<u64>();
                }
            }
        }
    }

    /// The first key behind `after` of the same owner.
    fn beside(after: u64, table: &RoutingTable) -> u64 {
        let owner = table.owner(hash(after));
        (after + 1..).find(|key| table.owner(hash(*key)) == owner).expect("half of all")
    }

    #[test]
    fn combined_key_goes_as_one_partial_every_half_millisecond_and_all_others_as_they_are() {
        let mut feeder = Feeder::new(Mode::Off, 8);
        let other = beside(7, &feeder.domain.table());
        feeder.domain.set_combined(hash(7), true);
        assert!(feeder.feed(&[(7, 1), (other, 2), (7, 3), (7, 4)]).is_empty());
        assert_eq!(feeder.route.wake_at(), Some(COMBINED_NS));
        feeder.settle(COMBINED_NS - 1);
        assert_eq!(feeder.open(7), (vec![(other, 2)], vec![]));
        feeder.settle(COMBINED_NS);
        assert_eq!(feeder.open(7), (vec![], vec![(7, 8)]));
        assert!(!feeder.route.is_holding());
        assert_eq!(feeder.route.wake_at(), None);
    }

    #[test]
    fn while_all_keys_are_folded_only_combined_ones_go_early() {
        let mut feeder = Feeder::new(Mode::On, 8);
        let other = beside(7, &feeder.domain.table());
        feeder.domain.set_combined(hash(7), true);
        assert!(feeder.feed(&[(7, 1), (other, 2), (7, 3)]).is_empty());
        feeder.settle(COMBINED_NS);
        assert_eq!(feeder.open(7), (vec![], vec![(7, 4)]));
        assert!(feeder.route.empty_into(&mut feeder.outbox));
        assert_eq!(feeder.open(7), (vec![], vec![(other, 2)]));
    }

    #[test]
    fn what_was_folded_goes_before_the_key_is_folded_no_longer() {
        let mut feeder = Feeder::new(Mode::Off, 8);
        feeder.domain.set_combined(hash(7), true);
        feeder.feed(&[(7, 1), (7, 2)]);
        feeder.domain.set_combined(hash(7), false);
        assert!(feeder.route.follow(&mut feeder.outbox));
        assert_eq!(feeder.open(7), (vec![], vec![(7, 3)]));
        feeder.feed(&[(7, 4)]);
        assert_eq!(feeder.open(7), (vec![(7, 4)], vec![]));
    }

    #[test]
    fn combined_key_that_moves_is_sent_to_its_donor_before_the_reroute() {
        let mut feeder = Feeder::new(Mode::Off, 8);
        feeder.domain.set_combined(hash(7), true);
        feeder.feed(&[(7, 1), (7, 2)]);
        let table = feeder.domain.table();
        let donor = table.owner(hash(7));
        let units = Units::of(&table, &[], &[hash(7)]);
        let moved = Move { id: 1, domain: 0, units, donor, taker: 1 - donor };
        assert!(feeder.domain.publish(Arc::new(moved)));
        feeder.feed(&[(7, 4)]);
        let Some(Message::Batch(batch)) = feeder.lanes[donor].try_recv() else {
            panic!("the partial comes first")
        };
        assert_eq!(batch.partials.iter().map(|one| one.state).collect::<Vec<_>>(), [3]);
        let next = feeder.lanes[donor].try_recv();
        assert!(matches!(next, Some(Message::Mark(Mark::Reroute { id: 1 }))), "{next:?}");
        feeder.settle(COMBINED_NS);
        assert_eq!(feeder.open(7), (vec![], vec![(7, 4)]), "for the taker");
    }

    #[test]
    fn record_behind_a_full_lane_stays_and_no_partial_is_lost() {
        let mut feeder = Feeder::new(Mode::Off, 1);
        let other = beside(7, &feeder.domain.table());
        feeder.domain.set_combined(hash(7), true);
        let records = [(7, 1), (other, 1), (other, 2), (other, 3), (7, 2), (other, 4), (7, 4)];
        let mut left = feeder.feed(&records);
        assert_eq!(left, records[5..], "two fill the lane, one is open");
        let (mut sums, mut now) = ([0, 0], 0);
        while !left.is_empty() || feeder.route.is_holding() {
            now += COMBINED_NS;
            feeder.receive(&mut sums);
            if feeder.outbox.retry(now) {
                left = feeder.feed(&left);
            }
            feeder.settle(now);
        }
        while !feeder.outbox.finish(now) {
            feeder.receive(&mut sums);
        }
        feeder.receive(&mut sums);
        assert_eq!(sums, [10, 7]);
    }
}
