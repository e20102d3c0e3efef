//! The line of an `async_map` against a model that looks through all records at every step, over
//! random outcomes, time-outs and words of event time. A failure prints its shortest script.

use std::sync::Arc;

use proptest::prelude::*;

use crate::operator::async_map::line::{Attempt, Leaving, Line, Order, Rules};
use crate::operator::async_map::{Failed, Failure};
use crate::time::watermark::Progress;
use crate::time::{Nanos, Timestamp};

/// A record is its number among all, a result the record and the attempt that made it.
type Left = Leaving<usize, (usize, u32)>;

fn time_of(record: usize) -> Timestamp {
    Timestamp::from_millis(record as i64 * 10)
}

fn watermark(time: i64) -> Progress {
    Progress::Watermark(Timestamp::from_millis(time))
}

#[derive(Clone, Debug)]
enum Step {
    Enter,
    Tell(Progress),
    Start,
    /// One of the attempts that ever began comes to its end, well or not.
    Finish(prop::sample::Index, bool),
    Pass(Nanos),
    Take,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Enter),
        1 => (0i64..100).prop_map(|time| Step::Tell(watermark(time))),
        1 => Just(Step::Tell(Progress::Idle)),
        3 => Just(Step::Start),
        5 => (any::<prop::sample::Index>(), any::<bool>())
            .prop_map(|(which, is_good)| Step::Finish(which, is_good)),
        2 => (0u64..30).prop_map(Step::Pass),
        4 => Just(Step::Take),
    ];
    prop::collection::vec(step, 0..80)
}

fn rules() -> impl Strategy<Value = Rules> {
    let order = prop_oneof![Just(Order::Input), Just(Order::Completion)];
    (order, 1usize..6, 1u64..40, 1u32..4, 0u64..20).prop_map(
        |(order, concurrency, timeout, attempts, backoff)| Rules {
            order,
            concurrency,
            timeout,
            attempts,
            backoff,
        },
    )
}

/// What the model knows of a record.
struct Known {
    record: usize,
    attempts: u32,
    phase: Phase,
}

#[derive(Clone, Debug, PartialEq)]
enum Phase {
    Due,
    /// Until it is given up.
    Running(Nanos),
    /// Until it is tried again.
    Pausing(Nanos),
    Finished(Result<(usize, u32), Failure>),
}

enum Item {
    Record(Known),
    /// What was said without a record in between.
    Words(Vec<Progress>),
}

struct Model {
    rules: Rules,
    items: Vec<Item>,
    /// Under [`Order::Completion`]: records in the order in which they became free to leave.
    free: Vec<usize>,
}

impl Model {
    fn records(&mut self) -> impl Iterator<Item = &mut Known> {
        self.items.iter_mut().filter_map(|item| match item {
            Item::Record(known) => Some(known),
            Item::Words(_) => None,
        })
    }

    fn fail(rules: Rules, known: &mut Known, failure: Failure, now: Nanos) {
        let pause = rules.backoff << (known.attempts - 1);
        known.phase = if known.attempts < rules.attempts {
            Phase::Pausing(now + pause)
        } else {
            Phase::Finished(Err(failure))
        };
    }

    fn tell(&mut self, progress: Progress) {
        match self.items.last_mut() {
            Some(Item::Words(words)) => words.push(progress),
            _ => self.items.push(Item::Words(vec![progress])),
        }
    }

    /// Timers in the order of their times, and of their records.
    fn pass_time(&mut self, now: Nanos) {
        let rules = self.rules;
        loop {
            let due = |known: &Known| match known.phase {
                Phase::Running(at) | Phase::Pausing(at) if at <= now => Some((at, known.record)),
                _ => None,
            };
            let Some((_, first)) = self.records().filter_map(|known| due(known)).min() else {
                return;
            };
            let known = self.records().find(|known| known.record == first).expect("found above");
            match known.phase {
                Phase::Running(_) => Model::fail(rules, known, Failure::TimedOut, now),
                _ => known.phase = Phase::Due,
            }
            self.set_free();
        }
    }

    /// Looks for finished records that no word of event time stands before.
    fn set_free(&mut self) {
        for item in &self.items {
            match item {
                Item::Words(_) => return,
                Item::Record(Known { record, phase: Phase::Finished(_), .. })
                    if !self.free.contains(record) =>
                {
                    self.free.push(*record);
                }
                Item::Record(_) => {}
            }
        }
    }

    fn take(&mut self) -> Option<Left> {
        if let Some(Item::Words(words)) = self.items.first_mut() {
            let said = words.iter().rev().find(|word| **word != Progress::Idle).copied();
            let is_idle = words.last() == Some(&Progress::Idle);
            *words = if said.is_some() && is_idle { vec![Progress::Idle] } else { Vec::new() };
            if words.is_empty() {
                self.items.remove(0);
                self.set_free();
            }
            return Some(Leaving::Told(said.unwrap_or(Progress::Idle)));
        }
        let next = match (self.rules.order, self.items.first()?) {
            (Order::Input, Item::Record(known)) => known.record,
            _ => *self.free.first()?,
        };
        let is_next = |item: &Item| matches!(item, Item::Record(known) if known.record == next);
        let index = self.items.iter().position(is_next)?;
        let Item::Record(Known { phase: Phase::Finished(outcome), attempts, record }) =
            &self.items[index]
        else {
            return None;
        };
        let (attempts, record) = (*attempts, *record);
        let left = match outcome.clone() {
            Ok(result) => Leaving::Result(result, time_of(record)),
            Err(failure) => Leaving::Failed(Failed { record, attempts, failure }, time_of(record)),
        };
        self.items.remove(index);
        self.free.retain(|free| *free != record);
        Some(left)
    }

    fn wake_at(&self) -> Option<Nanos> {
        let first = match (self.items.first(), self.rules.order) {
            (Some(Item::Words(_)), _) => true,
            (Some(Item::Record(known)), Order::Input) => {
                matches!(known.phase, Phase::Finished(_))
            }
            _ => !self.free.is_empty(),
        };
        let wants = self.items.iter().filter_map(|item| match item {
            Item::Record(Known { phase: Phase::Due, .. }) => Some(0),
            Item::Record(Known { phase: Phase::Running(at) | Phase::Pausing(at), .. }) => Some(*at),
            _ => None,
        });
        if first { Some(0) } else { wants.min() }
    }
}

/// An attempt that began, and what shows whether it was recalled.
struct Begun {
    attempt: Attempt,
    record: usize,
    nth: u32,
    alive: Arc<()>,
}

/// A line and its model, which are told the same.
struct Twins {
    line: Line<usize, (usize, u32), Arc<()>>,
    model: Model,
    begun: Vec<Begun>,
    entered: usize,
    now: Nanos,
}

impl Twins {
    fn new(rules: Rules) -> Self {
        let model = Model { rules, items: Vec::new(), free: Vec::new() };
        Twins { line: Line::new(rules), model, begun: Vec::new(), entered: 0, now: 5 }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Enter if self.line.room() > 0 => {
                self.line.enter(self.entered, time_of(self.entered));
                let known = Known { record: self.entered, attempts: 0, phase: Phase::Due };
                self.model.items.push(Item::Record(known));
                self.entered += 1;
            }
            Step::Enter => assert_eq!(self.model.records().count(), self.model.rules.concurrency),
            Step::Tell(progress) => {
                self.line.tell(*progress);
                self.model.tell(*progress);
            }
            Step::Start => self.start(),
            Step::Finish(which, is_good) if !self.begun.is_empty() => {
                let which = which.index(self.begun.len());
                self.finish(which, *is_good);
            }
            Step::Finish(..) => {}
            Step::Pass(time) => {
                self.now += time;
                self.line.pass_time(self.now);
                self.model.pass_time(self.now);
            }
            Step::Take => assert_eq!(self.line.take(), self.model.take()),
        }
        self.model.set_free();
        self.compare();
    }

    fn start(&mut self) {
        let mut started = Vec::new();
        self.line.start(self.now, |attempt, record| {
            started.push(*record);
            let alive = Arc::new(());
            let seen = Arc::clone(&alive);
            self.begun.push(Begun { attempt, record: *record, nth: 0, alive: seen });
            alive
        });
        let until = self.now + self.model.rules.timeout;
        let mut expected = Vec::new();
        for known in self.model.records().filter(|known| known.phase == Phase::Due) {
            (known.attempts, known.phase) = (known.attempts + 1, Phase::Running(until));
            expected.push((known.record, known.attempts));
        }
        for (record, nth) in &expected {
            let mine = self.begun.iter_mut().filter(|begun| begun.record == *record);
            mine.last().expect("the line started it too").nth = *nth;
        }
        started.sort_unstable();
        assert_eq!(started, expected.iter().map(|(record, _)| *record).collect::<Vec<_>>());
    }

    fn finish(&mut self, which: usize, is_good: bool) {
        let Begun { attempt, record, nth, .. } = self.begun[which];
        let outcome =
            if is_good { Ok((record, nth)) } else { Err(Failure::Error("no".to_owned())) };
        self.line.finish(attempt, outcome.clone(), self.now);
        let (rules, now) = (self.model.rules, self.now);
        let is_awaited = |known: &&mut Known| {
            let is_running = matches!(known.phase, Phase::Running(_));
            known.record == record && known.attempts == nth && is_running
        };
        match (self.model.records().find(is_awaited), outcome) {
            (Some(known), Ok(result)) => known.phase = Phase::Finished(Ok(result)),
            (Some(known), Err(failure)) => Model::fail(rules, known, failure, now),
            (None, _) => {}
        }
    }

    fn compare(&mut self) {
        assert_eq!(self.line.wake_at(), self.model.wake_at());
        assert_eq!(self.line.is_empty(), self.model.items.is_empty());
        let known = self.model.records().count();
        assert_eq!(self.line.room(), self.model.rules.concurrency - known);
        for begun in &self.begun {
            let is_running = self.model.items.iter().any(|item| match item {
                Item::Record(known) => {
                    let is_same = known.record == begun.record && known.attempts == begun.nth;
                    is_same && matches!(known.phase, Phase::Running(_))
                }
                Item::Words(_) => false,
            });
            let is_held = Arc::strong_count(&begun.alive) > 1;
            assert_eq!(is_held, is_running, "record {}, attempt {}", begun.record, begun.nth);
        }
    }

    /// Lets time pass until everything has left.
    fn run_out(&mut self) {
        while let Some(at) = self.model.wake_at() {
            self.step(&Step::Start);
            self.step(&Step::Pass(at.saturating_sub(self.now)));
            self.step(&Step::Take);
        }
        assert!(self.line.is_empty(), "everything leaves in the end");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn line_does_what_the_model_does(rules in rules(), steps in steps()) {
        let mut twins = Twins::new(rules);
        for step in &steps {
            twins.step(step);
        }
        twins.run_out();
    }
}

const RULES: Rules =
    Rules { order: Order::Completion, concurrency: 9, timeout: 100, attempts: 1, backoff: 0 };

/// A line with so many records under way, and their attempts.
fn running(rules: Rules, records: usize) -> (Line<usize, usize, ()>, Vec<Attempt>) {
    let mut line = Line::new(rules);
    let mut attempts = Vec::new();
    for record in 0..records {
        line.enter(record, time_of(record));
        line.start(0, |attempt, _| attempts.push(attempt));
    }
    (line, attempts)
}

#[test]
fn finished_record_waits_for_its_turn_only_where_order_is_kept() {
    for (order, first) in [(Order::Input, None), (Order::Completion, Some(1))] {
        let (mut line, attempts) = running(Rules { order, ..RULES }, 2);
        line.finish(attempts[1], Ok(1), 0);
        let left = line.take();
        assert_eq!(left, first.map(|record| Leaving::Result(record, time_of(record))));
        line.finish(attempts[0], Ok(0), 0);
        assert_eq!(line.take(), Some(Leaving::Result(0, time_of(0))));
    }
}

#[test]
fn no_record_overtakes_a_watermark_and_no_watermark_a_record() {
    let (mut line, mut attempts) = running(RULES, 1);
    line.tell(watermark(3));
    line.enter(1, time_of(1));
    line.start(0, |attempt, _| attempts.push(attempt));
    line.finish(attempts[1], Ok(1), 0);
    assert_eq!((line.take(), line.wake_at()), (None, Some(100)));
    line.finish(attempts[0], Ok(0), 0);
    assert_eq!(line.take(), Some(Leaving::Result(0, time_of(0))));
    assert_eq!(line.take(), Some(Leaving::Told(watermark(3))));
    assert_eq!(line.take(), Some(Leaving::Result(1, time_of(1))));
    assert!(line.is_empty());
}

#[test]
fn pauses_double_and_the_last_failure_is_told() {
    let rules = Rules { attempts: 4, backoff: 7, ..RULES };
    let mut line: Line<usize, usize, ()> = Line::new(rules);
    line.enter(0, time_of(0));
    let mut now = 0;
    for pause in [7, 14, 28] {
        line.start(now, |_, _| ());
        assert_eq!(line.wake_at(), Some(now + 100));
        now += 100;
        line.pass_time(now);
        assert_eq!(line.wake_at(), Some(now + pause));
        now += pause;
        line.pass_time(now);
    }
    let mut last = None;
    line.start(now, |attempt, _| last = Some(attempt));
    line.finish(last.unwrap(), Err(Failure::Error("gone".to_owned())), now);
    let failure = Failure::Error("gone".to_owned());
    let failed = Failed { record: 0, attempts: 4, failure };
    assert_eq!(line.take(), Some(Leaving::Failed(failed, time_of(0))));
}
