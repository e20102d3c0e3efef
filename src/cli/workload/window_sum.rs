//! `window-sum`: the sum of the values of each key in each window of event time.
//!
//! Record *i* of the input happened at [`EventTimes::at`]. `checksum` is the wrapping sum over
//! results of `mix64(start ^ mix64(end ^ mix64(key ^ mix64(sum))))`, where `start` and `end` of the
//! window are milliseconds since the Unix epoch. With `--rate`, `watermark_lag_ns` says how long
//! after its record a watermark is at the sink.

use serde_json::{Value, json};

use crate::cli::options::Windows;
use crate::cli::workload::gather::{Answer, gather};
use crate::cli::workload::meter::Meter;
use crate::cli::workload::timed::{Reading, TimedInput};
use crate::cli::workload::watermark_lag::WatermarkLag;
use crate::cli::workload::write::{Target, indexes};
use crate::cli::workload::{Bench, Outcome, agree, object};
use crate::connector::event_times::EventTimes;
use crate::connector::generator::{generator, mix64};
use crate::dataflow::Pipeline;
use crate::error::Result;
use crate::operator::window::{Windowed, session, sliding, tumbling};
use crate::time::Nanos;
use crate::time::watermark::Monotone;

/// Records per second of event time, unless a flag says otherwise.
pub(crate) const EVENT_RATE: u64 = 1_000_000;

pub(crate) fn run(bench: &Bench<'_>) -> Result<Outcome> {
    let options = bench.options;
    let dump = Target::open(options.dump.as_deref())?;
    let output = Target::open(options.output.as_deref())?;
    let times = EventTimes::new(options.event_rate.unwrap_or(EVENT_RATE))?;
    let input = TimedInput::new(bench.input()?, times);
    let keeps = output.is_some();
    let warmup_ns = bench.limits.warmup.as_nanos().try_into().unwrap_or(Nanos::MAX);
    let lag = WatermarkLag::new(times, bench.limits.rate, warmup_ns);
    let mut seen: Option<(Vec<u64>, Sums)> = None;
    let runs = bench.repeat(|| {
        let meter = Meter::new(bench.partitions());
        let (sink, sums) = gather(move || Sums { keeps, ..Sums::default() });
        let generated = generator(input.clone(), bench.limits.records);
        let recipe = input.clone();
        let feed = bench.feed(&meter, generated, move |index, _| recipe.record(index));
        let pipeline = Pipeline::new("window-sum");
        let keyed = pipeline
            .source(feed)
            .assign_timestamps(Reading::time, Monotone::new())
            .key_by(|reading| reading.key);
        match options.windows {
            Windows::Tumbling(size) => {
                keyed.window(tumbling(size)).sum(Reading::value).apply(lag.clone()).sink(sink);
            }
            Windows::Sliding { size, slide } => {
                keyed
                    .window(sliding(size, slide))
                    .sum(Reading::value)
                    .apply(lag.clone())
                    .sink(sink);
            }
            Windows::Session(gap) => {
                keyed.window(session(gap)).sum(Reading::value).apply(lag.clone()).sink(sink)
            }
        }
        let run = bench.observe(pipeline, &meter)?;
        let now = (meter.by_partition(), sums.take());
        if let Some((made, sums)) = &seen {
            agree((made, sums.checksum), (&now.0, now.1.checksum))?;
        }
        seen = Some(now);
        Ok(run)
    })?;
    let (made, sums) = seen.unwrap_or_default();
    let mut result = object(json!({
        "results": sums.results,
        "total_sum": sums.total_sum,
        "checksum": sums.checksum,
    }));
    result.extend(lag.seen().map(|seen| ("watermark_lag_ns".to_owned(), json!(seen))));
    if let Some(dump) = dump {
        let rows = indexes(&made).map(|index| input.record(index));
        let rows = rows.map(|r| format!("{},{},{}", r.key, r.value(), r.time().as_millis()));
        dump.write(std::iter::once("key,value,time".to_owned()).chain(rows))?;
    }
    if let Some(output) = output {
        output.write(sums.kept.iter().map(result_line))?;
    }
    Ok(Outcome { runs, result, ..Outcome::default() })
}

type Row = Windowed<u64, u64>;

fn result_line(row: &Row) -> Value {
    json!({ "key": row.key, "start": row.window.start, "end": row.window.end, "sum": row.value })
}

/// What results come to, of a partition and of all.
#[derive(Default)]
struct Sums {
    results: u64,
    total_sum: u64,
    checksum: u64,
    /// Whether the results themselves are kept.
    keeps: bool,
    kept: Vec<Row>,
}

impl Answer for Sums {
    type Row = Row;
    type Whole = Sums;

    #[inline]
    fn take(&mut self, row: Row) {
        self.results += 1;
        self.total_sum = self.total_sum.wrapping_add(row.value);
        self.checksum = self.checksum.wrapping_add(digest(&row));
        if self.keeps {
            self.kept.push(row);
        }
    }

    fn finish(mut self, whole: &mut Sums) {
        whole.results += self.results;
        whole.total_sum = whole.total_sum.wrapping_add(self.total_sum);
        whole.checksum = whole.checksum.wrapping_add(self.checksum);
        whole.kept.append(&mut self.kept);
    }
}

#[inline]
fn digest(row: &Row) -> u64 {
    let [start, end] =
        [row.window.start, row.window.end].map(|time| time.as_millis().cast_unsigned());
    mix64(start ^ mix64(end ^ mix64(row.key ^ mix64(row.value))))
}
