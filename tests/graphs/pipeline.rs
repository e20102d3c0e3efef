//! A graph read as a pipeline of the engine.

use millstream::connector::{Collected, collection, iterator};
use millstream::dataflow::{
    Collector, Emit, Identity, KeyContext, KeyedOperator, KeyedStream, Polled, Source,
    SourceConnector, TaskContext,
};
use millstream::prelude::*;
use millstream::record::{Either, Never};
use millstream::routing::{KeyedPartitioner, Modulo, Partitioner, Ranges, RoundRobin};
use millstream::state::aggregate::{Count, sum};
use millstream::testing::Random;

use crate::graph::{
    Each, Item, Origin, Spread, Step, Way, What, flattened, items, kept, key_of, mapped, reduced,
    rekeyed, result, rounded,
};
use crate::model::taken;

pub(crate) type Boxed = BoxedStream<Item>;

pub(crate) fn build(steps: &[Step], pipeline: &Pipeline) -> Vec<Collected<Item>> {
    let mut open: Vec<Option<Boxed>> = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        let made = match *step {
            Step::Source(origin, seed) => vec![build_source(pipeline, index, origin, seed)],
            Step::Each(at, each) => vec![build_each(taken(&mut open, at), each)],
            Step::Spread(at, spread) => vec![build_spread(taken(&mut open, at), spread)],
            Step::Keyed(at, what, way, pre_aggregate) => {
                let keyed = taken(&mut open, at).key_by(key_of as fn(&Item) -> u64);
                let keyed = match pre_aggregate {
                    Some(mode) => keyed.pre_aggregate(mode),
                    None => keyed,
                };
                let ranges = Ranges::new(vec![3, 8, 20]);
                vec![match way {
                    Way::Hash => build_keyed(keyed, what, index),
                    Way::Modulo => build_keyed(keyed.partition_by(Modulo), what, index),
                    Way::Range => build_keyed(keyed.partition_by(ranges), what, index),
                }]
            }
            Step::Fork(at) => {
                let [left, right] = taken(&mut open, at).fork();
                vec![left.map(|item| item.by(1)).boxed(), right.map(|item| item.by(2)).boxed()]
            }
            Step::Route(at, modulus) => {
                let choose = move |item: Item| {
                    if kept(&item, modulus) { Either::Left(item) } else { Either::Right(item) }
                };
                let (left, right) = taken(&mut open, at).route("rest", choose);
                vec![left.map(|item| item.by(1)).boxed(), right.map(|item| item.by(2)).boxed()]
            }
            Step::Union(a, b) => vec![taken(&mut open, a).union(taken(&mut open, b))],
        };
        open.extend(made.into_iter().map(Some));
    }
    open.into_iter().flatten().map(|stream| stream.collect()).collect()
}

pub(crate) fn build_source(pipeline: &Pipeline, index: usize, origin: Origin, seed: u64) -> Boxed {
    let splits = items(index as u64, origin, seed);
    match origin {
        Origin::Splits(_) => pipeline.source(Splits { splits, seed }).boxed(),
        Origin::Iterator => pipeline.source(iterator(splits.concat())).boxed(),
        Origin::Collection => pipeline.source(collection(splits.concat())).boxed(),
    }
}

pub(crate) fn build_each(stream: Boxed, each: Each) -> Boxed {
    match each {
        Each::Map(add) => stream.map(move |item| mapped(item, add)).boxed(),
        Each::Filter(modulus) => stream.filter(move |item| kept(item, modulus)).boxed(),
        Each::FlatMap(copies) => stream.flat_map(move |item| flattened(item, copies)).boxed(),
        Each::FilterMap(modulus) => {
            stream.filter_map(move |item| kept(&item, modulus).then_some(item)).boxed()
        }
        Each::Inspect => stream.inspect(|_| ()).boxed(),
        Each::Rekey(modulus) => stream.map(move |item| rekeyed(item, modulus)).boxed(),
        Each::Boxed => stream.boxed(),
        Each::Fused(add, modulus, copies) => stream
            .map(move |item| mapped(item, add))
            .filter(move |item| kept(item, modulus))
            .flat_map(move |item| flattened(item, copies))
            .boxed(),
    }
}

pub(crate) fn build_spread(stream: Boxed, spread: Spread) -> Boxed {
    match spread {
        Spread::Rebalance => stream.rebalance(),
        Spread::RoundRobin => stream.partition_by(RoundRobin::default()),
        Spread::ByValue => stream.partition_by(ByValue),
        Spread::Broadcast => stream.broadcast(),
    }
}

#[derive(Clone)]
pub(crate) struct ByValue;

impl Partitioner<Item> for ByValue {
    fn name(&self) -> String {
        "by value".into()
    }

    fn partition(&mut self, item: &Item, partitions: usize) -> usize {
        item.value.unsigned_abs() as usize % partitions
    }
}

pub(crate) fn build_keyed<Q: KeyedPartitioner<u64>>(
    keyed: KeyedStream<Identity<Item>, fn(&Item) -> u64, Q>,
    what: What,
    step: usize,
) -> Boxed {
    let made = move |(key, value): (u64, i64)| result(step, key, value);
    let value = |item: &Item| item.value;
    let float = |item: &Item| item.value as f64;
    match what {
        What::Pass => keyed.apply_keyed(Pass).boxed(),
        What::CountEach => keyed
            .emit_at(EmitAt::EachRecord)
            .count()
            .map(move |(key, n)| Item { sequence: n, ..result(step, key, n as i64) })
            .boxed(),
        What::Count => keyed.count().map(move |(key, n)| made((key, n as i64))).boxed(),
        What::Sum => keyed.sum(value).map(made).boxed(),
        What::Min => keyed.min(value).map(made).boxed(),
        What::Max => keyed.max(value).map(made).boxed(),
        What::Mean => {
            keyed.mean(float).map(move |(key, mean)| made((key, rounded(Some(mean))))).boxed()
        }
        What::StdDev => keyed.std_dev(float).map(move |(key, s)| made((key, rounded(s)))).boxed(),
        What::Pair => keyed
            .aggregate((Count, sum(value)))
            .map(move |(key, (n, total))| made((key, n as i64 * 1_000_000 + total)))
            .boxed(),
        What::Reduce => keyed
            .reduce(reduced)
            .map(move |(key, item)| Item { path: result(step, key, 0).path, ..item })
            .boxed(),
    }
}

/// Passes every record on, behind a keyed exchange.
#[derive(Clone)]
pub(crate) struct Pass;

impl KeyedOperator<u64, Item> for Pass {
    type Out = Item;
    type State = u64;
    type Partial = Never;
    const NAME: &'static str = "pass";

    fn on_record<E: Emit<Item>>(
        &mut self,
        record: Item,
        seen: &mut u64,
        context: &mut KeyContext<'_, u64, E>,
    ) {
        *seen += 1;
        let key = *context.key();
        context.emit(record.by(key));
    }

    fn on_partial<E: Emit<Item>>(
        &mut self,
        partial: Never,
        _: &mut u64,
        _: &mut KeyContext<'_, u64, E>,
    ) {
        match partial {}
    }
}

/// Splits dealt out to the partitions, read in turn by one that hesitates as its seed says.
pub(crate) struct Splits {
    splits: Vec<Vec<Item>>,
    seed: u64,
}

pub(crate) struct SplitsSource {
    splits: Vec<std::vec::IntoIter<Item>>,
    random: Random,
    context: TaskContext,
}

impl SourceConnector for Splits {
    type Item = Item;
    type Source = SplitsSource;

    fn name(&self) -> String {
        "splits".into()
    }

    fn open(&mut self, context: &TaskContext) -> Result<SplitsSource> {
        let own = |index: &usize| index % context.partitions == context.partition;
        let splits = (0..self.splits.len()).filter(own);
        let splits = splits.map(|index| std::mem::take(&mut self.splits[index]).into_iter());
        let random = Random::seeded(self.seed ^ context.partition as u64);
        Ok(SplitsSource { splits: splits.collect(), random, context: context.clone() })
    }
}

impl Source for SplitsSource {
    type Item = Item;

    fn poll<E: Emit<Item>>(
        &mut self,
        max: usize,
        now: u64,
        out: &mut Collector<'_, E>,
    ) -> Result<Polled> {
        self.splits.retain(|split| split.len() > 0);
        if self.splits.is_empty() {
            return Ok(Polled::Done);
        }
        let split = self.random.index(self.splits.len());
        let count = self.random.index(max + 1);
        out.emit_all(self.splits[split].by_ref().take(count));
        Ok(match self.random.below(8) {
            0 => {
                self.context.waker.wake();
                Polled::Pending
            }
            1 => Polled::Until(now + self.random.below(2_000)),
            _ => Polled::Ready,
        })
    }
}
