//! What a keyed operator is, and what it sees of the key in hand.

use crate::dataflow::wakes::{Due, Wakes};
use crate::dataflow::{Emit, Flow, Meta};
use crate::error::Result;
use crate::metrics::Tally;
use crate::state::{Storable, TimerQueue};
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
    /// Whether it [`count`](Self::count)s what became of each of its records, applied or late, so
    /// that their sum is checked against what came.
    const COUNTS_RECORDS: bool = false;
    /// Whether the state of a key may become [empty](Self::is_empty).
    const FORGETS: bool = false;

    /// What is wrong with how it is set up, if anything is; asked before the start.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// Whether it emits nothing before the input is over, so that the input has to end.
    fn waits_for_end(&self) -> bool {
        false
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

    /// How many records a feeder made `partial` of, where the operator
    /// [counts them](Self::COUNTS_RECORDS).
    fn record_count(partial: &Self::Partial) -> u64 {
        let _ = partial;
        1
    }

    /// A time for which this key asked with [`KeyContext::wake_at`] has come: emits what is due,
    /// in order of time. Where downstream is full it may answer [`Flow::More`], and is called again
    /// with the same arguments.
    fn on_event_time<E: Emit<Self::Out>>(
        &mut self,
        due: Due,
        state: &mut Self::State,
        context: &mut KeyContext<'_, K, E>,
    ) -> Flow {
        let _ = (due, state, context);
        Flow::Done
    }

    /// Whether a state still holds what it has settled, so that it would settle it again. Then a
    /// key that is woken twice while time moves once is told of an empty stretch, from `until` to
    /// `until`, the second time; it costs a look into a set for each wake.
    fn keeps_settled(&self) -> bool {
        false
    }

    /// As [`on_event_time`](Self::on_event_time), of [`KeyContext::wake_at_clock`].
    fn on_processing_time<E: Emit<Self::Out>>(
        &mut self,
        due: Due,
        state: &mut Self::State,
        context: &mut KeyContext<'_, K, E>,
    ) -> Flow {
        let _ = (due, state, context);
        Flow::Done
    }

    /// Whether nothing is kept of a key, so that its entry may go. Asked where [`FORGETS`] says so,
    /// when room is needed for another key: one that comes again meanwhile finds its entry.
    ///
    /// [`FORGETS`]: Self::FORGETS
    fn is_empty(state: &Self::State) -> bool {
        let _ = state;
        false
    }

    /// The watermark of its output when that of its input is `watermark`: earlier where it may
    /// still emit older records.
    fn output_watermark(&self, watermark: Timestamp) -> Timestamp {
        watermark
    }

    /// Adds what it has counted to `tally`.
    fn count(&self, tally: &mut Tally) {
        let _ = tally;
    }

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
    pub(super) key: &'a K,
    pub(super) hash: u64,
    pub(super) time: Timestamp,
    pub(super) wakes: &'a mut Wakes,
    pub(super) next: &'a mut E,
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

    /// No more records at or before this time are expected.
    #[inline]
    pub fn watermark(&self) -> Timestamp {
        self.wakes.event.until
    }

    /// The time of day, as far as the task knows: it asks once a batch.
    #[inline]
    pub fn now(&self) -> Timestamp {
        self.wakes.processing.until
    }

    /// Asks for this key to be told when the watermark has reached `time`, the next time that it
    /// moves. Asking twice is being told twice.
    #[inline]
    pub fn wake_at(&mut self, time: Timestamp) {
        let hash = self.hash;
        self.event_queue().set(time, hash);
    }

    /// Asks for this key to be told when the clock has reached `time`.
    #[inline]
    pub fn wake_at_clock(&mut self, time: Timestamp) {
        let hash = self.hash;
        self.processing_queue().set(time, hash);
    }

    #[inline]
    pub(crate) fn event_queue(&mut self) -> &mut TimerQueue {
        self.wakes.event.queue()
    }

    #[inline]
    pub(crate) fn processing_queue(&mut self) -> &mut TimerQueue {
        self.wakes.processing.queue()
    }

    /// Sends `record` on, with the time of the record in hand.
    #[inline]
    pub fn emit<T>(&mut self, record: T)
    where
        E: Emit<T>,
    {
        self.next.push(record, Meta { time: self.time });
    }

    /// Sends `record` on with an event time of its own, which must be later than the watermark that
    /// this operator has let pass.
    #[inline]
    pub fn emit_at<T>(&mut self, record: T, time: Timestamp)
    where
        E: Emit<T>,
    {
        self.next.push(record, Meta { time });
    }

    /// Whether downstream has room. An operator that can make many records from one wake stops
    /// when it has not, and returns [`Flow::More`].
    #[inline]
    pub fn is_open<T>(&self) -> bool
    where
        E: Emit<T>,
    {
        self.next.is_open()
    }
}
