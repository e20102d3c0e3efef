//! Bugs that were fixed, one test each, named after the issue in which they were found.

use std::sync::mpsc::channel as std_channel;
use std::time::Duration;

use millstream::config::Pin;
use millstream::connector::{blackhole, channel, collection, for_each, iterator};
use millstream::prelude::*;

fn engine(partitions: usize) -> Engine {
    let config = Config::builder().partitions(partitions).pin(Pin::Off).build();
    Engine::new(config.expect("the knobs are in their bounds")).expect("no core is asked for")
}

/// Panics as it is dropped on an engine's thread, and nowhere else.
#[derive(Clone)]
struct Bomb(std::thread::ThreadId);

impl Bomb {
    fn new() -> Bomb {
        Bomb(std::thread::current().id())
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        let is_away = std::thread::current().id() != self.0;
        assert!(!is_away || std::thread::panicking(), "planted");
    }
}

/// The partition was gone without having said so, and `join` waited for ever.
#[test]
fn issue_4_drop_that_panics_fails_the_job_and_ends_it() {
    let bomb = Bomb::new();
    let pipeline = Pipeline::new("bomb");
    let numbers = pipeline.source(iterator(0u64..10));
    let held = numbers.inspect(move |_| {
        let _held = &bomb;
    });
    held.sink(blackhole());
    let error = engine(1).run(pipeline).expect_err("the drop panics");
    assert_eq!(error.kind(), ErrorKind::JobFailed);
    assert!(error.to_string().ends_with("panicked: planted"), "{error}");
}

/// What was counted since the last publication was seen only after the next record.
#[test]
fn issue_4_report_of_a_parked_job_is_up_to_date() {
    let pipeline = Pipeline::new("parked");
    let (seen, results) = std_channel();
    let numbers = pipeline.source(channel::<u64>("numbers", 64)).rebalance();
    numbers.sink(for_each(move |number| seen.send(number).unwrap_or(())));
    let job = engine(2).start(pipeline).expect("it starts");
    let input = job.input::<u64>("numbers").expect("it is fed");
    for number in 0..50 {
        input.send_blocking(number).expect("the job runs");
        results.recv().expect("it arrives");
    }
    // Hangs if the partitions sleep on their figures.
    while job.records() < 50 || job.report().latency_ns.count < 50 {
        std::thread::yield_now();
    }
    job.stop().expect("nothing failed");
}

/// The time of the next tick overflowed.
#[test]
fn issue_4_longest_interval_never_ticks() {
    let pipeline = Pipeline::new("never");
    let keyed = pipeline.source(iterator(0u64..100)).key_by(|n| n % 2);
    let counts = keyed.emit_at(EmitAt::Every(Duration::MAX)).count().collect();
    engine(2).run(pipeline).expect("nothing fails");
    assert_eq!(counts.take().len(), 2, "at the end only");
}

/// A tick was always due, so that the partition never slept.
#[test]
fn issue_4_interval_of_nothing_is_refused() {
    let pipeline = Pipeline::new("always");
    let keyed = pipeline.source(collection(vec![1])).key_by(|n| *n);
    keyed.emit_at(EmitAt::Every(Duration::ZERO)).count().sink(blackhole());
    let error = engine(1).start(pipeline).err().expect("0 s is no interval");
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    assert!(error.to_string().contains("EmitAt::Every is 0 s"), "{error}");
}

/// The search for cycles looked up the reader of an edge that had none, and panicked.
#[test]
fn issue_4_keyed_stream_that_leads_nowhere_is_named() {
    let pipeline = Pipeline::new("nowhere");
    let _ = pipeline.source(collection(vec![1])).key_by(|n| *n).count();
    let error = engine(1).start(pipeline).err().expect("it leads nowhere");
    assert_eq!(error.to_string(), "stream `aggregate` leads to no sink; every stream ends in one");
}
