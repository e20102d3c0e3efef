//! `collection`: a vector as a source, dealt out over the partitions.

use std::vec::IntoIter;

use crate::connector::iterator::IteratorSource;
use crate::dataflow::{SourceConnector, TaskContext};
use crate::error::Result;

// Blocks this short keep the partitions of a time-sorted collection close together in event time;
// a collection of fewer than this many records per partition is cut into one part for each.
const BLOCK_RECORDS_MAX: usize = 1_024;

/// A source of `records`, read by all partitions at once.
///
/// The vector is cut into blocks of equal length (at most 1,024 records, and short enough that each
/// partition gets one where there are that many records); block `i` goes to partition
/// `i % partitions`. Each partition keeps the order of what it got.
pub fn collection<T: Send + 'static>(records: Vec<T>) -> Collection<T> {
    Collection { records, parts: Vec::new() }
}

/// Made by [`collection`].
#[derive(Debug)]
pub struct Collection<T> {
    /// All records, until the first partition is opened.
    records: Vec<T>,
    /// `parts[p]` - what partition `p` gets; empty before the first is opened.
    parts: Vec<Vec<T>>,
}

impl<T: Send + 'static> SourceConnector for Collection<T> {
    type Item = T;
    type Source = IteratorSource<IntoIter<T>>;

    fn name(&self) -> String {
        "collection".to_string()
    }

    fn open(&mut self, context: &TaskContext) -> Result<Self::Source> {
        if self.parts.is_empty() {
            self.parts = deal(std::mem::take(&mut self.records), context.partitions);
        }
        let part = std::mem::take(&mut self.parts[context.partition]);
        Ok(IteratorSource { records: Some(part.into_iter()) })
    }
}

/// Deals `records` out in blocks over `partitions` parts.
fn deal<T>(records: Vec<T>, partitions: usize) -> Vec<Vec<T>> {
    if partitions == 1 {
        return vec![records];
    }
    let share = records.len().div_ceil(partitions);
    let block = share.clamp(1, BLOCK_RECORDS_MAX);
    let mut parts: Vec<Vec<T>> =
        (0..partitions).map(|_| Vec::with_capacity(share + block)).collect();
    let mut records = records.into_iter();
    let mut partition = 0;
    while records.len() > 0 {
        parts[partition].extend(records.by_ref().take(block));
        partition = (partition + 1) % partitions;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::{polled, test_context};
    use crate::dataflow::Polled;

    #[test]
    fn few_records_reach_every_partition_in_order() {
        assert_eq!(deal((0..10).collect(), 3), [vec![0, 1, 2, 3], vec![4, 5, 6, 7], vec![8, 9]]);
        assert_eq!(deal(vec![1], 3), [vec![1], Vec::new(), Vec::new()]);
        assert!(deal(Vec::<u8>::new(), 2).concat().is_empty());
    }

    #[test]
    fn many_records_are_dealt_in_blocks() {
        let parts = deal((0..5_000).collect::<Vec<u32>>(), 2);
        assert_eq!(parts[0].len(), 3 * 1_024 - 120);
        assert_eq!(parts[1][0], 1_024);
        assert!(parts.iter().all(|part| part.is_sorted()));
        let mut all: Vec<u32> = parts.concat();
        all.sort_unstable();
        assert_eq!(all, (0..5_000).collect::<Vec<u32>>());
    }

    #[test]
    fn each_partition_reads_its_part() {
        let mut connector = collection(vec!['a', 'b', 'c']);
        let mut read = Vec::new();
        for partition in 0..2 {
            let mut source = connector.open(&test_context(partition, 2)).unwrap();
            let (polled, records) = polled(&mut source, 9, 0);
            assert_eq!(polled, Polled::Done);
            read.extend(records);
        }
        assert_eq!(read, ['a', 'b', 'c']);
    }
}
