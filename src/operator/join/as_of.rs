//! `join_table`: each record with the version of a table that held at its time.

use crate::dataflow::{
    Chain, ConnectedChain, ConnectedStreams, DataStream, Due, Emit, Flow, KeyContext,
    KeyedOperator, KeyedStream, Timed,
};
use crate::metrics::Tally;
use crate::operator::join::LeftRow;
use crate::operator::join::buffer::{Kept, Sides};
use crate::operator::window::EventTime;
use crate::record::{Either, Key, Never};
use crate::routing::KeyedPartitioner;
use crate::state::Storable;
use crate::time::Timestamp;

impl<K, C, F, Q> KeyedStream<C, F, Q>
where
    K: Key,
    C: Chain<Time = Timed>,
    C::Out: Storable,
    F: Fn(&C::Out) -> K + Clone + Send + 'static,
    Q: KeyedPartitioner<K>,
{
    /// Joins each record with the row of `table` that held for its key at its event time: the
    /// newest one that is not later, `None` where there is none. A row of `table` is the version
    /// of its key from its event time on, until the next one; of two at one time the later to come.
    ///
    /// A record comes out once the watermark of both streams has passed its time, so that no
    /// version can come any more that it should have had. A record at or behind the watermark is
    /// late: it is dropped, and counted. A version that comes late holds from then on, unless a
    /// newer one does: then it is late too. Of each key the versions from the watermark on are
    /// kept, and the one that holds there, for as long as the job runs.
    ///
    /// # Source
    /// Flink's event-time temporal join.
    ///
    /// ```
    /// # use millstream::{connector::iterator, prelude::*};
    /// # use millstream::time::watermark::Monotone;
    /// # let pipeline = Pipeline::new("example");
    /// // (currency, amount, time in ms), and (currency, rate, time in ms)
    /// let orders = pipeline.source(iterator([('€', 2, 5), ('€', 3, 15), ('£', 1, 20)]));
    /// let rates = pipeline.source(iterator([('€', 110, 0), ('€', 120, 10)]));
    /// let orders = orders.assign_timestamps(|order| order.2, Monotone::new());
    /// let rates = rates.assign_timestamps(|rate| rate.2, Monotone::new());
    /// let prices = orders
    ///     .key_by(|order| order.0)
    ///     .join_table(rates.key_by(|rate| rate.0))
    ///     .map(|(order, rate)| (order.0, rate.map(|rate| order.1 * rate.1)))
    ///     .collect();
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// let mut prices = prices.take();
    /// prices.sort();
    /// assert_eq!(prices, [('£', None), ('€', Some(220)), ('€', Some(360))]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn join_table<D, G>(
        self,
        table: KeyedStream<D, G, Q>,
    ) -> DataStream<impl ConnectedChain<C, D, LeftRow<C::Out, D::Out>>>
    where
        D: Chain<Time = Timed>,
        D::Out: Clone + Storable,
        G: Fn(&D::Out) -> K + Clone + Send + 'static,
    {
        let streams: ConnectedStreams<C, F, D, G, Q> = self.connect(table);
        streams.apply_keyed(AsOf { tally: Tally::default() })
    }
}

/// The operator of [`KeyedStream::join_table`].
#[derive(Clone)]
pub struct AsOf {
    tally: Tally,
}

/// When a record can come out, or a version go, whichever is first. The version that holds goes
/// when the next one holds.
fn next_event<L, R>(state: &Sides<L, R>) -> Option<Timestamp> {
    [state.left.time_at(0), state.right.time_at(1)].into_iter().flatten().min()
}

impl<K, L, R> KeyedOperator<K, Either<L, R>> for AsOf
where
    K: Key,
    L: Storable,
    R: Clone + Storable,
{
    type Out = (L, Option<R>);
    /// Records that wait, and versions.
    type State = Sides<L, R>;
    type Partial = Never;
    const NAME: &'static str = "join_table";
    const COUNTS_RECORDS: bool = true;
    const FORGETS: bool = true;

    fn on_record<E: Emit<Self::Out>>(
        &mut self,
        record: Either<L, R>,
        state: &mut Sides<L, R>,
        context: &mut KeyContext<'_, K, E>,
    ) {
        let (time, watermark) = (context.time(), context.watermark());
        let is_matched = false;
        let is_late = match record {
            Either::Left(_) if time <= watermark => true,
            Either::Left(record) => {
                state.left.insert(Kept { time, is_matched, record });
                false
            }
            Either::Right(_)
                if state.right.newest(watermark).is_some_and(|holding| holding.time > time) =>
            {
                true
            }
            Either::Right(record) => {
                state.right.insert(Kept { time, is_matched, record });
                false
            }
        };
        if is_late {
            self.tally.late += 1;
        } else {
            self.tally.applied += 1;
        }
        let next = if state.is_empty() { Some(watermark) } else { next_event(state) };
        state.wake.ask::<EventTime, K, E>(next, context);
    }

    fn on_partial<E: Emit<Self::Out>>(
        &mut self,
        partial: Never,
        _: &mut Sides<L, R>,
        _: &mut KeyContext<'_, K, E>,
    ) {
        match partial {}
    }

    fn on_event_time<E: Emit<Self::Out>>(
        &mut self,
        due: Due,
        state: &mut Sides<L, R>,
        context: &mut KeyContext<'_, K, E>,
    ) -> Flow {
        loop {
            if !context.is_open::<Self::Out>() {
                return Flow::More;
            }
            let Some(row) = state.left.pop_if(|time| time <= due.until) else { break };
            let version = state.right.newest(row.time).map(|version| version.record.clone());
            context.emit_at((row.record, version), row.time);
        }
        while state.right.time_at(1).is_some_and(|next| next <= due.until) {
            state.right.pop_if(|_| true);
        }
        state.left.settle();
        state.right.settle();
        state.wake.pass(due.until);
        state.wake.ask::<EventTime, K, E>(next_event(state), context);
        Flow::Done
    }

    fn is_empty(state: &Sides<L, R>) -> bool {
        state.is_empty()
    }

    fn count(&self, tally: &mut Tally) {
        *tally += self.tally;
    }
}
