//! What every contender reads from: the records of one worker, and the line all start at.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Instant;

use millstream::connector::generator::{BLOCK, BenchInput, Dealt, Recipe};
use millstream::connector::hot_keys::HotInput;
use millstream::dataflow::{Collector, Emit, Meta};

use crate::case::Case;

/// Key and value.
pub type Record = (u64, u64);

/// Where the workers of one run meet before the clock starts.
#[derive(Debug)]
pub struct Line {
    workers: usize,
    state: Mutex<LineState>,
    opened: Condvar,
}

#[derive(Debug, Default)]
struct LineState {
    arrived: usize,
    started: Option<Instant>,
}

impl Line {
    /// A line for `workers`.
    pub fn new(workers: usize) -> Line {
        Line { workers, state: Mutex::default(), opened: Condvar::new() }
    }

    /// Tells that one more is ready. The clock starts when the last one is.
    pub fn arrive(&self) {
        let mut state = self.state();
        state.arrived += 1;
        if state.arrived == self.workers {
            state.started = Some(Instant::now());
            self.opened.notify_all();
        }
    }

    /// Whether all have arrived.
    pub fn is_open(&self) -> bool {
        self.state().started.is_some()
    }

    /// Arrives and waits for the others.
    pub fn wait(&self) {
        self.arrive();
        let state = self.state();
        drop(self.opened.wait_while(state, |state| state.started.is_none()));
    }

    /// Seconds from the start to `end`.
    pub fn seconds_until(&self, end: Instant) -> f64 {
        (end - self.started()).as_secs_f64()
    }

    /// When the last one arrived.
    ///
    /// # Panics
    /// If it has not.
    pub fn started(&self) -> Instant {
        self.state().started.expect("this is asked after the start")
    }

    fn state(&self) -> MutexGuard<'_, LineState> {
        self.state.lock().expect("nobody panics while holding it")
    }
}

/// The records of one worker: first those that warm up, if the case asks for it, then those that
/// count.
///
/// Warm-up is one record (key, 0) for every key, from every worker. So state in front of an
/// exchange is warm too, and the checksum covers it for all contenders alike.
#[derive(Clone, Debug)]
pub struct Feed<R = BenchInput> {
    warm: std::ops::Range<u64>,
    timed: Dealt<R>,
}

impl Feed {
    /// The feed of `worker` of `workers`.
    pub fn new(case: &Case, input: &BenchInput, worker: usize, workers: usize) -> Feed {
        let warm = if case.warm { 0..input.keys() } else { 0..0 };
        Feed { warm, timed: input.partition(worker, workers, Some(case.records)) }
    }
}

impl Feed<HotInput> {
    /// The feed of `worker` of `workers` with hot keys: `records` of all together, no warm-up.
    pub fn hot(records: u64, input: &HotInput, worker: usize, workers: usize) -> Self {
        Feed { warm: 0..0, timed: Dealt::new(input.clone(), worker, workers, Some(records)) }
    }
}

impl<R: Recipe<Item = Record>> Feed<R> {
    /// Appends the next warm-up records, at most `max`, and returns how many; 0 at their end.
    pub fn fill_warm(&mut self, max: usize, out: &mut Vec<Record>) -> usize {
        self.emit_warm(max, &mut Collector::new(out, Meta::default()))
    }

    /// As [`fill_warm`](Self::fill_warm), into a chain, as far as there is room.
    pub fn emit_warm<E: Emit<Record>>(&mut self, max: usize, out: &mut Collector<'_, E>) -> usize {
        let end = self.warm.end.min(self.warm.start + max as u64);
        let count = out.emit_all((self.warm.start..end).map(|key| (key, 0)));
        self.warm.start += count;
        count as usize
    }

    /// Appends the next records that count, at most `max`, and returns how many; 0 at their end.
    #[inline]
    pub fn fill(&mut self, max: usize, out: &mut Vec<Record>) -> usize {
        self.timed.fill(max, out)
    }

    /// As [`fill`](Self::fill), into a chain, as far as there is room.
    #[inline]
    pub fn emit<E: Emit<Record>>(&mut self, max: usize, out: &mut Collector<'_, E>) -> usize {
        self.timed.emit(max, out)
    }
}

/// A [`Feed`] as an iterator that waits at the line between warm-up and the rest.
#[derive(Debug)]
pub struct FeedIterator {
    feed: Feed,
    line: Option<Arc<Line>>,
    block: Vec<Record>,
    next: usize,
}

impl FeedIterator {
    /// Iterates over `feed`, with a wait at `line`.
    pub fn new(feed: Feed, line: Arc<Line>) -> FeedIterator {
        let block = Vec::with_capacity(BLOCK as usize);
        FeedIterator { feed, line: Some(line), block, next: 0 }
    }

    #[cold]
    #[inline(never)]
    fn start(&mut self) {
        if let Some(line) = self.line.take() {
            line.wait();
        }
    }

    #[inline(never)]
    fn refill(&mut self) {
        self.block.clear();
        self.next = 0;
        if self.line.is_some() && self.feed.fill_warm(BLOCK as usize, &mut self.block) == 0 {
            self.start();
        }
        if self.line.is_none() {
            self.feed.fill(BLOCK as usize, &mut self.block);
        }
    }
}

impl Iterator for FeedIterator {
    type Item = Record;

    #[inline]
    fn next(&mut self) -> Option<Record> {
        if self.next == self.block.len() {
            self.refill();
        }
        let record = self.block.get(self.next).copied();
        self.next += 1;
        record
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iterator_gives_the_warm_up_then_waits_then_gives_the_rest() {
        let case = Case::small(true);
        let input = case.input(1).unwrap();
        let line = Arc::new(Line::new(1));
        let mut records = FeedIterator::new(Feed::new(&case, &input, 0, 1), Arc::clone(&line));
        let warm: Vec<Record> = records.by_ref().take(500).collect();
        assert!(warm.into_iter().eq((0..500).map(|key| (key, 0))));
        assert!(!line.is_open());
        let timed = (0..case.records).map(|index| input.record(index));
        assert!(records.eq(timed));
        assert!(line.is_open());
    }
}
