//! `collect`: a sink that keeps every record in memory for the caller.

use std::sync::{Arc, Mutex, PoisonError};

use crate::dataflow::{Chain, DataStream, Sink, SinkConnector, TaskContext};
use crate::error::Result;
use crate::record::Batch;
use crate::time::Nanos;

impl<C: Chain> DataStream<C> {
    /// Ends the stream in memory; [`Collected::take`] has the records after the run, in no
    /// particular order.
    pub fn collect(self) -> Collected<C::Out> {
        let (sink, collected) = collect();
        self.sink(sink);
        collected
    }
}

/// A sink that keeps every record, and the place where they are found after the run.
pub fn collect<T: Send + 'static>() -> (Collect<T>, Collected<T>) {
    let collected = Collected { records: Arc::default() };
    (Collect { collected: collected.clone() }, collected)
}

/// What a job collected. Clones share it.
#[derive(Debug)]
pub struct Collected<T> {
    records: Arc<Mutex<Vec<T>>>,
}

impl<T> Clone for Collected<T> {
    fn clone(&self) -> Self {
        Collected { records: Arc::clone(&self.records) }
    }
}

impl<T> Collected<T> {
    /// The records of all partitions that have finished, in no particular order; they are gone
    /// from here afterwards. Call it after the run: before, it returns nothing or a part.
    pub fn take(&self) -> Vec<T> {
        // A panic elsewhere cannot leave the vector half appended to.
        std::mem::take(&mut *self.records.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Made by [`collect`].
#[derive(Debug)]
pub struct Collect<T> {
    collected: Collected<T>,
}

impl<T: Send + 'static> SinkConnector for Collect<T> {
    type Item = T;
    type Sink = CollectSink<T>;

    fn name(&self) -> String {
        "collect".to_string()
    }

    fn open(&mut self, _context: &TaskContext) -> Result<CollectSink<T>> {
        Ok(CollectSink { records: Vec::new(), collected: self.collected.clone() })
    }
}

/// One partition's end of a [`Collect`]: a buffer of its own, shared once at the end.
#[derive(Debug)]
pub struct CollectSink<T> {
    records: Vec<T>,
    collected: Collected<T>,
}

impl<T: Send + 'static> Sink for CollectSink<T> {
    type Item = T;

    fn write(&mut self, batch: &mut Batch<T>, _now: Nanos) -> Result<()> {
        self.records.append(&mut batch.records);
        Ok(())
    }

    fn finish(&mut self, _now: Nanos) -> Result<bool> {
        let mut all = self.collected.records.lock().unwrap_or_else(PoisonError::into_inner);
        if all.is_empty() {
            *all = std::mem::take(&mut self.records);
        } else {
            all.append(&mut self.records);
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::test_context;

    #[test]
    fn records_of_all_partitions_are_taken_once() {
        let (mut connector, collected) = collect();
        for partition in 0..2 {
            let mut sink = connector.open(&test_context(partition, 2)).unwrap();
            let mut batch = Batch::new();
            batch.records.extend([partition, partition + 10]);
            sink.write(&mut batch, 0).unwrap();
            assert!(batch.is_empty());
            assert_eq!(collected.take().len(), 0, "nothing is shared before the end");
            assert!(sink.finish(0).unwrap());
            if partition == 0 {
                assert_eq!(collected.take(), [0, 10]);
            }
        }
        assert_eq!(collected.take(), [1, 11]);
        assert!(collected.take().is_empty());
    }
}
