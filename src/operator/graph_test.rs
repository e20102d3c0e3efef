//! Runs a small graph on one thread, for the tests beside operators that cut the chain.

use std::sync::{Arc, Mutex};

use crate::config::Config;
use crate::dataflow::{
    BuildContext, Collector, Emit, Pipeline, Polled, Sink, SinkConnector, Source, SourceConnector,
    Stages, StepContext, TaskContext,
};
use crate::error::Result;
use crate::exchange::wake::wake_pair;
use crate::exchange::{EdgeConfig, Seat};
use crate::metrics::{Detail, JobShape, Registry, TaskShape};
use crate::record::Batch;
use crate::time::{ManualClock, Nanos, Timestamp};

/// A source whose records are all on partition 0.
pub(super) struct OnFirst<T>(pub(super) Vec<T>);

impl<T: Send + 'static> SourceConnector for OnFirst<T> {
    type Item = T;
    type Source = Listed<T>;

    fn name(&self) -> String {
        "listed".to_owned()
    }

    fn is_bounded(&self) -> bool {
        true
    }

    fn open(&mut self, context: &TaskContext) -> Result<Listed<T>> {
        let own = if context.partition == 0 { std::mem::take(&mut self.0) } else { Vec::new() };
        Ok(Listed(own.into_iter()))
    }
}

/// One partition's share of an [`OnFirst`].
pub(super) struct Listed<T>(std::vec::IntoIter<T>);

impl<T: Send + 'static> Source for Listed<T> {
    type Item = T;

    fn poll<E: Emit<T>>(
        &mut self,
        max: usize,
        _: Nanos,
        out: &mut Collector<'_, E>,
    ) -> Result<Polled> {
        let emitted = out.emit_all(self.0.by_ref().take(max));
        Ok(if emitted == 0 { Polled::Done } else { Polled::Ready })
    }
}

/// Keeps which partition each record came to, in order.
pub(super) struct Landed<T>(Arc<Mutex<Vec<(usize, T)>>>);

impl<T> Landed<T> {
    pub(super) fn new() -> Self {
        Landed(Arc::default())
    }

    /// The sink that the records are to come to.
    pub(super) fn sink(&self) -> Landing<T> {
        Landing { partition: 0, landed: Arc::clone(&self.0) }
    }

    /// (partition, record), in the order in which they came.
    pub(super) fn take(self) -> Vec<(usize, T)> {
        std::mem::take(&mut *self.0.lock().expect("no test panics with it"))
    }
}

/// Made by [`Landed::sink`]: the connector, and each partition's end of it.
pub(super) struct Landing<T> {
    partition: usize,
    landed: Arc<Mutex<Vec<(usize, T)>>>,
}

impl<T: Send + 'static> SinkConnector for Landing<T> {
    type Item = T;
    type Sink = Landing<T>;

    fn name(&self) -> String {
        "landing".to_owned()
    }

    fn open(&mut self, context: &TaskContext) -> Result<Landing<T>> {
        Ok(Landing { partition: context.partition, landed: Arc::clone(&self.landed) })
    }
}

impl<T: Send + 'static> Sink for Landing<T> {
    type Item = T;

    fn write(&mut self, batch: &mut Batch<T>, _: Nanos) -> Result<()> {
        let placed = batch.records.drain(..).map(|record| (self.partition, record));
        self.landed.lock().expect("no test panics with it").extend(placed);
        Ok(())
    }
}

/// Runs `pipeline` to its end: lanes hold one batch of one record, so every task is refused often.
pub(super) fn run(pipeline: Pipeline, partitions: usize) {
    const ROUNDS_MAX: usize = 100_000;
    let (_, draft) = pipeline.into_draft();
    let mut draft = draft.borrow_mut();
    assert!(draft.check().is_empty(), "the graph is right");
    let seats: Vec<Seat> = (0..partitions).map(|host| Seat { host, wake: wake_pair().1 }).collect();
    let edge =
        EdgeConfig { lane_batches: 1, batch_records: Some(1), linger: 0, parcels: 1, staged: 8 };
    let config = Config::default();
    let domains = draft.domains(partitions, &[]);
    let stages = Stages::of(&draft.graph, partitions);
    let (mut tasks, mut shapes) = (Vec::new(), Vec::new());
    for (partition, seat) in seats.iter().enumerate() {
        let task = &TaskContext::new(partition, partitions, seat.wake.clone());
        let (seats, edge, config) = (&*seats, &edge, &config);
        let (layout, watermark, domains) = (0, Timestamp::MIN, &*domains);
        for (index, make) in draft.factories.iter_mut().enumerate() {
            let places = &*stages.places(index, partition);
            let context = BuildContext {
                task,
                seats,
                partitions,
                layout,
                watermark,
                edge,
                domains,
                places,
                config,
            };
            tasks.push(make(&context, None).expect("it opens"));
        }
        shapes.extend(draft.graph.tasks.iter().map(|node| TaskShape {
            name: node.name.clone(),
            inputs: node.inputs.clone(),
            outputs: node.outputs.clone(),
        }));
    }
    // All tasks count as those of one partition: nobody reads the figures.
    let shape = JobShape { tasks: shapes, edges: Vec::new() };
    let mut metrics = Registry::new(shape, 1, Detail::Counters).open(0);
    let clock = ManualClock::default();
    let mut round = || {
        let mut is_done = true;
        for (index, task) in tasks.iter_mut().enumerate() {
            let metrics = metrics.task(index);
            let replies = &mut Vec::new();
            let mut step = StepContext { now: 1, clock: &clock, metrics, batches_max: 1, replies };
            is_done &= task.step(&mut step).expect("nothing fails").done;
        }
        is_done
    };
    assert!((0..ROUNDS_MAX).any(|_| round()), "the graph comes to its end");
}
