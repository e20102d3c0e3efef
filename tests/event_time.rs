//! How event time moves through a job: watermarks behind the records they speak of, the earliest
//! of all inputs, and idle inputs that hold nobody back.
#![allow(clippy::disallowed_methods)]

#[path = "event_time/alignment.rs"]
mod alignment;
#[path = "event_time/splits.rs"]
mod splits;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use millstream::connector::blackhole;
use millstream::connector::generator::generate;
use millstream::dataflow::{
    Collector, Emit, Flow, Operator, Polled, Source, SourceConnector, TaskContext,
};
use millstream::prelude::*;
use millstream::routing::RoundRobin;
use millstream::testing::simulation::{Simulation, simulate};
use millstream::time::watermark::BoundedDisorder;
use millstream::time::{Nanos, Timestamp};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Event {
    Record(Timestamp),
    Watermark(Timestamp),
}

type Log = Arc<Mutex<Vec<(usize, Event)>>>;

/// Notes what passes on each partition.
#[derive(Clone)]
struct Witness {
    log: Log,
    partition: usize,
}

fn witness() -> (Witness, Log) {
    let log = Log::default();
    (Witness { log: Arc::clone(&log), partition: 0 }, log)
}

impl Witness {
    fn note(&self, event: Event) {
        self.log.lock().expect("nobody panicked").push((self.partition, event));
    }
}

impl<T: Send + 'static> Operator<T> for Witness {
    type Out = T;
    const NAME: &'static str = "witness";
    const PINS_STATE: Option<&'static str> = Some("`witness` compares times with the watermark");

    fn open(&mut self, context: &TaskContext) {
        self.partition = context.partition;
    }

    fn on_record<E: Emit<T>>(&mut self, record: T, out: &mut Collector<'_, E>) {
        self.note(Event::Record(out.time()));
        out.emit(record);
    }

    fn on_watermark<E: Emit<T>>(&mut self, time: Timestamp, _: &mut Collector<'_, E>) -> Flow {
        self.note(Event::Watermark(time));
        Flow::Done
    }
}

/// What one partition saw.
fn of_partition(log: &Log, partition: usize) -> Vec<Event> {
    let log = log.lock().expect("nobody panicked");
    log.iter().filter(|(of, _)| *of == partition).map(|(_, event)| *event).collect()
}

/// Asserts that no record is late and time never goes back; returns how many records there were,
/// and how many watermarks before the last, which is the end of time.
fn check(events: &[Event], what: &str) -> (usize, usize) {
    let (mut records, mut watermarks) = (0, 0);
    let mut reached = Timestamp::MIN;
    for event in events {
        match *event {
            Event::Record(time) => {
                assert!(time > reached, "{what}: a record of {time} behind watermark {reached}");
                records += 1;
            }
            Event::Watermark(time) => {
                assert!(time > reached, "{what}: watermark {time} behind {reached}");
                reached = time;
                watermarks += 1;
            }
        }
    }
    assert_eq!(reached, Timestamp::MAX, "{what}: time has come to its end");
    (records, watermarks - 1)
}

const DISORDER_MS: u64 = 50;

/// Its event time: about a millisecond per record, out of order within the bound.
fn time_of(record: &u64) -> i64 {
    (record + record.wrapping_mul(0x9e37_79b9_7f4a_7c15) % DISORDER_MS) as i64
}

fn disorder() -> BoundedDisorder {
    BoundedDisorder::new(Duration::from_millis(DISORDER_MS))
}

/// A job with two sources, local edges, exchanges with and without keys; `log` is behind all.
fn job(records: u64) -> (Pipeline, Log) {
    let pipeline = Pipeline::new("event time");
    let (witness, log) = witness();
    let first = pipeline.source(generate(records, |index| index));
    let first = first.assign_timestamps(time_of, disorder()).partition_by(RoundRobin::default());
    let second = pipeline.source(generate(records / 2, |index| index * 2));
    let [second, other] = second.assign_timestamps(time_of, disorder()).fork();
    other.sink(blackhole());
    let both = first.filter(|number| number % 3 != 0).union(second.map(|number| number + 1));
    both.key_by(|number| number % 7)
        .emit_at(EmitAt::EachRecord)
        .count()
        .apply(witness)
        .sink(blackhole());
    (pipeline, log)
}

#[test]
fn nothing_is_late_that_was_not_late_at_its_source() {
    let mut watermarks_in_all = 0;
    for seed in 0..100 {
        let (pipeline, log) = job(3_000);
        let report = simulate(pipeline, seed).unwrap_or_else(|error| panic!("{error}"));
        let mut seen = 0;
        for partition in 0..16 {
            let events = of_partition(&log, partition);
            if events.is_empty() {
                continue;
            }
            let (records, watermarks) = check(&events, &format!("seed {seed}, {partition}"));
            seen += records;
            watermarks_in_all += watermarks;
        }
        assert_eq!(seen, 2_000 + 1_500, "seed {seed}: {report}");
    }
    assert!(watermarks_in_all > 1_000, "{watermarks_in_all} watermarks on their way");
}

#[test]
fn time_moves_on_real_threads_too() {
    let (pipeline, log) = job(400_000);
    let config = Config::builder().partitions(3).build().expect("a valid configuration");
    Engine::new(config).and_then(|engine| engine.run(pipeline)).expect("it runs");
    let all: Vec<(usize, usize)> =
        (0..3).map(|partition| check(&of_partition(&log, partition), "threads")).collect();
    assert_eq!(all.iter().map(|(records, _)| records).sum::<usize>(), 266_666 + 200_000);
    assert!(all.iter().all(|(_, watermarks)| *watermarks > 0), "{all:?}");
}

/// Gives one record on one partition, and then nothing until it is drained.
struct Silent;

struct SilentSource {
    is_first: bool,
}

impl SourceConnector for Silent {
    type Item = u64;
    type Source = SilentSource;

    fn name(&self) -> String {
        "silent".into()
    }

    fn open(&mut self, context: &TaskContext) -> Result<SilentSource> {
        Ok(SilentSource { is_first: context.partition == 0 })
    }
}

impl Source for SilentSource {
    type Item = u64;

    fn poll<E: Emit<u64>>(
        &mut self,
        _: usize,
        now: Nanos,
        out: &mut Collector<'_, E>,
    ) -> Result<Polled> {
        if std::mem::take(&mut self.is_first) {
            out.emit(1);
        }
        Ok(Polled::Until(now + 1_000_000))
    }
}

/// Watermarks that came through a union of an endless source with one that falls silent at 1 ms;
/// both are told to end after many steps.
fn beside_silence(seed: u64, idle_after: Option<Duration>) -> Vec<Timestamp> {
    let pipeline = Pipeline::new("silence");
    let (witness, log) = witness();
    let moving = pipeline.source(generate(None, |index| index));
    let moving = moving.assign_timestamps(time_of, disorder());
    let silent = pipeline.source(Silent).assign_timestamps(time_of, disorder());
    let silent = match idle_after {
        Some(timeout) => silent.idle_after(timeout),
        None => silent,
    };
    moving.union(silent).apply(witness).sink(blackhole());
    let simulation = Simulation::seeded(seed).partitions(2).drain_after(5_000);
    simulation.run(pipeline).unwrap_or_else(|error| panic!("{error}"));
    let log = log.lock().expect("nobody panicked");
    let watermarks = log.iter().filter_map(|(_, event)| match event {
        Event::Watermark(time) if *time < Timestamp::MAX => Some(*time),
        _ => None,
    });
    watermarks.collect()
}

#[test]
fn silent_source_holds_time_back_unless_it_may_be_idle() {
    for seed in 0..20 {
        // The silent source is told to end first or last; then time may go on at once.
        let held = beside_silence(seed, None).len();
        let free = beside_silence(seed, Some(Duration::ZERO)).len();
        assert!(held <= 10 && free > 3 * held, "seed {seed}: {held} watermarks against {free}");
    }
}
