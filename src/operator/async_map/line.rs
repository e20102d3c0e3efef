//! Which record is tried when, and what leaves in which order: without clock, thread or future.

use std::collections::{BTreeSet, VecDeque};

use crate::operator::async_map::{Failed, Failure};
use crate::time::watermark::Progress;
use crate::time::{Nanos, Timestamp};

/// What leaves when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Results in the order of their records.
    Input,
    /// Results as they come, but none overtakes a watermark, and no watermark a result.
    Completion,
}

/// What a line goes by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) order: Order,
    /// Records that have come and whose results have not left, at most.
    pub(super) concurrency: usize,
    /// What one attempt may take.
    pub(super) timeout: Nanos,
    /// How often a record is tried.
    pub(super) attempts: u32,
    /// Pause before the second attempt; doubles with each that follows.
    pub(super) backoff: Nanos,
}

impl Rules {
    /// The pause after so many attempts.
    fn pause(&self, attempts: u32) -> Nanos {
        self.backoff.saturating_mul(2u64.saturating_pow(attempts.saturating_sub(1)))
    }
}

/// One attempt at one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Attempt {
    /// How many records, and words of event time, came before the record.
    number: u64,
    /// How many attempts there were, this one counted.
    nth: u32,
}

/// What leaves a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Leaving<T, R> {
    /// A result, with its record's time.
    Result(R, Timestamp),
    /// A record that finally failed, with its time.
    Failed(Failed<T>, Timestamp),
    /// What is true of event time, now that all records before it have left.
    Told(Progress),
}

/// The records of one partition that are under way, in the order in which they came.
///
/// `H` stands for an attempt that runs; dropping it recalls the attempt.
pub(super) struct Line<T, R, H> {
    rules: Rules,
    /// The first of them is never gone.
    entries: VecDeque<Entry<T, R, H>>,
    /// The number of the first entry.
    first: u64,
    /// Entries that are records.
    records: usize,
    /// Numbers of records to be tried at once.
    due: VecDeque<u64>,
    /// When an attempt has taken too long, or a pause is over, by number.
    timers: BTreeSet<(Nanos, u64)>,
    /// Under [`Order::Completion`]: numbers of finished records that nothing holds back.
    ready: VecDeque<u64>,
    /// The number of the first word of event time: what came after it waits.
    held_from: Option<u64>,
}

enum Entry<T, R, H> {
    Record(Record<T, R, H>),
    Told {
        watermark: Option<Timestamp>,
        goes_idle: bool,
    },
    /// A record that left before others which came earlier.
    Gone,
}

struct Record<T, R, H> {
    record: T,
    time: Timestamp,
    attempts: u32,
    /// The time of its timer, where it has one.
    timer: Nanos,
    state: State<R, H>,
}

enum State<R, H> {
    /// For its first attempt, or for the pause after one to pass.
    Waiting,
    Running(H),
    Finished(Result<R, Failure>),
}

impl<T, R, H> Line<T, R, H> {
    pub(super) fn new(rules: Rules) -> Self {
        Line {
            rules,
            entries: VecDeque::new(),
            first: 0,
            records: 0,
            due: VecDeque::new(),
            timers: BTreeSet::new(),
            ready: VecDeque::new(),
            held_from: None,
        }
    }

    /// How many records it has room for.
    pub(super) fn room(&self) -> usize {
        self.rules.concurrency.saturating_sub(self.records)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// When it wants to be looked at: at once if something may leave or be tried.
    pub(super) fn wake_at(&self) -> Option<Nanos> {
        if self.has_leaving() || !self.due.is_empty() {
            return Some(0);
        }
        self.timers.first().map(|(at, _)| *at)
    }

    /// Takes a record in, to be tried at once.
    pub(super) fn enter(&mut self, record: T, time: Timestamp) {
        self.due.push_back(self.next_number());
        let state = State::Waiting;
        let record = Record { record, time, attempts: 0, timer: 0, state };
        self.entries.push_back(Entry::Record(record));
        self.records += 1;
    }

    /// Takes note of what is true of event time once all records so far have left.
    pub(super) fn tell(&mut self, progress: Progress) {
        if !matches!(self.entries.back(), Some(Entry::Told { .. })) {
            self.held_from.get_or_insert(self.next_number());
            self.entries.push_back(Entry::Told { watermark: None, goes_idle: false });
        }
        let Some(Entry::Told { watermark, goes_idle }) = self.entries.back_mut() else { return };
        *goes_idle = progress == Progress::Idle;
        if let Progress::Watermark(time) = progress {
            *watermark = Some(time);
        }
    }

    /// Begins the attempts that are due; `run` starts one.
    pub(super) fn start(&mut self, now: Nanos, mut run: impl FnMut(Attempt, &T) -> H) {
        while let Some(number) = self.due.pop_front() {
            let timer = now.saturating_add(self.rules.timeout);
            let Some(record) = self.record_mut(number) else { continue };
            record.attempts += 1;
            record.timer = timer;
            let attempt = Attempt { number, nth: record.attempts };
            record.state = State::Running(run(attempt, &record.record));
            self.timers.insert((timer, number));
        }
    }

    /// An attempt has come to its end. One that was given up before is not heard any more.
    pub(super) fn finish(&mut self, attempt: Attempt, outcome: Result<R, Failure>, now: Nanos) {
        let Attempt { number, nth } = attempt;
        let Some(record) = self.record_mut(number) else { return };
        if record.attempts != nth || !matches!(record.state, State::Running(_)) {
            return;
        }
        let timer = record.timer;
        self.timers.remove(&(timer, number));
        self.settle(number, outcome, now);
    }

    /// Gives up attempts that have taken too long, and tries again after pauses.
    pub(super) fn pass_time(&mut self, now: Nanos) {
        while let Some((at, number)) = self.timers.first().copied()
            && at <= now
        {
            self.timers.pop_first();
            match self.record_mut(number).map(|record| &record.state) {
                Some(State::Waiting) => self.due.push_back(number),
                Some(State::Running(_)) => self.settle(number, Err(Failure::TimedOut), now),
                Some(State::Finished(_)) | None => {}
            }
        }
    }

    /// Takes what may leave next.
    pub(super) fn take(&mut self) -> Option<Leaving<T, R>> {
        if let Some(Entry::Told { watermark, goes_idle }) = self.entries.front_mut() {
            let time = watermark.take();
            let progress = time.map_or(Progress::Idle, Progress::Watermark);
            if time.is_none() || !*goes_idle {
                self.pass_told();
            }
            return Some(Leaving::Told(progress));
        }
        let number = match self.rules.order {
            Order::Input => self.has_leaving().then_some(self.first)?,
            Order::Completion => self.ready.pop_front()?,
        };
        let index = (number - self.first) as usize;
        let entry = std::mem::replace(&mut self.entries[index], Entry::Gone);
        let Entry::Record(Record { record, time, attempts, state, .. }) = entry else {
            return None;
        };
        let State::Finished(outcome) = state else { return None };
        self.records -= 1;
        while let Some(Entry::Gone) = self.entries.front() {
            self.pop();
        }
        Some(match outcome {
            Ok(result) => Leaving::Result(result, time),
            Err(failure) => Leaving::Failed(Failed { record, attempts, failure }, time),
        })
    }

    /// Whether [`take`](Self::take) has something.
    fn has_leaving(&self) -> bool {
        match (self.entries.front(), self.rules.order) {
            (Some(Entry::Told { .. }), _) => true,
            (Some(Entry::Record(record)), Order::Input) => {
                matches!(record.state, State::Finished(_))
            }
            (_, Order::Completion) => !self.ready.is_empty(),
            (Some(Entry::Gone) | None, Order::Input) => false,
        }
    }

    /// Has the record tried again after a pause, or done with.
    fn settle(&mut self, number: u64, outcome: Result<R, Failure>, now: Nanos) {
        let rules = self.rules;
        let is_held = self.held_from.is_some_and(|from| number > from);
        let Some(record) = self.record_mut(number) else { return };
        if outcome.is_err() && record.attempts < rules.attempts {
            let timer = now.saturating_add(rules.pause(record.attempts));
            record.timer = timer;
            record.state = State::Waiting;
            self.timers.insert((timer, number));
            return;
        }
        record.state = State::Finished(outcome);
        if rules.order == Order::Completion && !is_held {
            self.ready.push_back(number);
        }
    }

    /// Lets go what the first word of event time held back.
    fn pass_told(&mut self) {
        self.pop();
        self.held_from = None;
        for (number, entry) in (self.first..).zip(&self.entries) {
            match entry {
                Entry::Told { .. } => {
                    self.held_from = Some(number);
                    return;
                }
                Entry::Record(Record { state: State::Finished(_), .. })
                    if self.rules.order == Order::Completion =>
                {
                    self.ready.push_back(number);
                }
                Entry::Record(_) | Entry::Gone => {}
            }
        }
    }

    fn pop(&mut self) {
        self.entries.pop_front();
        self.first += 1;
    }

    fn next_number(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    fn record_mut(&mut self, number: u64) -> Option<&mut Record<T, R, H>> {
        let index = number.checked_sub(self.first)?;
        match self.entries.get_mut(index as usize)? {
            Entry::Record(record) => Some(record),
            Entry::Told { .. } | Entry::Gone => None,
        }
    }
}
