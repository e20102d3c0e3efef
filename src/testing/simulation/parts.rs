//! What the engine would run on threads, and where each partition sleeps meanwhile.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::config::Config;
use crate::dataflow::{Executor, Pipeline};
use crate::engine::build::{Built, Layout, World, build};
use crate::error::Result;
use crate::exchange::wake::{Sleeper, Wake, wake_pair};
use crate::metrics::{Detail, Registry};
use crate::runtime::Partition;
use crate::testing::Random;
use crate::testing::executor::Futures;
use crate::testing::simulation::moves::Mover;
use crate::testing::simulation::rescales::Rescales;
use crate::testing::simulation::{SLOW_ONE_IN, Simulation};
use crate::time::{ManualClock, Nanos};

/// What stands between two runs of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// It may run now.
    None,
    /// It sleeps until woken, or until this time.
    Asleep(Option<Nanos>),
    /// All its tasks are done.
    Done,
}

/// Steps of single tasks, rather than of whole partitions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SingleSteps {
    /// One step in so many is a whole turn.
    pub(crate) turn_in: u64,
    /// Index of a task that is seldom stepped by itself.
    pub(crate) slow: usize,
}

impl SingleSteps {
    /// Index of one of `count` tasks; `None` for a turn.
    pub(super) fn pick(self, count: usize, random: &mut Random) -> Option<usize> {
        if random.one_in(self.turn_in) {
            return None;
        }
        let task = random.index(count);
        let is_passed_over = task == self.slow % count && !random.one_in(SLOW_ONE_IN);
        Some(if is_passed_over { (task + 1) % count } else { task })
    }
}

/// A partition's bed.
pub(super) struct Bed {
    pub(super) sleeper: Sleeper,
    pub(super) rest: Rest,
}

/// What the engine would run on threads.
pub(super) struct Simulatable {
    pub(super) partitions: Vec<Partition>,
    pub(super) beds: Vec<Bed>,
    pub(super) futures: Futures,
    pub(super) registry: Registry,
    pub(super) dead_letters: Arc<AtomicU64>,
    pub(super) wakes: Vec<Wake>,
    pub(super) mover: Option<Mover>,
    pub(super) rescales: Option<Rescales>,
}

/// Builds `pipeline` for so many partitions.
pub(super) fn job_of(
    pipeline: Pipeline,
    config: &Config,
    partitions: usize,
    clock: &ManualClock,
    asked: &Simulation,
) -> Result<Simulatable> {
    let (sleepers, wakes): (Vec<Sleeper>, Vec<Wake>) = (0..partitions).map(|_| wake_pair()).unzip();
    let futures = Futures::default();
    let executor = || Ok(Arc::new(futures.clone()) as Arc<dyn Executor>);
    let world = World {
        wakes: &wakes,
        clock,
        memory_limit_bytes: u64::MAX,
        parcels: asked.parcels,
        staged: asked.staged,
        executor: &executor,
    };
    let Built { layout, shape, dead_letters, blueprint, .. } = build(pipeline, config, &world)?;
    let Layout { partitions, domains } = layout;
    // Only counts: times in here are made up, and histograms were a quarter of a run's time.
    let registry = Registry::new(shape, partitions.len(), Detail::Counters);
    let partitions = partitions
        .into_iter()
        .enumerate()
        .map(|(index, tasks)| {
            let metrics = registry.open(index);
            let mut partition = Partition::vacant(index, metrics, Box::new(clock.clone()));
            partition.seat(tasks);
            partition
        })
        .collect();
    let beds = sleepers.into_iter().map(|sleeper| Bed { sleeper, rest: Rest::None }).collect();
    let mover = asked.moves.clone().map(|moves| Mover::new(moves, domains, wakes.len()));
    // Kept only where it is needed: it holds clones of what the program's closures hold.
    let rescales = asked.rescales.map(|one_in| Rescales::new(blueprint, one_in));
    Ok(Simulatable { partitions, beds, futures, registry, dead_letters, wakes, mover, rescales })
}
