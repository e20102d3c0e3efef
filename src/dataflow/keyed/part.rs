//! What is kept for some keys: their states, which of them have changed, and when they wake.

use std::sync::Arc;

use crate::dataflow::wakes::Wakes;
use crate::exchange::planted::{Fault, is_planted};
use crate::record::Key;
use crate::routing::{KeyedPartitioner, Move, Units};
use crate::state::{KeyedStore, Run};
use crate::time::Timestamp;

/// Everything that one partition keeps for its keys, or for units on their way.
pub(super) struct Part<K, S, Q> {
    pub(super) store: KeyedStore<K, S, Q>,
    /// Keys that have had a record since the last tick; only where there are ticks.
    pub(super) changed: Option<KeyedStore<K, (), Q>>,
    pub(super) wakes: Wakes,
    /// How many keys of the hash in hand have been woken.
    pub(super) woken: usize,
}

/// Units that are on their way here: they have the state, but not the time of the partition.
pub(super) struct Arriving<K, S, Q> {
    pub(super) moved: Arc<Move>,
    pub(super) part: Part<K, S, Q>,
}

/// What was kept for some units, outside any part.
pub(super) struct Load<K, S> {
    entries: Entries<K, S>,
    changed: Option<Entries<K, ()>>,
    event_wakes: Vec<(Timestamp, u64)>,
    clock_wakes: Vec<(Timestamp, u64)>,
    /// How far event time had come for them.
    watermark: Timestamp,
}

/// What a store holds of some units: whole groups as they are, single keys one by one.
struct Entries<K, S> {
    groups: Vec<Run<K, S>>,
    keys: Vec<(K, S)>,
}

impl<K: Key, S: Default, Q: KeyedPartitioner<K>> Part<K, S, Q> {
    /// Nothing is kept yet.
    pub(super) fn new(partitioner: &Q, has_ticks: bool, wakes: Wakes) -> Self {
        Part {
            store: KeyedStore::with_partitioner(partitioner.clone()),
            changed: has_ticks.then(|| KeyedStore::with_partitioner(partitioner.clone())),
            wakes,
            woken: 0,
        }
    }

    /// Takes out everything that is kept for these units. Reads all wakes.
    pub(super) fn take(&mut self, units: &Units) -> Load<K, S> {
        let is_theirs = |hash| units.contains(hash) && !is_planted(Fault::TimersLeftBehind);
        Load {
            entries: take_entries(&mut self.store, units),
            changed: self.changed.as_mut().map(|changed| take_entries(changed, units)),
            event_wakes: self.wakes.event.take(is_theirs),
            clock_wakes: self.wakes.processing.take(is_theirs),
            watermark: self.wakes.event.until,
        }
    }

    /// Puts in what was taken elsewhere, whatever time it is there.
    pub(super) fn put(&mut self, load: Load<K, S>) {
        put_entries(&mut self.store, load.entries);
        if let (Some(changed), Some(entries)) = (&mut self.changed, load.changed) {
            put_entries(changed, entries);
        }
        self.wakes.event.put(load.event_wakes);
        self.wakes.processing.put(load.clock_wakes);
    }

    /// Groups keys by `partitioner`, by which those of `changed`, which were groups before, are of
    /// others now, and no others are. Reads all wakes.
    pub(super) fn regroup(&mut self, partitioner: &Q, changed: &Units) {
        if is_planted(Fault::StateNotRegrouped) {
            return;
        }
        let load = self.take(changed);
        let mut renamed = Vec::new();
        put_regrouped(&mut self.store, load.entries, partitioner, &mut renamed);
        if let (Some(changed), Some(entries)) = (&mut self.changed, load.changed) {
            put_regrouped(changed, entries, partitioner, &mut Vec::new());
        }
        renamed.sort_unstable();
        renamed.dedup();
        // Who wakes has state; a wake of no key is one of a key that was forgotten.
        let rename = |wakes: Vec<(Timestamp, u64)>| -> Vec<(Timestamp, u64)> {
            if is_planted(Fault::TimersNotRegrouped) {
                return wakes;
            }
            let of_hash = |(time, hash): (Timestamp, u64)| {
                let first = renamed.partition_point(|(before, _)| *before < hash);
                let theirs = renamed[first..].iter().take_while(move |one| one.0 == hash);
                theirs.map(move |(_, now)| (time, *now))
            };
            wakes.into_iter().flat_map(of_hash).collect()
        };
        self.wakes.event.put(rename(load.event_wakes));
        self.wakes.processing.put(rename(load.clock_wakes));
    }

    /// What was taken elsewhere, apart from these keys and at its own time.
    pub(super) fn apart(&self, partitioner: &Q, load: Load<K, S>) -> Self {
        let watermark = if is_planted(Fault::WatermarkNotFrozen) {
            self.wakes.event.until
        } else {
            load.watermark
        };
        let wakes = self.wakes.apart(watermark);
        let mut part = Part::new(partitioner, self.changed.is_some(), wakes);
        part.put(load);
        part
    }
}

/// Takes the units' groups as a whole, but for keys that have owners of their own, and single keys.
fn take_entries<K: Key, S, Q>(store: &mut KeyedStore<K, S, Q>, units: &Units) -> Entries<K, S>
where
    Q: KeyedPartitioner<K>,
{
    let own: Vec<(K, S)> = if is_planted(Fault::OverrideTakenWithGroup) {
        Vec::new()
    } else {
        units.except().iter().flat_map(|hash| store.take_hash(*hash)).collect()
    };
    let keys = units.keys().iter().flat_map(|hash| store.take_hash(*hash)).collect();
    let groups = store.take_groups(units.groups());
    own.into_iter().for_each(|entry| store.put_in(entry));
    Entries { groups, keys }
}

/// Puts what was kept for whole groups under the groups of `partitioner`; adds the hash that each
/// key had, and the one that it has.
fn put_regrouped<K: Key, S, Q>(
    store: &mut KeyedStore<K, S, Q>,
    entries: Entries<K, S>,
    partitioner: &Q,
    renamed: &mut Vec<(u64, u64)>,
) where
    Q: KeyedPartitioner<K>,
{
    let before = store.set_partitioner(partitioner.clone());
    for (key, state) in entries.groups.into_iter().flatten() {
        renamed.push((before.hash(&key), partitioner.hash(&key)));
        store.put_in((key, state));
    }
}

fn put_entries<K: Key, S, Q>(store: &mut KeyedStore<K, S, Q>, entries: Entries<K, S>)
where
    Q: KeyedPartitioner<K>,
{
    entries.groups.into_iter().for_each(|run| store.put_run(run));
    entries.keys.into_iter().for_each(|entry| store.put_in(entry));
}
