//! Futures on the thread of a test: polled one at a time, in the order that the test picks.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Wake, Waker};

use crate::dataflow::{Errand, Executor};

/// An executor that polls when it is told to.
#[derive(Clone, Default)]
pub(crate) struct Futures {
    ready: Arc<Ready>,
}

/// The futures that have something to do.
#[derive(Default)]
struct Ready(Mutex<Vec<Arc<Spawned>>>);

/// A future, until it is done.
struct Spawned {
    errand: Mutex<Option<Errand>>,
    is_ready: AtomicBool,
    ready: Weak<Ready>,
}

impl Futures {
    /// How many have something to do.
    pub(crate) fn ready(&self) -> usize {
        self.ready.lock().len()
    }

    /// Polls the one that has been ready for longest but for `index` others.
    pub(crate) fn poll(&self, index: usize) {
        let spawned = self.ready.lock().remove(index);
        // Before the poll, in which it may become ready again.
        spawned.is_ready.store(false, Ordering::Relaxed);
        let waker = Waker::from(Arc::clone(&spawned));
        let mut errand = spawned.errand.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = &mut *errand
            && running.as_mut().poll(&mut Context::from_waker(&waker)).is_ready()
        {
            *errand = None;
        }
    }
}

impl Executor for Futures {
    fn spawn(&self, errand: Errand) {
        let (errand, ready) = (Mutex::new(Some(errand)), Arc::downgrade(&self.ready));
        Arc::new(Spawned { errand, is_ready: AtomicBool::new(false), ready }).wake();
    }
}

impl Ready {
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Spawned>>> {
        // Nothing that can panic happens while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Spawned {
    fn wake(self: Arc<Self>) {
        let ready = self.ready.upgrade();
        if !self.is_ready.swap(true, Ordering::Relaxed)
            && let Some(ready) = ready
        {
            ready.lock().push(self);
        }
    }
}

impl fmt::Debug for Futures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Futures").field("ready", &self.ready()).finish()
    }
}
