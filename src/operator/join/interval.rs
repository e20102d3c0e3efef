//! `interval_join`: rows of two streams that lie near each other in time.

use std::marker::PhantomData;
use std::ops::RangeInclusive;

use crate::dataflow::{
    Chain, ConnectedChain, ConnectedStreams, DataStream, Due, Emit, Flow, KeyContext,
    KeyedOperator, KeyedStream, Timed,
};
use crate::error::{Error, ErrorKind, Result};
use crate::metrics::Tally;
use crate::operator::join::buffer::{Buffer, Kept, Reach, Sides};
use crate::operator::join::{
    FullOuter, FullRow, Inner, JoinKind, LeftOuter, LeftRow, RightOuter, RightRow,
};
use crate::operator::window::EventTime;
use crate::record::{Either, Key, Never};
use crate::routing::KeyedPartitioner;
use crate::state::Storable;
use crate::time::Timestamp;

impl<C: Chain<Time = Timed>, F, Q> KeyedStream<C, F, Q> {
    /// Joins each record with those of `other` that have its key and lie within `bounds_ms` of its
    /// time, in milliseconds, bounds included: those from `time + start` to `time + end`. What
    /// follows says which rows come out.
    ///
    /// A pair comes out as soon as both are there, with the later of their times. A record is kept
    /// for as long as one can come that matches it: at most for the width of the bounds, by the
    /// watermark. A record at or behind the watermark is late: its partners may be gone, so it is
    /// dropped, and counted.
    ///
    /// # Errors
    /// The job does not start if the bounds hold no time.
    ///
    /// # Source
    /// Flink's interval join, whose inner kind has the same results.
    ///
    /// ```
    /// # use millstream::{connector::iterator, prelude::*};
    /// # use millstream::time::watermark::Monotone;
    /// # let pipeline = Pipeline::new("example");
    /// // (order, time in ms)
    /// let orders = pipeline.source(iterator([('a', 1_000), ('b', 2_000)]));
    /// let payments = pipeline.source(iterator([('a', 1_400), ('b', 9_000)]));
    /// let orders = orders.assign_timestamps(|order| order.1, Monotone::new());
    /// let payments = payments.assign_timestamps(|payment| payment.1, Monotone::new());
    /// // Paid within five seconds, or not.
    /// let paid = orders
    ///     .key_by(|order| order.0)
    ///     .interval_join(payments.key_by(|payment| payment.0), 0..=5_000)
    ///     .left()
    ///     .collect();
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// let mut paid = paid.take();
    /// paid.sort();
    /// assert_eq!(paid, [(('a', 1_000), Some(('a', 1_400))), (('b', 2_000), None)]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn interval_join<D, G>(
        self,
        other: KeyedStream<D, G, Q>,
        bounds_ms: RangeInclusive<i64>,
    ) -> IntervalJoin<ConnectedStreams<C, F, D, G, Q>>
    where
        D: Chain<Time = Timed>,
    {
        IntervalJoin { streams: self.connect(other), bounds_ms }
    }
}

/// Two streams to be joined by time. What follows says which rows come out.
#[must_use = "a stream that leads to no sink is an error"]
pub struct IntervalJoin<S> {
    streams: S,
    bounds_ms: RangeInclusive<i64>,
}

impl<K, C, F, D, G, Q> IntervalJoin<ConnectedStreams<C, F, D, G, Q>>
where
    K: Key,
    C: Chain<Time = Timed>,
    D: Chain<Time = Timed>,
    C::Out: Clone + Storable,
    D::Out: Clone + Storable,
    F: Fn(&C::Out) -> K + Clone + Send + 'static,
    G: Fn(&D::Out) -> K + Clone + Send + 'static,
    Q: KeyedPartitioner<K>,
{
    /// Emits the pairs that match.
    pub fn inner(self) -> DataStream<impl ConnectedChain<C, D, (C::Out, D::Out)>> {
        self.of_kind::<Inner>()
    }

    /// Emits the pairs that match, and each left record without a match as soon as none can come,
    /// with its own time. The watermark is held back by as much as such a record may wait.
    pub fn left(self) -> DataStream<impl ConnectedChain<C, D, LeftRow<C::Out, D::Out>>> {
        self.of_kind::<LeftOuter>()
    }

    /// Emits the pairs that match, and each right record without a match, as [`left`](Self::left)
    /// does.
    pub fn right(self) -> DataStream<impl ConnectedChain<C, D, RightRow<C::Out, D::Out>>> {
        self.of_kind::<RightOuter>()
    }

    /// Emits the pairs that match, and each record of either side without a match, as
    /// [`left`](Self::left) does.
    pub fn full(self) -> DataStream<impl ConnectedChain<C, D, FullRow<C::Out, D::Out>>> {
        self.of_kind::<FullOuter>()
    }

    fn of_kind<J: JoinKind<C::Out, D::Out>>(self) -> DataStream<impl ConnectedChain<C, D, J::Out>> {
        let operator = IntervalJoining::<J>::new(*self.bounds_ms.start(), *self.bounds_ms.end());
        self.streams.apply_keyed(operator)
    }
}

/// The operator of [`KeyedStream::interval_join`], of one [`JoinKind`].
#[derive(Clone)]
pub struct IntervalJoining<J> {
    /// Which times of the right side a left record matches.
    left: Reach,
    /// Which times of the left side a right record matches.
    right: Reach,
    tally: Tally,
    kind: PhantomData<fn() -> J>,
}

impl<J> IntervalJoining<J> {
    fn new(lower_ms: i64, upper_ms: i64) -> Self {
        IntervalJoining {
            left: Reach { from_ms: lower_ms, to_ms: upper_ms },
            right: Reach { from_ms: upper_ms.saturating_neg(), to_ms: lower_ms.saturating_neg() },
            tally: Tally::default(),
            kind: PhantomData,
        }
    }

    /// When the first row goes that is kept.
    fn next_event<L, R>(&self, state: &Sides<L, R>) -> Option<Timestamp> {
        let left = state.left.time_at(0).map(|time| self.left.last(time));
        let right = state.right.time_at(0).map(|time| self.right.last(time));
        [left, right].into_iter().flatten().min()
    }
}

/// Gives `pair` the rows of `other` within `range`; says whether there are any.
#[inline]
fn meet<T: Clone>(
    other: &mut Buffer<T>,
    range: (Timestamp, Timestamp),
    mut pair: impl FnMut(T, Timestamp),
) -> bool {
    let mut is_matched = false;
    for row in other.within(range) {
        row.is_matched = true;
        is_matched = true;
        pair(row.record.clone(), row.time);
    }
    is_matched
}

/// Drops the rows that nothing can match any more at watermark `until`; emits what `lone` makes of
/// those that nothing has matched, as far as there is room.
fn release<T, K, O, E: Emit<O>>(
    rows: &mut Buffer<T>,
    reach: Reach,
    until: Timestamp,
    lone: impl Fn(&T) -> Option<O>,
    context: &mut KeyContext<'_, K, E>,
) -> Flow {
    while context.is_open::<O>() {
        let Some(row) = rows.pop_if(|time| reach.last(time) <= until) else { return Flow::Done };
        if !row.is_matched
            && let Some(out) = lone(&row.record)
        {
            context.emit_at(out, row.time);
        }
    }
    Flow::More
}

impl<K, L, R, J> KeyedOperator<K, Either<L, R>> for IntervalJoining<J>
where
    K: Key,
    L: Clone + Storable,
    R: Clone + Storable,
    J: JoinKind<L, R>,
{
    type Out = J::Out;
    type State = Sides<L, R>;
    type Partial = Never;
    const NAME: &'static str = "interval_join";
    const COUNTS_RECORDS: bool = true;
    const FORGETS: bool = true;

    fn check(&self) -> Result<()> {
        let Reach { from_ms, to_ms } = self.left;
        if from_ms <= to_ms {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::InvalidConfig,
            format!(
                "interval join: bounds {from_ms} ms..={to_ms} ms hold no time; the first must not \
                 be above the second"
            ),
        ))
    }

    fn on_record<E: Emit<J::Out>>(
        &mut self,
        record: Either<L, R>,
        state: &mut Sides<L, R>,
        context: &mut KeyContext<'_, K, E>,
    ) {
        let (time, watermark) = (context.time(), context.watermark());
        if time <= watermark {
            self.tally.late += 1;
        } else {
            self.tally.applied += 1;
            match record {
                Either::Left(record) => {
                    let is_matched = meet(&mut state.right, self.left.of(time), |other, at| {
                        context.emit_at(J::pair(record.clone(), other), time.max(at));
                    });
                    if self.left.last(time) > watermark {
                        state.left.insert(Kept { time, is_matched, record });
                    } else if !is_matched && let Some(row) = J::left(&record) {
                        context.emit(row);
                    }
                }
                Either::Right(record) => {
                    let is_matched = meet(&mut state.left, self.right.of(time), |other, at| {
                        context.emit_at(J::pair(other, record.clone()), time.max(at));
                    });
                    if self.right.last(time) > watermark {
                        state.right.insert(Kept { time, is_matched, record });
                    } else if !is_matched && let Some(row) = J::right(&record) {
                        context.emit(row);
                    }
                }
            }
        }
        // A key of which nothing is kept is woken to go.
        let next = self.next_event(state).unwrap_or(watermark);
        state.wake.ask::<EventTime, K, E>(Some(next), context);
    }

    fn on_partial<E: Emit<J::Out>>(
        &mut self,
        partial: Never,
        _: &mut Sides<L, R>,
        _: &mut KeyContext<'_, K, E>,
    ) {
        match partial {}
    }

    fn on_event_time<E: Emit<J::Out>>(
        &mut self,
        due: Due,
        state: &mut Sides<L, R>,
        context: &mut KeyContext<'_, K, E>,
    ) -> Flow {
        if release(&mut state.left, self.left, due.until, J::left, context) == Flow::More
            || release(&mut state.right, self.right, due.until, J::right, context) == Flow::More
        {
            return Flow::More;
        }
        state.left.settle();
        state.right.settle();
        state.wake.pass(due.until);
        state.wake.ask::<EventTime, K, E>(self.next_event(state), context);
        Flow::Done
    }

    fn is_empty(state: &Sides<L, R>) -> bool {
        state.is_empty()
    }

    /// Held back by as long as a record without a match waits to come out with its own time.
    fn output_watermark(&self, watermark: Timestamp) -> Timestamp {
        let left_ms = if J::LEFT { self.left.to_ms } else { 0 };
        let right_ms = if J::RIGHT { self.right.to_ms } else { 0 };
        // At the end nothing waits any more.
        if watermark == Timestamp::MAX {
            return watermark;
        }
        watermark.plus_millis(-left_ms.max(right_ms).max(0))
    }

    fn count(&self, tally: &mut Tally) {
        *tally += self.tally;
    }
}
