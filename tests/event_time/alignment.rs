//! Splits that run ahead wait for the slowest, and nobody waits for ever.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use millstream::config::BatchSize;
use millstream::connector::blackhole;
use millstream::connector::generator::generate;
use millstream::dataflow::{
    Collector, Emit, Flow, Operator, Polled, Source, SourceConnector, TaskContext,
};
use millstream::prelude::*;
use millstream::testing::simulation::Simulation;
use millstream::time::Nanos;
use millstream::time::watermark::{Alignment, Monotone};

use super::{Silent, disorder, time_of};

const DRIFT_MS: i64 = 100;
const STEP_MS_MAX: i64 = 25;

/// On each partition a split of its own pace: times 0, s, 2s … with s = `step_ms`, and 8 ms more
/// per partition.
struct Ticks {
    step_ms: i64,
    /// The last time at most.
    end_ms: i64,
}

struct TicksSource {
    step_ms: i64,
    end_ms: i64,
    at: i64,
}

impl SourceConnector for Ticks {
    type Item = i64;
    type Source = TicksSource;

    fn name(&self) -> String {
        format!("ticks of {} ms", self.step_ms)
    }

    fn open(&mut self, context: &TaskContext) -> Result<TicksSource> {
        let step_ms = self.step_ms + 8 * context.partition as i64;
        Ok(TicksSource { step_ms, end_ms: self.end_ms, at: 0 })
    }
}

impl Source for TicksSource {
    type Item = i64;

    fn poll<E: Emit<i64>>(
        &mut self,
        max: usize,
        _: Nanos,
        out: &mut Collector<'_, E>,
    ) -> Result<Polled> {
        for _ in 0..max {
            if self.at > self.end_ms {
                return Ok(Polled::Done);
            }
            out.emit(self.at);
            self.at += self.step_ms;
        }
        Ok(Polled::Ready)
    }
}

/// Where a split is, as its records tell.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    at: Option<i64>,
    has_ended: bool,
    /// It has been within the drift since all have begun.
    is_close: bool,
}

/// All splits, by stream and partition, and how far one of them was beyond the drift at most.
#[derive(Debug, Default)]
struct Race {
    places: BTreeMap<(usize, usize), Place>,
    furthest_ms: i64,
}

impl Race {
    fn advance(&mut self, split: (usize, usize), to: i64) {
        self.places.get_mut(&split).expect("it was opened").at = Some(to);
        if self.places.values().any(|place| place.at.is_none()) {
            return;
        }
        let racing = self.places.values().filter(|place| !place.has_ended);
        let slowest = racing.filter_map(|place| place.at).min().expect("one has come to `to`");
        let place = self.places.get_mut(&split).expect("it was opened");
        let ahead_ms = to - slowest - DRIFT_MS;
        place.is_close |= ahead_ms <= 0;
        if place.is_close {
            self.furthest_ms = self.furthest_ms.max(ahead_ms);
        }
    }
}

/// Notes where the splits of one stream are.
#[derive(Clone)]
struct Runner {
    race: Arc<Mutex<Race>>,
    split: (usize, usize),
}

impl Operator<i64> for Runner {
    type Out = i64;
    const NAME: &'static str = "runner";

    fn open(&mut self, context: &TaskContext) {
        self.split.1 = context.partition;
        self.race.lock().expect("nobody panicked").places.insert(self.split, Place::default());
    }

    fn on_record<E: Emit<i64>>(&mut self, record: i64, out: &mut Collector<'_, E>) {
        self.race.lock().expect("nobody panicked").advance(self.split, record);
        out.emit(record);
    }

    fn on_end<E: Emit<i64>>(&mut self, _: &mut Collector<'_, E>) -> Flow {
        let mut race = self.race.lock().expect("nobody panicked");
        race.places.get_mut(&self.split).expect("it was opened").has_ended = true;
        Flow::Done
    }
}

type Seen = Arc<Mutex<Race>>;

/// Two streams with a split each on every partition, at paces of 1 ms to 25 ms a record.
fn race(end_ms: i64, alignment: Option<&Alignment>) -> (Pipeline, Seen) {
    let (pipeline, race) = (Pipeline::new("race"), Seen::default());
    for (stream, step_ms) in [1, 9].into_iter().enumerate() {
        let ticks = pipeline.source(Ticks { step_ms, end_ms });
        let timed = ticks.assign_timestamps(|time| *time, Monotone::new());
        let timed = match alignment {
            Some(alignment) => timed.align_with(alignment),
            None => timed,
        };
        let runner = Runner { race: Arc::clone(&race), split: (stream, 0) };
        timed.apply(runner).key_by(|time| time % 7).count().sink(blackhole());
    }
    (pipeline, race)
}

fn within_drift() -> Alignment {
    Alignment::within(Duration::from_millis(DRIFT_MS as u64))
}

/// How far a split was beyond the drift at most, and how many splits there were to compare: one may
/// be through before another begins.
fn furthest_ms(race: &Seen) -> (i64, usize) {
    let race = race.lock().expect("nobody panicked");
    assert!(race.places.values().all(|place| place.has_ended), "{race:?}");
    (race.furthest_ms, race.places.values().filter(|place| place.is_close).count())
}

/// [`furthest_ms`] in simulations of many seeds: the most, and the sum.
fn simulated(seeds: u64, alignment: impl Fn() -> Option<Alignment>) -> (i64, usize) {
    let (mut most_ms, mut compared) = (0, 0);
    for seed in 0..seeds {
        let (pipeline, race) = race(3_000, alignment().as_ref());
        let simulation = Simulation::seeded(seed).partitions(2).batch_size(4).steps_max(3_000_000);
        simulation.run(pipeline).unwrap_or_else(|error| panic!("{error}"));
        let (furthest_ms, close) = furthest_ms(&race);
        (most_ms, compared) = (most_ms.max(furthest_ms), compared + close);
    }
    (most_ms, compared)
}

/// A split finds out after a batch of four records that it is too far, and its watermark is 1 ms
/// behind the last.
const BEYOND_MS_MAX: i64 = 4 * STEP_MS_MAX + 1;

#[test]
fn no_split_is_further_ahead_than_drift_and_batch_across_partitions_and_streams() {
    let (most_ms, compared) = simulated(150, || Some(within_drift()));
    assert!(most_ms <= BEYOND_MS_MAX, "{most_ms} ms too far");
    assert!(compared > 2 * 150, "{compared} splits compared");
    let (most_ms, _) = simulated(20, || None);
    assert!(most_ms > 10 * BEYOND_MS_MAX, "without alignment only {most_ms} ms too far");
}

#[test]
fn splits_wait_on_real_threads_too() {
    for partitions in [1, 2, 3] {
        let alignment = within_drift();
        let (pipeline, race) = race(100_000, Some(&alignment));
        let config = Config::builder().partitions(partitions).batch_size(BatchSize::Records(4));
        let engine = Engine::new(config.build().expect("a valid configuration"));
        engine.and_then(|engine| engine.run(pipeline)).expect("it runs");
        let (furthest_ms, close) = furthest_ms(&race);
        assert!(furthest_ms <= BEYOND_MS_MAX, "{partitions}: {furthest_ms} ms too far");
        assert!(close > 0, "{partitions} partitions: nothing compared");
    }
}

/// Records that an endless stream has let in beside one that falls silent at 1 ms; both are told
/// to end after many steps.
fn beside_silence(seed: u64, idle_after: Option<Duration>) -> u64 {
    let (pipeline, alignment) = (Pipeline::new("silence"), within_drift());
    let moving = pipeline.source(generate(None, |index| index));
    let moving = moving.assign_timestamps(time_of, disorder()).align_with(&alignment);
    let silent = pipeline.source(Silent).assign_timestamps(time_of, disorder());
    let silent = match idle_after {
        Some(timeout) => silent.idle_after(timeout),
        None => silent,
    };
    moving.sink(blackhole());
    silent.align_with(&alignment).sink(blackhole());
    let simulation = Simulation::seeded(seed).partitions(1).drain_after(5_000);
    let report = simulation.run(pipeline).unwrap_or_else(|error| panic!("{error}"));
    report.tasks[0].records_in
}

#[test]
fn silent_split_holds_the_others_until_it_is_idle_or_the_job_ends() {
    for seed in 0..20 {
        let (held, free) = (beside_silence(seed, None), beside_silence(seed, Some(Duration::ZERO)));
        assert!(held <= 400 && free > 1_000, "seed {seed}: {held} records against {free}");
    }
}

#[test]
fn alignment_behind_an_exchange_is_refused() {
    let pipeline = Pipeline::new("behind");
    let spread = pipeline.source(generate(10, |index| index)).rebalance();
    let timed = spread.assign_timestamps(time_of, disorder()).align_with(&within_drift());
    timed.sink(blackhole());
    let error = Simulation::seeded(1).run(pipeline).expect_err("what waits may be needed");
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    let cause = std::error::Error::source(&error).expect("the simulation adds its seed");
    assert!(cause.to_string().contains("align_with behind another task"), "{cause}");
}
