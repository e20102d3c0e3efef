//! The end of a task that writes to a sink.

use crate::dataflow::blame::Watch;
use crate::dataflow::{Emit, End, Meta, Sink, StepContext};
use crate::error::Result;
use crate::exchange::Mark;
use crate::exchange::planted::{Fault, is_planted};
use crate::metrics::Blocked;
use crate::record::{Batch, Never};
use crate::time::Nanos;
use crate::time::watermark::Progress;

/// Records gathered before a sink is called: twice the largest automatic batch, so that a chain
/// that makes one record of each is never cut short.
const SINK_BATCH: usize = 2_048;

/// Hands a chain's records to a sink: each as it comes if the sink takes it so, else a batch at a
/// time.
pub(super) struct SinkEnd<S: Sink> {
    sink: S,
    gathered: Batch<S::Item, Never>,
    /// Records that the sink took as they came and has not been told the number of.
    taken: u64,
    /// Records that may be gathered before nothing more is let in: none while what it has gathered
    /// is to be written first.
    room: usize,
    finished: bool,
    records: u64,
    batches: u64,
}

impl<S: Sink> SinkEnd<S> {
    /// Writes to `sink`.
    pub(super) fn new(sink: S) -> Self {
        SinkEnd {
            sink,
            gathered: Batch::new(),
            taken: 0,
            room: SINK_BATCH,
            finished: false,
            records: 0,
            batches: 0,
        }
    }

    fn write(&mut self, step: &mut StepContext<'_>) -> Result<()> {
        let before = self.gathered.len();
        let mut written = std::mem::take(&mut self.taken);
        if written > 0 {
            self.sink.count_taken(written);
        }
        let intake = self.gathered.intake;
        if before > 0 {
            self.sink.write(&mut self.gathered, step.now)?;
            written += (before - self.gathered.len()) as u64;
        }
        if written > 0 {
            self.records += written;
            self.batches += 1;
            step.now = step.clock.now();
            step.metrics.latency(intake, step.now, written);
        }
        Ok(())
    }
}

impl<S: Sink> Emit<S::Item> for SinkEnd<S> {
    #[inline(always)]
    fn push(&mut self, record: S::Item, _: Meta) {
        let watch = Watch::sink();
        let taken = self.sink.try_take(record);
        watch.over();
        match taken {
            Ok(()) => self.taken += 1,
            Err(record) => self.gathered.push(record),
        }
    }

    fn push_all(&mut self, records: &mut Vec<S::Item>, _: &mut Vec<S::Item>) {
        // No operator stands before the sink, so a batch is a batch already.
        if self.gathered.is_empty() {
            std::mem::swap(records, &mut self.gathered.records);
        } else {
            self.gathered.records.append(records);
        }
    }

    #[inline(always)]
    fn is_open(&self) -> bool {
        self.gathered.records.len() < self.room
    }
}

impl<S: Sink> End<S::Item> for SinkEnd<S> {
    fn begin_slice(&mut self, intake: Nanos, _: Nanos) {
        if self.gathered.is_empty() {
            self.gathered.intake = intake;
        }
    }

    fn end_slice(&mut self, step: &mut StepContext<'_>) -> Result<()> {
        self.write(step)
    }

    fn tell(&mut self, _: Progress) {}

    fn mark(&mut self, _: Mark) {
        if !is_planted(Fault::SinkNotFlushed) {
            self.room = 0;
        }
    }

    fn is_marking(&self) -> bool {
        self.room == 0
    }

    fn retry(&mut self, step: &mut StepContext<'_>) -> Result<bool> {
        self.write(step)?;
        if self.gathered.is_empty() {
            self.room = SINK_BATCH;
        }
        Ok(self.is_open())
    }

    fn settle(&mut self, _: Nanos) -> bool {
        false
    }

    fn finish(&mut self, step: &mut StepContext<'_>) -> Result<bool> {
        self.write(step)?;
        if self.gathered.is_empty() && !self.finished {
            self.finished = self.sink.finish(step.now)?;
        }
        Ok(self.finished)
    }

    fn feeds_lanes(&self) -> bool {
        false
    }

    fn wake_at(&self) -> Option<Nanos> {
        None
    }

    fn sent(&self) -> (u64, u64) {
        (self.records, self.batches)
    }

    fn sent_over(&self, _: usize) -> u64 {
        0 // It has no outputs.
    }

    fn blocked(&self) -> Blocked {
        Blocked::Outside
    }
}
