//! `for_each`: a closure as a sink.

use std::marker::PhantomData;

use crate::dataflow::{Sink, SinkConnector, TaskContext};
use crate::error::Result;
use crate::record::Batch;
use crate::time::Nanos;

/// A sink that calls `action` with every record. Every partition calls its own clone, on its own
/// thread, so `action` must not block.
pub fn for_each<T, F>(action: F) -> ForEach<T, F>
where
    T: Send + 'static,
    F: FnMut(T) + Clone + Send + 'static,
{
    ForEach { action, _records: PhantomData }
}

/// Made by [`for_each`]; both the connector and one partition's end of it.
pub struct ForEach<T, F> {
    action: F,
    _records: PhantomData<fn(T)>,
}

impl<T, F> SinkConnector for ForEach<T, F>
where
    T: Send + 'static,
    F: FnMut(T) + Clone + Send + 'static,
{
    type Item = T;
    type Sink = ForEach<T, F>;

    fn name(&self) -> String {
        "for_each".to_string()
    }

    fn open(&mut self, _context: &TaskContext) -> Result<ForEach<T, F>> {
        Ok(for_each(self.action.clone()))
    }
}

impl<T, F> Sink for ForEach<T, F>
where
    T: Send + 'static,
    F: FnMut(T) + Clone + Send + 'static,
{
    type Item = T;

    #[inline(always)]
    fn try_take(&mut self, record: T) -> std::result::Result<(), T> {
        (self.action)(record);
        Ok(())
    }

    fn write(&mut self, batch: &mut Batch<T>, _now: Nanos) -> Result<()> {
        batch.records.drain(..).for_each(&mut self.action);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::test_context;

    #[test]
    fn every_partition_calls_its_own_clone_in_order() {
        let (seen, all) = std::sync::mpsc::channel();
        let mut calls = 0;
        let mut connector = for_each(move |record: u32| {
            calls += 1;
            seen.send((calls, record)).unwrap();
        });
        for partition in 0..2 {
            let mut sink = connector.open(&test_context(partition, 2)).unwrap();
            assert_eq!(sink.try_take(7), Ok(()));
            let mut batch = Batch::new();
            batch.push(8);
            sink.write(&mut batch, 0).unwrap();
            assert!(batch.is_empty());
        }
        drop(connector);
        assert_eq!(all.iter().collect::<Vec<_>>(), [(1, 7), (2, 8), (1, 7), (2, 8)]);
    }
}
