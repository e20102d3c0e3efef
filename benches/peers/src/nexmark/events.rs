//! The events of all workers, made before the clock starts and read in sequence from memory.

use std::sync::Arc;

use millstream::connector::nexmark::{Event, Nexmark};

use crate::Fault;
use crate::feed::Line;

/// Each worker's share: worker *p* of *P* has the blocks *b* ≡ *p* (mod *P*) of 1,024 events.
#[derive(Debug)]
pub struct Events {
    shares: Vec<Vec<Event>>,
}

impl Events {
    /// Makes `events` events of `seed`, `rate` of them in a second of event time.
    pub fn new(seed: u64, rate: u64, events: u64, workers: usize) -> Result<Events, Fault> {
        let input = Nexmark::new(seed, rate).map_err(|error| Fault::usage(error.to_string()))?;
        let share = |worker| {
            let mut share = Vec::with_capacity(events as usize / workers + 1024);
            input.partition(worker, workers, Some(events)).fill(usize::MAX, &mut share);
            share
        };
        Ok(Events { shares: (0..workers).map(share).collect() })
    }

    /// The share of `worker`.
    pub fn of(&self, worker: usize) -> &[Event] {
        &self.shares[worker]
    }

    /// All events, in no order.
    pub fn all(&self) -> Vec<Event> {
        self.shares.concat()
    }
}

/// The share of one worker as an iterator that waits at the line before its first event.
#[derive(Debug)]
pub struct Share {
    events: Arc<Events>,
    worker: usize,
    next: usize,
    line: Option<Arc<Line>>,
}

impl Share {
    /// The share of `worker`, with a wait at `line`.
    pub fn new(events: Arc<Events>, worker: usize, line: Arc<Line>) -> Share {
        Share { events, worker, next: 0, line: Some(line) }
    }

    #[cold]
    fn start(&mut self) {
        if let Some(line) = self.line.take() {
            line.wait();
        }
    }
}

impl Iterator for Share {
    type Item = Event;

    #[inline]
    fn next(&mut self) -> Option<Event> {
        if self.line.is_some() {
            self.start();
        }
        let event = self.events.shares[self.worker].get(self.next).copied();
        self.next += 1;
        event
    }
}
