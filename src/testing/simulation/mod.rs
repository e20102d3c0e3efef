//! A whole job on one thread, from a seed: the same partitions that run on threads, stepped in an
//! order that a seeded generator picks.
//!
//! Nothing is re-implemented: tasks are built by the engine's own builder, and what is stepped is
//! [`Partition`]. A partition that finds nothing to do sleeps as it does on a thread, and only its
//! own wake or its own time makes it run again, so a forgotten wake-up shows as a stuck job.

#[cfg(any(test, feature = "cli"))]
mod branches;
#[cfg(any(test, feature = "cli"))]
mod closing;
#[cfg(any(test, feature = "cli"))]
mod events;
mod moves;
#[cfg(test)]
mod moves_test;
#[cfg(any(test, feature = "cli"))]
mod moving_job;
#[cfg(any(test, feature = "cli"))]
mod numbering;
mod parts;
mod rescales;

use std::sync::atomic::Ordering;

use crate::config::{BatchSize, Config, PreAggregate};
use crate::dataflow::{Pipeline, Step};
use crate::error::{Error, ErrorKind, Result};
use crate::exchange::STAGED_RECORDS;
use crate::hand_over::PARCELS;
use crate::metrics::{MovesReport, Report, RunFacts};
use crate::runtime::Partition;
use crate::testing::Random;
pub(crate) use crate::testing::simulation::moves::RandomMoves;
#[cfg(any(test, feature = "cli"))]
pub(crate) use crate::testing::simulation::moving_job::MovingJob;
pub(crate) use crate::testing::simulation::parts::SingleSteps;
use crate::testing::simulation::parts::{Rest, Simulatable, job_of};
use crate::time::{Clock, ManualClock, Nanos, Timestamp};

/// Runs `pipeline` to its end on the calling thread, in an order that `seed` picks; partitions
/// (1 to 16) and batch size (1 to 4) come from the seed too, and a lane holds one batch.
///
/// ```
/// use millstream::connector::collection;
/// use millstream::prelude::*;
/// use millstream::testing::simulation::simulate;
///
/// # fn main() -> Result<()> {
/// for seed in 0..20 {
///     let pipeline = Pipeline::new("lengths");
///     let counts = pipeline
///         .source(collection(vec!["to", "be", "or", "not"]))
///         .key_by(|word| word.len())
///         .count()
///         .collect();
///     simulate(pipeline, seed)?;
///     let mut counts = counts.take();
///     counts.sort();
///     assert_eq!(counts, [(2, 3), (3, 1)]);
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`Simulation::run`].
pub fn simulate(pipeline: Pipeline, seed: u64) -> Result<Report> {
    Simulation::seeded(seed).run(pipeline)
}

/// Steps after which a job that is not done is given up: some minutes.
const STEPS_MAX: u64 = 1_000_000_000;
/// Times the clock is moved on without anything moving before the job counts as stuck. A source
/// may answer "ask again" without a record, but not this often.
const IDLE_ROUNDS_MAX: u32 = 10_000;
/// How far the clock moves when everybody asks to be called again at once.
const TICK_NS: Nanos = 1_000;
/// The origin, so that no stamp is 0, which means "unknown".
const START_NS: Nanos = 1_000_000;

/// How a job is simulated. What is not said comes from the seed.
#[derive(Clone, Debug)]
pub struct Simulation {
    seed: u64,
    partitions: Option<usize>,
    batch_size: Option<u32>,
    lane_capacity: u64,
    pre_aggregate: Option<PreAggregate>,
    drain_after: Option<u64>,
    wall_time: Timestamp,
    clock_jumps: bool,
    steps_max: u64,
    moves: Option<RandomMoves>,
    /// One step in so many begins a rescale.
    rescales: Option<u64>,
    parcels: usize,
    staged: usize,
    tasks: Option<SingleSteps>,
}

impl Simulation {
    /// A simulation whose every choice follows from `seed`.
    pub fn seeded(seed: u64) -> Simulation {
        Simulation {
            seed,
            partitions: None,
            batch_size: None,
            lane_capacity: 1,
            pre_aggregate: None,
            drain_after: None,
            wall_time: Timestamp::MAX,
            clock_jumps: false,
            steps_max: STEPS_MAX,
            moves: None,
            rescales: None,
            parcels: PARCELS,
            staged: STAGED_RECORDS,
            tasks: None,
        }
    }

    /// Partitions of the job, 1..=1024; 1 to 16 by the seed otherwise.
    pub fn partitions(mut self, partitions: usize) -> Simulation {
        self.partitions = Some(partitions);
        self
    }

    /// Records in a full batch; 1 to 4 by the seed otherwise.
    pub fn batch_size(mut self, records: u32) -> Simulation {
        self.batch_size = Some(records);
        self
    }

    /// Data batches that a lane holds, at least 1; otherwise 1.
    pub fn lane_capacity(mut self, batches: u64) -> Simulation {
        self.lane_capacity = batches;
        self
    }

    /// When records are combined in front of an exchange; otherwise as by default.
    pub fn pre_aggregate(mut self, pre_aggregate: PreAggregate) -> Simulation {
        self.pre_aggregate = Some(pre_aggregate);
        self
    }

    /// Asks the sources to end after so many steps, as [`Job::drain`](crate::engine::Job::drain)
    /// does; for sources that do not end by themselves.
    pub fn drain_after(mut self, steps: u64) -> Simulation {
        self.drain_after = Some(steps);
        self
    }

    /// The time of day at the start; otherwise there is none, and nothing lies in the future.
    pub fn wall_time(mut self, wall_time: Timestamp) -> Simulation {
        self.wall_time = wall_time;
        self
    }

    /// Lets the clock jump now and then, by up to an hour, as it does on a host that was
    /// suspended.
    pub fn clock_jumps(mut self) -> Simulation {
        self.clock_jumps = true;
        self
    }

    /// Steps after which the job is given up; otherwise a billion.
    pub fn steps_max(mut self, steps: u64) -> Simulation {
        self.steps_max = steps;
        self
    }

    /// Messages that may wait between two partitions while state moves; otherwise 16.
    #[cfg(any(test, feature = "cli"))]
    pub(crate) fn parcels(mut self, parcels: usize) -> Simulation {
        self.parcels = parcels;
        self
    }

    /// Records that may wait in front of an outbox; otherwise as the engine has it.
    #[cfg(any(test, feature = "cli"))]
    pub(crate) fn staged(mut self, records: usize) -> Simulation {
        self.staged = records;
        self
    }

    /// Steps tasks one by one, so that local edges fill; otherwise every other step is a turn.
    #[cfg(any(test, feature = "cli"))]
    pub(crate) fn single_steps(mut self, steps: SingleSteps) -> Simulation {
        self.tasks = Some(steps);
        self
    }

    /// Moves key groups and keys about while the job runs.
    #[cfg(any(test, feature = "cli"))]
    pub(crate) fn moves(mut self, moves: RandomMoves) -> Simulation {
        self.moves = Some(moves);
        self
    }

    /// Gives the job more partitions or fewer while it runs, up to 6: one step in so many begins
    /// that. With [`moves`](Self::moves) only, which have to come to their end first.
    #[cfg(any(test, feature = "cli"))]
    pub(crate) fn rescales(mut self, one_in: u64) -> Simulation {
        self.rescales = Some(one_in);
        self
    }

    /// Runs `pipeline` to its end on the calling thread. Times in the report are those of the
    /// simulated clock.
    ///
    /// # Errors
    /// Those of [`Engine::start`](crate::engine::Engine::start) and
    /// [`Job::join`](crate::engine::Job::join), with the seed; [`ErrorKind::JobFailed`] that says
    /// `stuck` if nothing can move and the job is not done, with the states of its tasks, or that
    /// says where records were lost or doubled.
    pub fn run(self, pipeline: Pipeline) -> Result<Report> {
        self.build(pipeline)?.run()
    }

    /// Builds `pipeline` without running it, for tests that step partitions themselves.
    ///
    /// # Errors
    /// Those of [`Engine::start`](crate::engine::Engine::start), with the seed.
    pub fn build(self, pipeline: Pipeline) -> Result<Simulated> {
        let mut random = Random::seeded(self.seed);
        // Always drawn, so that fixing one choice leaves the others as they were.
        let (partitions, batch_size) =
            (random.within(1..=16) as usize, random.within(1..=4) as u32);
        let partitions = self.partitions.unwrap_or(partitions);
        let batch_size = self.batch_size.unwrap_or(batch_size);
        let replay =
            format!("seed {}, {partitions} partitions, batch size {batch_size}", self.seed);
        let clock = ManualClock::starting_at(self.wall_time);
        clock.advance(START_NS);
        let job = self
            .config(partitions, batch_size)
            .and_then(|config| job_of(pipeline, &config, partitions, &clock, &self))
            .map_err(|error| replayed(&replay, error))?;
        let slow = random.one_in(2).then(|| random.index(partitions));
        // A clock that stands, one that a linger outlasts, one that outruns every linger.
        let step_ns_max = [0, 1_000, 1_000_000][random.index(3)];
        let runs =
            Runs { random, replay, slow, step_ns_max, steps: 0, idle_rounds: 0, asked: self };
        Ok(Simulated { job, clock, runs })
    }

    fn config(&self, partitions: usize, batch_size: u32) -> Result<Config> {
        let config = Config::builder()
            .partitions(partitions)
            .batch_size(BatchSize::Records(batch_size))
            .lane_capacity(self.lane_capacity);
        match self.pre_aggregate {
            Some(pre_aggregate) => config.pre_aggregate(pre_aggregate).build(),
            None => config.build(),
        }
    }
}

/// The choices of a run.
struct Runs {
    random: Random,
    /// What has to be said to see the same run again.
    replay: String,
    /// A partition that is chosen rarely, if there is one.
    slow: Option<usize>,
    /// How far the clock moves per step at most.
    step_ns_max: Nanos,
    steps: u64,
    /// Times the clock was moved on since something moved.
    idle_rounds: u32,
    asked: Simulation,
}

/// A job that is built and not yet done.
pub struct Simulated {
    job: Simulatable,
    clock: ManualClock,
    runs: Runs,
}

/// How rarely the clock jumps, where it does.
const JUMP_ONE_IN: u64 = 64;
/// The longest jump in nanoseconds is 2 to the power of this: 73 minutes.
const JUMP_BITS_MAX: u64 = 42;
/// How rarely the slow partition, or task, may be chosen while others could run.
const SLOW_ONE_IN: u64 = 32;

impl Simulated {
    /// Its partitions: those that the engine would run on threads.
    pub fn partitions(&mut self) -> &mut [Partition] {
        &mut self.job.partitions
    }

    /// Its clock. Moving it on is like time passing between two steps.
    pub fn clock(&self) -> &ManualClock {
        &self.clock
    }

    /// Steps taken so far; equal seeds take equally many.
    pub fn steps(&self) -> u64 {
        self.runs.steps
    }

    /// Runs the job to its end, from wherever it stands.
    ///
    /// # Errors
    /// As [`Simulation::run`].
    pub fn run(mut self) -> Result<Report> {
        self.run_to_end()?;
        let replay = std::mem::take(&mut self.runs.replay);
        let report = self.finish();
        if report.conservation.imbalances.is_empty() {
            return Ok(report);
        }
        let error = Error::new(ErrorKind::JobFailed, report.conservation.to_string());
        Err(replayed(&replay, error))
    }

    pub(crate) fn run_to_end(&mut self) -> Result<()> {
        while self.job.beds.iter().any(|bed| bed.rest != Rest::Done) {
            self.step().map_err(|error| replayed(&self.runs.replay, error))?;
        }
        Ok(())
    }

    /// Lets one partition run one turn or one task, or polls a future, or moves the clock on if
    /// nobody has anything to do.
    fn step(&mut self) -> Result<()> {
        let steps = self.runs.steps;
        if steps == self.runs.asked.steps_max {
            return Err(self.stuck(&format!("not done after {steps} steps")));
        }
        if self.runs.asked.drain_after == Some(steps) {
            self.drain();
        }
        self.runs.steps += 1;
        self.clock.advance(self.runs.random.below(self.runs.step_ns_max + 1));
        if self.runs.asked.clock_jumps && self.runs.random.one_in(JUMP_ONE_IN) {
            self.clock.advance(1 << self.runs.random.within(20..=JUMP_BITS_MAX));
        }
        if self.run_rescale()? {
            self.runs.idle_rounds = 0;
            return Ok(());
        }
        if self.is_movers_turn() {
            self.runs.idle_rounds = 0;
            self.run_mover();
            return Ok(());
        }
        let picked = self.pick();
        let futures = self.job.futures.ready();
        match picked {
            // Drawn only where there are futures: others see the same run as ever.
            Some(index) if futures == 0 || self.runs.random.one_in(2) => self.run_one(index),
            None if futures == 0 && self.has_mail() => {
                self.run_mover();
                Ok(())
            }
            None if futures == 0 => self.pass_time(),
            _ => {
                self.job.futures.poll(self.runs.random.index(futures));
                self.runs.idle_rounds = 0;
                Ok(())
            }
        }
    }

    fn drain(&mut self) {
        for (partition, bed) in self.job.partitions.iter_mut().zip(&mut self.job.beds) {
            partition.drain();
            if bed.rest != Rest::Done {
                bed.rest = Rest::None; // Whoever tells a partition wakes it.
            }
        }
    }

    /// A partition that may run.
    fn pick(&mut self) -> Option<usize> {
        let now = self.clock.now();
        for bed in &mut self.job.beds {
            if let Rest::Asleep(until) = bed.rest
                && (bed.sleeper.is_woken() || until.is_some_and(|until| until <= now))
            {
                bed.sleeper.withdraw();
                bed.rest = Rest::None;
            }
        }
        let is_ready = |index: &usize| self.job.beds[*index].rest == Rest::None;
        let mut ready: Vec<usize> = (0..self.job.beds.len()).filter(is_ready).collect();
        let random = &mut self.runs.random;
        if let Some(slow) = self.runs.slow
            && ready.len() > 1
            && !random.one_in(SLOW_ONE_IN)
        {
            ready.retain(|index| *index != slow);
        }
        (!ready.is_empty()).then(|| ready[random.index(ready.len())])
    }

    /// One turn, or one step of one task.
    fn run_one(&mut self, index: usize) -> Result<()> {
        let partition = &mut self.job.partitions[index];
        let bed = &mut self.job.beds[index];
        let count = partition.task_count();
        let random = &mut self.runs.random;
        let single = match self.runs.asked.tasks {
            None => random.one_in(2).then(|| random.index(count)),
            Some(tasks) => tasks.pick(count, random),
        };
        let (progressed, done) = if let Some(task) = single {
            (partition.step(task)?.progressed, partition.is_done())
        } else {
            // As on a thread: announce, look, and sleep only if there was nothing.
            bed.sleeper.announce();
            let turn = partition.turn()?;
            if turn.progressed {
                bed.sleeper.withdraw();
            } else {
                // Whoever wants to be called at once is called when time has passed.
                let until = turn.wake_at.map(|at| at.max(self.clock.now() + TICK_NS));
                bed.rest = Rest::Asleep(until);
            }
            (turn.progressed, turn.done)
        };
        if let Some(mover) = &mut self.job.mover {
            mover.hear(index, partition);
        }
        if progressed {
            self.runs.idle_rounds = 0;
        }
        if done {
            bed.rest = Rest::Done;
        }
        Ok(())
    }

    /// Everybody sleeps: it is as late as the first of them wants to wake.
    fn pass_time(&mut self) -> Result<()> {
        self.runs.idle_rounds += 1;
        let wanted = self.job.beds.iter().filter_map(|bed| match bed.rest {
            Rest::Asleep(until) => until,
            Rest::None | Rest::Done => None,
        });
        match wanted.min() {
            Some(at) if self.runs.idle_rounds <= IDLE_ROUNDS_MAX => {
                self.clock.advance(at.saturating_sub(self.clock.now()));
                Ok(())
            }
            _ => Err(self.stuck("stuck")),
        }
    }

    /// Says where every task stands, by stepping each of them once more.
    fn stuck(&mut self, how: &str) -> Error {
        let mut text = format!("{how} at step {}:", self.runs.steps);
        for (index, partition) in self.job.partitions.iter_mut().enumerate() {
            for task in 0..partition.task_count() {
                let was_done = partition.is_task_done(task);
                let name = partition.task_name(task).to_owned();
                let state = match partition.step(task) {
                    Ok(step) => state_of(step),
                    Err(_) => "fails",
                };
                if !was_done {
                    text.push_str(&format!("\n  partition {index}, task `{name}` {state}"));
                }
            }
        }
        Error::new(ErrorKind::JobFailed, text)
    }

    fn finish(self) -> Report {
        let Simulatable { partitions, registry, dead_letters, .. } = self.job;
        let cores = Vec::new();
        partitions.into_iter().for_each(Partition::finish);
        registry.report(RunFacts {
            seconds: (self.clock.now() - START_NS) as f64 / 1e9,
            cores,
            // Relaxed: all that counted did so on this thread.
            dead_letter: dead_letters.load(Ordering::Relaxed),
            warnings: Vec::new(),
            moves: MovesReport::default(),
            hot_keys: Vec::new(),
        })
    }
}

fn state_of(step: Step) -> &'static str {
    match step {
        Step { done: true, .. } => "can end, but nobody woke its partition",
        Step { blocked: true, .. } => "waits for room",
        Step { progressed: true, .. } => "can go on, but nobody woke its partition",
        Step { .. } => "waits for input",
    }
}

fn replayed(replay: &str, error: Error) -> Error {
    Error::new(error.kind(), format!("simulation of {replay}")).with_source(error)
}
