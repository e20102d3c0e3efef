//! Running aggregates per key: `aggregate`, `count` and `sum`; the other one-line forms lie in one
//! file for each family.

mod arrival;
mod distinct;
mod extreme;
mod moments;
mod quantile;

use crate::dataflow::{
    Chain, Emit, EmitAt, KeyContext, KeyedOperator, KeyedOutput, KeyedStream, Row, TimeDomain,
};
use crate::error::Result;
use crate::exchange::combine::Combiner;
use crate::record::Key;
use crate::routing::KeyedPartitioner;
use crate::state::aggregate::{self, Aggregate, Count, Sum, Summand};
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
    /// An aggregate that [merges](Aggregate::MERGES) may be pre-aggregated in front of the
    /// exchange, which changes nothing but speed; not under [`EmitAt::EachRecord`], where every
    /// record has its result.
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
    {
        let emit_at = self.emission();
        let unmergeable = match (A::MERGES, emit_at) {
            (false, _) => Some("its aggregate does not merge"),
            (true, EmitAt::EachRecord) => Some("it emits after each record"),
            (true, EmitAt::End | EmitAt::Every(_)) => None,
        };
        let folding = aggregate.clone();
        self.exchange(Running { aggregate, emit_at }, unmergeable, move |mode| {
            let folding = folding.clone();
            Combiner::new(mode, move |state: &mut A::Accumulator, row: &Row<C>| {
                folding.add(state, C::Time::record(row));
                None
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
{
    type Out = (K, A::Output);
    type State = A::Accumulator;
    type Partial = A::Accumulator;
    const NAME: &'static str = "aggregate";

    fn waits_for_end(&self) -> bool {
        self.emit_at == EmitAt::End
    }

    fn check(&self) -> Result<()> {
        self.aggregate.check()
    }

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

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;
    use std::time::Duration;

    use super::*;
    use crate::config::PreAggregate;
    use crate::dataflow::{Pipeline, Signal};
    use crate::exchange::combine::Partial;
    use crate::operator::chain_test::keyed;
    use crate::operator::graph_test::{Landed, OnFirst, run};
    use crate::record::{Batch, hash_key};

    fn counting(emit_at: EmitAt) -> Running<Count> {
        Running { aggregate: Count, emit_at }
    }

    fn sorted<T: Ord>(mut emitted: Vec<T>) -> Vec<T> {
        emitted.sort_unstable();
        emitted
    }

    #[test]
    fn value_of_each_key_comes_once_and_at_the_end() {
        let mut counts = keyed(counting(EmitAt::End), |n: &u32| n % 10);
        assert!(counts.feed(vec![4, 7, 14, 24]).is_empty());
        assert_eq!(sorted(counts.signal(Signal::End)), [(4, 3), (7, 1)]);
    }

    #[test]
    fn value_so_far_follows_each_record_and_the_end_adds_none() {
        let mut counts = keyed(counting(EmitAt::EachRecord), |n: &u32| n % 10);
        assert_eq!(counts.feed(vec![4, 7, 14]), [(4, 1), (7, 1), (4, 2)]);
        assert!(counts.signal(Signal::End).is_empty());
    }

    #[test]
    fn tick_emits_the_keys_that_changed_since_the_one_before() {
        let every = EmitAt::Every(Duration::from_nanos(10));
        let mut counts = keyed(counting(every), |n: &u32| *n);
        assert!(counts.feed(vec![1, 2]).is_empty());
        assert_eq!(sorted(counts.signal(Signal::Clock(10))), [(1, 1), (2, 1)]);
        counts.feed(vec![1]);
        assert_eq!(counts.signal(Signal::Clock(20)), [(1, 2)]);
        assert!(counts.signal(Signal::Clock(30)).is_empty());
        counts.feed(vec![2]);
        assert_eq!(counts.signal(Signal::End), [(2, 2)]);
    }

    #[test]
    fn partials_and_records_of_a_key_come_to_one_value() {
        let hash = NonZeroU64::new(hash_key(&7u32)).expect("a hash is never 0");
        let mut batch = Batch::new();
        batch.partials.push(Partial { hash, key: 7u32, state: 5 });
        batch.push(7);
        let mut counts = keyed(counting(EmitAt::End), |n: &u32| *n);
        assert!(counts.feed_batch(batch).is_empty());
        assert_eq!(counts.signal(Signal::End), [(7, 6)]);
    }

    /// The record that came last, so the order counts and parts cannot be merged.
    #[derive(Clone)]
    struct Last;

    impl Aggregate<u32> for Last {
        type Accumulator = u32;
        type Output = u32;
        const MERGES: bool = false;

        fn add(&self, last: &mut u32, record: &u32) {
            *last = *record;
        }

        fn merge(&self, _: &mut u32, _: u32) {
            panic!("it does not merge");
        }

        fn finish(&self, last: &u32) -> u32 {
            *last
        }
    }

    #[test]
    fn aggregate_that_does_not_merge_is_not_combined_when_asked_to() {
        let (pipeline, landed) = (Pipeline::new("last"), Landed::new());
        let numbers = pipeline.source(OnFirst((0..100).collect())).key_by(|n: &u32| n % 2);
        numbers.pre_aggregate(PreAggregate::On).aggregate(Last).sink(landed.sink());
        run(pipeline, 2);
        let values = landed.take().into_iter().map(|(_, value)| value);
        assert_eq!(sorted(values.collect()), [(0, 98), (1, 99)]);
    }

    #[test]
    fn every_record_has_its_result_where_combining_is_asked_for() {
        let (pipeline, landed) = (Pipeline::new("running"), Landed::new());
        let numbers = pipeline.source(OnFirst(vec![0u32; 100])).key_by(|n| *n);
        let each = numbers.emit_at(EmitAt::EachRecord).pre_aggregate(PreAggregate::On);
        each.count().sink(landed.sink());
        run(pipeline, 2);
        let counts = landed.take().into_iter().map(|(_, (_, count))| count);
        assert_eq!(counts.collect::<Vec<u64>>(), (1..=100).collect::<Vec<_>>());
    }
}
