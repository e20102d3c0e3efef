//! Jobs that get more partitions and fewer while they run.
#![allow(clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use millstream::ErrorKind;
use millstream::config::Pin;
use millstream::connector::generator::generate;
use millstream::connector::{Input, Output, blackhole, channel, channel_sink, file_sink, iterator};
use millstream::operator::window::tumbling;
use millstream::prelude::*;
use millstream::routing::RoundRobin;
use millstream::supervisor::{Action, Decision, LoadView, RebalancePolicy, Rule, Unit, Verdict};
use millstream::time::watermark::Monotone;

fn engine(partitions: usize) -> Engine {
    let config = Config::builder().partitions(partitions).pin(Pin::Off).build();
    Engine::new(config.expect("the knobs are in their bounds")).expect("no core is asked for")
}

const KEYS: u32 = 50;
/// Longer than a test takes.
const NEVER: Duration = Duration::from_secs(3_600);

#[test]
fn keyed_state_goes_along_and_handles_go_on_feeding() {
    let pipeline = Pipeline::new("counts");
    let keys = pipeline.source(channel("keys", 64)).key_by(|key: &u32| *key);
    let counts = keys.emit_at(EmitAt::EachRecord).count().collect();
    let job = engine(2).start(pipeline).expect("it starts");
    let keys = job.input::<u32>("keys").expect("there is one");
    let other = keys.clone();
    let mut rounds = 0;
    for partitions in [3, 1, 2, 5, 4, 2] {
        for input in [&keys, &other] {
            (0..KEYS).for_each(|key| input.send_blocking(key).expect("the job runs"));
        }
        rounds += 2;
        let rescaled = job.rescale(partitions).expect("it may be");
        assert_eq!(rescaled.to, partitions);
        assert!(rescaled.pause_ns > 0);
    }
    (0..KEYS).for_each(|key| keys.send_blocking(key).expect("the job runs"));
    drop((keys, other));
    let report = job.join().expect("nothing fails");
    let mut seen: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    for (key, count) in counts.take() {
        seen.entry(key).or_default().push(count);
    }
    for (key, mut counts) in seen {
        // Of two handles no order is promised, and sinks of several partitions have none.
        counts.sort_unstable();
        assert!(counts.iter().copied().eq(1..=rounds + 1), "key {key}: {counts:?}");
    }
    assert!(report.conservation.checked > 0);
    assert_eq!(report.conservation.imbalances, []);
    assert_eq!((report.records, report.partitions.len()), (u64::from(KEYS) * (rounds + 1), 5));
}

#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
struct Row {
    key: u32,
    time: i64,
    id: u64,
}

const WINDOW_MS: i64 = 10;
const NEAR_MS: i64 = 2;
/// Records of each of four handles.
const ROWS: u64 = 30_000;

fn row(side: u64, id: u64) -> Row {
    // 7 and 11 are prime to the number of keys, so that all keys meet.
    let key = ((id * (7 + 4 * side) + id / 16) % 40) as u32;
    Row { key, time: (id / 8) as i64, id: side * ROWS + id }
}

fn feed(input: &Input<Row>, side: u64) {
    (0..ROWS).for_each(|id| input.send_blocking(row(side, id)).expect("the job runs"));
}

/// By key and start of the window, how many rows of both handles.
fn expected_windows() -> BTreeMap<(u32, i64), u64> {
    let mut windows = BTreeMap::new();
    for row in (0..ROWS).map(|id| row(0, id)) {
        *windows.entry((row.key, row.time / WINDOW_MS * WINDOW_MS)).or_default() += 2;
    }
    windows
}

/// Pairs of ids, sorted: both sides come twice.
fn expected_pairs() -> Vec<(u64, u64)> {
    let mut by_key: BTreeMap<(u32, i64), Vec<u64>> = BTreeMap::new();
    for row in (0..ROWS).map(|id| row(1, id)) {
        by_key.entry((row.key, row.time)).or_default().push(row.id);
    }
    let mut pairs = Vec::new();
    for left in (0..ROWS).map(|id| row(0, id)) {
        for time in left.time - NEAR_MS..=left.time + NEAR_MS {
            for right in by_key.get(&(left.key, time)).into_iter().flatten() {
                pairs.extend([(left.id, *right); 4]);
            }
        }
    }
    pairs.sort_unstable();
    pairs
}

#[test]
fn windows_and_a_join_under_load_come_to_what_they_would_without() {
    let pipeline = Pipeline::new("under load");
    let timed = |name: &str| {
        let rows = pipeline.source(channel::<Row>(name, 256));
        rows.assign_timestamps(|row: &Row| row.time, Monotone::new())
    };
    let (left, right) = (timed("left"), timed("right"));
    let [counted, joined] = left.fork();
    let millis = Duration::from_millis(WINDOW_MS as u64);
    let windows = counted.key_by(|row: &Row| row.key).window(tumbling(millis)).count();
    let windows = windows.map(|one| ((one.key, one.window.start.as_millis()), one.value));
    let windows = windows.collect();
    let right = right.key_by(|row: &Row| row.key);
    let pairs = joined.key_by(|row: &Row| row.key).interval_join(right, -NEAR_MS..=NEAR_MS);
    let pairs = pairs.inner().map(|(left, right)| (left.id, right.id)).collect();
    let job = engine(2).start(pipeline).expect("it starts");
    // Until they are dropped, the job does not end.
    let inputs = ["left", "right"].map(|name| job.input::<Row>(name).expect("there is one"));
    let is_over = AtomicBool::new(false);
    let mut rescales = 0;
    std::thread::scope(|scope| {
        let handles = inputs
            .iter()
            .zip(0..)
            .flat_map(|(input, side)| [(input.clone(), side), (input.clone(), side)]);
        let feeders: Vec<_> =
            handles.map(|(input, side)| scope.spawn(move || feed(&input, side))).collect();
        let watch = scope.spawn(|| {
            feeders.into_iter().for_each(|feeder| feeder.join().expect("no panic"));
            is_over.store(true, Ordering::Release);
        });
        for partitions in [3, 1, 2].into_iter().cycle() {
            let rescaled = job.rescale(partitions).expect("it may be");
            assert_eq!(rescaled.to, partitions);
            rescales += 1;
            if is_over.load(Ordering::Acquire) {
                break;
            }
        }
        watch.join().expect("no panic");
    });
    drop(inputs);
    let report = job.join().expect("nothing fails");
    assert!(rescales >= 3, "{rescales} rescales");
    assert_eq!(report.conservation.imbalances, []);
    assert!(report.conservation.checked > 0);
    assert_eq!(report.late, 0);
    let mut seen = BTreeMap::new();
    for (window, count) in windows.take() {
        assert_eq!(seen.insert(window, count), None, "window {window:?} comes once");
    }
    assert_eq!(seen, expected_windows());
    let mut pairs = pairs.take();
    pairs.sort_unstable();
    assert!(pairs == expected_pairs(), "{} pairs", pairs.len());
}

/// Counts rows by key in windows; the results go to a channel.
fn windows_of(pipeline: &Pipeline, idle_after: Duration) -> Output<(u32, i64, u64)> {
    let rows = pipeline.source(channel::<Row>("rows", 256));
    let timed = rows.assign_timestamps(|row: &Row| row.time, Monotone::new());
    let timed = timed.idle_after(idle_after);
    let millis = Duration::from_millis(WINDOW_MS as u64);
    let windows = timed.key_by(|row: &Row| row.key).window(tumbling(millis)).count();
    let (sink, results) = channel_sink(1_024);
    windows.map(|one| (one.key, one.window.start.as_millis(), one.value)).sink(sink);
    results
}

fn send(input: &Input<Row>, keys: std::ops::Range<u32>, time: i64) {
    keys.for_each(|key| input.send_blocking(Row { key, time, id: 0 }).expect("the job runs"));
}

#[test]
fn what_was_late_before_is_late_on_partitions_that_are_added() {
    let pipeline = Pipeline::new("late");
    let mut results = windows_of(&pipeline, NEVER);
    let job = engine(1).start(pipeline).expect("it starts");
    let rows = job.input::<Row>("rows").expect("there is one");
    send(&rows, 0..1, 5);
    send(&rows, 0..1, 1_005);
    // Then the time of the second is known to whoever counts.
    assert_eq!(results.recv_blocking(), Some((0, 0, 1)));
    // Whoever is added second hears of it from one who has heard nothing since.
    for partitions in [2, 5] {
        job.rescale(partitions).expect("it may be");
    }
    send(&rows, 1..101, 0);
    send(&rows, 0..1, 1_006);
    drop(rows);
    let report = job.join().expect("nothing fails");
    assert_eq!(results.recv_blocking(), Some((0, 1_000, 2)));
    assert_eq!((results.recv_blocking(), report.late), (None, 100));
}

#[test]
fn event_time_of_a_source_that_gives_nothing_more_is_known_behind_it() {
    let pipeline = Pipeline::new("silent");
    let mut results = windows_of(&pipeline, NEVER);
    let job = engine(2).start(pipeline).expect("it starts");
    let first = job.input::<Row>("rows").expect("there is one");
    let silent = first.clone();
    send(&first, 0..1, 5);
    send(&silent, 1..2, 25);
    send(&silent, 1..2, 100);
    job.rescale(3).expect("it may be");
    send(&first, 0..1, 95);
    // Both have come to 95, so the windows before that are over, though no source is.
    let mut two = [results.recv_blocking(), results.recv_blocking()];
    two.sort_unstable();
    assert_eq!(two, [Some((0, 0, 1)), Some((1, 20, 1))]);
    job.rescale(1).expect("it may be");
    send(&first, 0..1, 105);
    assert_eq!(results.recv_blocking(), Some((0, 90, 1)));
    job.stop().expect("nothing fails");
}

#[test]
fn event_time_does_not_go_back_to_a_source_that_had_been_idle() {
    let pipeline = Pipeline::new("behind");
    let mut results = windows_of(&pipeline, Duration::from_millis(1));
    let job = engine(2).start(pipeline).expect("it starts");
    let first = job.input::<Row>("rows").expect("there is one");
    let idle = first.clone();
    send(&first, 0..1, 5);
    // Some time nobody waits for the other source, so that time comes to 200.
    let mut sent = 0;
    while results.try_recv().is_err() {
        send(&first, 0..1, 200);
        sent += 1;
    }
    // Meanwhile the first becomes idle too, so that no lane brings 200 along any more.
    for partitions in [3, 1].into_iter().cycle().take(21) {
        job.rescale(partitions).expect("it may be");
    }
    send(&idle, 0..1, 60);
    drop((first, idle));
    let report = job.join().expect("nothing fails");
    assert_eq!(results.recv_blocking(), Some((0, 200, sent)));
    assert_eq!((results.recv_blocking(), report.late), (None, 1));
}

#[test]
fn what_ticks_emit_while_a_stop_comes_through_is_not_lost() {
    let pipeline = Pipeline::new("ticks");
    let keys = pipeline.source(iterator(0u64..)).key_by(|number: &u64| number % 16);
    // Due in nearly every step; what it emits goes over lanes again.
    let counts = keys.emit_at(EmitAt::Every(Duration::from_nanos(1))).count();
    counts.partition_by(RoundRobin::default()).sink(blackhole());
    let job = engine(2).start(pipeline).expect("it starts");
    for partitions in (1..=4).cycle().take(60) {
        job.rescale(partitions).expect("it may be");
    }
    let report = job.drain().expect("nothing fails");
    assert!(report.conservation.checked > 0);
    assert_eq!(report.conservation.imbalances, []);
}

/// What rescaling to so many partitions is refused with; the job goes on.
fn refused(job: &Job, partitions: usize) -> (ErrorKind, String) {
    let error = job.rescale(partitions).expect_err("it is refused");
    assert!(!job.has_ended());
    (error.kind(), error.to_string())
}

#[test]
fn senseless_numbers_are_refused_and_the_same_number_is_nothing_to_do() {
    let pipeline = Pipeline::new("numbers");
    pipeline.source(iterator(0u64..)).key_by(|n| n % 8).count().sink(blackhole());
    let job = engine(2).start(pipeline).expect("it starts");
    for partitions in [0, 1_025, usize::MAX] {
        let text = format!("rescale to {partitions} partitions; allowed: 1..=1024");
        assert_eq!(refused(&job, partitions), (ErrorKind::InvalidConfig, text));
    }
    let same = job.rescale(2).expect("it is nothing to do");
    assert_eq!((same.from, same.to, same.pause_ns), (2, 2, 0));
    assert_eq!(job.rescale(3).expect("it may be").from, 2);
    let report = job.drain().expect("nothing fails");
    assert_eq!(report.conservation.imbalances, []);
}

#[test]
fn tasks_that_cannot_be_more_or_fewer_are_named() {
    type Build = fn(&Pipeline);
    let cases: [(Build, &str); 5] = [
        (
            |pipeline| {
                let numbers = pipeline.source(iterator(0u64..)).partition_by(RoundRobin::default());
                numbers.rate_limit(1_000).sink(blackhole());
            },
            "each instance has its part of the rate",
        ),
        (
            |pipeline| {
                let folder = std::env::temp_dir().join("millstream-rescale-test");
                let numbers = pipeline.source(iterator(0u64..)).partition_by(RoundRobin::default());
                numbers.sink(file_sink(folder));
            },
            "its sink has a file on each partition",
        ),
        (
            |pipeline| {
                let numbers = pipeline.source(iterator(0u64..));
                let all = pipeline.source(iterator(0u64..)).broadcast();
                numbers.union(all).sink(blackhole());
            },
            "it reads all partitions beside a source of its own",
        ),
        (
            |pipeline| {
                let numbers = pipeline.source(iterator(0u64..)).partition_by(RoundRobin::default());
                let timed = numbers.assign_timestamps(|n| *n as i64, Monotone::new());
                timed.sink(blackhole());
            },
            "it makes the event time of the records of its partition",
        ),
        (
            |pipeline| {
                let numbers = pipeline.source(iterator(0u64..));
                let timed = numbers.assign_timestamps(|n| *n as i64, Monotone::new());
                timed.partition_by(RoundRobin::default()).sort_by_time().sink(blackhole());
            },
            "records that it holds back belong to no key",
        ),
    ];
    for (build, why) in cases {
        let pipeline = Pipeline::new("bound");
        build(&pipeline);
        let job = engine(2).start(pipeline).expect("it starts");
        let (kind, text) = refused(&job, 3);
        assert_eq!(kind, ErrorKind::InvalidConfig);
        assert!(text.ends_with(why), "{text}");
        job.stop().expect("it goes on until then");
    }
}

#[test]
fn job_that_has_ended_or_is_being_rescaled_is_left_alone() {
    let pipeline = Pipeline::new("short");
    pipeline.source(iterator(0..10u32)).key_by(|n| *n).count().sink(blackhole());
    let job = engine(2).start(pipeline).expect("it starts");
    while !job.has_ended() {
        std::thread::yield_now();
    }
    let error = job.rescale(3).expect_err("it has ended");
    assert_eq!(error.kind(), ErrorKind::Closed);
    job.join().expect("nothing fails");

    let pipeline = Pipeline::new("endless");
    pipeline.source(iterator(0u64..)).key_by(|n| n % 8).count().sink(blackhole());
    let job = engine(2).start(pipeline).expect("it starts");
    let outcomes = std::thread::scope(|scope| {
        let rescales: Vec<_> = [3, 4, 5, 6]
            .map(|to| {
                scope.spawn({
                    let job = &job;
                    move || job.rescale(to)
                })
            })
            .into();
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| thread.join().expect("no panic");
        rescales.into_iter().map(join).collect::<Vec<_>>()
    });
    assert!(outcomes.iter().any(Result::is_ok));
    for error in outcomes.into_iter().filter_map(Result::err) {
        assert_eq!(error.kind(), ErrorKind::TryAgain, "{error}");
    }
    job.rescale(2).expect("nobody is at it any more");
    assert_eq!(job.drain().expect("nothing fails").conservation.imbalances, []);
}

#[test]
fn failure_in_the_middle_fails_the_job() {
    let pipeline = Pipeline::new("fails");
    let numbers = generate(None, |index| {
        assert!(index < 200_000, "planted");
        index
    });
    let keyed = pipeline.source(numbers).key_by(|n| n % 8).emit_at(EmitAt::EachRecord);
    keyed.count().sink(blackhole());
    let job = engine(2).start(pipeline).expect("it starts");
    let error = 'over: loop {
        for partitions in [3, 1, 2] {
            if let Err(error) = job.rescale(partitions) {
                break 'over error;
            }
        }
    };
    drop(error);
    assert_eq!(job.join().expect_err("it has failed").kind(), ErrorKind::JobFailed);
}

/// Moves the first group that partition 0 owns to partition 1, on each view. Counts the views on
/// which the owners had changed.
struct OneByOne {
    owned: usize,
    changes: Arc<AtomicU64>,
}

impl RebalancePolicy for OneByOne {
    fn name(&self) -> &str {
        "one by one"
    }

    fn plan(&mut self, view: &LoadView) -> Vec<Decision> {
        let owners = &view.domains[0].owners;
        let owned = owners.iter().filter(|owner| **owner == 0).count();
        if owned != self.owned {
            self.owned = owned;
            self.changes.fetch_add(1, Ordering::Relaxed);
        }
        let first = owners.iter().position(|owner| *owner == 0);
        let units = first.map(|group| Unit::Group(group as u16)).into_iter().collect();
        let action = Action::Move { domain: 0, units, from: 0, to: 1 };
        let verdict = Verdict::Act { action, gain_ns: 1, cost_ns: 1 };
        vec![Decision { number: 0, rule: Rule::Other, seen: "it is a test".into(), verdict }]
    }
}

#[test]
fn sink_that_takes_nothing_puts_it_off_and_moves_go_on() {
    let changes = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&changes);
    let engine =
        engine(2).rebalance_by(move || OneByOne { owned: 0, changes: Arc::clone(&counted) });
    let pipeline = Pipeline::new("slow sink");
    let (sink, mut numbers) = channel_sink(4);
    let keyed = pipeline.source(iterator(0u64..)).key_by(|number: &u64| *number);
    keyed.emit_at(EmitAt::EachRecord).count().sink(sink);
    let job = engine.start(pipeline).expect("it starts");
    let mut seen = std::collections::BTreeSet::new();
    let mut take = |(number, _)| assert!(seen.insert(number), "{number} comes once");
    numbers.recv_blocking().map(&mut take);
    let error = job.rescale(3).expect_err("nothing comes through");
    assert_eq!(error.kind(), ErrorKind::TryAgain);
    let enough = changes.load(Ordering::Relaxed) + 3;
    while changes.load(Ordering::Relaxed) < enough {
        numbers.try_recv().ok().map(&mut take);
    }
    let rescaled = std::thread::scope(|scope| {
        let rescale = scope.spawn(|| job.rescale(3));
        while !rescale.is_finished() {
            numbers.try_recv().ok().map(&mut take);
        }
        rescale.join().expect("no panic")
    });
    assert_eq!(rescaled.expect("all comes through").to, 3);
    job.stop().expect("nothing fails");
}
