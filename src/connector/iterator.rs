//! `iterator`: a Rust iterator as a source, read on partition 0.

use crate::dataflow::{Collector, Emit, Polled, Source, SourceConnector, TaskContext};
use crate::error::Result;
use crate::time::Nanos;

/// A source of what `records` yields, in its order.
///
/// An iterator is one split: partition 0 reads it and the others end at once; `rebalance` spreads
/// its records. `next` is called on the partition's thread, so it must not block.
pub fn iterator<I>(records: I) -> Iter<I::IntoIter>
where
    I: IntoIterator,
    I::IntoIter: Send + 'static,
    I::Item: Send + 'static,
{
    Iter { records: Some(records.into_iter()) }
}

/// Made by [`iterator`].
#[derive(Debug)]
pub struct Iter<I> {
    records: Option<I>,
}

impl<I> SourceConnector for Iter<I>
where
    I: Iterator + Send + 'static,
    I::Item: Send + 'static,
{
    type Item = I::Item;
    type Source = IteratorSource<I>;

    fn name(&self) -> String {
        "iterator".to_string()
    }

    fn open(&mut self, context: &TaskContext) -> Result<IteratorSource<I>> {
        let records = if context.partition == 0 { self.records.take() } else { None };
        Ok(IteratorSource { records })
    }
}

/// One partition's share of an iterator or a collection.
#[derive(Debug)]
pub struct IteratorSource<I> {
    /// `None` where there is nothing to read, or nothing any more.
    pub(super) records: Option<I>,
}

impl<I> Source for IteratorSource<I>
where
    I: Iterator + Send,
    I::Item: Send + 'static,
{
    type Item = I::Item;

    fn poll<E: Emit<I::Item>>(
        &mut self,
        max: usize,
        _: Nanos,
        out: &mut Collector<'_, E>,
    ) -> Result<Polled> {
        let Some(records) = &mut self.records else {
            return Ok(Polled::Done);
        };
        let emitted = out.emit_all(records.take(max));
        if emitted == max as u64 || !out.is_open() {
            return Ok(Polled::Ready);
        }
        // An iterator that ended once is not asked again: not every iterator is fused.
        self.records = None;
        Ok(Polled::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::{polled, test_context};

    #[test]
    fn partition_zero_reads_everything_in_order_and_the_others_are_done() {
        let mut connector = iterator(0..5);
        let mut first = connector.open(&test_context(0, 2)).unwrap();
        let mut second = connector.open(&test_context(1, 2)).unwrap();
        assert_eq!(polled(&mut second, 8, 0), (Polled::Done, vec![]));
        assert_eq!(polled(&mut first, 3, 0), (Polled::Ready, vec![0, 1, 2]));
        assert_eq!(polled(&mut first, 3, 0), (Polled::Done, vec![3, 4]));
        assert_eq!(polled(&mut first, 3, 0), (Polled::Done, vec![]));
    }

    #[test]
    fn an_iterator_that_ended_is_not_asked_again() {
        let mut turn = 0;
        let unfused = std::iter::from_fn(move || {
            turn += 1;
            (turn != 2).then_some(turn)
        });
        let mut source = iterator(unfused).open(&test_context(0, 1)).unwrap();
        assert_eq!(polled(&mut source, 4, 0), (Polled::Done, vec![1]));
        assert_eq!(polled(&mut source, 4, 0), (Polled::Done, vec![]));
    }
}
