//! What `lane` and `exchange` share: pairs of key and value, 16 bytes, that only move.
//!
//! `checksum` is the wrapping sum of `key * 0x9E3779B97F4A7C15 ^ value`, cheap enough not to be the
//! figure. `bytes_per_second` is of all partitions together.

use serde_json::json;

use crate::cli::workload::feed::Origin;
use crate::cli::workload::fold::Folded;
use crate::cli::workload::meter::Meter;
use crate::cli::workload::run::{Run, median};
use crate::cli::workload::write::Target;
use crate::cli::workload::{Bench, Outcome, object};
use crate::connector::generator::generator;
use crate::dataflow::Pipeline;
use crate::error::Result;
use crate::routing::Partitioner;

pub(super) type Pair = (u64, u64);

/// Moves pairs from the partitions that `origin` names to where `partitioner` says.
pub(super) fn run<Q: Partitioner<Pair>>(
    bench: &Bench<'_>,
    name: &str,
    origin: Origin,
    partitioner: Q,
) -> Result<Outcome> {
    let dump = Target::open(bench.options.dump.as_deref())?;
    let input = bench.input()?;
    let mut folded = Folded::default();
    let mut made = Vec::new();
    let runs = bench.repeat(|| {
        let meter = Meter::new(bench.partitions());
        folded = Folded::default();
        let recipe = input.clone();
        let generated = generator(input.clone(), bench.limits.records);
        let feed = bench.feed(&meter, generated, move |index, _| recipe.record(index));
        let pipeline = Pipeline::new(name);
        let pairs = pipeline.source(feed.made_on(origin)).partition_by(partitioner.clone());
        pairs.sink(folded.sink(digest));
        let run = bench.observe(pipeline, &meter)?;
        made = match origin {
            Origin::Every => meter.by_partition(),
            Origin::First => vec![meter.records()],
        };
        Ok(run)
    })?;
    if let Some(dump) = dump {
        dump.write_pairs(&input, &made)?;
    }
    let rates: Vec<f64> = runs.iter().map(Run::records_per_second).collect();
    let result = object(json!({
        "total_count": folded.count(),
        "checksum": folded.checksum(),
        "bytes_per_second": median(&rates) * size_of::<Pair>() as f64,
    }));
    Ok(Outcome { runs, result, ..Outcome::default() })
}

/// What a pair adds to the checksum.
#[inline]
fn digest(record: &Pair) -> u64 {
    record.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ record.1
}
