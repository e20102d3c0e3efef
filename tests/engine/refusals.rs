//! Wrong pipelines: everything that is wrong is told at once, before anything starts.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use millstream::connector::{blackhole, channel, collection, csv_file, file_sink, iterator};
use millstream::dataflow::{Collector, Emit, Polled, Source, SourceConnector, TaskContext};
use millstream::prelude::*;
use millstream::routing::Ranges;
use millstream::state::aggregate::{Count, distinct_sketch};

use crate::engine;

/// The lines of the error that `pipeline` is refused with.
fn refused(pipeline: Pipeline) -> Vec<String> {
    let error = engine(2).start(pipeline).err().expect("the pipeline is wrong");
    assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{error}");
    assert_eq!(error.kind().exit_code(), 78);
    error.to_string().lines().map(str::to_owned).collect()
}

#[test]
fn empty_pipeline_is_refused() {
    let problems = refused(Pipeline::new("empty"));
    assert_eq!(problems, ["the pipeline is empty; it needs a source and a sink"]);
}

#[test]
fn stream_that_leads_nowhere_is_named() {
    let pipeline = Pipeline::new("dangling");
    let [kept, lost] = pipeline.source(iterator(0..9)).fork();
    kept.sink(blackhole());
    drop(lost.key_by(|n| *n).count());
    let problems = refused(pipeline);
    assert_eq!(problems, ["stream `aggregate` leads to no sink; every stream ends in one"]);
}

#[test]
fn source_that_leads_nowhere_is_named() {
    let pipeline = Pipeline::new("dangling");
    let _ = pipeline.source(collection(vec![1]));
    let problems = refused(pipeline).join("\n");
    assert!(problems.contains("stream `collection` leads to no sink"), "{problems}");
}

#[test]
fn two_sinks_of_one_file_are_named_however_it_is_spelled() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let path = folder.path().join("out.txt");
    let pipeline = Pipeline::new("sinks");
    let [first, second] = pipeline.source(collection(vec!["a".to_owned()])).fork();
    first.named("one").sink(file_sink(&path));
    second.named("two").sink(file_sink(folder.path().join(".").join("out.txt")));
    let problems = refused(pipeline);
    assert_eq!(problems.len(), 1, "{problems:?}");
    for word in ["`one`", "`two`", "out.txt"] {
        assert!(problems[0].contains(word), "{problems:?}");
    }
    assert!(!Path::new(&path).exists(), "a refused pipeline opens no file");
}

#[test]
fn bad_and_duplicate_names_are_told_together() {
    let long = "x".repeat(300);
    for (name, word) in [
        ("", "has 0 bytes"),
        (&*long, "has 300 bytes"),
        ("../x", "`..` not"),
        ("bell\u{7}", "\\u{7}"),
        ("a/b", "`a/b`"),
    ] {
        let pipeline = Pipeline::new("names");
        pipeline.source(iterator(0..9)).named(name).sink(blackhole());
        pipeline.source(iterator(0..9)).named("twice").sink(blackhole());
        pipeline.source(iterator(0..9)).named("twice").sink(blackhole());
        let problems = refused(pipeline);
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].contains(word), "{problems:?}");
        assert!(problems[1].contains("`twice` is given to tasks 1 and 2"), "{problems:?}");
        assert!(problems.iter().all(|problem| problem.chars().count() < 200), "{problems:?}");
    }
}

#[test]
fn result_at_the_end_of_an_endless_source_is_refused() {
    let pipeline = Pipeline::new("endless");
    let orders = pipeline.source(channel::<u64>("orders", 8)).map(|order| order);
    let counts = orders.rebalance().key_by(|order| *order).count();
    counts.key_by(|(_, count)| *count).emit_at(EmitAt::EachRecord).count().sink(blackhole());
    let problems = refused(pipeline);
    assert_eq!(problems.len(), 1, "{problems:?}");
    for word in ["`aggregate`", "channel orders", "EmitAt::EachRecord or EmitAt::Every"] {
        assert!(problems[0].contains(word), "{word:?} is missing in {problems:?}");
    }
}

#[test]
fn every_emission_but_the_end_suits_an_endless_source() {
    for emit_at in [EmitAt::EachRecord, EmitAt::Every(std::time::Duration::from_secs(1))] {
        let pipeline = Pipeline::new("endless");
        let orders = pipeline.source(channel::<u64>("orders", 8));
        orders.key_by(|order| *order).emit_at(emit_at).count().sink(blackhole());
        let job = engine(2).start(pipeline).expect("this emission suits");
        job.drain().expect("nothing fails");
    }
}

#[test]
fn aggregates_that_are_set_up_wrongly_are_told_together() {
    let pipeline = Pipeline::new("aggregates");
    let numbers = || pipeline.source(iterator(0u64..9)).key_by(|n| *n);
    numbers().top_k(0, |n| *n).named("a").sink(blackhole());
    numbers().quantiles([0.5, 1.5], |n| *n as f64).named("b").sink(blackhole());
    numbers().quantile_sketch([f64::NAN], |n| *n as f64).named("c").sink(blackhole());
    let sketch = distinct_sketch(|n: &u64| *n).precision(40);
    numbers().aggregate((Count, sketch)).named("d").sink(blackhole());
    let expected = [
        "top_k keeps 0 records; allowed: at least 1",
        "quantile 1.5 is asked for; allowed: 0..=1",
        "quantile NaN is asked for; allowed: 0..=1",
        "precision of a distinct_sketch is 40; allowed: 4..=18",
    ];
    assert_eq!(refused(pipeline), expected);
}

#[test]
fn bounds_that_do_not_ascend_are_refused() {
    let pipeline = Pipeline::new("ranges");
    let numbers = pipeline.source(iterator(0u64..9)).key_by(|number| *number);
    numbers.partition_by(Ranges::new(vec![5, 3])).count().sink(blackhole());
    let problems = refused(pipeline);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("bound 0 is 5, bound 1 is 3"), "{problems:?}");
}

#[test]
fn union_over_two_pipelines_is_refused() {
    let (first, second) = (Pipeline::new("first"), Pipeline::new("second"));
    for pipeline in [&first, &second] {
        pipeline.source(iterator(0..9)).map(|n| n).boxed().sink(blackhole());
    }
    let foreign = second.source(iterator(0..9)).boxed().boxed();
    first.source(iterator(0..9)).union(foreign).sink(blackhole());
    for pipeline in [first, second] {
        let problems = refused(pipeline).join("\n");
        assert!(problems.contains("two pipelines"), "{problems}");
    }
}

/// Counts how often it is opened.
struct Watched(Arc<AtomicUsize>);

impl SourceConnector for Watched {
    type Item = u64;
    type Source = Nothing;

    fn name(&self) -> String {
        "watched".to_owned()
    }

    fn check(&self) -> Result<()> {
        Err(Error::new(ErrorKind::InvalidConfig, "the source refuses"))
    }

    fn open(&mut self, _: &TaskContext) -> Result<Nothing> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(Nothing)
    }
}

struct Nothing;

impl Source for Nothing {
    type Item = u64;

    fn poll<E: Emit<u64>>(&mut self, _: usize, _: u64, _: &mut Collector<'_, E>) -> Result<Polled> {
        Ok(Polled::Done)
    }
}

#[test]
fn everything_wrong_is_told_at_once_and_nothing_is_opened() {
    let opened = Arc::new(AtomicUsize::new(0));
    let pipeline = Pipeline::new("wrong");
    let [first, second] = pipeline.source(Watched(Arc::clone(&opened))).fork();
    first.named("same").key_by(|n| *n).partition_by(Ranges::new(vec![2, 1])).count().collect();
    second.named("same").sink(blackhole());
    let _ = pipeline.source(channel::<u64>("full", 0)).filter(|_| true);
    let problems = refused(pipeline);
    assert_eq!(problems.len(), 5, "{problems:?}");
    for word in ["the source refuses", "capacity", "bounds", "leads to no sink", "`same`"] {
        assert!(problems.iter().any(|problem| problem.contains(word)), "{word}: {problems:?}");
    }
    assert_eq!(opened.load(Ordering::SeqCst), 0);
}

#[test]
fn missing_file_is_told_before_the_start() {
    let pipeline = Pipeline::new("missing");
    pipeline.source(csv_file::<(String, u64)>("no/such/file.csv")).sink(blackhole());
    let error = engine(2).start(pipeline).err().expect("there is no such file");
    assert_eq!(error.kind(), ErrorKind::NoInput, "{error}");
    assert!(error.to_string().contains("no/such/file.csv"), "{error}");
}

#[test]
fn lanes_beyond_the_memory_limit_are_refused_with_the_product() {
    let config = Config::builder()
        .partitions(2)
        .lane_capacity(1 << 40)
        .memory_limit_bytes(1 << 30)
        .build()
        .expect("each knob is in its bounds");
    let pipeline = Pipeline::new("memory");
    pipeline.source(iterator(0u64..9)).rebalance().sink(blackhole());
    let error = Engine::new(config).and_then(|engine| engine.run(pipeline)).expect_err("too much");
    for word in ["lane_capacity", "2 * 2 partitions", "1099511627776 batches", "1GiB"] {
        assert!(error.to_string().contains(word), "{word:?} is missing in {error}");
    }
}
