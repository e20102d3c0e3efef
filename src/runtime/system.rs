//! The only file that builds an actix `System`: one unpinned thread of its own per job, with an
//! arbiter (a thread with a runtime) per partition.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use actix::clock::sleep;
use actix::{Actor, Addr, Arbiter, Context, System};

use crate::error::{Error, ErrorKind, Result};
use crate::exchange::wake::{Sleeper, Wake};
use crate::runtime::actor::{OnDry, OnExit, OnReply, PartitionActor};
use crate::runtime::control::PartitionHandle;
use crate::runtime::host;
use crate::runtime::idle::Ladder;
use crate::runtime::partition::Partition;
use crate::runtime::placement::{SYSTEM_THREAD, thread_name};
use crate::time::Nanos;

/// How late a partition may wake up. With the usual 50 µs a sleep of 20 µs lasts 98 µs, with this
/// 42 µs (two virtual cores).
const TIMER_SLACK_NS: Nanos = 1_000;

/// Everything a partition's thread needs to begin.
pub struct PartitionSeed {
    /// Makes the partition, on its own thread, so that its memory lies near its core.
    pub make: Box<dyn FnOnce() -> Partition + Send>,
    /// What it sleeps with.
    pub sleeper: Sleeper,
    /// What wakes it.
    pub wake: Wake,
    /// How it idles.
    pub ladder: Ladder,
    /// The core to pin it to.
    pub core: Option<usize>,
    /// Told when it has ended.
    pub on_exit: OnExit,
    /// Told what its tasks say.
    pub on_reply: OnReply,
    /// Told when it has nothing to do.
    pub on_dry: OnDry,
}

/// The threads of a running job.
pub struct SystemThread {
    thread: Option<JoinHandle<()>>,
    system: System,
    /// One per partition, in order.
    arbiters: Arc<Mutex<Vec<Arbiter>>>,
}

impl SystemThread {
    /// Starts one thread per seed, and one for the system itself; returns when all partitions can
    /// be reached.
    ///
    /// The system's thread is started here and so inherits the affinity of the caller, which must
    /// not be pinned; the partitions' threads inherit it from there.
    ///
    /// # Errors
    /// [`ErrorKind::TryAgain`] if the operating system has no thread to give.
    pub fn start(seeds: Vec<PartitionSeed>) -> Result<(SystemThread, Vec<PartitionHandle>)> {
        let (started, start) = mpsc::channel();
        let arbiters = Arc::<Mutex<Vec<Arbiter>>>::default();
        let own = Arc::clone(&arbiters);
        let thread = std::thread::Builder::new()
            .name(SYSTEM_THREAD.to_owned())
            .spawn(move || {
                let system = System::new();
                // Threads first: if there are too few, no partition has begun.
                let threads: Vec<Arbiter> = seeds.iter().map(|_| Arbiter::new()).collect();
                let handles = seeds
                    .into_iter()
                    .zip(&threads)
                    .enumerate()
                    .map(|(index, (seed, arbiter))| start_partition(index, seed, arbiter))
                    .collect::<Vec<_>>();
                *lock(&own) = threads;
                // The receiver waits below; it cannot be gone.
                let _ = started.send((System::current(), handles));
                // The exit code is always 0: outcomes are reported by `on_exit`.
                let _ = system.run();
                std::mem::take(&mut *lock(&own)).into_iter().for_each(end);
            })
            .map_err(|error| {
                Error::new(ErrorKind::TryAgain, "cannot start a thread").with_source(error)
            })?;
        let (system, handles) = start.recv().map_err(|_| {
            Error::new(ErrorKind::TryAgain, "cannot start the partitions' threads; fewer may fit")
        })?;
        Ok((SystemThread { thread: Some(thread), system, arbiters }, handles))
    }

    /// Starts one more thread per seed, for partitions behind those that there are.
    ///
    /// # Errors
    /// [`ErrorKind::TryAgain`] if the operating system has no thread to give; none is started then.
    pub fn add(&self, seeds: Vec<PartitionSeed>) -> Result<Vec<PartitionHandle>> {
        let (started, start) = mpsc::channel();
        let arbiters = Arc::clone(&self.arbiters);
        // Threads inherit where they may run from the one that starts them.
        self.system.arbiter().spawn_fn(move || {
            let threads = catch_unwind(AssertUnwindSafe(|| {
                seeds.iter().map(|_| Arbiter::new()).collect::<Vec<_>>()
            }));
            let Ok(threads) = threads else { return };
            let mut arbiters = lock(&arbiters);
            let first = arbiters.len();
            let handle = |(at, (seed, arbiter))| start_partition(first + at, seed, arbiter);
            let handles: Vec<_> = seeds.into_iter().zip(&threads).enumerate().map(handle).collect();
            arbiters.extend(threads);
            let _ = started.send(handles);
        });
        start.recv().map_err(|_| {
            Error::new(ErrorKind::TryAgain, "cannot start the partitions' threads; fewer may fit")
        })
    }

    /// Ends the threads of all partitions but the first so many, which have ended by themselves.
    pub fn keep(&self, partitions: usize) {
        let ended: Vec<Arbiter> = lock(&self.arbiters).drain(partitions..).collect();
        ended.into_iter().for_each(end);
    }

    /// A way to have something called after a while, on the system's own thread, which is not
    /// pinned; never, once the system has stopped.
    pub fn alarm(&self) -> impl Fn(Duration, Box<dyn FnOnce() + Send>) + Send + Sync + use<> {
        let arbiter = self.system.arbiter().clone();
        move |wait, call| {
            arbiter.spawn(async move {
                sleep(wait).await;
                call();
            });
        }
    }

    /// Starts an actor on the system's own thread, which is not pinned; returns its address.
    pub fn start_actor<A, F>(&self, make: F) -> Addr<A>
    where
        A: Actor<Context = Context<A>>,
        F: FnOnce() -> A + Send + 'static,
    {
        A::start_in_arbiter(self.system.arbiter(), move |_| make())
    }

    /// Stops the system and waits for all its threads.
    pub fn stop(&mut self) {
        self.system.stop();
        if let Some(thread) = self.thread.take() {
            // It panics only if starting did, and then nobody holds a `SystemThread`.
            let _ = thread.join();
        }
    }
}

impl Drop for SystemThread {
    fn drop(&mut self) {
        self.stop();
    }
}

fn lock(arbiters: &Mutex<Vec<Arbiter>>) -> MutexGuard<'_, Vec<Arbiter>> {
    arbiters.lock().unwrap_or_else(PoisonError::into_inner)
}

fn end(arbiter: Arbiter) {
    arbiter.stop();
    // A panic outside a step has nowhere else to go; the job was told by then.
    let _ = arbiter.join();
}

fn start_partition(index: usize, seed: PartitionSeed, arbiter: &Arbiter) -> PartitionHandle {
    let PartitionSeed { make, sleeper, wake, ladder, core, on_exit, on_reply, on_dry } = seed;
    let mailbox = PartitionActor::start_in_arbiter(&arbiter.handle(), move |_| {
        // The arbiter has named the thread in its own way.
        host::name_current_thread(&thread_name(index));
        host::set_timer_slack(TIMER_SLACK_NS);
        // Before anything is allocated: the first touch decides where memory lies.
        if core.is_some_and(|core| !host::pin_current_thread(core)) {
            #[cfg(feature = "tracing")]
            tracing::warn!(core, "partition could not be pinned and runs where the system puts it");
        }
        PartitionActor::new(make(), sleeper, ladder, (on_exit, on_reply, on_dry))
    });
    PartitionHandle::new(mailbox, wake)
}
