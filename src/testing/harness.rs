//! One operator without threads: feed it records and signals, look at what it emits.

use std::sync::Arc;
use std::time::Duration;

use crate::dataflow::{
    BoxedStream, Chain, DataStream, Emit, Identity, KeyedOperator, KeyedStream, Meta, Operator,
    Passed, Pipeline, Signal, Stamped, TaskContext, Timed,
};
use crate::exchange::wake::wake_pair;
use crate::metrics::Tally;
use crate::record::{Batch, Either, Key};
use crate::testing::executor::Futures;
use crate::time::watermark::Monotone;
use crate::time::{Nanos, Timestamp};

/// How much room an operator under test finds downstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// As much as it wants.
    Unbounded,
    /// One slot, and every other call finds it still full.
    OneSlot,
}

/// Drives one chain of operators by hand, on one partition, without lanes.
///
/// ```
/// use millstream::testing::harness::Harness;
///
/// let mut evens = Harness::of(|numbers| numbers.filter(|n: &u32| n % 2 == 0));
/// evens.feed([1, 2, 3, 4]);
/// assert_eq!(evens.take_emitted(), [2, 4]);
///
/// let mut counts = Harness::keyed(|n: &u32| n % 3, |numbers| numbers.count());
/// counts.feed([1, 4, 3]);
/// assert!(counts.take_emitted().is_empty(), "it emits at the end");
/// counts.end();
/// let mut emitted = counts.take_emitted();
/// emitted.sort();
/// assert_eq!(emitted, [(0, 1), (1, 2)]);
/// ```
///
/// Event time moves as the test says. A window fires when the watermark has passed its end, and a
/// record that comes then is late:
/// ```
/// use std::time::Duration;
/// use millstream::operator::window::tumbling;
/// use millstream::testing::harness::Harness;
///
/// let ten = tumbling(Duration::from_millis(10));
/// let mut counts = Harness::keyed_timed(|word: &&str| *word, |words| words.window(ten).count());
/// counts.feed_at([("to", 1), ("be", 4), ("to", 12)]);
/// counts.advance_watermark(9);
/// let mut emitted = counts.take_emitted_with_times();
/// emitted.sort_by_key(|(result, _)| result.key);
/// let seen: Vec<_> =
///     emitted.iter().map(|(one, time)| (one.key, one.value, time.as_millis())).collect();
/// assert_eq!(seen, [("be", 1, 9), ("to", 1, 9)]);
///
/// counts.feed_at([("be", 8)]);
/// assert_eq!((counts.tally().applied, counts.tally().late), (3, 1));
/// counts.end();
/// assert_eq!(counts.take_emitted().iter().map(|one| one.value).collect::<Vec<_>>(), [1]);
/// ```
pub struct Harness<C: Chain> {
    chain: C,
    batch: Batch<C::In, C::Partial>,
    slot: Slot<C::Out>,
    futures: Futures,
    /// How far processing time has come.
    now: Nanos,
    watermark: Timestamp,
    /// What came out last of event time.
    output_watermark: Timestamp,
    fruitless: u32,
}

/// Signals in a row that a chain may ask for on an open output without emitting anything, before
/// the harness gives up.
const FRUITLESS_MAX: u32 = 1_000;

impl<C: Chain> Harness<C> {
    /// A harness for the operators that `stage` applies to a stream, with unbounded room.
    ///
    /// # Panics
    /// If `stage` cuts the chain (`fork`, `rebalance`, `boxed`…): those are for the simulation.
    pub fn of<T: Send + 'static>(
        stage: impl FnOnce(DataStream<Identity<T>>) -> DataStream<C>,
    ) -> Harness<C>
    where
        C: Chain<In = T>,
    {
        Self::over(stage(stream()), 1)
    }

    /// A harness for what `stage` applies to a stream keyed by `key_of`, with unbounded room.
    ///
    /// # Panics
    /// If `stage` cuts the chain once more behind the keyed operator.
    pub fn keyed<T, K, F>(
        key_of: F,
        stage: impl FnOnce(KeyedStream<Identity<T>, F>) -> DataStream<C>,
    ) -> Harness<C>
    where
        T: Send + 'static,
        K: Key,
        F: Fn(&T) -> K + Clone + Send + 'static,
        C: Chain<In = T>,
    {
        Self::over(stage(stream().key_by(key_of)), 2)
    }

    /// A harness for the operators that `stage` applies to a stream with event time; fed with
    /// [`feed_at`](Self::feed_at).
    ///
    /// # Panics
    /// As [`of`](Self::of).
    pub fn timed<T: Send + 'static>(
        stage: impl FnOnce(DataStream<Identity<T, Timed>>) -> DataStream<C>,
    ) -> Harness<C>
    where
        C: Chain<In = Stamped<T>>,
    {
        Self::over(stage(timed_stream()), 1)
    }

    /// A harness for what `stage` applies to a stream with event time, keyed by `key_of`; fed with
    /// [`feed_at`](Self::feed_at).
    ///
    /// # Panics
    /// As [`keyed`](Self::keyed).
    pub fn keyed_timed<T, K, F>(
        key_of: F,
        stage: impl FnOnce(KeyedStream<Identity<T, Timed>, F>) -> DataStream<C>,
    ) -> Harness<C>
    where
        T: Send + 'static,
        K: Key,
        F: Fn(&T) -> K + Clone + Send + 'static,
        C: Chain<In = Stamped<T>>,
    {
        Self::over(stage(timed_stream().key_by(key_of)), 2)
    }

    fn over(stream: DataStream<C>, cuts: usize) -> Harness<C> {
        let (mut chain, tasks) = stream.into_chain();
        assert_eq!(tasks, cuts, "a harness runs one chain; simulate a job that has several");
        let futures = Futures::default();
        let context = TaskContext::new(0, 1, wake_pair().1);
        chain.open(&TaskContext { executor: Some(Arc::new(futures.clone())), ..context });
        let slot = Slot::new(Room::Unbounded);
        Harness {
            chain,
            batch: Batch::new(),
            slot,
            futures,
            now: 0,
            watermark: Timestamp::MIN,
            output_watermark: Timestamp::MIN,
            fruitless: 0,
        }
    }

    /// A harness for what `stage` makes of two streams with event time by bringing them together,
    /// with unbounded room. It is fed rows of either side, each with its time.
    ///
    /// ```
    /// use millstream::record::Either;
    /// use millstream::testing::harness::Harness;
    ///
    /// let mut pairs = Harness::connected(|left, right| {
    ///     let right = right.key_by(|_: &char| ());
    ///     left.key_by(|_: &u32| ()).interval_join(right, 0..=5).inner()
    /// });
    /// pairs.feed_at([(Either::Left(1), 10), (Either::Right('a'), 12)]);
    /// pairs.advance_watermark(14);
    /// pairs.feed_at([(Either::Right('b'), 15)]);
    /// assert_eq!(pairs.take_emitted(), [(1, 'a'), (1, 'b')]);
    /// ```
    ///
    /// # Panics
    /// If `stage` does not key both streams, or cuts the chain once more.
    pub fn connected<L, R>(
        stage: impl FnOnce(BoxedStream<L, Timed>, BoxedStream<R, Timed>) -> DataStream<C>,
    ) -> Harness<C>
    where
        L: Send + 'static,
        R: Send + 'static,
        C: Chain<In = Stamped<Either<L, R>>>,
    {
        let pipeline = Pipeline::new("harness");
        let (left, right) = (timed_of(&pipeline), timed_of(&pipeline));
        // Two for the times, and one for the key of each stream.
        Self::over(stage(left, right), 4)
    }

    /// Gives the operator less room downstream.
    pub fn room(mut self, room: Room) -> Self {
        self.slot.room = room;
        self
    }

    /// Feeds records as one batch; returns when all of them are taken and nothing more is due at
    /// this time. Where an operator takes no more for now, time passes to when it does.
    ///
    /// # Panics
    /// If the operator takes no more and does not ask to be told when time has passed.
    pub fn feed(&mut self, records: impl IntoIterator<Item = C::In>) {
        self.batch.records.extend(records);
        self.settle();
        while !self.batch.is_empty() {
            if !self.chain.is_open() {
                self.wait();
            } else if self.slot.begin_call() {
                // Like the engine, which feeds nothing to a task without room.
                self.batch.taken = self.now;
                self.chain.push_batch(&mut self.batch, &mut self.slot);
            }
            self.settle();
        }
        self.batch.clear();
    }

    /// As [`feed`](Self::feed), each record with its event time. One at or before the watermark is
    /// what a late record is.
    pub fn feed_at<T, W>(&mut self, records: impl IntoIterator<Item = (T, W)>)
    where
        C: Chain<In = Stamped<T>>,
        W: Into<Timestamp>,
    {
        let stamped = |(record, time): (T, W)| Stamped { record, time: time.into() };
        self.feed(records.into_iter().map(stamped));
    }

    /// Moves event time on: no records at or before `watermark` are to be expected any more. One
    /// that is not later than the last changes nothing, as in a job.
    ///
    /// * `watermark` - milliseconds since the epoch, as `i64` or [`Timestamp`].
    ///
    /// # Panics
    /// If the operator says [`Flow::More`](crate::dataflow::Flow::More) for ever.
    pub fn advance_watermark(&mut self, watermark: impl Into<Timestamp>) {
        let watermark = watermark.into();
        if watermark > self.watermark {
            self.watermark = watermark;
            self.signal(Signal::Watermark(watermark));
        }
    }

    /// How far event time has come behind the operator.
    pub fn output_watermark(&self) -> Timestamp {
        self.output_watermark
    }

    /// Moves processing time on by `time`, and tells the operator if it asked to be told. Returns
    /// whether it did. The clock begins at 0, which is also its time of day.
    ///
    /// # Panics
    /// If the operator says [`Flow::More`](crate::dataflow::Flow::More) for ever.
    pub fn advance_clock(&mut self, time: Duration) -> bool {
        let passed = Nanos::try_from(time.as_nanos()).unwrap_or(Nanos::MAX);
        self.now = self.now.saturating_add(passed);
        let is_due = self.chain.wake_at().is_some_and(|at| at <= self.now);
        self.settle();
        is_due
    }

    /// Ends the input, after what is under way, and with it all of event time. Nothing may be fed
    /// afterwards.
    ///
    /// # Panics
    /// If the operator says [`Flow::More`](crate::dataflow::Flow::More) for ever.
    pub fn end(&mut self) {
        while !self.chain.is_quiet() {
            self.wait();
            self.settle();
        }
        self.advance_watermark(Timestamp::MAX);
        self.signal(Signal::End);
    }

    /// Polls futures, and tells the operator what time it is, for as long as there is need.
    fn settle(&mut self) {
        self.fruitless = 0;
        loop {
            if self.futures.ready() > 0 {
                self.futures.poll(0);
            } else if self.chain.wake_at().is_some_and(|at| at <= self.now) {
                self.tell(Signal::Clock(self.now));
            } else {
                return;
            }
        }
    }

    /// Lets time pass to when the operator wants to be told.
    fn wait(&mut self) {
        let at = self.chain.wake_at();
        self.now = self.now.max(at.expect("an operator that waits says for when, or for what"));
        self.settle();
    }

    /// What was emitted since the call before, in order.
    pub fn take_emitted(&mut self) -> Vec<C::Out> {
        self.take_emitted_with_times().into_iter().map(|(record, _)| record).collect()
    }

    /// As [`take_emitted`](Self::take_emitted), each with its event time; [`Timestamp::MIN`] where
    /// there is none.
    pub fn take_emitted_with_times(&mut self) -> Vec<(C::Out, Timestamp)> {
        std::mem::take(&mut self.slot.emitted)
    }

    /// What its operators have counted: records that were late, for one.
    pub fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        self.chain.count(&mut tally);
        tally
    }

    /// Lets the operator emit at most `records` between two calls of
    /// [`take_emitted`](Self::take_emitted); one more panics.
    pub fn emitted_max(mut self, records: usize) -> Self {
        self.slot.emitted_max = records;
        self
    }

    /// The most records that one signal made after its output had closed.
    pub fn late_outputs(&self) -> u64 {
        self.slot.late
    }

    fn signal(&mut self, signal: Signal) {
        self.fruitless = 0;
        while self.tell(signal) == Passed::More {}
    }

    /// Calls the chain with `signal` once.
    fn tell(&mut self, signal: Signal) -> Passed {
        let is_open = self.slot.begin_call();
        let before = self.slot.emitted.len();
        let passed = self.chain.signal(signal, &mut self.slot);
        if let Passed::Done(Some(Signal::Watermark(watermark))) = passed {
            self.output_watermark = watermark;
        }
        let emitted = self.slot.emitted.len() - before;
        let room = usize::from(is_open);
        self.slot.late = self.slot.late.max(emitted.saturating_sub(room) as u64);
        if emitted > 0 {
            self.fruitless = 0;
        } else if is_open {
            self.fruitless += 1;
        }
        assert!(
            self.fruitless < FRUITLESS_MAX,
            "{signal:?} was asked for {FRUITLESS_MAX} times although there was room and nothing \
             was emitted"
        );
        passed
    }
}

impl<I, Op> Harness<crate::dataflow::Then<Identity<I>, Op>>
where
    I: Send + 'static,
    Op: Operator<I>,
{
    /// A harness for one operator.
    pub fn of_operator(operator: Op) -> Self {
        Harness::of(|stream| stream.apply(operator))
    }
}

impl<I, K, F, Op> Harness<crate::dataflow::Keyed<I, K, F, crate::routing::Hashed, Op>>
where
    I: Send + 'static,
    K: Key,
    F: Fn(&I) -> K + Clone + Send + 'static,
    Op: KeyedOperator<K, I>,
{
    /// A harness for one keyed operator.
    pub fn of_keyed_operator(key_of: F, operator: Op) -> Self {
        Harness::keyed(key_of, |keyed| keyed.apply_keyed(operator))
    }
}

fn stream<T: Send + 'static>() -> DataStream<Identity<T>> {
    Pipeline::new("harness").source(crate::connector::iterator(std::iter::empty())).boxed()
}

fn timed_stream<T: Send + 'static>() -> BoxedStream<T, Timed> {
    timed_of(&Pipeline::new("harness"))
}

/// A stream with event time.
fn timed_of<T: Send + 'static>(pipeline: &Pipeline) -> BoxedStream<T, Timed> {
    let nothing = pipeline.source(crate::connector::iterator(std::iter::empty()));
    nothing.assign_timestamps(|_: &T| Timestamp::MIN, Monotone::new()).boxed()
}

/// What stands behind the operator.
struct Slot<T> {
    emitted: Vec<(T, Timestamp)>,
    room: Room,
    calls: u64,
    is_full: bool,
    emitted_max: usize,
    /// See [`Harness::late_outputs`].
    late: u64,
}

impl<T> Slot<T> {
    fn new(room: Room) -> Self {
        let emitted = Vec::new();
        Slot { emitted, room, calls: 0, is_full: false, emitted_max: usize::MAX, late: 0 }
    }

    /// Prepares for the next call; returns whether there is room.
    fn begin_call(&mut self) -> bool {
        self.calls += 1;
        self.is_full = self.room == Room::OneSlot && self.calls.is_multiple_of(2);
        !self.is_full
    }
}

impl<T> Emit<T> for Slot<T> {
    fn push(&mut self, record: T, meta: Meta) {
        let max = self.emitted_max;
        assert!(self.emitted.len() < max, "it emits more than {max} records");
        self.emitted.push((record, meta.time));
        self.is_full = self.room == Room::OneSlot;
    }

    fn is_open(&self) -> bool {
        !self.is_full
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slot_cuts_batches_and_ends_and_loses_nothing() {
        let count = |room| {
            let mut counts = Harness::keyed(|n: &u64| n % 10, |keyed| keyed.count()).room(room);
            counts.feed(0..100);
            counts.end();
            (counts.take_emitted(), counts.late_outputs())
        };
        let (calm, _) = count(Room::Unbounded);
        let (tight, late) = count(Room::OneSlot);
        assert_eq!(calm.len(), 10);
        assert_eq!(tight, calm);
        assert_eq!(late, 0, "it stops where the output closes");
    }

    #[test]
    fn every_other_call_finds_the_slot_full() {
        let mut slot = Slot::new(Room::OneSlot);
        let open: Vec<bool> = (0..4).map(|_| slot.begin_call()).collect();
        assert_eq!(open, [true, false, true, false]);
        assert!(slot.begin_call());
        slot.push(1, Meta::default());
        assert!(!slot.is_open());
    }

    #[test]
    fn early_results_come_when_the_clock_is_moved() {
        use crate::operator::window::{Early, Firing, tumbling};
        let windows = tumbling(Duration::from_millis(10));
        let early = Early::After(Duration::from_millis(3));
        let key_of = |_: &u32| ();
        let mut sums = Harness::keyed_timed(key_of, |all| all.window(windows).early(early).count());
        assert!(!sums.advance_clock(Duration::from_millis(5)), "nobody asked to be told");
        sums.feed_at([(7, 1)]);
        assert!(!sums.advance_clock(Duration::from_millis(2)));
        assert!(sums.advance_clock(Duration::from_millis(1)), "3 ms after the record");
        sums.advance_watermark(9);
        sums.advance_watermark(5);
        let firings: Vec<_> = sums.take_emitted().iter().map(|one| one.firing).collect();
        assert_eq!(firings, [Firing::Early, Firing::OnTime]);
    }

    #[test]
    fn operators_keep_the_times_of_records() {
        let mut evens = Harness::timed(|numbers| numbers.filter(|n: &i64| n % 2 == 0));
        evens.feed_at([(1, 10), (2, 20), (4, 15)]);
        let expected = [(2, Timestamp::from_millis(20)), (4, Timestamp::from_millis(15))];
        assert_eq!(evens.take_emitted_with_times(), expected);
    }

    #[test]
    #[should_panic(expected = "one chain")]
    fn stage_of_several_tasks_is_refused() {
        let _ = Harness::of(|numbers: DataStream<Identity<u64>>| numbers.boxed());
    }
}
