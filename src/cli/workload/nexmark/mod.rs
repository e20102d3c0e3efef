//! `nexmark-qN`: the NEXMark queries over generated events.
//!
//! `checksum` is the wrapping sum of [`hash_key`](crate::record::hash_key) over the rows that
//! count: all, or of updating queries the last one of each key. `--dump` writes the events and
//! `--output` those rows, as `benches/nexmark-duckdb` reads them. What q12 measures and counts has
//! windows of the real clock, which nobody can compute again; what it writes are the rows of a
//! second, simulated run over the same events, on a clock that follows event time.

mod followed;
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
use crate::dataflow::{Chain, DataStream, FromSource, Pipeline, SourceConnector};
use crate::error::Result;
use crate::nexmark;
use crate::record::Key;

/// Events per second of event time, unless a flag says otherwise: the reference generator's.
pub(crate) const EVENT_RATE: u64 = 10_000;

/// Runs query number `query`.
pub(crate) fn run(query: u8, bench: &Bench<'_>) -> Result<Outcome> {
    let options = bench.options;
    let input = Nexmark::new(options.seed, options.event_rate.unwrap_or(EVENT_RATE))?;
    let events = |meter: &Meter| {
        let generated: Generator<Nexmark> = generator(input, bench.limits.records);
        bench.feed(meter, generated, move |index, _| input.event(index))
    };
    let queries = Queries { bench, input, events };
    match query {
        0 => queries.every(nexmark::q0),
        1 => queries.every(nexmark::q1),
        2 => queries.every(nexmark::q2),
        3 => queries.every(nexmark::q3),
        4 => queries.latest(nexmark::q4, |row| row.category),
        5 => queries.every(nexmark::q5),
        6 => queries.latest(nexmark::q6, |row| row.seller),
        7 => queries.every(nexmark::q7),
        8 => queries.every(nexmark::q8),
        9 => queries.every(nexmark::q9),
        11 => queries.every(nexmark::q11),
        12 => queries.answer(nexmark::q12, Every::new, |_, made| followed::q12(input, made)),
        13 => queries.every(nexmark::q13),
        14 => queries.every(nexmark::q14),
        15 => queries.latest(nexmark::q15, |row| row.day),
        16 => queries.latest(nexmark::q16, |row| (row.channel, row.day)),
        17 => queries.latest(nexmark::q17, |row| (row.auction, row.day)),
        18 => queries.latest(nexmark::q18, |row| (row.auction, row.bidder)),
        19 => queries.latest(nexmark::q19, |row| (row.auction, row.rank)),
        20 => queries.every(nexmark::q20),
        21 => queries.every(nexmark::q21),
        22 => queries.every(nexmark::q22),
        _ => unreachable!("the names of workloads end with the numbers above"),
    }
}

/// What all queries share.
struct Queries<'a, F> {
    bench: &'a Bench<'a>,
    input: Nexmark,
    /// Makes a run's source, counted by a meter.
    events: F,
}

/// The events as a source `S` brings them.
type Events<S> = DataStream<FromSource<<S as SourceConnector>::Source>>;

impl<F> Queries<'_, F> {
    /// A query each of whose rows counts.
    fn every<S, C, R>(&self, query: impl Fn(Events<S>) -> DataStream<C>) -> Result<Outcome>
    where
        F: Fn(&Meter) -> S,
        S: SourceConnector<Item = Event>,
        C: Chain<Out = R>,
        R: Hash + Serialize + Send + 'static,
    {
        self.answer(query, Every::new, |rows, _| Ok(rows.kept))
    }

    /// An updating query: of its rows the last of each key counts.
    fn latest<S, C, R, K: Key>(
        &self,
        query: impl Fn(Events<S>) -> DataStream<C>,
        key: fn(&R) -> K,
    ) -> Result<Outcome>
    where
        F: Fn(&Meter) -> S,
        S: SourceConnector<Item = Event>,
        C: Chain<Out = R>,
        R: Hash + Serialize + Send + 'static,
    {
        self.answer(query, move |keeps| Latest::new(key, keeps), |rows, _| Ok(rows.kept))
    }

    /// Runs `query` into what `new` makes; it is told whether rows are to be kept. `written` gives
    /// what `--output` writes, of the rows or of the numbers of events that partitions have made.
    fn answer<S, C, R, A>(
        &self,
        query: impl Fn(Events<S>) -> DataStream<C>,
        new: impl Fn(bool) -> A + Clone + Send + 'static,
        written: impl FnOnce(Rows<R>, &[u64]) -> Result<Vec<R>>,
    ) -> Result<Outcome>
    where
        F: Fn(&Meter) -> S,
        S: SourceConnector<Item = Event>,
        C: Chain<Out = R>,
        A: Answer<Row = R, Whole = Rows<R>>,
        R: Serialize + Send + 'static,
    {
        let Queries { bench, input, .. } = self;
        let options = bench.options;
        let dump = Target::open(options.dump.as_deref())?;
        let output = Target::open(options.output.as_deref())?;
        let keeps = output.is_some();
        let mut seen: Option<(Vec<u64>, Rows<R>)> = None;
        let runs = bench.repeat(|| {
            let meter = Meter::new(bench.partitions());
            let new = new.clone();
            let (sink, rows) = gather(move || new(keeps));
            let pipeline = Pipeline::new("nexmark");
            query(pipeline.source((self.events)(&meter))).sink(sink);
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
            let rows = written(rows, &made)?;
            output.write_with(|out| {
                rows.iter().try_for_each(|row| {
                    serde_json::to_writer(&mut *out, row)?;
                    out.write_all(b"\n")
                })
            })?;
        }
        Ok(Outcome { runs, result, ..Outcome::default() })
    }
}
