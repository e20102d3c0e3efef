//! Where a task's records come from: a source, or lanes.

use std::sync::Arc;

use crate::dataflow::source_head::SourceHead;
use crate::dataflow::{Polled, Source};
use crate::exchange::{Arrival, Gate, Mark, Pull, Receive, Swept};
use crate::hand_over::HandOver;
use crate::metrics::Tally;
use crate::record::Batch;
use crate::routing::{Move, MoveId};
use crate::time::Timestamp;
use crate::time::watermark::Progress;

/// What lanes have for their task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intake {
    /// A batch.
    Batch,
    /// Event time has come further.
    Progress(Progress),
    /// A barrier has come over all lanes.
    Barrier(u64),
    /// A mark has come from within the stage that the task is in.
    Mark(Mark),
    /// Nothing, and why.
    Nothing(Polled),
}

/// The lanes that a task reads. Called once a batch, on the partition's thread; never blocks.
pub trait Lanes<T, P>: Send {
    /// Fills `batch`, whose records have been worked off, or says why not.
    fn next(&mut self, batch: &mut Batch<T, P>) -> Intake;

    /// How many lanes there are.
    fn count(&self) -> usize;

    /// Index, among the task's inputs, of the edge that the batch in hand came over.
    fn edge_in_hand(&self) -> usize;

    /// The lane that it came over.
    fn lane_in_hand(&self) -> Option<usize>;

    /// Index, among the task's inputs, of the edge of a lane.
    fn edge_of(&self, lane: usize) -> usize;

    /// As [`Gate::waiting`].
    fn waiting(&self) -> usize;

    /// As [`Gate::watermark`].
    fn watermark(&self) -> Timestamp;

    /// As [`Gate::hold_back`].
    fn hold_back(&mut self, id: MoveId, batch: &mut Batch<T, P>);

    /// As [`Gate::free`].
    fn free(&mut self, id: MoveId, lane: usize);

    /// As [`Gate::begin_sweep`].
    fn begin_sweep(&mut self, moved: Arc<Move>);

    /// As [`Gate::sweep`].
    fn sweep(&mut self, pull: Pull<'_, T, P>, found: &mut dyn FnMut(Swept<T, P>) -> bool);
}

impl<T: Send, P: Send, R: Receive<T, P> + Send> Lanes<T, P> for Gate<T, P, R> {
    fn next(&mut self, batch: &mut Batch<T, P>) -> Intake {
        match Gate::next(self, batch) {
            Arrival::Batch => Intake::Batch,
            Arrival::Progress(progress) => Intake::Progress(progress),
            Arrival::Barrier(barrier) => Intake::Barrier(barrier),
            Arrival::Mark(mark) => Intake::Mark(mark),
            Arrival::Nothing => Intake::Nothing(Polled::Pending),
            Arrival::Ended => Intake::Nothing(Polled::Done),
        }
    }

    fn count(&self) -> usize {
        self.lanes()
    }

    fn edge_in_hand(&self) -> usize {
        Gate::edge_in_hand(self)
    }

    fn lane_in_hand(&self) -> Option<usize> {
        Gate::lane_in_hand(self)
    }

    fn edge_of(&self, lane: usize) -> usize {
        Gate::edge_of(self, lane)
    }

    fn waiting(&self) -> usize {
        Gate::waiting(self)
    }

    fn watermark(&self) -> Timestamp {
        Gate::watermark(self)
    }

    fn hold_back(&mut self, id: MoveId, batch: &mut Batch<T, P>) {
        Gate::hold_back(self, id, batch);
    }

    fn free(&mut self, id: MoveId, lane: usize) {
        Gate::free(self, id, lane);
    }

    fn begin_sweep(&mut self, moved: Arc<Move>) {
        Gate::begin_sweep(self, moved);
    }

    fn sweep(&mut self, pull: Pull<'_, T, P>, found: &mut dyn FnMut(Swept<T, P>) -> bool) {
        Gate::sweep(self, pull, found);
    }
}

/// The input of a task.
pub enum Input<T, P, S> {
    /// Records come in batches over lanes.
    Lanes {
        /// The lanes.
        lanes: Box<dyn Lanes<T, P>>,
        /// The moves of the state that heads the chain, if one does.
        moves: Option<Box<HandOver<T, P>>>,
    },
    /// A source emits into the chain.
    Source(SourceHead<S>),
}

impl<T, P, S> Input<T, P, S> {
    /// The input of a task that keeps no state by key.
    pub fn lanes(lanes: impl Lanes<T, P> + 'static) -> Self {
        Input::Lanes { lanes: Box::new(lanes), moves: None }
    }
}

impl<T, P, S> Input<T, P, S> {
    /// How far event time has come over its lanes.
    pub(super) fn watermark(&self) -> Timestamp {
        match self {
            Input::Lanes { lanes, .. } => lanes.watermark(),
            Input::Source(_) => Timestamp::MIN,
        }
    }
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
