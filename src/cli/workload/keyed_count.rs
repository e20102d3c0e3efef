//! `keyed-count`: count and sum per key over an exchange.
//!
//! `checksum` is the wrapping sum over keys of `mix64(key ^ mix64(count ^ mix64(sum)))`, whatever
//! the partitions, batches and `--pre-aggregate`.

use serde_json::{Value, json};

use crate::cli::options::Emit;
use crate::cli::workload::meter::Meter;
use crate::cli::workload::tally::{Counted, Keep, Tally, Totals};
use crate::cli::workload::write::Target;
use crate::cli::workload::{Bench, Outcome, agree, object};
use crate::connector::generator::generator;
use crate::dataflow::{EmitAt, Pipeline};
use crate::error::Result;
use crate::state::aggregate::{Count, sum};

pub(crate) fn run(bench: &Bench<'_>) -> Result<Outcome> {
    let options = bench.options;
    let dump = Target::open(options.dump.as_deref())?;
    let output = Target::open(options.output.as_deref())?;
    let input = bench.input()?;
    let keep = match options.emit {
        Emit::End if output.is_some() => Keep::All,
        Emit::End => Keep::Totals,
        Emit::Each | Emit::Every(_) => Keep::Latest,
    };
    let emit_at = match options.emit {
        Emit::End => EmitAt::End,
        Emit::Each => EmitAt::EachRecord,
        Emit::Every(interval) => EmitAt::Every(interval),
    };
    let mut seen: Option<(Totals, Vec<u64>)> = None;
    let runs = bench.repeat(|| {
        let meter = Meter::new(bench.partitions());
        let (tally, tallied) = Tally::new(keep);
        let generated = generator(input.clone(), bench.limits.records);
        let recipe = input.clone();
        let feed = bench.feed(&meter, generated, move |index, _| recipe.record(index));
        let pipeline = Pipeline::new("keyed-count");
        pipeline
            .source(feed)
            .key_by(|record: &(u64, u64)| record.0)
            .emit_at(emit_at)
            .aggregate((Count, sum(|record: &(u64, u64)| record.1)))
            .sink(tally);
        let run = bench.observe(pipeline, &meter)?;
        let now = (tallied.take(), meter.by_partition());
        if let Some((totals, made)) = &seen {
            agree((made, totals.checksum), (&now.1, now.0.checksum))?;
        }
        seen = Some(now);
        Ok(run)
    })?;
    let (totals, made) = seen.unwrap_or_default();
    let result = object(json!({
        "keys": totals.keys,
        "total_count": totals.total_count,
        "checksum": totals.checksum,
    }));
    if let Some(dump) = dump {
        dump.write_pairs(&input, &made)?;
    }
    if let Some(output) = output {
        let mut results = totals.results;
        results.sort_unstable();
        output.write(results.into_iter().map(result_line))?;
    }
    Ok(Outcome { runs, result, ..Outcome::default() })
}

pub(super) fn result_line((key, (count, sum)): Counted) -> Value {
    json!({ "key": key, "count": count, "sum": sum })
}
