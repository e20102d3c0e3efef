//! Operators: the logic between two streams, and what it sees while a record passes.

use crate::dataflow::TaskContext;
use crate::dataflow::chain::feed;
use crate::metrics::Tally;
use crate::time::{Nanos, Timestamp};

/// The next stage of a chain, statically known, so that a chain compiles into one loop.
pub trait Emit<T> {
    /// Takes `record`. Never refuses; [`is_open`](Self::is_open) tells when to pause.
    fn push(&mut self, record: T, meta: Meta);

    /// Takes `records` from the front as long as there is room; what it has none for stays.
    /// `spare` is an empty buffer that may change places with `records`.
    #[inline(always)]
    fn push_all(&mut self, records: &mut Vec<T>, spare: &mut Vec<T>) {
        feed(records, spare, |record| {
            self.push(record, Meta::default());
            self.is_open()
        });
    }

    /// Takes what `records` yields, each with this `meta`, as long as there is room; returns how
    /// many.
    #[inline(always)]
    fn push_iter(&mut self, mut records: impl Iterator<Item = T>, meta: Meta) -> u64 {
        let mut taken = 0;
        while self.is_open() {
            let Some(record) = records.next() else { break };
            self.push(record, meta);
            taken += 1;
        }
        taken
    }

    /// Whether there is room for what another record makes. Asked once per record by the loop
    /// that feeds the chain, and by operators that make many records from one signal.
    fn is_open(&self) -> bool;
}

/// A vector takes everything.
impl<T> Emit<T> for Vec<T> {
    #[inline(always)]
    fn push(&mut self, record: T, _: Meta) {
        Vec::push(self, record);
    }

    #[inline(always)]
    fn push_iter(&mut self, records: impl Iterator<Item = T>, _: Meta) -> u64 {
        let before = self.len();
        self.extend(records);
        (self.len() - before) as u64
    }

    #[inline(always)]
    fn is_open(&self) -> bool {
        true
    }
}

/// What is known about a record beside the record.
#[derive(Clone, Copy, Debug)]
pub struct Meta {
    /// Its event time; [`Timestamp::MIN`] on a stream without.
    pub time: Timestamp,
}

impl Default for Meta {
    #[inline(always)]
    fn default() -> Self {
        Meta { time: Timestamp::MIN }
    }
}

/// What operators and sources emit into.
pub struct Collector<'a, E> {
    next: &'a mut E,
    meta: Meta,
    emitted: u64,
}

impl<'a, E> Collector<'a, E> {
    /// A collector for what one record (with this `meta`) makes.
    #[inline]
    pub fn new(next: &'a mut E, meta: Meta) -> Self {
        Collector { next, meta, emitted: 0 }
    }

    /// Event time of the record in hand; [`Timestamp::MIN`] on a stream without.
    #[inline]
    pub fn time(&self) -> Timestamp {
        self.meta.time
    }

    /// Sends `record` on, with the time of the record in hand.
    #[inline]
    pub fn emit<T>(&mut self, record: T)
    where
        E: Emit<T>,
    {
        self.emitted += 1;
        self.next.push(record, self.meta);
    }

    /// Sends `record` on with an event time of its own, which must be later than the watermark that
    /// this operator has let pass.
    #[inline]
    pub fn emit_at<T>(&mut self, record: T, time: Timestamp)
    where
        E: Emit<T>,
    {
        self.emitted += 1;
        self.next.push(record, Meta { time });
    }

    /// Sends on what `records` yields, as long as downstream has room; returns how many. `records`
    /// is not asked for one that there is no room for.
    #[inline(always)]
    pub fn emit_all<T>(&mut self, records: impl IntoIterator<Item = T>) -> u64
    where
        E: Emit<T>,
    {
        let taken = self.next.push_iter(records.into_iter(), self.meta);
        self.emitted += taken;
        taken
    }

    /// How many records it has sent on.
    #[inline]
    pub fn emitted(&self) -> u64 {
        self.emitted
    }

    /// Whether downstream has room. An operator that can make millions of records from one signal
    /// stops when it has not, and returns [`Flow::More`].
    #[inline]
    pub fn is_open<T>(&self) -> bool
    where
        E: Emit<T>,
    {
        self.next.is_open()
    }
}

/// Whether a signal has been dealt with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Yes.
    Done,
    /// Downstream is full; call again with the same signal. Nothing else enters until `Done`.
    More,
}

/// What passes through a chain beside records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Processing time has moved on, in monotonic nanoseconds.
    Clock(Nanos),
    /// No more records with an event time at or before this one will come.
    Watermark(Timestamp),
    /// Nothing comes for now: nobody downstream should wait for this input.
    Idle,
    /// The input is over.
    End,
}

/// How far a signal has come through a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passed {
    /// Downstream is full; call again with the same signal. Nothing else enters until `Done`.
    More,
    /// All stages have dealt with it, and this is what leaves the chain, if anything does.
    Done(Option<Signal>),
}

/// Logic between two streams. Every partition runs its own clone on its own thread.
///
/// Called for every record, in order; there is no call from another thread, and no call while
/// another one is under way, so state needs no locks.
pub trait Operator<I>: Clone + Send + 'static {
    /// What it emits.
    type Out: Send + 'static;
    /// The name in reports and errors.
    const NAME: &'static str;
    /// Why keyed state before it on its partition, in its task or over local edges, does not move
    /// to others, if it may not: it compares the times of records with the watermarks that it was
    /// told, as one does that sorts, though while keys move records come that are below the
    /// watermark of their new partition and not late; or it holds records back, and the marks with
    /// which keys move would pass them.
    const PINS_STATE: Option<&'static str> = None;
    /// Why it cannot have more instances or fewer while the job runs, if it cannot: it keeps
    /// something that belongs to the records of its partition. Where it says nothing and its
    /// partition is removed, what it keeps is dropped; on one that is added it begins anew.
    const BOUND: Option<&'static str> = None;

    /// Called once on each partition's clone, before anything else.
    fn open(&mut self, context: &TaskContext) {
        let _ = context;
    }

    /// Takes one record and emits any number of them.
    fn on_record<E: Emit<Self::Out>>(&mut self, record: I, out: &mut Collector<'_, E>);

    /// No more records at or before `watermark` will come; may emit what waited for that.
    fn on_watermark<E: Emit<Self::Out>>(
        &mut self,
        watermark: Timestamp,
        out: &mut Collector<'_, E>,
    ) -> Flow {
        let _ = (watermark, out);
        Flow::Done
    }

    /// The watermark of its output when that of its input is `watermark`: earlier where it may
    /// still emit older records.
    fn output_watermark(&self, watermark: Timestamp) -> Timestamp {
        watermark
    }

    /// Adds what it has counted since the start to `tally`.
    fn count(&self, tally: &mut Tally) {
        let _ = tally;
    }

    /// Processing time has come to what [`wake_at`](Self::wake_at) asked for, or beyond: `now`.
    fn on_clock<E: Emit<Self::Out>>(&mut self, now: Nanos, out: &mut Collector<'_, E>) -> Flow {
        let _ = (now, out);
        Flow::Done
    }

    /// When it wants [`on_clock`](Self::on_clock) to be called at the latest, in monotonic
    /// nanoseconds. Asked once a batch. At the end of the input nobody waits for it.
    #[inline(always)]
    fn wake_at(&self) -> Option<Nanos> {
        None
    }

    /// Whether it takes another record. Asked once per record, so that a constant costs nothing.
    ///
    /// While it does not, its task takes nothing in and its input waits, until
    /// [`on_clock`](Self::on_clock) has made room. No signal may have to wait for that room:
    /// upstream of such an operator in its chain stands none that makes records of signals. Behind
    /// [`boxed`](crate::dataflow::DataStream::boxed) none stands at all.
    #[inline(always)]
    fn is_open(&self) -> bool {
        true
    }

    /// The input is over; may emit what was held back.
    fn on_end<E: Emit<Self::Out>>(&mut self, out: &mut Collector<'_, E>) -> Flow {
        let _ = out;
        Flow::Done
    }
}
