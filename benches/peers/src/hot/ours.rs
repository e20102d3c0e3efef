//! Millstream: an aggregate behind `key_by`, nothing folded in front but what the supervisor folds.
//!
//! `rebalance=off` leaves every key where it starts.

use std::sync::Arc;

use millstream::config::PreAggregate;
use millstream::dataflow::Pipeline;
use millstream::state::aggregate::Aggregate;

use crate::feed::{Feed, Line, Record};
use crate::hot::toil::Toil;
use crate::hot::{Entry, Job};
use crate::ours::{ChecksumConnector, FeedConnector, Outcome, config, pass};
use crate::work::Pass;

/// How we take part.
pub const ENTRY: Entry = Entry { shapes: &["", "rebalance=off"], run };

/// Works and counts behind an exchange.
fn run(job: &Job<'_>) -> Pass {
    let line = Arc::new(Line::new(job.cores.len()));
    let outcome = Outcome::default();
    let pipeline = Pipeline::new("hot-key");
    let (records, input) = (job.records, job.input.clone());
    pipeline
        .source(FeedConnector::new(&line, move |worker, workers| {
            Feed::hot(records, &input, worker, workers)
        }))
        .key_by(|record: &Record| record.0)
        .aggregate(Toiling { toil: Toil::new(job.rounds) })
        .sink(ChecksumConnector { outcome: Arc::clone(&outcome) });
    pass(pipeline, config(job.cores, job.options, PreAggregate::Off), &line, &outcome)
}

/// Count and sum, after the work.
#[derive(Clone)]
struct Toiling {
    toil: Toil,
}

impl Aggregate<Record> for Toiling {
    type Accumulator = (u64, u64);
    type Output = (u64, u64);

    #[inline]
    fn add(&self, accumulator: &mut (u64, u64), record: &Record) {
        accumulator.0 += 1;
        accumulator.1 += self.toil.spend(record.1);
    }

    #[inline]
    fn merge(&self, into: &mut (u64, u64), from: (u64, u64)) {
        *into = (into.0 + from.0, into.1 + from.1);
    }

    fn finish(&self, accumulator: &(u64, u64)) -> (u64, u64) {
        *accumulator
    }
}
