//! `join`: rows of two streams that have one key, whenever they come.

use std::marker::PhantomData;
use std::time::Duration;

use crate::dataflow::{
    Chain, ConnectedChain, ConnectedStreams, DataStream, Due, Emit, Flow, KeyContext,
    KeyedOperator, KeyedStream, TimeDomain, Timed, Untimed,
};
use crate::error::{Error, ErrorKind, Result};
use crate::metrics::Tally;
use crate::operator::join::buffer::{Kept, Reach, Sides};
use crate::operator::join::{
    FullOuter, FullUpdate, Inner, JoinKind, LeftOuter, LeftUpdate, RightOuter, RightUpdate,
};
use crate::operator::window::{Change, EventTime, ProcessingTime, WindowTime};
use crate::record::{Either, Key, Never};
use crate::routing::KeyedPartitioner;
use crate::state::Storable;
use crate::time::{Timestamp, millis};

impl<C: Chain, F, Q> KeyedStream<C, F, Q> {
    /// Joins each record with those of `other` that have its key. What follows says for how long a
    /// record is kept ([`ttl`](Join::ttl), [`keep_forever`](Join::keep_forever)), or cuts both
    /// streams into windows ([`window`](Join::window)).
    ///
    /// ```
    /// # use millstream::{connector::iterator, prelude::*};
    /// # let pipeline = Pipeline::new("example");
    /// // (seller, rating), and (item, seller)
    /// let sellers = pipeline.source(iterator([(1, 'A'), (2, 'B')])).key_by(|seller| seller.0);
    /// let items = pipeline.source(iterator([("lamp", 1), ("desk", 1), ("vase", 3)]));
    /// let items = items.map(|(what, seller)| (what.to_owned(), seller));
    /// let offers = items
    ///     .key_by(|item| item.1)
    ///     .join(sellers)
    ///     .keep_forever()
    ///     .inner()
    ///     .map(|((what, _), (_, rating))| (what, rating))
    ///     .collect();
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// let mut offers = offers.take();
    /// offers.sort();
    /// assert_eq!(offers, [("desk".to_owned(), 'A'), ("lamp".to_owned(), 'A')]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    /// Nothing comes out of a join that was not told how long to keep its records:
    /// ```compile_fail,E0599
    /// # use millstream::{connector::iterator, prelude::*};
    /// let pipeline = Pipeline::new("for how long");
    /// let left = pipeline.source(iterator([1])).key_by(|n| *n);
    /// left.join(pipeline.source(iterator([1])).key_by(|n| *n)).inner();
    /// ```
    pub fn join<D, G>(self, other: KeyedStream<D, G, Q>) -> Join<ConnectedStreams<C, F, D, G, Q>>
    where
        D: Chain<Time = C::Time>,
    {
        Join { streams: self.connect(other) }
    }
}

/// Two streams to be joined by key. What follows says what is kept for how long.
#[must_use = "a stream that leads to no sink is an error"]
pub struct Join<S> {
    pub(super) streams: S,
}

/// Two streams to be joined by key, and for how long their records are kept. What follows says
/// which rows come out.
#[must_use = "a stream that leads to no sink is an error"]
pub struct KeptJoin<S> {
    streams: S,
    ttl: Option<Duration>,
}

impl<S> Join<S> {
    /// Keeps each record for `ttl`, both ends included: two records match if they are no further
    /// apart than that. It is counted from a record's event time, or on streams without from when
    /// it came.
    ///
    /// A record that is further than `ttl` behind the watermark is late: it is dropped, and
    /// counted. One that is less late still matches what is kept.
    ///
    /// # Errors
    /// The job does not start if `ttl` is less than 1 ms.
    pub fn ttl(self, ttl: Duration) -> KeptJoin<S> {
        KeptJoin { streams: self.streams, ttl: Some(ttl) }
    }

    /// Keeps all records as long as the job runs, so that its memory grows with its input.
    pub fn keep_forever(self) -> KeptJoin<S> {
        KeptJoin { streams: self.streams, ttl: None }
    }
}

impl<K, C, F, D, G, Q> KeptJoin<ConnectedStreams<C, F, D, G, Q>>
where
    K: Key,
    C: Chain,
    C::Time: RowTime,
    D: Chain<Time = C::Time>,
    C::Out: Clone + Storable,
    D::Out: Clone + Storable,
    F: Fn(&C::Out) -> K + Clone + Send + 'static,
    G: Fn(&D::Out) -> K + Clone + Send + 'static,
    Q: KeyedPartitioner<K>,
{
    /// Emits the pairs that match, each as soon as both are there, with the later of their times.
    pub fn inner(self) -> DataStream<impl ConnectedChain<C, D, (C::Out, D::Out)>> {
        self.of_kind::<Inner>()
    }

    /// Emits the pairs that match, and each left record without a match so far: that row is
    /// retracted before the record's first pair.
    ///
    /// A record whose partners have gone with their [`ttl`](Join::ttl) stays matched.
    ///
    /// ```
    /// # use millstream::{connector::iterator, prelude::*};
    /// # let pipeline = Pipeline::new("example");
    /// use millstream::operator::window::Change;
    ///
    /// // (item, seller), and (seller, rating)
    /// let items = pipeline.source(iterator([(7, 1), (8, 3)])).key_by(|item| item.1);
    /// let sellers = pipeline.source(iterator([(1, 'A')])).key_by(|seller| seller.0);
    /// let offers = items.join(sellers).keep_forever().left().collect();
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// let mut rows = Vec::new();
    /// for update in offers.take() {
    ///     match update.change {
    ///         Change::Insert => rows.push(update.row),
    ///         Change::Retract => rows.retain(|row| *row != update.row),
    ///     }
    /// }
    /// rows.sort();
    /// assert_eq!(rows, [((7, 1), Some((1, 'A'))), ((8, 3), None)]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn left(self) -> DataStream<impl ConnectedChain<C, D, LeftUpdate<C::Out, D::Out>>> {
        self.of_kind::<LeftOuter>()
    }

    /// Emits the pairs that match, and each right record without a match so far, as
    /// [`left`](Self::left) does.
    pub fn right(self) -> DataStream<impl ConnectedChain<C, D, RightUpdate<C::Out, D::Out>>> {
        self.of_kind::<RightOuter>()
    }

    /// Emits the pairs that match, and each record of either side without a match so far, as
    /// [`left`](Self::left) does.
    pub fn full(self) -> DataStream<impl ConnectedChain<C, D, FullUpdate<C::Out, D::Out>>> {
        self.of_kind::<FullOuter>()
    }

    fn of_kind<J: JoinKind<C::Out, D::Out>>(
        self,
    ) -> DataStream<impl ConnectedChain<C, D, J::Update>> {
        let ttl_ms = self.ttl.map(millis);
        let (tally, kinds) = (Tally::default(), PhantomData);
        self.streams.apply_keyed(Joining::<J, C::Time> { ttl_ms, tally, kinds })
    }
}

/// Which time a record's [`ttl`](Join::ttl) is of: event time where there is one.
pub trait RowTime: TimeDomain + Clone {
    /// The line of time by which records go.
    type Line: WindowTime;

    /// The time of a row made of a record of `time` and one kept from `other`.
    fn of_pair(time: Timestamp, other: Timestamp) -> Timestamp;
}

impl RowTime for Timed {
    type Line = EventTime;

    #[inline(always)]
    fn of_pair(time: Timestamp, other: Timestamp) -> Timestamp {
        time.max(other)
    }
}

impl RowTime for Untimed {
    type Line = ProcessingTime;

    #[inline(always)]
    fn of_pair(_: Timestamp, _: Timestamp) -> Timestamp {
        Timestamp::MIN
    }
}

/// The operator of [`KeyedStream::join`], of one [`JoinKind`].
///
/// * `D` - the time domain of both streams.
#[derive(Clone)]
pub struct Joining<J, D> {
    ttl_ms: Option<i64>,
    tally: Tally,
    kinds: PhantomData<fn() -> (J, D)>,
}

impl<J, D: RowTime> Joining<J, D> {
    /// Which times of the other side a record matches.
    #[inline]
    fn reach(&self) -> Option<Reach> {
        self.ttl_ms.map(|ttl_ms| Reach { from_ms: -ttl_ms, to_ms: ttl_ms })
    }

    /// When the first row goes that is kept.
    fn next_event<L, R>(&self, state: &Sides<L, R>) -> Option<Timestamp> {
        let reach = self.reach()?;
        let first = [state.left.time_at(0), state.right.time_at(0)].into_iter().flatten().min()?;
        Some(reach.last(first))
    }

    /// Drops the rows whose time is over at `until`.
    fn expire<L, R, K, E>(
        &self,
        until: Timestamp,
        state: &mut Sides<L, R>,
        context: &mut KeyContext<'_, K, E>,
    ) {
        let Some(reach) = self.reach() else { return };
        while state.left.pop_if(|time| reach.last(time) <= until).is_some() {}
        while state.right.pop_if(|time| reach.last(time) <= until).is_some() {}
        state.left.settle();
        state.right.settle();
        state.wake.pass(until);
        state.wake.ask::<D::Line, K, E>(self.next_event(state), context);
    }
}

/// Emits the pairs of `record` and each of `rows`, behind the retraction of what came out of a row
/// while it had no match; says whether there are any.
///
/// * `was` - what came out of such a row.
/// * `emit` - takes a row of the result, and the time of the one of `rows` that it is of.
fn meet<'a, T: Clone, U: Clone + 'a, O>(
    record: &T,
    rows: impl Iterator<Item = &'a mut Kept<U>>,
    pair: impl Fn(T, U) -> O,
    was: impl Fn(&U) -> Option<O>,
    emit: &mut impl FnMut(Change, O, Timestamp),
) -> bool {
    let mut is_matched = false;
    for row in rows {
        is_matched = true;
        if !std::mem::replace(&mut row.is_matched, true)
            && let Some(was) = was(&row.record)
        {
            emit(Change::Retract, was, row.time);
        }
        emit(Change::Insert, pair(record.clone(), row.record.clone()), row.time);
    }
    is_matched
}

impl<K, L, R, J, D> KeyedOperator<K, Either<L, R>> for Joining<J, D>
where
    K: Key,
    L: Clone + Storable,
    R: Clone + Storable,
    J: JoinKind<L, R>,
    D: RowTime,
{
    type Out = J::Update;
    type State = Sides<L, R>;
    type Partial = Never;
    const NAME: &'static str = "join";
    const COUNTS_RECORDS: bool = true;
    const FORGETS: bool = true;

    fn check(&self) -> Result<()> {
        if self.ttl_ms != Some(0) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::InvalidConfig,
            "join: ttl is less than 1 ms; allowed is 1 ms or more, or keep_forever",
        ))
    }

    fn on_record<E: Emit<J::Update>>(
        &mut self,
        record: Either<L, R>,
        state: &mut Sides<L, R>,
        context: &mut KeyContext<'_, K, E>,
    ) {
        let (time, watermark) = (D::Line::time(context), D::Line::watermark(context));
        let reach = self.reach();
        if reach.is_some_and(|reach| reach.last(time) <= watermark) {
            self.tally.late += 1;
            if state.is_empty() {
                state.wake.ask::<D::Line, K, E>(Some(watermark), context);
            }
            return;
        }
        self.tally.applied += 1;
        let range = reach.map_or((Timestamp::MIN, Timestamp::MAX), |reach| reach.of(time));
        let Sides { left, right, .. } = &mut *state;
        let mut emit = |change, row, other| {
            context.emit_at(J::update(change, row), D::of_pair(time, other));
        };
        match record {
            Either::Left(record) => {
                let rows = right.within(range);
                let is_matched = meet(&record, rows, J::pair, J::right, &mut emit);
                if !is_matched && let Some(row) = J::left(&record) {
                    emit(Change::Insert, row, time);
                }
                left.insert(Kept { time, is_matched, record });
            }
            Either::Right(record) => {
                let (rows, pair) = (left.within(range), |right, left| J::pair(left, right));
                let is_matched = meet(&record, rows, pair, J::left, &mut emit);
                if !is_matched && let Some(row) = J::right(&record) {
                    emit(Change::Insert, row, time);
                }
                right.insert(Kept { time, is_matched, record });
            }
        }
        state.wake.ask::<D::Line, K, E>(self.next_event(state), context);
    }

    fn on_partial<E: Emit<J::Update>>(
        &mut self,
        partial: Never,
        _: &mut Sides<L, R>,
        _: &mut KeyContext<'_, K, E>,
    ) {
        match partial {}
    }

    fn on_event_time<E: Emit<J::Update>>(
        &mut self,
        due: Due,
        state: &mut Sides<L, R>,
        context: &mut KeyContext<'_, K, E>,
    ) -> Flow {
        self.expire(due.until, state, context);
        Flow::Done
    }

    fn on_processing_time<E: Emit<J::Update>>(
        &mut self,
        due: Due,
        state: &mut Sides<L, R>,
        context: &mut KeyContext<'_, K, E>,
    ) -> Flow {
        self.expire(due.until.plus_millis(-D::Line::CLOCK_LEAD_MS), state, context);
        Flow::Done
    }

    fn is_empty(state: &Sides<L, R>) -> bool {
        state.is_empty()
    }

    fn count(&self, tally: &mut Tally) {
        *tally += self.tally;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataflow::Signal;
    use crate::exchange::combine::Partial;
    use crate::operator::chain_test::keyed;
    use crate::operator::join::Update;
    use crate::record::Batch;

    type Sided = Either<u32, char>;

    const SECOND_NS: u64 = 1_000_000_000;

    /// A batch that is worked off at so many seconds.
    fn at(second: u64, records: Vec<Sided>) -> Batch<Sided, Partial<(), Never>> {
        let mut batch = Batch::new();
        batch.taken = second * SECOND_NS;
        batch.records = records;
        batch
    }

    #[test]
    fn without_event_time_rows_live_by_the_clock() {
        let (tally, kinds) = (Tally::default(), PhantomData);
        let operator = Joining::<LeftOuter, Untimed> { ttl_ms: Some(10_000), tally, kinds };
        let mut joined = keyed(operator, |_: &Sided| ());
        let row = |change, left, right| Update { change, row: (left, right) };
        let (insert, retract) = (Change::Insert, Change::Retract);
        assert_eq!(joined.feed_batch(at(1, vec![Either::Left(1)])), [row(insert, 1, None)]);
        assert_eq!(
            joined.feed_batch(at(11, vec![Either::Right('a')])),
            [row(retract, 1, None), row(insert, 1, Some('a'))],
            "exactly as long ago as it lives"
        );
        assert!(
            joined.signal(Signal::Clock(12 * SECOND_NS)).is_empty(),
            "nothing comes of its end"
        );
        assert!(joined.feed_batch(at(12, vec![Either::Right('b')])).is_empty());
        assert_eq!(
            joined.feed_batch(at(22, vec![Either::Left(2)])),
            [row(insert, 2, Some('b'))],
            "the first letter is gone"
        );
    }
}
