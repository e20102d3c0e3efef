//! Barriers: what came before one is worked off before it goes on, and what comes behind one that
//! stops does not come.

use crate::dataflow::input::Input;
use crate::dataflow::task::{ChainTask, Phase, Reply, StepContext};
use crate::dataflow::{Chain, End};
use crate::error::Result;
use crate::exchange::{Mark, STOPS};

/// How far a barrier has come through a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Barrier {
    /// What is under way in the chain comes first.
    Arrived(u64),
    /// It is on its way onto the lanes.
    Leaving(u64),
}

impl<C: Chain, E: End<C::Out>> ChainTask<C, E> {
    /// Lets a barrier in, behind those that wait, if the task begins at a source.
    pub(super) fn let_barrier_in(&mut self, barrier: u64) {
        let Input::Source(_) = self.input else { return };
        if self.phase == Phase::Running {
            match self.barrier {
                Some(_) => self.barriers.push_back(barrier),
                None => self.barrier = Some(Barrier::Arrived(barrier)),
            }
        }
    }

    /// Calls a stop off, whether it has come through or is still to come.
    pub(super) fn call_off(&mut self, stop: u64) {
        self.off = stop;
        self.is_stopped = false;
    }

    /// Brings a barrier that has come in to the lanes behind it, once everything before it is
    /// there; `true` if something moved.
    pub(super) fn bring_barrier(&mut self, step: &mut StepContext<'_>) -> Result<bool> {
        match self.barrier {
            Some(Barrier::Arrived(barrier)) => {
                if self.passing.is_some() || !self.chain.is_quiet() {
                    return Ok(false);
                }
                self.end.mark(Mark::Barrier(barrier));
                self.barrier = Some(Barrier::Leaving(barrier));
                self.end.retry(step)?;
                // Nothing may come behind a stop.
                if barrier >= STOPS && !self.end.is_marking() {
                    self.passed(barrier, step);
                }
                Ok(true)
            }
            Some(Barrier::Leaving(barrier)) if !self.end.is_marking() => {
                self.passed(barrier, step);
                Ok(true)
            }
            Some(Barrier::Leaving(_)) | None => Ok(false),
        }
    }

    fn passed(&mut self, barrier: u64, step: &mut StepContext<'_>) {
        self.barrier = self.barriers.pop_front().map(Barrier::Arrived);
        self.is_stopped = barrier >= STOPS && barrier > self.off;
        step.replies.push(Reply::Passed(barrier));
    }
}
