//! Running aggregates per key: `aggregate`, and `count`, `sum`, `min`, `max`, `mean`, `std_dev`.

use crate::config::PreAggregate;
use crate::dataflow::{Chain, Emit, EmitAt, KeyContext, KeyedOperator, KeyedOutput, KeyedStream};
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
            Combiner::new(mode, move |state: &mut A::Accumulator, record: &C::Out| {
                folding.add(state, record);
            })
        })
    }

    /// Counts the records of each key.
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
    pub fn sum<V, G>(self, value: G) -> KeyedOutput<C, K, F, Q, Running<Sum<G>>>
    where
        V: Summand,
        G: Fn(&C::Out) -> V + Clone + Send + 'static,
    {
        self.aggregate(aggregate::sum(value))
    }

    /// The smallest `value(record)` of each key.
    pub fn min<V, G>(self, value: G) -> KeyedOutput<C, K, F, Q, Running<Min<G>>>
    where
        V: Ord + Clone + Storable,
        G: Fn(&C::Out) -> V + Clone + Send + 'static,
    {
        self.aggregate(aggregate::min(value))
    }

    /// The largest `value(record)` of each key.
    pub fn max<V, G>(self, value: G) -> KeyedOutput<C, K, F, Q, Running<Max<G>>>
    where
        V: Ord + Clone + Storable,
        G: Fn(&C::Out) -> V + Clone + Send + 'static,
    {
        self.aggregate(aggregate::max(value))
    }

    /// The arithmetic mean of `value(record)` of each key.
    pub fn mean<G>(self, value: G) -> KeyedOutput<C, K, F, Q, Running<Mean<G>>>
    where
        G: Fn(&C::Out) -> f64 + Clone + Send + 'static,
    {
        self.aggregate(aggregate::mean(value))
    }

    /// The sample standard deviation (n − 1) of `value(record)` of each key; `None` for fewer than
    /// two records.
    pub fn std_dev<G>(self, value: G) -> KeyedOutput<C, K, F, Q, Running<StdDev<G>>>
    where
        G: Fn(&C::Out) -> f64 + Clone + Send + 'static,
    {
        self.aggregate(aggregate::std_dev(value))
    }
}
