//! The sink of `keyed-count`: folds counts and sums per key into a checksum.

use std::sync::{Arc, Mutex, PoisonError};

use crate::connector::generator::key_checksum;
use crate::dataflow::{Sink, SinkConnector, TaskContext};
use crate::error::Result;
use crate::record::{Batch, hash_key};
use crate::state::{Cursor, KeyedStore};
use crate::time::Nanos;

/// A key with the number of its records and the sum of their values.
pub(crate) type Counted = (u64, (u64, u64));

/// What is kept of the results on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Nothing but the totals: every key comes once.
    Totals,
    /// Every result: every key comes once.
    All,
    /// The latest result of each key: keys come again and again.
    Latest,
}

/// The results of all partitions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) keys: u64,
    pub(crate) total_count: u64,
    /// The wrapping sum of `key_checksum` over the keys.
    pub(crate) checksum: u64,
    /// The results themselves, in no particular order, where they were kept.
    pub(crate) results: Vec<Counted>,
}

impl Totals {
    #[inline]
    pub(super) fn add(&mut self, (key, (count, sum)): Counted) {
        self.keys += 1;
        self.total_count += count;
        self.checksum = self.checksum.wrapping_add(key_checksum(key, count, sum));
    }

    pub(super) fn merge(&mut self, mut other: Totals) {
        self.keys += other.keys;
        self.total_count += other.total_count;
        self.checksum = self.checksum.wrapping_add(other.checksum);
        self.results.append(&mut other.results);
    }
}

/// Connector of the sinks of one run.
pub(crate) struct Tally {
    keep: Keep,
    totals: Arc<Mutex<Totals>>,
}

/// Where the totals are found after the run.
pub(crate) struct Tallied {
    totals: Arc<Mutex<Totals>>,
}

impl Tally {
    pub(crate) fn new(keep: Keep) -> (Tally, Tallied) {
        let totals = Arc::default();
        (Tally { keep, totals: Arc::clone(&totals) }, Tallied { totals })
    }
}

impl Tallied {
    /// The totals of all partitions that have finished.
    pub(crate) fn take(self) -> Totals {
        // A panic elsewhere cannot leave the totals half merged.
        std::mem::take(&mut *self.totals.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl SinkConnector for Tally {
    type Item = Counted;
    type Sink = TallySink;

    fn name(&self) -> String {
        "tally".to_owned()
    }

    fn open(&mut self, _: &TaskContext) -> Result<TallySink> {
        Ok(TallySink {
            keep: self.keep,
            own: Totals::default(),
            latest: KeyedStore::new(),
            totals: Arc::clone(&self.totals),
        })
    }
}

/// One partition's end of a [`Tally`].
pub(crate) struct TallySink {
    keep: Keep,
    own: Totals,
    latest: KeyedStore<u64, (u64, u64)>,
    totals: Arc<Mutex<Totals>>,
}

impl Sink for TallySink {
    type Item = Counted;

    fn write(&mut self, batch: &mut Batch<Counted>, _: Nanos) -> Result<()> {
        match self.keep {
            Keep::Totals => batch.records.drain(..).for_each(|counted| self.own.add(counted)),
            Keep::All => {
                batch.records.iter().for_each(|counted| self.own.add(*counted));
                self.own.results.append(&mut batch.records);
            }
            Keep::Latest => {
                for (key, counted) in batch.records.drain(..) {
                    *self.latest.entry(hash_key(&key), key).1 = counted;
                }
            }
        }
        Ok(())
    }

    fn finish(&mut self, _: Nanos) -> Result<bool> {
        let mut cursor = Cursor::new();
        while let Some((_, key, counted)) = self.latest.walk(&mut cursor) {
            self.own.add((*key, *counted));
            self.own.results.push((*key, *counted));
        }
        let own = std::mem::take(&mut self.own);
        self.totals.lock().unwrap_or_else(PoisonError::into_inner).merge(own);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::generator::keyed_count_checksum;
    use crate::exchange::wake::wake_pair;

    fn tallied(keep: Keep, parts: [&[Counted]; 2]) -> Totals {
        let (mut tally, tallied) = Tally::new(keep);
        for (partition, part) in parts.into_iter().enumerate() {
            let context = TaskContext::new(partition, 2, wake_pair().1);
            let mut sink = tally.open(&context).expect("opens");
            let mut batch = Batch::new();
            batch.records.extend_from_slice(part);
            sink.write(&mut batch, 0).expect("takes all");
            assert!(batch.is_empty() && sink.finish(0).expect("finishes"));
        }
        tallied.take()
    }

    #[test]
    fn totals_are_those_of_all_partitions_and_the_checksum_is_the_documented_one() {
        let parts = [&[(1, (2, 30)), (2, (1, 7))][..], &[(9, (4, 1))]];
        let checksum = keyed_count_checksum([(9, 4, 1), (1, 2, 30), (2, 1, 7)]);
        let seen = tallied(Keep::Totals, parts);
        assert_eq!((seen.keys, seen.total_count, seen.checksum), (3, 7, checksum));
        assert!(seen.results.is_empty());
        let seen = tallied(Keep::All, parts);
        assert_eq!((seen.checksum, seen.results.len()), (checksum, 3));
    }

    #[test]
    fn the_latest_result_of_a_key_counts() {
        let seen = tallied(Keep::Latest, [&[(1, (1, 5)), (1, (2, 30)), (2, (1, 7))], &[]]);
        assert_eq!(seen.checksum, keyed_count_checksum([(1, 2, 30), (2, 1, 7)]));
        assert_eq!((seen.keys, seen.total_count), (2, 3));
        let mut results = seen.results;
        results.sort_unstable();
        assert_eq!(results, [(1, (2, 30)), (2, (1, 7))]);
    }
}
