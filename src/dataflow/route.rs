//! How records find their lanes: the routes of unkeyed edges.

use std::marker::PhantomData;
use std::vec::Drain;

use crate::dataflow::TimeDomain;
use crate::dataflow::chain::stow;
use crate::exchange::Outbox;
use crate::record::{Batch, Never};
use crate::routing::Partitioner;
use crate::time::Nanos;

/// What a feeder has folded of a key that the routing table names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Folded {
    /// Index of the domain.
    pub domain: usize,
    /// The key's hash.
    pub hash: u64,
    /// Records since the start.
    pub records: u64,
}

/// How rows `T`, records with their time where there is one, find their lanes in an outbox.
pub trait Route<T>: Send {
    /// What a row travels as on this edge.
    type Item: Send;
    /// What travels beside records on this edge.
    type Partial: Send;

    /// Another batch is about to be worked off.
    fn begin_slice(&mut self) {}

    /// Looks where records go from the next batch on; `false` if something has to be sent first and
    /// there was no room for it: then nothing may be scattered.
    fn follow(&mut self, outbox: &mut Outbox<Self::Item, Self::Partial>) -> bool {
        let _ = outbox;
        true
    }

    /// Moves `records` from the front into the outbox, or keeps them to be folded with others,
    /// until there is no room; the rest stays. `spare` is an empty buffer that may change places
    /// with `records`. The hottest loop of an exchange: called once a batch.
    fn scatter(
        &mut self,
        records: &mut Vec<T>,
        spare: &mut Vec<T>,
        outbox: &mut Outbox<Self::Item, Self::Partial>,
    );

    /// Whether it keeps anything.
    fn is_holding(&self) -> bool {
        false
    }

    /// Puts everything it kept into the outbox; `false` if there was no room for all of it.
    fn empty_into(&mut self, outbox: &mut Outbox<Self::Item, Self::Partial>) -> bool {
        let _ = outbox;
        true
    }

    /// Puts what it has kept long enough into the outbox.
    fn settle(&mut self, outbox: &mut Outbox<Self::Item, Self::Partial>, now: Nanos) {
        let _ = (outbox, now);
    }

    /// Adds how many records of each combined key it has folded since the start.
    fn folded(&self, folded: &mut Vec<Folded>) {
        let _ = folded;
    }

    /// When [`settle`](Self::settle) has something to do at the latest.
    fn wake_at(&self) -> Option<Nanos> {
        None
    }
}

/// Spreads records without keys as a partitioner says.
pub(super) struct Spread<Q, T, D>(pub Q, pub PhantomData<fn(T) -> D>);

impl<T, D, Q> Route<D::Row<T>> for Spread<Q, T, D>
where
    T: Send + 'static,
    D: TimeDomain,
    Q: Partitioner<T>,
{
    type Item = D::Row<T>;
    type Partial = Never;

    fn scatter(
        &mut self,
        rows: &mut Vec<D::Row<T>>,
        spare: &mut Vec<D::Row<T>>,
        outbox: &mut Outbox<D::Row<T>>,
    ) {
        let targets = outbox.targets();
        scatter_to(rows, spare, outbox, |row| self.0.partition(D::record(row), targets));
    }
}

/// Moves every record to the only lane.
pub(super) struct Forward;

impl<T: Send> Route<T> for Forward {
    type Item = T;
    type Partial = Never;

    fn scatter(&mut self, records: &mut Vec<T>, spare: &mut Vec<T>, outbox: &mut Outbox<T>) {
        scatter_to(records, spare, outbox, |_| 0);
    }
}

/// Moves `records` into `outbox`, each to the target that `target_of` names, until one has no
/// room. `target_of` is asked once per record, and again for one that had no room.
#[inline(always)]
fn scatter_to<T>(
    records: &mut Vec<T>,
    spare: &mut Vec<T>,
    outbox: &mut Outbox<T>,
    mut target_of: impl FnMut(&T) -> usize,
) {
    let capacity = records.capacity();
    let mut drain = records.drain(..);
    while let Some(target) = scatter_run(&mut drain, outbox.open(), &mut target_of) {
        if !outbox.make_room(target) {
            break;
        }
        outbox.open()[target].records.extend(drain.next());
    }
    if stow(drain, capacity, spare) {
        std::mem::swap(records, spare);
    }
}

/// Moves records into their targets' open batches until one has no room; returns that target,
/// whose record stays.
///
/// The batches are a parameter, so that the loop finds them in a register: behind the outbox they
/// would be looked up for every record, since the compiler cannot know that a push does not change
/// them.
#[inline(always)]
fn scatter_run<T>(
    drain: &mut Drain<'_, T>,
    open: &mut [Batch<T>],
    mut target_of: impl FnMut(&T) -> usize,
) -> Option<usize> {
    while let Some(next) = drain.as_slice().first() {
        let target = target_of(next);
        let batch = &mut open[target].records;
        // A vector of records without size is never full; the outbox counts those.
        if batch.len() == batch.capacity() || size_of::<T>() == 0 {
            return Some(target);
        }
        batch.push(drain.next()?);
    }
    None
}

/// Copies every record to all lanes: a broadcast, or a fork.
pub(super) struct Copies<T, D>(pub PhantomData<fn(T) -> D>);

impl<T: Clone + Send + 'static, D: TimeDomain> Route<D::Row<T>> for Copies<T, D> {
    type Item = D::Row<T>;
    type Partial = Never;

    fn scatter(
        &mut self,
        rows: &mut Vec<D::Row<T>>,
        _: &mut Vec<D::Row<T>>,
        outbox: &mut Outbox<D::Row<T>>,
    ) {
        let mut copied = 0;
        for row in rows.iter() {
            // All or none, so that a record that waits has been copied nowhere.
            if !(0..outbox.targets()).all(|target| outbox.has_room(target)) {
                break;
            }
            for batch in outbox.open() {
                batch.records.push(D::copy(row));
            }
            copied += 1;
        }
        rows.drain(..copied);
    }
}
