//! Looks at a job every 100 ms while it runs, and keeps what a page is drawn from.

use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use crate::cli::inspect::{KeyNames, hot_keys};
use crate::cli::report::curves::{self, Curve};
use crate::cli::report::keys::{HotKey, HotKeys, Wanted};
use crate::cli::report::marks::{Mark, Marks};
use crate::cli::report::thinned::Thinned;
use crate::cli::report::timeline::{Reading, Timeline};
use crate::engine::{Job, JobStatus};
use crate::metrics::{Histogram, JobShape, PartitionReadings, TaskMetrics};
use crate::supervisor::Account;
use crate::time::Nanos;

/// From one look to the next: partitions publish at this pace.
const LOOK_NS: Nanos = 100_000_000;
/// More cannot be told apart on a screen.
const SAMPLES_MAX: usize = 1_000;
const SAMPLES_MIN: usize = 100;
/// Readings of all partitions that are kept, at 48 bytes each.
const READINGS_MAX: usize = 64_000;

/// What is seen of a run while it runs.
pub(crate) struct Recorder {
    status: JobStatus,
    account: Arc<Mutex<Account>>,
    names: KeyNames,
    due: Nanos,
    /// Decisions from before are known.
    decided: Nanos,
    samples: Thinned<Sample>,
    keys: HotKeys,
    marks: Marks,
}

/// One look.
#[derive(Debug)]
struct Sample {
    seconds: f64,
    readings: Vec<Reading>,
    keys: Vec<Wanted>,
}

/// What was seen of a run.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Recording {
    timeline: Timeline,
    /// What the supervisor did, oldest first.
    moves: Vec<Mark>,
    /// What it did beyond those.
    moves_left_out: u64,
    curves: Vec<Curve>,
    /// The hottest first.
    hot_keys: Vec<HotKey>,
}

impl Recorder {
    /// Looks at `job`.
    pub(crate) fn new(job: &Job, names: KeyNames) -> Recorder {
        let status = job.status();
        let partitions = status.registry().read(<[_]>::len).max(1);
        let most = (READINGS_MAX / partitions).clamp(SAMPLES_MIN, SAMPLES_MAX);
        Recorder {
            account: status.account(),
            status,
            names,
            due: 0,
            decided: 0,
            samples: Thinned::new(most),
            keys: HotKeys::default(),
            marks: Marks::default(),
        }
    }

    /// Looks, if it is time to.
    pub(crate) fn look(&mut self, now: Nanos) {
        if now < self.due {
            return;
        }
        self.due = now.saturating_add(LOOK_NS);
        self.note_decisions();
        let Recorder { samples, keys, status, account, names, .. } = self;
        samples.offer(|| sample(status, account, keys, *names, now));
    }

    /// Looks once more, since the job has ended, and sums up.
    pub(crate) fn close(mut self, now: Nanos) -> Recording {
        self.note_decisions();
        let Recorder { samples, mut keys, status, account, names, marks, .. } = self;
        let step_ns = LOOK_NS.saturating_mul(samples.stride());
        let last = sample(&status, &account, &mut keys, names, now);
        let samples = samples.close(last);
        let readings: Vec<&[Reading]> =
            samples.iter().map(|sample| sample.readings.as_slice()).collect();
        let (moves, moves_left_out) = marks.close();
        Recording {
            timeline: Timeline::new(&readings, step_ns),
            moves,
            moves_left_out,
            curves: curves::published(status.registry()),
            hot_keys: keys.close(samples.iter().map(|one| (one.seconds, one.keys.as_slice()))),
        }
    }

    fn note_decisions(&mut self) {
        let account = self.account.lock().unwrap_or_else(PoisonError::into_inner);
        let started = self.status.started();
        for (at, decision) in account.decisions().filter(|(at, _)| *at >= self.decided) {
            self.marks.note(at.saturating_sub(started), decision);
        }
        self.decided = account.decisions().last().map_or(0, |(at, _)| *at);
    }
}

impl Recording {
    /// Takes `latency` for the one that the engine measured: the workload knows better.
    pub(crate) fn set_latency(&mut self, latency: &Histogram) {
        self.curves.retain(|curve| curve.name() != "latency");
        self.curves.splice(..0, Curve::measured(latency));
    }
}

fn sample(
    status: &JobStatus,
    account: &Mutex<Account>,
    keys: &mut HotKeys,
    names: KeyNames,
    now: Nanos,
) -> Sample {
    let seconds = now.saturating_sub(status.started()) as f64 / 1e9;
    let registry = status.registry();
    let readings = registry.read(|partitions| {
        let reading = |one: &Option<Box<PartitionReadings>>| {
            one.as_ref().map(|one| reading(registry.shape(), one)).unwrap_or_default()
        };
        partitions.iter().map(reading).collect()
    });
    let rows = hot_keys(account.lock().unwrap_or_else(PoisonError::into_inner).view(), names);
    Sample { seconds, readings, keys: keys.note(seconds, rows) }
}

fn reading(shape: &JobShape, partition: &PartitionReadings) -> Reading {
    let tasks = || partition.tasks().iter().zip(&shape.tasks);
    let sources = tasks().filter(|(_, shape)| shape.inputs.is_empty());
    let let_in = sources.map(|(task, _)| task.records_in()).sum();
    let processed = partition.tasks().iter().map(TaskMetrics::records_in).sum();
    let time = partition.time();
    let [busy, idle, stalled] = time.parts_ns();
    Reading { lived_ns: time.total_ns(), counted: [let_in, processed, busy, idle, stalled] }
}
