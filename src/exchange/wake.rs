//! How a partition without work sleeps and how others wake it: an event count.
//!
//! The sleeper announces itself ([`Sleeper::announce`]), looks for work once more, and only then
//! sleeps. A waker first makes its work visible and then looks for a sleeper. Between the write
//! and the look stands a sequentially consistent fence on both sides, so at least one of them sees
//! the other and no wake-up is lost (model-checked in `tests/loom.rs`).
//!
//! Source of the method: event counts, as in Vyukov's "Eventcounts" (2008); the handshake is
//! Dekker's.

use std::task::Waker;
use std::time::Duration;

use sync::{Arc, AtomicBool, AtomicWaker, Mutex, Ordering, Thread, fence};

#[cfg(not(millstream_loom))]
mod sync {
    pub(super) use std::sync::atomic::{AtomicBool, Ordering, fence};
    pub(super) use std::sync::{Arc, Mutex};
    pub(super) use std::thread::{self, Thread};

    pub(super) use atomic_waker::AtomicWaker;
}

#[cfg(millstream_loom)]
mod sync {
    pub(super) use loom::future::AtomicWaker;
    pub(super) use loom::sync::atomic::{AtomicBool, Ordering, fence};
    pub(super) use loom::sync::{Arc, Mutex};

    pub(super) use crate::exchange::park_model as thread;
    pub(super) use crate::exchange::park_model::Thread;
}

struct Shared {
    asleep: AtomicBool,
    /// The partition's task, for sleeps inside its runtime.
    waker: AtomicWaker,
    /// The partition's thread, for the short sleeps that a runtime's timer is too coarse for.
    thread: Mutex<Option<Thread>>,
}

/// Wakes one partition, from any thread. Cloning it is cheap.
#[derive(Clone)]
pub struct Wake {
    shared: Arc<Shared>,
}

/// The sleeping side of a [`Wake`]: one per partition, moved to its thread.
pub struct Sleeper {
    shared: Arc<Shared>,
    /// Those of partitions that are no more: what they are woken for is done here.
    adopted: Vec<Sleeper>,
}

/// A partition's two ends: one to sleep with, one to be woken by.
pub fn wake_pair() -> (Sleeper, Wake) {
    let shared = Arc::new(Shared {
        asleep: AtomicBool::new(false),
        waker: AtomicWaker::new(),
        thread: Mutex::new(None),
    });
    (Sleeper { shared: Arc::clone(&shared), adopted: Vec::new() }, Wake { shared })
}

impl Wake {
    /// Wakes the partition if it sleeps; otherwise costs a fence and a load. Call it after the
    /// work is visible to the partition.
    #[inline]
    pub fn wake(&self) {
        // SeqCst pairs with the fence in `announce`: work before flag here, flag before work there.
        fence(Ordering::SeqCst);
        if self.shared.asleep.load(Ordering::Relaxed) {
            self.wake_sleeper();
        }
    }

    #[cold]
    fn wake_sleeper(&self) {
        if !self.shared.asleep.swap(false, Ordering::AcqRel) {
            return; // Another waker was first.
        }
        let thread = self.shared.thread.lock().expect("never held over a panic").clone();
        if let Some(thread) = thread {
            thread.unpark();
        }
        self.shared.waker.wake();
    }
}

impl std::fmt::Debug for Wake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wake")
    }
}

impl Sleeper {
    /// Says that the current thread is the one to wake. Called once, on the partition's thread.
    pub fn bind_to_current_thread(&mut self) {
        let thread = sync::thread::current();
        self.each(|shared| {
            *shared.thread.lock().expect("never held over a panic") = Some(thread.clone());
        });
    }

    /// From here on whoever wakes `other` wakes this one too. Not while it sleeps.
    pub fn adopt(&mut self, other: Sleeper) {
        let thread = self.shared.thread.lock().expect("never held over a panic").clone();
        *other.shared.thread.lock().expect("never held over a panic") = thread;
        self.adopted.push(other);
    }

    /// Lets go of those that were [adopted](Self::adopt), in that order.
    pub fn release(&mut self) -> Vec<Sleeper> {
        self.withdraw();
        std::mem::take(&mut self.adopted)
    }

    /// Announces that the partition is about to sleep. The caller then looks for work once more
    /// and calls [`withdraw`](Self::withdraw) if it finds some.
    pub fn announce(&mut self) {
        // A swap, not a store, like every other write to the flag: then it stands behind a waker's
        // swap in the flag's order whatever the checker knows of atomicity.
        self.each(|shared| {
            shared.asleep.swap(true, Ordering::Relaxed);
        });
        // SeqCst pairs with the fence in `wake`.
        fence(Ordering::SeqCst);
    }

    /// Takes the announcement back: there is work.
    pub fn withdraw(&mut self) {
        self.each(|shared| {
            if shared.asleep.load(Ordering::Relaxed) {
                shared.asleep.swap(false, Ordering::Relaxed);
            }
        });
    }

    /// Whether a waker has been here since the announcement.
    pub fn is_woken(&self) -> bool {
        // Acquire pairs with the release half of the swap in `wake_sleeper`.
        !self.shared.asleep.load(Ordering::Acquire) || self.adopted.iter().any(Sleeper::is_woken)
    }

    fn each(&self, mut act: impl FnMut(&Shared)) {
        act(&self.shared);
        self.adopted.iter().for_each(|other| act(&other.shared));
    }

    /// Blocks the thread until it is woken or `timeout` has passed, whichever is first.
    /// Must follow [`announce`](Self::announce).
    #[cfg(not(millstream_loom))]
    pub fn sleep_thread(&mut self, timeout: Duration) {
        if !self.is_woken() {
            sync::thread::park_timeout(timeout);
        }
        self.withdraw();
    }

    /// Under the model checker there is no time, so only a wake-up ends the sleep.
    #[cfg(millstream_loom)]
    pub fn sleep_thread(&mut self, _timeout: Duration) {
        let thread = self.shared.thread.lock().expect("never held over a panic").clone();
        let thread = thread.expect("a thread that sleeps is bound");
        while !self.is_woken() {
            thread.park();
        }
        self.withdraw();
    }

    /// Registers the task to be woken. Must come before [`announce`](Self::announce); the task
    /// then returns `Pending`.
    pub fn register(&mut self, waker: &Waker) {
        self.each(|shared| {
            #[cfg(not(millstream_loom))]
            shared.waker.register(waker);
            #[cfg(millstream_loom)]
            shared.waker.register_by_ref(waker);
        });
    }
}

#[cfg(all(test, not(millstream_loom)))]
mod tests {
    use super::*;

    #[test]
    fn wake_before_sleep_is_not_lost() {
        let (mut sleeper, wake) = wake_pair();
        sleeper.bind_to_current_thread();
        sleeper.announce();
        wake.wake();
        assert!(sleeper.is_woken());
        sleeper.sleep_thread(Duration::from_secs(3600)); // Would hang the test if lost.
    }

    #[test]
    fn wake_from_another_thread_ends_the_sleep() {
        let (mut sleeper, wake) = wake_pair();
        sleeper.bind_to_current_thread();
        sleeper.announce();
        let waker = std::thread::spawn(move || wake.wake());
        sleeper.sleep_thread(Duration::from_secs(3600));
        assert!(sleeper.is_woken());
        waker.join().expect("no panic");
    }

    #[test]
    fn wake_of_a_busy_partition_leaves_no_trace() {
        let (mut sleeper, wake) = wake_pair();
        wake.wake();
        sleeper.announce();
        assert!(!sleeper.is_woken());
    }

    #[test]
    fn wake_of_one_that_was_adopted_wakes_until_it_is_released() {
        let ((mut sleeper, _own), (other, wake)) = (wake_pair(), wake_pair());
        sleeper.bind_to_current_thread();
        sleeper.adopt(other);
        sleeper.announce();
        wake.wake();
        assert!(sleeper.is_woken());
        sleeper.sleep_thread(Duration::from_secs(3600)); // Would hang the test if lost.
        assert_eq!(sleeper.release().len(), 1);
        sleeper.announce();
        wake.wake();
        assert!(!sleeper.is_woken());
    }
}
