//! That nothing is lost where much state goes over. Each test prints how long keys stood still: H9
//! and H15, bars that `benches/hot-keys` judges.
#![allow(clippy::disallowed_methods)]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use millstream::config::Pin;
use millstream::connector::generator::generate;
use millstream::connector::{channel, for_each};
use millstream::prelude::*;
use millstream::record::hash_key;
use millstream::routing::key_group;
use millstream::supervisor::{Action, Decision, LoadView, RebalancePolicy, Rule, Unit, Verdict};

fn engine(partitions: usize) -> Engine {
    let config = Config::builder().partitions(partitions).pin(Pin::Off).build();
    Engine::new(config.expect("the knobs are in their bounds")).expect("no core is asked for")
}

/// One job at a time: they measure pauses.
static ALONE: Mutex<()> = Mutex::new(());

/// Key group that all keys of a test are in.
const GROUP: u16 = 0;
/// Keys of it, whose state is a record of 1 KiB, in place: 100 MB.
const GROUP_KEYS: usize = 100_000;
const MOVES: u64 = 40;

/// Moves the group back and forth, once it may, and counts how often its owner has changed.
struct BackAndForth {
    may: Arc<AtomicBool>,
    moves: Arc<AtomicU64>,
    owner: Option<u16>,
}

impl RebalancePolicy for BackAndForth {
    fn name(&self) -> &str {
        "back and forth"
    }

    fn plan(&mut self, view: &LoadView) -> Vec<Decision> {
        let owner = view.domains[0].owners[usize::from(GROUP)];
        if self.owner.replace(owner).is_some_and(|before| before != owner) {
            self.moves.fetch_add(1, Ordering::Relaxed);
        }
        if !self.may.load(Ordering::Relaxed) {
            return Vec::new();
        }
        let (from, to) = (usize::from(owner), usize::from(1 - owner));
        let action = Action::Move { domain: 0, units: vec![Unit::Group(GROUP)], from, to };
        let verdict = Verdict::Act { action, gain_ns: 1, cost_ns: 1 };
        vec![Decision { number: 0, rule: Rule::Other, seen: "it is a test".into(), verdict }]
    }
}

#[test]
#[ignore = "bar H9: takes 200 MB of memory"]
fn group_with_100_mb_of_state_goes_to_and_fro() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    type Inline = (u64, [u64; 16], [[u64; 16]; 6], [u64; 15]);
    let (may, moves) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let shared = (Arc::clone(&may), Arc::clone(&moves));
    let engine = engine(2).rebalance_by(move || {
        let (may, moves) = shared.clone();
        BackAndForth { may, moves, owner: None }
    });
    let counted = Arc::new(AtomicU64::new(0));
    let added = Arc::clone(&counted);
    let pipeline = Pipeline::new("one big group");
    let keys = pipeline.source(channel::<u64>("keys", 1_024));
    let states = keys.map(|key| -> Inline { (key, [1; 16], [[1; 16]; 6], [1; 15]) });
    let sums = states.key_by(|state| state.0).emit_at(EmitAt::Every(Duration::from_secs(3_600)));
    sums.reduce(|mut sum, other| {
        sum.1[0] += other.1[0];
        sum
    })
    .sink(for_each(move |(_, sum): (u64, Inline)| {
        added.fetch_add(sum.1[0], Ordering::Relaxed);
    }));
    let job = engine.start(pipeline).expect("it starts");
    let input = job.input::<u64>("keys").expect("there is one");
    let is_in_group = |key: &u64| key_group(hash_key(key)) == usize::from(GROUP);
    let keys: Vec<u64> = (0..).filter(is_in_group).take(GROUP_KEYS).collect();
    keys.iter().for_each(|key| input.send_blocking(*key).expect("the job runs"));
    may.store(true, Ordering::Relaxed);
    // A few ten thousand records a second, so that it is the move that keys wait for.
    for key in keys.iter().cycle() {
        if moves.load(Ordering::Relaxed) == MOVES {
            break;
        }
        input.send_blocking(*key).expect("the job runs");
        std::thread::sleep(Duration::from_micros(20));
    }
    drop(input);
    let report = job.drain().expect("nothing fails");
    assert_eq!(counted.load(Ordering::Relaxed), report.records, "nothing is lost or doubled");
    let moves = report.moves;
    assert!(moves.groups >= MOVES, "{moves:?}");
    let [p50, p99] = [moves.pause_ns_p50, moves.pause_ns_p99].map(|ns| ns as f64 / 1e6);
    println!("H9: {} moves of 100 MB, pause p50 {p50:.3} ms, p99 {p99:.3} ms", moves.groups);
}

/// Keys whose state is a record of 1 KiB: 1 GiB of state.
const BIG_KEYS: u64 = 1 << 20;

#[test]
#[ignore = "bar H15: takes 3 GB of memory"]
fn a_gibibyte_of_state_goes_over_to_other_partitions() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    type Big = (u64, Vec<u64>);
    let pipeline = Pipeline::new("much state");
    let numbers = pipeline.source(generate(None, |index| index % BIG_KEYS));
    let big = numbers.map(|key| -> Big { (key, vec![1; 125]) }).key_by(|big: &Big| big.0);
    let sums = big.emit_at(EmitAt::Every(Duration::from_secs(3_600))).reduce(|mut sum, other| {
        sum.1[0] += other.1[0];
        sum
    });
    let (keys, counted) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (seen, added) = (Arc::clone(&keys), Arc::clone(&counted));
    sums.sink(for_each(move |(_, (_, counts)): (u64, Big)| {
        seen.fetch_add(1, Ordering::Relaxed);
        added.fetch_add(counts[0], Ordering::Relaxed);
    }));
    let job = engine(2).start(pipeline).expect("it starts");
    while job.records() < 2 * BIG_KEYS {
        std::thread::sleep(Duration::from_millis(20));
    }
    for partitions in [3, 1, 2] {
        let rescaled = job.rescale(partitions).expect("it may be");
        let pause_ms = rescaled.pause_ns as f64 / 1e6;
        println!("H15: {} -> {}, 1 GiB: pause {pause_ms:.2} ms", rescaled.from, rescaled.to);
        std::thread::sleep(Duration::from_millis(500));
    }
    let report = job.drain().expect("nothing fails");
    assert_eq!(keys.load(Ordering::Relaxed), BIG_KEYS, "each key has one owner");
    assert_eq!(counted.load(Ordering::Relaxed), report.records, "nothing is lost or doubled");
    assert_eq!(report.conservation.imbalances, []);
}
