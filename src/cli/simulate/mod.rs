//! `millstream simulate`: random jobs with windows and jobs whose keys move all the time, each from
//! its seed on one thread, against a naive model.

mod job;
mod oracle;
mod pipeline;
mod summary;
mod tap;

use std::any::Any;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::cli::options::SimulateOptions;
use crate::cli::output;
use crate::cli::simulate::job::Job;
use crate::cli::simulate::summary::{KeptFile, Summary};
use crate::dataflow::Pipeline;
use crate::error::{Error, ErrorKind, Result};
use crate::metrics::Report;
use crate::testing::simulation::{MovingJob, Simulation};
use crate::time::{Clock, MonotonicClock};

/// Wrong results after which no further seed is simulated.
const WRONG_MAX: usize = 10;

/// Simulates two jobs for each seed, and prints what they came to in a line.
///
/// # Errors
/// [`ErrorKind::JobFailed`] with a line for each seed whose job did something else than the model;
/// those of the file that `--keep` names, and of stdout.
pub(crate) fn run(options: &SimulateOptions) -> Result<()> {
    // Before the work, which may be long.
    let kept = KeptFile::open(&options.keep)?;
    let clock = MonotonicClock;
    let started = clock.now();
    let (mut summary, wrong) = simulate(options.seeds.clone());
    summary.seconds = (clock.now() - started) as f64 / 1e9;
    output::print(&summary.line())?;
    if let Some(mut kept) = kept {
        kept.append(&summary)?;
    }
    if wrong.is_empty() { Ok(()) } else { Err(Error::new(ErrorKind::JobFailed, wrong.join("\n"))) }
}

/// What the jobs of `seeds` came to, and what was wrong, a line for each.
fn simulate(seeds: Range<u64>) -> (Summary, Vec<String>) {
    let mut summary = Summary::from_seed(seeds.start);
    let mut wrong = Vec::new();
    for seed in seeds {
        let job = Job::drawn(seed);
        let done = simulate_one(&job, &job, &mut summary);
        for what in [done, simulate_moves(seed, &mut summary)].into_iter().filter_map(Result::err) {
            let again = format!("again with millstream simulate --seeds {seed}..{}", seed + 1);
            wrong.push(format!("seed {seed}: {}; {again}", what.replace('\n', "; ")));
        }
        summary.end_before(seed + 1);
        if wrong.len() >= WRONG_MAX {
            break;
        }
    }
    summary.wrong = wrong.len() as u64;
    (summary, wrong)
}

/// Runs the job of `seed` whose keys move all the time, for every fourth seed one whose keys lie in
/// ranges besides, and for every other fourth one with local edges behind keys; says in a line what
/// went wrong.
fn simulate_moves(seed: u64, summary: &mut Summary) -> std::result::Result<(), String> {
    let other = match seed % 4 {
        0 => Some(MovingJob::ranged(seed)),
        2 => Some(MovingJob::branched(seed)),
        _ => None,
    };
    for job in std::iter::once(MovingJob::seeded(seed)).chain(other) {
        let checked = catch_unwind(AssertUnwindSafe(|| job.check()));
        summary.moves +=
            checked.unwrap_or_else(|panic| Err(format!("it panicked: {}", message(&*panic))))?;
    }
    Ok(())
}

/// Runs `job`, and says in a line what it did otherwise than `expected` does in the model. Tests
/// plant a bug by letting the two differ.
fn simulate_one(
    job: &Job,
    expected: &Job,
    summary: &mut Summary,
) -> std::result::Result<(), String> {
    let checked = catch_unwind(AssertUnwindSafe(|| {
        let pipeline = Pipeline::new("simulated");
        let taps = pipeline::build(job, &pipeline);
        let report = run_to_end(job, pipeline).map_err(|error| error.to_string())?;
        summary.add(job, &report);
        oracle::check(expected, &taps, &report)
    }));
    checked.unwrap_or_else(|panic| Err(format!("it panicked: {}", message(&*panic))))
}

fn run_to_end(job: &Job, pipeline: Pipeline) -> Result<Report> {
    let mut simulation = Simulation::seeded(job.seed)
        .partitions(job.partitions)
        .batch_size(job.batch_size)
        .lane_capacity(job.lane_capacity)
        .pre_aggregate(job.pre_aggregate);
    if let Some(wall_time) = job.wall_time {
        simulation = simulation.wall_time(wall_time.into());
    }
    if job.clock_jumps {
        simulation = simulation.clock_jumps();
    }
    simulation.run(pipeline)
}

/// What somebody said who panicked.
fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without words")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cli::simulate::job::Way;
    use crate::operator::window::model::Kind;
    use crate::operator::window::{Early, Mode};

    /// More of them: `millstream simulate --seeds A..B`.
    #[test]
    fn simulated_jobs_with_windows_do_what_the_model_does() {
        let (summary, wrong) = simulate(0..600);
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert_eq!((summary.simulations, &*summary.seeds), (600, "0..600"));
        assert!(summary.within_bound > 150, "{summary:?}");
        assert!(summary.late > 300 && summary.future_skew > 300, "{summary:?}");
    }

    #[test]
    fn a_seed_gives_the_same_job_and_the_same_run() {
        let once = |seed| {
            let (summary, _) = simulate(seed..seed + 20);
            format!("{summary:?}")
        };
        assert_eq!(once(100), once(100));
    }

    /// What a job of the engine does otherwise than it was told to.
    type Bug = fn(&mut Job);

    fn each_kind(job: &mut Job, mut change: impl FnMut(&mut Kind)) {
        job.stages.iter_mut().for_each(|stage| change(&mut stage.kind));
    }

    const BUGS: [(&str, Bug); 11] = [
        ("the generator forgets its bound", |job| {
            job.feeds.iter_mut().for_each(|feed| feed.bound = Duration::ZERO);
        }),
        ("the generator is a millisecond too fast", |job| {
            for feed in &mut job.feeds {
                feed.bound = feed.bound.saturating_sub(Duration::from_millis(1));
            }
        }),
        ("silent splits are idle at once", |job| {
            job.feeds.iter_mut().for_each(|feed| feed.idle_after = Some(Duration::ZERO));
        }),
        ("records are lost", |job| job.feeds.iter_mut().for_each(|feed| feed.modulus = 1)),
        ("records come twice", |job| job.feeds[0].way = Way::Fork),
        ("records of the future move time", |job| job.wall_time = None),
        ("windows are kept too long", |job| {
            for stage in &mut job.stages {
                stage.rules.lateness += i64::from(!matches!(stage.kind, Kind::Count { .. }));
            }
        }),
        ("windows begin a millisecond early", |job| {
            each_kind(job, |kind| match kind {
                Kind::Tumbling { offset, .. } | Kind::Sliding { offset, .. } => *offset -= 1,
                Kind::Session { .. } | Kind::Count { .. } | Kind::Global | Kind::Growing => {}
            });
        }),
        ("sessions end a millisecond late", |job| {
            each_kind(job, |kind| {
                if let Kind::Session { gap } = kind {
                    *gap += 1;
                }
            });
        }),
        ("early firings come a record late", |job| {
            for stage in &mut job.stages {
                if let Early::Records(records) = &mut stage.rules.early {
                    *records += 1;
                }
            }
        }),
        ("nothing is retracted", |job| {
            for stage in &mut job.stages {
                if stage.rules.mode == Mode::Retracting {
                    stage.rules.mode = Mode::Accumulating;
                }
            }
        }),
    ];

    /// That the check can fail: each of these is seen within some hundred seeds.
    #[test]
    fn planted_bugs_are_caught() {
        const SEEDS: u64 = 300;
        for (what, bug) in BUGS {
            let caught = (0..SEEDS).find_map(|seed| {
                let expected = Job::drawn(seed);
                let mut job = expected.clone();
                bug(&mut job);
                let done = simulate_one(&job, &expected, &mut Summary::from_seed(seed));
                done.err().map(|what| format!("seed {seed}: {what}"))
            });
            let caught = caught.unwrap_or_else(|| panic!("{what}: not seen in {SEEDS} seeds"));
            println!("{what}: {caught}");
        }
    }
}
