//! Every kind of windows against a model that keeps all records and computes each result anew,
//! over random disorder, lateness and triggers. A failure prints its seed; `PROPTEST_CASES=10000`
//! in the environment asks for more cases than the usual 256.

use std::time::Duration;

use proptest::prelude::*;

use crate::error::ErrorKind;
use crate::operator::window::fixture::Rig;
use crate::operator::window::{
    Change, Custom, Early, Firing, Mode, Taken, Trigger, Window, WindowAssigner, WindowLogic,
    Windowed, Windows, count_sliding, global, session, sliding, tumbling,
};
use crate::state::aggregate::Aggregate;
use crate::time::Timestamp;

/// All records, sorted.
#[derive(Clone)]
struct Bag;

impl Aggregate<i64> for Bag {
    type Accumulator = Vec<i64>;
    type Output = Vec<i64>;
    fn add(&self, accumulator: &mut Vec<i64>, record: &i64) {
        accumulator.push(*record);
    }
    fn merge(&self, into: &mut Vec<i64>, from: Vec<i64>) {
        into.extend(from);
    }
    fn finish(&self, accumulator: &Vec<i64>) -> Vec<i64> {
        let mut all = accumulator.clone();
        all.sort_unstable();
        all
    }
}

/// As [`Bag`], but it may only be added to.
#[derive(Clone)]
struct Whole;

impl Aggregate<i64> for Whole {
    type Accumulator = Vec<i64>;
    type Output = Vec<i64>;
    const MERGES: bool = false;
    fn add(&self, accumulator: &mut Vec<i64>, record: &i64) {
        accumulator.push(*record);
    }
    fn merge(&self, _: &mut Vec<i64>, _: Vec<i64>) {
        unreachable!("never merged");
    }
    fn finish(&self, accumulator: &Vec<i64>) -> Vec<i64> {
        Bag.finish(accumulator)
    }
}

/// Windows of one's own: none at 0 of 7, else from the last multiple of 20 to each of 5, 10 and 20.
#[derive(Clone, Copy)]
struct Growing;

impl WindowAssigner<i64> for Growing {
    type Id = Window;
    fn assign(&self, _: &i64, time: Timestamp, take: impl FnMut(Window)) {
        growing(time.as_millis()).into_iter().for_each(take);
    }
    fn window(&self, id: Window) -> Window {
        id
    }
}

fn growing(time: i64) -> Vec<Window> {
    let start = time - time.rem_euclid(20);
    let lengths = [5, 10, 20].into_iter().filter(|length| time % 7 != 0 && time < start + length);
    lengths.map(|length| Window::from_start(start.into(), length)).collect()
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Tumbling { size: i64, offset: i64 },
    Sliding { size: i64, slide: i64, offset: i64 },
    Session { gap: i64 },
    Global,
    Growing,
}

#[derive(Clone, Copy, Debug)]
struct Rules {
    early: Early,
    mode: Mode,
    lateness: i64,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A record so much after the latest watermark, or before it.
    Record(i64),
    Watermark(i64),
    Clock(i64),
}

fn duration(millis: i64) -> Duration {
    Duration::from_millis(millis as u64)
}

type Result = Windowed<(), Vec<i64>>;

/// What has come of a window in the model.
#[derive(Default)]
struct Cell {
    all: Vec<i64>,
    unseen: Vec<i64>,
    index: u32,
    early_at: Option<i64>,
    standing: Vec<Result>,
}

struct Model {
    kind: Kind,
    rules: Rules,
    watermark: i64,
    now: i64,
    cells: Vec<(Window, Cell)>,
    results: Vec<Result>,
}

fn last(window: Window) -> i64 {
    window.end.as_millis() - 1
}

impl Model {
    fn is_gone(&self, window: Window) -> bool {
        last(window).saturating_add(self.rules.lateness) <= self.watermark
    }

    fn windows(&self, time: i64) -> Vec<Window> {
        let aligned = |size: i64, slide: i64, offset: i64| {
            let starts = (time - size + 1)..=time;
            let aligned = starts.filter(move |start| (start - offset).rem_euclid(slide) == 0);
            aligned.map(|start| Window::from_start(start.into(), size)).collect()
        };
        match self.kind {
            Kind::Tumbling { size, offset } => aligned(size, size, offset),
            Kind::Sliding { size, slide, offset } => aligned(size, slide, offset),
            Kind::Session { gap } => vec![Window::from_start(time.into(), gap)],
            Kind::Global => vec![Window { start: Timestamp::MIN, end: Timestamp::MAX }],
            Kind::Growing => growing(time),
        }
    }

    fn record(&mut self, value: i64, time: i64) -> Taken {
        let windows = self.windows(time);
        let mut is_applied = windows.is_empty();
        for window in windows {
            let window = match self.kind {
                Kind::Session { .. } => self.merge_sessions(window),
                _ => window,
            };
            if self.is_gone(window) {
                continue;
            }
            is_applied = true;
            let place = match self.cells.iter().position(|(other, _)| *other == window) {
                Some(place) => place,
                None => {
                    self.cells.push((window, Cell::default()));
                    self.cells.sort_by_key(|(window, _)| *window);
                    self.cells.iter().position(|(other, _)| *other == window).unwrap()
                }
            };
            let cell = &mut self.cells[place].1;
            cell.all.push(value);
            cell.unseen.push(value);
            if last(window) <= self.watermark {
                self.fire(place, Firing::Late);
                continue;
            }
            match self.rules.early {
                Early::Records(count) if cell.unseen.len() as u64 >= count => {
                    self.fire(place, Firing::Early);
                }
                Early::After(delay) if cell.early_at.is_none() => {
                    cell.early_at = Some(self.now + delay.as_millis() as i64);
                }
                Early::Every(interval) if cell.early_at.is_none() => {
                    let interval = interval.as_millis() as i64;
                    cell.early_at = Some((self.now / interval + 1) * interval);
                }
                _ => {}
            }
        }
        if is_applied { Taken::Applied } else { Taken::Late }
    }

    /// Merges the sessions that `new` touches into one, and returns what `new` is a part of.
    fn merge_sessions(&mut self, new: Window) -> Window {
        let is_near = |other: Window| other.start <= new.end && new.start <= other.end;
        let (near, far): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.cells).into_iter().partition(|(other, _)| is_near(*other));
        self.cells = far;
        let mut near = near.into_iter();
        let Some((before, mut cell)) = near.next() else { return new };
        let mut window =
            Window { start: before.start.min(new.start), end: before.end.max(new.end) };
        for (other, more) in near {
            window.end = window.end.max(other.end);
            cell.all.extend(more.all);
            cell.unseen.extend(more.unseen);
            cell.standing.extend(more.standing);
            cell.early_at = cell.early_at.into_iter().chain(more.early_at).min();
        }
        if window != before {
            cell.index = 0;
        }
        self.cells.push((window, cell));
        self.cells.sort_by_key(|(window, _)| *window);
        window
    }

    fn fire(&mut self, place: usize, firing: Firing) {
        let (window, cell) = &mut self.cells[place];
        cell.early_at = None;
        let (records, holds) = match self.rules.mode {
            Mode::Discarding if cell.unseen.is_empty() => return,
            Mode::Discarding => (&cell.unseen, false),
            Mode::Accumulating => (&cell.all, false),
            Mode::Retracting => (&cell.all, true),
        };
        let value = Bag.finish(records);
        let index = cell.index;
        let result =
            Windowed { key: (), window: *window, firing, index, change: Change::Insert, value };
        for old in cell.standing.drain(..) {
            self.results.push(Windowed { change: Change::Retract, ..old });
        }
        if holds {
            cell.standing.push(result.clone());
        }
        self.results.push(result);
        cell.unseen.clear();
        cell.index += 1;
    }

    fn advance_watermark(&mut self, to: i64) {
        let before = std::mem::replace(&mut self.watermark, to);
        let mut due: Vec<_> = (0..self.cells.len())
            .filter(|place| (before + 1..=to).contains(&last(self.cells[*place].0)))
            .collect();
        due.sort_by_key(|place| (last(self.cells[*place].0), self.cells[*place].0));
        for place in due {
            self.fire(place, Firing::OnTime);
        }
        let mut cells = std::mem::take(&mut self.cells);
        cells.retain(|(window, _)| !self.is_gone(*window));
        self.cells = cells;
    }

    fn advance_clock(&mut self, to: i64) {
        self.now = to;
        while let Some(at) = self.cells.iter().filter_map(|(_, cell)| cell.early_at).min()
            && at <= to
        {
            for place in 0..self.cells.len() {
                if self.cells[place].1.early_at == Some(at) {
                    self.fire(place, Firing::Early);
                }
            }
        }
    }
}

/// Plays `steps` on the logic and on the model, and compares after each.
fn compare<W, A>(windows: W, kind: Kind, rules: Rules, aggregate: A, steps: &[Step])
where
    A: Aggregate<i64, Output = Vec<i64>>,
    W: Windows<i64, A>,
{
    let trigger = Trigger::default()
        .early(rules.early)
        .mode(rules.mode)
        .allowed_lateness(duration(rules.lateness));
    let logic = windows.logic(trigger, aggregate);
    let mut rig = Rig::new(logic);
    let mut model =
        Model { kind, rules, watermark: 0, now: 0, cells: Vec::new(), results: Vec::new() };
    rig.advance_watermark(0.into());
    for (number, step) in steps.iter().enumerate() {
        match *step {
            Step::Record(after) => {
                let (value, time) = (number as i64, model.watermark + after);
                assert_eq!(rig.record(&value, time.into()), model.record(value, time), "{number}");
            }
            Step::Watermark(by) => {
                let to = model.watermark + by;
                rig.advance_watermark(to.into());
                model.advance_watermark(to);
            }
            Step::Clock(by) => {
                let to = model.now + by;
                rig.advance_clock(to.into());
                model.advance_clock(to);
            }
        }
        assert_eq!(rig.take_results(), std::mem::take(&mut model.results), "step {number}");
        assert_eq!(rig.is_empty(), model.cells.is_empty(), "step {number}");
    }
    rig.advance_watermark(Timestamp::MAX);
    model.advance_watermark(i64::MAX);
    assert_eq!(rig.take_results(), model.results, "at the end");
    assert!(rig.is_empty(), "nothing is left at the end");
}

fn compare_kind(kind: Kind, rules: Rules, steps: &[Step]) {
    match kind {
        Kind::Tumbling { size, offset } => {
            let windows = tumbling(duration(size)).offset_ms(offset);
            compare(windows, kind, rules, Bag, steps);
            compare(windows, kind, rules, Whole, steps);
        }
        Kind::Sliding { size, slide, offset } => {
            let windows = sliding(duration(size), duration(slide)).offset_ms(offset);
            compare(windows, kind, rules, Bag, steps);
            compare(windows, kind, rules, Whole, steps);
        }
        Kind::Session { gap } => compare(session(duration(gap)), kind, rules, Bag, steps),
        Kind::Global => compare(global(), kind, rules, Whole, steps),
        Kind::Growing => compare(Custom(Growing), kind, rules, Whole, steps),
    }
}

fn kinds() -> impl Strategy<Value = Kind> {
    let sliding = (1..30_i64).prop_flat_map(|size| (Just(size), 1..=size, -20..20_i64));
    prop_oneof![
        2 => (1..30_i64, -40..40_i64).prop_map(|(size, offset)| Kind::Tumbling { size, offset }),
        4 => sliding.prop_map(|(size, slide, offset)| Kind::Sliding { size, slide, offset }),
        4 => (1..20_i64).prop_map(|gap| Kind::Session { gap }),
        1 => Just(Kind::Global),
        1 => Just(Kind::Growing),
    ]
}

fn rules() -> impl Strategy<Value = Rules> {
    let early = prop_oneof![
        3 => Just(Early::Never),
        1 => (1..5_u64).prop_map(Early::Records),
        1 => (1..20_i64).prop_map(|millis| Early::After(duration(millis))),
        1 => (1..20_i64).prop_map(|millis| Early::Every(duration(millis))),
    ];
    let mode =
        prop_oneof![Just(Mode::Discarding), Just(Mode::Accumulating), Just(Mode::Retracting)];
    let lateness = prop_oneof![2 => Just(0_i64), 3 => 1..60_i64, 1 => Just(1 << 40)];
    (early, mode, lateness).prop_map(|(early, mode, lateness)| Rules { early, mode, lateness })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (-60..40_i64).prop_map(Step::Record),
        4 => (1..40_i64).prop_map(Step::Record),
        3 => (0..25_i64).prop_map(Step::Watermark),
        2 => (0..15_i64).prop_map(Step::Clock),
    ];
    prop::collection::vec(step, 0..60)
}

proptest! {
    #[test]
    fn windows_are_what_the_model_computes(kind in kinds(), rules in rules(), steps in steps()) {
        compare_kind(kind, rules, &steps);
    }

    #[test]
    fn count_windows_are_the_last_records(
        (size, slide) in (1..20_u64).prop_flat_map(|size| (Just(size), 1..=size)),
        times in prop::collection::vec(-50..50_i64, 0..80),
    ) {
        let logic = count_sliding(size, slide).logic(Trigger::default(), Bag);
        let mut rig = Rig::new(logic);
        for (number, time) in times.iter().enumerate() {
            prop_assert_eq!(rig.record(&(number as i64), (*time).into()), Taken::Applied);
            let taken = number + 1;
            let results = rig.take_results();
            if !(taken as u64).is_multiple_of(slide) {
                prop_assert_eq!(results, []);
                continue;
            }
            let first = taken.saturating_sub(size as usize);
            let span = &times[first..taken];
            prop_assert_eq!(results.len(), 1);
            prop_assert_eq!(&results[0].value, &(first as i64..taken as i64).collect::<Vec<_>>());
            let (earliest, latest) = (*span.iter().min().unwrap(), *span.iter().max().unwrap());
            let window = Window { start: earliest.into(), end: (latest + 1).into() };
            prop_assert_eq!(results[0].window, window);
        }
    }

    /// Records that are not behind the watermark give the same results folded or one by one.
    #[test]
    fn folded_records_come_to_the_same(
        kind in kinds(),
        lateness in 0..30_i64,
        steps in steps(),
    ) {
        let steps: Vec<_> = steps
            .into_iter()
            .map(|step| match step {
                Step::Record(after) => Step::Record(after.abs() + 1),
                other => other,
            })
            .collect();
        let trigger = Trigger::default().allowed_lateness(duration(lateness));
        match kind {
            Kind::Tumbling { size, offset } => {
                fold(tumbling(duration(size)).offset_ms(offset), trigger, &steps);
            }
            Kind::Sliding { size, slide, offset } => {
                let windows = sliding(duration(size), duration(slide)).offset_ms(offset);
                fold(windows, trigger, &steps);
                fold(windows, trigger.early(Early::After(duration(5))), &steps);
            }
            Kind::Session { gap } => fold(session(duration(gap)), trigger, &steps),
            Kind::Global => fold(global(), trigger, &steps),
            Kind::Growing => {}
        }
    }
}

/// Plays `steps` with records one by one and folded; what is folded goes before a time does.
fn fold<W>(windows: W, trigger: Trigger, steps: &[Step])
where
    W: Windows<i64, Bag>,
    W::Logic: Clone,
{
    let logic = windows.logic(trigger, Bag);
    assert!(logic.folds());
    let (mut single, mut folded) = (Rig::new(logic.clone()), Rig::new(logic));
    let (mut held, mut now) = (None, 0);
    single.advance_watermark(0.into());
    folded.advance_watermark(0.into());
    for (number, step) in steps.iter().chain([&Step::Watermark(1_000)]).enumerate() {
        let watermark = single.watermark().as_millis();
        let (value, mut gone) = (number as i64, None);
        match *step {
            Step::Record(after) => {
                let time = Timestamp::from_millis(watermark + after);
                let _ = single.record(&value, time);
                gone = folded.logic().fold(&mut held, &value, time);
            }
            Step::Watermark(_) | Step::Clock(_) => gone = held.take().or(gone),
        }
        if let Some(partial) = gone {
            assert_eq!(folded.partial(partial), Taken::Applied);
        }
        match *step {
            Step::Record(_) => continue,
            Step::Watermark(by) => {
                single.advance_watermark((watermark + by).into());
                folded.advance_watermark((watermark + by).into());
            }
            Step::Clock(by) => {
                now += by;
                single.advance_clock(now.into());
                folded.advance_clock(now.into());
            }
        }
        assert_eq!(single.take_results(), folded.take_results(), "step {number}");
    }
}

#[test]
fn a_late_partial_says_how_many_records_it_was() {
    let logic = tumbling(duration(10)).logic(Trigger::default(), Bag);
    let mut held = None;
    for value in [1, 2, 3] {
        assert_eq!(logic.fold(&mut held, &value, 5.into()), None);
    }
    let partial = logic.fold(&mut held, &4, 15.into()).expect("the next window displaces it");
    assert_eq!(partial.record_count, 3);
    let mut rig = Rig::new(logic);
    rig.advance_watermark(9.into());
    assert_eq!(rig.partial(partial), Taken::Late);
    assert!(rig.is_empty());
}

#[test]
fn a_session_that_grows_sets_no_timer() {
    let logic = session(duration(10)).logic(Trigger::default(), Bag);
    let mut rig = Rig::new(logic);
    for time in 0..100 {
        assert_eq!(rig.record(&time, time.into()), Taken::Applied);
    }
    assert_eq!(rig.event_timer_count(), 1);
    rig.advance_watermark(107.into());
    assert!(rig.take_results().is_empty());
    rig.advance_watermark(108.into());
    assert_eq!(rig.take_results().len(), 1);
}

#[test]
fn a_record_of_a_sliding_window_sets_one_timer_at_most() {
    let windows = sliding(duration(600), duration(1));
    let mut rig = Rig::new(windows.logic(Trigger::default(), Bag));
    for time in 0..50 {
        assert_eq!(rig.record(&time, time.into()), Taken::Applied);
    }
    assert_eq!(rig.event_timer_count(), 1);
}

/// Row 14 of the table of bad input.
#[test]
fn windows_that_cannot_be_are_refused_in_one_line() {
    fn refused<A: Aggregate<i64>>(
        windows: impl Windows<i64, A>,
        trigger: Trigger,
        _aggregate: A,
    ) -> String {
        let error = windows.check(trigger).expect_err("it is refused");
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        error.to_string()
    }
    let at_watermark = Trigger::default();
    let (zero, ten) = (Duration::ZERO, duration(10));
    for (message, expected) in [
        (
            refused(tumbling(Duration::from_micros(999)), at_watermark, Bag),
            "window size: 0 ms; allowed is 1 ms or more",
        ),
        (refused(session(zero), at_watermark, Bag), "window gap: 0 ms; allowed is 1 ms or more"),
        (
            refused(sliding(ten, zero), at_watermark, Bag),
            "window slide: 0 ms; allowed is 1 ms to the size of 10 ms",
        ),
        (
            refused(sliding(ten, duration(11)), at_watermark, Bag),
            "window slide: 11 ms; allowed is 1 ms to the size of 10 ms",
        ),
        (
            refused(sliding(duration(1_000_000_000), duration(1)), at_watermark, Bag),
            "window size / slide: 1000000000 ms / 1 ms puts a record into 1000000000 windows; \
             allowed are 10000",
        ),
        (
            refused(count_sliding(0, 0), at_watermark, Bag),
            "window size: 0 records; allowed is 1 or more",
        ),
        (
            refused(count_sliding(2, 3), at_watermark, Bag),
            "window slide: 3 records; allowed is 1 records to the size of 2 records",
        ),
        (
            refused(count_sliding(2, 1), at_watermark.allowed_lateness(ten), Bag),
            "count windows fire when they are full; early firings and allowed lateness are for \
             windows of time",
        ),
        (
            refused(session(ten), at_watermark, Whole),
            "session windows merge; the aggregate does not",
        ),
        (
            refused(global(), at_watermark.early(Early::Records(0)), Bag),
            "early firing: every 0 records; allowed is 1 or more",
        ),
    ] {
        assert_eq!(message, expected);
    }
}

#[test]
#[should_panic(expected = "at most 10000 windows")]
fn an_assigner_of_too_many_windows_fails_the_job() {
    #[derive(Clone)]
    struct Endless;
    impl WindowAssigner<i64> for Endless {
        type Id = Window;
        fn assign(&self, _: &i64, time: Timestamp, mut take: impl FnMut(Window)) {
            (1..1_000_000_000).for_each(|length| take(Window::from_start(time, length)));
        }
        fn window(&self, id: Window) -> Window {
            id
        }
    }
    let logic = Custom(Endless).logic(Trigger::default(), Bag);
    let _ = Rig::new(logic).record(&1, 0.into());
}
