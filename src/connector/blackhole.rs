//! `blackhole`: a sink that counts records and drops them.

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::dataflow::{Sink, SinkConnector, TaskContext};
use crate::error::Result;
use crate::record::Batch;
use crate::time::Nanos;

/// A sink that drops every record. [`Blackhole::count`] says how many there were.
pub fn blackhole<T: Send + 'static>() -> Blackhole<T> {
    Blackhole { count: Count::default(), _records: PhantomData }
}

/// Made by [`blackhole`].
#[derive(Debug)]
pub struct Blackhole<T> {
    count: Count,
    _records: PhantomData<fn(T)>,
}

impl<T> Blackhole<T> {
    /// The count of dropped records over all partitions, readable while the job runs.
    pub fn count(&self) -> Count {
        self.count.clone()
    }
}

/// How many records a sink took. Clones share the count.
#[derive(Clone, Debug, Default)]
pub struct Count(Arc<AtomicU64>);

impl Count {
    /// Records so far; behind by at most the batch that is being written. Exact after the run.
    pub fn records(&self) -> u64 {
        // Relaxed: a count that publishes nothing else.
        self.0.load(Ordering::Relaxed)
    }
}

impl<T: Send + 'static> SinkConnector for Blackhole<T> {
    type Item = T;
    type Sink = BlackholeSink<T>;

    fn name(&self) -> String {
        "blackhole".to_string()
    }

    fn open(&mut self, _context: &TaskContext) -> Result<BlackholeSink<T>> {
        Ok(BlackholeSink { count: self.count.clone(), _records: PhantomData })
    }
}

/// One partition's end of a [`Blackhole`].
#[derive(Debug)]
pub struct BlackholeSink<T> {
    count: Count,
    _records: PhantomData<fn(T)>,
}

impl<T: Send + 'static> Sink for BlackholeSink<T> {
    type Item = T;

    #[inline(always)]
    fn try_take(&mut self, _record: T) -> std::result::Result<(), T> {
        Ok(())
    }

    fn count_taken(&mut self, records: u64) {
        self.count.0.fetch_add(records, Ordering::Relaxed);
    }

    fn write(&mut self, batch: &mut Batch<T>, _now: Nanos) -> Result<()> {
        self.count_taken(batch.records.len() as u64);
        batch.records.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::test_context;

    #[test]
    fn all_partitions_add_to_one_count() {
        let mut connector = blackhole();
        let count = connector.count();
        for partition in 0..2 {
            let mut sink = connector.open(&test_context(partition, 2)).unwrap();
            assert_eq!(sink.try_take(1), Ok(()));
            sink.count_taken(1);
            let mut batch = Batch::new();
            batch.records.extend([2, 3]);
            sink.write(&mut batch, 0).unwrap();
            assert!(batch.is_empty());
            assert!(sink.finish(0).unwrap());
        }
        assert_eq!(count.records(), 6);
    }
}
