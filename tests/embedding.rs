//! The engine inside other programs: tokio, actix, plain and pinned threads, fed from all of them.
#![allow(clippy::disallowed_methods)] // Tests start threads of their own.

#[path = "embedding/feeding.rs"]
mod feeding;
#[path = "embedding/hosts.rs"]
mod hosts;
#[path = "embedding/threads.rs"]
mod threads;

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use millstream::config::Pin;
use millstream::prelude::*;

/// Held for writing by tests that count the threads of the whole process.
static JOBS: RwLock<()> = RwLock::new(());

/// Runs beside other tests that start jobs.
fn beside_others() -> RwLockReadGuard<'static, ()> {
    JOBS.read().unwrap_or_else(PoisonError::into_inner)
}

/// Runs while no other test has a job.
fn alone() -> RwLockWriteGuard<'static, ()> {
    JOBS.write().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `future` on a tokio runtime of this thread alone.
fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a runtime without drivers needs nothing").block_on(future)
}

/// An engine of so many partitions, unpinned: tests run beside each other on few cores.
fn engine(partitions: usize) -> Engine {
    let config = Config::builder().partitions(partitions).pin(Pin::Off).build();
    Engine::new(config.expect("the knobs are in their bounds")).expect("no core is asked for")
}
