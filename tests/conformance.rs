//! Every built-in operator runs the conformance suite; what the suite is for, it finds.
#![allow(clippy::disallowed_methods)]

use std::time::Duration;

use millstream::config::PreAggregate;
use millstream::connector::{Collected, iterator};
use millstream::dataflow::{
    Chain, Collector, Emit, Flow, KeyContext, KeyedOperator, KeyedStream, Operator, Stamped, Timed,
};
use millstream::operator::window::{session, tumbling};
use millstream::prelude::*;
use millstream::record::{Either, Never};
use millstream::routing::{Custom, Modulo, Ranges, RoundRobin};
use millstream::state::aggregate::{Count, max, sum};
use millstream::testing::Random;
use millstream::testing::conformance::Conformance;
use millstream::testing::harness::{Harness, Room};
use millstream::testing::simulation::Simulation;
use millstream::time::Timestamp;

/// (sequence, key, value)
type Record = (u64, u64, i64);

fn records(seed: u64, count: u64) -> Vec<Record> {
    let mut random = Random::seeded(seed);
    (0..count).map(|at| (at, random.below(9), random.below(2_000) as i64 - 1_000)).collect()
}

fn suite() -> Conformance {
    Conformance::seeded(100)
}

fn key(record: &Record) -> u64 {
    record.1
}

/// Fails for a tenth of the records.
async fn doubled(record: Record) -> std::result::Result<i64, String> {
    if record.2 < -800 { Err(format!("{} is too low", record.2)) } else { Ok(record.2 * 2) }
}

macro_rules! conforms {
    ($($name:ident: $stage:expr;)*) => {
        $(#[test]
        fn $name() {
            suite().check(records(1, 200), $stage).unwrap_or_else(|error| panic!("{error}"));
        })*
    };
}

conforms! {
    map_conforms: |s| s.map(|(at, key, value): Record| (at, key, value * 2));
    filter_conforms: |s| s.filter(|record: &Record| record.2 > 0);
    flat_map_conforms: |s| s.flat_map(|(at, key, _): Record| (0..key).map(move |i| (at, i)));
    filter_map_conforms: |s| s.filter_map(|(_, key, value): Record| (value > 0).then_some(key));
    sample_conforms: |s| s.sample(0.4, 7);
    rate_limit_conforms: |s| s.rate_limit(1_000);
    slow_rate_limit_conforms: |s| s.rate_limit(1).map(|(at, _, _): Record| at);
    async_map_conforms: |s| s.async_map(doubled).concurrency(3).retry(2, Duration::from_millis(1));
    unordered_async_map_conforms: |s| s
        .async_map(doubled)
        .unordered()
        .concurrency(5)
        .retry(3, Duration::from_micros(10));
    inspect_conforms: |s| s.inspect(|record: &Record| assert!(record.1 < 9));
    chain_of_all_conforms: |s| s
        .map(|(at, key, value): Record| (at, key, value + 1))
        .flat_map(|(at, key, value)| vec![(at, key, value); key as usize % 4])
        .filter(|(at, _, _)| at % 3 != 0)
        .inspect(|_| ())
        .filter_map(|(at, _, value)| (value % 2 == 0).then_some((at, value)));
}

/// Runs what `stage` applies at every [`EmitAt`], with different numbers of keys.
fn check_keyed<C, S>(stage: S)
where
    C: Chain<In = Record>,
    C::Out: PartialEq + std::fmt::Debug,
    S: Fn(KeyedStream<millstream::dataflow::Identity<Record>, fn(&Record) -> u64>) -> DataStream<C>,
{
    let every = EmitAt::Every(Duration::from_millis(1));
    for emit_at in [EmitAt::End, EmitAt::EachRecord, every] {
        for (count, key_of) in [(200, key as fn(&Record) -> u64), (300, |record| record.0)] {
            suite()
                .check_keyed(records(2, count), key_of, |keyed| stage(keyed.emit_at(emit_at)))
                .unwrap_or_else(|error| panic!("{emit_at:?}: {error}"));
        }
    }
}

macro_rules! keyed_conforms {
    ($($name:ident: $stage:expr;)*) => {
        $(#[test]
        fn $name() {
            check_keyed($stage);
        })*
    };
}

keyed_conforms! {
    reduce_conforms: |k| k.reduce(|a, b| (a.0.max(b.0), a.1, a.2 - b.2));
    count_conforms: |k| k.count();
    sum_conforms: |k| k.sum(|record| record.2);
    min_conforms: |k| k.min(|record| record.2);
    max_conforms: |k| k.max(|record| record.2);
    mean_conforms: |k| k.mean(|record| record.2 as f64);
    std_dev_conforms: |k| k.std_dev(|record| record.2 as f64);
    variance_conforms: |k| k.variance(|record| record.2 as f64);
    median_conforms: |k| k.median(|record| record.2 as f64);
    quantiles_conform: |k| k.quantiles([0.1, 0.9], |record| record.2 as f64);
    quantile_sketch_conforms: |k| k.quantile_sketch([0.1, 0.9], |record| record.2 as f64);
    count_distinct_conforms: |k| k.count_distinct(|record| record.2);
    distinct_sketch_conforms: |k| k.distinct_sketch(|record| record.2);
    arg_min_conforms: |k| k.arg_min(|record| (record.2, record.0));
    arg_max_conforms: |k| k.arg_max(|record| (record.2, record.0));
    first_by_conforms: |k| k.first_by(|record| record.0);
    last_by_conforms: |k| k.last_by(|record| record.0);
    top_k_conforms: |k| k.top_k(3, |record| (record.2, record.0));
    first_conforms: |k| k.first();
    last_conforms: |k| k.last();
    collect_by_key_conforms: |k| k.collect_by_key();
    tuple_aggregate_conforms: |k| {
        k.aggregate((Count, (sum(|r: &Record| r.2), max(|r: &Record| r.0))))
    };
    keyed_chain_conforms: |k| k
        .sum(|record| record.2)
        .flat_map(|(key, sum)| [(key, sum), (key, -sum)])
        .filter(|(_, sum)| sum % 3 != 0);
}

/// Rows of two streams, one after the other in time but for 30 ms.
fn rows(seed: u64, count: u64) -> Vec<Stamped<Either<Record, Record>>> {
    let mut random = Random::seeded(seed);
    let mut row = |(at, record): (usize, Record)| {
        let time = Timestamp::from_millis(at as i64 * 5 - random.below(31) as i64);
        let side = if random.one_in(2) { Either::Left } else { Either::Right };
        Stamped { record: side(record), time }
    };
    records(seed, count).into_iter().enumerate().map(&mut row).collect()
}

macro_rules! join_conforms {
    ($($name:ident: $stage:expr;)*) => {
        $(#[test]
        fn $name() {
            for (seed, count) in [(3, 200), (4, 60)] {
                let stage = |l: BoxedStream<Record, Timed>, r: BoxedStream<Record, Timed>| {
                    $stage(l.key_by(key as fn(&Record) -> u64), r.key_by(key as fn(&Record) -> u64))
                };
                let checked = suite().check_connected(rows(seed, count), stage);
                checked.unwrap_or_else(|error| panic!("{error}"));
            }
        })*
    };
}

/// A stream with event time, keyed.
type Side = KeyedStream<millstream::dataflow::Identity<Record, Timed>, fn(&Record) -> u64>;

const HUNDRED_MS: Duration = Duration::from_millis(100);

join_conforms! {
    interval_join_conforms: |l: Side, r: Side| l.interval_join(r, -20..=40).inner();
    left_interval_join_conforms: |l: Side, r: Side| l.interval_join(r, -20..=40).left();
    right_interval_join_conforms: |l: Side, r: Side| l.interval_join(r, 10..=40).right();
    full_interval_join_conforms: |l: Side, r: Side| l.interval_join(r, -20..=-5).full();
    join_conforms: |l: Side, r: Side| l.join(r).keep_forever().inner();
    left_join_conforms: |l: Side, r: Side| l.join(r).ttl(HUNDRED_MS).left();
    right_join_conforms: |l: Side, r: Side| l.join(r).ttl(HUNDRED_MS).right();
    full_join_conforms: |l: Side, r: Side| l.join(r).keep_forever().full();
    window_join_conforms: |l: Side, r: Side| {
        l.join(r).window(tumbling(HUNDRED_MS)).inner(|l, r| (l.0, r.0))
    };
    co_group_conforms: |l: Side, r: Side| l.join(r).window(session(HUNDRED_MS / 10)).co_group();
    join_table_conforms: |l: Side, r: Side| l.join_table(r);
}

// What the suite is for.

/// Keeps everything to the end; `broken` says how it gets the end wrong.
#[derive(Clone)]
struct Hoard {
    kept: Vec<u64>,
    broken: Broken,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Broken {
    No,
    /// Says that it is done although the output closed in between.
    LosesTheRest,
    /// Forgets where it was.
    StartsAgain,
    /// Does not look for room.
    IgnoresRoom,
    NeverDone,
}

impl Operator<u64> for Hoard {
    type Out = u64;
    const NAME: &'static str = "hoard";

    fn on_record<E: Emit<u64>>(&mut self, record: u64, _: &mut Collector<'_, E>) {
        self.kept.push(record);
    }

    fn on_end<E: Emit<u64>>(&mut self, out: &mut Collector<'_, E>) -> Flow {
        let mut next = 0;
        while next < self.kept.len() && (out.is_open() || self.broken == Broken::IgnoresRoom) {
            out.emit(self.kept[next]);
            next += 1;
        }
        if next == self.kept.len() || self.broken == Broken::LosesTheRest {
            return if self.broken == Broken::NeverDone { Flow::More } else { Flow::Done };
        }
        let emitted = if self.broken == Broken::StartsAgain { next / 2 } else { next };
        self.kept.drain(..emitted);
        Flow::More
    }
}

fn check_hoard(broken: Broken) -> Result<()> {
    let hoard = Hoard { kept: Vec::new(), broken };
    suite().rounds(3).check((0..2_000).collect(), |stream| stream.apply(hoard.clone()))
}

#[test]
fn right_end_conforms_and_each_wrong_one_is_found() {
    check_hoard(Broken::No).unwrap_or_else(|error| panic!("{error}"));
    for (broken, said) in [
        (Broken::LosesTheRest, "2000 records"),
        (Broken::IgnoresRoom, "into a full output"),
        (Broken::NeverDone, "more than 1000000 records"),
        (Broken::StartsAgain, "more than 2001 records"),
    ] {
        let error = check_hoard(broken).expect_err("it is broken").to_string();
        assert!(error.contains(said) && error.contains("seed 100"), "{broken:?}: {error}");
    }
}

#[test]
fn operator_that_panics_or_is_slow_does_not_conform() {
    let error = suite()
        .check(vec![1, 2, 3], |stream| stream.map(|n: u64| assert_ne!(n, 2, "planted")))
        .expect_err("it panics");
    assert!(error.to_string().contains("planted"), "{error}");
    let error = suite()
        .time_limit(Duration::ZERO)
        .check(records(1, 10), |stream| stream.inspect(|_| ()))
        .expect_err("nothing takes no time");
    assert!(error.to_string().contains("time limit"), "{error}");
}

/// Emits a key's records in pairs.
#[derive(Clone)]
struct Pairs;

impl KeyedOperator<u64, Record> for Pairs {
    type Out = (u64, i64, i64);
    type State = Option<i64>;
    type Partial = Never;
    const NAME: &'static str = "pairs";

    fn on_record<E: Emit<Self::Out>>(
        &mut self,
        record: Record,
        state: &mut Option<i64>,
        context: &mut KeyContext<'_, u64, E>,
    ) {
        match state.take() {
            Some(first) => context.emit((*context.key(), first, record.2)),
            None => *state = Some(record.2),
        }
    }

    fn on_partial<E: Emit<Self::Out>>(
        &mut self,
        partial: Never,
        _: &mut Option<i64>,
        _: &mut KeyContext<'_, u64, E>,
    ) {
        match partial {}
    }
}

#[test]
fn keyed_operator_of_a_user_runs_in_harness_and_suite() {
    let mut harness = Harness::of_keyed_operator(key, Pairs).room(Room::OneSlot);
    harness.feed([(0, 7, 1), (1, 8, 2), (2, 7, 3)]);
    assert_eq!(harness.take_emitted(), [(7, 1, 3)]);
    harness.end();
    assert!(harness.take_emitted().is_empty());
    suite()
        .check_keyed(records(3, 300), key, |keyed| keyed.apply_keyed(Pairs))
        .unwrap_or_else(|error| panic!("{error}"));
}

// What moves records between tasks: through whole simulated jobs.

const CASES: u64 = 40;

/// Simulates what `build` makes, and gives what it collected, sorted, and the partitions.
fn simulated<T: Ord + Send + 'static>(
    seed: u64,
    build: impl FnOnce(BoxedStream<Record>) -> Collected<T>,
) -> (Vec<T>, usize) {
    let pipeline = Pipeline::new("moves");
    let collected = build(pipeline.source(iterator(records(seed, 60))).boxed());
    let partitions = Random::seeded(!seed).within(1..=8) as usize;
    let simulation = Simulation::seeded(seed).partitions(partitions);
    simulation.run(pipeline).unwrap_or_else(|error| panic!("{error}"));
    let mut collected = collected.take();
    collected.sort();
    (collected, partitions)
}

fn each_seed<T: Ord + Send + std::fmt::Debug + 'static>(
    build: impl Fn(BoxedStream<Record>) -> Collected<T>,
    expected: impl Fn(Vec<Record>, usize) -> Vec<T>,
) {
    for seed in 0..CASES {
        let (collected, partitions) = simulated(seed, &build);
        let mut expected = expected(records(seed, 60), partitions);
        expected.sort();
        assert_eq!(collected, expected, "seed {seed}, {partitions} partitions");
    }
}

#[test]
fn fork_gives_every_record_to_both_and_union_joins_them() {
    each_seed(
        |stream| {
            let [left, right] = stream.fork();
            left.map(|(at, _, _)| at).union(right.map(|(at, _, _)| at + 1_000)).collect()
        },
        |records, _| records.iter().flat_map(|(at, _, _)| [*at, *at + 1_000]).collect(),
    );
}

#[test]
fn route_and_split_deal_every_record_out_once() {
    each_seed(
        |stream| {
            let (even, odd) = stream.route("odd", |(at, key, value)| {
                if at % 2 == 0 { Either::Left((at, key, value)) } else { Either::Right(at) }
            });
            even.map(|(at, _, _)| (at, "even")).union(odd.map(|at| (at, "odd"))).collect()
        },
        |records, _| {
            let side = |at: u64| if at.is_multiple_of(2) { "even" } else { "odd" };
            records.iter().map(|(at, _, _)| (*at, side(*at))).collect()
        },
    );
}

#[test]
fn rebalance_and_every_partitioner_lose_nothing() {
    each_seed(|stream| stream.rebalance().rebalance().collect(), |records, _| records);
    each_seed(
        |stream| stream.partition_by(RoundRobin::default()).map(|record| record).collect(),
        |records, _| records,
    );
}

#[test]
fn broadcast_gives_every_partition_every_record() {
    each_seed(
        |stream| stream.broadcast().collect(),
        |records, partitions| records.repeat(partitions),
    );
}

#[test]
fn keys_stay_together_under_every_keyed_partitioner() {
    let counts = |records: Vec<Record>, _| {
        let mut counts = [0; 9];
        records.iter().for_each(|(_, key, _)| counts[*key as usize] += 1);
        (0..9).zip(counts).filter(|(_, count)| *count > 0).collect::<Vec<(u64, u64)>>()
    };
    each_seed(|stream| stream.key_by(key).count().collect(), counts);
    each_seed(|stream| stream.key_by(key).partition_by(Modulo).count().collect(), counts);
    each_seed(
        |stream| stream.key_by(key).partition_by(Ranges::new(vec![2, 5])).count().collect(),
        counts,
    );
    each_seed(
        |stream| {
            let custom = Custom::new(|key: &u64| (*key as usize * 400) % 4_096);
            stream.key_by(key).partition_by(custom).count().collect()
        },
        counts,
    );
}

#[test]
fn pre_aggregation_changes_no_result() {
    let sums = |records: Vec<Record>, _| {
        let mut sums = [(0u64, 0i64); 9];
        for (_, key, value) in records {
            let (count, sum) = &mut sums[key as usize];
            (*count, *sum) = (*count + 1, *sum + value);
        }
        let all = sums.into_iter().enumerate().map(|(key, totals)| (key as u64, totals));
        all.filter(|(_, (count, _))| *count > 0).collect::<Vec<_>>()
    };
    for mode in [PreAggregate::Auto, PreAggregate::On, PreAggregate::Off] {
        each_seed(
            move |stream| {
                let totals = (Count, sum(|record: &Record| record.2));
                stream.rebalance().key_by(key).pre_aggregate(mode).aggregate(totals).collect()
            },
            sums,
        );
    }
}
