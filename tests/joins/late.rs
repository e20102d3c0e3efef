//! Joins beyond the bound: each row and watermark goes to the operator and to a naive one that
//! forgets nothing; what comes out, when, and what is late must be equal.

use std::fmt::Debug;
use std::time::Duration;

use millstream::dataflow::{Chain, Stamped};
use millstream::operator::window::Change;
use millstream::record::Either;
use millstream::testing::Random;
use millstream::testing::harness::{Harness, Room};
use millstream::time::Timestamp;

use crate::{Joined, Row};

type Sided = Either<Row, Row>;

enum Step {
    Row(Sided),
    Watermark(i64),
}

/// Rows up to 80 ms behind the latest, and watermarks that do not wait for them.
fn script(seed: u64) -> Vec<Step> {
    let mut random = Random::seeded(seed);
    let (keys, often) = (random.within(1..=3), random.within(1..=8));
    let (mut now, mut watermark) = (1_000, 0);
    let mut steps = Vec::new();
    for id in 0..150 {
        now += random.below(12) as i64;
        if random.one_in(often) {
            watermark = watermark.max(now - random.below(60) as i64);
            steps.push(Step::Watermark(watermark));
        }
        let time = now - random.below(81) as i64;
        let row = Row { key: random.below(keys), time, id };
        let side = if random.one_in(2) { Either::Left } else { Either::Right };
        steps.push(Step::Row(side(row)));
    }
    steps
}

/// A naive join.
trait Naive {
    type Out: Ord + Debug;
    /// What comes out for a row, with its time; `None` if it is late.
    fn row(&mut self, row: Sided, watermark: i64) -> Option<Vec<(i64, Self::Out)>>;
    /// What comes out when the watermark moves.
    fn watermark(&mut self, to: i64) -> Vec<(i64, Self::Out)>;
}

/// Plays 200 scripts, each with all the room there is and with one slot.
fn agrees<N: Naive, C>(make: impl Fn() -> Harness<C>, naive: impl Fn() -> N, lag_ms: Option<i64>)
where
    C: Chain<In = Stamped<Sided>, Out = N::Out>,
{
    let mut late = 0;
    for seed in 0..200 {
        for room in [Room::Unbounded, Room::OneSlot] {
            late += play(seed, make().room(room), naive(), lag_ms);
        }
    }
    assert!(late > 1_000, "{late} of 60,000 rows are late");
}

/// Returns how many rows were late.
///
/// * `lag_ms` - by how much the watermark is held back; `None` where late rows make late results.
fn play<N: Naive, C>(seed: u64, mut harness: Harness<C>, mut naive: N, lag_ms: Option<i64>) -> u64
where
    C: Chain<In = Stamped<Sided>, Out = N::Out>,
{
    let (mut watermark, mut late, mut applied) = (i64::MIN, 0, 0);
    let end = [Step::Watermark(i64::MAX)];
    for (at, step) in script(seed).into_iter().chain(end).enumerate() {
        let told = harness.output_watermark();
        let mut expected = match step {
            Step::Row(row) => {
                let (Either::Left(one) | Either::Right(one)) = &row;
                harness.feed([Stamped { time: one.time.into(), record: row.clone() }]);
                let expected = naive.row(row, watermark);
                late += u64::from(expected.is_none());
                applied += u64::from(expected.is_some());
                expected.unwrap_or_default()
            }
            Step::Watermark(i64::MAX) => {
                harness.end();
                naive.watermark(i64::MAX)
            }
            Step::Watermark(to) => {
                watermark = to;
                harness.advance_watermark(to);
                if let Some(lag_ms) = lag_ms {
                    let expected = Timestamp::from_millis(to - lag_ms);
                    assert_eq!(harness.output_watermark(), expected, "{seed}");
                }
                naive.watermark(to)
            }
        };
        let emitted = harness.take_emitted_with_times();
        if lag_ms.is_some() {
            let early = emitted.iter().map(|(_, time)| *time).min();
            assert!(early.is_none_or(|time| time > told), "seed {seed}, step {at}: late result");
        }
        let stamped = emitted.into_iter().map(|(record, time)| (time.as_millis(), record));
        let mut emitted: Vec<_> = stamped.collect();
        emitted.sort();
        expected.sort();
        assert_eq!(emitted, expected, "seed {seed}, step {at}");
    }
    let tally = harness.tally();
    assert_eq!((tally.late, tally.applied), (late, applied), "seed {seed}");
    late
}

/// A row that has come, and whether it has had a match.
struct Seen {
    row: Row,
    is_matched: bool,
    is_out: bool,
}

impl Seen {
    fn new(row: Row) -> Seen {
        Seen { row, is_matched: false, is_out: false }
    }
}

/// Of a full interval join.
struct NaiveInterval {
    bounds: (i64, i64),
    left: Vec<Seen>,
    right: Vec<Seen>,
}

impl Naive for NaiveInterval {
    type Out = Joined;

    fn row(&mut self, row: Sided, watermark: i64) -> Option<Vec<(i64, Joined)>> {
        let (lower, upper) = self.bounds;
        let (Either::Left(one) | Either::Right(one)) = &row;
        if one.time <= watermark {
            return None;
        }
        let near = |l: &Row, r: &Row| {
            l.key == r.key && (l.time + lower..=l.time + upper).contains(&r.time)
        };
        let mut out = Vec::new();
        match row {
            Either::Left(row) => {
                let mut seen = Seen::new(row);
                for other in self.right.iter_mut().filter(|other| near(&seen.row, &other.row)) {
                    (seen.is_matched, other.is_matched) = (true, true);
                    let pair = (Some(seen.row.clone()), Some(other.row.clone()));
                    out.push((seen.row.time.max(other.row.time), pair));
                }
                self.left.push(seen);
            }
            Either::Right(row) => {
                let mut seen = Seen::new(row);
                for other in self.left.iter_mut().filter(|other| near(&other.row, &seen.row)) {
                    (seen.is_matched, other.is_matched) = (true, true);
                    let pair = (Some(other.row.clone()), Some(seen.row.clone()));
                    out.push((seen.row.time.max(other.row.time), pair));
                }
                self.right.push(seen);
            }
        }
        // What the watermark has passed already does not wait for it to move.
        out.extend(self.watermark(watermark));
        Some(out)
    }

    fn watermark(&mut self, to: i64) -> Vec<(i64, Joined)> {
        let (lower, upper) = self.bounds;
        let mut out = Vec::new();
        for (rows, wait, is_left) in
            [(&mut self.left, upper, true), (&mut self.right, -lower, false)]
        {
            for seen in rows.iter_mut().filter(|seen| !seen.is_matched && !seen.is_out) {
                if seen.row.time + wait <= to {
                    seen.is_out = true;
                    let (row, time) = (Some(seen.row.clone()), seen.row.time);
                    out.push((time, if is_left { (row, None) } else { (None, row) }));
                }
            }
        }
        out
    }
}

#[test]
fn full_interval_join_forgets_nothing_too_early_and_holds_the_watermark_back() {
    for bounds in [(-20, 35), (0, 0), (10, 60), (-60, -10)] {
        let held = bounds.1.max(-bounds.0).max(0);
        agrees(
            || {
                Harness::connected(|l, r| {
                    let right = r.key_by(|row: &Row| row.key);
                    l.key_by(|row: &Row| row.key).interval_join(right, bounds.0..=bounds.1).full()
                })
            },
            || NaiveInterval { bounds, left: Vec::new(), right: Vec::new() },
            Some(held),
        );
    }
}

const TTL_MS: i64 = 40;

/// Of a full regular join with a time to live.
#[derive(Default)]
struct NaiveRegular {
    left: Vec<Seen>,
    right: Vec<Seen>,
}

impl Naive for NaiveRegular {
    type Out = (Joined, i64);

    fn row(&mut self, row: Sided, watermark: i64) -> Option<Vec<(i64, (Joined, i64))>> {
        let (is_left, row) = match row {
            Either::Left(row) => (true, row),
            Either::Right(row) => (false, row),
        };
        if row.time + TTL_MS <= watermark {
            return None;
        }
        let of = |own: Option<&Row>, other: Option<&Row>| {
            let (own, other) = (own.cloned(), other.cloned());
            if is_left { (own, other) } else { (other, own) }
        };
        let (own, others) = match is_left {
            true => (&mut self.left, &mut self.right),
            false => (&mut self.right, &mut self.left),
        };
        let mut seen = Seen::new(row);
        let mut out = Vec::new();
        for other in others {
            let is_there = other.row.time + TTL_MS > watermark;
            let is_near = other.row.time.abs_diff(seen.row.time) <= TTL_MS as u64;
            if other.row.key != seen.row.key || !is_there || !is_near {
                continue;
            }
            let time = seen.row.time.max(other.row.time);
            if !std::mem::replace(&mut other.is_matched, true) {
                out.push((time, (of(None, Some(&other.row)), -1)));
            }
            seen.is_matched = true;
            out.push((time, (of(Some(&seen.row), Some(&other.row)), 1)));
        }
        if !seen.is_matched {
            out.push((seen.row.time, (of(Some(&seen.row), None), 1)));
        }
        own.push(seen);
        Some(out)
    }

    fn watermark(&mut self, _: i64) -> Vec<(i64, (Joined, i64))> {
        Vec::new()
    }
}

#[test]
fn full_regular_join_with_a_time_to_live_matches_whatever_still_lives() {
    agrees(
        || {
            Harness::connected(|l, r| {
                let joined = l.key_by(|row: &Row| row.key).join(r.key_by(|row: &Row| row.key));
                let joined = joined.ttl(Duration::from_millis(TTL_MS as u64)).full();
                joined.map(|update| match update.change {
                    Change::Insert => (update.row, 1),
                    Change::Retract => (update.row, -1),
                })
            })
        },
        NaiveRegular::default,
        None,
    );
}

/// Of a join with a table.
#[derive(Default)]
struct NaiveTable {
    waiting: Vec<Row>,
    versions: Vec<Row>,
}

impl Naive for NaiveTable {
    type Out = (Row, Option<Row>);

    fn row(&mut self, row: Sided, watermark: i64) -> Option<Vec<(i64, Self::Out)>> {
        match row {
            Either::Left(row) if row.time <= watermark => return None,
            Either::Left(row) => self.waiting.push(row),
            Either::Right(row) => {
                let is_newer = |version: &Row| {
                    version.key == row.key && (row.time + 1..=watermark).contains(&version.time)
                };
                if self.versions.iter().any(is_newer) {
                    return None;
                }
                self.versions.push(row);
            }
        }
        Some(Vec::new())
    }

    fn watermark(&mut self, to: i64) -> Vec<(i64, Self::Out)> {
        let (due, waiting) = self.waiting.drain(..).partition(|row| row.time <= to);
        self.waiting = waiting;
        let due: Vec<Row> = due;
        let version = |row: &Row| {
            let of_key = self.versions.iter().filter(|version| version.key == row.key);
            of_key.filter(|version| version.time <= row.time).max_by_key(|version| version.time)
        };
        due.into_iter().map(|row| (row.time, (row.clone(), version(&row).cloned()))).collect()
    }
}

#[test]
fn join_with_a_table_waits_for_the_watermark_and_keeps_the_versions_that_can_hold() {
    agrees(
        || {
            Harness::connected(|l, r| {
                l.key_by(|row: &Row| row.key).join_table(r.key_by(|row: &Row| row.key))
            })
        },
        NaiveTable::default,
        Some(0),
    );
}
