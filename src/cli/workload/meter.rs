//! Counts what sources let in, exactly and while they run; a job's own figures are 100 ms old.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_utils::CachePadded;

use crate::connector::generator::{Generator, Recipe};
use crate::connector::{Paced, PacedSource};
use crate::dataflow::{Polled, Source, SourceConnector, TaskContext};
use crate::error::Result;
use crate::record::Batch;
use crate::time::Nanos;

/// What the sources of one run let in. Clones share the count.
#[derive(Clone)]
pub(crate) struct Meter {
    cells: Arc<[CachePadded<Cell>]>,
}

/// Written by one partition with plain stores, so it costs a nanosecond a batch. All accesses are
/// relaxed: figures, which publish nothing else.
#[derive(Default)]
struct Cell {
    records: AtomicU64,
    /// When it first let records in; 0 is never.
    first: AtomicU64,
    last: AtomicU64,
}

impl Meter {
    pub(crate) fn new(partitions: usize) -> Meter {
        Meter { cells: (0..partitions).map(|_| CachePadded::default()).collect() }
    }

    /// The same source, counted.
    pub(crate) fn over<S>(&self, connector: S) -> Metered<S> {
        Metered { connector, meter: self.clone() }
    }

    /// Records so far.
    pub(crate) fn records(&self) -> u64 {
        self.by_partition().iter().sum()
    }

    /// Records so far, by partition.
    pub(crate) fn by_partition(&self) -> Vec<u64> {
        self.cells.iter().map(|cell| cell.records.load(Ordering::Relaxed)).collect()
    }

    /// When the first record came in, in monotonic nanoseconds; `None` before.
    pub(crate) fn first(&self) -> Option<Nanos> {
        let firsts = self.cells.iter().map(|cell| cell.first.load(Ordering::Relaxed));
        firsts.filter(|first| *first > 0).min()
    }

    /// When the latest records came in; 0 before any.
    pub(crate) fn last(&self) -> Nanos {
        self.cells.iter().map(|cell| cell.last.load(Ordering::Relaxed)).max().unwrap_or(0)
    }
}

impl Cell {
    #[inline]
    fn add(&self, records: u64, now: Nanos) {
        let before = self.records.load(Ordering::Relaxed);
        self.records.store(before + records, Ordering::Relaxed);
        self.last.store(now, Ordering::Relaxed);
        if before == 0 {
            self.first.store(now, Ordering::Relaxed);
        }
    }
}

/// A source, counted by a [`Meter`].
pub(crate) struct Metered<S> {
    connector: S,
    meter: Meter,
}

impl<S: SourceConnector> SourceConnector for Metered<S> {
    type Item = S::Item;
    type Source = MeteredSource<S::Source>;

    fn name(&self) -> String {
        self.connector.name()
    }

    fn is_bounded(&self) -> bool {
        self.connector.is_bounded()
    }

    fn check(&self) -> Result<()> {
        self.connector.check()
    }

    fn input(&self) -> Option<(String, Box<dyn Any + Send + Sync>)> {
        self.connector.input()
    }

    fn open(&mut self, context: &TaskContext) -> Result<Self::Source> {
        let source = self.connector.open(context)?;
        Ok(MeteredSource { source, meter: self.meter.clone(), partition: context.partition })
    }
}

/// One partition's share of a [`Metered`].
pub(crate) struct MeteredSource<S> {
    source: S,
    meter: Meter,
    partition: usize,
}

impl<S: Source> Source for MeteredSource<S> {
    type Item = S::Item;

    #[inline]
    fn poll(&mut self, max: usize, now: Nanos, batch: &mut Batch<S::Item>) -> Result<Polled> {
        let before = batch.records.len();
        let polled = self.source.poll(max, now, batch);
        let made = batch.records.len() - before;
        if made > 0 {
            self.meter.cells[self.partition].add(made as u64, now);
        }
        polled
    }
}

/// Where a workload's records come from: as fast as it goes, or on a schedule.
pub(crate) enum Feed<R, F> {
    Generated(Generator<R>),
    Paced(Paced<F>),
}

impl<R, F> SourceConnector for Feed<R, F>
where
    R: Recipe,
    F: FnMut(u64, Nanos) -> R::Item + Clone + Send + 'static,
{
    type Item = R::Item;
    type Source = FeedSource<<Generator<R> as SourceConnector>::Source, PacedSource<F>>;

    fn name(&self) -> String {
        match self {
            Feed::Generated(generator) => generator.name(),
            Feed::Paced(paced) => paced.name(),
        }
    }

    fn is_bounded(&self) -> bool {
        match self {
            Feed::Generated(generator) => generator.is_bounded(),
            Feed::Paced(paced) => paced.is_bounded(),
        }
    }

    fn check(&self) -> Result<()> {
        match self {
            Feed::Generated(generator) => generator.check(),
            Feed::Paced(paced) => paced.check(),
        }
    }

    fn open(&mut self, context: &TaskContext) -> Result<Self::Source> {
        Ok(match self {
            Feed::Generated(generator) => FeedSource::Generated(generator.open(context)?),
            Feed::Paced(paced) => FeedSource::Paced(paced.open(context)?),
        })
    }
}

/// One partition's share of a [`Feed`].
pub(crate) enum FeedSource<G, P> {
    Generated(G),
    Paced(P),
}

impl<G, P> Source for FeedSource<G, P>
where
    G: Source,
    P: Source<Item = G::Item>,
{
    type Item = G::Item;

    #[inline]
    fn poll(&mut self, max: usize, now: Nanos, batch: &mut Batch<G::Item>) -> Result<Polled> {
        match self {
            FeedSource::Generated(source) => source.poll(max, now, batch),
            FeedSource::Paced(source) => source.poll(max, now, batch),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::generator::generate;
    use crate::exchange::wake::wake_pair;

    #[test]
    fn it_counts_by_partition_and_keeps_the_first_and_the_last_time() {
        let meter = Meter::new(2);
        let mut connector = meter.over(generate(3_000, |index| index));
        assert_eq!((meter.records(), meter.first(), meter.last()), (0, None, 0));
        for (partition, now) in [(0, 50), (1, 40)] {
            let context = TaskContext::new(partition, 2, wake_pair().1);
            let mut source = connector.open(&context).expect("opens");
            let mut batch = Batch::new();
            assert_eq!(source.poll(100, now, &mut batch).expect("polls"), Polled::Ready);
            source.poll(4_000, now + 10, &mut batch).expect("polls");
            source.poll(4_000, now + 20, &mut batch).expect("polls");
        }
        assert_eq!(meter.by_partition(), [1_976, 1_024]);
        assert_eq!((meter.first(), meter.last()), (Some(40), 60));
    }
}
