//! timely dataflow: its timestamps are event time in milliseconds, its frontier is the watermark.

mod operators;
mod queries;

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use millstream::connector::nexmark::Event;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::operators::Input;
use timely::dataflow::{InputHandle, ProbeHandle};
use timely::worker::Worker;

use crate::cores;
use crate::feed::Line;
use crate::nexmark::events::Events;
use crate::nexmark::{Entry, Job};
use crate::options::Options;
use crate::timely_peer::config;
use crate::work::Pass;

/// How it takes part.
pub const ENTRY: Entry = Entry { shapes: |_| &["epoch=4096", "epoch=16384"], run };

/// The checksum of a worker's rows, once it has them all.
type Answer = Rc<Cell<Option<u64>>>;

/// What the workers share.
struct Shared {
    query: usize,
    events: Arc<Events>,
    cores: Vec<usize>,
    options: String,
    line: Arc<Line>,
}

fn run(job: &Job<'_>) -> Pass {
    let shared = Arc::new(Shared {
        query: job.query,
        events: Arc::clone(job.events),
        cores: job.cores.to_vec(),
        options: job.options.0.to_owned(),
        line: job.line(),
    });
    let guards = timely::execute(config(job.cores.len(), job.options), {
        let shared = Arc::clone(&shared);
        move |worker| run_worker(worker, &shared)
    })
    .expect("this configuration needs no network");
    let results: Vec<(Instant, u64)> =
        guards.join().into_iter().map(|result| result.expect("no worker panicked")).collect();
    let end = results.iter().map(|result| result.0).max().expect("there is a worker");
    let checksum = results.iter().fold(0, |sum: u64, result| sum.wrapping_add(result.1));
    Pass { seconds: shared.line.seconds_until(end), checksum }
}

fn run_worker(worker: &mut Worker, shared: &Shared) -> (Instant, u64) {
    cores::pin(shared.cores[worker.index()]);
    let options = Options(&shared.options);
    let events = shared.events.of(worker.index());
    let mut input = InputHandle::new();
    let probe = ProbeHandle::new();
    let answer = Answer::default();
    worker.dataflow(|scope| {
        let events = scope.input_from(&mut input);
        queries::build(shared.query, events, answer.clone(), &probe);
    });
    shared.line.arrive();
    while !shared.line.is_open() {
        worker.step();
    }
    let mut driver = Driver { worker, input, probe, buffer: Vec::new() };
    driver.drive(events, options);
    let Driver { worker, input, .. } = driver;
    input.close();
    while answer.get().is_none() {
        worker.step();
    }
    (Instant::now(), answer.get().expect("the loop waited for it"))
}

/// Puts epochs in and keeps their number in flight down: timely itself has no back-pressure.
struct Driver<'a> {
    worker: &'a mut Worker,
    input: InputHandle<u64, CapacityContainerBuilder<Vec<Event>>>,
    probe: ProbeHandle<u64>,
    buffer: Vec<Event>,
}

impl Driver<'_> {
    fn drive(&mut self, events: &[Event], options: Options<'_>) {
        let lag = options.number("lag", 1);
        let batch = options.number("batch", 4096);
        let mut starts = VecDeque::new();
        for epoch in events.chunks(options.number("epoch", 16384)) {
            let start = epoch[0].time().as_millis() as u64;
            self.input.advance_to(start);
            starts.push_back(start);
            if starts.len() > lag {
                self.settle(starts.pop_front().expect("there are more than `lag`"));
            }
            for batch in epoch.chunks(batch) {
                self.buffer.clear();
                self.buffer.extend_from_slice(batch);
                self.input.send_batch(&mut self.buffer);
                self.worker.step();
            }
        }
    }

    /// Steps until all that is earlier than `time`, of all workers, has gone through.
    fn settle(&mut self, time: u64) {
        while self.probe.less_than(&time) {
            self.worker.step();
        }
    }
}
