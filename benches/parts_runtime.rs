//! What a partition costs without records: an empty turn, and a round trip through its mailbox.
//!
//! `cargo bench --bench parts_runtime`

#![allow(clippy::disallowed_methods)] // A benchmark starts threads.
#![allow(missing_docs)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use millstream::config::Idle;
use millstream::dataflow::{
    ChainTask, Emit, End, Identity, Input, Meta, Order, Reply, Step, StepContext, Task,
};
use millstream::error::Result;
use millstream::exchange::lane::lane;
use millstream::exchange::wake::wake_pair;
use millstream::exchange::{Gate, Mark};
use millstream::metrics::{Blocked, Detail, JobShape, PartitionMetrics, Registry, TaskShape};
use millstream::runtime::{
    Control, Ladder, Partition, PartitionHandle, PartitionSeed, SystemThread, host,
};
use millstream::time::watermark::Progress;
use millstream::time::{MonotonicClock, Nanos};

fn metrics(tasks: usize) -> PartitionMetrics {
    let tasks = vec![TaskShape::default(); tasks];
    Registry::new(JobShape { tasks, edges: Vec::new() }, 1, Detail::Full).open(0)
}

fn partition(tasks: Vec<Box<dyn Task>>) -> Partition {
    let metrics = metrics(tasks.len());
    let named = tasks.into_iter().map(|task| ("task".to_owned(), task)).collect();
    Partition::new(0, named, metrics, Box::new(MonotonicClock))
}

/// The end of a task that no record reaches.
struct Nowhere;

impl Emit<u64> for Nowhere {
    fn push(&mut self, _: u64, _: Meta) {}

    fn is_open(&self) -> bool {
        true
    }
}

impl End<u64> for Nowhere {
    fn mark(&mut self, _: Mark) {}

    fn is_marking(&self) -> bool {
        false
    }

    fn begin_slice(&mut self, _: Nanos, _: Nanos) {}

    fn end_slice(&mut self, _: &mut StepContext<'_>) -> Result<()> {
        Ok(())
    }

    fn tell(&mut self, _: Progress) {}

    fn retry(&mut self, _: &mut StepContext<'_>) -> Result<bool> {
        Ok(true)
    }

    fn settle(&mut self, _: Nanos) -> bool {
        false
    }

    fn finish(&mut self, _: &mut StepContext<'_>) -> Result<bool> {
        Ok(true)
    }

    fn wake_at(&self) -> Option<Nanos> {
        None
    }

    fn sent(&self) -> (u64, u64) {
        (0, 0)
    }

    fn sent_over(&self, _: usize) -> u64 {
        0
    }

    fn blocked(&self) -> Blocked {
        Blocked::Outside
    }
}

/// A turn that finds nothing: each task asks its gate, which has a lane from each of 2 partitions.
fn empty_turn(c: &mut Criterion) {
    let mut group = c.benchmark_group("runtime/empty_turn");
    for tasks in [1, 4] {
        let mut senders = Vec::new();
        let mut waiting = || -> Box<dyn Task> {
            let (from, lanes): (Vec<_>, Vec<_>) = (0..2).map(|_| lane(8, None, None)).unzip();
            senders.extend(from);
            let input = Input::lanes(Gate::new(lanes));
            Box::new(ChainTask::new(input, Identity::<u64>::new(), Nowhere))
        };
        let mut partition = partition((0..tasks).map(|_| waiting()).collect());
        group.bench_function(BenchmarkId::from_parameter(tasks), |b| {
            b.iter(|| partition.turn().expect("nothing fails"));
        });
    }
    group.finish();
}

/// A task without work, which answers what its partition is told.
struct Answering {
    answers: Arc<AtomicU64>,
}

impl Task for Answering {
    fn step(&mut self, _: &mut StepContext<'_>) -> Result<Step> {
        Ok(Step::default())
    }

    fn drain(&mut self) {
        // Relaxed: the count publishes nothing but itself.
        self.answers.fetch_add(1, Ordering::Relaxed);
    }

    fn tell(&mut self, _: &Order) -> Option<Reply> {
        None
    }
}

/// A partition on a thread of its own that idles as `idle` says, pinned where that is allowed.
fn start(idle: Idle, answers: Arc<AtomicU64>) -> (SystemThread, PartitionHandle) {
    let machine = host::machine();
    let (sleeper, wake) = wake_pair();
    let seed = PartitionSeed {
        make: Box::new(|| partition(vec![Box::new(Answering { answers })])),
        sleeper,
        wake,
        ladder: Ladder::new(idle, 0),
        core: machine.allowed.last().copied().filter(|_| machine.may_pin),
        on_exit: Box::new(|outcome| outcome.expect("nothing fails")),
        on_reply: Box::new(|_, _| {}),
        on_dry: Box::new(|| {}),
    };
    let (system, mut handles) = SystemThread::start(vec![seed]).expect("there are threads");
    (system, handles.remove(0))
}

/// From telling a partition to its answer. One that spins looks at its mailbox every 200 µs; one
/// that sleeps is woken.
fn mailbox(c: &mut Criterion) {
    let mut group = c.benchmark_group("runtime/mailbox_round_trip");
    for (name, idle) in [("spinning", Idle::Spin), ("parked", Idle::Park)] {
        let answers = Arc::new(AtomicU64::new(0));
        let (mut system, partition) = start(idle, Arc::clone(&answers));
        group.bench_function(name, |b| {
            b.iter(|| {
                let before = answers.load(Ordering::Relaxed);
                assert!(partition.tell(Control::Drain), "the mailbox is empty");
                while answers.load(Ordering::Relaxed) == before {
                    // The partition may share this core.
                    thread::yield_now();
                }
            });
        });
        assert!(partition.tell(Control::Stop), "the mailbox is empty");
        system.stop();
    }
    group.finish();
}

criterion_group!(benches, empty_turn, mailbox);
criterion_main!(benches);
