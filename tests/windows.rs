//! Windows through the public API: every partition count gives what a naive count gives.

use std::collections::BTreeMap;
use std::time::Duration;

use millstream::connector::{blackhole, iterator};
use millstream::operator::window::{
    Early, Firing, Mode, Trigger, Windowed, session, sliding, tumbling,
};
use millstream::prelude::*;
use millstream::state::aggregate::Last;
use millstream::testing::harness::Harness;
use millstream::time::watermark::{BoundedDisorder, Monotone};
use millstream::time::{Clock, MonotonicClock};

/// Key and time in milliseconds.
type Click = (u64, i64);

fn clicks() -> Vec<Click> {
    // In order but for 40 ms; some keys are rare.
    (0..20_000u64)
        .map(|i| (i * i % 97 % (1 + i % 60), i as i64 * 5 - (i as i64 * 7 % 9) * 5))
        .collect()
}

fn engine(partitions: usize) -> Engine {
    let config = Config::builder().partitions(partitions).build();
    Engine::new(config.expect("a valid configuration")).expect("an engine")
}

fn disorder() -> BoundedDisorder {
    BoundedDisorder::new(Duration::from_millis(50))
}

#[test]
fn tumbling_and_sliding_counts_are_those_of_a_naive_count_for_any_partitions() {
    let mut tumbled: BTreeMap<(u64, i64), u64> = BTreeMap::new();
    let mut slid: BTreeMap<(u64, i64), u64> = BTreeMap::new();
    for (key, time) in clicks() {
        *tumbled.entry((key, time.div_euclid(100) * 100)).or_default() += 1;
        for step in 0..3 {
            *slid.entry((key, (time.div_euclid(100) - step) * 100)).or_default() += 1;
        }
    }
    for partitions in [1, 2, 3] {
        let pipeline = Pipeline::new("windows");
        let timed = pipeline.source(iterator(clicks())).assign_timestamps(|c| c.1, disorder());
        let [one, other] = timed.fork();
        let hundred = Duration::from_millis(100);
        let tumbling = one.key_by(|c| c.0).window(tumbling(hundred)).count().collect();
        let sliding = sliding(hundred * 3, hundred);
        let sliding = other.key_by(|c| c.0).window(sliding).count().collect();
        let report = engine(partitions).run(pipeline).expect("a run");
        let by_window = |results: Vec<millstream::operator::window::Windowed<u64, u64>>| {
            assert!(results.iter().all(|one| one.firing == Firing::OnTime && one.index == 0));
            let count = results.len();
            let rows: BTreeMap<_, _> = results
                .into_iter()
                .map(|one| ((one.key, one.window.start.as_millis()), one.value))
                .collect();
            assert_eq!(rows.len(), count, "each window comes once");
            rows
        };
        assert_eq!(by_window(tumbling.take()), tumbled, "{partitions} partitions");
        assert_eq!(by_window(sliding.take()), slid, "{partitions} partitions");
        assert_eq!(report.late, 0);
        let applied: u64 = report.tasks.iter().map(|task| task.tally.applied).sum();
        assert_eq!(applied, 2 * clicks().len() as u64);
    }
}

#[test]
fn explain_says_which_sliding_windows_share_panes_and_why_others_do_not() {
    let second = Duration::from_secs(1);
    let lines = |change: &dyn Fn(Trigger) -> Trigger, merges: bool| {
        let pipeline = Pipeline::new("windows");
        let timed = pipeline.source(iterator(clicks())).assign_timestamps(|c| c.1, disorder());
        let windows = timed.key_by(|c| c.0).window(sliding(second * 5, second * 2));
        let windows = windows.trigger(change(Trigger::default()));
        if merges {
            windows.count().sink(blackhole());
        } else {
            windows.aggregate(Last).sink(blackhole());
        }
        pipeline.explain()
    };
    let apart = "    sliding windows: one accumulator for each of the 3 windows of a record, since";
    let late = |mode| move |trigger: Trigger| trigger.allowed_lateness(second).mode(mode);
    for (text, note) in [
        (lines(&|trigger| trigger, true), "    sliding windows: shared panes".to_owned()),
        (
            lines(&|trigger| trigger.early(Early::Every(second)), true),
            format!("{apart} they fire early"),
        ),
        (lines(&late(Mode::Discarding), true), format!("{apart} late firings discard")),
        (lines(&late(Mode::Retracting), true), "    sliding windows: shared panes".to_owned()),
        (lines(&|trigger| trigger, false), format!("{apart} the aggregate does not merge")),
    ] {
        let expected =
            format!("0 iterator | assign_timestamps => 1\n1 window | blackhole\n{note}\n");
        assert_eq!(text, expected);
    }
}

#[test]
fn sessions_are_cut_where_a_key_is_silent() {
    let times = [0, 40, 90, 200, 210, 900];
    let pipeline = Pipeline::new("sessions");
    let timed = pipeline.source(iterator(times)).assign_timestamps(|t| *t, Monotone::new());
    let hundred = Duration::from_millis(100);
    let sessions = timed.key_by(|_| ()).window(session(hundred)).count().collect();
    engine(2).run(pipeline).expect("a run");
    let rows: Vec<_> = sessions
        .take()
        .iter()
        .map(|one| (one.window.start.as_millis(), one.window.end.as_millis(), one.value))
        .collect();
    assert_eq!(rows, [(0, 190, 3), (200, 310, 2), (900, 1_000, 1)]);
}

#[test]
fn early_results_are_retracted_by_the_one_on_time() {
    let pipeline = Pipeline::new("early");
    let timed = pipeline.source(iterator([1, 2, 3])).assign_timestamps(|t| *t, Monotone::new());
    let results = timed
        .window_all(tumbling(Duration::from_millis(10)))
        .early(Early::Records(2))
        .mode(Mode::Retracting)
        .count()
        .collect();
    engine(1).run(pipeline).expect("a run");
    let rows: Vec<_> =
        results.take().iter().map(|one| (one.firing, one.change, one.value)).collect();
    use millstream::operator::window::Change::{Insert, Retract};
    let expected =
        [(Firing::Early, Insert, 2), (Firing::Early, Retract, 2), (Firing::OnTime, Insert, 3)];
    assert_eq!(rows, expected);
}

#[test]
fn windows_kept_for_late_records_fire_once_when_time_leaps() {
    let [ten, hundred] = [10, 100].map(Duration::from_millis);
    let mut counts = Harness::keyed_timed(
        |_: &u64| (),
        |all| all.window(tumbling(ten)).allowed_lateness(hundred).count(),
    );
    counts.feed_at([(1, 1), (2, 11), (3, 21), (4, 22)]);
    counts.advance_watermark(50);
    let row = |one: &Windowed<(), u64>| (one.window.start.as_millis(), one.firing, one.value);
    let fired: Vec<_> = counts.take_emitted().iter().map(row).collect();
    let on_time = [(0, Firing::OnTime, 1), (10, Firing::OnTime, 1), (20, Firing::OnTime, 2)];
    assert_eq!(fired, on_time);
    counts.feed_at([(5, 12)]);
    counts.advance_watermark(200);
    let fired: Vec<_> = counts.take_emitted().iter().map(row).collect();
    assert_eq!(fired, [(10, Firing::Late, 2)]);
}

#[test]
fn windows_that_cannot_be_are_refused_before_the_start() {
    let pipeline = Pipeline::new("refused");
    let timed = pipeline.source(iterator([1])).assign_timestamps(|t| *t, Monotone::new());
    let keyed = timed.key_by(|_| ()).emit_at(EmitAt::EachRecord);
    keyed.window(tumbling(Duration::ZERO)).count().collect();
    let error = engine(1).run(pipeline).expect_err("it is refused").to_string();
    assert!(error.contains("window size: 0 ms"), "{error}");
    assert!(error.contains("emit_at is for running aggregates"), "{error}");
}

/// Rows 21 and 22 of the table of bad input.
#[test]
fn odd_times_are_counted_and_move_nobody() {
    let now = MonotonicClock.wall_time();
    let times = [Some(now), None, Some(now + Duration::from_secs(2 * 3_600)), Some(now), None];
    let pipeline = Pipeline::new("odd");
    let timed = pipeline.source(iterator(times)).assign_timestamps(|t| *t, Monotone::new());
    let counts = timed.window_all(tumbling(Duration::from_secs(60))).count().collect();
    let report = engine(1).run(pipeline).expect("a run");
    assert_eq!((report.dead_letter, report.future_skew, report.late), (2, 1, 0));
    assert_eq!(counts.take().iter().map(|one| one.value).collect::<Vec<_>>(), [2, 1]);
    assert!(report.warnings.iter().all(|warning| !warning.contains("event times")));
}

#[test]
fn times_in_seconds_and_microseconds_are_warned_of() {
    let now = MonotonicClock.wall_time().as_millis();
    for time in [now / 1_000, now * 1_000, now * 1_000_000] {
        let pipeline = Pipeline::new("units");
        let timed = pipeline.source(iterator([time])).assign_timestamps(|t| *t, Monotone::new());
        timed.window_all(tumbling(Duration::from_secs(60))).count().collect();
        let report = engine(1).run(pipeline).expect("a run");
        let said = report.warnings.iter().filter(|text| text.contains("milliseconds")).count();
        assert_eq!(said, 1, "{time}: {:?}", report.warnings);
    }
}
