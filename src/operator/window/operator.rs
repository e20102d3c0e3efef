//! The keyed operator of windows: brings records, time and timers of the engine to the logic of a
//! key, and its results out.

use std::marker::PhantomData;

use crate::dataflow::{Due, Emit, Flow, KeyContext, KeyedOperator};
use crate::metrics::Tally;
use crate::operator::window::{Taken, Trigger, WindowContext, WindowLogic, Windowed};
use crate::record::{Either, Key};
use crate::time::Timestamp;

/// The operator of windows whose results are aggregates.
///
/// * `L` - the logic of a key.
/// * `W` - [`EventTime`] or [`ProcessingTime`].
/// * `O` - [`DropLate`] or [`EmitLate`].
pub struct Windowing<L, W, O> {
    logic: L,
    trigger: Trigger,
    waits_for_end: bool,
    tally: Tally,
    /// Up to where a key has been dealt with whose results had no room.
    paused_at: Option<Timestamp>,
    kinds: PhantomData<fn() -> (W, O)>,
}

impl<L, W, O> Windowing<L, W, O> {
    pub(crate) fn new(logic: L, trigger: Trigger, waits_for_end: bool) -> Self {
        let tally = Tally::default();
        Windowing { logic, trigger, waits_for_end, tally, paused_at: None, kinds: PhantomData }
    }
}

impl<L: Clone, W, O> Clone for Windowing<L, W, O> {
    /// The logic only: what was counted is counted once.
    fn clone(&self) -> Self {
        Windowing::new(self.logic.clone(), self.trigger, self.waits_for_end)
    }
}

/// Which time windows are of.
pub trait WindowTime: Send + 'static {
    /// How much the clock is ahead of what windows take for the watermark.
    const CLOCK_LEAD_MS: i64;

    /// The time of the record in hand.
    fn time<K, E>(context: &KeyContext<'_, K, E>) -> Timestamp;

    /// No records at or before this time are expected.
    fn watermark<K, E>(context: &KeyContext<'_, K, E>) -> Timestamp;

    /// Asks for the key to be woken when that watermark has reached `at`.
    fn wake_at<K, E>(at: Timestamp, context: &mut KeyContext<'_, K, E>);
}

/// The time that records carry.
pub enum EventTime {}

impl WindowTime for EventTime {
    const CLOCK_LEAD_MS: i64 = 0;

    #[inline(always)]
    fn time<K, E>(context: &KeyContext<'_, K, E>) -> Timestamp {
        context.time()
    }

    #[inline(always)]
    fn watermark<K, E>(context: &KeyContext<'_, K, E>) -> Timestamp {
        context.watermark()
    }

    #[inline]
    fn wake_at<K, E>(at: Timestamp, context: &mut KeyContext<'_, K, E>) {
        context.wake_at(at);
    }
}

/// The time at which records are worked off.
pub enum ProcessingTime {}

impl WindowTime for ProcessingTime {
    const CLOCK_LEAD_MS: i64 = 1;

    #[inline(always)]
    fn time<K, E>(context: &KeyContext<'_, K, E>) -> Timestamp {
        context.now()
    }

    #[inline(always)]
    fn watermark<K, E>(context: &KeyContext<'_, K, E>) -> Timestamp {
        context.now().plus_millis(-Self::CLOCK_LEAD_MS)
    }

    #[inline]
    fn wake_at<K, E>(at: Timestamp, context: &mut KeyContext<'_, K, E>) {
        context.wake_at_clock(at.plus_millis(Self::CLOCK_LEAD_MS));
    }
}

/// What becomes of late records, and with that what comes out.
pub trait LateRecords<T, R>: Send + 'static {
    /// Whether late records come out, so that they cannot be folded with others.
    const KEEPS_RECORDS: bool;

    /// What comes out: results, or results and late records.
    type Out: Send + 'static;

    /// Of a result.
    fn result(result: R) -> Self::Out;

    /// Of a late record, if it comes out.
    fn late(record: T) -> Option<Self::Out>;
}

/// They are counted.
pub enum DropLate {}

impl<T, R: Send + 'static> LateRecords<T, R> for DropLate {
    const KEEPS_RECORDS: bool = false;
    type Out = R;

    #[inline(always)]
    fn result(result: R) -> R {
        result
    }

    #[inline(always)]
    fn late(_: T) -> Option<R> {
        None
    }
}

/// They are counted, and come out beside the results.
pub enum EmitLate {}

impl<T: Send + 'static, R: Send + 'static> LateRecords<T, R> for EmitLate {
    const KEEPS_RECORDS: bool = true;
    type Out = Either<R, T>;

    #[inline(always)]
    fn result(result: R) -> Either<R, T> {
        Either::Left(result)
    }

    #[inline(always)]
    fn late(record: T) -> Option<Either<R, T>> {
        Some(Either::Right(record))
    }
}

/// Types that are only named.
type Kinds<T, W, O> = PhantomData<fn(T) -> (W, O)>;

/// The engine as the logic of a key sees it. `'c` is of the context, `'k` of what it borrows.
struct View<'c, 'k, T, K, E, W, O> {
    context: &'c mut KeyContext<'k, K, E>,
    /// In place of the watermark: the input is over.
    is_over: bool,
    kinds: Kinds<T, W, O>,
}

impl<'c, 'k, T, K, E, W, O> View<'c, 'k, T, K, E, W, O> {
    #[inline(always)]
    fn new(context: &'c mut KeyContext<'k, K, E>) -> Self {
        View { context, is_over: false, kinds: PhantomData }
    }
}

impl<T, K, E, W, O, V> WindowContext<V> for View<'_, '_, T, K, E, W, O>
where
    K: Key,
    E: Emit<O::Out>,
    W: WindowTime,
    O: LateRecords<T, Windowed<K, V>>,
{
    #[inline(always)]
    fn watermark(&self) -> Timestamp {
        if self.is_over { Timestamp::MAX } else { W::watermark(self.context) }
    }

    #[inline(always)]
    fn now(&self) -> Timestamp {
        self.context.now()
    }

    #[inline]
    fn set_event_timer(&mut self, at: Timestamp) {
        W::wake_at(at, self.context);
    }

    #[inline]
    fn set_processing_timer(&mut self, at: Timestamp) {
        self.context.wake_at_clock(at);
    }

    #[inline]
    fn emit(&mut self, result: Windowed<(), V>) {
        let (key, time) = (self.context.key().clone(), result.window.last());
        self.context.emit_at(O::result(result.of(key)), time);
    }
}

impl<L, W: WindowTime, O> Windowing<L, W, O> {
    /// Deals with everything behind `after` and not behind `until`, as far as there is room.
    fn settle<T, K, E>(
        &mut self,
        (after, until): (Timestamp, Timestamp),
        state: &mut L::State,
        view: &mut View<'_, '_, T, K, E, W, O>,
    ) -> Flow
    where
        K: Key,
        L: WindowLogic<T>,
        E: Emit<O::Out>,
        O: LateRecords<T, Windowed<K, L::Value>>,
    {
        let mut after = self.paused_at.take().unwrap_or(after);
        while let Some(at) = self.logic.next_event(state, after).filter(|at| *at <= until) {
            if !view.context.is_open::<O::Out>() {
                self.paused_at = Some(after);
                return Flow::More;
            }
            self.logic.on_event(at, state, view);
            after = at;
        }
        Flow::Done
    }

    /// Counts what became of `records` records.
    #[inline(always)]
    fn note(&mut self, taken: Taken, records: u64) {
        match taken {
            Taken::Applied => self.tally.applied += records,
            Taken::Late => self.tally.late += records,
        }
    }
}

impl<K, T, L, W, O> KeyedOperator<K, T> for Windowing<L, W, O>
where
    K: Key,
    T: Send + 'static,
    L: WindowLogic<T>,
    W: WindowTime,
    O: LateRecords<T, Windowed<K, L::Value>>,
{
    type Out = O::Out;
    type State = L::State;
    /// Never `None`: that is what a feeder begins with.
    type Partial = Option<L::Partial>;
    const NAME: &'static str = "window";
    const COUNTS_RECORDS: bool = true;
    const FORGETS: bool = true;

    fn waits_for_end(&self) -> bool {
        self.waits_for_end
    }

    /// A window that is kept for late records would fire on time again.
    fn keeps_settled(&self) -> bool {
        self.trigger.lateness_ms() > 0
    }

    #[inline(always)]
    fn on_record<E: Emit<O::Out>>(
        &mut self,
        record: T,
        state: &mut L::State,
        context: &mut KeyContext<'_, K, E>,
    ) {
        let time = W::time(context);
        let mut view = View::<T, K, E, W, O>::new(context);
        let taken = self.logic.on_record(&record, time, state, &mut view);
        self.note(taken, 1);
        if taken == Taken::Late
            && let Some(late) = O::late(record)
        {
            context.emit(late);
        }
    }

    fn on_partial<E: Emit<O::Out>>(
        &mut self,
        partial: Option<L::Partial>,
        state: &mut L::State,
        context: &mut KeyContext<'_, K, E>,
    ) {
        let partial = partial.expect("a feeder sends what it has folded");
        let records = L::record_count(&partial);
        let mut view = View::<T, K, E, W, O>::new(context);
        let taken = self.logic.on_partial(partial, state, &mut view);
        self.note(taken, records);
    }

    fn record_count(partial: &Option<L::Partial>) -> u64 {
        partial.as_ref().map_or(0, L::record_count)
    }

    fn on_event_time<E: Emit<O::Out>>(
        &mut self,
        due: Due,
        state: &mut L::State,
        context: &mut KeyContext<'_, K, E>,
    ) -> Flow {
        let mut view = View::<T, K, E, W, O>::new(context);
        if self.settle((due.after, due.until), state, &mut view) == Flow::More {
            return Flow::More;
        }
        self.logic.renew_timer(due.at, state, &mut view);
        Flow::Done
    }

    fn on_processing_time<E: Emit<O::Out>>(
        &mut self,
        due: Due,
        state: &mut L::State,
        context: &mut KeyContext<'_, K, E>,
    ) -> Flow {
        let mut view = View::<T, K, E, W, O>::new(context);
        if W::CLOCK_LEAD_MS > 0 {
            let [at, after, until] =
                [due.at, due.after, due.until].map(|time| time.plus_millis(-W::CLOCK_LEAD_MS));
            if self.settle((after, until), state, &mut view) == Flow::More {
                return Flow::More;
            }
            self.logic.renew_timer(at, state, &mut view);
        }
        self.logic.on_clock(due.until, state, &mut view);
        Flow::Done
    }

    fn is_empty(state: &L::State) -> bool {
        L::is_empty(state)
    }

    fn count(&self, tally: &mut Tally) {
        *tally += self.tally;
    }

    /// Windows of processing time that are open when the input ends fire then; those of event time
    /// have fired at the last watermark.
    fn on_end<E: Emit<O::Out>>(
        &mut self,
        state: &mut L::State,
        context: &mut KeyContext<'_, K, E>,
    ) {
        if W::CLOCK_LEAD_MS == 0 {
            return;
        }
        let mut after = W::watermark(context);
        let mut view = View::<T, K, E, W, O>::new(context);
        view.is_over = true;
        while let Some(at) = self.logic.next_event(state, after) {
            self.logic.on_event(at, state, &mut view);
            after = at;
        }
    }
}
