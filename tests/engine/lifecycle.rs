//! Jobs begin, end, are drained, stopped and dropped; what their reports say.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use millstream::config::Pin;
use millstream::connector::{blackhole, collection, for_each, iterator};
use millstream::metrics::Report;
use millstream::prelude::*;

use crate::{engine, sorted};

/// A pipeline that never ends, and what it emits.
fn endless() -> (Pipeline, Receiver<u64>) {
    let pipeline = Pipeline::new("endless");
    let (seen, results) = channel();
    pipeline
        .source(iterator(0u64..))
        .rebalance()
        .filter(|number| number % 4_096 == 0)
        .sink(for_each(move |number| seen.send(number).unwrap_or(())));
    (pipeline, results)
}

fn assert_shares(report: &Report) {
    for (index, one) in report.partitions.iter().enumerate() {
        let sum = one.busy + one.idle + one.stalled;
        assert!((sum - 1.0).abs() < 1e-9, "partition {index}: {one:?}");
    }
}

#[test]
fn run_returns_when_all_results_are_there() {
    let pipeline = Pipeline::new("words");
    let counts = pipeline
        .source(collection(vec!["to", "be", "or", "not", "to", "be"]))
        .key_by(|word| *word)
        .count()
        .collect();
    let report = engine(2).run(pipeline).expect("nothing fails");
    assert_eq!(sorted(counts.take()), [("be", 2), ("not", 1), ("or", 1), ("to", 2)]);
    assert_eq!(report.records, 6);
}

#[test]
fn any_number_of_partitions_gives_the_same_result() {
    let expected: Vec<(u64, u64)> =
        (0..97).map(|key: u64| (key, (20_000 - key).div_ceil(97))).collect();
    for partitions in [1, 2, 3, 8] {
        let pipeline = Pipeline::new("same");
        let counts = pipeline
            .source(iterator(0u64..20_000))
            .rebalance()
            .key_by(|number| number % 97)
            .count()
            .collect();
        let report = engine(partitions).run(pipeline).expect("nothing fails");
        assert_eq!(sorted(counts.take()), expected, "{partitions} partitions");
        assert_eq!(report.partitions.len(), partitions);
        assert_shares(&report);
    }
}

#[test]
fn more_partitions_than_cores_warn_with_both_numbers_and_run() {
    let allowed = std::thread::available_parallelism().expect("known on this system").get();
    let partitions = allowed + 1;
    let config = Config::builder().partitions(partitions).build().expect("in bounds");
    let engine = Engine::new(config).expect("too many partitions are a warning");
    let pipeline = Pipeline::new("crowded");
    let sum = pipeline.source(iterator(1u64..=1_000)).rebalance().collect();
    let report = engine.run(pipeline).expect("it runs");
    assert_eq!(sum.take().len(), 1_000);
    let warnings = report.warnings.join("\n");
    assert!(warnings.contains(&partitions.to_string()), "{warnings:?}");
    assert!(warnings.contains(&allowed.to_string()), "{warnings:?}");
    assert!(!report.pinned);
}

#[test]
fn partitions_are_pinned_unless_it_is_off_or_says_why_not() {
    for pin in [Pin::Auto, Pin::Off] {
        let config = Config::builder().partitions(1).pin(pin).build().expect("in bounds");
        let engine = Engine::new(config).expect("one partition fits");
        let pipeline = Pipeline::new("pin");
        pipeline.source(collection(vec![1])).sink(blackhole());
        let report = engine.run(pipeline).expect("it runs");
        // Another job on this machine may have pinned the cores.
        let says_why = report.warnings.iter().any(|warning| warning.contains("not pinned"));
        assert_eq!(report.pinned, pin == Pin::Auto && !says_why, "{:?}", report.warnings);
    }
}

#[test]
fn report_counts_records_per_partition_and_task() {
    let pipeline = Pipeline::new("figures");
    pipeline
        .source(iterator(0u32..10_000))
        .named("read")
        .filter(|number| number % 2 == 0)
        .rebalance()
        .named("write")
        .sink(blackhole());
    let report = engine(2).run(pipeline).expect("nothing fails");
    assert_eq!(report.records, 10_000);
    assert_eq!(report.partitions.iter().map(|one| one.records).sum::<u64>(), 10_000);
    assert_eq!(report.partitions.iter().map(|one| one.records_processed).sum::<u64>(), 15_000);
    let [read, write] = &report.tasks[..] else { panic!("two tasks: {:?}", report.tasks) };
    assert_eq!((&*read.name, read.records_in, read.records_out), ("read", 10_000, 5_000));
    assert_eq!((&*write.name, write.records_in, write.records_out), ("write", 5_000, 5_000));
    assert_eq!(report.latency_ns.count, 5_000);
    assert_eq!(report.edges.len(), 1);
    assert!(report.edges[0].name.contains("read -> write"), "{:?}", report.edges);
    assert!(report.seconds > 0.0 && report.records_per_second > 0.0);
    assert_eq!((report.dead_letter, report.late), (0, 0));
    assert_shares(&report);
}

#[test]
fn start_does_not_wait_for_the_end() {
    let (pipeline, results) = endless();
    let job = engine(2).start(pipeline).expect("it starts");
    assert_eq!(job.name(), "endless");
    assert!(results.recv().is_ok(), "it runs");
    assert!(!job.has_ended());
    let report = job.stop().expect("nothing failed");
    assert_shares(&report);
}

#[test]
fn join_waits_for_the_end() {
    let pipeline = Pipeline::new("join");
    let all = pipeline.source(iterator(0u64..100_000)).rebalance().collect();
    let job = engine(2).start(pipeline).expect("it starts");
    let report = job.join().expect("nothing fails");
    assert_eq!((report.records, all.take().len()), (100_000, 100_000));
}

#[test]
fn drain_loses_nothing_that_was_let_in() {
    let pipeline = Pipeline::new("drain");
    let (first, begun) = channel();
    let mut told = false;
    let count = pipeline
        .source(iterator(0u64..))
        .inspect(move |_| {
            if !std::mem::replace(&mut told, true) {
                first.send(()).unwrap_or(());
            }
        })
        .rebalance()
        .key_by(|_| ())
        .count()
        .collect();
    let job = engine(2).start(pipeline).expect("it starts");
    begun.recv().expect("the source is read");
    let report = job.drain().expect("nothing fails");
    assert!(report.records > 0);
    assert_eq!(count.take(), [((), report.records)]);
}

#[test]
fn stop_drops_the_results_of_unfinished_sinks() {
    let pipeline = Pipeline::new("stop");
    let (seen, results) = channel();
    let [kept, shown] = pipeline.source(iterator(0u64..)).fork();
    let kept = kept.filter(|number| number % 1_024 == 0).collect();
    shown.sink(for_each(move |number| seen.send(number).unwrap_or(())));
    let job = engine(1).start(pipeline).expect("it starts");
    results.recv().expect("it runs");
    job.stop().expect("nothing failed");
    assert!(kept.take().is_empty(), "a sink that is not finished shares nothing");
}

#[test]
fn dropping_a_job_stops_it_and_drops_what_it_held() {
    let pipeline = Pipeline::new("drop");
    let held = Arc::new(());
    let (seen, results) = channel();
    let captured = Arc::clone(&held);
    pipeline.source(iterator(0u64..)).rebalance().sink(for_each(move |number| {
        let _held = &captured;
        seen.send(number).unwrap_or(());
    }));
    let job = engine(3).start(pipeline).expect("it starts");
    results.recv().expect("it runs");
    assert!(Arc::strong_count(&held) > 1);
    drop(job);
    assert_eq!(Arc::strong_count(&held), 1, "a partition still has its closure");
}

#[test]
fn an_ended_job_says_so_and_its_report_stands_still() {
    let pipeline = Pipeline::new("ended");
    let (done, end) = channel();
    pipeline.source(collection(vec![1, 2, 3])).sink(for_each(move |number| {
        if number == 3 {
            done.send(()).unwrap_or(());
        }
    }));
    let job = engine(1).start(pipeline).expect("it starts");
    end.recv().expect("the last record arrives");
    while !job.has_ended() {
        std::thread::yield_now();
    }
    assert_eq!(job.records(), 3);
    let (first, second) = (job.report(), job.report());
    assert_eq!(first.seconds.to_bits(), second.seconds.to_bits());
    assert_eq!(job.stop().expect("stopping what has ended is no error").records, 3);
}

#[test]
fn two_engines_at_once_do_not_meet() {
    let (endless, results) = endless();
    let other = engine(2).start(endless).expect("it starts");
    for round in 0..5u64 {
        let pipeline = Pipeline::new("short");
        let doubled = pipeline.source(collection(vec![round])).map(|n| n * 2).collect();
        engine(2).run(pipeline).expect("nothing fails");
        assert_eq!(doubled.take(), [round * 2]);
    }
    assert!(!other.has_ended());
    results.recv().expect("it still runs");
    other.stop().expect("nothing failed");
}

#[test]
fn one_engine_runs_many_jobs_at_once() {
    let engine = engine(2);
    let jobs: Vec<_> = (0..4u64)
        .map(|index| {
            let pipeline = Pipeline::new(format!("job {index}"));
            let all = pipeline.source(iterator(0..1_000 * index)).rebalance().collect();
            (engine.start(pipeline).expect("it starts"), all)
        })
        .collect();
    for (index, (job, all)) in jobs.into_iter().enumerate() {
        job.join().expect("nothing fails");
        assert_eq!(all.take().len(), index * 1_000);
    }
}

#[test]
fn results_are_there_however_the_knobs_are_set() {
    use millstream::config::{BatchSize, Idle, Metrics, PreAggregate};
    use std::time::Duration;
    let expected: Vec<(u64, u64)> =
        (0..7).map(|key: u64| (key, (3_000 - key).div_ceil(7))).collect();
    for (idle, linger_us, pre_aggregate) in [
        (Idle::Spin, 0, PreAggregate::Off),
        (Idle::Yield, 100, PreAggregate::On),
        (Idle::Park, 1_000_000, PreAggregate::Auto),
    ] {
        for records in [1, 3, 65_536] {
            let config = Config::builder()
                .partitions(2)
                .pin(Pin::Off)
                .idle(idle)
                .linger(Duration::from_micros(linger_us))
                .pre_aggregate(pre_aggregate)
                .batch_size(BatchSize::Records(records))
                .lane_capacity(1)
                .metrics(Metrics::Off)
                .build()
                .expect("in bounds");
            let pipeline = Pipeline::new("knobs");
            let source = pipeline.source(iterator(0u64..3_000)).rebalance();
            let counts = source.key_by(|number| number % 7).count().collect();
            let report = Engine::new(config).and_then(|engine| engine.run(pipeline));
            assert_eq!(report.expect("nothing fails").records, 3_000);
            assert_eq!(sorted(counts.take()), expected, "{idle:?} {records}");
        }
    }
}
