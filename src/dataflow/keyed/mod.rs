//! Keyed operators: what is kept per key is kept here and nowhere else.

mod moving;
mod part;

use std::cmp::Ordering;
use std::vec::Drain;

use crate::dataflow::blame::watched_key;
use crate::dataflow::chain::{feed, stow};
use crate::dataflow::keyed::part::{Arriving, Part};
use crate::dataflow::wakes::{Due, Line, Wakes};
use crate::dataflow::{
    Chain, Emit, Flow, Handling, KeyContext, KeyedOperator, Meta, NoSource, Passed, Polled, Signal,
    SourceHead, TaskContext, TimeDomain, Untimed,
};
use crate::error::Result;
use crate::exchange::combine::Partial;
use crate::exchange::planted::{Fault, is_planted};
use crate::metrics::Tally;
use crate::record::{Batch, Key};
use crate::routing::KeyedPartitioner;
use crate::state::Cursor;
use crate::time::{Nanos, Timestamp};

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
    /// What is kept for the keys of this partition.
    part: Part<K, Op::State, Q>,
    /// What is kept for units that are on their way here, until they have caught up.
    arriving: Vec<Arriving<K, Op::State, Q>>,
    /// How far the sweep over all keys has come.
    sweep: Cursor,
    /// At the end of the input, the keys that have not been told, in order, where there is one.
    sorted: Option<std::vec::IntoIter<(K, Op::State)>>,
    tick_at: Option<Nanos>,
    /// Records that came, where the operator counts what becomes of them.
    taken: u64,
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
        let mut wakes = Wakes::new();
        if op.keeps_settled() {
            wakes.tell_once();
        }
        let part = Part::new(&partitioner, op.tick_interval().is_some(), wakes);
        Keyed {
            op,
            key_of,
            partitioner,
            part,
            arriving: Vec::new(),
            sweep: Cursor::new(),
            sorted: None,
            tick_at: None,
            taken: 0,
            spare: Vec::new(),
            spare_partials: Vec::new(),
        }
    }

    /// How many keys have state here.
    #[cfg(test)]
    pub(crate) fn keys(&mut self) -> usize {
        let (mut cursor, mut count) = (Cursor::new(), 0);
        while let Some((_, _, state)) = self.part.store.walk(&mut cursor) {
            count += usize::from(!Op::is_empty(state));
        }
        count
    }

    /// Calls `on_tick` for the keys that have changed, as far as there is room.
    fn tick<E: Emit<Op::Out>>(&mut self, out: &mut E) -> Flow {
        let Part { store, changed: Some(changed), wakes, .. } = &mut self.part else {
            return Flow::Done;
        };
        // What was met is gone, so every call begins anew.
        let mut cursor = Cursor::new();
        while out.is_open() {
            let Some((hash, key, ())) = changed.drain_next(&mut cursor) else { return Flow::Done };
            let (key, state) = store.entry(hash, key);
            let (op, time) = (&mut self.op, Timestamp::MIN);
            watched_key(Op::NAME, key, || {
                op.on_tick(state, &mut KeyContext { key, hash, time, wakes, next: out });
            });
        }
        Flow::More
    }

    /// Calls `on_end` for all keys, as far as there is room.
    fn end<E: Emit<Op::Out>>(&mut self, out: &mut E) -> Flow {
        if let Some(order) = self.partitioner.order() {
            return self.end_in_order(order, out);
        }
        while out.is_open() {
            let Some((hash, key, state)) = self.part.store.walk(&mut self.sweep) else {
                return Flow::Done;
            };
            let (op, wakes, time) = (&mut self.op, &mut self.part.wakes, Timestamp::MAX);
            watched_key(Op::NAME, key, || {
                op.on_end(state, &mut KeyContext { key, hash, time, wakes, next: out });
            });
        }
        Flow::More
    }

    /// As [`end`](Self::end), in the order of keys.
    fn end_in_order<E: Emit<Op::Out>>(
        &mut self,
        order: fn(&K, &K) -> Ordering,
        out: &mut E,
    ) -> Flow {
        let store = &mut self.part.store;
        let sorted = self.sorted.get_or_insert_with(|| {
            let (mut cursor, mut entries) = (Cursor::new(), Vec::with_capacity(store.len()));
            while let Some((_, key, state)) = store.drain_next(&mut cursor) {
                entries.push((key, state));
            }
            entries.sort_unstable_by(|(one, _), (other, _)| order(one, other));
            entries.into_iter()
        });
        while out.is_open() {
            let Some((key, mut state)) = sorted.next() else { return Flow::Done };
            let (op, wakes, time) = (&mut self.op, &mut self.part.wakes, Timestamp::MAX);
            let (key, hash) = (&key, self.partitioner.hash(&key));
            watched_key(Op::NAME, key, || {
                op.on_end(&mut state, &mut KeyContext { key, hash, time, wakes, next: out });
            });
        }
        Flow::More
    }

    /// Tells keys that the time for which they asked has come, as far as there is room.
    fn wake<W: TimeLine, E: Emit<Op::Out>>(&mut self, out: &mut E) -> Flow {
        let mut near = if self.part.store.is_far() { 0 } else { usize::MAX };
        while let Some((due, hash)) = W::line(&mut self.part.wakes).next() {
            if near == 0 {
                for hash in W::line(&mut self.part.wakes).ahead(AHEAD) {
                    self.part.store.touch(*hash);
                    near += 1;
                }
            }
            near -= 1;
            if !out.is_open() || self.wake_keys::<W, E>(due, hash, out) == Flow::More {
                return Flow::More;
            }
            W::line(&mut self.part.wakes).settle();
        }
        Flow::Done
    }

    /// Tells all keys of `hash`, nearly always one.
    fn wake_keys<W: TimeLine, E: Emit<Op::Out>>(
        &mut self,
        due: Due,
        hash: u64,
        out: &mut E,
    ) -> Flow {
        while let Some(place) = self.part.store.find_hash(hash, self.part.woken) {
            let (key, state) = self.part.store.at(place);
            let (op, wakes, time) = (&mut self.op, &mut self.part.wakes, due.at);
            let flow = watched_key(Op::NAME, key, || {
                W::tell(op, due, state, &mut KeyContext { key, hash, time, wakes, next: out })
            });
            if flow == Flow::More {
                return Flow::More;
            }
            self.part.woken += 1;
        }
        self.part.woken = 0;
        Flow::Done
    }

    /// Brings a signal to the keys, as far as there is room.
    fn tell<E: Emit<Op::Out>>(&mut self, signal: Signal, out: &mut E) -> Flow {
        match signal {
            Signal::Watermark(watermark) => {
                self.part.wakes.event.advance(watermark);
                self.wake::<EventTime, E>(out)
            }
            Signal::Clock(now) => {
                self.part.wakes.read_clock(now);
                if self.wake::<ProcessingTime, E>(out) == Flow::More {
                    return Flow::More;
                }
                if self.tick_at.is_none_or(|at| at > now) {
                    return Flow::Done;
                }
                let flow = self.tick(out);
                if flow == Flow::Done {
                    let interval = self.op.tick_interval();
                    self.tick_at = interval.map(|interval| now.saturating_add(interval));
                }
                flow
            }
            Signal::End => match self.tick(out) {
                Flow::Done => self.end(out),
                Flow::More => Flow::More,
            },
            Signal::Idle => Flow::Done,
        }
    }
}

/// Wakes whose keys are looked up ahead of being told. Telling a key takes so many instructions
/// that look-ups in memory would otherwise wait for each other.
const AHEAD: usize = 16;

/// One of the two kinds of time, so that waking keys is written once.
trait TimeLine {
    fn line(wakes: &mut Wakes) -> &mut Line;

    fn tell<K, I, Op: KeyedOperator<K, I>, E: Emit<Op::Out>>(
        op: &mut Op,
        due: Due,
        state: &mut Op::State,
        context: &mut KeyContext<'_, K, E>,
    ) -> Flow;
}

enum EventTime {}

enum ProcessingTime {}

impl TimeLine for EventTime {
    fn line(wakes: &mut Wakes) -> &mut Line {
        &mut wakes.event
    }

    fn tell<K, I, Op: KeyedOperator<K, I>, E: Emit<Op::Out>>(
        op: &mut Op,
        due: Due,
        state: &mut Op::State,
        context: &mut KeyContext<'_, K, E>,
    ) -> Flow {
        op.on_event_time(due, state, context)
    }
}

impl TimeLine for ProcessingTime {
    fn line(wakes: &mut Wakes) -> &mut Line {
        &mut wakes.processing
    }

    fn tell<K, I, Op: KeyedOperator<K, I>, E: Emit<Op::Out>>(
        op: &mut Op,
        due: Due,
        state: &mut Op::State,
        context: &mut KeyContext<'_, K, E>,
    ) -> Flow {
        op.on_processing_time(due, state, context)
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
    type Source = NoSource;

    fn open(&mut self, context: &TaskContext) {
        self.tick_at = self.op.tick_interval().map(|interval| context.now.saturating_add(interval));
        self.part.wakes.open(context);
    }

    #[inline]
    fn push_batch<E: Emit<Op::Out>>(
        &mut self,
        batch: &mut Batch<D::Row<T>, Self::Partial>,
        out: &mut E,
    ) {
        self.part.wakes.read_clock(batch.taken);
        if !batch.records.is_empty() {
            let before = batch.records.len();
            self.push_records(batch, out);
            if Op::COUNTS_RECORDS {
                self.taken += (before - batch.records.len()) as u64;
            }
        }
        if batch.records.is_empty() && !batch.partials.is_empty() {
            self.push_partials(batch, out);
        }
    }

    fn poll<E: Emit<Op::Out>>(
        &mut self,
        source: &mut SourceHead<NoSource>,
        _: Nanos,
        _: &mut E,
    ) -> Result<Polled> {
        source.never()
    }

    fn signal<E: Emit<Op::Out>>(&mut self, signal: Signal, out: &mut E) -> Passed {
        if self.tell(signal, out) == Flow::More {
            return Passed::More;
        }
        Passed::Done(Some(match signal {
            Signal::Watermark(watermark) => Signal::Watermark(self.op.output_watermark(watermark)),
            other => other,
        }))
    }

    fn wake_at(&self) -> Option<Nanos> {
        [self.tick_at, self.part.wakes.wake_at()].into_iter().flatten().min()
    }

    fn count(&self, tally: &mut Tally) {
        self.op.count(tally);
        tally.taken += self.taken;
    }

    fn describe(&self, names: &mut Vec<&'static str>) {
        names.push(Op::NAME);
    }

    fn handle<E: Emit<Op::Out>>(
        &mut self,
        handling: Handling<'_, D::Row<T>, Self::Partial>,
        out: &mut E,
    ) -> Flow {
        self.handle_units(handling, out)
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
        let is_quiet = self.part.changed.is_none() && !self.op.emits_on_record();
        let capacity = batch.records.capacity();
        let mut drain = batch.records.drain(..);
        while let Some((hash, key, row)) = match (is_quiet, self.part.store.is_single()) {
            (true, true) => self.update_run::<true, true, E>(&mut drain, out),
            (true, false) => self.update_run::<true, false, E>(&mut drain, out),
            (false, true) => self.update_run::<false, true, E>(&mut drain, out),
            (false, false) => self.update_run::<false, false, E>(&mut drain, out),
        } {
            if Op::FORGETS {
                self.part.store.make_way(hash, Op::is_empty);
            }
            let (key, state) = self.part.store.insert_new(hash, key);
            let (op, wakes) = (&mut self.op, &mut self.part.wakes);
            let (Meta { time }, record) = (D::meta(&row), D::into_record(row));
            watched_key(Op::NAME, key, || {
                op.on_record(record, state, &mut KeyContext { key, hash, time, wakes, next: out });
            });
            if let Some(changed) = &mut self.part.changed {
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
        let Part { store, changed, wakes, .. } = &mut self.part;
        let (mut store, op) = (store.view(), &mut self.op);
        let (key_of, partitioner) = (&mut self.key_of, &self.partitioner);
        for row in drain.by_ref() {
            let key = key_of(D::record(&row));
            let hash = partitioner.hash(&key);
            let Some((key, state)) = store.get_mut::<SINGLE>(hash, &key) else {
                return Some((hash, key, row));
            };
            let (Meta { time }, record) = (D::meta(&row), D::into_record(row));
            let wakes = &mut *wakes;
            watched_key(Op::NAME, key, || {
                op.on_record(record, state, &mut KeyContext { key, hash, time, wakes, next: out });
            });
            if QUIET {
                continue;
            }
            if let Some(changed) = changed {
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
            let hash = match self.partitioner.ranging() {
                Some(_) if !is_planted(Fault::OldLabelsKept) => self.partitioner.hash(&key),
                _ => hash.get(),
            };
            if Op::COUNTS_RECORDS {
                self.taken += Op::record_count(&partial);
            }
            if Op::FORGETS {
                self.part.store.make_way(hash, Op::is_empty);
            }
            let (key, state) = self.part.store.entry(hash, key);
            let (op, wakes, time) = (&mut self.op, &mut self.part.wakes, Timestamp::MIN);
            watched_key(Op::NAME, key, || {
                let mut context = KeyContext { key, hash, time, wakes, next: out };
                op.on_partial(partial, state, &mut context);
            });
            if let Some(changed) = &mut self.part.changed {
                changed.entry(hash, key.clone());
            }
            out.is_open()
        });
    }
}
