//! Running aggregates per key: `aggregate`, and `count`, `sum`, `min`, `max`, `mean`, `std_dev`.

use crate::config::PreAggregate;
use crate::dataflow::{
    Chain, Emit, EmitAt, KeyContext, KeyedOperator, KeyedOutput, KeyedStream, Row, TimeDomain,
};
use crate::exchange::combine::{Combiner, Mode};
use crate::record::Key;
use crate::routing::KeyedPartitioner;
use crate::state::Storable;
use crate::state::aggregate::{self, Aggregate, Count, Max, Mean, Min, StdDev, Sum, Summand};
use crate::time::Nanos;

impl<K, C, F, Q> KeyedStream<C, F, Q>
where
    K: Key,
    C: Chain,
    F: Fn(&C::Out) -> K + Clone + Send + 'static,
    Q: KeyedPartitioner<K>,
{
    /// Aggregates the records of each key; emits `(key, value)` as
    /// [`emit_at`](KeyedStream::emit_at) says.
    ///
    /// An aggregate that merges may be pre-aggregated in front of the exchange, which changes
    /// nothing but speed; not under [`EmitAt::EachRecord`], where every record has its result.
    ///
    /// ```
    /// # use millstream::{connector::iterator, prelude::*};
    /// # let pipeline = Pipeline::new("example");
    /// # use millstream::state::aggregate::{Count, sum};
    /// // Count and sum in one pass.
    /// let totals = pipeline
    ///     .source(iterator([3u64, 4, 5]))
    ///     .key_by(|_| "all")
    ///     .aggregate((Count, sum(|n: &u64| *n)))
    ///     .collect();
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// assert_eq!(totals.take(), [("all", (3, 12))]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn aggregate<A>(self, aggregate: A) -> KeyedOutput<C, K, F, Q, Running<A>>
    where
        A: Aggregate<C::Out>,
        A::Output: Send + 'static,
    {
        let emit_at = self.emission();
        let merges = A::MERGES && emit_at != EmitAt::EachRecord;
        let folding = aggregate.clone();
        self.exchange(Running { aggregate, emit_at }, move |context, own| {
            let mode = match own.unwrap_or(context.config.pre_aggregate()) {
                PreAggregate::Auto if merges => Mode::Auto,
                PreAggregate::On if merges => Mode::On,
                _ => Mode::Off,
            };
            let folding = folding.clone();
            Combiner::new(mode, move |state: &mut A::Accumulator, row: &Row<C>| {
                folding.add(state, C::Time::record(row));
            })
        })
    }

    /// Counts the records of each key.
    ///
    /// ```
    /// # use millstream::{connector::iterator, prelude::*};
    /// # let pipeline = Pipeline::new("example");
    /// let words = pipeline.source(iterator(["a", "b", "a"]));
    /// let counts = words.key_by(|word| *word).count().collect();
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// let mut counts = counts.take();
    /// counts.sort();
    /// assert_eq!(counts, [("a", 2), ("b", 1)]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn count(self) -> KeyedOutput<C, K, F, Q, Running<Count>> {
        self.aggregate(Count)
    }
}

/// The operator of [`KeyedStream::aggregate`].
#[derive(Clone)]
pub struct Running<A> {
    aggregate: A,
    emit_at: EmitAt,
}

impl<A> Running<A> {
    fn emit<T, K: Key, E: Emit<(K, A::Output)>>(
        &self,
        accumulator: &A::Accumulator,
        context: &mut KeyContext<'_, K, E>,
    ) where
        A: Aggregate<T>,
    {
        let key = context.key().clone();
        context.emit((key, self.aggregate.finish(accumulator)));
    }
}

impl<K, I, A> KeyedOperator<K, I> for Running<A>
where
    K: Key,
    A: Aggregate<I>,
    A::Output: Send + 'static,
{
    type Out = (K, A::Output);
    type State = A::Accumulator;
    type Partial = A::Accumulator;
    const NAME: &'static str = "aggregate";

    #[inline(always)]
    fn on_record<E: Emit<Self::Out>>(
        &mut self,
        record: I,
        state: &mut A::Accumulator,
        context: &mut KeyContext<'_, K, E>,
    ) {
        self.aggregate.add(state, &record);
        if self.emit_at == EmitAt::EachRecord {
            self.emit(state, context);
        }
    }

    #[inline]
    fn on_partial<E: Emit<Self::Out>>(
        &mut self,
        partial: A::Accumulator,
        state: &mut A::Accumulator,
        _: &mut KeyContext<'_, K, E>,
    ) {
        // Never under `EmitAt::EachRecord`: there nothing is folded.
        self.aggregate.merge(state, partial);
    }

    fn on_end<E: Emit<Self::Out>>(
        &mut self,
        state: &mut A::Accumulator,
        context: &mut KeyContext<'_, K, E>,
    ) {
        if self.emit_at == EmitAt::End {
            self.emit(state, context);
        }
    }

    fn emits_on_record(&self) -> bool {
        self.emit_at == EmitAt::EachRecord
    }

    fn tick_interval(&self) -> Option<Nanos> {
        self.emit_at.interval()
    }

    fn on_tick<E: Emit<Self::Out>>(
        &mut self,
        state: &mut A::Accumulator,
        context: &mut KeyContext<'_, K, E>,
    ) {
        self.emit(state, context);
    }
}

/// The one-line forms of [`aggregate`](KeyedStream::aggregate) over a number in each record.
impl<K, C, F, Q> KeyedStream<C, F, Q>
where
    K: Key,
    C: Chain,
    F: Fn(&C::Out) -> K + Clone + Send + 'static,
    Q: KeyedPartitioner<K>,
{
    /// Sums `value(record)` over the records of each key; integers wrap around.
    ///
    /// ```
    /// # use millstream::{connector::iterator, prelude::*};
    /// # let pipeline = Pipeline::new("example");
    /// let prices = pipeline.source(iterator([("tea", 3u64), ("jam", 5), ("tea", 4)]));
    /// let sums = prices.key_by(|(what, _)| *what).sum(|(_, price)| *price).collect();
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// let mut sums = sums.take();
    /// sums.sort();
    /// assert_eq!(sums, [("jam", 5), ("tea", 7)]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn sum<V, G>(self, value: G) -> KeyedOutput<C, K, F, Q, Running<Sum<G>>>
    where
        V: Summand,
        G: Fn(&C::Out) -> V + Clone + Send + 'static,
    {
        self.aggregate(aggregate::sum(value))
    }

    /// The smallest `value(record)` of each key.
    ///
    /// ```
    /// # use millstream::{connector::iterator, prelude::*};
    /// # let pipeline = Pipeline::new("example");
    /// let min = pipeline.source(iterator([4, 1, 9])).key_by(|_| ()).min(|n| *n).collect();
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// assert_eq!(min.take(), [((), Some(1))]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn min<V, G>(self, value: G) -> KeyedOutput<C, K, F, Q, Running<Min<G>>>
    where
        V: Ord + Clone + Storable,
        G: Fn(&C::Out) -> V + Clone + Send + 'static,
    {
        self.aggregate(aggregate::min(value))
    }

    /// The largest `value(record)` of each key.
    ///
    /// ```
    /// # use millstream::{connector::iterator, prelude::*};
    /// # let pipeline = Pipeline::new("example");
    /// let max = pipeline.source(iterator([4, 1, 9])).key_by(|_| ()).max(|n| *n).collect();
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// assert_eq!(max.take(), [((), Some(9))]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn max<V, G>(self, value: G) -> KeyedOutput<C, K, F, Q, Running<Max<G>>>
    where
        V: Ord + Clone + Storable,
        G: Fn(&C::Out) -> V + Clone + Send + 'static,
    {
        self.aggregate(aggregate::max(value))
    }

    /// The arithmetic mean of `value(record)` of each key.
    ///
    /// ```
    /// # use millstream::{connector::iterator, prelude::*};
    /// # let pipeline = Pipeline::new("example");
    /// let mean = pipeline.source(iterator([1.0, 2.0, 6.0])).key_by(|_| ()).mean(|n| *n).collect();
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// assert_eq!(mean.take(), [((), Some(3.0))]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn mean<G>(self, value: G) -> KeyedOutput<C, K, F, Q, Running<Mean<G>>>
    where
        G: Fn(&C::Out) -> f64 + Clone + Send + 'static,
    {
        self.aggregate(aggregate::mean(value))
    }

    /// The sample standard deviation (n − 1) of `value(record)` of each key; `None` for fewer than
    /// two records.
    ///
    /// ```
    /// # use millstream::{connector::iterator, prelude::*};
    /// # let pipeline = Pipeline::new("example");
    /// let numbers = pipeline.source(iterator([1.0, 2.0, 3.0]));
    /// let deviation = numbers.key_by(|_| ()).std_dev(|n| *n).collect();
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// assert_eq!(deviation.take(), [((), Some(1.0))]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn std_dev<G>(self, value: G) -> KeyedOutput<C, K, F, Q, Running<StdDev<G>>>
    where
        G: Fn(&C::Out) -> f64 + Clone + Send + 'static,
    {
        self.aggregate(aggregate::std_dev(value))
    }
}
