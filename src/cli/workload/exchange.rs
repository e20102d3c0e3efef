//! `exchange`: pairs of key and value, 16 bytes, to the partition of their key; no state.
//!
//! `copy_bytes_per_second` is what one core copies, and `ratio` that of `bytes_per_second` to it.

use serde_json::json;

use crate::cli::options::Baseline;
use crate::cli::workload::feed::Origin;
use crate::cli::workload::pairs::Pair;
use crate::cli::workload::run::median;
use crate::cli::workload::{Bench, Outcome, pairs};
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

impl Partitioner<Pair> for ByKey {
    fn name(&self) -> String {
        "key hash".to_owned()
    }

    #[inline]
    fn partition(&mut self, record: &Pair, partitions: usize) -> usize {
        ((u128::from(hash_key(&record.0)) * partitions as u128) >> u64::BITS) as usize
    }
}

pub(crate) fn run(bench: &Bench<'_>) -> Result<Outcome> {
    let mut outcome = pairs::run(bench, "exchange", Origin::Every, ByKey)?;
    // After the runs, since its buffers would be in their peak of memory.
    let copied = (bench.options.baseline == Baseline::On).then(copy_bytes_per_second);
    let bytes = outcome.result["bytes_per_second"].as_f64();
    let ratio = copied.zip(bytes).map(|(copied, bytes)| bytes / copied);
    outcome.result.insert("copy_bytes_per_second".to_owned(), json!(copied));
    outcome.result.insert("ratio".to_owned(), json!(ratio));
    Ok(outcome)
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
