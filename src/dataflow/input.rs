//! Where a task's batches come from: a source, or a gate.

use crate::dataflow::{Polled, Source};
use crate::error::Result;
use crate::exchange::{Arrival, Gate};
use crate::metrics::Tally;
use crate::record::{Batch, Never};
use crate::time::Nanos;
use crate::time::watermark::Progress;

/// What an input has for its task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intake {
    /// A batch.
    Batch,
    /// Event time has come further.
    Progress(Progress),
    /// Nothing, and why.
    Nothing(Polled),
}

/// The input of a task. Called once a batch, on the partition's thread; never blocks.
pub trait Input<T, P>: Send {
    /// Fills `batch`, whose records have been worked off, or says why not.
    ///
    /// # Errors
    /// What a source reports. It fails the job.
    fn next(&mut self, now: Nanos, batch: &mut Batch<T, P>) -> Result<Intake>;

    /// Index, among the task's inputs, of the edge that the batch in hand came over; `None` at a
    /// source.
    fn edge_in_hand(&self) -> Option<usize>;

    /// Adds what a source has read since the start to `tally`.
    fn count(&self, tally: &mut Tally) {
        let _ = tally;
    }

    /// Asks a source to end; what it has handed out is still worked off. Gates end by themselves.
    fn drain(&mut self);
}

impl<T: Send, P: Send> Input<T, P> for Gate<T, P> {
    fn next(&mut self, _: Nanos, batch: &mut Batch<T, P>) -> Result<Intake> {
        Ok(match Gate::next(self, batch) {
            Arrival::Batch => Intake::Batch,
            Arrival::Progress(progress) => Intake::Progress(progress),
            Arrival::Nothing => Intake::Nothing(Polled::Pending),
            Arrival::Ended => Intake::Nothing(Polled::Done),
        })
    }

    fn edge_in_hand(&self) -> Option<usize> {
        Some(Gate::edge_in_hand(self))
    }

    fn drain(&mut self) {}
}

/// A source as an input: stamps what it makes.
pub(super) struct SourceInput<S> {
    source: S,
    /// Records per poll.
    max: usize,
    /// Records that it gave.
    given: u64,
    draining: bool,
    ended: bool,
}

impl<S: Source> SourceInput<S> {
    /// Polls `source` for at most `max` records at a time.
    pub(super) fn new(source: S, max: usize) -> Self {
        SourceInput { source, max, given: 0, draining: false, ended: false }
    }
}

impl<S: Source> Input<S::Item, Never> for SourceInput<S> {
    fn next(&mut self, now: Nanos, batch: &mut Batch<S::Item>) -> Result<Intake> {
        if self.draining || self.ended {
            return Ok(Intake::Nothing(Polled::Done));
        }
        batch.intake = now;
        let polled = self.source.poll(self.max, now, batch)?;
        if batch.is_empty() {
            return Ok(Intake::Nothing(polled));
        }
        self.given += batch.len() as u64;
        // The last records are worked off first.
        self.ended = polled == Polled::Done;
        Ok(Intake::Batch)
    }

    fn edge_in_hand(&self) -> Option<usize> {
        None
    }

    fn count(&self, tally: &mut Tally) {
        self.source.count(self.given, tally);
    }

    fn drain(&mut self) {
        self.draining = true;
    }
}
