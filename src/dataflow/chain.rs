//! Chains: operators fused into one loop by their types.

use std::sync::Arc;
use std::vec::Drain;

use crate::dataflow::blame::Watch;
use crate::dataflow::source_head::{NoSource, SourceHead};
use crate::dataflow::{
    Collector, Emit, Flow, Meta, Operator, Passed, Polled, Signal, Source, TaskContext, TimeDomain,
    Untimed,
};
use crate::error::Result;
use crate::hand_over::Parcel;
use crate::metrics::Tally;
use crate::record::{Batch, Never};
use crate::routing::{KeyRanges, Move, MoveId, RoutingTable, Units};
use crate::time::Nanos;

/// A chain of operators from one input to one end. Its type spells its stages, so the compiler
/// fuses them; only `push_batch` and `signal` are called from outside, once a batch.
pub trait Chain: Clone + Send + 'static {
    /// Records that enter.
    type In: Send + 'static;
    /// Partial aggregates that enter beside them.
    type Partial: Send + 'static;
    /// Records that leave.
    type Out: Send + 'static;
    /// Whether they have an event time.
    type Time: TimeDomain;
    /// What makes its records where it has no input; else [`NoSource`].
    type Source: Source;

    /// Prepares this partition's clone. Called once, before anything else.
    fn open(&mut self, context: &TaskContext);

    /// Works off `batch` from its front. Stops early when `out` or the chain closes, and leaves
    /// the rest. Called only while both are open.
    fn push_batch<E: Emit<Self::Out>>(
        &mut self,
        batch: &mut Batch<Self::In, Self::Partial>,
        out: &mut E,
    );

    /// Lets `source` emit into the first stage; says how it stands. Called only while `out` and
    /// the chain are open.
    ///
    /// # Errors
    /// What the source reports.
    fn poll<E: Emit<Self::Out>>(
        &mut self,
        source: &mut SourceHead<Self::Source>,
        now: Nanos,
        out: &mut E,
    ) -> Result<Polled>;

    /// Passes a signal through the stages in turn: what one emits goes before the next one sees
    /// the signal. Says what leaves the chain, which for event time may be something else than
    /// what entered.
    fn signal<E: Emit<Self::Out>>(&mut self, signal: Signal, out: &mut E) -> Passed;

    /// Earliest monotonic time at which a stage wants a [`Signal::Clock`], if any does.
    fn wake_at(&self) -> Option<Nanos>;

    /// Whether it takes records in. Asked once a batch.
    ///
    /// While it does not, its task lets its input wait. A stage that has closed asks for a
    /// [`Signal::Clock`] by [`wake_at`](Self::wake_at), or wakes its partition and asks then, and
    /// opens when it gets one.
    #[inline(always)]
    fn is_open(&self) -> bool {
        true
    }

    /// Whether it has emitted what it makes of all records that came in, but for what it keeps for
    /// a signal. Until it has, the end of the input is kept from it.
    #[inline(always)]
    fn is_quiet(&self) -> bool {
        true
    }

    /// Whether a stage makes event time, so that a [`Signal::Clock`] after each step is worth its
    /// while: what leaves the chain in its place may be a watermark.
    fn makes_time(&self) -> bool {
        false
    }

    /// Adds what its operators have counted since the start to `tally`.
    fn count(&self, tally: &mut Tally) {
        let _ = tally;
    }

    /// Appends the names of its operators, in order.
    fn describe(&self, names: &mut Vec<&'static str>);

    /// As [`Operator::PINS_STATE`], of any of its operators.
    fn pins_state(&self) -> Option<&'static str> {
        None
    }

    /// Why its task cannot have more instances or fewer while the job runs, if it cannot: a stage
    /// keeps something for all records of its partition.
    fn bound(&self) -> Option<&'static str> {
        None
    }

    /// Does one thing to state that moves, where a keyed operator heads the chain; emits what comes
    /// of it. [`Flow::More`] asks for the same again once there is room.
    fn handle<E: Emit<Self::Out>>(
        &mut self,
        handling: Handling<'_, Self::In, Self::Partial>,
        out: &mut E,
    ) -> Flow {
        let _ = (handling, out);
        unreachable!("only what a keyed operator heads has state to move")
    }
}

/// What is done to the state of units that move, at their donor or at their taker, or asked about
/// what is kept here.
pub enum Handling<'a, T, P> {
    /// Tells whose records and partials the batch has.
    Hash {
        /// The batch.
        batch: &'a Batch<T, P>,
        /// Where to put the hashes of their keys, in the order in which they are worked off.
        hashes: &'a mut Vec<u64>,
    },
    /// Tells how much is kept.
    Size {
        /// Where to say how many keys there are, and how many bytes they take.
        size: &'a mut (usize, usize),
    },
    /// Tells what a key is called.
    Name {
        /// Its hash.
        hash: u64,
        /// Where to put the key as `Debug` shows it, if it is here.
        name: &'a mut Option<String>,
    },
    /// Says whether the batch has records or partials of these units.
    Find {
        /// The units.
        units: &'a Units,
        /// Where to look.
        batch: &'a Batch<T, P>,
        /// Where to say it.
        is_found: &'a mut bool,
    },
    /// Moves records and partials of these units, in order, from one batch to another.
    Pull {
        /// The units.
        units: &'a Units,
        /// Where they are.
        from: &'a mut Batch<T, P>,
        /// Where they go, behind what is there.
        to: &'a mut Batch<T, P>,
    },
    /// Takes out everything that is kept for these units.
    Give {
        /// The units.
        units: &'a Units,
        /// Where to put it.
        parcel: &'a mut Option<Parcel>,
    },
    /// Keeps what was taken elsewhere, apart from its own.
    Install {
        /// Whose units it is of.
        moved: Arc<Move>,
        /// What was taken.
        parcel: Parcel,
    },
    /// Works off records of units that were installed.
    Push {
        /// The move.
        id: MoveId,
        /// The records, all of its units.
        batch: &'a mut Batch<T, P>,
    },
    /// Goes over to the ranges of a new table, where key groups are ranges of keys.
    Follow {
        /// The table.
        table: &'a RoutingTable,
    },
    /// Cuts the range of a key group where the keys that came last say.
    Cut {
        /// The table whose ranges are cut.
        table: &'a RoutingTable,
        /// The group.
        group: u16,
        /// Into about so many parts.
        parts: usize,
        /// Where to put the ranges, if there is reason to cut.
        ranges: &'a mut Option<Arc<dyn KeyRanges>>,
    },
    /// Lets what was installed catch up with its own time, and takes it among its own.
    Thaw {
        /// The move.
        id: MoveId,
    },
}

/// The empty chain: what enters leaves.
pub struct Identity<T: Send + 'static, D: TimeDomain = Untimed> {
    spare: Vec<D::Row<T>>,
}

impl<T: Send + 'static, D: TimeDomain> Identity<T, D> {
    /// The empty chain.
    pub fn new() -> Self {
        Identity { spare: Vec::new() }
    }
}

impl<T: Send + 'static, D: TimeDomain> Default for Identity<T, D> {
    fn default() -> Self {
        Identity::new()
    }
}

impl<T: Send + 'static, D: TimeDomain> Clone for Identity<T, D> {
    fn clone(&self) -> Self {
        Identity::new()
    }
}

impl<T: Send + 'static, D: TimeDomain> Chain for Identity<T, D> {
    type In = D::Row<T>;
    type Partial = Never;
    type Out = T;
    type Time = D;
    type Source = NoSource;

    fn open(&mut self, _: &TaskContext) {}

    #[inline]
    fn push_batch<E: Emit<T>>(&mut self, batch: &mut Batch<D::Row<T>, Never>, out: &mut E) {
        D::pass(&mut batch.records, &mut self.spare, out);
    }

    fn poll<E: Emit<T>>(
        &mut self,
        source: &mut SourceHead<NoSource>,
        _: Nanos,
        _: &mut E,
    ) -> Result<Polled> {
        source.never()
    }

    fn signal<E: Emit<T>>(&mut self, signal: Signal, _: &mut E) -> Passed {
        Passed::Done(Some(signal))
    }

    fn wake_at(&self) -> Option<Nanos> {
        None
    }

    fn describe(&self, _: &mut Vec<&'static str>) {}
}

/// Feeds `records` to `take` from the front until it answers `false`; the rest stays. `spare` is
/// empty and may change places with `records`.
#[inline(always)]
pub(crate) fn feed<T>(records: &mut Vec<T>, spare: &mut Vec<T>, mut take: impl FnMut(T) -> bool) {
    let capacity = records.capacity();
    let mut drain = records.drain(..);
    for record in drain.by_ref() {
        if !take(record) {
            break;
        }
    }
    if stow(drain, capacity, spare) {
        std::mem::swap(records, spare);
    }
}

/// Puts what is left in `drain` into `spare`, which gets as much memory as the drained vector has
/// (`capacity`), so that nobody has to grow it again; `false` if nothing is left. Allocates the
/// first time that something is.
#[inline]
pub(crate) fn stow<T>(drain: Drain<'_, T>, capacity: usize, spare: &mut Vec<T>) -> bool {
    if drain.len() == 0 {
        return false;
    }
    // Exactly: amortised growth would double the two vectors in turns, for ever.
    spare.reserve_exact(capacity);
    spare.extend(drain);
    true
}

/// The chain `upstream` with one operator more.
pub struct Then<C, Op> {
    upstream: C,
    op: Op,
    /// The signal that `op` has not dealt with yet; upstream has.
    arrived: Option<Signal>,
}

impl<C, Op> Then<C, Op> {
    /// Puts `op` behind `upstream`.
    pub fn new(upstream: C, op: Op) -> Self {
        Then { upstream, op, arrived: None }
    }
}

impl<C: Clone, Op: Clone> Clone for Then<C, Op> {
    fn clone(&self) -> Self {
        Then::new(self.upstream.clone(), self.op.clone())
    }
}

/// Pushes what upstream emits through one operator.
struct Link<'a, Op, E> {
    op: &'a mut Op,
    next: &'a mut E,
}

impl<Op, E> Link<'_, Op, E> {
    /// Tells the operator of `signal`.
    fn tell<I>(&mut self, signal: Signal) -> Flow
    where
        Op: Operator<I>,
        E: Emit<Op::Out>,
    {
        let (op, mut out) = (&mut *self.op, Collector::new(&mut *self.next, Meta::default()));
        let watch = Watch::operator(Op::NAME);
        let flow = match signal {
            Signal::Watermark(watermark) => op.on_watermark(watermark, &mut out),
            Signal::End => op.on_end(&mut out),
            Signal::Clock(now) if op.wake_at().is_some_and(|at| at <= now) => {
                op.on_clock(now, &mut out)
            }
            Signal::Clock(_) | Signal::Idle => Flow::Done,
        };
        watch.over();
        flow
    }
}

impl<I, Op: Operator<I>, E: Emit<Op::Out>> Emit<I> for Link<'_, Op, E> {
    #[inline(always)]
    fn push(&mut self, record: I, meta: Meta) {
        let watch = Watch::operator(Op::NAME);
        self.op.on_record(record, &mut Collector::new(&mut *self.next, meta));
        watch.over();
    }

    #[inline(always)]
    fn is_open(&self) -> bool {
        self.next.is_open() && self.op.is_open()
    }
}

impl<C: Chain, Op: Operator<C::Out>> Chain for Then<C, Op> {
    type In = C::In;
    type Partial = C::Partial;
    type Out = Op::Out;
    type Time = C::Time;
    type Source = C::Source;

    fn open(&mut self, context: &TaskContext) {
        self.upstream.open(context);
        self.op.open(context);
    }

    #[inline]
    fn push_batch<E: Emit<Op::Out>>(&mut self, batch: &mut Batch<C::In, C::Partial>, out: &mut E) {
        self.upstream.push_batch(batch, &mut Link { op: &mut self.op, next: out });
    }

    #[inline]
    fn poll<E: Emit<Op::Out>>(
        &mut self,
        source: &mut SourceHead<C::Source>,
        now: Nanos,
        out: &mut E,
    ) -> Result<Polled> {
        self.upstream.poll(source, now, &mut Link { op: &mut self.op, next: out })
    }

    fn signal<E: Emit<Op::Out>>(&mut self, signal: Signal, out: &mut E) -> Passed {
        let mut link = Link { op: &mut self.op, next: out };
        let arrived = match self.arrived.take() {
            Some(arrived) => arrived,
            None => match self.upstream.signal(signal, &mut link) {
                Passed::Done(Some(arrived)) => arrived,
                other => return other,
            },
        };
        if link.tell(arrived) == Flow::More {
            self.arrived = Some(arrived);
            return Passed::More;
        }
        Passed::Done(Some(match arrived {
            Signal::Watermark(watermark) => Signal::Watermark(self.op.output_watermark(watermark)),
            other => other,
        }))
    }

    fn makes_time(&self) -> bool {
        self.upstream.makes_time()
    }

    fn count(&self, tally: &mut Tally) {
        self.upstream.count(tally);
        self.op.count(tally);
    }

    fn pins_state(&self) -> Option<&'static str> {
        self.upstream.pins_state().or(Op::PINS_STATE)
    }

    fn bound(&self) -> Option<&'static str> {
        self.upstream.bound().or(Op::BOUND)
    }

    fn handle<E: Emit<Op::Out>>(
        &mut self,
        handling: Handling<'_, C::In, C::Partial>,
        out: &mut E,
    ) -> Flow {
        self.upstream.handle(handling, &mut Link { op: &mut self.op, next: out })
    }

    #[inline]
    fn wake_at(&self) -> Option<Nanos> {
        [self.upstream.wake_at(), self.op.wake_at()].into_iter().flatten().min()
    }

    #[inline]
    fn is_open(&self) -> bool {
        self.upstream.is_open() && self.op.is_open()
    }

    #[inline]
    fn is_quiet(&self) -> bool {
        self.upstream.is_quiet()
    }

    fn describe(&self, names: &mut Vec<&'static str>) {
        self.upstream.describe(names);
        names.push(Op::NAME);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feed_leaves_what_was_not_taken() {
        let mut records = vec![1, 2, 3, 4];
        let (mut seen, mut spare) = (Vec::new(), Vec::new());
        feed(&mut records, &mut spare, |record| {
            seen.push(record);
            record < 2
        });
        assert_eq!((seen, &*records), (vec![1, 2], &[3, 4][..]));
        assert!(spare.is_empty() && spare.capacity() >= 4 && records.capacity() >= 4);
    }

    #[test]
    fn vectors_that_change_places_do_not_grow() {
        let (mut records, mut spare) = (vec![0; 5], Vec::new());
        for _ in 0..1_000 {
            feed(&mut records, &mut spare, |_| false);
            records.resize(5, 0);
        }
        assert!(records.capacity() + spare.capacity() <= 16);
    }
}
