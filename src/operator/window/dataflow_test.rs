//! Window semantics against the examples that the authors of the Dataflow model published.
//!
//! `PAPER` is Akidau et al., "The Dataflow Model", VLDB 2015, figure 5: ten points and a watermark.
//! They are drawn there, not printed; the times below are measured in the figure (all lie on
//! ninths of a minute), the watermark is its curve at the corners and where it crosses the ends of
//! windows. The results are those of its figures 6 to 14. Where a trigger repeats a value that is
//! unchanged, the paper draws one rectangle; here both results are listed.
//!
//! `BOOK` is the same example as revised in Akidau, Chernyak and Lax, "Streaming Systems", O'Reilly
//! 2018, chapters 2 and 4: nine points, whose times its authors print (github.com/takidau/
//! streamingbook, `inputs.csv` and `BeamModelTest.java`, heuristic watermark). Its results are of
//! Beam, which also emits a pane without records on time; here, as in Flink, such a pane does not
//! come out and takes no index.

use std::time::Duration;

use crate::operator::window::fixture::Rig;
use crate::operator::window::{
    Early, Mode, Trigger, WindowLogic, Windowed, Windows, count, global, session, sliding, tumbling,
};
use crate::state::aggregate::{Sum, sum};
use crate::time::Timestamp;

/// What happens at a moment of processing time.
#[derive(Clone, Copy)]
enum Step {
    /// A point of this value and event time comes.
    Point(i64, &'static str),
    /// No earlier event times are expected from now on.
    Watermark(&'static str),
}
use Step::{Point, Watermark};

const PAPER: [(&str, Step); 22] = [
    ("5:19.900", Point(5, "0:26.667")),
    ("5:39.900", Point(7, "2:26.667")),
    ("5:40.000", Watermark("0:26.667")),
    ("5:43.300", Watermark("1:00.000")),
    ("5:57.700", Watermark("2:00.000")),
    ("5:59.900", Watermark("2:26.667")),
    ("6:13.300", Point(3, "3:40.000")),
    ("6:26.600", Point(4, "3:53.333")),
    ("6:39.900", Point(3, "4:20.000")),
    ("7:06.600", Point(8, "3:06.667")),
    ("7:19.900", Point(3, "6:40.000")),
    ("7:25.400", Watermark("3:00.000")),
    ("7:28.400", Watermark("4:00.000")),
    ("7:35.900", Watermark("5:20.000")),
    ("7:38.800", Watermark("6:00.000")),
    ("7:39.900", Watermark("6:40.000")),
    ("8:00.400", Watermark("7:00.000")),
    ("8:19.900", Point(9, "1:26.667")),
    ("8:39.900", Point(8, "7:26.667")),
    ("8:59.900", Point(1, "7:46.667")),
    ("8:59.950", Watermark("7:26.667")),
    ("9:19.900", Watermark("7:46.667")),
];

const BOOK: [(&str, Step); 13] = [
    ("4:59", Point(5, "0:26")),
    ("5:39", Point(7, "2:24")),
    ("6:00", Watermark("2:00")),
    ("6:13", Point(3, "3:39")),
    ("6:39", Point(4, "4:19")),
    ("7:06", Point(8, "3:06")),
    ("7:19", Point(3, "6:39")),
    ("7:30", Watermark("4:00")),
    ("7:40", Watermark("6:00")),
    ("8:19", Point(9, "1:25")),
    ("8:39", Point(8, "7:26")),
    ("9:00", Point(1, "7:46")),
    ("9:30", Watermark("8:30")),
];

/// Milliseconds after 12:00 of `minutes:seconds`.
fn at(text: &str) -> Timestamp {
    let (minutes, seconds) = text.split_once(':').expect("minutes and seconds");
    let (seconds, millis) = seconds.split_once('.').unwrap_or((seconds, "0"));
    let number = |text: &str| text.parse::<i64>().expect("a number");
    (number(minutes) * 60_000 + number(seconds) * 1_000 + number(millis)).into()
}

fn clock(time: Timestamp) -> String {
    let millis = time.as_millis();
    let text = format!("{}:{:02}", millis.div_euclid(60_000), millis.rem_euclid(60_000) / 1_000);
    match millis.rem_euclid(1_000) {
        0 => text,
        part => format!("{text}.{part:03}"),
    }
}

/// `[start end) value firing index`, with a minus where it is retracted.
fn line(result: &Windowed<(), i64>) -> String {
    let Windowed { window, firing, index, value, .. } = result;
    let sign = match result.change {
        super::Change::Insert => "",
        super::Change::Retract => "-",
    };
    if window.start == Timestamp::MIN {
        return format!("{sign}{value} {firing:?} {index}");
    }
    format!("[{} {}) {sign}{value} {firing:?} {index}", clock(window.start), clock(window.end))
}

type SumOf = Sum<fn(&i64) -> i64>;

/// Plays `steps` and then the end of the input; a line for each result, after the processing time
/// at which it came.
fn play<W>(windows: W, trigger: Trigger, steps: &[(&str, Step)]) -> Vec<String>
where
    W: Windows<i64, SumOf>,
    <W::Logic as WindowLogic<i64>>::State: Sized,
{
    let value: fn(&i64) -> i64 = |value| *value;
    let mut rig = Rig::new(windows.logic(trigger, sum(value)));
    let mut lines = Vec::new();
    let mut take = |rig: &mut Rig<i64, W::Logic>, when: &str| {
        lines.extend(rig.take_results().iter().map(|result| format!("{when} {}", line(result))));
    };
    for (now, step) in steps {
        for minute in 0..=9 {
            let boundary = Timestamp::from_millis(minute * 60_000);
            if boundary <= at(now) {
                rig.advance_clock(boundary);
                take(&mut rig, &clock(boundary));
            }
        }
        rig.advance_clock(at(now));
        match step {
            Point(value, time) => {
                let _ = rig.record(value, at(time));
            }
            // Beam's watermark is the first time that is expected, ours the last that is not.
            Watermark(time) => rig.advance_watermark(at(time).plus_millis(-1)),
        }
        take(&mut rig, now);
    }
    rig.advance_clock(at("10:00"));
    take(&mut rig, "10:00");
    rig.advance_watermark(Timestamp::MAX);
    take(&mut rig, "end");
    assert!(rig.is_empty(), "nothing is left when the input is over");
    lines
}

const MINUTE: Duration = Duration::from_secs(60);
const TWO_MINUTES: Duration = Duration::from_secs(120);

fn for_ever() -> Trigger {
    Trigger::default().allowed_lateness(Duration::MAX)
}

fn batch() -> Vec<(&'static str, Step)> {
    PAPER.into_iter().filter(|(_, step)| matches!(step, Point(..))).collect()
}

#[test]
fn paper_figure_6_one_window_of_a_batch() {
    assert_eq!(play(global(), Trigger::default(), &batch()), ["end 51 OnTime 0"]);
}

#[test]
fn paper_figure_7_global_window_each_minute_accumulating() {
    let trigger = Trigger::default().early(Early::Every(MINUTE));
    assert_eq!(
        play(global(), trigger, &PAPER),
        [
            "6:00 12 Early 0",
            "7:00 22 Early 1",
            "8:00 33 Early 2",
            "9:00 51 Early 3",
            "end 51 OnTime 4",
        ]
    );
}

#[test]
fn paper_figure_8_global_window_each_minute_discarding() {
    let trigger = Trigger::default().early(Early::Every(MINUTE)).mode(Mode::Discarding);
    assert_eq!(
        play(global(), trigger, &PAPER),
        ["6:00 12 Early 0", "7:00 10 Early 1", "8:00 11 Early 2", "9:00 18 Early 3"]
    );
}

#[test]
fn paper_figure_9_global_window_every_second_record_discarding() {
    let trigger = Trigger::default().early(Early::Records(2)).mode(Mode::Discarding);
    let expected = [
        "5:39.900 12 Early 0",
        "6:26.600 7 Early 1",
        "7:06.600 11 Early 2",
        "8:19.900 12 Early 3",
        "8:59.900 9 Early 4",
    ];
    assert_eq!(play(global(), trigger, &PAPER), expected);
    // The same as count windows, which know the times of their records.
    assert_eq!(
        play(count(2), Trigger::default(), &PAPER),
        [
            "5:39.900 [0:26.667 2:26.668) 12 OnTime 0",
            "6:26.600 [3:40 3:53.334) 7 OnTime 0",
            "7:06.600 [3:06.667 4:20.001) 11 OnTime 0",
            "8:19.900 [1:26.667 6:40.001) 12 OnTime 0",
            "8:59.900 [7:26.667 7:46.668) 9 OnTime 0",
        ]
    );
}

#[test]
fn paper_figure_10_tumbling_windows_of_a_batch() {
    assert_eq!(
        play(tumbling(TWO_MINUTES), Trigger::default(), &batch()),
        [
            "end [0:00 2:00) 14 OnTime 0",
            "end [2:00 4:00) 22 OnTime 0",
            "end [4:00 6:00) 3 OnTime 0",
            "end [6:00 8:00) 12 OnTime 0",
        ]
    );
}

#[test]
fn paper_figure_12_tumbling_windows_at_the_watermark() {
    assert_eq!(
        play(tumbling(TWO_MINUTES), for_ever(), &PAPER),
        [
            "5:57.700 [0:00 2:00) 5 OnTime 0",
            "7:28.400 [2:00 4:00) 22 OnTime 0",
            "7:38.800 [4:00 6:00) 3 OnTime 0",
            "8:19.900 [0:00 2:00) 14 Late 1",
            "end [6:00 8:00) 12 OnTime 0",
        ]
    );
}

#[test]
fn paper_figure_13_tumbling_windows_each_minute_and_at_the_watermark() {
    let trigger = for_ever().early(Early::Every(MINUTE));
    assert_eq!(
        play(tumbling(TWO_MINUTES), trigger, &PAPER),
        [
            "5:57.700 [0:00 2:00) 5 OnTime 0",
            "6:00 [2:00 4:00) 7 Early 0",
            "7:00 [2:00 4:00) 14 Early 1",
            "7:00 [4:00 6:00) 3 Early 0",
            "7:28.400 [2:00 4:00) 22 OnTime 2",
            "7:38.800 [4:00 6:00) 3 OnTime 1",
            "8:00 [6:00 8:00) 3 Early 0",
            "8:19.900 [0:00 2:00) 14 Late 1",
            "9:00 [6:00 8:00) 12 Early 1",
            "end [6:00 8:00) 12 OnTime 2",
        ]
    );
}

#[test]
fn paper_figure_14_sessions_retracting() {
    let trigger = for_ever().early(Early::Every(MINUTE)).mode(Mode::Retracting);
    // As drawn, points are just a minute apart and share a session. So one ends a millisecond
    // later than its points and the watermark are drawn, with the next watermark.
    let gap = MINUTE + Duration::from_millis(1);
    assert_eq!(
        play(session(gap), trigger, &PAPER),
        [
            "5:57.700 [0:26.667 1:26.668) 5 OnTime 0",
            "6:00 [2:26.667 3:26.668) 7 Early 0",
            "7:00 [3:40 5:20.001) 10 Early 0",
            "7:38.800 [2:26.667 3:26.668) -7 Early 0",
            "7:38.800 [3:40 5:20.001) -10 Early 0",
            "7:38.800 [2:26.667 5:20.001) 25 OnTime 0",
            "8:00 [6:40 7:40.001) 3 Early 0",
            "8:19.900 [0:26.667 1:26.668) -5 OnTime 0",
            "8:19.900 [2:26.667 5:20.001) -25 OnTime 0",
            "8:19.900 [0:26.667 5:20.001) 39 Late 0",
            "9:00 [6:40 7:40.001) -3 Early 0",
            "9:00 [6:40 8:46.668) 12 Early 0",
            "end [6:40 8:46.668) -12 Early 0",
            "end [6:40 8:46.668) 12 OnTime 1",
        ]
    );
}

/// Of the paper's points; the paper has no sliding windows.
#[test]
fn sliding_windows_by_hand() {
    let windows = || sliding(TWO_MINUTES, MINUTE);
    let on_time = [
        "5:43.300 [-1:00 1:00) 5 OnTime 0",
        "5:57.700 [0:00 2:00) 5 OnTime 0",
        "7:25.400 [1:00 3:00) 7 OnTime 0",
        "7:28.400 [2:00 4:00) 22 OnTime 0",
        "7:35.900 [3:00 5:00) 18 OnTime 0",
        "7:38.800 [4:00 6:00) 3 OnTime 0",
        "8:00.400 [5:00 7:00) 3 OnTime 0",
    ];
    let end = ["end [6:00 8:00) 12 OnTime 0", "end [7:00 9:00) 9 OnTime 0"];
    let with = |late: &[&str]| -> Vec<String> {
        on_time.iter().chain(late).chain(&end).map(|line| line.to_string()).collect()
    };
    assert_eq!(play(windows(), Trigger::default(), &PAPER), with(&[]));
    assert_eq!(
        play(windows(), for_ever(), &PAPER),
        with(&["8:19.900 [0:00 2:00) 14 Late 1", "8:19.900 [1:00 3:00) 16 Late 1"])
    );
    assert_eq!(
        play(windows(), for_ever().mode(Mode::Discarding), &PAPER),
        with(&["8:19.900 [0:00 2:00) 9 Late 1", "8:19.900 [1:00 3:00) 9 Late 1"])
    );
    assert_eq!(
        play(windows(), for_ever().mode(Mode::Retracting), &PAPER),
        with(&[
            "8:19.900 [0:00 2:00) -5 OnTime 0",
            "8:19.900 [0:00 2:00) 14 Late 1",
            "8:19.900 [1:00 3:00) -7 OnTime 0",
            "8:19.900 [1:00 3:00) 16 Late 1",
        ])
    );
}

fn book_trigger() -> Trigger {
    for_ever().early(Early::After(MINUTE))
}

/// As [`play`], without when.
fn play_book<W: Windows<i64, SumOf>>(
    windows: W,
    trigger: Trigger,
    steps: &[(&str, Step)],
) -> Vec<String> {
    let lines = play(windows, trigger, steps);
    lines.iter().filter_map(|line| line.split_once(' ')).map(|(_, line)| line.to_string()).collect()
}

#[test]
fn book_figure_2_10_heuristic_watermark_without_lateness_drops_the_late_record() {
    assert_eq!(
        play_book(tumbling(TWO_MINUTES), Trigger::default(), &BOOK),
        [
            "[0:00 2:00) 5 OnTime 0",
            "[2:00 4:00) 18 OnTime 0",
            "[4:00 6:00) 4 OnTime 0",
            "[6:00 8:00) 12 OnTime 0",
        ]
    );
}

#[test]
fn book_figure_2_11_early_on_time_and_late_accumulating() {
    assert_eq!(
        play_book(tumbling(TWO_MINUTES), book_trigger(), &BOOK),
        [
            "[0:00 2:00) 5 Early 0",
            "[0:00 2:00) 5 OnTime 1",
            "[2:00 4:00) 10 Early 0",
            "[2:00 4:00) 18 OnTime 1",
            "[4:00 6:00) 4 Early 0",
            "[4:00 6:00) 4 OnTime 1",
            "[6:00 8:00) 3 Early 0",
            "[0:00 2:00) 14 Late 2",
            "[6:00 8:00) 12 OnTime 1",
        ]
    );
}

#[test]
fn book_figure_2_12_allowed_lateness_takes_the_6_and_drops_the_9() {
    let mut steps = BOOK.to_vec();
    steps.insert(5, ("6:39", Point(6, "0:53")));
    let trigger = book_trigger().allowed_lateness(TWO_MINUTES);
    assert_eq!(
        play_book(tumbling(TWO_MINUTES), trigger, &steps),
        [
            "[0:00 2:00) 5 Early 0",
            "[0:00 2:00) 5 OnTime 1",
            "[2:00 4:00) 10 Early 0",
            "[0:00 2:00) 11 Late 2",
            "[2:00 4:00) 18 OnTime 1",
            "[4:00 6:00) 4 Early 0",
            "[4:00 6:00) 4 OnTime 1",
            "[6:00 8:00) 3 Early 0",
            "[6:00 8:00) 12 OnTime 1",
        ]
    );
}

#[test]
fn book_figure_2_13_early_on_time_and_late_discarding() {
    assert_eq!(
        play_book(tumbling(TWO_MINUTES), book_trigger().mode(Mode::Discarding), &BOOK),
        [
            "[0:00 2:00) 5 Early 0",
            "[2:00 4:00) 10 Early 0",
            "[2:00 4:00) 8 OnTime 1",
            "[4:00 6:00) 4 Early 0",
            "[6:00 8:00) 3 Early 0",
            "[0:00 2:00) 9 Late 1",
            "[6:00 8:00) 9 OnTime 1",
        ]
    );
}

#[test]
fn book_figure_4_7_sessions_accumulating() {
    assert_eq!(
        play_book(session(MINUTE), book_trigger(), &BOOK),
        [
            "[0:26 1:26) 5 Early 0",
            "[0:26 1:26) 5 OnTime 1",
            "[2:24 3:24) 7 Early 0",
            "[2:24 5:19) 22 Early 0",
            "[2:24 5:19) 22 OnTime 1",
            "[6:39 7:39) 3 Early 0",
            "[0:26 5:19) 36 Late 0",
            "[6:39 8:46) 12 Early 0",
            "[6:39 8:46) 12 OnTime 1",
        ]
    );
}
