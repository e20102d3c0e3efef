//! Whole jobs on one thread, from a seed: same partitions, same results, and an error where a job
//! cannot go on.
#![allow(clippy::disallowed_methods)]

use std::time::Duration;

use millstream::connector::{Collected, collection, iterator};
use millstream::dataflow::{
    Collector, Emit, Polled, Sink, SinkConnector, Source, SourceConnector, TaskContext,
};
use millstream::prelude::*;
use millstream::record::Batch;
use millstream::runtime::{Partition, PartitionSeed, Progress};
use millstream::testing::simulation::{Simulation, simulate};

type Counts = Collected<(usize, u64)>;

fn hello() -> (Pipeline, Counts) {
    let pipeline = Pipeline::new("hello");
    let counts = pipeline
        .source(collection(vec!["to", "be", "or", "not", "to", "be"]))
        .map(str::len)
        .key_by(|length| *length)
        .count()
        .collect();
    (pipeline, counts)
}

fn sorted<T: Ord>(collected: &Collected<T>) -> Vec<T> {
    let mut records = collected.take();
    records.sort();
    records
}

#[test]
fn hello_gives_the_same_on_threads_and_in_simulation() {
    let (pipeline, on_threads) = hello();
    let config = Config::builder().partitions(2).build().expect("a valid configuration");
    let report = Engine::new(config).and_then(|engine| engine.run(pipeline)).expect("it runs");
    assert_eq!(report.records, 6);
    assert_eq!(sorted(&on_threads), [(2, 5), (3, 1)]);
    for seed in 0..50 {
        let (pipeline, simulated) = hello();
        let report = simulate(pipeline, seed).expect("it runs");
        assert_eq!(report.records, 6, "seed {seed}");
        assert_eq!(sorted(&simulated), [(2, 5), (3, 1)], "seed {seed}");
    }
}

/// What a thread of the engine and the simulation both step.
fn turn(partition: &mut Partition) -> Progress {
    partition.turn().expect("no operator panics")
}

#[test]
fn threads_and_simulation_step_the_same_type() {
    // A partition's thread makes what it runs with this function, so its type is `Partition`.
    let on_a_thread: fn(PartitionSeed) -> Partition = |seed| (seed.make)();
    let _ = on_a_thread;
    let (pipeline, counts) = hello();
    let mut simulated = Simulation::seeded(1).partitions(2).build(pipeline).expect("it is right");
    for _ in 0..1_000 {
        let turns = simulated.partitions().iter_mut().map(turn);
        if turns.fold(true, |all, progress| all & progress.done) {
            assert_eq!(sorted(&counts), [(2, 5), (3, 1)]);
            return;
        }
    }
    panic!("not done after 1,000 turns");
}

fn numbers(seed: u64, simulation: Simulation) -> (Vec<(u64, u64)>, Report) {
    let pipeline = Pipeline::new("numbers");
    let sums = pipeline
        .source(iterator(0..500u64))
        .rebalance()
        .key_by(|n| n % 7)
        .emit_at(EmitAt::EachRecord)
        .sum(|n| *n)
        .collect();
    let report = simulation.run(pipeline).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    (sums.take(), report)
}

type Report = millstream::metrics::Report;

#[test]
fn equal_seeds_give_equal_runs_and_others_differ() {
    let run = |seed| numbers(seed, Simulation::seeded(seed).partitions(4).batch_size(2));
    let orders: Vec<_> = (0..8).map(|seed| (run(seed), run(seed))).collect();
    for (first, second) in &orders {
        assert_eq!(first, second);
    }
    let differ = orders.windows(2).filter(|pair| pair[0].0.0 != pair[1].0.0).count();
    assert_eq!(differ, 7, "a seed that changes nothing tests nothing");
}

#[test]
fn every_number_of_partitions_and_batch_size_gives_the_same_sums() {
    let last = |emitted: Vec<(u64, u64)>| {
        let mut last = [0; 7];
        for (key, sum) in emitted {
            last[key as usize] = last[key as usize].max(sum);
        }
        last
    };
    let expected: Vec<u64> = (0..7).map(|key| (0..500).filter(|n| n % 7 == key).sum()).collect();
    for partitions in 1..=16 {
        let seed = partitions as u64;
        let simulation = Simulation::seeded(seed).partitions(partitions).batch_size(3);
        assert_eq!(last(numbers(seed, simulation).0)[..], expected[..], "seed {seed}");
    }
}

/// A source that never says more, and wakes nobody.
struct Silent;

impl SourceConnector for Silent {
    type Item = u64;
    type Source = Silent;

    fn name(&self) -> String {
        "silent".into()
    }

    fn open(&mut self, _: &TaskContext) -> Result<Silent> {
        Ok(Silent)
    }
}

impl Source for Silent {
    type Item = u64;

    fn poll<E: Emit<u64>>(&mut self, _: usize, _: u64, _: &mut Collector<'_, E>) -> Result<Polled> {
        Ok(Polled::Pending)
    }
}

#[test]
fn job_that_cannot_go_on_is_stuck_and_says_where() {
    let pipeline = Pipeline::new("stuck");
    let kept = pipeline.source(Silent).named("reader").rebalance().named("writer").collect();
    let error = Simulation::seeded(42).partitions(2).run(pipeline).expect_err("it cannot end");
    let text = error.to_string();
    for part in [
        "seed 42",
        "stuck at step",
        "partition 1, task `reader` waits for input",
        "`writer` waits for input",
    ] {
        assert!(text.contains(part), "no `{part}` in {text}");
    }
    assert_eq!(error.kind(), ErrorKind::JobFailed);
    assert!(kept.take().is_empty());
}

/// A sink that takes one record in seven calls.
struct Slow {
    /// Whether it says that it takes more now, as a sink must.
    wakes: bool,
    waker: Option<TaskContext>,
    calls: u32,
}

impl SinkConnector for Slow {
    type Item = u64;
    type Sink = Slow;

    fn name(&self) -> String {
        "slow".into()
    }

    fn open(&mut self, context: &TaskContext) -> Result<Slow> {
        let waker = self.wakes.then(|| context.clone());
        Ok(Slow { wakes: self.wakes, waker, calls: 0 })
    }
}

impl Sink for Slow {
    type Item = u64;

    fn write(&mut self, batch: &mut Batch<u64>, _: u64) -> Result<()> {
        self.calls += 1;
        if self.calls.is_multiple_of(7) {
            batch.records.remove(0);
        }
        if let Some(context) = &self.waker {
            context.waker.wake();
        }
        Ok(())
    }
}

fn into_slow_sink(wakes: bool, seed: u64) -> Result<Report> {
    let pipeline = Pipeline::new("slow");
    pipeline.source(collection((0..100u64).collect())).rebalance().sink(Slow {
        wakes,
        waker: None,
        calls: 0,
    });
    simulate(pipeline, seed)
}

#[test]
fn sink_that_never_wakes_its_partition_is_found_and_one_that_does_is_fine() {
    for seed in 0..20 {
        let report = into_slow_sink(true, seed).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(report.records, 100, "seed {seed}");
    }
    let stuck = (0..20).filter_map(|seed| into_slow_sink(false, seed).err());
    let texts: Vec<String> = stuck.map(|error| error.to_string()).collect();
    assert!(!texts.is_empty(), "a lost wake-up was never found");
    assert!(texts.iter().all(|text| text.contains("stuck")), "{texts:?}");
}

#[test]
fn endless_source_is_given_up_or_drained() {
    let endless = || {
        let pipeline = Pipeline::new("endless");
        let kept = pipeline.source(iterator(0..u64::MAX)).rebalance().collect();
        (pipeline, kept)
    };
    let (pipeline, _) = endless();
    let error = Simulation::seeded(3).steps_max(2_000).run(pipeline).expect_err("it has no end");
    assert!(error.to_string().contains("not done after 2000 steps"), "{error}");
    for seed in 0..10 {
        let (pipeline, kept) = endless();
        let simulation = Simulation::seeded(seed).drain_after(1_000 + seed);
        let report = simulation.run(pipeline).unwrap_or_else(|error| panic!("{error}"));
        let kept = sorted(&kept);
        assert_eq!(kept, (0..report.records).collect::<Vec<_>>(), "seed {seed}");
    }
}

#[test]
fn simulated_time_passes_without_real_time() {
    let pipeline = Pipeline::new("ticks");
    let sums = pipeline
        .source(iterator(0..400u64))
        .key_by(|n| n % 3)
        .emit_at(EmitAt::Every(Duration::from_secs(3_600)))
        .sum(|n| *n)
        .collect();
    let report = Simulation::seeded(5).partitions(2).run(pipeline).expect("it runs");
    assert_eq!(sorted(&sums).len(), 3, "one tick, at the end");
    assert!(report.seconds < 3_600.0);
}

#[test]
fn panic_fails_the_simulated_job_and_names_operator_key_and_seed() {
    let pipeline = Pipeline::new("panics");
    let kept = pipeline
        .source(collection((0..50u64).collect()))
        .key_by(|n| n % 5)
        .reduce(|sum, n| {
            assert_ne!(n, 43, "planted");
            sum + n
        })
        .collect();
    let error = simulate(pipeline, 11).expect_err("43 is among them");
    let text = error.to_string();
    for part in ["seed 11", "`reduce`", "key 3", "planted"] {
        assert!(text.contains(part), "no `{part}` in {text}");
    }
    assert!(kept.take().is_empty());
}

#[test]
fn wrong_graph_is_refused_before_anything_runs() {
    let pipeline = Pipeline::new("dangling");
    let _open = pipeline.source(collection(vec![1u64])).map(|n| n);
    let error = simulate(pipeline, 1).expect_err("it leads to no sink");
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    assert!(error.to_string().contains("leads to no sink"), "{error}");
}

/// So many keys once, then silence.
struct Burst(u64);

impl SourceConnector for Burst {
    type Item = u64;
    type Source = Burst;

    fn name(&self) -> String {
        "burst".into()
    }

    fn open(&mut self, _: &TaskContext) -> Result<Burst> {
        Ok(Burst(self.0))
    }
}

impl Source for Burst {
    type Item = u64;

    fn poll<E: Emit<u64>>(
        &mut self,
        max: usize,
        _: u64,
        out: &mut Collector<'_, E>,
    ) -> Result<Polled> {
        let rest = self.0.saturating_sub(max as u64);
        let emitted = out.emit_all(rest..self.0);
        self.0 -= emitted;
        Ok(if emitted == 0 { Polled::Pending } else { Polled::Ready })
    }
}

/// A sink that has no room.
struct Full;

impl SinkConnector for Full {
    type Item = (u64, u64);
    type Sink = Full;

    fn name(&self) -> String {
        "full".into()
    }

    fn open(&mut self, _: &TaskContext) -> Result<Full> {
        Ok(Full)
    }
}

impl Sink for Full {
    type Item = (u64, u64);

    fn write(&mut self, _: &mut Batch<(u64, u64)>, _: u64) -> Result<()> {
        Ok(())
    }
}

#[test]
fn partition_without_room_waits_for_room_and_not_for_its_timers() {
    let pipeline = Pipeline::new("full");
    let keys = pipeline.source(Burst(20_000)).key_by(|key| *key);
    keys.emit_at(EmitAt::Every(Duration::from_millis(1))).count().sink(Full);
    let mut simulated = Simulation::seeded(1).partitions(1).build(pipeline).expect("it is right");
    let clock = simulated.clock().clone();
    let partition = &mut simulated.partitions()[0];
    for _ in 0..1_000 {
        turn(partition);
        clock.advance(100_000);
    }
    for _ in 0..10 {
        clock.advance(1_000_000);
        let progress = turn(partition);
        assert!(progress.blocked && !progress.progressed, "{progress:?}");
        assert_eq!(progress.wake_at, None, "the sink wakes it, as sinks must");
    }
}
