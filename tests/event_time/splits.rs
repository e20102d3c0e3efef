//! One generator for each source instance is one for each split: an instance reads its splits one
//! after the other. What covers the same time belongs into sources of its own.

use std::fs::write;
use std::time::Duration;

use millstream::connector::{text_bytes, text_lines};
use millstream::dataflow::{Chain, SourceConnector, Timed};
use millstream::operator::window::tumbling;
use millstream::prelude::*;
use millstream::time::watermark::Monotone;

/// A line for each ten milliseconds of these.
fn lines(times: std::ops::Range<i64>) -> String {
    times.step_by(10).map(|time| format!("{time}\n")).collect()
}

/// The lines of `source`, which are their times.
fn timed<S>(pipeline: &Pipeline, source: S) -> DataStream<impl Chain<Out = i64, Time = Timed>>
where
    S: SourceConnector<Item = String>,
{
    let times = pipeline.source(source).map(|line| line.parse::<i64>().expect("a number"));
    times.assign_timestamps(|time| *time, Monotone::new())
}

/// How many of the stream's records are in a window of a second, and how many are late.
fn windowed<C>(pipeline: Pipeline, stream: DataStream<C>, partitions: usize) -> (u64, u64)
where
    C: Chain<Out = i64, Time = Timed>,
{
    let counts = stream.window_all(tumbling(Duration::from_secs(1))).count().collect();
    let config = Config::builder().partitions(partitions).build().expect("a valid configuration");
    let report = Engine::new(config).and_then(|engine| engine.run(pipeline)).expect("it runs");
    (counts.take().iter().map(|one| one.value).sum(), report.late)
}

#[test]
fn no_split_of_a_sorted_file_is_late_whoever_reads_it() {
    for partitions in 1..=3 {
        let pipeline = Pipeline::new("sorted");
        let stream = timed(&pipeline, text_bytes(lines(0..50_000).into_bytes()).split_bytes(64));
        assert_eq!(windowed(pipeline, stream, partitions), (5_000, 0), "{partitions} partitions");
    }
}

#[test]
fn files_in_order_are_one_source_and_files_of_the_same_time_one_each() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    write(path("a1.txt"), lines(0..250_000)).expect("it is written");
    write(path("a2.txt"), lines(250_000..500_000)).expect("it is written");
    write(path("b1.txt"), lines(0..500_000)).expect("it is written");
    for partitions in 1..=3 {
        let pipeline = Pipeline::new("in order");
        let stream = timed(&pipeline, text_lines(path("a*.txt")));
        assert_eq!(windowed(pipeline, stream, partitions), (50_000, 0), "{partitions} partitions");

        let pipeline = Pipeline::new("side by side");
        let [a, b] = ["a*.txt", "b*.txt"].map(|name| timed(&pipeline, text_lines(path(name))));
        let both = a.union(b);
        assert_eq!(windowed(pipeline, both, partitions), (100_000, 0), "{partitions} partitions");
    }
    // One instance reads b1 when it has read a2, and time with it.
    let pipeline = Pipeline::new("one after the other");
    let stream = timed(&pipeline, text_lines(path("*.txt")));
    let (counted, late) = windowed(pipeline, stream, 1);
    assert_eq!(counted + late, 100_000);
    assert!(late > 40_000, "{late} of the 50,000 records of b1");
}
