//! `process`: the user's own state per key, and timers.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::dataflow::{
    Chain, Due, Emit, Flow, KeyContext, KeyedOperator, KeyedOutput, KeyedStream, TimeDomain,
};
use crate::error::{Error, ErrorKind, Result};
use crate::metrics::Tally;
use crate::record::{Key, Never};
use crate::routing::KeyedPartitioner;
use crate::state::{KeyTimers, Storable};
use crate::time::Timestamp;

/// A timer of a key: one per key, kind and time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Timer {
    /// Fires when the watermark has reached this time.
    Event(Timestamp),
    /// Fires when the clock has reached this time.
    Processing(Timestamp),
}

/// Logic over the records of each key, with a state and timers.
///
/// Every partition has its own clone; the state of a key is handed in, so the value itself is
/// configuration. It is Flink's `KeyedProcessFunction`.
pub trait ProcessFunction<K, T>: Clone + Send + 'static {
    /// What it emits.
    type Out: Send + 'static;
    /// What is kept per key. A default one is made for a key's first record.
    type State: Default + Storable;
    /// The name in reports and errors.
    const NAME: &'static str;

    /// Takes one record of a key.
    fn on_record<E: Emit<Self::Out>>(
        &mut self,
        record: T,
        state: &mut Self::State,
        context: &mut ProcessContext<'_, '_, K, E>,
    );

    /// A timer that this key has set is due. Timers of one kind fire in the order of their times,
    /// each once.
    fn on_timer<E: Emit<Self::Out>>(
        &mut self,
        timer: Timer,
        state: &mut Self::State,
        context: &mut ProcessContext<'_, '_, K, E>,
    ) {
        let _ = (timer, state, context);
    }

    /// Whether nothing is kept of a key, so that its entry may go when it has no timer either.
    fn is_empty(state: &Self::State) -> bool {
        let _ = state;
        false
    }
}

/// What a [`ProcessFunction`] knows about the record or the timer in hand, and where it emits.
pub struct ProcessContext<'c, 'k, K, E> {
    context: &'c mut KeyContext<'k, K, E>,
    event: &'c mut KeyTimers,
    processing: &'c mut KeyTimers,
    time: Timestamp,
}

impl<K, E> ProcessContext<'_, '_, K, E> {
    /// The key in hand.
    pub fn key(&self) -> &K {
        self.context.key()
    }

    /// Event time of the record in hand, or the time of the timer.
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// No more records at or before this time are expected.
    pub fn watermark(&self) -> Timestamp {
        self.context.watermark()
    }

    /// The time of day, as far as the task knows: it asks once a batch.
    pub fn now(&self) -> Timestamp {
        self.context.now()
    }

    /// Sets a timer; setting it twice is setting it once. One that is past fires at once, which is
    /// when the watermark or the clock moves next.
    pub fn set_timer(&mut self, timer: Timer) {
        let hash = self.context.hash();
        match timer {
            Timer::Event(at) => self.event.set(at, hash, self.context.event_queue()),
            Timer::Processing(at) => self.processing.set(at, hash, self.context.processing_queue()),
        }
    }

    /// Deletes a timer; returns whether it was set.
    pub fn delete_timer(&mut self, timer: Timer) -> bool {
        match timer {
            Timer::Event(at) => self.event.delete(at),
            Timer::Processing(at) => self.processing.delete(at),
        }
    }

    /// Sends `record` on, with the time of the record or the timer in hand.
    pub fn emit<T>(&mut self, record: T)
    where
        E: Emit<T>,
    {
        self.context.emit_at(record, self.time);
    }
}

impl<K, C, F, Q> KeyedStream<C, F, Q>
where
    K: Key,
    C: Chain,
    F: Fn(&C::Out) -> K + Clone + Send + 'static,
    Q: KeyedPartitioner<K>,
{
    /// Hands every record to `function` with the state of its key.
    ///
    /// At the end of the input the timers of event time fire; those of processing time that are
    /// still to come are dropped, and counted in the report.
    ///
    /// ```
    /// # use millstream::{connector::iterator, dataflow::Emit, prelude::*};
    /// # use millstream::time::{Timestamp, watermark::Monotone};
    /// # let pipeline = Pipeline::new("example");
    /// use millstream::operator::{ProcessContext, ProcessFunction, Timer};
    ///
    /// /// Names a key that has had no record for 100 ms.
    /// #[derive(Clone)]
    /// struct Silence;
    ///
    /// impl ProcessFunction<u64, (u64, i64)> for Silence {
    ///     type Out = u64;
    ///     type State = Timestamp;
    ///     const NAME: &'static str = "silence";
    ///
    ///     fn on_record<E: Emit<u64>>(
    ///         &mut self,
    ///         _record: (u64, i64),
    ///         silent_at: &mut Timestamp,
    ///         context: &mut ProcessContext<'_, '_, u64, E>,
    ///     ) {
    ///         context.delete_timer(Timer::Event(*silent_at));
    ///         *silent_at = context.time().plus_millis(100);
    ///         context.set_timer(Timer::Event(*silent_at));
    ///     }
    ///
    ///     fn on_timer<E: Emit<u64>>(
    ///         &mut self,
    ///         _timer: Timer,
    ///         _state: &mut Timestamp,
    ///         context: &mut ProcessContext<'_, '_, u64, E>,
    ///     ) {
    ///         context.emit(*context.key());
    ///     }
    /// }
    ///
    /// let records = pipeline.source(iterator([(1, 0), (2, 10), (1, 90)]));
    /// let timed = records.assign_timestamps(|record| record.1, Monotone::new());
    /// let silent = timed.key_by(|record| record.0).process(Silence).collect();
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// let mut silent = silent.take();
    /// silent.sort();
    /// assert_eq!(silent, [1, 2]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn process<P>(self, function: P) -> KeyedOutput<C, K, F, Q, Process<P>>
    where
        P: ProcessFunction<K, C::Out>,
    {
        self.apply_keyed(Process::new(function, None, C::Time::HAS_TIME))
    }

    /// As [`process`](Self::process), and forgets the state of a key that has had no record for
    /// `ttl`: of event time where the stream has one, else of processing time.
    ///
    /// Every record and every timer counts as a write, since the function may write then. Timers
    /// are no state and stay.
    pub fn process_with_ttl<P>(
        self,
        function: P,
        ttl: Duration,
    ) -> KeyedOutput<C, K, F, Q, Process<P>>
    where
        P: ProcessFunction<K, C::Out>,
    {
        self.apply_keyed(Process::new(function, Some(ttl), C::Time::HAS_TIME))
    }
}

/// The operator of [`KeyedStream::process`].
pub struct Process<P> {
    function: P,
    /// How long state is kept after the last write, if not for ever.
    ttl: Option<Duration>,
    /// Whether that is event time.
    in_event_time: bool,
    dropped_timers: u64,
}

impl<P> Process<P> {
    fn new(function: P, ttl: Option<Duration>, in_event_time: bool) -> Self {
        Process { function, ttl, in_event_time, dropped_timers: 0 }
    }
}

impl<P: Clone> Clone for Process<P> {
    fn clone(&self) -> Self {
        Process::new(self.function.clone(), self.ttl, self.in_event_time)
    }
}

/// What is kept of a key: the user's state, its timers, and when it goes.
#[derive(Debug, Serialize, Deserialize)]
pub struct Processed<S> {
    state: S,
    event: KeyTimers,
    processing: KeyTimers,
    /// When the state goes: the maximum where it stays, the minimum once it has gone.
    expires_at: Timestamp,
    /// When the key is woken for that; the maximum if it is not.
    woken_at: Timestamp,
}

impl<S: Default> Default for Processed<S> {
    fn default() -> Self {
        Processed {
            state: S::default(),
            event: KeyTimers::new(),
            processing: KeyTimers::new(),
            expires_at: Timestamp::MAX,
            woken_at: Timestamp::MAX,
        }
    }
}

impl<P> Process<P> {
    /// The state is about to be written: one that is too old is forgotten first.
    fn note_write<S: Default, K, E>(
        &self,
        kept: &mut Processed<S>,
        time: Timestamp,
        context: &mut KeyContext<'_, K, E>,
    ) {
        let Some(ttl) = self.ttl else { return };
        let time = if self.in_event_time { time } else { context.now() };
        let is_first = kept.expires_at == Timestamp::MAX;
        if kept.expires_at <= time {
            kept.state = S::default();
        }
        // A record out of order does not make a state older.
        kept.expires_at = if is_first { time + ttl } else { kept.expires_at.max(time + ttl) };
        if kept.woken_at == Timestamp::MAX {
            self.ask(kept.expires_at, kept, context);
        }
    }

    /// Asks for the key to be woken at `time` to see whether its state is too old.
    fn ask<S, K, E>(
        &self,
        time: Timestamp,
        kept: &mut Processed<S>,
        context: &mut KeyContext<'_, K, E>,
    ) {
        kept.woken_at = time;
        match self.in_event_time {
            true => context.wake_at(time),
            false => context.wake_at_clock(time),
        }
    }

    /// The key has been woken: forgets its state if it is time.
    fn expire<S: Default, K, E>(
        &self,
        due: Due,
        kept: &mut Processed<S>,
        context: &mut KeyContext<'_, K, E>,
    ) {
        if due.at != kept.woken_at {
            return;
        }
        kept.woken_at = Timestamp::MAX;
        if kept.expires_at <= due.until {
            kept.state = S::default();
            kept.expires_at = Timestamp::MIN;
        } else {
            self.ask(kept.expires_at, kept, context);
        }
    }

    /// Fires timers of one kind, as far as there is room.
    fn fire<K, T, E>(
        &mut self,
        kind: Kind,
        due: Due,
        kept: &mut Processed<P::State>,
        context: &mut KeyContext<'_, K, E>,
    ) -> Flow
    where
        P: ProcessFunction<K, T>,
        E: Emit<P::Out>,
    {
        let hash = context.hash();
        while context.is_open() {
            let popped = match kind {
                Kind::Event => kept.event.pop_due(due.until, hash, context.event_queue()),
                Kind::Processing => {
                    kept.processing.pop_due(due.until, hash, context.processing_queue())
                }
            };
            let Some(time) = popped else {
                if kind.is_event() == self.in_event_time {
                    self.expire(due, kept, context);
                }
                return Flow::Done;
            };
            self.note_write(kept, time, context);
            let timer = if kind.is_event() { Timer::Event(time) } else { Timer::Processing(time) };
            let Processed { state, event, processing, .. } = kept;
            let mut context = ProcessContext { context, event, processing, time };
            self.function.on_timer(timer, state, &mut context);
        }
        Flow::More
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Event,
    Processing,
}

impl Kind {
    fn is_event(self) -> bool {
        matches!(self, Kind::Event)
    }
}

impl<K, T, P> KeyedOperator<K, T> for Process<P>
where
    P: ProcessFunction<K, T>,
{
    type Out = P::Out;
    type State = Processed<P::State>;
    type Partial = Never;
    const NAME: &'static str = P::NAME;
    const FORGETS: bool = true;

    fn check(&self) -> Result<()> {
        match self.ttl {
            Some(ttl) if crate::time::millis(ttl) == 0 => Err(Error::new(
                ErrorKind::InvalidConfig,
                format!("state TTL: {ttl:?}; allowed is 1 ms or more"),
            )),
            _ => Ok(()),
        }
    }

    #[inline]
    fn on_record<E: Emit<P::Out>>(
        &mut self,
        record: T,
        kept: &mut Processed<P::State>,
        context: &mut KeyContext<'_, K, E>,
    ) {
        let time = context.time();
        self.note_write(kept, time, context);
        let Processed { state, event, processing, .. } = kept;
        let mut context = ProcessContext { context, event, processing, time };
        self.function.on_record(record, state, &mut context);
    }

    fn on_partial<E: Emit<P::Out>>(
        &mut self,
        partial: Never,
        _: &mut Processed<P::State>,
        _: &mut KeyContext<'_, K, E>,
    ) {
        match partial {}
    }

    fn on_event_time<E: Emit<P::Out>>(
        &mut self,
        due: Due,
        kept: &mut Processed<P::State>,
        context: &mut KeyContext<'_, K, E>,
    ) -> Flow {
        self.fire(Kind::Event, due, kept, context)
    }

    fn on_processing_time<E: Emit<P::Out>>(
        &mut self,
        due: Due,
        kept: &mut Processed<P::State>,
        context: &mut KeyContext<'_, K, E>,
    ) -> Flow {
        self.fire(Kind::Processing, due, kept, context)
    }

    fn is_empty(kept: &Processed<P::State>) -> bool {
        let has_state = kept.expires_at != Timestamp::MIN && !P::is_empty(&kept.state);
        !has_state && kept.event.is_empty() && kept.processing.is_empty()
    }

    fn on_end<E: Emit<P::Out>>(
        &mut self,
        kept: &mut Processed<P::State>,
        _: &mut KeyContext<'_, K, E>,
    ) {
        self.dropped_timers += kept.processing.len() as u64;
    }

    fn count(&self, tally: &mut Tally) {
        tally.dropped_timers += self.dropped_timers;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataflow::Signal;
    use crate::operator::chain_test::{Driven, keyed_timed};

    /// Emits what a timer found: its time, and how many records the key has had.
    #[derive(Clone)]
    struct Alarms;

    impl ProcessFunction<u32, (u32, Timer)> for Alarms {
        type Out = (u32, i64, u32);
        type State = u32;
        const NAME: &'static str = "alarms";

        fn on_record<E: Emit<Self::Out>>(
            &mut self,
            (_, timer): (u32, Timer),
            count: &mut u32,
            context: &mut ProcessContext<'_, '_, u32, E>,
        ) {
            *count += 1;
            if !context.delete_timer(timer) {
                context.set_timer(timer);
            }
        }

        fn on_timer<E: Emit<Self::Out>>(
            &mut self,
            _: Timer,
            count: &mut u32,
            context: &mut ProcessContext<'_, '_, u32, E>,
        ) {
            context.emit((*context.key(), context.time().as_millis(), *count));
        }

        fn is_empty(count: &u32) -> bool {
            *count == 0
        }
    }

    type Rig = Driven<
        crate::dataflow::Keyed<
            (u32, Timer),
            u32,
            fn(&(u32, Timer)) -> u32,
            crate::routing::Hashed,
            Process<Alarms>,
            crate::dataflow::Timed,
        >,
    >;

    fn alarms(ttl: Option<Duration>) -> Rig {
        keyed_timed(Process::new(Alarms, ttl, true), |record: &(u32, Timer)| record.0)
    }

    fn event(key: u32, timer: i64, time: i64) -> ((u32, Timer), i64) {
        ((key, Timer::Event(timer.into())), time)
    }

    #[test]
    fn timers_of_a_key_fire_in_order_of_time_and_once() {
        let mut alarms = alarms(None);
        alarms.feed_at(vec![event(1, 30, 0), event(1, 10, 1), event(1, 20, 2), event(1, 40, 3)]);
        let fired = alarms.signal(Signal::Watermark(30.into()));
        assert_eq!(fired, [(1, 10, 4), (1, 20, 4), (1, 30, 4)]);
        assert_eq!(alarms.signal(Signal::Watermark(Timestamp::MAX)), [(1, 40, 4)]);
    }

    #[test]
    fn deleted_timer_does_not_fire() {
        let mut alarms = alarms(None);
        alarms.feed_at(vec![event(1, 10, 0), event(1, 10, 1), event(2, 10, 1)]);
        assert_eq!(alarms.signal(Signal::Watermark(50.into())), [(2, 10, 1)]);
    }

    #[test]
    fn timers_of_processing_time_fire_by_the_clock_and_are_dropped_at_the_end() {
        let mut alarms = alarms(None);
        let at = |millis: i64| ((1, Timer::Processing(millis.into())), 0);
        alarms.feed_at(vec![at(5), at(9)]);
        assert_eq!(alarms.signal(Signal::Clock(5_000_000)), [(1, 5, 2)]);
        assert!(alarms.signal(Signal::Watermark(Timestamp::MAX)).is_empty());
        assert!(alarms.signal(Signal::End).is_empty());
        assert_eq!(alarms.tally().dropped_timers, 1);
    }

    #[test]
    fn state_is_forgotten_after_the_last_write_and_its_timers_stay() {
        let mut alarms = alarms(Some(Duration::from_millis(100)));
        alarms.feed_at(vec![event(1, 500, 0), event(2, 10, 0), event(1, 600, 90)]);
        alarms.signal(Signal::Watermark(150.into()));
        assert_eq!(alarms.keys(), 1, "2 has neither state nor timers");
        alarms.signal(Signal::Watermark(190.into()));
        assert_eq!(alarms.signal(Signal::Watermark(500.into())), [(1, 500, 0)]);
        assert_eq!(alarms.signal(Signal::Watermark(600.into())), [(1, 600, 0)]);
        alarms.signal(Signal::Watermark(700.into()));
        assert_eq!(alarms.keys(), 0);
    }

    #[test]
    fn record_after_the_time_finds_no_state_though_the_watermark_is_behind() {
        let mut alarms = alarms(Some(Duration::from_millis(100)));
        alarms.feed_at(vec![event(1, 150, 0), event(1, 160, 100)]);
        assert_eq!(alarms.signal(Signal::Watermark(150.into())), [(1, 150, 1)]);
    }
}
