//! What panics fails its job, by name and with its key, and nothing else.

use std::sync::mpsc::channel;

use millstream::config::Pin;
use millstream::connector::{blackhole, collection, for_each, iterator};
use millstream::dataflow::{
    Chain, Collector, Emit, KeyContext, KeyedOperator, Operator, Polled, Sink, SinkConnector,
    Source, SourceConnector, TaskContext,
};
use millstream::prelude::*;
use millstream::record::{Batch, Never};

use crate::engine;

/// Runs a stream that starts from `0..` (an endless source, so that only the failure can end it)
/// and asserts that it fails with all of `words`.
fn fails<C: Chain>(build: impl Fn(BoxedStream<u64>) -> DataStream<C>, words: &[&str]) {
    for partitions in [1, 3] {
        let pipeline = Pipeline::new("fails");
        build(pipeline.source(iterator(0u64..)).rebalance()).sink(blackhole());
        assert_failure(engine(partitions).run(pipeline).expect_err("it panics"), words);
    }
}

fn assert_failure(error: Error, words: &[&str]) {
    assert_eq!(error.kind(), ErrorKind::JobFailed, "{error}");
    assert_eq!(error.kind().exit_code(), 70);
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "{word:?} is missing in {text:?}");
    }
    assert_eq!(text.lines().count(), 1, "{text:?}");
}

#[test]
fn map_is_named() {
    let explode = |number: u64| if number == 5_000 { panic!("no {number}") } else { number };
    fails(|stream| stream.map(explode), &["operator `map`", "no 5000"]);
}

#[test]
fn filter_is_named() {
    let explode = |number: &u64| if *number == 100 { panic!("planted") } else { true };
    fails(|stream| stream.filter(explode).map(|n| n), &["operator `filter`", "planted"]);
}

#[test]
fn the_operator_in_the_middle_of_a_chain_is_the_one_that_is_named() {
    let explode = |number: &u64| assert!(*number < 1_000, "planted");
    fails(|stream| stream.map(|n| n).inspect(explode).map(|n| n), &["operator `inspect`"]);
}

#[test]
fn aggregate_is_named_with_its_key() {
    fails(
        |stream| {
            let keyed = stream.key_by(|number| format!("k{}", number % 10));
            keyed.emit_at(EmitAt::EachRecord).sum(|number| {
                assert!(*number != 4_003, "planted");
                *number
            })
        },
        &["operator `aggregate`", "at key \"k3\"", "planted"],
    );
}

#[test]
fn reduce_is_named_with_its_key() {
    fails(
        |stream| {
            let keyed = stream.key_by(|number| number % 10).emit_at(EmitAt::EachRecord);
            keyed.reduce(|_, next| if next == 4_007 { panic!("planted") } else { next })
        },
        &["operator `reduce`", "at key 7", "planted"],
    );
}

/// Emits every record, until one is 2,000.
#[derive(Clone)]
struct Fuse;

impl KeyedOperator<u64, u64> for Fuse {
    type Out = u64;
    type State = u64;
    type Partial = Never;
    const NAME: &'static str = "fuse";

    fn on_record<E: Emit<u64>>(
        &mut self,
        record: u64,
        seen: &mut u64,
        context: &mut KeyContext<'_, u64, E>,
    ) {
        *seen += 1;
        assert!(record != 2_000, "blown after {seen}");
        context.emit(record);
    }

    fn on_partial<E: Emit<u64>>(
        &mut self,
        partial: Never,
        _: &mut u64,
        _: &mut KeyContext<'_, u64, E>,
    ) {
        match partial {}
    }
}

#[test]
fn keyed_operator_of_the_user_is_named_with_its_key() {
    let words = ["operator `fuse`", "at key 0", "blown after "];
    fails(|stream| stream.key_by(|number| number % 5).apply_keyed(Fuse), &words);
}

#[derive(Clone)]
struct Brittle;

impl Operator<u64> for Brittle {
    type Out = u64;
    const NAME: &'static str = "brittle";

    fn on_record<E: Emit<u64>>(&mut self, record: u64, out: &mut Collector<'_, E>) {
        assert!(record != 3_000, "broken");
        out.emit(record);
    }
}

#[test]
fn operator_of_the_user_is_named() {
    fails(|stream| stream.apply(Brittle), &["operator `brittle`", "broken"]);
}

#[test]
fn key_function_fails_the_job() {
    let key_of = |number: &u64| if *number == 700 { panic!("planted") } else { *number };
    fails(|stream| stream.key_by(key_of).emit_at(EmitAt::EachRecord).count(), &["planted"]);
}

#[test]
fn at_the_end_of_the_input_the_key_in_hand_is_named() {
    #[derive(Clone)]
    struct Last;
    impl millstream::state::aggregate::Aggregate<u64> for Last {
        type Accumulator = u64;
        type Output = u64;
        fn add(&self, last: &mut u64, record: &u64) {
            *last = *record;
        }
        fn merge(&self, into: &mut u64, from: u64) {
            *into = from;
        }
        fn finish(&self, last: &u64) -> u64 {
            assert!(*last != 42, "planted");
            *last
        }
    }
    let pipeline = Pipeline::new("end");
    let numbers = pipeline.source(iterator(0u64..100));
    numbers.key_by(|number| *number).aggregate(Last).sink(blackhole());
    let error = engine(2).run(pipeline).expect_err("it panics");
    assert_failure(error, &["operator `aggregate`", "at key 42", "planted"]);
}

#[test]
fn sink_closure_fails_the_job_with_its_task() {
    let pipeline = Pipeline::new("sink");
    let stream = pipeline.source(iterator(0u64..)).rebalance();
    stream.named("writer").sink(for_each(|number| assert!(number != 9_000, "planted")));
    assert_failure(engine(2).run(pipeline).expect_err("it panics"), &["`writer`", "planted"]);
}

#[test]
fn sink_closure_is_not_blamed_on_the_operator_before_it() {
    let pipeline = Pipeline::new("sink");
    let stream = pipeline.source(iterator(0u64..)).map(|number| number + 1);
    stream.named("writer").sink(for_each(|number| assert!(number != 9_000, "planted")));
    let error = engine(2).run(pipeline).expect_err("it panics");
    assert_eq!(error.to_string(), "task `writer` panicked: planted");
}

#[test]
fn iterator_fails_the_job_with_its_task() {
    let pipeline = Pipeline::new("source");
    let numbers = (0u64..).inspect(|number| assert!(*number != 9_000, "planted"));
    pipeline.source(iterator(numbers)).named("reader").rebalance().sink(blackhole());
    assert_failure(engine(2).run(pipeline).expect_err("it panics"), &["`reader`", "planted"]);
}

#[test]
fn panic_with_a_value_that_is_no_text_is_told_as_well() {
    let explode = |number: u64| {
        if number == 10 {
            std::panic::panic_any(number)
        }
        number
    };
    fails(|stream| stream.map(explode), &["operator `map`"]);
}

#[test]
fn flat_map_over_its_bound_is_named_with_the_knob() {
    let config = Config::builder().partitions(2).pin(Pin::Off).max_outputs_per_record(10);
    let engine = Engine::new(config.build().expect("in bounds")).expect("no core is asked for");
    for (outputs, fits) in [(10, true), (11, false)] {
        let pipeline = Pipeline::new("many");
        let numbers = pipeline.source(collection(vec![1, outputs]));
        let made = numbers.flat_map(|count| 0..count).collect();
        let outcome = engine.run(pipeline);
        assert_eq!(outcome.is_ok(), fits, "{outcome:?}");
        match outcome {
            Ok(_) => assert_eq!(made.take().len(), 11),
            Err(error) => assert_failure(
                error,
                &["operator `flat_map`", "more than 10 records", "max-outputs-per-record"],
            ),
        }
    }
}

#[test]
fn other_job_of_the_process_goes_on() {
    let healthy = Pipeline::new("healthy");
    let (seen, results) = channel();
    let source = healthy.source(iterator(0u64..)).rebalance();
    source.sink(for_each(move |number| seen.send(number).unwrap_or(())));
    let job = engine(2).start(healthy).expect("it starts");

    fails(|stream| stream.map(|n: u64| if n == 10 { panic!("planted") } else { n }), &["map"]);

    let before = results.try_iter().count();
    assert!(results.recv().is_ok(), "it goes on after {before} records");
    assert!(!job.has_ended());
    job.stop().expect("it has not failed");
}

#[test]
fn failure_before_a_stop_is_still_told() {
    let pipeline = Pipeline::new("late");
    pipeline.source(collection(vec![1])).map(|n: u64| assert!(n != 1)).sink(blackhole());
    let job = engine(2).start(pipeline).expect("it starts");
    while !job.has_ended() {
        std::thread::yield_now();
    }
    assert_failure(job.stop().expect_err("it failed before"), &["operator `map`"]);
}

/// A connector whose source and sink report errors of their own.
struct Refuses {
    at: u64,
}

impl SourceConnector for Refuses {
    type Item = u64;
    type Source = Refuses;

    fn name(&self) -> String {
        "refusing source".to_owned()
    }

    fn open(&mut self, context: &TaskContext) -> Result<Refuses> {
        if self.at == 0 {
            return Err(Error::new(ErrorKind::NoInput, "nothing to read"));
        }
        Ok(Refuses { at: self.at + context.partition as u64 })
    }
}

impl Source for Refuses {
    type Item = u64;

    fn poll<E: Emit<u64>>(
        &mut self,
        _: usize,
        _: u64,
        out: &mut Collector<'_, E>,
    ) -> Result<Polled> {
        self.at -= 1;
        if self.at == 0 {
            return Err(Error::new(ErrorKind::Io, "the disk is gone"));
        }
        out.emit(self.at);
        Ok(Polled::Ready)
    }
}

impl SinkConnector for Refuses {
    type Item = u64;
    type Sink = Refuses;

    fn name(&self) -> String {
        "refusing sink".to_owned()
    }

    fn open(&mut self, _: &TaskContext) -> Result<Refuses> {
        Ok(Refuses { at: self.at })
    }
}

impl Sink for Refuses {
    type Item = u64;

    fn write(&mut self, batch: &mut Batch<u64>, _: u64) -> Result<()> {
        if batch.records.contains(&self.at) {
            return Err(Error::new(ErrorKind::Io, "the pipe is broken"));
        }
        batch.clear();
        Ok(())
    }
}

#[test]
fn error_of_a_source_keeps_its_kind_and_names_the_task() {
    let pipeline = Pipeline::new("source");
    pipeline.source(Refuses { at: 500 }).rebalance().sink(blackhole());
    let error = engine(2).run(pipeline).expect_err("the disk is gone");
    assert_eq!(error.kind(), ErrorKind::Io);
    assert_eq!(error.to_string(), "task `refusing source`: the disk is gone");
}

#[test]
fn error_of_a_sink_keeps_its_kind_and_names_the_task() {
    let pipeline = Pipeline::new("sink");
    pipeline.source(iterator(0u64..)).sink(Refuses { at: 9_999 });
    let error = engine(2).run(pipeline).expect_err("the pipe is broken");
    assert_eq!(error.kind(), ErrorKind::Io);
    assert_eq!(error.to_string(), "task `iterator | refusing sink`: the pipe is broken");
}

#[test]
fn connector_that_cannot_be_opened_refuses_the_start() {
    let pipeline = Pipeline::new("open");
    pipeline.source(Refuses { at: 0 }).sink(blackhole());
    let error = engine(2).start(pipeline).err().expect("nothing to read");
    assert_eq!(error.kind(), ErrorKind::NoInput);
    assert!(error.to_string().contains("nothing to read"), "{error}");
}
