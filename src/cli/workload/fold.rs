//! A sink that folds records into a count and a wrapping sum: the answer of workloads without keys.

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::dataflow::{Sink, SinkConnector, TaskContext};
use crate::error::Result;
use crate::record::Batch;
use crate::time::Nanos;

/// What the sinks of all partitions took; exact after the run.
#[derive(Clone, Default)]
pub(crate) struct Folded {
    sums: Arc<Sums>,
}

#[derive(Default)]
struct Sums {
    count: AtomicU64,
    checksum: AtomicU64,
}

impl Folded {
    /// Records. Relaxed, as all here: the run's end has published everything.
    pub(crate) fn count(&self) -> u64 {
        self.sums.count.load(Ordering::Relaxed)
    }

    /// The wrapping sum of what the fold's function made of each record.
    pub(crate) fn checksum(&self) -> u64 {
        self.sums.checksum.load(Ordering::Relaxed)
    }

    /// A sink that adds `digest(record)` up.
    pub(crate) fn sink<T, F>(&self, digest: F) -> Fold<T, F>
    where
        T: Send + 'static,
        F: Fn(&T) -> u64 + Clone + Send + 'static,
    {
        Fold { digest, folded: self.clone(), record: PhantomData }
    }
}

/// Made by [`Folded::sink`]; the connector.
pub(crate) struct Fold<T, F> {
    digest: F,
    folded: Folded,
    record: PhantomData<fn(T)>,
}

impl<T, F> SinkConnector for Fold<T, F>
where
    T: Send + 'static,
    F: Fn(&T) -> u64 + Clone + Send + 'static,
{
    type Item = T;
    type Sink = FoldSink<T, F>;

    fn name(&self) -> String {
        "fold".to_owned()
    }

    fn open(&mut self, _: &TaskContext) -> Result<FoldSink<T, F>> {
        Ok(FoldSink {
            digest: self.digest.clone(),
            folded: self.folded.clone(),
            count: 0,
            checksum: 0,
            record: PhantomData,
        })
    }
}

/// One partition's end of a [`Fold`].
pub(crate) struct FoldSink<T, F> {
    digest: F,
    folded: Folded,
    count: u64,
    checksum: u64,
    record: PhantomData<fn(T)>,
}

impl<T, F> Sink for FoldSink<T, F>
where
    T: Send + 'static,
    F: Fn(&T) -> u64 + Clone + Send + 'static,
{
    type Item = T;

    #[inline(always)]
    fn try_take(&mut self, record: T) -> std::result::Result<(), T> {
        self.checksum = self.checksum.wrapping_add((self.digest)(&record));
        Ok(())
    }

    fn count_taken(&mut self, records: u64) {
        self.count += records;
    }

    #[inline]
    fn write(&mut self, batch: &mut Batch<T>, _: Nanos) -> Result<()> {
        self.count += batch.records.len() as u64;
        let sum = batch.records.iter().map(&self.digest).fold(0, u64::wrapping_add);
        self.checksum = self.checksum.wrapping_add(sum);
        batch.records.clear();
        Ok(())
    }

    fn finish(&mut self, _: Nanos) -> Result<bool> {
        // `fetch_add` wraps around.
        self.folded.sums.count.fetch_add(self.count, Ordering::Relaxed);
        self.folded.sums.checksum.fetch_add(self.checksum, Ordering::Relaxed);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::wake::wake_pair;

    #[test]
    fn partitions_add_up_and_sums_wrap() {
        let folded = Folded::default();
        let mut connector = folded.sink(|record: &u64| *record);
        for partition in 0..2 {
            let context = TaskContext::new(partition, 2, wake_pair().1);
            let mut sink = connector.open(&context).expect("opens");
            assert_eq!(sink.try_take(u64::MAX), Ok(()));
            sink.count_taken(1);
            let mut batch = Batch::new();
            batch.push(3);
            sink.write(&mut batch, 0).expect("takes all");
            assert!(batch.is_empty() && sink.finish(0).expect("finishes"));
        }
        assert_eq!((folded.count(), folded.checksum()), (4, 4));
    }
}
