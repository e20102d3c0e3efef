//! Keyed operators: what is kept per key is kept here and nowhere else.

use std::vec::Drain;

use crate::dataflow::blame::watched_key;
use crate::dataflow::chain::{feed, stow};
use crate::dataflow::{Chain, Emit, Flow, Meta, Passed, Signal, TaskContext, TimeDomain, Untimed};
use crate::error::Result;
use crate::exchange::combine::Partial;
use crate::record::{Batch, Key};
use crate::routing::KeyedPartitioner;
use crate::state::{Cursor, KeyedStore, Storable};
use crate::time::{Nanos, Timestamp};

/// Logic with one state per key. It owns none of it: the engine hands the state in, so that moves,
/// snapshots and byte counts are written once, for all operators.
///
/// Every partition has its own clone; a key is with one partition at a time, and its records come
/// in the order in which each source made them.
pub trait KeyedOperator<K, I>: Clone + Send + 'static {
    /// What it emits.
    type Out: Send + 'static;
    /// What is kept per key: one plain value. A default one is made for a key's first record.
    type State: Default + Storable;
    /// What a feeder sends in place of records when it pre-aggregates;
    /// [`Never`](crate::record::Never) for operators that do not merge.
    type Partial: Send + 'static;
    /// The name in reports and errors.
    const NAME: &'static str;

    /// What is wrong with how it is set up, if anything is; asked before the start.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// Takes one record of a key.
    fn on_record<E: Emit<Self::Out>>(
        &mut self,
        record: I,
        state: &mut Self::State,
        context: &mut KeyContext<'_, K, E>,
    );

    /// Takes what a feeder made of several records of a key.
    fn on_partial<E: Emit<Self::Out>>(
        &mut self,
        partial: Self::Partial,
        state: &mut Self::State,
        context: &mut KeyContext<'_, K, E>,
    );

    /// Called once for every key that has state when the input is over.
    fn on_end<E: Emit<Self::Out>>(
        &mut self,
        state: &mut Self::State,
        context: &mut KeyContext<'_, K, E>,
    ) {
        let _ = (state, context);
    }

    /// Whether [`on_record`](Self::on_record) may emit as it is set up. One that never does, since
    /// it emits at ticks or at the end, is not asked for room after each record.
    fn emits_on_record(&self) -> bool {
        true
    }

    /// How often [`on_tick`](Self::on_tick) is called, if at all.
    fn tick_interval(&self) -> Option<Nanos> {
        None
    }

    /// Called at each tick of processing time, and at the end of the input before
    /// [`on_end`](Self::on_end), for every key that has had a record since the tick before.
    fn on_tick<E: Emit<Self::Out>>(
        &mut self,
        state: &mut Self::State,
        context: &mut KeyContext<'_, K, E>,
    ) {
        let _ = (state, context);
    }
}

/// What a keyed operator knows about the record in hand, and where it emits.
pub struct KeyContext<'a, K, E> {
    key: &'a K,
    hash: u64,
    time: Timestamp,
    next: &'a mut E,
}

impl<K, E> KeyContext<'_, K, E> {
    /// The key in hand.
    #[inline]
    pub fn key(&self) -> &K {
        self.key
    }

    /// Its carried hash.
    #[inline]
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// Event time of the record in hand; [`Timestamp::MIN`] where there is none.
    #[inline]
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// Sends `record` on, with the time of the record in hand.
    #[inline]
    pub fn emit<T>(&mut self, record: T)
    where
        E: Emit<T>,
    {
        self.next.push(record, Meta { time: self.time });
    }
}

/// Heads the chain of a keyed operator: holds the state of its keys on this partition.
pub struct Keyed<T, K, F, Q, Op, D = Untimed>
where
    T: Send + 'static,
    Op: KeyedOperator<K, T>,
    D: TimeDomain,
{
    op: Op,
    key_of: F,
    partitioner: Q,
    store: KeyedStore<K, Op::State, Q>,
    /// Keys that have had a record since the last tick; only where there are ticks.
    changed: Option<KeyedStore<K, (), Q>>,
    /// How far the sweep over all keys has come.
    sweep: Cursor,
    tick_at: Option<Nanos>,
    spare: Vec<D::Row<T>>,
    spare_partials: Vec<Partial<K, Op::Partial>>,
}

impl<T, K, F, Q, Op, D> Keyed<T, K, F, Q, Op, D>
where
    T: Send + 'static,
    K: Key,
    Q: KeyedPartitioner<K>,
    Op: KeyedOperator<K, T>,
    D: TimeDomain,
{
    /// Runs `op` on records whose key is `key_of(record)` and is routed by `partitioner`.
    pub fn new(op: Op, key_of: F, partitioner: Q) -> Self {
        let store = KeyedStore::with_partitioner(partitioner.clone());
        let changed = op.tick_interval().map(|_| KeyedStore::with_partitioner(partitioner.clone()));
        Keyed {
            op,
            key_of,
            partitioner,
            store,
            changed,
            sweep: Cursor::new(),
            tick_at: None,
            spare: Vec::new(),
            spare_partials: Vec::new(),
        }
    }

    /// Calls `on_tick` for the keys that have changed, as far as there is room.
    fn tick<E: Emit<Op::Out>>(&mut self, out: &mut E) -> Flow {
        let Some(changed) = &mut self.changed else { return Flow::Done };
        // What was met is gone, so every call begins anew.
        let mut cursor = Cursor::new();
        while out.is_open() {
            let Some((hash, key, ())) = changed.drain_next(&mut cursor) else { return Flow::Done };
            let (key, state) = self.store.entry(hash, key);
            let op = &mut self.op;
            watched_key(Op::NAME, key, || {
                op.on_tick(state, &mut KeyContext { key, hash, time: Timestamp::MIN, next: out });
            });
        }
        Flow::More
    }

    /// Calls `on_end` for all keys, as far as there is room.
    fn end<E: Emit<Op::Out>>(&mut self, out: &mut E) -> Flow {
        while out.is_open() {
            let Some((hash, key, state)) = self.store.walk(&mut self.sweep) else {
                return Flow::Done;
            };
            let op = &mut self.op;
            watched_key(Op::NAME, key, || {
                op.on_end(state, &mut KeyContext { key, hash, time: Timestamp::MIN, next: out });
            });
        }
        Flow::More
    }
}

impl<T, K, F, Q, Op, D> Clone for Keyed<T, K, F, Q, Op, D>
where
    T: Send + 'static,
    K: Key,
    F: Clone,
    Q: KeyedPartitioner<K>,
    Op: KeyedOperator<K, T>,
    D: TimeDomain,
{
    /// A clone of the logic, without the state: state is never copied.
    fn clone(&self) -> Self {
        Keyed::new(self.op.clone(), self.key_of.clone(), self.partitioner.clone())
    }
}

impl<T, K, F, Q, Op, D> Chain for Keyed<T, K, F, Q, Op, D>
where
    T: Send + 'static,
    K: Key,
    Q: KeyedPartitioner<K>,
    F: FnMut(&T) -> K + Clone + Send + 'static,
    Op: KeyedOperator<K, T>,
    D: TimeDomain,
{
    type In = D::Row<T>;
    type Partial = Partial<K, Op::Partial>;
    type Out = Op::Out;
    type Time = D;

    fn open(&mut self, context: &TaskContext) {
        self.tick_at = self.op.tick_interval().map(|interval| context.now.saturating_add(interval));
    }

    #[inline]
    fn push_batch<E: Emit<Op::Out>>(
        &mut self,
        batch: &mut Batch<D::Row<T>, Self::Partial>,
        out: &mut E,
    ) {
        if !batch.records.is_empty() {
            self.push_records(batch, out);
        }
        if batch.records.is_empty() && !batch.partials.is_empty() {
            self.push_partials(batch, out);
        }
    }

    fn signal<E: Emit<Op::Out>>(&mut self, signal: Signal, out: &mut E) -> Passed {
        let flow = match signal {
            Signal::End => match self.tick(out) {
                Flow::Done => self.end(out),
                Flow::More => Flow::More,
            },
            Signal::Clock(now) if self.tick_at.is_some_and(|at| at <= now) => {
                let flow = self.tick(out);
                if flow == Flow::Done {
                    self.tick_at =
                        self.op.tick_interval().map(|interval| now.saturating_add(interval));
                }
                flow
            }
            Signal::Clock(_) | Signal::Watermark(_) | Signal::Idle => Flow::Done,
        };
        match flow {
            Flow::Done => Passed::Done(Some(signal)),
            Flow::More => Passed::More,
        }
    }

    fn wake_at(&self) -> Option<Nanos> {
        self.tick_at
    }

    fn describe(&self, names: &mut Vec<&'static str>) {
        names.push(Op::NAME);
    }
}

impl<T, K, F, Q, Op, D> Keyed<T, K, F, Q, Op, D>
where
    T: Send + 'static,
    D: TimeDomain,
    K: Key,
    Q: KeyedPartitioner<K>,
    F: FnMut(&T) -> K,
    Op: KeyedOperator<K, T>,
{
    fn push_records<E: Emit<Op::Out>>(
        &mut self,
        batch: &mut Batch<D::Row<T>, Partial<K, Op::Partial>>,
        out: &mut E,
    ) {
        let is_quiet = self.changed.is_none() && !self.op.emits_on_record();
        let capacity = batch.records.capacity();
        let mut drain = batch.records.drain(..);
        while let Some((hash, key, row)) = match (is_quiet, self.store.is_single()) {
            (true, true) => self.update_run::<true, true, E>(&mut drain, out),
            (true, false) => self.update_run::<true, false, E>(&mut drain, out),
            (false, true) => self.update_run::<false, true, E>(&mut drain, out),
            (false, false) => self.update_run::<false, false, E>(&mut drain, out),
        } {
            let (key, state) = self.store.insert_new(hash, key);
            let (op, Meta { time }, record) = (&mut self.op, D::meta(&row), D::into_record(row));
            watched_key(Op::NAME, key, || {
                op.on_record(record, state, &mut KeyContext { key, hash, time, next: out });
            });
            if let Some(changed) = &mut self.changed {
                changed.entry(hash, key.clone());
            }
            if !out.is_open() {
                break;
            }
        }
        if stow(drain, capacity, &mut self.spare) {
            std::mem::swap(&mut batch.records, &mut self.spare);
        }
    }

    /// Works off records whose keys have state; returns the first one whose key has none. `None`
    /// if none is left or `out` has closed.
    ///
    /// * `QUIET` - nothing is emitted or noted for a record.
    /// * `SINGLE` - all keys lie in one segment of the store.
    #[inline(always)]
    fn update_run<const QUIET: bool, const SINGLE: bool, E: Emit<Op::Out>>(
        &mut self,
        drain: &mut Drain<'_, D::Row<T>>,
        out: &mut E,
    ) -> Option<(u64, K, D::Row<T>)> {
        let (mut store, op) = (self.store.view(), &mut self.op);
        let (key_of, partitioner) = (&mut self.key_of, &self.partitioner);
        for row in drain.by_ref() {
            let key = key_of(D::record(&row));
            let hash = partitioner.hash(&key);
            let Some((key, state)) = store.get_mut::<SINGLE>(hash, &key) else {
                return Some((hash, key, row));
            };
            let (Meta { time }, record) = (D::meta(&row), D::into_record(row));
            watched_key(Op::NAME, key, || {
                op.on_record(record, state, &mut KeyContext { key, hash, time, next: out });
            });
            if QUIET {
                continue;
            }
            if let Some(changed) = &mut self.changed {
                changed.entry(hash, key.clone());
            }
            if !out.is_open() {
                return None;
            }
        }
        None
    }

    fn push_partials<E: Emit<Op::Out>>(
        &mut self,
        batch: &mut Batch<D::Row<T>, Partial<K, Op::Partial>>,
        out: &mut E,
    ) {
        feed(&mut batch.partials, &mut self.spare_partials, |partial| {
            let Partial { hash, key, state: partial } = partial;
            let hash = hash.get();
            let (key, state) = self.store.entry(hash, key);
            let op = &mut self.op;
            watched_key(Op::NAME, key, || {
                op.on_partial(
                    partial,
                    state,
                    &mut KeyContext { key, hash, time: Timestamp::MIN, next: out },
                );
            });
            if let Some(changed) = &mut self.changed {
                changed.entry(hash, key.clone());
            }
            out.is_open()
        });
    }
}
