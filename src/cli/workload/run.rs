//! One run of a workload's pipeline, watched from an unpinned thread: its clock, its samples.

use std::time::Duration;

use crate::cli::inspect::{KeyNames, Server, SocketFolder, Subject};
use crate::cli::interrupt::Interrupt;
use crate::cli::options::{RunOptions, Skew, Verbosity};
use crate::cli::output;
use crate::cli::process;
use crate::cli::progress::Progress;
use crate::cli::report::{Recorder, Recording};
use crate::cli::workload::Limits;
use crate::cli::workload::feed::{Feed, Pace};
use crate::cli::workload::meter::Meter;
use crate::connector::generator::{self, BenchInput, Generator, Recipe};
use crate::connector::paced;
use crate::dataflow::Pipeline;
use crate::engine::{Engine, Job};
use crate::error::Result;
use crate::metrics::{Histogram, Report};
use crate::time::{Clock, MonotonicClock, Nanos};

const SAMPLE_NS: Nanos = 100_000_000;
/// A short run is looked at often, so that its end is seen; a long one seldom, since each look
/// takes some microseconds from a partition where there is no core to spare.
const LOOK_SOON: Duration = Duration::from_micros(500);
const LOOK_LATER: Duration = Duration::from_millis(10);
const SOON_NS: Nanos = 50_000_000;

/// What every workload runs with.
pub(crate) struct Bench<'a> {
    pub(crate) options: &'a RunOptions,
    pub(crate) limits: Limits,
    pub(crate) engine: Engine,
    pub(crate) interrupt: Interrupt,
    pub(crate) verbosity: Verbosity,
    /// Where jobs can be asked while they run.
    pub(crate) folder: &'a SocketFolder,
    /// How keys are shown on the page of `--report`.
    pub(crate) keys: KeyNames,
}

/// The median, the lower one of two.
///
/// # Panics
/// If there is none.
pub(crate) fn median(figures: &[f64]) -> f64 {
    figures[median_index(figures)]
}

/// The index of the median, the lower one of two.
///
/// # Panics
/// If there is none.
pub(crate) fn median_index(figures: &[f64]) -> usize {
    let mut order: Vec<usize> = (0..figures.len()).collect();
    order.sort_by(|one, other| figures[*one].total_cmp(&figures[*other]));
    order[(order.len() - 1) / 2]
}

/// One repetition. Figures are those after the warm-up; the report is of the whole run.
#[derive(Default)]
pub(crate) struct Run {
    pub(crate) report: Report,
    pub(crate) records: u64,
    pub(crate) seconds: f64,
    /// Records per second, per 100 ms.
    pub(crate) samples: Vec<f64>,
    /// Processor time of the process.
    pub(crate) cpu_seconds: f64,
    /// Records per second that the sources released, from the first to the last.
    pub(crate) rate_achieved: f64,
    pub(crate) rss_bytes_max: Option<u64>,
    /// Whether the run was over before its warm-up, so that nothing was cut.
    pub(crate) ended_early: bool,
    /// What the page of `--report` is drawn from, if there is to be one.
    pub(crate) recording: Option<Recording>,
}

impl Run {
    /// Has the page show `latency` for the one that the engine measured.
    pub(crate) fn show_latency(&mut self, latency: &Histogram) {
        if let Some(recording) = &mut self.recording {
            recording.set_latency(latency);
        }
    }

    pub(crate) fn records_per_second(&self) -> f64 {
        if self.seconds > 0.0 { self.records as f64 / self.seconds } else { 0.0 }
    }
}

/// Where the measured part of a run begins.
#[derive(Clone, Copy)]
struct Mark {
    at: Nanos,
    records: u64,
    cpu_ns: Nanos,
}

impl Bench<'_> {
    pub(crate) fn partitions(&self) -> usize {
        self.engine.plan().partitions.len()
    }

    /// The core of each partition; `None` where it is not pinned.
    pub(crate) fn cores(&self) -> Vec<Option<usize>> {
        self.engine.plan().partitions.iter().map(|placed| placed.core).collect()
    }

    /// Calls `once` as often as `--repeat` says, until the user has had enough.
    pub(crate) fn repeat(&self, mut once: impl FnMut() -> Result<Run>) -> Result<Vec<Run>> {
        let mut runs = vec![once()?];
        while (runs.len() as u64) < self.options.repeat && !self.interrupt.is_asked() {
            runs.push(once()?);
        }
        Ok(runs)
    }

    /// The pairs of key and value that the flags describe. Skewed ones take a while to prepare.
    pub(crate) fn input(&self) -> Result<BenchInput> {
        let skew = match self.options.skew {
            Skew::Uniform => generator::Skew::Uniform,
            Skew::Zipf(exponent) => generator::Skew::Zipf(exponent),
            Skew::Hot(share) => generator::Skew::Hot(share),
        };
        BenchInput::new(self.options.seed, self.options.keys, skew)
    }

    /// The source of `generated`, or of the same records on a schedule where there is a rate;
    /// `meter` counts them.
    pub(crate) fn feed<R, F>(&self, meter: &Meter, generated: Generator<R>, record: F) -> Feed<R, F>
    where
        R: Recipe,
        F: FnMut(u64, Nanos) -> R::Item + Clone + Send + 'static,
    {
        let lasting = self.limits.lasting();
        let pace = match self.limits.rate {
            Some(rate) => {
                let source = paced(rate, record);
                let source = self.limits.records.into_iter().fold(source, |s, n| s.records(n));
                Pace::Scheduled(lasting.into_iter().fold(source, |s, lasting| s.lasting(lasting)))
            }
            None => {
                let deadline = |lasting: Duration| {
                    let ns = lasting.as_nanos().try_into().unwrap_or(Nanos::MAX);
                    MonotonicClock.now().saturating_add(ns)
                };
                let until = lasting.map(deadline);
                Pace::Free(until.into_iter().fold(generated, |g, until| g.until(until)))
            }
        };
        Feed::new(pace, meter)
    }

    /// Lets `job` be asked while the answer is kept. A job that cannot be asked runs all the same.
    pub(crate) fn serve(&self, job: &Job) -> Option<Server> {
        let subject = Subject { status: job.status(), account: job.status().account() };
        let served = Server::start(self.folder, Box::new(move |asked| subject.answer(asked)));
        match served {
            Ok(server) => {
                if self.verbosity == Verbosity::Verbose {
                    output::note(&format!("inspect at unix:{}", server.path().display()));
                }
                Some(server)
            }
            Err(error) => {
                output::warn(&format!("inspect cannot ask this job: {error}"));
                None
            }
        }
    }

    /// Runs `pipeline`, whose sources `meter` counts, to its end or to the user's interrupt.
    ///
    /// # Errors
    /// Those of the engine and the job.
    pub(crate) fn observe(&self, pipeline: Pipeline, meter: &Meter) -> Result<Run> {
        self.observe_with(pipeline, meter, |_| {})
    }

    /// As [`observe`](Self::observe); `begun` is shown the job as soon as it runs.
    pub(crate) fn observe_with(
        &self,
        pipeline: Pipeline,
        meter: &Meter,
        begun: impl FnOnce(&Job),
    ) -> Result<Run> {
        let cpu_ns = process::cpu_ns();
        let job = self.engine.start(pipeline)?;
        let _served = self.serve(&job);
        begun(&job);
        let warmup_ns = self.limits.warmup.as_nanos().try_into().unwrap_or(Nanos::MAX);
        let mut watch = Watch {
            meter,
            started: job.started(),
            warmup_ns,
            mark: None,
            samples: Vec::new(),
            sampled: None,
            progress: Progress::new(self.verbosity),
            recorder: self.options.report.as_ref().map(|_| Recorder::new(&job, self.keys)),
        };
        while !job.has_ended() && !self.interrupt.is_asked() {
            watch.wait();
            watch.look();
        }
        watch.progress.clear();
        let report = finish(job, &self.interrupt)?;
        Ok(watch.run(report, cpu_ns))
    }
}

fn finish(job: Job, interrupt: &Interrupt) -> Result<Report> {
    if interrupt.is_asked() { job.drain() } else { job.join() }
}

/// What is looked at while a job runs.
struct Watch<'a> {
    meter: &'a Meter,
    started: Nanos,
    warmup_ns: Nanos,
    /// Set once the warm-up is over.
    mark: Option<Mark>,
    samples: Vec<f64>,
    /// When the sample in hand began, and the records at that time.
    sampled: Option<(Nanos, u64)>,
    progress: Progress,
    recorder: Option<Recorder>,
}

impl Watch<'_> {
    #[allow(clippy::disallowed_methods)] // Not on a partition: this thread only looks on.
    fn wait(&self) {
        let is_young = MonotonicClock.now() - self.started < SOON_NS;
        std::thread::sleep(if is_young { LOOK_SOON } else { LOOK_LATER });
    }

    fn look(&mut self) {
        let (now, records) = (MonotonicClock.now(), self.meter.records());
        self.progress.update(now, records);
        if let Some(recorder) = &mut self.recorder {
            recorder.look(now);
        }
        let Some(first) = self.meter.first() else { return };
        if self.mark.is_none() && now >= first.saturating_add(self.warmup_ns) {
            self.mark = Some(self.mark_at(first, now, records));
            self.sampled = self.mark.map(|mark| (mark.at, mark.records));
        }
        let Some((then, before)) = self.sampled else { return };
        if now - then >= SAMPLE_NS {
            self.samples.push((records - before) as f64 / ((now - then) as f64 / 1e9));
            self.sampled = Some((now, records));
        }
    }

    /// Without a warm-up the clock starts with the first record, which was before this look.
    fn mark_at(&self, first: Nanos, now: Nanos, records: u64) -> Mark {
        match self.warmup_ns {
            0 => Mark { at: first, records: 0, cpu_ns: 0 },
            _ => Mark { at: now, records, cpu_ns: process::cpu_ns() },
        }
    }

    fn run(self, report: Report, cpu_ns: Nanos) -> Run {
        let first = self.meter.first().unwrap_or(self.started);
        let mark = self.mark.unwrap_or(Mark { at: first, records: 0, cpu_ns: 0 });
        let ended = self.started + (report.seconds * 1e9) as Nanos;
        let records = self.meter.records() - mark.records;
        let released_ns = self.meter.last().saturating_sub(mark.at);
        Run {
            records,
            seconds: ended.saturating_sub(mark.at) as f64 / 1e9,
            samples: self.samples,
            cpu_seconds: process::cpu_ns().saturating_sub(cpu_ns.max(mark.cpu_ns)) as f64 / 1e9,
            rate_achieved: if released_ns > 0 {
                records as f64 / (released_ns as f64 / 1e9)
            } else {
                0.0
            },
            rss_bytes_max: process::rss_bytes_max(),
            ended_early: self.mark.is_none() && self.warmup_ns > 0,
            recording: self.recorder.map(|recorder| recorder.close(ended)),
            report,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lower_of_two_medians_counts() {
        assert_eq!(median_index(&[5.0]), 0);
        assert_eq!(median_index(&[5.0, 1.0, 3.0]), 2);
        assert_eq!(median(&[5.0, 1.0, 3.0, 4.0]), 3.0);
    }
}
