//! timely dataflow, open loop: busy-stepping workers, epochs of 10 µs.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use hdrhistogram::Histogram;
use millstream::connector::generator::{BenchInput, Dealt};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::generic::{Operator, OutputBuilderSession};
use timely::dataflow::operators::{Input, Probe};
use timely::dataflow::{InputHandle, ProbeHandle, StreamVec};
use timely::worker::Worker;

use crate::cores;
use crate::feed::{Line, Record};
use crate::latency::{Latencies, Offer, WARM_UP_SECONDS, histogram};
use crate::options::{Options, Table};
use crate::timely_peer::{config, route};

/// Key, value, and when it should have been sent, in nanoseconds since the start.
type Timed = (u64, u64, u64);
type Output<'a> = OutputBuilderSession<'a, u64, CapacityContainerBuilder<Vec<Record>>>;

/// Counts records as they are due and takes the time until each is counted.
pub fn run(offer: &Offer<'_>) -> Latencies {
    let job = Arc::new(Job {
        input: offer.input.clone(),
        cores: offer.cores.to_vec(),
        records: offer.records_per_worker(),
        interval_ns: offer.interval_ns(),
        options: offer.options.0.to_owned(),
        line: Line::new(offer.cores.len()),
    });
    let config = config(offer.cores.len(), offer.options);
    let guards = timely::execute(config, {
        let job = Arc::clone(&job);
        move |worker| run_worker(worker, &job)
    })
    .expect("this configuration needs no network");
    let mut all = histogram();
    let mut end = None;
    for result in guards.join() {
        let (one, ended) = result.expect("no worker panicked");
        all.add(one).expect("the histograms are alike");
        end = end.max(Some(ended));
    }
    let end = end.expect("there is a worker");
    Latencies { histogram: all, seconds: job.line.seconds_until(end) }
}

struct Job {
    input: BenchInput,
    cores: Vec<usize>,
    /// Of one worker.
    records: u64,
    interval_ns: u64,
    options: String,
    line: Line,
}

fn run_worker(worker: &mut Worker, job: &Job) -> (Histogram<u64>, Instant) {
    cores::pin(job.cores[worker.index()]);
    let options = Options(&job.options);
    let mut input = InputHandle::new();
    let probe = ProbeHandle::new();
    let meter = Meter { start: Cell::new(Instant::now()), latencies: RefCell::new(histogram()) };
    let meter = Rc::new(meter);
    worker.dataflow(|scope| {
        let records = scope.input_from(&mut input);
        counted(records, route(options), Rc::clone(&meter)).probe_with(&probe);
    });
    job.line.arrive();
    while !job.line.is_open() {
        worker.step();
    }
    meter.start.set(job.line.started());
    let mut schedule = Schedule {
        dealt: job.input.partition(worker.index(), worker.peers(), None),
        interval_ns: job.interval_ns,
        sent: 0,
        records: job.records,
    };
    let epoch_ns = options.number("epoch_ns", 10_000) as u64;
    let mut buffer = Vec::new();
    while schedule.sent < schedule.records {
        let now_ns = job.line.started().elapsed().as_nanos() as u64;
        let epoch = now_ns / epoch_ns;
        if epoch > *input.time() {
            schedule.fill(epoch * epoch_ns, &mut buffer);
            input.send_batch(&mut buffer);
            buffer.clear();
            input.advance_to(epoch);
        }
        worker.step();
    }
    input.close();
    while !probe.done() {
        worker.step();
    }
    (meter.latencies.replace(histogram()), Instant::now())
}

/// Which records are due when.
struct Schedule {
    dealt: Dealt<BenchInput>,
    interval_ns: u64,
    sent: u64,
    records: u64,
}

impl Schedule {
    /// Appends the records that are due before `until_ns` and were not sent yet.
    fn fill(&mut self, until_ns: u64, out: &mut Vec<Timed>) {
        let end = until_ns.div_ceil(self.interval_ns).min(self.records);
        let mut records = Vec::with_capacity(64);
        self.dealt.fill(end.saturating_sub(self.sent) as usize, &mut records);
        for (key, value) in records {
            out.push((key, value, self.sent * self.interval_ns));
            self.sent += 1;
        }
    }
}

/// Takes the time of what one worker counted.
struct Meter {
    start: Cell<Instant>,
    latencies: RefCell<Histogram<u64>>,
}

impl Meter {
    fn record(&self, due_ns: impl Iterator<Item = u64>) {
        const WARM_UP_NS: u64 = (WARM_UP_SECONDS * 1e9) as u64;
        let now_ns = self.start.get().elapsed().as_nanos() as u64;
        let mut latencies = self.latencies.borrow_mut();
        for due_ns in due_ns.filter(|&due_ns| due_ns >= WARM_UP_NS) {
            latencies.saturating_record(now_ns.saturating_sub(due_ns).max(1));
        }
    }
}

fn counted<'scope>(
    records: StreamVec<'scope, u64, Timed>,
    route: fn(&u64) -> u64,
    meter: Rc<Meter>,
) -> StreamVec<'scope, u64, Record> {
    let exchange = Exchange::new(move |record: &Timed| route(&record.0));
    records.unary(exchange, "Count", |_, _| {
        let mut table = Table::<rustc_hash::FxBuildHasher>::default();
        move |input, output: &mut Output<'_>| {
            input.for_each_time(|time, batches| {
                for batch in batches {
                    let update = |record: &Timed| updated(&mut table, record);
                    output.session(&time).give_iterator(batch.iter().map(update));
                    meter.record(batch.drain(..).map(|record| record.2));
                }
            });
        }
    })
}

/// Counts one record and returns the key with its sum so far.
fn updated(table: &mut Table<rustc_hash::FxBuildHasher>, record: &Timed) -> Record {
    let state = table.entry(record.0).or_insert((0, 0));
    *state = (state.0 + 1, state.1 + record.1);
    (record.0, state.1)
}
