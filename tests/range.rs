//! Ranges of keys whose bounds are learned while the job runs: sorted results, even loads.
#![allow(clippy::disallowed_methods)]

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use millstream::config::{ConfigBuilder, Pin, PreAggregate, Rebalance};
use millstream::connector::iterator;
use millstream::dataflow::{
    Collector, Emit, Polled, Sink, SinkConnector, Source, SourceConnector, TaskContext,
};
use millstream::metrics::Report;
use millstream::prelude::*;
use millstream::record::Batch;
use millstream::routing::Ranges;
use millstream::supervisor::{Action, Decision, LoadView, RebalancePolicy, Rule, Unit, Verdict};
use millstream::time::Nanos;

/// Key and count, as they came to each partition, in order.
type Parts = Arc<Mutex<Vec<Vec<(u64, u64)>>>>;

#[derive(Clone)]
struct Placed {
    parts: Parts,
    partition: usize,
}

impl SinkConnector for Placed {
    type Item = (u64, u64);
    type Sink = Placed;

    fn name(&self) -> String {
        "placed".into()
    }

    fn open(&mut self, context: &TaskContext) -> Result<Placed> {
        Ok(Placed { partition: context.partition, ..self.clone() })
    }
}

impl Sink for Placed {
    type Item = (u64, u64);

    fn write(&mut self, batch: &mut Batch<(u64, u64)>, _: Nanos) -> Result<()> {
        self.parts.lock().expect("nobody panics with it")[self.partition]
            .append(&mut batch.records);
        Ok(())
    }
}

/// Every partition makes keys for some time, of a number and of the part of the time that is over.
#[derive(Clone)]
struct Keys {
    key: fn(u64, f64) -> u64,
    started: Instant,
    lasts: Duration,
    number: u64,
    /// Keys made so far, and their sum.
    made: Arc<(AtomicU64, AtomicU64)>,
}

impl SourceConnector for Keys {
    type Item = u64;
    type Source = Keys;

    fn name(&self) -> String {
        "keys".into()
    }

    fn is_bounded(&self) -> bool {
        true
    }

    fn open(&mut self, context: &TaskContext) -> Result<Keys> {
        Ok(Keys { number: context.partition as u64, ..self.clone() })
    }
}

impl Source for Keys {
    type Item = u64;

    fn poll<E: Emit<u64>>(
        &mut self,
        max: usize,
        _: Nanos,
        out: &mut Collector<'_, E>,
    ) -> Result<Polled> {
        let elapsed = self.started.elapsed();
        if elapsed > self.lasts {
            return Ok(Polled::Done);
        }
        let part = elapsed.as_secs_f64() / self.lasts.as_secs_f64();
        for _ in 0..max {
            if !out.is_open() {
                break;
            }
            self.number += 16;
            let key = (self.key)(self.number, part);
            self.made.0.fetch_add(1, Ordering::Relaxed);
            self.made.1.fetch_add(key, Ordering::Relaxed);
            out.emit(key);
        }
        Ok(Polled::Ready)
    }
}

/// Keys worked on by each thread of the job that runs, a thread for each partition.
static WORKED: Mutex<Vec<Arc<AtomicU64>>> = Mutex::new(Vec::new());

thread_local! {
    static OWN: Arc<AtomicU64> = {
        let own = Arc::default();
        WORKED.lock().expect("nobody panics with it").push(Arc::clone(&own));
        own
    };
}

/// Some hundred nanoseconds of work, so that it is the keys that partitions are busy with.
fn work(key: &u64) -> u64 {
    (0..150).fold(*key, |mixed, _| black_box(mixed ^ (mixed >> 7)).wrapping_mul(31));
    OWN.with(|own| own.fetch_add(1, Ordering::Relaxed));
    1
}

/// One job at a time: they measure what they are busy with.
static ALONE: Mutex<()> = Mutex::new(());

/// What one job came to.
struct Outcome {
    /// Records that each partition worked on, over the mean.
    shares: Vec<f64>,
    report: Report,
}

fn run(pipeline: Pipeline, config: ConfigBuilder) -> Report {
    let engine = config.build().and_then(Engine::new).expect("the knobs are in their bounds");
    engine.run(pipeline).expect("nothing fails")
}

/// Counts keys that are made for `millis` in learned ranges, and checks that nothing got lost and
/// that all is in order.
fn count(
    partitions: usize,
    rebalance: Rebalance,
    millis: u64,
    key: fn(u64, f64) -> u64,
) -> Outcome {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    WORKED.lock().expect("nobody panics with it").clear();
    let parts: Parts = Arc::new(Mutex::new(vec![Vec::new(); partitions]));
    let lasts = Duration::from_millis(millis);
    let keys = Keys { key, started: Instant::now(), lasts, number: 0, made: Arc::default() };
    let made = Arc::clone(&keys.made);
    let pipeline = Pipeline::new("ranges");
    let keyed = pipeline.source(keys).key_by(|key| *key).partition_by(Ranges::learned());
    let counts = keyed.pre_aggregate(PreAggregate::Off).sum(work);
    counts.sink(Placed { parts: Arc::clone(&parts), partition: 0 });
    let config = Config::builder().partitions(partitions).rebalance(rebalance).pin(Pin::Off);
    let report = run(pipeline, config);
    let parts = std::mem::take(&mut *parts.lock().expect("nobody panics with it"));
    let all: Vec<(u64, u64)> = parts.iter().flatten().copied().collect();
    assert!(all.windows(2).all(|pair| pair[0].0 < pair[1].0), "keys ascend over all partitions");
    let records = made.0.load(Ordering::Relaxed);
    assert_eq!(all.iter().map(|(_, count)| count).sum::<u64>(), records);
    let sum = all.iter().map(|(key, count)| key * count).sum::<u64>();
    assert_eq!(sum, made.1.load(Ordering::Relaxed));
    let worked = WORKED.lock().expect("nobody panics with it");
    let worked: Vec<u64> = worked.iter().map(|worked| worked.load(Ordering::Relaxed)).collect();
    assert_eq!(worked.iter().sum::<u64>(), records);
    let mean = records as f64 / partitions as f64;
    let shares = worked.iter().map(|worked| *worked as f64 / mean).collect();
    Outcome { shares, report }
}

impl Outcome {
    /// No partition worked on far more than the others, although the first had all keys at the
    /// start. There may be fewer cores than partitions: then one that gets less of a core is given
    /// less. Who has a key in the end says nothing: what is left then is stolen by who is done.
    fn assert_spread(&self) {
        let most = 0.5 + 0.5 * self.report.partitions.len() as f64;
        let is_even = self.shares.iter().all(|share| *share < most);
        assert!(is_even, "{:?} {:?}", self.shares, self.report.moves);
        assert!(self.report.moves.groups > 0);
    }
}

/// A number below 1 that is as good as random, for each record.
fn chance(number: u64) -> f64 {
    let mixed = (number ^ (number >> 3)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 11) as f64 / (1u64 << 53) as f64
}

#[test]
fn skewed_keys_are_spread_and_their_counts_come_in_order() {
    for partitions in [2, 3, 4] {
        // The density of keys falls as their fourth power grows.
        let key = |number, _| (chance(number).powi(4) * 50_000.0) as u64;
        count(partitions, Rebalance::Groups, 1_200, key).assert_spread();
    }
}

#[test]
fn first_bounds_are_learned_where_nothing_is_to_move_later() {
    let key = |number, _| (chance(number) * 10_000.0) as u64;
    count(3, Rebalance::Off, 1_000, key).assert_spread();
}

#[test]
fn ranges_follow_keys_that_drift() {
    // A window of keys that goes from 0 to 40,000.
    let key = |number, part| (chance(number) * 10_000.0 + part * 30_000.0) as u64;
    let outcome = count(2, Rebalance::Groups, 3_000, key);
    // With the first bounds five sixths of all would be the second partition's; in the end a key is
    // where it was last, so its count says less than the moves do.
    let groups = outcome.report.moves.groups;
    assert!(groups > 16, "{groups} ranges moved");
}

/// Wants what the first partition has to go to the second, and counts its views.
struct Away(Arc<AtomicU64>);

impl RebalancePolicy for Away {
    fn name(&self) -> &str {
        "away"
    }

    fn plan(&mut self, view: &LoadView) -> Vec<Decision> {
        self.0.fetch_add(1, Ordering::Relaxed);
        let owners = &view.domains[0].owners;
        let here = (0..owners.len() as u16).filter(|group| owners[usize::from(*group)] == 0);
        let units = here.take(64).map(Unit::Group).collect();
        let action = Action::Move { domain: 0, units, from: 0, to: 1 };
        let verdict = Verdict::Act { action, gain_ns: 1, cost_ns: 1 };
        vec![Decision { number: 0, rule: Rule::Other, seen: "it is a test".into(), verdict }]
    }
}

#[test]
fn ranges_between_given_bounds_stay_in_order_whatever_a_policy_wants() {
    let views = Arc::new(AtomicU64::new(0));
    let (shown, asked) = (Arc::clone(&views), Arc::clone(&views));
    let config = Config::builder().partitions(3).pin(Pin::Off).build().expect("in their bounds");
    let engine = Engine::new(config).expect("no core is asked for");
    let engine = engine.rebalance_by(move || Away(Arc::clone(&asked)));
    let pipeline = Pipeline::new("given");
    let parts: Parts = Arc::new(Mutex::new(vec![Vec::new(); 3]));
    // All keys in turn, until the policy has had its say for a while.
    let numbers = (0..u64::MAX)
        .take_while(move |number| number % 3_000 != 0 || shown.load(Ordering::Relaxed) < 5);
    pipeline
        .source(iterator(numbers.map(|number| 2_999 - number % 3_000)))
        .key_by(|key| *key)
        .partition_by(Ranges::new(vec![1_000, 2_000]))
        .count()
        .sink(Placed { parts: Arc::clone(&parts), partition: 0 });
    let explained = pipeline.explain();
    let said = "its keys do not move between partitions: ranges between given bounds";
    assert!(explained.contains(said), "{explained}");
    let report = engine.run(pipeline).expect("nothing fails");
    assert_eq!(report.moves.groups, 0);
    for (partition, part) in (0..3).zip(parts.lock().expect("nobody panics with it").iter()) {
        let keys: Vec<u64> = part.iter().map(|(key, _)| *key).collect();
        assert_eq!(keys, (partition * 1_000..(partition + 1) * 1_000).collect::<Vec<_>>());
        assert!(part.iter().all(|(_, count)| *count == part[0].1));
    }
}
