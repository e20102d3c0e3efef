//! timely dataflow: exchange by the hash of the key, work and count in a table.
//!
//! `route=hash` uses another hash, under which the hot keys may happen to be spread.

use std::sync::Arc;
use std::time::Instant;

use millstream::connector::generator::mix64;
use millstream::connector::hot_keys::HotInput;
use millstream::record::hash_key;
use millstream::routing::RoutingTable;
use rustc_hash::FxBuildHasher;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::generic::Operator;
use timely::worker::Worker;

use crate::feed::{Feed, Line, Record};
use crate::hot::toil::Toil;
use crate::hot::{Entry, Job};
use crate::options::{Options, Table, count};
use crate::timely_peer::{Answer, NoOutput, Start, answer_at_end, config, drive};
use crate::work::Pass;

/// How timely takes part.
pub const ENTRY: Entry = Entry { shapes: &["epoch=16384", "epoch=65536"], run };

/// What the workers share.
struct Shared {
    records: u64,
    input: HotInput,
    rounds: u32,
    cores: Vec<usize>,
    options: String,
    line: Line,
}

fn run(job: &Job<'_>) -> Pass {
    let shared = Arc::new(Shared {
        records: job.records,
        input: job.input.clone(),
        rounds: job.rounds,
        cores: job.cores.to_vec(),
        options: job.options.0.to_owned(),
        line: Line::new(job.cores.len()),
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
    let Shared { records, input, rounds, cores, options, line } = shared;
    let (index, workers, options) = (worker.index(), worker.peers(), Options(options));
    let start = Start { core: cores[index], line, options };
    let feed = Feed::hot(*records, input, index, workers);
    let table = RoutingTable::even(workers);
    let is_hashed = options.is("route", "hash");
    let route = move |record: &Record| match is_hashed {
        true => mix64(record.0),
        false => table.owner(hash_key(&record.0)) as u64,
    };
    drive(worker, &start, feed, |records, answer| toiled(records, answer, route, *rounds))
}

fn toiled<'scope>(
    records: StreamVec<'scope, u64, Record>,
    answer: Answer,
    route: impl Fn(&Record) -> u64 + 'static,
    rounds: u32,
) -> StreamVec<'scope, u64, ()> {
    records.unary_frontier(Exchange::new(route), "Toil", |_, _| {
        let mut table = Table::<FxBuildHasher>::default();
        let toil = Toil::new(rounds);
        move |(input, frontier), _output: &mut NoOutput<'_>| {
            input.for_each_time(|_, batches| {
                for (key, value) in batches.flat_map(|batch| batch.drain(..)) {
                    count(&mut table, key, toil.spend(value));
                }
            });
            answer_at_end(frontier, &answer, &table);
        }
    })
}
