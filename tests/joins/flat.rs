//! Memory of a join over an endless run: how many records and keys it holds does not grow.

use std::cell::Cell;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use millstream::dataflow::{Chain, Stamped};
use millstream::operator::window::tumbling;
use millstream::record::Either;
use millstream::testing::harness::Harness;
use serde::{Deserialize, Serialize};

thread_local! {
    static LIVE: Cell<i64> = const { Cell::new(0) };
}

/// Counts how many of it there are.
#[derive(Debug)]
struct Live(());

impl Live {
    fn new() -> Live {
        LIVE.set(LIVE.get() + 1);
        Live(())
    }
}

/// For what is read back; here nothing is.
impl Default for Live {
    fn default() -> Self {
        Live::new()
    }
}

impl Clone for Live {
    fn clone(&self) -> Self {
        Live::new()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        LIVE.set(LIVE.get() - 1);
    }
}

/// A record, and a key that records of some time have and no others.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Reading {
    key: u64,
    #[serde(skip)]
    _live: Live,
}

#[derive(Clone, Debug)]
struct Key {
    key: u64,
    _live: Live,
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        self.key == other.key
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

fn key(reading: &Reading) -> Key {
    Key { key: reading.key, _live: Live::new() }
}

const RECORDS: i64 = 1_000_000;
const BATCH: i64 = 1_000;

/// The most records and keys that were held after a batch, in each tenth of the run.
///
/// * `keys` - of the record at a time: some stay for ever, some come once.
fn held<C>(mut harness: Harness<C>, key_of: impl Fn(i64) -> u64) -> Vec<i64>
where
    C: Chain<In = Stamped<Either<Reading, Reading>>>,
{
    let mut most = vec![0; 10];
    for first in (0..RECORDS).step_by(BATCH as usize) {
        harness.feed((first..first + BATCH).map(|time| {
            let reading = Reading { key: key_of(time), _live: Live::new() };
            let side = if time % 3 == 0 { Either::Right } else { Either::Left };
            // Up to 50 ms out of order.
            Stamped { record: side(reading), time: (time - time * 7 % 51).into() }
        }));
        harness.advance_watermark(first + BATCH - 60);
        harness.take_emitted();
        let tenth = &mut most[(first * 10 / RECORDS) as usize];
        *tenth = LIVE.get().max(*tenth);
    }
    assert!(harness.tally().late < RECORDS as u64 / 10, "records are taken");
    most
}

/// Some keys are there all the time, others for a while.
fn mixed(time: i64) -> u64 {
    if time % 2 == 0 { time as u64 % 10 } else { 1_000 + time as u64 / 100 }
}

fn stays_flat(what: &str, held: Vec<i64>) {
    println!("{what}: at most {held:?} records and keys held in each tenth");
    let (early, late) = (held[1], held[9]);
    assert!(early > 0 && late <= early + early / 10, "{what}: {held:?}");
    assert!(late < 10_000, "{what}: {held:?}");
}

#[test]
fn interval_join_holds_what_is_within_its_bounds() {
    let harness =
        Harness::connected(|l, r| l.key_by(key).interval_join(r.key_by(key), -100..=200).full());
    stays_flat("interval join", held(harness, mixed));
}

#[test]
fn regular_join_with_a_time_to_live_holds_what_lives() {
    let harness = Harness::connected(|l, r| {
        l.key_by(key).join(r.key_by(key)).ttl(Duration::from_millis(200)).left()
    });
    stays_flat("regular join", held(harness, mixed));
}

#[test]
fn window_join_holds_open_windows() {
    let harness = Harness::connected(|l, r| {
        let joined = l.key_by(key).join(r.key_by(key));
        joined.window(tumbling(Duration::from_millis(100))).inner(|l, _| l.key)
    });
    stays_flat("window join", held(harness, mixed));
}

#[test]
fn join_with_a_table_holds_one_version_of_each_key_behind_the_watermark() {
    let harness = Harness::connected(|l, r| l.key_by(key).join_table(r.key_by(key)));
    // A table has as many versions as it has keys.
    stays_flat("join with a table", held(harness, |time| time as u64 / 7 % 100));
}
