//! `lane`: batches of pairs, 16 bytes a record, from partition 0 to partition 1.
//!
//! Only partition 0 has a source. `checksum` is that of `exchange` over the same records.

use crate::cli::workload::feed::Origin;
use crate::cli::workload::{Bench, Outcome, pairs};
use crate::error::Result;
use crate::routing::Partitioner;

/// Everything to partition 1, where there is one.
#[derive(Clone)]
struct ToSecond;

impl<T> Partitioner<T> for ToSecond {
    fn name(&self) -> String {
        "second".to_owned()
    }

    #[inline]
    fn partition(&mut self, _: &T, partitions: usize) -> usize {
        usize::from(partitions > 1)
    }
}

pub(crate) fn run(bench: &Bench<'_>) -> Result<Outcome> {
    pairs::run(bench, "lane", Origin::First, ToSecond)
}
