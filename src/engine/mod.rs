//! The door for programs that embed the engine.

mod advice;
pub(crate) mod build;
mod env;
mod job;
mod rescale;
mod seats;
mod state;
mod transfer;

use std::cell::OnceCell;
use std::sync::{Arc, Mutex};

use crate::config::{Config, Idle, Metrics};
use crate::dataflow::Pipeline;
use crate::engine::advice::Advice;
use crate::engine::build::{Built, World, build};
use crate::engine::rescale::Rescaler;
use crate::engine::seats::planned;
use crate::engine::state::JobState;
use crate::error::Result;
use crate::exchange::STAGED_RECORDS;
use crate::exchange::wake::{Sleeper, Wake, wake_pair};
use crate::hand_over::PARCELS;
use crate::metrics::{Detail, Registry, Report};
use crate::runtime::lease::Leases;
use crate::runtime::placement::{Machine, Plan};
use crate::runtime::{
    AsyncThread, Instance, Ladder, Partition, PartitionHandle, PartitionSeed, SystemThread, host,
};
use crate::supervisor::{Address, Books, Grants, Movable, Supervisor};
use crate::time::{Clock, MonotonicClock};

pub use job::Job;
#[cfg(feature = "cli")]
pub(crate) use job::JobStatus;
pub use rescale::Rescaled;
pub(crate) use seats::placement_request;

/// Moves that may be open at once in a job.
const OPEN_MOVES: usize = 1;

/// The job that a partition belongs to, as those see it who run it.
struct Home<'a> {
    state: &'a Arc<JobState>,
    registry: &'a Arc<Registry>,
    supervisor: &'a Address,
}

/// Runs pipelines as its configuration says. A value: two engines in one process do not meet.
///
/// It may be made and used on any thread, inside a tokio or actix program too: every job brings
/// its own threads.
///
/// ```
/// use millstream::connector::iterator;
/// use millstream::prelude::*;
///
/// let engine = Engine::new(Config::builder().partitions(2).build()?)?;
/// let pipeline = Pipeline::new("squares");
/// let squares = pipeline.source(iterator(1..=3)).map(|n| n * n).collect();
/// let report = engine.run(pipeline)?;
/// assert_eq!(squares.take(), [1, 4, 9]);
/// assert_eq!((report.records, report.partitions.len()), (3, 2));
/// # Ok::<(), millstream::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Engine {
    config: Config,
    machine: Machine,
    plan: Plan,
    advice: Advice,
}

impl Engine {
    /// An engine with `config` on this machine. Call it on a thread that is not pinned: partitions
    /// run on the cores that this thread may use.
    ///
    /// # Errors
    /// [`Usage`](crate::ErrorKind::Usage) or [`InvalidConfig`](crate::ErrorKind::InvalidConfig) if
    /// `config` names cores that the process may not use;
    /// [`Permission`](crate::ErrorKind::Permission) if pinning is demanded and impossible.
    pub fn new(config: Config) -> Result<Engine> {
        let (machine, plan) = planned(host::machine(), &placement_request(&config), None)?;
        Ok(Engine { config, machine, plan, advice: Advice::default() })
    }

    /// Where the partitions of its jobs would run, and why, had they started when it was made. A
    /// job plans anew at its start, since jobs that began meanwhile may have taken cores.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Its configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Runs `pipeline` to its end and returns what it did. Blocks the calling thread; a pipeline
    /// with a source that never ends runs for ever.
    ///
    /// # Errors
    /// Those of [`start`](Self::start) and of [`Job::join`].
    pub fn run(&self, pipeline: Pipeline) -> Result<Report> {
        self.start(pipeline)?.join()
    }

    /// Starts `pipeline` and returns a handle to it. Does not block.
    ///
    /// ```
    /// # use millstream::{connector::{blackhole, iterator}, prelude::*};
    /// let pipeline = Pipeline::new("endless");
    /// pipeline.source(iterator(0u64..)).sink(blackhole());
    /// let job = Engine::new(Config::default())?.start(pipeline)?;
    /// assert!(!job.has_ended());
    /// let report = job.drain()?;
    /// assert_eq!(report.tasks[0].records_in, report.tasks[0].records_out);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`InvalidConfig`](crate::ErrorKind::InvalidConfig) with everything that is wrong with the
    /// pipeline, a line each; what a connector reports that cannot be opened;
    /// [`Permission`](crate::ErrorKind::Permission) if pinning is demanded and another job has
    /// pinned the cores. No thread has been started then.
    pub fn start(&self, pipeline: Pipeline) -> Result<Job> {
        let mut leases = Leases::default();
        self.seated(None, &mut leases)?.start_seated(pipeline, leases)
    }

    fn start_seated(&self, pipeline: Pipeline, leases: Leases) -> Result<Job> {
        let partitions = self.plan.partitions.len();
        let (sleepers, wakes): (Vec<Sleeper>, Vec<Wake>) =
            (0..partitions).map(|_| wake_pair()).unzip();
        let limit = self.config.memory_limit_bytes().unwrap_or_else(host::memory_bytes);
        let started = MonotonicClock.now();
        let futures = OnceCell::new();
        let executor = || {
            let thread = AsyncThread::start()?;
            Ok(futures.get_or_init(|| thread).executor())
        };
        let world = World {
            wakes: &wakes,
            clock: &MonotonicClock,
            memory_limit_bytes: limit,
            parcels: PARCELS,
            staged: STAGED_RECORDS,
            executor: &executor,
        };
        let built = build(pipeline, &self.config, &world)?;
        let detail = match self.config.metrics() {
            Metrics::On => Detail::Full,
            Metrics::Off => Detail::Counters,
        };
        let registry = Arc::new(Registry::new(built.shape.clone(), partitions, detail));
        let Built { name, layout, inputs, dead_letters, blueprint, .. } = built;
        let build::Layout { partitions: mut tasks, domains } = layout;
        self.advice.listen(&mut tasks);
        let address = Address::default();
        let state = Arc::new(JobState::new(name, partitions));
        let home = Home { state: &state, registry: &registry, supervisor: &address };
        let beds = sleepers.into_iter().zip(wakes.clone());
        let seeds = tasks.into_iter().zip(beds).enumerate();
        let seeds =
            seeds.map(|(index, (tasks, bed))| self.seed(index, tasks, bed, &home)).collect();
        let (system, handles) = SystemThread::start(seeds)?;
        let mover = self.supervise(&system, handles.clone(), address, domains);
        state.set_partitions(handles);
        let engine = self.clone();
        let rescaler = Rescaler { engine, blueprint, wakes, partitions, stops: 0 };
        state.put_rescaler(Box::new(rescaler));
        #[cfg(feature = "tracing")]
        self.tell_start(state.name());
        let cores = self.plan.partitions.iter().map(|placed| placed.core).collect();
        let facts = job::Facts { started, cores, warnings: self.plan.warnings.clone() };
        let futures = futures.into_inner();
        let threads = job::Threads { system, futures, leases: Mutex::new(leases) };
        let ends = job::Ends { inputs, dead_letters, mover };
        Ok(Job::new(state, threads, registry, ends, facts))
    }

    /// Starts the supervisor of a job.
    fn supervise(
        &self,
        system: &SystemThread,
        partitions: Vec<PartitionHandle>,
        address: Address,
        domains: Vec<Movable>,
    ) -> job::Mover {
        let rebalancer = self.rebalancer(&domains);
        #[cfg(test)]
        let shared = domains.iter().map(|movable| Arc::clone(&movable.domain)).collect();
        let grants = Grants::new(domains, partitions.len(), OPEN_MOVES);
        let (ledger, account) = (Arc::default(), Arc::default());
        let books = Books { ledger: Arc::clone(&ledger), account: Arc::clone(&account) };
        let make = move || Supervisor::new(grants, partitions, books, rebalancer);
        address.set(system.start_actor(make));
        job::Mover {
            address,
            #[cfg(test)]
            domains: shared,
            ledger,
            account,
        }
    }

    /// What the thread of one partition needs to begin.
    fn seed(
        &self,
        index: usize,
        instances: Vec<Instance>,
        (sleeper, wake): (Sleeper, Wake),
        home: &Home<'_>,
    ) -> PartitionSeed {
        let (registry, supervisor) = (Arc::clone(home.registry), home.supervisor.clone());
        let on_exit = JobState::on_exit(home.state);
        let make = move || {
            let metrics = registry.open(index);
            let mut partition = Partition::vacant(index, metrics, Box::new(MonotonicClock));
            partition.seat(instances);
            partition
        };
        PartitionSeed {
            make: Box::new(make),
            sleeper,
            wake,
            ladder: self.ladder(),
            core: self.plan.partitions[index].core,
            on_exit: Box::new(move |outcome| {
                supervisor.ended(index);
                on_exit(outcome);
            }),
            on_reply: home.supervisor.on_reply(),
            on_dry: home.supervisor.on_dry(index),
        }
    }

    fn ladder(&self) -> Ladder {
        Ladder::new(self.idle(), self.config.spin_us())
    }

    #[cfg(feature = "tracing")]
    fn tell_start(&self, job: &str) {
        tracing::info!(job, partitions = self.plan.partitions.len(), "job started");
        for warning in &self.plan.warnings {
            tracing::warn!(job, warning, "job runs otherwise than asked for");
        }
    }

    /// How partitions idle: where they share cores, whoever has nothing to do must let go of its
    /// core, whatever was asked for (the plan warns about it).
    fn idle(&self) -> Idle {
        if self.plan.overcommitted { Idle::Park } else { self.config.idle() }
    }

    /// What the engine knows about the machine.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }
}
