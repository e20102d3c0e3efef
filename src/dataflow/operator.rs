//! Operators: the logic between two streams, and what it sees while a record passes.

use crate::dataflow::TaskContext;
use crate::dataflow::chain::feed;

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

    /// Whether there is room for what another record makes. Asked once per record by the loop
    /// that feeds the chain, and by operators that make many records from one signal.
    fn is_open(&self) -> bool;
}

/// What is known about a record beside the record.
#[derive(Clone, Copy, Debug, Default)]
pub struct Meta {
    /// The carried hash of its key, 0 where there is none.
    pub hash: u64,
}

/// What an operator emits into.
pub struct Collector<'a, E> {
    next: &'a mut E,
    meta: Meta,
}

impl<'a, E> Collector<'a, E> {
    /// A collector for what one record (with this `meta`) makes.
    #[inline]
    pub fn new(next: &'a mut E, meta: Meta) -> Self {
        Collector { next, meta }
    }

    /// Sends `record` on.
    #[inline]
    pub fn emit<T>(&mut self, record: T)
    where
        E: Emit<T>,
    {
        self.next.push(record, self.meta);
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
    /// Processing time has moved on.
    Clock(crate::time::Nanos),
    /// The input is over.
    End,
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

    /// Called once on each partition's clone, before anything else.
    fn open(&mut self, context: &TaskContext) {
        let _ = context;
    }

    /// Takes one record and emits any number of them.
    fn on_record<E: Emit<Self::Out>>(&mut self, record: I, out: &mut Collector<'_, E>);

    /// The input is over; may emit what was held back.
    fn on_end<E: Emit<Self::Out>>(&mut self, out: &mut Collector<'_, E>) -> Flow {
        let _ = out;
        Flow::Done
    }
}
