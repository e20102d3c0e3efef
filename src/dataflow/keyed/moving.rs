//! Keyed state on the move: what leaves, and what comes and has not caught up yet.

use std::mem::swap;

use crate::dataflow::keyed::part::{Arriving, Load};
use crate::dataflow::keyed::{EventTime, Keyed, Part};
use crate::dataflow::{Chain, Emit, Flow, Handling, KeyedOperator, TimeDomain};
use crate::exchange::combine::Partial;
use crate::exchange::planted::{Fault, is_planted};
use crate::record::{Batch, Key};
use crate::routing::{KeyedPartitioner, MoveId, Ranging, RoutingTable, Units};

type PartOf<K, T, Op, Q> = Part<K, <Op as KeyedOperator<K, T>>::State, Q>;
type LoadOf<K, T, Op> = Load<K, <Op as KeyedOperator<K, T>>::State>;
type BatchOf<K, T, Op, D> =
    Batch<<D as TimeDomain>::Row<T>, Partial<K, <Op as KeyedOperator<K, T>>::Partial>>;

/// The carried hash of a partial's key. Where groups are ranges, whoever folded it may have known
/// others.
#[inline(always)]
pub(super) fn hash_in<K, S>(
    partitioner: &mut impl KeyedPartitioner<K>,
    partial: &Partial<K, S>,
) -> u64 {
    match partitioner.ranging() {
        None => partial.hash.get(),
        Some(_) => partitioner.hash(&partial.key),
    }
}

impl<T, K, F, Q, Op, D> Keyed<T, K, F, Q, Op, D>
where
    T: Send + 'static,
    D: TimeDomain,
    K: Key,
    Q: KeyedPartitioner<K>,
    F: FnMut(&T) -> K + Clone + Send + 'static,
    Op: KeyedOperator<K, T>,
{
    pub(super) fn handle_units<E: Emit<Op::Out>>(
        &mut self,
        handling: Handling<'_, D::Row<T>, Partial<K, Op::Partial>>,
        out: &mut E,
    ) -> Flow {
        match handling {
            Handling::Hash { batch, hashes } => self.look_into(batch, hashes),
            Handling::Size { size } => *size = (self.part.store.len(), self.part.store.bytes()),
            Handling::Name { hash, name } => {
                let place = self.part.store.find_hash(hash, 0);
                *name = place.map(|place| format!("{:?}", self.part.store.at(place).0));
            }
            Handling::Find { units, batch, is_found } => *is_found = self.finds(units, batch),
            Handling::Pull { units, from, to } => self.pull(units, from, to),
            Handling::Give { units, parcel } => {
                *parcel = Some(Box::new(self.part.take(units)));
            }
            Handling::Install { moved, parcel } => {
                let load = parcel.downcast::<LoadOf<K, T, Op>>();
                let load = *load.expect("a parcel comes from the same task of another partition");
                if is_planted(Fault::MergedAtOnce) {
                    self.part.put(load);
                    self.arriving.push(Arriving { moved, part: self.empty_part() });
                    return Flow::Done;
                }
                let part = self.part.apart(&self.partitioner, load);
                self.arriving.push(Arriving { moved, part });
            }
            Handling::Push { id, batch } => self.push_apart(id, batch, out),
            Handling::Thaw { id } => return self.thaw(id, out),
            Handling::Follow { table } => self.follow(table),
            Handling::Cut { table, group, parts, ranges } => {
                let cut = |ranging: &mut dyn Ranging<K>| ranging.cut(table, group, parts);
                *ranges = self.partitioner.ranging().and_then(cut);
            }
        }
        Flow::Done
    }

    fn empty_part(&self) -> PartOf<K, T, Op, Q> {
        let wakes = self.part.wakes.apart(self.part.wakes.event.until);
        Part::new(&self.partitioner, self.part.changed.is_some(), wakes)
    }

    /// Tells whose records and partials the batch has, and has ranges learn of their keys.
    fn look_into(&mut self, batch: &BatchOf<K, T, Op, D>, hashes: &mut Vec<u64>) {
        for row in &batch.records {
            let key = (self.key_of)(D::record(row));
            self.partitioner.ranging().into_iter().for_each(|ranging| ranging.note(&key));
            hashes.push(self.partitioner.hash(&key));
        }
        for partial in &batch.partials {
            self.partitioner.ranging().into_iter().for_each(|ranging| ranging.note(&partial.key));
            hashes.push(hash_in(&mut self.partitioner, partial));
        }
    }

    /// Has keys grouped as `table` has it, and puts what is kept of those that have changed their
    /// group under their new one. What is on its way here keeps its groups until it is here.
    fn follow(&mut self, table: &RoutingTable) {
        let Some(ranging) = self.partitioner.ranging() else { return };
        let changed = ranging.follow(table);
        if !changed.is_empty() {
            self.part.regroup(&self.partitioner, &Units::of(table, &changed, &[]));
        }
    }

    fn hash_of(&mut self, row: &D::Row<T>) -> u64 {
        self.partitioner.hash(&(self.key_of)(D::record(row)))
    }

    fn finds(&mut self, units: &Units, batch: &BatchOf<K, T, Op, D>) -> bool {
        batch.partials.iter().any(|partial| units.contains(hash_in(&mut self.partitioner, partial)))
            || batch.records.iter().any(|row| units.contains(self.hash_of(row)))
    }

    fn pull(
        &mut self,
        units: &Units,
        from: &mut BatchOf<K, T, Op, D>,
        to: &mut BatchOf<K, T, Op, D>,
    ) {
        (to.intake, to.sent) = (from.intake, from.sent);
        let hit = |hash: u64| {
            units.contains(hash)
                || (is_planted(Fault::SweepIgnoresOverrides)
                    && units.has_group(crate::routing::key_group(hash)))
        };
        if !is_planted(Fault::PartialsNotSwept) {
            let by_old = is_planted(Fault::SweepByOldLabels);
            let mut hash = |partial: &mut Partial<K, Op::Partial>| match by_old {
                true => partial.hash.get(),
                false => hash_in(&mut self.partitioner, partial),
            };
            to.partials.extend(from.partials.extract_if(.., |partial| hit(hash(partial))));
        }
        to.records.extend(from.records.extract_if(.., |row| hit(self.hash_of(row))));
    }

    /// Works off records of units that have not caught up: with their own state and at their own
    /// time.
    fn push_apart<E: Emit<Op::Out>>(
        &mut self,
        id: MoveId,
        batch: &mut BatchOf<K, T, Op, D>,
        out: &mut E,
    ) {
        let at = self.arriving_at(id);
        if is_planted(Fault::MergedAtOnce) {
            return self.push_batch(batch, out);
        }
        swap(&mut self.part, &mut self.arriving[at].part);
        self.push_batch(batch, out);
        swap(&mut self.part, &mut self.arriving[at].part);
    }

    /// Wakes keys of moved units up to the time of the partition, then takes the units among its
    /// own. Where theirs is later they have seen a promise that holds for all records to come.
    fn thaw<E: Emit<Op::Out>>(&mut self, id: MoveId, out: &mut E) -> Flow {
        let at = self.arriving_at(id);
        let watermark = self.part.wakes.event.until;
        swap(&mut self.part, &mut self.arriving[at].part);
        self.part.wakes.event.advance(watermark);
        let flow = self.wake::<EventTime, E>(out);
        swap(&mut self.part, &mut self.arriving[at].part);
        if flow == Flow::Done {
            let Arriving { moved, mut part } = self.arriving.swap_remove(at);
            self.part.put(part.take(&moved.units));
        }
        flow
    }

    fn arriving_at(&self, id: MoveId) -> usize {
        let at = self.arriving.iter().position(|arriving| arriving.moved.id == id);
        at.expect("what is worked off or caught up with was installed")
    }
}
