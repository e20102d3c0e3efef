//! `chain`: map, filter and map fused into one loop, beside the same closures in a plain loop.
//!
//! Record *i* is `mix64(seed + i)`, wrapping. `checksum` is the wrapping sum of what comes out, and
//! `ratio` the time per record of ours over that of as many plain loops as there are partitions,
//! which run beside each other on the same cores, each over an equal part of the records. The
//! loops add up what is made in registers; nothing of theirs goes through memory.

use std::ops::Range;

use serde_json::{Value, json};

use crate::cli::options::Baseline;
use crate::cli::workload::fold::Folded;
use crate::cli::workload::meter::Meter;
use crate::cli::workload::run::median;
use crate::cli::workload::write::{self, Target};
use crate::cli::workload::{Bench, Outcome, Run, object};
use crate::connector::generator::{generate, mix64};
use crate::dataflow::Pipeline;
use crate::error::{Error, ErrorKind, Result};
use crate::runtime::host;
use crate::time::{Clock, MonotonicClock};

#[inline(always)]
fn first(record: u64) -> u64 {
    record ^ (record >> 29)
}

/// Drops one record of 256, so that the branch is predicted and its cost is not the figure.
#[inline(always)]
fn keeps(record: &u64) -> bool {
    record & 0xFF != 0
}

#[inline(always)]
fn second(record: u64) -> u64 {
    record.wrapping_mul(3).wrapping_add(1)
}

/// What one repetition came to.
struct Answer {
    made: Vec<u64>,
    count: u64,
    checksum: u64,
}

pub(crate) fn run(bench: &Bench<'_>) -> Result<Outcome> {
    let dump = Target::open(bench.options.dump.as_deref())?;
    let seed = bench.options.seed;
    let mut loop_rates = Vec::new();
    let mut ratios = Vec::new();
    let mut last = None;
    let runs = bench.repeat(|| {
        let (run, answer) = engine(bench)?;
        if bench.options.baseline == Baseline::On {
            let made: u64 = answer.made.iter().sum();
            let (seconds, count, checksum) = plain_loops(seed, made, &bench.cores());
            check_agreement(&answer, made, (count, checksum))?;
            let loop_rate = made as f64 / seconds;
            ratios.push(loop_rate / run.records_per_second());
            loop_rates.push(loop_rate);
        }
        last = Some(answer);
        Ok(run)
    })?;
    let Some(answer) = last else { return Ok(Outcome { runs, ..Outcome::default() }) };
    if let Some(dump) = dump {
        let rows = write::indexes(&answer.made).map(|index| record(seed, index).to_string());
        dump.write(std::iter::once("value".to_owned()).chain(rows))?;
    }
    let figure = |figures: &[f64]| match figures {
        [] => Value::Null,
        _ => median(figures).into(),
    };
    let result = object(json!({
        "total_count": answer.count,
        "checksum": answer.checksum,
        "loop_records_per_second": figure(&loop_rates),
        "ratio": figure(&ratios),
    }));
    Ok(Outcome { runs, result, ..Outcome::default() })
}

#[inline(always)]
fn record(seed: u64, index: u64) -> u64 {
    mix64(seed.wrapping_add(index))
}

fn engine(bench: &Bench<'_>) -> Result<(Run, Answer)> {
    let seed = bench.options.seed;
    let meter = Meter::new(bench.partitions());
    let folded = Folded::default();
    let generated = generate(bench.limits.records, move |index| record(seed, index));
    let feed = bench.feed(&meter, generated, move |index, _| record(seed, index));
    let pipeline = Pipeline::new("chain");
    pipeline
        .source(feed)
        .map(first)
        .filter(keeps)
        .map(second)
        .sink(folded.sink(|record: &u64| *record));
    let run = bench.observe(pipeline, &meter)?;
    let made = meter.by_partition();
    Ok((run, Answer { made, count: folded.count(), checksum: folded.checksum() }))
}

/// Seconds, count and checksum of the same work without an engine, on `cores` at once.
fn plain_loops(seed: u64, records: u64, cores: &[Option<usize>]) -> (f64, u64, u64) {
    let part = |index: usize| records * index as u64 / cores.len() as u64;
    // Pinned threads of their own: the caller must stay unpinned.
    #[allow(clippy::disallowed_methods)]
    let parts: Vec<_> = std::thread::scope(|scope| {
        let parts = cores.iter().enumerate().map(|(index, core)| {
            let indexes = part(index)..part(index + 1);
            scope.spawn(move || {
                if let Some(core) = *core {
                    host::pin_current_thread(core);
                }
                plain_loop(seed, indexes)
            })
        });
        let parts: Vec<_> = parts.collect();
        parts.into_iter().map(|part| part.join().expect("sums do not panic")).collect()
    });
    let seconds = parts.iter().map(|part| part.0).sum::<f64>() / cores.len() as f64;
    let count = parts.iter().map(|part| part.1).sum();
    (seconds, count, parts.iter().fold(0, |sum, part| sum.wrapping_add(part.2)))
}

#[inline(never)]
fn plain_loop(seed: u64, indexes: Range<u64>) -> (f64, u64, u64) {
    let started = MonotonicClock.now();
    let (count, checksum) = std::hint::black_box(indexes)
        .map(|index| record(seed, index))
        .map(first)
        .filter(keeps)
        .map(second)
        .fold((0, 0u64), |(count, sum), record| (count + 1, sum.wrapping_add(record)));
    let seconds = (MonotonicClock.now() - started).max(1) as f64 / 1e9;
    (seconds, count, checksum)
}

/// The loop makes the first records; ours makes the same unless time ended it.
fn check_agreement(answer: &Answer, made: u64, of_loop: (u64, u64)) -> Result<()> {
    let is_prefix = write::indexes(&answer.made).last().is_none_or(|last| last + 1 == made);
    if !is_prefix || (answer.count, answer.checksum) == of_loop {
        return Ok(());
    }
    let seen = format!(
        "count {} and checksum {} differ from {} and {} of the plain loop",
        answer.count, answer.checksum, of_loop.0, of_loop.1
    );
    Err(Error::new(ErrorKind::JobFailed, seen))
}
