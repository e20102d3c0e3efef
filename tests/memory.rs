//! Memory stays flat when a sink is a hundred times slower than its source.
#![allow(clippy::disallowed_methods)] // Tests read clocks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use millstream::config::Pin;
use millstream::connector::{for_each, iterator};
use millstream::prelude::*;

/// Time that the sink takes for a record; the source takes about a hundredth of it.
const SINK_NS: u64 = 1_000;
/// One record: as large as a cache line.
type Record = [u64; 8];

/// Bytes of this process that are in memory.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("this system has it");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it is listed");
    let kib = line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number");
    kib * 1_024
}

/// Does nothing for a while, without giving the core away.
fn spin(ns: u64) {
    let until = Instant::now() + Duration::from_nanos(ns);
    while Instant::now() < until {
        std::hint::spin_loop();
    }
}

/// A slow sink's view of the world: counts what arrives and ticks now and then.
#[derive(Clone)]
struct Slow {
    written: Arc<AtomicU64>,
    ticks: SyncSender<()>,
}

impl Slow {
    fn take(&self, record: Record) {
        spin(SINK_NS);
        if self.written.fetch_add(1, Ordering::Relaxed).is_multiple_of(1_000) {
            // Full: the test has not looked yet.
            let _ = self.ticks.try_send(());
        }
        assert_eq!(record[0], record[7], "a record arrived torn");
    }
}

/// Records that have come out when all buffers have made a round, however busy the machine is.
const WARM: u64 = 400_000;

/// Waits for the sinks to tick until `time` has come and they have taken `records`.
fn wait(ticks: &Receiver<()>, time: Instant, written: &AtomicU64, records: u64) {
    while Instant::now() < time || written.load(Ordering::Relaxed) < records {
        ticks.recv_timeout(Duration::from_secs(10)).expect("the sinks take records");
    }
}

/// Compares resident memory after `early` and after `late`.
fn stays_flat(early: Duration, late: Duration) {
    let (ticks, ticked) = sync_channel(1);
    let slow = Slow { written: Arc::default(), ticks };
    let written = Arc::clone(&slow.written);
    let pipeline = Pipeline::new("slow sink");
    let records = pipeline.source(iterator((0u64..).map(|number| [number; 8])));
    let [first, second] = records.rebalance().fork();
    let both = first.union(second.map(|record| record)).key_by(|record| record[0] % 1_000);
    let latest = both.emit_at(EmitAt::EachRecord).reduce(|_, next| next);
    latest.map(|(_, record)| record).sink(for_each(move |record| slow.take(record)));

    let config = Config::builder().partitions(2).pin(Pin::Off).build().expect("in bounds");
    let job = Engine::new(config).and_then(|engine| engine.start(pipeline)).expect("it starts");
    let started = Instant::now();
    wait(&ticked, started + early, &written, WARM);
    let before = resident_bytes();
    wait(&ticked, started + late, &written, 2 * WARM);
    let after = resident_bytes();
    let (let_in, out) = (job.records(), written.load(Ordering::Relaxed));
    println!("resident: {before} B after {early:?}, {after} B after {late:?}; {out} records out");
    assert!(after <= before + (1 << 20), "resident memory grew from {before} to {after} bytes");

    // Each record goes out twice. What is on its way fits into the lanes of the graph's edges.
    let on_the_way = let_in.saturating_sub(out / 2);
    assert!(on_the_way < 64 * 1_024, "{let_in} were let in and only {out} came out");
    let report = job.drain().expect("nothing fails");
    assert_eq!(written.load(Ordering::Relaxed), 2 * report.records, "something was dropped");
    assert!(report.partitions.iter().any(|one| one.stalled > 0.0), "the source was not slowed");
}

#[test]
fn memory_is_flat_behind_a_slow_sink() {
    stays_flat(Duration::from_millis(400), Duration::from_millis(1_500));
}

#[test]
#[ignore = "takes a minute: cargo test --release --test memory -- --ignored --nocapture"]
fn memory_is_flat_behind_a_slow_sink_for_a_minute() {
    stays_flat(Duration::from_secs(5), Duration::from_secs(60));
}
