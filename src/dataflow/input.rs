//! Where a task's records come from: a source, or lanes.

use crate::dataflow::source_head::SourceHead;
use crate::dataflow::{Polled, Source};
use crate::exchange::{Arrival, Gate};
use crate::metrics::Tally;
use crate::record::Batch;
use crate::time::watermark::Progress;

/// What lanes have for their task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intake {
    /// A batch.
    Batch,
    /// Event time has come further.
    Progress(Progress),
    /// Nothing, and why.
    Nothing(Polled),
}

/// The lanes that a task reads. Called once a batch, on the partition's thread; never blocks.
pub trait Lanes<T, P>: Send {
    /// Fills `batch`, whose records have been worked off, or says why not.
    fn next(&mut self, batch: &mut Batch<T, P>) -> Intake;

    /// Index, among the task's inputs, of the edge that the batch in hand came over.
    fn edge_in_hand(&self) -> usize;
}

impl<T: Send, P: Send> Lanes<T, P> for Gate<T, P> {
    fn next(&mut self, batch: &mut Batch<T, P>) -> Intake {
        match Gate::next(self, batch) {
            Arrival::Batch => Intake::Batch,
            Arrival::Progress(progress) => Intake::Progress(progress),
            Arrival::Nothing => Intake::Nothing(Polled::Pending),
            Arrival::Ended => Intake::Nothing(Polled::Done),
        }
    }

    fn edge_in_hand(&self) -> usize {
        Gate::edge_in_hand(self)
    }
}

/// The input of a task.
pub enum Input<T, P, S> {
    /// Records come in batches over lanes.
    Lanes(Box<dyn Lanes<T, P>>),
    /// A source emits into the chain.
    Source(SourceHead<S>),
}

impl<T, P, S: Source> Input<T, P, S> {
    /// Adds what a source has read since the start to `tally`.
    pub(super) fn count(&self, tally: &mut Tally) {
        if let Input::Source(source) = self {
            source.count(tally);
        }
    }

    /// Asks a source to end; what it has handed out is still worked off. Lanes end by themselves.
    pub(super) fn drain(&mut self) {
        if let Input::Source(source) = self {
            source.drain();
        }
    }
}
