//! timely dataflow: exchange by key, count in a table; and the same behind a local table.

use std::cell::Cell;
use std::hash::BuildHasher;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use foldhash::fast::FixedState;
use millstream::connector::generator::{BenchInput, Recipe, mix64};
use rustc_hash::FxBuildHasher;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::generic::{Operator, OutputBuilderSession};
use timely::dataflow::operators::{Input, Probe};
use timely::dataflow::{InputHandle, ProbeHandle, StreamVec};
use timely::progress::frontier::MutableAntichain;
use timely::worker::{ProgressMode, Worker};
use timely::{CommunicationConfig, Config, WorkerConfig};

use crate::case::Case;
use crate::cores;
use crate::feed::{Feed, Line, Record};
use crate::options::{Options, Table, checksum, count, merge};
use crate::work::{Pass, Work};

/// A key's partial result: key, count, sum.
type Partial = (u64, u64, u64);
/// The output of an operator that has none.
pub type NoOutput<'a> = OutputBuilderSession<'a, u64, CapacityContainerBuilder<Vec<()>>>;
/// The checksum of a worker, once its input is over.
pub type Answer = Rc<Cell<Option<u64>>>;

/// Counts behind an exchange.
pub fn run(work: &Work<'_>) -> Pass {
    match work.options {
        options if options.is("hash", "fold") => run_with::<FixedState>(work, false),
        _ => run_with::<FxBuildHasher>(work, false),
    }
}

/// Counts in a local table, exchanges its content at the end, adds up.
pub fn run_pre_aggregating(work: &Work<'_>) -> Pass {
    match work.options {
        options if options.is("hash", "fold") => run_with::<FixedState>(work, true),
        _ => run_with::<FxBuildHasher>(work, true),
    }
}

/// Workers busy-step, exchange typed containers without serialising them, and use as many threads
/// as there are cores.
pub fn config(workers: usize, options: Options<'_>) -> Config {
    let mode = match options {
        options if options.is("progress", "eager") => ProgressMode::Eager,
        _ => ProgressMode::Demand,
    };
    Config {
        communication: CommunicationConfig::Process(workers),
        worker: WorkerConfig::default().progress_mode(mode),
    }
}

/// How a key is routed; timely takes the low bits.
pub fn route(options: Options<'_>) -> fn(&u64) -> u64 {
    if options.is("route", "hash") { |&key| mix64(key) } else { |&key| key }
}

/// What the workers share.
struct Job {
    case: Case,
    input: BenchInput,
    cores: Vec<usize>,
    options: String,
    line: Line,
}

fn run_with<S: BuildHasher + Default + 'static>(work: &Work<'_>, is_local_first: bool) -> Pass {
    let job = Arc::new(Job {
        case: *work.case,
        input: work.input.clone(),
        cores: work.cores.to_vec(),
        options: work.options.0.to_owned(),
        line: Line::new(work.cores.len()),
    });
    let config = config(work.cores.len(), work.options);
    let guards = timely::execute(config, {
        let job = Arc::clone(&job);
        move |worker| run_worker::<S>(worker, &job, is_local_first)
    })
    .expect("this configuration needs no network");
    let results: Vec<(Instant, u64)> =
        guards.join().into_iter().map(|result| result.expect("no worker panicked")).collect();
    let end = results.iter().map(|result| result.0).max().expect("there is a worker");
    let checksum = results.iter().fold(0, |sum: u64, result| sum.wrapping_add(result.1));
    Pass { seconds: job.line.seconds_until(end), checksum }
}

fn run_worker<S>(worker: &mut Worker, job: &Job, is_local_first: bool) -> (Instant, u64)
where
    S: BuildHasher + Default + 'static,
{
    let options = Options(&job.options);
    let start = Start { core: job.cores[worker.index()], line: &job.line, options };
    let feed = Feed::new(&job.case, &job.input, worker.index(), worker.peers());
    let route = route(options);
    drive(worker, &start, feed, |records, answer| match is_local_first {
        true => merged::<S>(counted_locally::<S>(records), answer, route),
        false => counted::<S>(records, answer, route),
    })
}

/// How a worker starts.
pub struct Start<'a> {
    /// Where it runs.
    pub core: usize,
    /// Where it waits for the others.
    pub line: &'a Line,
    /// Of the contender.
    pub options: Options<'a>,
}

/// Puts `feed` into the dataflow that `build` makes, and steps until there is an answer.
pub fn drive<R, F>(
    worker: &mut Worker,
    start: &Start<'_>,
    mut feed: Feed<R>,
    build: F,
) -> (Instant, u64)
where
    R: Recipe<Item = Record>,
    F: for<'s> FnOnce(StreamVec<'s, u64, Record>, Answer) -> StreamVec<'s, u64, ()>,
{
    cores::pin(start.core);
    let options = start.options;
    let mut input = InputHandle::new();
    let probe = ProbeHandle::new();
    let answer = Answer::default();
    worker.dataflow(|scope| {
        let records = scope.input_from(&mut input);
        build(records, answer.clone()).probe_with(&probe);
    });
    let epoch_records = options.number("epoch", 16384);
    let lag = options.number("lag", 1) as u64;
    let mut driver = Driver { worker, input, probe, lag, buffer: Vec::new() };
    driver.drive(|out| feed.fill_warm(epoch_records, out));
    driver.settle();
    start.line.arrive();
    while !start.line.is_open() {
        driver.worker.step();
    }
    driver.drive(|out| feed.fill(epoch_records, out));
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
    input: InputHandle<u64, CapacityContainerBuilder<Vec<Record>>>,
    probe: ProbeHandle<u64>,
    lag: u64,
    buffer: Vec<Record>,
}

impl Driver<'_> {
    fn drive(&mut self, mut fill: impl FnMut(&mut Vec<Record>) -> usize) {
        loop {
            self.buffer.clear();
            if fill(&mut self.buffer) == 0 {
                return;
            }
            self.input.send_batch(&mut self.buffer);
            let epoch = self.input.time() + 1;
            self.input.advance_to(epoch);
            self.worker.step();
            while self.probe.less_than(&epoch.saturating_sub(self.lag)) {
                self.worker.step();
            }
        }
    }

    /// Steps until every record so far, of all workers, was counted.
    fn settle(&mut self) {
        let epoch = self.input.time() + 1;
        self.input.advance_to(epoch);
        while self.probe.less_than(&epoch) {
            self.worker.step();
        }
    }
}

fn counted<'scope, S: BuildHasher + Default + 'static>(
    records: StreamVec<'scope, u64, Record>,
    answer: Answer,
    route: fn(&u64) -> u64,
) -> StreamVec<'scope, u64, ()> {
    let exchange = Exchange::new(move |record: &Record| route(&record.0));
    records.unary_frontier(exchange, "Count", |_, _| {
        let mut table = Table::<S>::default();
        move |(input, frontier), _output: &mut NoOutput<'_>| {
            input.for_each_time(|_, batches| {
                for batch in batches {
                    batch.drain(..).for_each(|(key, value)| count(&mut table, key, value));
                }
            });
            answer_at_end(frontier, &answer, &table);
        }
    })
}

fn counted_locally<S: BuildHasher + Default + 'static>(
    records: StreamVec<'_, u64, Record>,
) -> StreamVec<'_, u64, Partial> {
    records.unary_frontier(Pipeline, "CountLocally", |capability, _| {
        let mut capability = Some(capability);
        let mut table = Table::<S>::default();
        move |(input, frontier), output| {
            input.for_each_time(|_, batches| {
                for batch in batches {
                    batch.drain(..).for_each(|(key, value)| count(&mut table, key, value));
                }
            });
            if let (Some(capability), Some(time)) = (&mut capability, frontier.frontier().first()) {
                capability.downgrade(time);
            } else if let Some(capability) = capability.take() {
                let partials = std::mem::take(&mut table).into_iter();
                output
                    .session(&capability)
                    .give_iterator(partials.map(|(key, (count, sum))| (key, count, sum)));
            }
        }
    })
}

fn merged<'scope, S: BuildHasher + Default + 'static>(
    partials: StreamVec<'scope, u64, Partial>,
    answer: Answer,
    route: fn(&u64) -> u64,
) -> StreamVec<'scope, u64, ()> {
    let exchange = Exchange::new(move |partial: &Partial| route(&partial.0));
    partials.unary_frontier(exchange, "Merge", |_, _| {
        let mut table = Table::<S>::default();
        move |(input, frontier), _output: &mut NoOutput<'_>| {
            input.for_each_time(|_, batches| {
                for (key, count, sum) in batches.flat_map(|batch| batch.drain(..)) {
                    merge(&mut table, key, (count, sum));
                }
            });
            answer_at_end(frontier, &answer, &table);
        }
    })
}

/// Sets the answer when all records have come.
pub fn answer_at_end<S>(frontier: &MutableAntichain<u64>, answer: &Answer, table: &Table<S>) {
    if frontier.is_empty() && answer.get().is_none() {
        answer.set(Some(checksum(table)));
    }
}
