//! A sink that folds the rows of each partition into an answer, and the answers into a whole.

use std::sync::{Arc, Mutex, PoisonError};

use crate::dataflow::{Sink, SinkConnector, TaskContext};
use crate::error::Result;
use crate::record::Batch;
use crate::time::Nanos;

/// What one partition's rows come to.
pub(crate) trait Answer: Send + 'static {
    /// What it takes.
    type Row: Send + 'static;
    /// What the answers of all partitions come to.
    type Whole: Default + Send + 'static;

    /// Takes a row.
    fn take(&mut self, row: Self::Row);

    /// Adds all that was taken to the whole.
    fn finish(self, whole: &mut Self::Whole);
}

/// The connector of the sinks of one run; `new` makes the empty answer of a partition.
pub(crate) struct Gather<N, W> {
    new: N,
    whole: Arc<Mutex<W>>,
}

/// Where the whole is found after the run.
pub(crate) struct Gathered<W> {
    whole: Arc<Mutex<W>>,
}

/// A sink for one run, and where its whole is found.
pub(crate) fn gather<A: Answer, N: Fn() -> A>(new: N) -> (Gather<N, A::Whole>, Gathered<A::Whole>) {
    let whole = Arc::default();
    (Gather { new, whole: Arc::clone(&whole) }, Gathered { whole })
}

impl<W: Default> Gathered<W> {
    /// The answers of all partitions that have finished.
    pub(crate) fn take(self) -> W {
        // A panic elsewhere cannot leave the whole half added to.
        std::mem::take(&mut *self.whole.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<A: Answer, N: Fn() -> A + Send + 'static> SinkConnector for Gather<N, A::Whole> {
    type Item = A::Row;
    type Sink = GatherSink<A>;

    fn name(&self) -> String {
        "gather".to_owned()
    }

    fn open(&mut self, _: &TaskContext) -> Result<GatherSink<A>> {
        Ok(GatherSink { answer: Some((self.new)()), whole: Arc::clone(&self.whole) })
    }
}

/// One partition's end of a [`Gather`].
pub(crate) struct GatherSink<A: Answer> {
    /// Until it is finished.
    answer: Option<A>,
    whole: Arc<Mutex<A::Whole>>,
}

impl<A: Answer> Sink for GatherSink<A> {
    type Item = A::Row;

    #[inline(always)]
    fn try_take(&mut self, row: A::Row) -> std::result::Result<(), A::Row> {
        match &mut self.answer {
            Some(answer) => {
                answer.take(row);
                Ok(())
            }
            None => Err(row),
        }
    }

    fn write(&mut self, batch: &mut Batch<A::Row>, _: Nanos) -> Result<()> {
        if let Some(answer) = &mut self.answer {
            batch.records.drain(..).for_each(|row| answer.take(row));
        }
        Ok(())
    }

    fn finish(&mut self, _: Nanos) -> Result<bool> {
        let mut whole = self.whole.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = self.answer.take() {
            answer.finish(&mut whole);
        }
        Ok(true)
    }
}
