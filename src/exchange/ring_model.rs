//! What a lane's queue is to the model checker: crossbeam's `ArrayQueue` for one producer and one
//! consumer, which loom cannot see into.
//!
//! It promises less than the real one does. Whether there is something, or room, is read from two
//! counters with acquire and release only and without taking the mutex, so nothing orders a look
//! at an empty or a full queue but the fences of [`wake`](crate::exchange::wake). Were the mutex
//! taken for the look, it would do the fences' work and hide that they are missing.

use std::collections::VecDeque;

use loom::sync::Mutex;
use loom::sync::atomic::{AtomicUsize, Ordering};

pub(crate) struct ArrayQueue<T> {
    values: Mutex<VecDeque<T>>,
    capacity: usize,
    /// Written by the producer only.
    pushed: AtomicUsize,
    /// Written by the consumer only.
    popped: AtomicUsize,
}

impl<T> ArrayQueue<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        ArrayQueue {
            values: Mutex::new(VecDeque::new()),
            capacity,
            pushed: AtomicUsize::new(0),
            popped: AtomicUsize::new(0),
        }
    }

    pub(crate) fn push(&self, value: T) -> Result<(), T> {
        if self.len() >= self.capacity {
            return Err(value);
        }
        self.values.lock().expect("no panic while it is held").push_back(value);
        // Release pairs with the acquire in `len`, at the consumer. Only one thread pushes.
        let pushed = self.pushed.load(Ordering::Relaxed);
        self.pushed.store(pushed + 1, Ordering::Release);
        Ok(())
    }

    pub(crate) fn pop(&self) -> Option<T> {
        if self.is_empty() {
            return None;
        }
        let value = self.values.lock().expect("no panic while it is held").pop_front();
        // Release pairs with the acquire in `len`, at the producer. Only one thread pops.
        let popped = self.popped.load(Ordering::Relaxed);
        self.popped.store(popped + 1, Ordering::Release);
        value
    }

    pub(crate) fn len(&self) -> usize {
        // Popped first: what was popped by then was pushed before, so this never goes below 0.
        let popped = self.popped.load(Ordering::Acquire);
        self.pushed.load(Ordering::Acquire) - popped
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
