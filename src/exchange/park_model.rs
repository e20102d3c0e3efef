//! What a parked thread is to the model checker: a token that wakes it, under a mutex.
//!
//! Loom's own `park` forgets a token when the thread then waits for a mutex, and its `unpark` also
//! ends waits for mutexes and joins (0.7.2, `rt/thread.rs`), so it reports deadlocks that no real
//! thread can meet.

use loom::sync::{Arc, Condvar, Mutex};

/// Stands for [`std::thread::Thread`].
#[derive(Clone)]
pub(crate) struct Thread {
    token: Arc<(Mutex<bool>, Condvar)>,
}

/// A handle of the thread that binds itself; asked for once per thread.
pub(crate) fn current() -> Thread {
    Thread { token: Arc::new((Mutex::new(false), Condvar::new())) }
}

impl Thread {
    pub(crate) fn unpark(&self) {
        let (is_set, changed) = &*self.token;
        *is_set.lock().expect("no panic while it is held") = true;
        changed.notify_one();
    }

    /// Waits for the token and takes it. Called on the thread itself.
    pub(crate) fn park(&self) {
        let (is_set, changed) = &*self.token;
        let mut held = is_set.lock().expect("no panic while it is held");
        while !*held {
            held = changed.wait(held).expect("no panic while it is held");
        }
        *held = false;
    }
}
