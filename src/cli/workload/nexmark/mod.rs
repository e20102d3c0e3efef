//! `nexmark-qN`: the NEXMark queries over generated events.
//!
//! `checksum` is the wrapping sum of [`hash_key`](crate::record::hash_key) over the rows that
//! count: all, or of updating queries the last one of each key. `--dump` writes the events and
//! `--output` those rows, as `benches/nexmark-duckdb` reads them.

mod rows;

use std::hash::Hash;
use std::io::Write;

use serde::Serialize;
use serde_json::json;

use crate::cli::workload::gather::{Answer, gather};
use crate::cli::workload::meter::Meter;
use crate::cli::workload::nexmark::rows::{Every, Latest, Rows};
use crate::cli::workload::write::{Target, indexes};
use crate::cli::workload::{Bench, Outcome, agree, object};
use crate::connector::generator::{Generator, generator};
use crate::connector::nexmark::dump::write_event;
use crate::connector::nexmark::{Event, Nexmark};
use crate::dataflow::{Chain, DataStream, Identity, Pipeline};
use crate::error::Result;
use crate::nexmark;
use crate::record::Key;

/// Events per second of event time, unless a flag says otherwise: the reference generator's.
pub(crate) const EVENT_RATE: u64 = 10_000;

/// Runs query number `query`.
pub(crate) fn run(query: u8, bench: &Bench<'_>) -> Result<Outcome> {
    match query {
        0 => every(bench, nexmark::q0),
        1 => every(bench, nexmark::q1),
        2 => every(bench, nexmark::q2),
        3 => every(bench, nexmark::q3),
        4 => latest(bench, nexmark::q4, |row| row.category),
        5 => every(bench, nexmark::q5),
        6 => latest(bench, nexmark::q6, |row| row.seller),
        7 => every(bench, nexmark::q7),
        8 => every(bench, nexmark::q8),
        9 => every(bench, nexmark::q9),
        11 => every(bench, nexmark::q11),
        12 => every(bench, nexmark::q12),
        13 => every(bench, nexmark::q13),
        14 => every(bench, nexmark::q14),
        15 => latest(bench, nexmark::q15, |row| row.day),
        16 => latest(bench, nexmark::q16, |row| (row.channel, row.day)),
        17 => latest(bench, nexmark::q17, |row| (row.auction, row.day)),
        18 => latest(bench, nexmark::q18, |row| (row.auction, row.bidder)),
        19 => latest(bench, nexmark::q19, |row| (row.auction, row.rank)),
        20 => every(bench, nexmark::q20),
        21 => every(bench, nexmark::q21),
        22 => every(bench, nexmark::q22),
        _ => unreachable!("the names of workloads end with the numbers above"),
    }
}

type Events = DataStream<Identity<Event>>;

/// A query each of whose rows counts.
fn every<C, R>(bench: &Bench<'_>, query: impl Fn(Events) -> DataStream<C>) -> Result<Outcome>
where
    C: Chain<Out = R>,
    R: Hash + Serialize + Send + 'static,
{
    answer(bench, query, Every::new)
}

/// An updating query: of its rows the last of each key counts.
fn latest<C, R, K: Key>(
    bench: &Bench<'_>,
    query: impl Fn(Events) -> DataStream<C>,
    key: fn(&R) -> K,
) -> Result<Outcome>
where
    C: Chain<Out = R>,
    R: Hash + Serialize + Send + 'static,
{
    answer(bench, query, move |keeps| Latest::new(key, keeps))
}

/// Runs `query` into what `new` makes; it is told whether rows are to be kept.
fn answer<C, R, A>(
    bench: &Bench<'_>,
    query: impl Fn(Events) -> DataStream<C>,
    new: impl Fn(bool) -> A + Clone + Send + 'static,
) -> Result<Outcome>
where
    C: Chain<Out = R>,
    A: Answer<Row = R, Whole = Rows<R>>,
    R: Serialize + Send + 'static,
{
    let options = bench.options;
    let dump = Target::open(options.dump.as_deref())?;
    let output = Target::open(options.output.as_deref())?;
    let input = Nexmark::new(options.seed, options.event_rate.unwrap_or(EVENT_RATE))?;
    let keeps = output.is_some();
    let mut seen: Option<(Vec<u64>, Rows<R>)> = None;
    let runs = bench.repeat(|| {
        let meter = Meter::new(bench.partitions());
        let new = new.clone();
        let (sink, rows) = gather(move || new(keeps));
        let generated: Generator<Nexmark> = generator(input, bench.limits.records);
        let feed = bench.feed(&meter, generated, move |index, _| input.event(index));
        let pipeline = Pipeline::new("nexmark");
        query(pipeline.source(feed)).sink(sink);
        let run = bench.observe(pipeline, &meter)?;
        let now = (meter.by_partition(), rows.take());
        if let Some((made, rows)) = &seen {
            agree((made, rows.checksum), (&now.0, now.1.checksum))?;
        }
        seen = Some(now);
        Ok(run)
    })?;
    let (made, rows) = seen.unwrap_or_default();
    let result = object(json!({ "rows": rows.count, "checksum": rows.checksum }));
    if let Some(dump) = dump {
        dump.write_with(|out| {
            indexes(&made).try_for_each(|index| write_event(&input.event(index), out))
        })?;
    }
    if let Some(output) = output {
        output.write_with(|out| {
            rows.kept.iter().try_for_each(|row| {
                serde_json::to_writer(&mut *out, row)?;
                out.write_all(b"\n")
            })
        })?;
    }
    Ok(Outcome { runs, result, ..Outcome::default() })
}
