//! Joins through the public API: whatever the partitions and the order in which they run, what
//! comes out is what a nested loop over both streams gives.
#![allow(clippy::disallowed_methods)]

#[path = "joins/connected.rs"]
mod connected;
#[path = "joins/flat.rs"]
mod flat;
#[path = "joins/late.rs"]
mod late;

use std::collections::BTreeMap;
use std::time::Duration;

use millstream::connector::IteratorSource;
use millstream::connector::{Collected, iterator};
use millstream::dataflow::{BoxedStream, FromSource, Timed};
use millstream::operator::join::Update;
use millstream::operator::window::{Change, Windowed, session, sliding, tumbling};
use millstream::prelude::*;
use millstream::testing::Random;
use millstream::testing::simulation::Simulation;
use millstream::time::watermark::BoundedDisorder;
use serde::{Deserialize, Serialize};

/// A record of the left or of the right stream.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Row {
    key: u64,
    time: i64,
    id: u64,
}

/// Rows from a vector.
type Rows = DataStream<FromSource<IteratorSource<std::vec::IntoIter<Row>>>>;

/// Rows in order of time but for `disorder_ms`.
fn rows(seed: u64, count: u64, disorder_ms: u64) -> Vec<Row> {
    let mut random = Random::seeded(seed);
    let keys = random.within(1..=5);
    let mut now = 1_000;
    (0..count)
        .map(|id| {
            now += random.below(20) as i64;
            let time = now - random.below(disorder_ms + 1) as i64;
            Row { key: random.below(keys), time, id }
        })
        .collect()
}

/// Runs what `build` makes of the two streams under 1 to 3 partitions, in an order that the seed
/// picks; what comes out, sorted.
fn each_partitions<T: Ord + Send + 'static>(
    seed: u64,
    (left, right): (&[Row], &[Row]),
    build: impl Fn(Rows, Rows) -> Collected<T>,
    mut check: impl FnMut(Vec<T>, String),
) {
    for partitions in 1..=3 {
        let pipeline = Pipeline::new("joins");
        let (left, right) = (left.to_vec(), right.to_vec());
        let collected = build(pipeline.source(iterator(left)), pipeline.source(iterator(right)));
        let simulation = Simulation::seeded(seed).partitions(partitions);
        simulation.run(pipeline).unwrap_or_else(|error| panic!("{error}"));
        let mut collected = collected.take();
        collected.sort();
        check(collected, format!("seed {seed}, {partitions} partitions"));
    }
}

// Joins of streams whose disorder stays within the bound: nothing is late.

const CASES: u64 = 30;
const DISORDER_MS: u64 = 30;

/// A row of any join, in the form of a full outer one.
type Joined = (Option<Row>, Option<Row>);

/// Gives a stream its times and deals it out, so that partitions see pieces of it.
fn timed(stream: Rows) -> BoxedStream<Row, Timed> {
    let disorder = BoundedDisorder::new(Duration::from_millis(DISORDER_MS));
    stream.assign_timestamps(|row| row.time, disorder).rebalance()
}

/// Checks what `build` makes of two streams against what `expected` makes of them.
fn agrees<T: Ord + Clone + std::fmt::Debug + Send + 'static>(
    build: impl Fn(BoxedStream<Row, Timed>, BoxedStream<Row, Timed>) -> Collected<T>,
    expected: impl Fn(&[Row], &[Row]) -> Vec<T>,
) {
    for seed in 0..CASES {
        let count = seed % 80;
        let left = rows(seed, count, DISORDER_MS);
        let right = rows(seed + 1_000, 70 - count.min(70), DISORDER_MS);
        let mut expected = expected(&left, &right);
        expected.sort();
        each_partitions(
            seed,
            (&left, &right),
            |left, right| build(timed(left), timed(right)),
            |joined, seed| assert_eq!(joined, expected, "{seed}"),
        );
    }
}

/// The nested loop: pairs that `matches` accepts, and rows without a match where wanted.
fn nested_loop(
    (left, right): (&[Row], &[Row]),
    matches: impl Fn(&Row, &Row) -> bool,
    outer: (bool, bool),
) -> Vec<Joined> {
    let matches = |l: &Row, r: &Row| l.key == r.key && matches(l, r);
    let mut joined = Vec::new();
    for l in left {
        let mut partners = right.iter().filter(|r| matches(l, r)).peekable();
        if partners.peek().is_none() && outer.0 {
            joined.push((Some(l.clone()), None));
        }
        joined.extend(partners.map(|r| (Some(l.clone()), Some(r.clone()))));
    }
    if outer.1 {
        let lone = right.iter().filter(|r| !left.iter().any(|l| matches(l, r)));
        joined.extend(lone.map(|r| (None, Some(r.clone()))));
    }
    joined
}

#[test]
fn interval_joins_of_all_kinds_are_those_of_a_nested_loop() {
    for (lower, upper) in [(-20, 35), (0, 0), (10, 60), (-60, -10), (i64::MIN, i64::MAX)] {
        let near = move |l: &Row, r: &Row| {
            (l.time.saturating_add(lower)..=l.time.saturating_add(upper)).contains(&r.time)
        };
        let bounds = lower..=upper;
        agrees(
            |l, r| {
                let joined =
                    l.key_by(|row| row.key).interval_join(r.key_by(|row| row.key), bounds.clone());
                joined.inner().map(|(l, r)| (Some(l), Some(r))).collect()
            },
            |l, r| nested_loop((l, r), near, (false, false)),
        );
        agrees(
            |l, r| {
                let joined =
                    l.key_by(|row| row.key).interval_join(r.key_by(|row| row.key), bounds.clone());
                joined.left().map(|(l, r)| (Some(l), r)).collect()
            },
            |l, r| nested_loop((l, r), near, (true, false)),
        );
        agrees(
            |l, r| {
                let joined =
                    l.key_by(|row| row.key).interval_join(r.key_by(|row| row.key), bounds.clone());
                joined.right().map(|(l, r)| (l, Some(r))).collect()
            },
            |l, r| nested_loop((l, r), near, (false, true)),
        );
        agrees(
            |l, r| {
                let joined =
                    l.key_by(|row| row.key).interval_join(r.key_by(|row| row.key), bounds.clone());
                joined.full().collect()
            },
            |l, r| nested_loop((l, r), near, (true, true)),
        );
    }
}

/// What `updates` come to: the rows that hold. No row may be taken back that was not there.
fn standing<T: Ord + std::fmt::Debug>(updates: impl IntoIterator<Item = (T, i64)>) -> Vec<T> {
    let mut count: BTreeMap<T, i64> = BTreeMap::new();
    for (row, change) in updates {
        *count.entry(row).or_default() += change;
    }
    let mut rows = Vec::new();
    for (row, count) in count {
        assert!((0..=1).contains(&count), "{row:?} holds {count} times");
        rows.extend((count == 1).then_some(row));
    }
    rows
}

/// An update as a row, and 1 or -1.
fn counted<T>(update: Update<T>) -> (T, i64) {
    let change = match update.change {
        Change::Insert => 1,
        Change::Retract => -1,
    };
    (update.row, change)
}

/// As [`agrees`], of a join that takes rows back.
fn agrees_in_the_end(
    build: impl Fn(BoxedStream<Row, Timed>, BoxedStream<Row, Timed>) -> Collected<(Joined, i64)>,
    expected: impl Fn(&[Row], &[Row]) -> Vec<Joined>,
) {
    for seed in 0..CASES {
        let left = rows(seed, 40, DISORDER_MS);
        let right = rows(seed + 1_000, 40, DISORDER_MS);
        let mut expected = expected(&left, &right);
        expected.sort();
        each_partitions(
            seed,
            (&left, &right),
            |left, right| build(timed(left), timed(right)),
            |updates, seed| assert_eq!(standing(updates), expected, "{seed}"),
        );
    }
}

#[test]
fn regular_joins_of_all_kinds_come_to_those_of_a_nested_loop() {
    for ttl_ms in [None, Some(1), Some(50)] {
        let near = move |l: &Row, r: &Row| ttl_ms.is_none_or(|ttl| l.time.abs_diff(r.time) <= ttl);
        macro_rules! check {
            ($kind:ident, $outer:expr, $map:expr) => {
                agrees_in_the_end(
                    |l, r| {
                        let joined = l.key_by(|row| row.key).join(r.key_by(|row| row.key));
                        let joined = match ttl_ms {
                            Some(ttl_ms) => joined.ttl(Duration::from_millis(ttl_ms)),
                            None => joined.keep_forever(),
                        };
                        joined.$kind().map($map).collect()
                    },
                    |l, r| nested_loop((l, r), near, $outer),
                )
            };
        }
        check!(inner, (false, false), |(l, r)| ((Some(l), Some(r)), 1));
        check!(left, (true, false), |update| {
            let ((l, r), change) = counted(update);
            ((Some(l), r), change)
        });
        check!(right, (false, true), |update| {
            let ((l, r), change) = counted(update);
            ((l, Some(r)), change)
        });
        check!(full, (true, true), counted);
    }
}

/// Key, start and end of a window, and the ids of a pair.
type InWindow = (u64, i64, i64, (u64, u64));

fn in_window(result: Windowed<u64, (u64, u64)>) -> InWindow {
    let Windowed { key, window, value, .. } = result;
    (key, window.start.as_millis(), window.end.as_millis(), value)
}

/// The pairs of each window, where `windows` says which windows a row is in.
fn pairs_in(
    left: &[Row],
    right: &[Row],
    windows: impl Fn(&Row) -> Vec<(i64, i64)>,
) -> Vec<InWindow> {
    let mut pairs = Vec::new();
    for l in left {
        for (start, end) in windows(l) {
            let partners =
                right.iter().filter(|r| r.key == l.key && windows(r).contains(&(start, end)));
            pairs.extend(partners.map(|r| (l.key, start, end, (l.id, r.id))));
        }
    }
    pairs
}

#[test]
fn window_joins_are_those_of_a_nested_loop() {
    const MS: fn(u64) -> Duration = Duration::from_millis;
    agrees(
        |l, r| {
            let joined = l.key_by(|row| row.key).join(r.key_by(|row| row.key));
            joined.window(tumbling(MS(50))).inner(|l, r| (l.id, r.id)).map(in_window).collect()
        },
        |l, r| {
            pairs_in(l, r, |row| {
                let start = row.time.div_euclid(50) * 50;
                vec![(start, start + 50)]
            })
        },
    );
    agrees(
        |l, r| {
            let joined = l.key_by(|row| row.key).join(r.key_by(|row| row.key));
            let windows = sliding(MS(60), MS(20));
            joined.window(windows).inner(|l, r| (l.id, r.id)).map(in_window).collect()
        },
        |l, r| {
            pairs_in(l, r, |row| {
                let last = row.time.div_euclid(20) * 20;
                (0..3).map(|step| (last - step * 20, last - step * 20 + 60)).collect()
            })
        },
    );
    agrees(
        |l, r| {
            let joined = l.key_by(|row| row.key).join(r.key_by(|row| row.key));
            joined.window(session(MS(25))).inner(|l, r| (l.id, r.id)).map(in_window).collect()
        },
        |l, r| {
            pairs_in(l, r, |row| {
                let same = l.iter().chain(r).filter(|other| other.key == row.key);
                let mut times: Vec<i64> = same.map(|other| other.time).collect();
                times.sort();
                let pieces: Vec<&[i64]> = times.chunk_by(|a, b| b - a < 25).collect();
                let own = pieces.iter().find(|piece| piece.contains(&row.time));
                let own = own.expect("its own time is among them");
                vec![(own[0], own[own.len() - 1] + 25)]
            })
        },
    );
}

#[test]
fn groups_of_a_window_hold_all_records_of_both_sides() {
    agrees(
        |l, r| {
            let joined = l.key_by(|row| row.key).join(r.key_by(|row| row.key));
            let groups = joined.window(tumbling(Duration::from_millis(40))).co_group();
            groups
                .map(|Windowed { key, window, value: (mut left, mut right), .. }| {
                    left.sort();
                    right.sort();
                    (key, window.start.as_millis(), left, right)
                })
                .collect()
        },
        |l, r| {
            let mut groups: BTreeMap<(u64, i64), (Vec<Row>, Vec<Row>)> = BTreeMap::new();
            let of = |row: &Row| (row.key, row.time.div_euclid(40) * 40);
            l.iter().for_each(|row| groups.entry(of(row)).or_default().0.push(row.clone()));
            r.iter().for_each(|row| groups.entry(of(row)).or_default().1.push(row.clone()));
            let sorted = |mut rows: Vec<Row>| {
                rows.sort();
                rows
            };
            let groups = groups.into_iter();
            groups.map(|((key, start), (l, r))| (key, start, sorted(l), sorted(r))).collect()
        },
    );
}

#[test]
fn each_record_meets_the_version_of_the_table_that_held_at_its_time() {
    for seed in 0..CASES {
        let (left, right) = (rows(seed, 50, DISORDER_MS), rows(seed + 1_000, 40, DISORDER_MS));
        let version = |row: &Row| {
            let of_key = right.iter().filter(|version| version.key == row.key);
            let known = of_key.filter(|version| version.time <= row.time);
            // Of two at one time the later to come.
            known.max_by_key(|version| (version.time, version.id)).cloned()
        };
        let mut expected: Vec<_> = left.iter().map(|row| (row.clone(), version(row))).collect();
        expected.sort();
        each_partitions(
            seed,
            (&left, &right),
            |left, right| {
                let disorder = BoundedDisorder::new(Duration::from_millis(DISORDER_MS));
                let table = right.assign_timestamps(|row| row.time, disorder);
                timed(left).key_by(|row| row.key).join_table(table.key_by(|row| row.key)).collect()
            },
            |joined, seed| assert_eq!(joined, expected, "{seed}"),
        );
    }
}

#[test]
fn what_a_join_takes_is_counted() {
    let (left, right) = (rows(1, 50, 0), rows(2, 30, 0));
    let pipeline = Pipeline::new("counted");
    let (left, right) = (pipeline.source(iterator(left)), pipeline.source(iterator(right)));
    let (left, right) = (timed(left).key_by(|row| row.key), timed(right).key_by(|row| row.key));
    left.interval_join(right, 0..=10).inner().collect();
    let report = Simulation::seeded(1).run(pipeline).expect("it runs");
    let applied: u64 = report.tasks.iter().map(|task| task.tally.applied).sum();
    assert_eq!((applied, report.late), (80, 0));
}

#[test]
fn joins_that_cannot_be_are_refused_before_the_start() {
    let pipeline = Pipeline::new("refused");
    let stream = || timed(pipeline.source(iterator(rows(1, 3, 0)))).key_by(|row| row.key);
    let (lower, upper) = (5, 4);
    stream().interval_join(stream(), lower..=upper).inner().collect();
    stream().join(stream()).ttl(Duration::from_micros(999)).inner().collect();
    stream().join(stream()).window(tumbling(Duration::ZERO)).co_group().collect();
    stream().emit_at(EmitAt::EachRecord).join_table(stream()).collect();
    let engine = Engine::new(Config::default()).expect("an engine");
    let error = engine.run(pipeline).expect_err("nothing can run").to_string();
    for said in [
        "bounds 5 ms..=4 ms hold no time",
        "ttl is less than 1 ms",
        "window size: 0 ms",
        "emit_at is for running aggregates",
    ] {
        assert!(error.contains(said), "{said}: {error}");
    }
}
