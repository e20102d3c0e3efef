//! Keyed state of the library's own operators on the move between threads, and what becomes of a
//! job that fails meanwhile.
#![allow(clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use millstream::ErrorKind;
use millstream::config::{Pin, PreAggregate, Rebalance};
use millstream::connector::{Collected, Input, channel, iterator};
use millstream::dataflow::Emit;
use millstream::operator::window::sliding;
use millstream::operator::{ProcessContext, ProcessFunction, Timer};
use millstream::prelude::*;
use millstream::record::hash_key;
use millstream::routing::key_group;
use millstream::supervisor::{Action, Decision, LoadView, RebalancePolicy, Rule, Unit, Verdict};
use millstream::time::watermark::Monotone;
use serde::{Deserialize, Serialize};

fn engine(partitions: usize, rebalance: Rebalance) -> Engine {
    let config = Config::builder()
        .partitions(partitions)
        .pin(Pin::Off)
        .rebalance(rebalance)
        .pre_aggregate(PreAggregate::Off);
    let config = config.build().expect("the knobs are in their bounds");
    Engine::new(config).expect("no core is asked for")
}

/// Keys of all jobs here.
const KEYS: u32 = 40;

/// Moves all groups that have keys from one partition to the next, of every domain.
struct ToAndFro {
    views: Arc<AtomicU64>,
}

impl RebalancePolicy for ToAndFro {
    fn name(&self) -> &str {
        "to and fro"
    }

    fn plan(&mut self, view: &LoadView) -> Vec<Decision> {
        let before = self.views.fetch_add(1, Ordering::Relaxed) as usize;
        let count = view.partitions.len();
        let from = before % count;
        let to = (from + 1) % count;
        let groups: BTreeSet<u16> = (0..KEYS).map(|key| key_group(hash_key(&key)) as u16).collect();
        let of_domain = |(domain, load): (usize, &millstream::supervisor::DomainLoad)| {
            let here =
                groups.iter().filter(|group| load.owners[usize::from(**group)] == from as u16);
            let units: Vec<_> = here.map(|group| Unit::Group(*group)).collect();
            let action = Action::Move { domain, units, from, to };
            let verdict = Verdict::Act { action, gain_ns: 1, cost_ns: 1 };
            Decision { number: 0, rule: Rule::Other, seen: "it is a test".into(), verdict }
        };
        view.domains.iter().enumerate().map(of_domain).collect()
    }
}

/// An engine that moves keys to and fro ten times a second, and how often it has looked at them.
fn moving(partitions: usize) -> (Engine, Arc<AtomicU64>) {
    let views = Arc::new(AtomicU64::new(0));
    let shared = Arc::clone(&views);
    let policy = move || ToAndFro { views: Arc::clone(&shared) };
    (engine(partitions, Rebalance::Combine).rebalance_by(policy), views)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Row {
    key: u32,
    time: i64,
    id: u64,
}

/// Rows of one side in each millisecond.
const ROWS_PER_MS: u64 = 4;
const NEAR_MS: i64 = 3;
const WINDOW_MS: u64 = 20;
const STEP_MS: u64 = 5;
const KNOWN_MS: u64 = 8;

fn row(side: u64, number: u64) -> Row {
    // 7 and 11 are prime to the number of keys, so that all keys meet.
    let key = (number * (7 + 4 * side) + number / 16) % u64::from(KEYS);
    Row { key: key as u32, time: (number / ROWS_PER_MS) as i64, id: 2 * number + side }
}

/// Sends rows of a side until the moves are enough; returns how many.
fn feed(input: &Input<Row>, side: u64, is_enough: impl Fn() -> bool) -> u64 {
    let mut number = 0;
    // Whole windows, so that both sides end about the same time.
    while number % 1_000 > 0 || !is_enough() {
        input.send_blocking(row(side, number)).expect("the job runs");
        number += 1;
    }
    number
}

/// Adds the ids of a key up, ten milliseconds at a time, and tells each sum when its time is over.
#[derive(Clone)]
struct TenMs;

/// By the end of ten milliseconds, how many rows came and their ids added up.
#[derive(Default, Serialize, Deserialize)]
struct Sums(BTreeMap<i64, (u64, u64)>);

/// No clock comes so far; what is to be woken then moves along all the same.
const NEVER_MS: i64 = i64::MAX / 4;

impl ProcessFunction<u32, Row> for TenMs {
    type Out = (u32, i64, u64, u64);
    type State = Sums;
    const NAME: &'static str = "ten ms";

    fn on_record<E: Emit<Self::Out>>(
        &mut self,
        row: Row,
        sums: &mut Sums,
        context: &mut ProcessContext<'_, '_, u32, E>,
    ) {
        let end = (row.time / 10 + 1) * 10;
        let sum = sums.0.entry(end).or_default();
        *sum = (sum.0 + 1, sum.1 + row.id);
        context.set_timer(Timer::Event(end.into()));
        context.set_timer(Timer::Processing((NEVER_MS + end).into()));
    }

    fn on_timer<E: Emit<Self::Out>>(
        &mut self,
        timer: Timer,
        sums: &mut Sums,
        context: &mut ProcessContext<'_, '_, u32, E>,
    ) {
        let Timer::Event(end) = timer else { return };
        let key = *context.key();
        let (rows, ids) = sums.0.remove(&end.as_millis()).unwrap_or_default();
        context.emit((key, end.as_millis(), rows, ids));
    }
}

/// What [`TenMs`] tells of rows of side 0.
fn expected_sums(rows: u64) -> BTreeSet<(u32, i64, u64, u64)> {
    let mut sums = BTreeMap::<(u32, i64), (u64, u64)>::new();
    for row in (0..rows).map(|number| row(0, number)) {
        let sum = sums.entry((row.key, (row.time / 10 + 1) * 10)).or_default();
        *sum = (sum.0 + 1, sum.1 + row.id);
    }
    sums.into_iter().map(|((key, end), (rows, ids))| (key, end, rows, ids)).collect()
}

/// By key and end of the window, how many rows of side 0.
fn expected_windows(rows: u64) -> BTreeMap<(u32, i64), u64> {
    let mut windows = BTreeMap::new();
    for row in (0..rows).map(|number| row(0, number)) {
        let last = row.time - row.time % STEP_MS as i64;
        for start in (last - WINDOW_MS as i64 + 1..=last).filter(|at| at % STEP_MS as i64 == 0) {
            *windows.entry((row.key, start + WINDOW_MS as i64)).or_default() += 1;
        }
    }
    windows
}

/// Pairs of ids, sorted.
fn expected_pairs(left: u64, right: u64) -> Vec<(u64, u64)> {
    let mut by_place = BTreeMap::<(u32, i64), Vec<u64>>::new();
    for row in (0..right).map(|number| row(1, number)) {
        by_place.entry((row.key, row.time)).or_default().push(row.id);
    }
    let mut pairs = Vec::new();
    for row in (0..left).map(|number| row(0, number)) {
        for time in row.time - NEAR_MS..=row.time + NEAR_MS {
            let others = by_place.get(&(row.key, time)).into_iter().flatten();
            pairs.extend(others.map(|other| (row.id, *other)));
        }
    }
    pairs.sort_unstable();
    pairs
}

/// Of each key the first row, and the first again once it is forgotten.
fn expected_once(rows: u64) -> BTreeSet<Row> {
    let mut known = BTreeMap::<u32, i64>::new();
    let all = (0..rows).map(|number| row(0, number));
    all.filter(|row| {
        let is_known = known.get(&row.key).is_some_and(|until| row.time < *until);
        if !is_known {
            known.insert(row.key, row.time + KNOWN_MS as i64);
        }
        !is_known
    })
    .collect()
}

#[test]
fn joins_windows_timers_and_ids_move_and_come_to_what_they_would_without() {
    let (engine, views) = moving(3);
    let pipeline = Pipeline::new("all that has keys");
    let timed = |name: &str| {
        let rows = pipeline.source(channel::<Row>(name, 256));
        rows.assign_timestamps(|row: &Row| row.time, Monotone::new())
    };
    let key = |row: &Row| row.key;
    let (left, right) = (timed("left"), timed("right"));
    let [left, other] = left.fork();
    let ([joined, windowed], [summed, once]) = (left.fork(), other.fork());
    let pairs = joined.key_by(key).interval_join(right.key_by(key), -NEAR_MS..=NEAR_MS).inner();
    let pairs = pairs.map(|(left, right)| (left.id, right.id)).collect();
    let (size, step) = (Duration::from_millis(WINDOW_MS), Duration::from_millis(STEP_MS));
    let windows = windowed.key_by(key).window(sliding(size, step)).count();
    let windows = windows.map(|one| ((one.key, one.window.end.as_millis()), one.value)).collect();
    let sums = summed.key_by(key).process(TenMs).collect();
    let once = once.dedup(key, Duration::from_millis(KNOWN_MS)).collect();
    let job = engine.start(pipeline).expect("it starts");
    let inputs = ["left", "right"].map(|name| job.input::<Row>(name).expect("there is one"));
    let is_enough = || views.load(Ordering::Relaxed) >= 24;
    let counts: Vec<u64> = std::thread::scope(|scope| {
        let feeders = inputs.iter().zip(0..);
        let feeders =
            feeders.map(|(input, side)| scope.spawn(move || feed(input, side, is_enough)));
        let feeders: Vec<_> = feeders.collect();
        feeders.into_iter().map(|feeder| feeder.join().expect("no panic")).collect()
    });
    drop(inputs);
    let report = job.join().expect("nothing fails");
    assert!(report.moves.groups > 100, "{:?}", report.moves);
    assert_eq!((report.late, &report.conservation.imbalances), (0, &vec![]));
    assert!(report.conservation.checked > 0);
    let (left, right) = (counts[0], counts[1]);
    let mut seen = BTreeMap::new();
    for (window, count) in windows.take() {
        assert_eq!(seen.insert(window, count), None, "window {window:?} comes once");
    }
    assert!(seen == expected_windows(left), "{} windows", seen.len());
    let mut pairs = pairs.take();
    pairs.sort_unstable();
    assert!(pairs == expected_pairs(left, right), "{} pairs", pairs.len());
    let rows = once.take();
    assert!(rows.len() == expected_once(left).len(), "{} of {left} rows", rows.len());
    assert!(rows.into_iter().collect::<BTreeSet<_>>() == expected_once(left));
    let told = sums.take();
    let count = told.len();
    let told: BTreeSet<_> = told.into_iter().collect();
    assert_eq!(told.len(), count, "each timer fires once");
    assert!(told == expected_sums(left), "{count} sums");
}

/// Some microseconds of work that the compiler cannot leave out.
fn toil(number: u64) -> u64 {
    (0..2_000).fold(number, |sum, round| black_box(sum.rotate_left(5) ^ round))
}

/// A job that counts records of keys which all begin on partition 0, with work on each, until it
/// is told that they are enough; what it counts by key.
struct Uneven {
    job: Job,
    is_enough: Arc<AtomicBool>,
    made: Arc<AtomicU64>,
    counts: Collected<(u64, u64)>,
}

const HOT: usize = 16;

impl Uneven {
    fn start(engine: &Engine, work: impl Fn(u64) -> u64 + Clone + Send + 'static) -> Uneven {
        let is_first = |key: &u64| key_group(hash_key(key)) < 2_048;
        let keys: Vec<u64> = (0..).filter(is_first).take(HOT).collect();
        let (is_enough, made) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (enough, making) = (Arc::clone(&is_enough), Arc::clone(&made));
        let records = (0..usize::MAX).take_while(move |_| !enough.load(Ordering::Relaxed));
        let records = records.map(move |number| {
            making.fetch_add(1, Ordering::Relaxed);
            (keys[number % HOT], number as u64)
        });
        let pipeline = Pipeline::new("uneven");
        let keyed = pipeline.source(iterator(records)).key_by(|record| record.0);
        let one = move |record: &(u64, u64)| -> u64 {
            black_box(work(record.1));
            1
        };
        let counts = keyed.sum(one).collect();
        let job = engine.start(pipeline).expect("it starts");
        Uneven { job, is_enough, made, counts }
    }
}

#[test]
fn partition_that_runs_dry_gets_keys_with_what_waits_for_them() {
    let Uneven { job, is_enough, made, counts } = Uneven::start(&engine(2, Rebalance::Keys), toil);
    while job.report().moves.stolen_records == 0 && !job.has_ended() {
        std::thread::yield_now();
    }
    is_enough.store(true, Ordering::Relaxed);
    let report = job.join().expect("nothing fails");
    assert!(report.moves.stolen_records > 0, "{:?}", report.moves);
    assert_eq!(report.conservation.imbalances, []);
    let counts = counts.take();
    assert_eq!(counts.len(), HOT);
    let made = made.load(Ordering::Relaxed);
    assert_eq!(counts.iter().map(|(_, count)| count).sum::<u64>(), made);
    // They came in turn.
    assert!(counts.iter().all(|(_, count)| count.abs_diff(made / HOT as u64) <= 1), "{counts:?}");
}

/// Moves a group to and fro; from the third view on it also says that it is time to panic.
struct Fatal {
    views: u64,
    is_fatal: Arc<AtomicBool>,
}

impl RebalancePolicy for Fatal {
    fn name(&self) -> &str {
        "fatal"
    }

    fn plan(&mut self, view: &LoadView) -> Vec<Decision> {
        self.views += 1;
        let owners = &view.domains[0].owners;
        let from = owners[0];
        let same = (0..2_048).filter(|group| owners[usize::from(*group)] == from).take(64);
        let units: Vec<_> = same.map(Unit::Group).collect();
        let (from, to) = (usize::from(from), usize::from(1 - from));
        let action = Action::Move { domain: 0, units, from, to };
        self.is_fatal.store(self.views > 2, Ordering::Relaxed);
        let verdict = Verdict::Act { action, gain_ns: 1, cost_ns: 1 };
        vec![Decision { number: 0, rule: Rule::Other, seen: "it is a test".into(), verdict }]
    }
}

#[test]
fn panic_while_keys_move_fails_the_job_and_whoever_waits_for_it_is_told() {
    let is_fatal = Arc::new(AtomicBool::new(false));
    let fatal = Arc::clone(&is_fatal);
    let engine = engine(2, Rebalance::Keys)
        .rebalance_by(move || Fatal { views: 0, is_fatal: Arc::clone(&fatal) });
    let uneven = Uneven::start(&engine, move |number| {
        // The policy has just decided on a move, so it is about to begin, or under way.
        assert!(!is_fatal.load(Ordering::Relaxed), "no more of this");
        toil(number)
    });
    let error = uneven.job.join().expect_err("an operator panics");
    assert_eq!((error.kind(), error.kind().exit_code()), (ErrorKind::JobFailed, 70));
    assert!(error.to_string().contains("no more of this"), "{error}");
}
