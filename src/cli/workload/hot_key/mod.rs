//! `hot-key` and `hot-key-shift`: work on each record, a share of the records on hot keys.
//!
//! The input is that of [`HotInput`]. `checksum` is that of `keyed-count`, whatever the work, the
//! partitions, `--pre-aggregate` and `--rebalance`. At a rate latency counts from when a record
//! should have been sent until it was applied; of records that were combined on the way, the
//! first one's counts for all of them.

mod answer;
mod flags;
mod ledger;
mod order;
mod timeline;
mod toil;
mod work;

use std::ops::Range;
use std::time::Duration;

pub(crate) use flags::{FLAGS, parameters};

use crate::cli::args::Workload;
use crate::cli::options::{Mergeable, Period, Placing, Stages};
use crate::cli::scan::usage;
use crate::cli::workload::feed::Feed;
use crate::cli::workload::hot_key::answer::answer;
use crate::cli::workload::hot_key::ledger::{Found, Keep, Ledger};
use crate::cli::workload::hot_key::order::Watch;
use crate::cli::workload::hot_key::toil::{Alone, Piece, Portion, Row, Telling, Toil};
use crate::cli::workload::hot_key::work::{Work, rounds_of};
use crate::cli::workload::keyed_count::result_line;
use crate::cli::workload::latency::medians;
use crate::cli::workload::meter::Meter;
use crate::cli::workload::write::{Target, indexes};
use crate::cli::workload::{Bench, Limits, Outcome, agree};
use crate::config::parse::Choice;
use crate::connector::generator::{Recipe, generator};
use crate::connector::hot_keys::{Hit, HotInput, HotKeys};
use crate::dataflow::{Collector, Emit, EmitAt, Pipeline};
use crate::engine::Job;
use crate::error::Result;
use crate::exchange::combine::Combiner;
use crate::record::hash_key;
use crate::time::Nanos;

const MINUTE: Duration = Duration::from_secs(60);

/// How old a result gets at most, but for half of it, where records are combined at a rate.
const FRESH: Duration = Duration::from_millis(1);

pub(crate) fn run(workload: Workload, bench: &Bench<'_>) -> Result<Outcome> {
    let load = Load::new(workload, bench)?;
    let dump = Target::open(bench.options.dump.as_deref())?;
    let output = Target::open(bench.options.output.as_deref())?;
    let keep = Keep {
        lasting_ns: lasting(&bench.limits).map(ns),
        warmup_ns: ns(bench.limits.warmup),
        results: output.is_some(),
    };
    let mut all: Vec<(Vec<u64>, Found)> = Vec::new();
    let runs = bench.repeat(|| {
        let meter = Meter::new(bench.partitions());
        let ledger = Ledger::new(keep);
        let pipeline = load.pipeline(workload, bench, &meter, &ledger);
        let mut run = bench.observe_with(pipeline, &meter, |job| load.force_moves(job, bench))?;
        let now = (meter.by_partition(), ledger.take());
        if let Some(delays) = &now.1.delays {
            run.show_latency(&delays.all);
        }
        if let Some((made, found)) = all.last() {
            agree((made, found.totals.checksum), (&now.0, now.1.totals.checksum))?;
        }
        all.push(now);
        Ok(run)
    })?;
    let (made, last) = all.last().expect("there is at least one run");
    if let Some(dump) = dump {
        let rows = indexes(made).map(|index| load.input.record(index));
        let rows = rows.map(|hit| format!("{},{}", hit.key, hit.value));
        dump.write(std::iter::once("key,value".to_owned()).chain(rows))?;
    }
    if let Some(output) = output {
        let mut results = last.totals.results.clone();
        results.sort_unstable();
        output.write(results.into_iter().map(result_line))?;
    }
    let found: Vec<&Found> = all.iter().map(|(_, found)| found).collect();
    let result = answer(bench, &load, made, &found);
    let delays = found.iter().filter_map(|found| found.delays.as_ref());
    let repetitions: Vec<_> = delays.map(|delays| delays.all.percentiles()).collect();
    let latency = (!repetitions.is_empty()).then(|| medians(&repetitions));
    Ok(Outcome { runs, result, latency, ..Outcome::default() })
}

/// What is offered, and what is done about it.
struct Load {
    input: HotInput,
    keys: HotKeys,
    /// Records from one shift to the next.
    period: Option<u64>,
    rounds: u32,
    mergeable: Mergeable,
    stages: Stages,
}

impl Load {
    fn new(workload: Workload, bench: &Bench<'_>) -> Result<Load> {
        let hot = &bench.options.hot;
        if (hot.mergeable, hot.stages) == (Mergeable::Yes, Stages::Two) {
            let both = "--stages 2 and --mergeable yes";
            let hint = "allowed --stages 2 with --mergeable no: a partial has no order";
            return Err(usage("conflicting flags", "millstream bench", both, hint));
        }
        let period = period(workload, bench)?;
        let (count, keys) = (hot.keys as usize, bench.options.keys);
        let keys = match hot.placing {
            Placing::Hashed => HotKeys::first(count, keys),
            Placing::Colocated => HotKeys::colocated(count, keys, bench.partitions()),
        };
        let keys = keys.map_err(|error| {
            usage("too many", "--hot-keys", &count.to_string(), &format!("{error}, see --keys"))
        })?;
        let input = HotInput::new(bench.input()?, keys.clone(), hot.share, period)?;
        let rounds = hot.work_rounds.unwrap_or_else(|| rounds_of(hot.work_ns));
        Ok(Load { input, keys, period, rounds, mergeable: hot.mergeable, stages: hot.stages })
    }

    fn pipeline(
        &self,
        workload: Workload,
        bench: &Bench<'_>,
        meter: &Meter,
        ledger: &Ledger,
    ) -> Pipeline {
        let is_paced = bench.limits.rate.is_some();
        let (telling, emit_at) = match self.stages {
            Stages::One if !is_paced => (Telling::AtEnd, EmitAt::End),
            // What is combined on the way is held for half of this.
            Stages::One | Stages::Two => (Telling::Each, EmitAt::Every(FRESH)),
        };
        let work = Work::new(self.rounds);
        let toil = Toil::new(work.clone(), telling);
        let pipeline = Pipeline::new(workload.name());
        let pieces = pipeline.source(self.feed(bench, meter));
        let keyed = pieces.key_by(|piece: &Piece| piece.key).emit_at(emit_at);
        match (self.mergeable, self.stages) {
            (Mergeable::Yes, _) => {
                let toiled = keyed.exchange(toil, None, move |mode| {
                    let mut work = work.clone();
                    Combiner::new(mode, move |portion: &mut Portion, piece: &Piece| {
                        portion.add(&mut work, piece);
                        None
                    })
                });
                toiled.sink(ledger.clone());
            }
            (Mergeable::No, Stages::One) => keyed.apply_keyed(Alone(toil)).sink(ledger.clone()),
            (Mergeable::No, Stages::Two) => {
                let watch = Watch { sources: bench.partitions() };
                let toiled = keyed.apply_keyed(Alone(toil));
                toiled.key_by(Row::key).apply_keyed(watch).sink(ledger.clone());
            }
        }
        pipeline
    }

    /// Moves the hot keys about in turn, as often as was asked for, until the job has ended.
    fn force_moves(&self, job: &Job, bench: &Bench<'_>) {
        let Some(every) = MINUTE.checked_div(bench.options.hot.force_moves as u32) else { return };
        let hashes: Vec<u64> = self.keys.sets().concat().iter().map(hash_key).collect();
        let mover = job.mover();
        let force = move || {
            let mut turns = hashes.iter().cycle();
            while turns.next().is_some_and(|hash| mover.force(0, *hash)) {
                pause(every);
            }
        };
        // It ends with the job, which is waited for.
        drop(std::thread::Builder::new().name("mill-force".to_owned()).spawn(force));
    }

    fn feed(
        &self,
        bench: &Bench<'_>,
        meter: &Meter,
    ) -> Feed<Pieces, impl FnMut(u64, Nanos) -> Piece + Clone + Send + use<>> {
        let input = self.input.clone();
        let generated = generator(Pieces { input: input.clone() }, bench.limits.records);
        bench.feed(meter, generated, move |index, due| piece(index, due, input.record(index)))
    }
}

/// The records of a [`HotInput`], with their indexes.
#[derive(Clone)]
struct Pieces {
    input: HotInput,
}

impl Recipe for Pieces {
    type Item = Piece;

    #[inline]
    fn make<E: Emit<Piece>>(&mut self, indexes: Range<u64>, out: &mut Collector<'_, E>) -> u64 {
        let hits = self.input.records(indexes.clone());
        out.emit_all(indexes.zip(hits).map(|(index, hit)| piece(index, 0, hit)))
    }
}

#[inline]
fn piece(index: u64, due: Nanos, hit: Hit) -> Piece {
    let Hit { key, value, is_hot } = hit;
    Piece { key, index, due, value: value as u32, is_hot }
}

#[allow(clippy::disallowed_methods)] // Not on a partition: a thread that only asks for moves.
fn pause(time: Duration) {
    std::thread::sleep(time);
}

fn ns(time: Duration) -> Nanos {
    time.as_nanos().try_into().unwrap_or(Nanos::MAX)
}

/// How long a run at a rate lasts; `None` without one.
fn lasting(limits: &Limits) -> Option<Duration> {
    let rate = limits.rate?;
    let by_records = limits.records.map(|n| Duration::from_secs_f64(n as f64 / rate as f64));
    [by_records, limits.lasting()].into_iter().flatten().min()
}

/// Records from one shift to the next.
fn period(workload: Workload, bench: &Bench<'_>) -> Result<Option<u64>> {
    let (records, rate) = (bench.limits.records, bench.limits.rate);
    let offered = |time: Duration| {
        let in_time = |rate| (time.as_nanos() * u128::from(rate) / 1_000_000_000) as u64;
        rate.map(in_time)
    };
    match (bench.options.hot.period, workload) {
        (Some(Period::Records(records)), _) => Ok(Some(records)),
        (Some(Period::Time(time)), _) => match offered(time) {
            Some(records) => Ok(Some(records.max(1))),
            None => {
                let seen = bench.options.hot.period.map(|period| period.to_string());
                let hint = "allowed with --rate, or a number of records";
                Err(usage("time without a rate", "--period", &seen.unwrap_or_default(), hint))
            }
        },
        (None, Workload::HotKeyShift) => {
            let in_time = bench.limits.lasting().and_then(offered);
            let all = [records, in_time].into_iter().flatten().min();
            Ok(all.map(|all| all.div_ceil(2).max(1)))
        }
        (None, _) => Ok(None),
    }
}
