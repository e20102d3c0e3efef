//! Any graph of the built-ins gives what a naive model gives, on threads and in simulation, and
//! keeps order where all exchanges are keyed.
#![allow(clippy::disallowed_methods)]

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use millstream::config::{BatchSize, Pin, PreAggregate};
use millstream::connector::{Collected, collection, iterator};
use millstream::dataflow::{
    Emit, Identity, KeyContext, KeyedOperator, KeyedStream, Polled, Source, SourceConnector,
    TaskContext,
};
use millstream::prelude::*;
use millstream::record::{Batch, Either, Never};
use millstream::routing::{KeyedPartitioner, Modulo, Partitioner, Ranges, RoundRobin};
use millstream::state::aggregate::{Count, sum};
use millstream::testing::Random;
use millstream::testing::simulation::Simulation;

const SIMULATED_CASES: u64 = 1_500;
const THREADED_CASES: u64 = 150;
/// A graph that makes more records than this is drawn again.
const RECORDS_MAX: usize = 3_000;

/// What flows. Records of one `path` come in ascending `sequence` where order is kept: a path is
/// the source split and every key and branch that the record went by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Item {
    path: u64,
    sequence: u64,
    key: u64,
    value: i64,
}

fn mix(path: u64, by: u64) -> u64 {
    let path = path.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
    (path ^ by).wrapping_mul(0xD6E8_FEB8_6659_FD93)
}

impl Item {
    fn by(self, by: u64) -> Item {
        Item { path: mix(self.path, by), ..self }
    }
}

fn key_of(item: &Item) -> u64 {
    item.key
}

// The description of a graph: steps that take open streams by their index and open new ones.

#[derive(Clone, Copy, Debug)]
enum Origin {
    /// So many splits that hesitate between records.
    Splits(u64),
    Iterator,
    Collection,
}

#[derive(Clone, Copy, Debug)]
enum Each {
    Map(i64),
    Filter(u64),
    FlatMap(u64),
    FilterMap(u64),
    Inspect,
    Rekey(u64),
    Boxed,
    /// Map, filter and flat_map in one chain.
    Fused(i64, u64, u64),
}

#[derive(Clone, Copy, Debug)]
enum Spread {
    Rebalance,
    RoundRobin,
    ByValue,
    Broadcast,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum What {
    /// Every record as it is, behind a keyed exchange.
    Pass,
    /// Counts after each record.
    CountEach,
    Count,
    Sum,
    Min,
    Max,
    Mean,
    StdDev,
    Pair,
    Reduce,
}

const WHATS: [What; 10] = [
    What::Pass,
    What::CountEach,
    What::Count,
    What::Sum,
    What::Min,
    What::Max,
    What::Mean,
    What::StdDev,
    What::Pair,
    What::Reduce,
];

#[derive(Clone, Copy, Debug)]
enum Way {
    Hash,
    Modulo,
    Range,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Source(Origin, u64),
    Each(usize, Each),
    Spread(usize, Spread),
    Keyed(usize, What, Way, Option<PreAggregate>),
    Fork(usize),
    Route(usize, u64),
    Union(usize, usize),
}

fn one_of<T: Copy>(random: &mut Random, all: &[T]) -> T {
    all[random.index(all.len())]
}

fn each(random: &mut Random) -> Each {
    let number = random.within(1..=4);
    match random.below(8) {
        0 => Each::Map(number as i64),
        1 => Each::Filter(number + 1),
        2 => Each::FlatMap(number.min(3)),
        3 => Each::FilterMap(number + 1),
        4 => Each::Inspect,
        5 => Each::Rekey(number * 5),
        6 => Each::Boxed,
        _ => Each::Fused(number as i64, number + 1, 2),
    }
}

fn source(random: &mut Random) -> Step {
    let splits = random.within(1..=6);
    let origin = match random.below(4) {
        0 => Origin::Iterator,
        1 => Origin::Collection,
        _ => Origin::Splits(splits),
    };
    Step::Source(origin, random.draw())
}

/// A graph of one to three sources and a few steps; what is left open ends in a sink.
fn draw_graph(random: &mut Random) -> Vec<Step> {
    let mut steps: Vec<Step> = (0..random.within(1..=3)).map(|_| source(random)).collect();
    let mut open: Vec<usize> = (0..steps.len()).collect();
    let mut streams = open.len();
    for _ in 0..random.within(1..=8) {
        let at = open.swap_remove(random.index(open.len()));
        let (step, opens) = match random.below(11) {
            0..=3 => (Step::Each(at, each(random)), 1),
            4 => {
                let spreads =
                    [Spread::Rebalance, Spread::RoundRobin, Spread::ByValue, Spread::Broadcast];
                (Step::Spread(at, one_of(random, &spreads)), 1)
            }
            5..=7 => {
                let modes = [
                    None,
                    Some(PreAggregate::Auto),
                    Some(PreAggregate::On),
                    Some(PreAggregate::Off),
                ];
                let what = one_of(random, &WHATS);
                let way = one_of(random, &[Way::Hash, Way::Modulo, Way::Range]);
                (Step::Keyed(at, what, way, one_of(random, &modes)), 1)
            }
            8 => (Step::Fork(at), 2),
            9 => (Step::Route(at, random.within(2..=3)), 2),
            _ if open.is_empty() => (Step::Each(at, Each::Boxed), 1),
            _ => {
                let other = open.swap_remove(random.index(open.len()));
                (Step::Union(at, other), 1)
            }
        };
        steps.push(step);
        open.extend(streams..streams + opens);
        streams += opens;
    }
    steps
}

fn items(source: u64, origin: Origin, seed: u64) -> Vec<Vec<Item>> {
    let mut random = Random::seeded(seed);
    let (splits, count) = (
        match origin {
            Origin::Splits(splits) => splits,
            Origin::Iterator | Origin::Collection => 1,
        },
        random.below(60),
    );
    let keys = random.within(1..=30);
    let item = |split: u64, sequence: u64, random: &mut Random| Item {
        path: mix(source, split),
        sequence,
        key: random.below(keys),
        value: random.below(200) as i64 - 100,
    };
    (0..splits)
        .map(|split| (0..count).map(|sequence| item(split, sequence, &mut random)).collect())
        .collect()
}

// What the steps do to one record: the engine and the model call the same functions.

fn mapped(item: Item, add: i64) -> Item {
    Item { value: item.value + add, ..item }
}

fn kept(item: &Item, modulus: u64) -> bool {
    !item.value.unsigned_abs().is_multiple_of(modulus)
}

fn flattened(item: Item, copies: u64) -> Vec<Item> {
    let copy = |i| Item { sequence: item.sequence * 4 + i, ..item };
    (0..copies).map(copy).collect()
}

fn rekeyed(item: Item, modulus: u64) -> Item {
    Item { key: (item.key * 7 + 3) % modulus, ..item }
}

fn reduced(a: Item, b: Item) -> Item {
    Item {
        path: a.path,
        sequence: a.sequence.max(b.sequence),
        key: a.key,
        value: a.value + b.value,
    }
}

/// One value per key, from the step with this index.
fn result(step: usize, key: u64, value: i64) -> Item {
    Item { path: mix(step as u64 + 1_000, key), sequence: 0, key, value }
}

fn rounded(value: Option<f64>) -> i64 {
    value.map_or(-1, |value| (value * 1_000.0).round() as i64)
}

// The naive model.

/// A stream in the model: its records, and whether order along paths is kept.
#[derive(Clone)]
struct Stream {
    items: Vec<Item>,
    is_ordered: bool,
}

fn model(steps: &[Step], partitions: usize) -> Vec<Stream> {
    let mut open: Vec<Option<Stream>> = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        let made = match *step {
            Step::Source(origin, seed) => vec![Stream {
                items: items(index as u64, origin, seed).concat(),
                // A collection is cut where the number of partitions says.
                is_ordered: !matches!(origin, Origin::Collection) || partitions == 1,
            }],
            Step::Each(at, each) => {
                let Stream { items, is_ordered } = taken(&mut open, at);
                let items = items.into_iter().flat_map(|item| model_each(item, each)).collect();
                vec![Stream { items, is_ordered }]
            }
            Step::Spread(at, spread) => {
                let items = taken(&mut open, at).items;
                let copies = if matches!(spread, Spread::Broadcast) { partitions } else { 1 };
                vec![Stream { items: items.repeat(copies), is_ordered: false }]
            }
            Step::Keyed(at, what, ..) => {
                let Stream { items, is_ordered } = taken(&mut open, at);
                let is_ordered = is_ordered || what != What::Pass;
                vec![Stream { items: model_keyed(items, what, index), is_ordered }]
            }
            Step::Fork(at) => {
                let stream = taken(&mut open, at);
                [1, 2].map(|branch| branch_of(&stream, branch, |_| true)).to_vec()
            }
            Step::Route(at, modulus) => {
                let stream = taken(&mut open, at);
                let right = branch_of(&stream, 2, |item| !kept(item, modulus));
                vec![branch_of(&stream, 1, |item| kept(item, modulus)), right]
            }
            Step::Union(a, b) => {
                let (a, b) = (taken(&mut open, a), taken(&mut open, b));
                let items = [a.items, b.items].concat();
                vec![Stream { items, is_ordered: a.is_ordered && b.is_ordered }]
            }
        };
        open.extend(made.into_iter().map(Some));
    }
    open.into_iter().flatten().collect()
}

fn taken<T>(open: &mut [Option<T>], at: usize) -> T {
    open[at].take().expect("a graph uses a stream once")
}

fn branch_of(stream: &Stream, branch: u64, keep: impl Fn(&Item) -> bool) -> Stream {
    let items = stream.items.iter().filter(|item| keep(item)).copied();
    Stream { items: items.map(|item| item.by(branch)).collect(), is_ordered: stream.is_ordered }
}

fn model_each(item: Item, each: Each) -> Vec<Item> {
    match each {
        Each::Map(add) => vec![mapped(item, add)],
        Each::Filter(modulus) | Each::FilterMap(modulus) => {
            if kept(&item, modulus) {
                vec![item]
            } else {
                Vec::new()
            }
        }
        Each::FlatMap(copies) => flattened(item, copies),
        Each::Inspect | Each::Boxed => vec![item],
        Each::Rekey(modulus) => vec![rekeyed(item, modulus)],
        Each::Fused(add, modulus, copies) => {
            let item = mapped(item, add);
            if kept(&item, modulus) { flattened(item, copies) } else { Vec::new() }
        }
    }
}

fn model_keyed(items: Vec<Item>, what: What, step: usize) -> Vec<Item> {
    if what == What::Pass {
        return items
            .into_iter()
            .map(|item| {
                let key = item.key;
                item.by(key)
            })
            .collect();
    }
    let mut by_key: BTreeMap<u64, Vec<Item>> = BTreeMap::new();
    for item in items {
        by_key.entry(item.key).or_default().push(item);
    }
    let made = by_key.into_iter().flat_map(|(key, items)| {
        let values: Vec<i64> = items.iter().map(|item| item.value).collect();
        let count = values.len() as i64;
        let total: i64 = values.iter().sum();
        let mean = total as f64 / count as f64;
        let value = match what {
            What::CountEach => {
                let nth = |n| Item { sequence: n as u64, ..result(step, key, n) };
                return (1..=count).map(nth).collect();
            }
            What::Reduce => {
                let one = items.into_iter().reduce(reduced).expect("a key has records");
                return vec![Item { path: result(step, key, 0).path, ..one }];
            }
            What::Pass => unreachable!("dealt with above"),
            What::Count => count,
            What::Sum => total,
            What::Min => values.iter().copied().min().expect("a key has records"),
            What::Max => values.iter().copied().max().expect("a key has records"),
            What::Mean => rounded(Some(mean)),
            What::StdDev => rounded((count > 1).then(|| {
                let squares = values.iter().map(|value| (*value as f64 - mean).powi(2));
                (squares.sum::<f64>() / (count - 1) as f64).sqrt()
            })),
            What::Pair => count * 1_000_000 + total,
        };
        vec![result(step, key, value)]
    });
    made.collect()
}

// The same graph as a pipeline.

type Boxed = BoxedStream<Item>;

fn build(steps: &[Step], pipeline: &Pipeline) -> Vec<Collected<Item>> {
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
                vec![match way {
                    Way::Hash => build_keyed(keyed, what, index),
                    Way::Modulo => build_keyed(keyed.partition_by(Modulo), what, index),
                    Way::Range => {
                        let ranges = Ranges::new(vec![3, 8, 20]);
                        build_keyed(keyed.partition_by(ranges), what, index)
                    }
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

fn build_source(pipeline: &Pipeline, index: usize, origin: Origin, seed: u64) -> Boxed {
    let splits = items(index as u64, origin, seed);
    match origin {
        Origin::Splits(_) => pipeline.source(Splits { splits, seed }).boxed(),
        Origin::Iterator => pipeline.source(iterator(splits.concat())).boxed(),
        Origin::Collection => pipeline.source(collection(splits.concat())).boxed(),
    }
}

fn build_each(stream: Boxed, each: Each) -> Boxed {
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

fn build_spread(stream: Boxed, spread: Spread) -> Boxed {
    match spread {
        Spread::Rebalance => stream.rebalance(),
        Spread::RoundRobin => stream.partition_by(RoundRobin::default()),
        Spread::ByValue => stream.partition_by(ByValue),
        Spread::Broadcast => stream.broadcast(),
    }
}

#[derive(Clone)]
struct ByValue;

impl Partitioner<Item> for ByValue {
    fn name(&self) -> String {
        "by value".into()
    }

    fn partition(&mut self, item: &Item, partitions: usize) -> usize {
        item.value.unsigned_abs() as usize % partitions
    }
}

fn build_keyed<Q: KeyedPartitioner<u64>>(
    keyed: KeyedStream<Identity<Item>, fn(&Item) -> u64, Q>,
    what: What,
    step: usize,
) -> Boxed {
    let made = move |(key, value): (u64, i64)| result(step, key, value);
    let value = |item: &Item| item.value;
    let float = |item: &Item| item.value as f64;
    let known = |value: Option<i64>| value.expect("a key has records");
    match what {
        What::Pass => keyed.apply_keyed(Pass).boxed(),
        What::CountEach => keyed
            .emit_at(EmitAt::EachRecord)
            .count()
            .map(move |(key, n)| Item { sequence: n, ..result(step, key, n as i64) })
            .boxed(),
        What::Count => keyed.count().map(move |(key, n)| made((key, n as i64))).boxed(),
        What::Sum => keyed.sum(value).map(made).boxed(),
        What::Min => keyed.min(value).map(move |(key, low)| made((key, known(low)))).boxed(),
        What::Max => keyed.max(value).map(move |(key, high)| made((key, known(high)))).boxed(),
        What::Mean => keyed.mean(float).map(move |(key, mean)| made((key, rounded(mean)))).boxed(),
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
struct Pass;

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
struct Splits {
    splits: Vec<Vec<Item>>,
    seed: u64,
}

struct SplitsSource {
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

    fn poll(&mut self, max: usize, now: u64, batch: &mut Batch<Item>) -> Result<Polled> {
        self.splits.retain(|split| split.len() > 0);
        if self.splits.is_empty() {
            return Ok(Polled::Done);
        }
        let split = self.random.index(self.splits.len());
        let count = self.random.index(max + 1);
        batch.records.extend(self.splits[split].by_ref().take(count));
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

// The property.

struct Case {
    seed: u64,
    partitions: usize,
    batch: u32,
    lane: u64,
    steps: Vec<Step>,
}

fn draw_case(seed: u64) -> Case {
    let mut random = Random::seeded(seed);
    let partitions = random.within(1..=16) as usize;
    let batch = one_of(&mut random, &[1, 2, 3, 7, 64]);
    let lane = one_of(&mut random, &[1, 1, 2, 8]);
    loop {
        let steps = draw_graph(&mut random);
        let records: usize = model(&steps, partitions).iter().map(|s| s.items.len()).sum();
        if records <= RECORDS_MAX {
            return Case { seed, partitions, batch, lane, steps };
        }
    }
}

impl Case {
    fn check(&self, how: &str, run: impl FnOnce(Pipeline) -> Result<millstream::metrics::Report>) {
        let Case { seed, partitions, batch, lane, steps } = self;
        let case = || {
            let graph: Vec<String> = steps.iter().map(|step| format!("\n  {step:?}")).collect();
            format!(
                "seed {seed} {how}, {partitions} partitions, batch {batch}, lane {lane}:{}\n",
                graph.concat()
            )
        };
        let pipeline = Pipeline::new("graph");
        let sinks = build(steps, &pipeline);
        run(pipeline).unwrap_or_else(|error| panic!("{}{error}", case()));
        for (index, (sink, expected)) in sinks.iter().zip(model(steps, *partitions)).enumerate() {
            let mut items = sink.take();
            if expected.is_ordered {
                let broken = first_out_of_order(&items);
                assert!(broken.is_none(), "{}sink {index}: {broken:?}", case());
            }
            let mut expected = expected.items;
            items.sort();
            expected.sort();
            assert!(
                items == expected,
                "{}sink {index} has {} records, the model {}; first difference {:?}",
                case(),
                items.len(),
                expected.len(),
                items.iter().zip(&expected).find(|(a, b)| a != b)
            );
        }
    }
}

/// A record that comes behind a later one of its path.
fn first_out_of_order(items: &[Item]) -> Option<(u64, &Item)> {
    let mut last: BTreeMap<u64, u64> = BTreeMap::new();
    items.iter().find_map(|item| {
        let before = last.insert(item.path, item.sequence)?;
        (before > item.sequence).then_some((before, item))
    })
}

#[test]
fn simulated_graphs_equal_the_naive_model_and_keep_order() {
    for seed in 0..SIMULATED_CASES {
        let case = draw_case(seed);
        case.check("simulated", |pipeline| {
            let simulation = Simulation::seeded(seed).partitions(case.partitions);
            simulation.batch_size(case.batch).lane_capacity(case.lane).run(pipeline)
        });
    }
}

#[test]
fn threaded_graphs_equal_the_naive_model_and_keep_order() {
    for seed in 10_000..10_000 + THREADED_CASES {
        let case = draw_case(seed);
        case.check("on threads", |pipeline| {
            let config = Config::builder()
                .partitions(case.partitions)
                .batch_size(BatchSize::Records(case.batch))
                .lane_capacity(case.lane)
                .pin(Pin::Off)
                .build()?;
            Engine::new(config)?.run(pipeline)
        });
    }
}

#[test]
fn drawn_graphs_use_every_kind_of_step_and_order_is_checked_on_many() {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut ordered = 0;
    for seed in 0..SIMULATED_CASES {
        let case = draw_case(seed);
        for step in &case.steps {
            let text = format!("{step:?}");
            for word in text.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty()) {
                *seen.entry(word.to_owned()).or_default() += 1;
            }
        }
        let sinks = model(&case.steps, case.partitions);
        ordered += sinks.iter().filter(|s| s.is_ordered && s.items.len() > 20).count();
    }
    let words = "Splits Iterator Collection Map Filter FlatMap FilterMap Inspect Rekey Boxed Fused \
                 Rebalance RoundRobin ByValue Broadcast Pass CountEach Count Sum Min Max Mean \
                 StdDev Pair Reduce Hash Modulo Range Auto On Off Fork Route Union";
    for word in words.split_whitespace() {
        assert!(seen.get(word).is_some_and(|count| *count >= 10), "{word}: {:?}", seen.get(word));
    }
    assert!(ordered >= 200, "order was checked at {ordered} sinks only");
}
