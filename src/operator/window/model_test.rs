//! Every kind of windows against a model that keeps all records and computes each result anew,
//! over random disorder, lateness and triggers. A failure prints its seed; `PROPTEST_CASES=10000`
//! in the environment asks for more cases than the usual 256.

use std::time::Duration;

use proptest::prelude::*;

use crate::error::ErrorKind;
use crate::operator::window::fixture::Rig;
use crate::operator::window::model::{Growing, Kind, Model, Rules};
use crate::operator::window::{
    Custom, Early, Mode, Taken, Trigger, Window, WindowAssigner, WindowLogic, Windows,
    count_sliding, global, session, sliding, tumbling,
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
    let mut model = Model::new(kind, rules, 0);
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
        assert_eq!(rig.take_results(), model.take_results(), "step {number}");
        assert_eq!(rig.is_empty(), model.is_empty(), "step {number}");
    }
    rig.advance_watermark(Timestamp::MAX);
    model.advance_watermark(i64::MAX);
    assert_eq!(rig.take_results(), model.take_results(), "at the end");
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
        Kind::Count { .. } => unreachable!("not drawn: they know neither triggers nor lateness"),
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
        let rules = Rules { early: Early::Never, mode: Mode::Accumulating, lateness: 0 };
        let kind = Kind::Count { size: size as usize, slide: slide as usize };
        let mut model = Model::new(kind, rules, 0);
        for (value, time) in (0..).zip(times) {
            prop_assert_eq!(rig.record(&value, time.into()), model.record(value, time));
            prop_assert_eq!(rig.take_results(), model.take_results());
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
            Kind::Growing | Kind::Count { .. } => {}
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

/// Whether the first of two sessions has fired does not change them.
#[test]
fn records_that_are_the_gap_apart_are_in_two_sessions() {
    for watermark in [None, Some(9)] {
        let mut rig = Rig::new(session(duration(10)).logic(Trigger::default(), Bag));
        assert_eq!(rig.record(&1, 0.into()), Taken::Applied);
        watermark.into_iter().for_each(|time: i64| rig.advance_watermark(time.into()));
        assert_eq!(rig.record(&2, 10.into()), Taken::Applied);
        rig.advance_watermark(100.into());
        let ends: Vec<_> =
            rig.take_results().iter().map(|one| one.window.end.as_millis()).collect();
        assert_eq!(ends, [10, 20], "{watermark:?}");
    }
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
