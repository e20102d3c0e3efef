//! What the control plane tells a subscriber: start, end, failure, panic, and what was not to be
//! had.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, OnceLock, mpsc};

use millstream::config::{Idle, Pin};
use millstream::connector::{blackhole, iterator};
use millstream::exchange::wake::wake_pair;
use millstream::metrics::{Detail, JobShape, Registry};
use millstream::prelude::*;
use millstream::runtime::{Ladder, Partition, PartitionSeed, SystemThread};
use millstream::time::MonotonicClock;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// An event as text: its level, its message, its fields.
#[derive(Clone, Debug, Default)]
struct Told(String);

impl Visit for Told {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0 += &match field.name() {
            "message" => format!(" {value:?};"),
            name => format!(" {name}={value:?};"),
        };
    }
}

/// Keeps every event of this process.
#[derive(Clone, Default)]
struct Listener {
    told: Arc<Mutex<Vec<Told>>>,
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("millstream")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut told = Told(event.metadata().level().to_string());
        event.record(&mut told);
        self.told.lock().expect("no test panics with it").push(told);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The listener of all tests here: partitions tell from threads of their own, so it is the
/// process's.
fn listener() -> &'static Listener {
    static LISTENER: OnceLock<Listener> = OnceLock::new();
    LISTENER.get_or_init(|| {
        let listener = Listener::default();
        tracing::subscriber::set_global_default(listener.clone()).expect("nobody else listens");
        listener
    })
}

/// What was told so far that has `word` in it, oldest first.
fn told(word: &str) -> Vec<String> {
    let told = listener().told.lock().expect("no test panics with it");
    told.iter().map(|told| told.0.clone()).filter(|text| text.contains(word)).collect()
}

fn engine(partitions: usize) -> Engine {
    let config = Config::builder().partitions(partitions).pin(Pin::Off).build();
    Engine::new(config.expect("the knobs are in their bounds")).expect("no core is asked for")
}

#[test]
fn start_and_end_are_told_with_the_name_of_the_job() {
    listener();
    let pipeline = Pipeline::new("quiet job");
    pipeline.source(iterator(0..100)).sink(blackhole());
    engine(1).run(pipeline).expect("nothing fails");
    let told = told("job=quiet job;");
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("INFO job started;"), "{told:?}");
    assert!(told[0].contains("partitions=1;"), "{told:?}");
    assert!(told[1].starts_with("INFO job ended;"), "{told:?}");
}

#[test]
fn end_of_a_dropped_job_is_told() {
    listener();
    let pipeline = Pipeline::new("dropped job");
    pipeline.source(iterator(0u64..)).sink(blackhole());
    drop(engine(1).start(pipeline).expect("it starts"));
    assert!(told("job=dropped job;").last().is_some_and(|last| last.contains("job ended")));
}

#[test]
fn panic_is_told_with_operator_and_key_and_fails_the_job() {
    listener();
    let pipeline = Pipeline::new("failing job");
    let numbers = pipeline.source(iterator(0u64..)).key_by(|n| n % 10);
    let checked = numbers.emit_at(EmitAt::EachRecord).reduce(|_, n| {
        assert!(n != 4_007, "planted for the listener");
        n
    });
    checked.sink(blackhole());
    let job = engine(2).start(pipeline).expect("it starts");
    let error = job.join().expect_err("it panics");

    let panics = told("panic=planted for the listener;");
    assert_eq!(panics.len(), 1, "{panics:?}");
    assert!(panics[0].starts_with("ERROR operator panicked;"), "{panics:?}");
    assert!(panics[0].contains(" operator=reduce;"), "{panics:?}");
    assert!(panics[0].contains(" key=7;"), "{panics:?}");

    let told = told("job=failing job;");
    let failed = format!("ERROR job failed; job=failing job; error={error};");
    assert_eq!(told.iter().filter(|text| **text == failed).count(), 1, "{told:?}");
    assert!(told.last().is_some_and(|last| last.contains("job ended")), "{told:?}");
}

#[test]
fn warning_of_the_plan_is_told() {
    listener();
    let pipeline = Pipeline::new("crowded job");
    pipeline.source(iterator(0..100)).sink(blackhole());
    let partitions = std::thread::available_parallelism().map_or(1, usize::from) * 2 + 1;
    let report = engine(partitions).run(pipeline).expect("nothing fails");
    let told = told("job=crowded job;");
    assert!(!report.warnings.is_empty(), "more partitions than cores are a warning");
    for warning in &report.warnings {
        let has_it = |text: &&String| text.starts_with("WARN") && text.contains(&**warning);
        assert_eq!(told.iter().filter(has_it).count(), 1, "{warning:?} in {told:?}");
    }
}

#[test]
fn core_that_cannot_be_pinned_is_told_and_the_partition_runs() {
    const NO_CORE: usize = 4_000_000;
    listener();
    let (sleeper, wake) = wake_pair();
    let (ended, end) = mpsc::channel();
    let metrics = Registry::new(JobShape::default(), 1, Detail::Counters).open(0);
    let seed = PartitionSeed {
        make: Box::new(|| Partition::new(0, Vec::new(), metrics, Box::new(MonotonicClock))),
        sleeper,
        wake,
        ladder: Ladder::new(Idle::Park, 0),
        core: Some(NO_CORE),
        on_reply: Box::new(|_, reply| panic!("nothing was ordered: {reply:?}")),
        on_dry: Box::new(|| {}),
        on_exit: Box::new(move |outcome| ended.send(outcome).expect("the test waits")),
    };
    let (_system, _partitions) = SystemThread::start(vec![seed]).expect("there are threads");
    assert!(end.recv().expect("it tells its end").is_ok());
    let told = told("core=4000000;");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("WARN partition could not be pinned"), "{told:?}");
}
