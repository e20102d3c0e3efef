//! How a task takes records in: from its source, or a batch at a time from its lanes.

use crate::dataflow::input::{Input, Intake};
use crate::dataflow::task::barrier::Barrier;
use crate::dataflow::task::{ChainTask, Phase, StepContext};
use crate::dataflow::{Chain, End, Flow, Polled, Signal};
use crate::error::Result;
use crate::time::Nanos;
use crate::time::watermark::Progress;

/// A step begins no batch after so long, even if more were allowed. With much work on each record a
/// turn would take milliseconds, and who waits for the partition would wait for that: its mailbox,
/// units that move, watermarks.
const STEP_NS: Nanos = 100_000;

impl<C: Chain, E: End<C::Out>> ChainTask<C, E> {
    /// Lets records in; returns how many, and whether there was anything.
    pub(super) fn take_in(&mut self, step: &mut StepContext<'_>) -> Result<(u64, bool)> {
        if self.owes_time {
            self.tell_time(step)?;
        }
        let (mut taken, mut moved) = (0, false);
        if self.is_free_of_signals() {
            (taken, moved) = self.run(step)?;
        }
        if self.has_moves() {
            // What came for units that have not settled.
            taken += self.work_off_moved(step)?;
        }
        Ok((taken, moved))
    }

    /// Works off batches until the input has none, the budget is spent, or end or chain closes.
    /// Returns how many records it took in, and whether there was a batch: one without records may
    /// have brought time, and more may wait behind it.
    fn run(&mut self, step: &mut StepContext<'_>) -> Result<(u64, bool)> {
        let (mut taken, mut moved) = (0, false);
        let until = step.now.saturating_add(STEP_NS);
        for _ in 0..step.batches_max {
            if !self.chain.is_open() {
                break;
            }
            let records = match self.input {
                Input::Lanes { .. } => self.work_off(step)?,
                Input::Source(_) => self.poll(step)?,
            };
            taken += records.unwrap_or(0);
            moved |= records.is_some();
            let is_over = records.is_none()
                || step.now >= until
                || self.phase != Phase::Running
                || self.barrier.is_some();
            if is_over || (!self.end.is_open() && !self.end.retry(step)?) {
                break;
            }
        }
        Ok((taken, moved))
    }

    /// Lets the source emit into the chain; returns how many records, `None` if it has none.
    fn poll(&mut self, step: &mut StepContext<'_>) -> Result<Option<u64>> {
        let Input::Source(source) = &mut self.input else { return Ok(None) };
        let before = source.given();
        self.end.begin_slice(step.now, step.now);
        let polled = self.chain.poll(source, step.now, &mut self.end)?;
        let given = source.given() - before;
        self.end.end_slice(step)?;
        self.input_wake_at = None;
        if given > 0 && polled != Polled::Done {
            return Ok(Some(given));
        }
        self.rest(polled, step.now);
        Ok((given > 0).then_some(given))
    }

    /// Works off the batch in hand as far as there is room; returns how many records of it, `None`
    /// if there is no batch.
    fn work_off(&mut self, step: &mut StepContext<'_>) -> Result<Option<u64>> {
        if self.batch.is_empty() && !self.fetch(step)? {
            return Ok(None);
        }
        let before = self.batch.len() as u64;
        self.batch.taken = step.now;
        self.end.begin_slice(self.batch.intake, step.now);
        if self.costs.as_mut().is_some_and(|costs| costs.takes_next()) {
            self.push_watched(step);
        } else {
            self.chain.push_batch(&mut self.batch, &mut self.end);
        }
        self.end.end_slice(step)?;
        Ok(Some(before - self.batch.len() as u64))
    }

    /// Takes the next batch into hand; `false` if there is none, or if what came first has not come
    /// through the chain.
    fn fetch(&mut self, step: &mut StepContext<'_>) -> Result<bool> {
        let edge = loop {
            let Input::Lanes { lanes, moves } = &mut self.input else { return Ok(false) };
            match lanes.next(&mut self.batch) {
                Intake::Batch => {
                    let edge = lanes.edge_in_hand();
                    if moves.as_ref().is_none_or(|moves| !moves.is_taking()) {
                        break edge;
                    }
                    if self.lets_in() {
                        break edge;
                    }
                }
                Intake::Barrier(barrier) => {
                    self.barrier = Some(Barrier::Arrived(barrier));
                    return Ok(false);
                }
                Intake::Mark(mark) => {
                    if !self.pass_on(mark, step)? {
                        return Ok(false);
                    }
                }
                Intake::Progress(progress) => {
                    let signal = match progress {
                        Progress::Watermark(time) => Signal::Watermark(time),
                        Progress::Idle => Signal::Idle,
                    };
                    if self.pass(signal, step)? == Flow::More || !self.end.is_open() {
                        return Ok(false);
                    }
                }
                Intake::Nothing(polled) => {
                    self.rest(polled, step.now);
                    return Ok(false);
                }
            }
        };
        step.now = step.clock.now();
        step.metrics.queue_wait(edge, self.batch.sent, step.now);
        step.metrics.received(edge, self.batch.len() as u64);
        Ok(true)
    }

    /// Notes why the input gives nothing.
    fn rest(&mut self, polled: Polled, now: Nanos) {
        match polled {
            Polled::Ready => self.input_wake_at = Some(now),
            Polled::Until(time) => self.input_wake_at = Some(time),
            Polled::Pending => {}
            Polled::Done => {
                self.is_input_over = true;
                if self.may_end() {
                    self.phase = Phase::LastTime;
                }
            }
        }
    }
}
