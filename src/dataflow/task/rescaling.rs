//! What a task does when its job is laid out anew: it goes on over other lanes, with what it kept
//! and what others give it.

use std::any::Any;
use std::sync::Arc;

use crate::dataflow::input::Input;
use crate::dataflow::plan::BuildContext;
use crate::dataflow::task::{ChainTask, Phase, StepContext};
use crate::dataflow::{Chain, End, Flow, Handling, Signal, Task};
use crate::error::Result;
use crate::hand_over::{Parcel, Relay};
use crate::routing::{Move, MoveId, Units};
use crate::time::Timestamp;

/// What a task does in a new layout before anything enters.
#[derive(Default)]
pub(super) struct Settling {
    /// It has been told what time it is.
    knows_clock: bool,
    /// What was given to it and has not caught up with its time.
    given: Vec<MoveId>,
}

type InputOf<C> = Input<<C as Chain>::In, <C as Chain>::Partial, <C as Chain>::Source>;

impl<C: Chain, E: End<C::Out> + 'static> ChainTask<C, E> {
    /// The task of this type that `task` is.
    pub(in crate::dataflow) fn of(task: Box<dyn Task>) -> Self {
        let task: Box<dyn Any> = task;
        *task.downcast().expect("a task is laid out anew by whoever has built it")
    }

    /// A task of which nothing is kept; in a layout that is not the first it begins where the
    /// others are.
    pub(in crate::dataflow) fn fresh(
        input: InputOf<C>,
        chain: C,
        end: E,
        context: &BuildContext<'_>,
    ) -> Self {
        let mut task = ChainTask::new(input, chain, end);
        task.relay = Relay::over(context.places);
        if context.layout > 0 {
            task.settling = Some(Box::default());
            task.catch_up(Timestamp::MIN, context.watermark);
        }
        task
    }

    /// The same task over the lanes of another layout.
    pub(in crate::dataflow) fn over(
        self,
        context: &BuildContext<'_>,
        head: &mut impl FnMut(&BuildContext<'_>, Option<InputOf<C>>) -> Result<InputOf<C>>,
        end: &mut impl FnMut(&BuildContext<'_>, Option<E>) -> Result<E>,
    ) -> Result<Self> {
        let feeds_lanes = self.end.feeds_lanes();
        let known = self.input.watermark();
        let input = head(context, Some(self.input))?;
        let mut task = ChainTask {
            phase: self.phase,
            off: self.off,
            tallied: self.tallied,
            relay: Relay::over(context.places),
            sent_known: if feeds_lanes { Vec::new() } else { self.sent_known },
            ..ChainTask::new(input, self.chain, end(context, Some(self.end))?)
        };
        match task.phase {
            // Whoever reads the new lanes has to be told.
            Phase::Done if feeds_lanes => task.phase = Phase::Closing,
            Phase::Done => {}
            _ => task.catch_up(known, context.watermark),
        }
        Ok(task)
    }

    /// Event time stands at `watermark`, of which the chain knows up to `known`.
    fn catch_up(&mut self, known: Timestamp, watermark: Timestamp) {
        if let Input::Lanes { .. } = self.input
            && watermark > known
        {
            self.passing = Some(Signal::Watermark(watermark));
        }
    }
}

impl<C: Chain, E: End<C::Out>> ChainTask<C, E> {
    pub(super) fn give_parcel(&mut self, units: &Units) -> Option<Parcel> {
        self.follow_ranges();
        let Input::Lanes { moves: Some(_), .. } = &self.input else { return None };
        let mut parcel = None;
        self.chain.handle(Handling::Give { units, parcel: &mut parcel }, &mut self.end);
        parcel
    }

    pub(super) fn get_parcel(&mut self, moved: Arc<Move>, parcel: Parcel) {
        let settling = self
            .settling
            .get_or_insert_with(|| Box::new(Settling { knows_clock: true, given: Vec::new() }));
        settling.given.push(moved.id);
        self.chain.handle(Handling::Install { moved, parcel }, &mut self.end);
    }

    pub(super) fn close_at_once(&mut self) {
        self.phase = Phase::Closing;
        (self.settling, self.passing) = (None, None);
    }

    /// Lets what was given to it catch up; `true` once there is nothing left to do first.
    pub(super) fn settle_in(&mut self, step: &mut StepContext<'_>) -> Result<bool> {
        loop {
            if !self.is_free_of_signals() {
                return Ok(false);
            }
            let Some(settling) = &mut self.settling else { return Ok(true) };
            if !std::mem::replace(&mut settling.knows_clock, true) {
                self.pass(Signal::Clock(step.now), step)?;
                continue;
            }
            let Some(id) = settling.given.last().copied() else {
                self.settling = None;
                return Ok(true);
            };
            self.end.begin_slice(step.now, step.now);
            let flow = self.chain.handle(Handling::Thaw { id }, &mut self.end);
            self.end.end_slice(step)?;
            if flow == Flow::Done
                && let Some(settling) = &mut self.settling
            {
                settling.given.pop();
            }
        }
    }
}
