//! What graphs compute: chains, forks, unions, side outputs, diamonds, several sources and sinks.

use std::sync::mpsc::channel;

use millstream::config::PreAggregate;
use millstream::connector::{collection, for_each, iterator};
use millstream::dataflow::Chain;
use millstream::prelude::*;
use millstream::record::Either;

use crate::{engine, sorted};

/// Runs what `build` makes on 1, 2 and 3 partitions and asserts its result, order aside.
fn gives<T: Ord + Clone + std::fmt::Debug + Send + 'static>(
    build: impl Fn(&Pipeline) -> BoxedStream<T>,
    expected: Vec<T>,
) {
    let expected = sorted(expected);
    for partitions in [1, 2, 3] {
        let pipeline = Pipeline::new("shape");
        let results = build(&pipeline).collect();
        engine(partitions).run(pipeline).expect("nothing fails");
        assert_eq!(sorted(results.take()), expected, "{partitions} partitions");
    }
}

#[test]
fn every_operator_of_a_chain_takes_its_turn() {
    gives(
        |pipeline| {
            let numbers = pipeline.source(iterator(0u64..100));
            numbers
                .map(|number| number + 1)
                .filter(|number| number % 2 == 0)
                .filter_map(|number| (number % 3 == 0).then_some(number))
                .flat_map(|number| [number, number * 1_000])
                .boxed()
        },
        (1..=100).filter(|number| number % 6 == 0).flat_map(|n| [n, n * 1_000]).collect(),
    );
}

#[test]
fn order_of_a_source_is_kept_along_chains_and_local_edges() {
    let pipeline = Pipeline::new("order");
    let (seen, results) = channel();
    let [left, right] = pipeline.source(iterator(0u64..50_000)).map(|n| n).boxed().fork();
    left.filter(|number| number % 2 == 0).sink(for_each(move |n| seen.send(n).unwrap_or(())));
    right.sink(millstream::connector::blackhole());
    engine(2).run(pipeline).expect("nothing fails");
    assert!(results.iter().eq((0..50_000).step_by(2)));
}

#[test]
fn fork_gives_every_record_to_both() {
    let pipeline = Pipeline::new("fork");
    let [left, right] = pipeline.source(iterator(0..1_000)).fork();
    let (left, right) = (left.collect(), right.map(|n| n * 2).collect());
    engine(2).run(pipeline).expect("nothing fails");
    assert_eq!(sorted(left.take()), (0..1_000).collect::<Vec<_>>());
    assert_eq!(sorted(right.take()), (0..2_000).step_by(2).collect::<Vec<_>>());
}

#[test]
fn union_has_the_records_of_both() {
    gives(
        |pipeline| {
            let small = pipeline.source(collection(vec![1, 2, 3]));
            let large = pipeline.source(iterator(1_000..4_000)).filter(|n| n % 2 == 0);
            small.union(large)
        },
        [1, 2, 3].into_iter().chain((1_000..4_000).step_by(2)).collect(),
    );
}

#[test]
fn union_of_a_stream_with_nothing_ends() {
    gives(
        |pipeline| {
            let nothing = pipeline.source(collection(Vec::<u8>::new()));
            nothing.union(pipeline.source(collection(vec![7])))
        },
        vec![7],
    );
}

#[test]
fn diamond_meets_again() {
    gives(
        |pipeline| {
            let [left, right] = pipeline.source(iterator(0u64..5_000)).fork();
            let left = left.filter(|n| n % 2 == 0).map(|n| n * 10);
            left.union(right.filter(|n| n % 2 == 1).rebalance())
        },
        (0..5_000).map(|n| if n % 2 == 0 { n * 10 } else { n }).collect(),
    );
}

#[test]
fn diamond_over_exchanges_with_the_smallest_lanes_does_not_lock_up() {
    let config = Config::builder().partitions(3).lane_capacity(1);
    let config = config.batch_size(millstream::config::BatchSize::Records(1)).build();
    let engine = Engine::new(config.expect("in bounds")).expect("it is placed somehow");
    let pipeline = Pipeline::new("tight");
    let [left, right] = pipeline.source(iterator(0u64..2_000)).fork();
    let left = left.key_by(|n| n % 5).emit_at(EmitAt::EachRecord).count().map(|(_, n)| n);
    let [both, again] = left.union(right.rebalance()).fork();
    let counted = both.union(again.broadcast()).key_by(|_| ()).count().collect();
    engine.run(pipeline).expect("nothing fails");
    assert_eq!(counted.take(), [((), 4_000 + 3 * 4_000)]);
}

#[test]
fn route_deals_two_types_out_to_two_streams() {
    let pipeline = Pipeline::new("route");
    let words = pipeline.source(collection(vec!["1", "x", "2", "y", "3"]));
    let (numbers, rest) = words.route("no number", |word| match word.parse::<u32>() {
        Ok(number) => Either::Left(number),
        Err(_) => Either::Right(word),
    });
    let sum = numbers.key_by(|_| ()).sum(|number| u64::from(*number)).collect();
    let rest = rest.collect();
    let report = engine(2).run(pipeline).expect("nothing fails");
    assert_eq!(sum.take(), [((), 6)]);
    assert_eq!(sorted(rest.take()), ["x", "y"]);
    let names: Vec<&str> = report.tasks.iter().map(|task| &*task.name).collect();
    assert!(names.iter().any(|name| name.contains("no number")), "{names:?}");
}

#[test]
fn split_takes_the_two_outputs_of_a_chain_apart() {
    let pipeline = Pipeline::new("split");
    let dealt = pipeline.source(iterator(0u64..10_000)).map(|number| match number % 3 {
        0 => Either::Left(number),
        _ => Either::Right(number.to_string()),
    });
    let (left, right) = dealt.split();
    let (left, right) = (left.collect(), right.collect());
    engine(2).run(pipeline).expect("nothing fails");
    assert!(sorted(left.take()).into_iter().eq((0..10_000).step_by(3)));
    assert_eq!(right.take().len(), 6_666);
}

#[test]
fn several_sources_and_sinks_of_one_job_all_end() {
    let pipeline = Pipeline::new("several");
    let all: Vec<_> = (1..=4u64)
        .map(|index| {
            let numbers = pipeline.source(iterator(0..index * 100)).rebalance();
            numbers.key_by(|n| n % 2).count().collect()
        })
        .collect();
    let report = engine(2).run(pipeline).expect("nothing fails");
    for (counts, index) in all.into_iter().zip(1..) {
        assert_eq!(sorted(counts.take()), [(0, index * 50), (1, index * 50)]);
    }
    assert_eq!(report.records, 1_000);
}

/// As a program passes streams through its own functions.
fn large<C: Chain<Out = u64>>(
    numbers: DataStream<C>,
) -> DataStream<impl Chain<Out = u64, Time = C::Time>> {
    numbers.filter(|number| *number >= 90).map(|number| number * 2)
}

fn boxed_sum(numbers: BoxedStream<u64>) -> BoxedStream<(bool, u64)> {
    numbers.key_by(|number| number % 4 == 0).sum(|number| *number).boxed()
}

#[test]
fn functions_take_and_give_streams() {
    gives(
        |pipeline| boxed_sum(large(pipeline.source(iterator(0u64..100))).boxed()),
        vec![(false, 950), (true, 940)],
    );
}

#[test]
fn keyed_stages_follow_each_other() {
    gives(
        |pipeline| {
            let counts = pipeline.source(iterator(0u64..1_000)).key_by(|n| n % 100).count();
            let by_count = counts.key_by(|(_, count)| *count).count();
            by_count.boxed()
        },
        vec![(10, 100)],
    );
}

#[test]
fn aggregates_of_all_kinds_agree_with_arithmetic() {
    let pipeline = Pipeline::new("aggregates");
    let numbers = || pipeline.source(iterator(1u64..=1_001)).rebalance().key_by(|n| n % 2 == 0);
    let sums = numbers().sum(|n| *n).collect();
    let lows = numbers().min(|n| *n).collect();
    let highs = numbers().max(|n| *n).collect();
    let means = numbers().mean(|n| *n as f64).collect();
    let deviations = numbers().std_dev(|n| *n as f64).collect();
    let alone = pipeline.source(collection(vec![5.0])).key_by(|_| ()).std_dev(|n| *n).collect();
    engine(3).run(pipeline).expect("nothing fails");
    assert_eq!(sorted(sums.take()), [(false, 251_001), (true, 250_500)]);
    assert_eq!(sorted(lows.take()), [(false, 1), (true, 2)]);
    assert_eq!(sorted(highs.take()), [(false, 1_001), (true, 1_000)]);
    for (even, mean) in means.take() {
        assert!((mean - 501.0).abs() < 1e-9, "{even}: {mean}");
    }
    for (even, deviation) in deviations.take() {
        // n numbers two apart: variance (sample) = n (n + 1) / 3.
        let n = if even { 500.0_f64 } else { 501.0 };
        let expected = (n * (n + 1.0) / 3.0).sqrt();
        let deviation = deviation.expect("more than one record");
        assert!((deviation - expected).abs() < 1e-9 * expected, "{even}: {deviation}");
    }
    assert_eq!(alone.take(), [((), None)]);
}

#[test]
fn selections_quantiles_and_distinct_counts_agree_with_arithmetic() {
    for pre_aggregate in [PreAggregate::Off, PreAggregate::On] {
        let pipeline = Pipeline::new("aggregates");
        let numbers = || {
            let numbers = pipeline.source(iterator(1u64..=1_001)).rebalance();
            numbers.key_by(|n| n % 2 == 0).pre_aggregate(pre_aggregate)
        };
        let farthest = numbers().arg_max(|n| n.abs_diff(700) * 2 + n % 2).collect();
        let nearest = numbers().arg_min(|n| n.abs_diff(700) * 2 + n % 2).collect();
        let firsts = numbers().first_by(|n| *n).collect();
        let lasts = numbers().last_by(|n| *n).collect();
        let tops = numbers().top_k(3, |n| *n).collect();
        let medians = numbers().median(|n| *n as f64).collect();
        let quartiles = numbers().quantiles([0.25, 0.75], |n| *n as f64).collect();
        let sketched = numbers().quantile_sketch([1.0], |n| *n as f64).collect();
        let tens = numbers().count_distinct(|n| n % 10).collect();
        let about = numbers().distinct_sketch(|n| n % 10).collect();
        let variances = numbers().variance(|n| (n % 4) as f64).collect();
        engine(3).run(pipeline).expect("nothing fails");
        assert_eq!(sorted(farthest.take()), [(false, 1), (true, 2)]);
        assert_eq!(sorted(nearest.take()).last(), Some(&(true, 700)));
        assert_eq!(sorted(firsts.take()), [(false, 1), (true, 2)]);
        assert_eq!(sorted(lasts.take()), [(false, 1_001), (true, 1_000)]);
        let expected = [(false, vec![1_001, 999, 997]), (true, vec![1_000, 998, 996])];
        assert_eq!(sorted(tops.take()), expected);
        assert_eq!(by_key(medians.take()), [(false, Some(501.0)), (true, Some(501.0))]);
        let expected = [(false, Some([251.0, 751.0])), (true, Some([251.5, 750.5]))];
        assert_eq!(by_key(quartiles.take()), expected);
        let expected = [(false, Some([1_001.0])), (true, Some([1_000.0]))];
        assert_eq!(by_key(sketched.take()), expected);
        assert_eq!(sorted(tens.take()), [(false, 5), (true, 5)]);
        assert_eq!(sorted(about.take()), [(false, 5), (true, 5)]);
        // Of the even numbers 250 times 0 and 2 each: 500 / 499.
        let (_, variance) = by_key(variances.take())[1];
        assert!((variance.expect("many") - 500.0 / 499.0).abs() < 1e-9, "{variance:?}");
    }
}

/// By key, whatever the values are.
fn by_key<V>(mut results: Vec<(bool, V)>) -> Vec<(bool, V)> {
    results.sort_by_key(|(key, _)| *key);
    results
}
