//! `exchange`: pairs of key and value, 16 bytes, to the partition of their key; no state.
//!
//! `checksum` is the wrapping sum of `key * 0x9E3779B97F4A7C15 ^ value`, cheap enough not to be the
//! figure. `bytes_per_second` is of all partitions together, `copy_bytes_per_second` what one core
//! copies, and `ratio` the first over the second.

use serde_json::{Value, json};

use crate::cli::options::Baseline;
use crate::cli::workload::fold::Folded;
use crate::cli::workload::meter::Meter;
use crate::cli::workload::run::{Run, median};
use crate::cli::workload::write::Target;
use crate::cli::workload::{Bench, Outcome, object};
use crate::connector::generator::generator;
use crate::dataflow::Pipeline;
use crate::error::Result;
use crate::record::hash_key;
use crate::routing::Partitioner;
use crate::time::{Clock, MonotonicClock};

/// Bytes that a copy moves: far beyond the caches of one core.
const COPY_BYTES: usize = 64 << 20;
const COPIES: usize = 5;

/// Every key on one partition, all partitions alike.
#[derive(Clone)]
struct ByKey;

impl Partitioner<(u64, u64)> for ByKey {
    fn name(&self) -> String {
        "key hash".to_owned()
    }

    #[inline]
    fn partition(&mut self, record: &(u64, u64), partitions: usize) -> usize {
        ((u128::from(hash_key(&record.0)) * partitions as u128) >> u64::BITS) as usize
    }
}

/// What a pair adds to the checksum of workloads that only move pairs.
#[inline]
pub(super) fn digest(record: &(u64, u64)) -> u64 {
    record.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ record.1
}

/// Bytes per second of pairs, the median of `runs`.
pub(super) fn bytes_per_second(runs: &[Run]) -> f64 {
    let rates: Vec<f64> = runs.iter().map(Run::records_per_second).collect();
    median(&rates) * size_of::<(u64, u64)>() as f64
}

pub(crate) fn run(bench: &Bench<'_>) -> Result<Outcome> {
    let dump = Target::open(bench.options.dump.as_deref())?;
    let input = bench.input()?;
    let mut folded = Folded::default();
    let mut made = Vec::new();
    let runs = bench.repeat(|| {
        let meter = Meter::new(bench.partitions());
        folded = Folded::default();
        let recipe = input.clone();
        let feed = bench.feed(generator(input.clone(), bench.limits.records), move |index, _| {
            recipe.record(index)
        });
        let pipeline = Pipeline::new("exchange");
        pipeline.source(meter.over(feed)).partition_by(ByKey).sink(folded.sink(digest));
        let run = bench.observe(pipeline, &meter)?;
        made = meter.by_partition();
        Ok(run)
    })?;
    if let Some(dump) = dump {
        dump.write_pairs(&input, &made)?;
    }
    let bytes = bytes_per_second(&runs);
    // After the runs, since its buffers would be in their peak of memory.
    let copied = (bench.options.baseline == Baseline::On).then(copy_bytes_per_second);
    let result = object(json!({
        "total_count": folded.count(),
        "checksum": folded.checksum(),
        "bytes_per_second": bytes,
        "copy_bytes_per_second": copied,
        "ratio": copied.map_or(Value::Null, |copied| (bytes / copied).into()),
    }));
    Ok(Outcome { runs, result, ..Outcome::default() })
}

/// What one core copies from memory to memory, counting each byte once; the median of a few.
fn copy_bytes_per_second() -> f64 {
    let from = vec![1u8; COPY_BYTES];
    let mut to = vec![2u8; COPY_BYTES];
    let rates: Vec<f64> = (0..COPIES)
        .map(|_| {
            let started = MonotonicClock.now();
            to.copy_from_slice(std::hint::black_box(&from));
            std::hint::black_box(&mut to);
            COPY_BYTES as f64 / ((MonotonicClock.now() - started).max(1) as f64 / 1e9)
        })
        .collect();
    median(&rates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_spread_evenly_and_stay_where_they_are() {
        let mut counts = [0u32; 3];
        for key in 0..30_000 {
            let target = ByKey.partition(&(key, 0), 3);
            assert_eq!(target, ByKey.partition(&(key, 9), 3));
            counts[target] += 1;
        }
        assert!(counts.iter().all(|count| (9_500..10_500).contains(count)), "{counts:?}");
    }
}
