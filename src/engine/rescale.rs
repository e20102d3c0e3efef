//! Live rescale: a running job is stopped for some milliseconds and goes on over more partitions,
//! or fewer.
//!
//! 1. No more moves begin; those that are open come to their end.
//! 2. A stop goes through all lanes, as a barrier does: sources give nothing behind it, and every
//!    task that it has come through does nothing any more. Then nothing is under way anywhere.
//! 3. Partitions give their tasks up. Rooted ones go on as they are, those of other tasks as far as
//!    their partition stays; state by key goes to the new owner of its group, by pointer.
//! 4. Threads begin or end, lanes are made anew, and all go on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::dataflow::Order;
use crate::dataflow::blame::said;
use crate::engine::build::{Blueprint, Layout};
use crate::engine::job::Facts;
use crate::engine::seats::pinned_cores;
use crate::engine::state::JobState;
use crate::engine::{Engine, Home, OPEN_MOVES};
use crate::error::{Error, ErrorKind, Result};
use crate::exchange::STOPS;
use crate::exchange::wake::{Sleeper, Wake, wake_pair};
use crate::metrics::Registry;
use crate::routing::PARTITIONS_MAX;
use crate::runtime::lease::Leases;
use crate::runtime::{Control, Instance, PartitionHandle, Settle, Summons, SystemThread, Vacated};
use crate::supervisor::{Address, Grants};
use crate::time::{Clock, MonotonicClock, Nanos};

/// Between two questions whether the last move is done: a move takes less than a millisecond.
const MOVES_PAUSE: Duration = Duration::from_micros(200);
/// How long everything that is under way may take to come through, before the rescale is off.
const STOP_MAX: Duration = Duration::from_secs(10);

/// What a rescale has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rescaled {
    /// How many partitions there were.
    pub from: usize,
    /// How many there are.
    pub to: usize,
    /// For how long no source was read, in nanoseconds; 0 if nothing had to be done.
    pub pause_ns: u64,
}

/// What it takes to lay a running job out anew.
pub(crate) struct Rescaler {
    pub(crate) engine: Engine,
    pub(crate) blueprint: Blueprint,
    /// By partition; those of partitions that are no more wake where their rooted instances are.
    pub(crate) wakes: Vec<Wake>,
    /// How many partitions there are.
    pub(crate) partitions: usize,
    /// How often the job was asked to stop.
    pub(crate) stops: u64,
}

/// The running job, as far as a rescale touches it.
pub(crate) struct Running<'a> {
    pub(crate) state: &'a Arc<JobState>,
    pub(crate) system: &'a SystemThread,
    pub(crate) registry: &'a Arc<Registry>,
    pub(crate) supervisor: &'a Address,
    pub(crate) facts: &'a Mutex<Facts>,
    pub(crate) leases: &'a Mutex<Leases>,
}

/// Lays the job out over so many partitions.
pub(crate) fn rescale(running: &Running<'_>, partitions: usize) -> Result<Rescaled> {
    if !(1..=PARTITIONS_MAX).contains(&partitions) {
        let text = format!("rescale to {partitions} partitions; allowed: 1..={PARTITIONS_MAX}");
        return Err(Error::new(ErrorKind::InvalidConfig, text));
    }
    let mut rescaler = running.state.take_rescaler()?;
    let rescaled = rescaler.rescale(running, partitions);
    running.state.put_rescaler(rescaler);
    rescaled
}

impl Rescaler {
    fn rescale(&mut self, running: &Running<'_>, to: usize) -> Result<Rescaled> {
        let from = self.partitions;
        if from == to {
            return Ok(Rescaled { from, to, pause_ns: 0 });
        }
        self.blueprint.check(to)?;
        let mut leases = running.leases.lock().unwrap_or_else(PoisonError::into_inner);
        let engine = self.engine.seated(Some(to), &mut leases)?;
        let rescaled = self.rescale_onto(engine, running, to);
        leases.keep(&pinned_cores(&self.engine.plan));
        rescaled
    }

    /// Goes over to so many partitions where `engine` has planned them.
    fn rescale_onto(
        &mut self,
        engine: Engine,
        running: &Running<'_>,
        to: usize,
    ) -> Result<Rescaled> {
        let from = self.partitions;
        let stopped = self.stop(running).inspect_err(|_| running.supervisor.resume());
        let mut stopped = stopped?;
        let laid_out = catch_unwind(AssertUnwindSafe(|| {
            self.engine = engine;
            self.go_over(running, &mut stopped, to)
        }));
        let outcome = laid_out.unwrap_or_else(|panic| {
            let text = format!("a rescale panicked: {}", said(&*panic));
            Err(Error::new(ErrorKind::JobFailed, text))
        });
        if let Err(error) = outcome {
            // Tasks are gone, so the job is too.
            let text = format!("rescale from {from} to {to} partitions: {error}");
            running.state.fail(Error::new(error.kind(), text));
            return Err(error);
        }
        self.partitions = to;
        let pause_ns = MonotonicClock.now().saturating_sub(stopped.since);
        Ok(Rescaled { from, to, pause_ns })
    }

    /// Has everything that is under way come through, and all tasks stop behind it.
    fn stop(&mut self, running: &Running<'_>) -> Result<Stopped> {
        let until = MonotonicClock.now() + STOP_MAX.as_nanos() as Nanos;
        while running.supervisor.halt() {
            if MonotonicClock.now() > until || running.state.has_ended() {
                return Err(held_up());
            }
            std::thread::park_timeout(MOVES_PAUSE);
        }
        let since = MonotonicClock.now();
        let handles = running.state.partitions();
        let stop = STOPS + self.stops;
        self.stops += 1;
        handles.iter().for_each(|handle| {
            handle.order(Order::Barrier(stop));
        });
        let rested = ask_all(&handles, Summons::Rest);
        if let Err(why) = await_all(&rested, handles.len()) {
            handles.iter().for_each(|handle| {
                handle.order(Order::GoOn(stop));
            });
            return Err(why);
        }
        Ok(Stopped { handles, since })
    }

    /// Goes over to a layout of so many partitions. Nothing is under way.
    fn go_over(&mut self, running: &Running<'_>, stopped: &mut Stopped, to: usize) -> Result<()> {
        let from = self.partitions;
        let (before, mut sleepers) = self.vacate(stopped, to)?;
        while self.wakes.len() < to {
            let (sleeper, wake) = wake_pair();
            self.wakes.push(wake);
            sleepers.push(Some(sleeper));
        }
        let Layout { mut partitions, domains } = self.blueprint.lay_out(to, &self.wakes, before)?;
        self.engine.advice.listen(&mut partitions);
        let roots = self.blueprint.roots();
        let mut adopted: Vec<Vec<Sleeper>> = (0..to).map(|_| Vec::new()).collect();
        for (index, sleeper) in
            sleepers.iter_mut().enumerate().skip(to).take_while(|(i, _)| *i < roots)
        {
            adopted[index % to].extend(sleeper.take());
        }
        let settles = partitions.into_iter().zip(adopted).enumerate();
        let settles: Vec<Settle> = settles
            .map(|(index, (instances, adopted))| self.settle(index, instances, adopted))
            .collect();
        end_all(stopped.handles.drain(to.min(from)..));
        running.system.keep(to.min(from));
        stopped.handles.extend(self.add(running, from..to, sleepers)?);
        running.state.set_partitions(stopped.handles.clone());
        let rebalancer = self.engine.rebalancer(&domains);
        let grants = Grants::new(domains, to, OPEN_MOVES);
        running.supervisor.renew(grants, stopped.handles.clone(), rebalancer);
        self.note(running);
        for (handle, settle) in stopped.handles.iter().zip(settles) {
            if !handle.settle(settle) {
                return Err(Error::new(ErrorKind::JobFailed, "a partition cannot be reached"));
            }
        }
        self.wakes.truncate(to.max(roots));
        Ok(())
    }

    /// Takes all tasks, and what partitions sleep with that are no more, by partition.
    fn vacate(
        &self,
        stopped: &Stopped,
        to: usize,
    ) -> Result<(Vec<Instance>, Vec<Option<Sleeper>>)> {
        let (sender, vacated) = channel();
        for (index, handle) in stopped.handles.iter().enumerate() {
            let leaves = if index < to { Vec::new() } else { self.blueprint.unrooted() };
            handle.summon(Summons::Vacate { leaves, answer: sender.clone() });
        }
        drop(sender);
        let all = await_all(&vacated, stopped.handles.len())?;
        let mut before = Vec::new();
        let mut sleepers: Vec<Option<Sleeper>> = self.wakes.iter().map(|_| None).collect();
        for Vacated { index, instances, adopted, own } in all {
            before.extend(instances);
            sleepers[index] = own;
            let theirs =
                (self.partitions..self.wakes.len()).filter(|i| i % self.partitions == index);
            theirs.zip(adopted).for_each(|(of, sleeper)| sleepers[of] = Some(sleeper));
        }
        Ok((before, sleepers))
    }

    fn settle(&self, index: usize, instances: Vec<Instance>, adopted: Vec<Sleeper>) -> Settle {
        let core = self.engine.plan.partitions[index].core;
        Settle { instances, adopted, ladder: self.engine.ladder(), core }
    }

    /// Starts the threads of partitions that were not there.
    fn add(
        &self,
        running: &Running<'_>,
        added: std::ops::Range<usize>,
        mut sleepers: Vec<Option<Sleeper>>,
    ) -> Result<Vec<PartitionHandle>> {
        let Running { state, registry, supervisor, .. } = *running;
        let home = Home { state, registry, supervisor };
        let seed = |index: usize| {
            let sleeper = sleepers[index].take().expect("a partition that is no more left it");
            self.engine.seed(index, Vec::new(), (sleeper, self.wakes[index].clone()), &home)
        };
        let seeds: Vec<_> = added.map(seed).collect();
        let count = seeds.len();
        if count == 0 {
            return Ok(Vec::new());
        }
        state.expect(count);
        running.system.add(seeds).inspect_err(|_| state.expect_no(count))
    }

    /// Has reports say where the partitions run now.
    fn note(&self, running: &Running<'_>) {
        let mut facts = running.facts.lock().unwrap_or_else(PoisonError::into_inner);
        for (index, placed) in self.engine.plan.partitions.iter().enumerate() {
            match facts.cores.get_mut(index) {
                Some(core) => *core = placed.core,
                None => facts.cores.push(placed.core),
            }
        }
        facts.warnings.clone_from(&self.engine.plan.warnings);
    }
}

/// A job in which nothing is under way.
struct Stopped {
    handles: Vec<PartitionHandle>,
    since: Nanos,
}

/// Summons all partitions; their answers come to the receiver.
fn ask_all<T>(handles: &[PartitionHandle], summons: impl Fn(Sender<T>) -> Summons) -> Receiver<T> {
    let (sender, receiver) = channel();
    for handle in handles {
        handle.summon(summons(sender.clone()));
    }
    receiver
}

/// Ends partitions that have no tasks, and waits until they have.
fn end_all(handles: impl Iterator<Item = PartitionHandle>) {
    let (sender, ended) = channel();
    for handle in handles {
        // Never answered, but dropped by one that ends.
        handle.summon(Summons::Rest(sender.clone()));
        handle.tell(Control::Stop);
    }
    drop(sender);
    // Nobody answers: this is the end of all senders.
    let _ = ended.recv();
}

/// Waits for so many answers.
fn await_all<T>(answers: &Receiver<T>, count: usize) -> Result<Vec<T>> {
    let until = MonotonicClock.now() + STOP_MAX.as_nanos() as Nanos;
    let one = |_| {
        let left = until.saturating_sub(MonotonicClock.now());
        answers.recv_timeout(Duration::from_nanos(left)).map_err(|why| match why {
            RecvTimeoutError::Disconnected => {
                Error::new(ErrorKind::Closed, "the job has come to its end, or failed")
            }
            RecvTimeoutError::Timeout => held_up(),
        })
    };
    (0..count).map(one).collect()
}

fn held_up() -> Error {
    let text = format!(
        "what is under way has not come through in {} s: a sink takes nothing, or a future does \
         not end",
        STOP_MAX.as_secs()
    );
    Error::new(ErrorKind::TryAgain, text)
}
