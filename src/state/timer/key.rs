//! `KeyTimers`: the timers of one key.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::state::timer::TimerQueue;
use crate::time::Timestamp;

/// The timers of one key in one kind of time: a set of times. 24 bytes, and nothing on the heap
/// while there is at most one.
///
/// It goes with the key's state. Written down, it is its times; read back, or installed on another
/// partition, [`enqueue`](Self::enqueue) makes it known to the queue there.
///
/// Invariant: `queued` is not after the earliest time, and the queue has an entry for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Vec<Timestamp>", from = "Vec<Timestamp>")]
pub struct KeyTimers {
    /// When the queue wakes the key; [`Timestamp::MAX`] if it does not.
    queued: Timestamp,
    times: Times,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Times {
    None,
    One(Timestamp),
    #[allow(clippy::box_collection)] // Most keys have one timer at most, and are 16 bytes smaller.
    Many(Box<BTreeSet<Timestamp>>),
}

/// The latest time of a timer: the maximum stands for "not queued".
const LAST: Timestamp = Timestamp::MAX.plus_millis(-1);

impl KeyTimers {
    /// No timers.
    pub const fn new() -> Self {
        KeyTimers { queued: Timestamp::MAX, times: Times::None }
    }

    /// How many timers are set.
    pub fn len(&self) -> usize {
        match &self.times {
            Times::None => 0,
            Times::One(_) => 1,
            Times::Many(times) => times.len(),
        }
    }

    /// Whether there is no timer.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.earliest().is_none()
    }

    /// Sets a timer for the key of `hash`; setting it twice is setting it once. One that is past
    /// already is due at once. The maximum counts as a millisecond before.
    #[inline]
    pub fn set(&mut self, time: Timestamp, hash: u64, queue: &mut TimerQueue) {
        let time = time.min(LAST);
        self.times.insert(time);
        if time < self.queued {
            self.queued = time;
            queue.set(time, hash);
        }
    }

    /// Deletes a timer; returns whether it was set. The queue may wake the key all the same, and
    /// finds nothing.
    #[inline]
    pub fn delete(&mut self, time: Timestamp) -> bool {
        self.times.remove(time.min(LAST))
    }

    /// Takes the earliest timer out if it is due at `watermark`; to be called until it answers
    /// `None` whenever the queue has woken `hash`. What is set meanwhile, at or before `watermark`,
    /// comes in its turn.
    #[inline]
    pub fn pop_due(
        &mut self,
        watermark: Timestamp,
        hash: u64,
        queue: &mut TimerQueue,
    ) -> Option<Timestamp> {
        if self.queued > watermark {
            // An entry of a time that is no longer the earliest; the one that counts is to come.
            return None;
        }
        match self.earliest() {
            Some(time) if time <= watermark => {
                self.times.remove(time);
                Some(time)
            }
            _ => {
                self.enqueue(hash, queue);
                None
            }
        }
    }

    /// Makes the queue wake the key of `hash` at its earliest timer, when no entry for it is there.
    pub fn enqueue(&mut self, hash: u64, queue: &mut TimerQueue) {
        let earliest = self.earliest();
        self.queued = earliest.unwrap_or(Timestamp::MAX);
        if let Some(time) = earliest {
            queue.set(time, hash);
        }
    }

    #[inline]
    fn earliest(&self) -> Option<Timestamp> {
        match &self.times {
            Times::None => None,
            Times::One(time) => Some(*time),
            Times::Many(times) => times.first().copied(),
        }
    }
}

impl Default for KeyTimers {
    fn default() -> Self {
        KeyTimers::new()
    }
}

impl Times {
    #[inline]
    fn insert(&mut self, time: Timestamp) {
        match self {
            Times::None => *self = Times::One(time),
            Times::One(one) if *one == time => {}
            Times::One(one) => *self = Times::Many(Box::new(BTreeSet::from([*one, time]))),
            Times::Many(times) => drop(times.insert(time)),
        }
    }

    /// Returns whether it was there.
    #[inline]
    fn remove(&mut self, time: Timestamp) -> bool {
        match self {
            Times::None => false,
            Times::One(one) => {
                let is_it = *one == time;
                if is_it {
                    *self = Times::None;
                }
                is_it
            }
            Times::Many(times) => {
                let was_there = times.remove(&time);
                if times.is_empty() {
                    *self = Times::None;
                }
                was_there
            }
        }
    }
}

impl From<KeyTimers> for Vec<Timestamp> {
    fn from(timers: KeyTimers) -> Self {
        match timers.times {
            Times::None => Vec::new(),
            Times::One(time) => vec![time],
            Times::Many(times) => times.into_iter().collect(),
        }
    }
}

impl From<Vec<Timestamp>> for KeyTimers {
    fn from(times: Vec<Timestamp>) -> Self {
        let mut timers = KeyTimers::new();
        times.into_iter().for_each(|time| timers.times.insert(time.min(LAST)));
        timers
    }
}

const _: () = assert!(size_of::<KeyTimers>() == 24);
