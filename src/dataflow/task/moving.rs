//! What a keyed task does about moves: between two records, never within one.

use std::sync::Arc;

use crate::dataflow::input::Input;
use crate::dataflow::task::{ChainTask, Phase, Reply, StepContext};
use crate::dataflow::{Chain, End, Flow, Handling};
use crate::error::Result;
use crate::exchange::planted::{Fault, is_planted};
use crate::exchange::{Mark, Swept};
use crate::hand_over::{Arrived, Give, HandOver};
use crate::record::Batch;
use crate::routing::{Move, MoveId};

type Moves<C> = HandOver<<C as Chain>::In, <C as Chain>::Partial>;

impl<C: Chain, E: End<C::Out>> ChainTask<C, E> {
    fn moves(&mut self) -> Option<&mut Moves<C>> {
        match &mut self.input {
            Input::Lanes { moves, .. } => moves.as_deref_mut(),
            Input::Source(_) => None,
        }
    }

    /// Whether there is something to do about moves.
    #[inline]
    pub(super) fn has_moves(&self) -> bool {
        matches!(&self.input, Input::Lanes { moves: Some(moves), .. } if !moves.is_at_rest())
    }

    /// Whether nothing may enter because of moves.
    pub(super) fn is_pausing(&mut self) -> bool {
        self.moves().is_some_and(|moves| moves.is_pausing())
    }

    /// Whether units are about to be given.
    pub(super) fn is_giving(&mut self) -> bool {
        self.moves().is_some_and(|moves| moves.is_giving())
    }

    /// Whether the input may be taken for over: no units are under way, and none will be asked for.
    pub(super) fn may_end(&mut self) -> bool {
        self.moves().is_none_or(Moves::<C>::may_end)
    }

    /// Takes units on, unless its input is over: it would never end if it always had some to wait
    /// for.
    pub(super) fn offer(&mut self, moved: &Arc<Move>) -> Option<Reply> {
        let is_over = self.is_input_over || self.phase != Phase::Running;
        let moves = self.moves().filter(|moves| moves.domain() == moved.domain)?;
        if is_over {
            return Some(Reply::Refused(moved.id));
        }
        moves.accept(moved);
        Some(Reply::Accepted(moved.id))
    }

    pub(super) fn cancel(&mut self, id: MoveId) {
        if let Some(moves) = self.moves() {
            moves.cancel(id);
        }
    }

    /// Goes on with all moves as far as possible; returns how many records it worked off, and
    /// whether anything else moved.
    pub(super) fn hand_over(&mut self, step: &mut StepContext<'_>) -> Result<(u64, bool)> {
        let is_unseen = self.learn();
        let Some(moves) = self.moves() else { return Ok((0, false)) };
        let mut progressed = moves.send() | is_unseen;
        progressed |= self.close_released(step)?;
        progressed |= self.give(step)?;
        progressed |= self.sweep();
        progressed |= self.receive(step)?;
        let taken = self.work_off_moved(step)?;
        progressed |= self.thaw(step)?;
        Ok((taken, progressed))
    }

    /// Whether the chain and its end are free for something else than what is under way.
    fn is_free(&self) -> bool {
        self.is_free_of_signals() && self.chain.is_open()
    }

    /// Gives the units that have been asked for, once nothing of them is under way here.
    fn give(&mut self, step: &mut StepContext<'_>) -> Result<bool> {
        let mut progressed = false;
        loop {
            let is_quiet = self.passing.is_none() || is_planted(Fault::GiveBeforeQuiet);
            let has_left = !self.is_under_way() || is_planted(Fault::GiveBeforeHoldHasLeft);
            let is_held = !self.end.is_marking() && has_left || is_planted(Fault::GiveBeforeHold);
            let Some(moves) = self.moves() else { return Ok(progressed) };
            if !is_quiet || !is_held {
                return Ok(progressed);
            }
            match moves.next_to_give(step.now) {
                None => return Ok(progressed),
                Some(Give::Hold(id, domain)) => self.mark(Mark::hold(id, domain), step)?,
                Some(Give::Units(moved)) => {
                    let moved = Arc::clone(moved);
                    self.give_units(&moved);
                }
            }
            progressed = true;
        }
    }

    /// Puts a mark behind everything that was emitted.
    fn mark(&mut self, mark: Mark, step: &mut StepContext<'_>) -> Result<()> {
        if let Some(relay) = &mut self.relay {
            relay.enter(mark);
        }
        self.end.mark(mark);
        self.end.retry(step)?;
        Ok(())
    }

    /// Whether a hold or a release is still on its way through the stage.
    fn is_under_way(&self) -> bool {
        self.relay.as_ref().is_some_and(|relay| relay.is_under_way())
    }

    /// Puts a mark that has come from within the stage behind everything that was emitted, unless
    /// it is one that waits for other inputs, or has gone on; `false` if it waits for room.
    pub(super) fn pass_on(&mut self, mark: Mark, step: &mut StepContext<'_>) -> Result<bool> {
        debug_assert!(self.chain.is_quiet(), "what holds records back pins state before it");
        let goes_on = self.relay.as_mut().is_some_and(|relay| relay.pass(mark));
        if goes_on {
            self.end.mark(mark);
            return self.end.retry(step);
        }
        Ok(true)
    }

    /// Tells whoever heads the stage that marks have left it here; `true` if there were any.
    pub(super) fn note_left(&mut self) -> bool {
        let Some(relay) = &mut self.relay else { return false };
        !self.end.is_marking() && relay.leave()
    }

    fn give_units(&mut self, moved: &Arc<Move>) {
        let (chain, end, batch) = (&mut self.chain, &mut self.end, &mut self.batch);
        let Input::Lanes { lanes, moves: Some(moves) } = &mut self.input else { return };
        let mut parcel = None;
        chain.handle(Handling::Give { units: &moved.units, parcel: &mut parcel }, end);
        moves.give(moved.id, parcel.expect("units that are asked for are given"));
        // The batch in hand comes before everything that is queued.
        if let Some(lane) = lanes.lane_in_hand()
            && !is_planted(Fault::BatchInHandNotSwept)
        {
            let mut pulled = Batch::new();
            let units = &moved.units;
            chain.handle(Handling::Pull { units, from: batch, to: &mut pulled }, end);
            if !pulled.is_empty() {
                moves.forward(Swept::Records { id: moved.id, lane, batch: pulled }, true);
            }
        }
        lanes.begin_sweep(Arc::clone(moved));
    }

    /// Looks through what is queued for records of units that have left.
    fn sweep(&mut self) -> bool {
        let (chain, end) = (&mut self.chain, &mut self.end);
        let Input::Lanes { lanes, moves: Some(moves) } = &mut self.input else { return false };
        let mut has_found = false;
        if moves.has_room() {
            lanes.sweep(
                &mut |units, from, to| {
                    chain.handle(Handling::Pull { units, from, to }, end);
                },
                &mut |swept| {
                    has_found = true;
                    moves.forward(swept, false)
                },
            );
        }
        moves.send() || has_found
    }

    /// Takes what donors have sent.
    fn receive(&mut self, step: &mut StepContext<'_>) -> Result<bool> {
        let mut progressed = false;
        while self.is_free() {
            let Input::Lanes { lanes, moves: Some(moves) } = &mut self.input else { break };
            if moves.is_giving() {
                break;
            }
            match moves.receive(step.now) {
                None => break,
                Some(Arrived::State { moved, parcel }) => {
                    self.follow_ranges_to_take();
                    let Move { id, domain, donor, .. } = *moved;
                    self.chain.handle(Handling::Install { moved, parcel }, &mut self.end);
                    self.mark(Mark::Resume { id, domain, donor }, step)?;
                    if is_planted(Fault::ReleaseBeforeOutputs) {
                        self.mark(Mark::Release { id, domain }, step)?;
                    }
                }
                Some(Arrived::Seen { id, lane }) => lanes.free(id, lane),
                Some(Arrived::Records) => {}
            }
            progressed = true;
        }
        Ok(progressed)
    }

    /// Works off records of moved units, as far as there is room; returns how many.
    pub(super) fn work_off_moved(&mut self, step: &mut StepContext<'_>) -> Result<u64> {
        let mut taken = 0;
        while self.is_free() {
            let Input::Lanes { lanes, moves: Some(moves) } = &mut self.input else { break };
            if moves.is_giving() {
                break;
            }
            let Some((id, lane, is_received, batch)) = moves.next_records() else { break };
            let before = batch.len() as u64;
            if !std::mem::replace(is_received, true) {
                step.metrics.received(lanes.edge_of(lane), before);
            }
            batch.taken = step.now;
            self.end.begin_slice(batch.intake, step.now);
            self.chain.handle(Handling::Push { id, batch }, &mut self.end);
            taken += before - batch.len() as u64;
            self.end.end_slice(step)?;
            if !self.end.is_open() && !self.end.retry(step)? {
                break;
            }
        }
        Ok(taken)
    }

    /// Lets units of which everything is here catch up with the time of the partition.
    fn thaw(&mut self, step: &mut StepContext<'_>) -> Result<bool> {
        let mut progressed = false;
        while self.is_free() {
            let Some(moves) = self.moves() else { break };
            if moves.is_giving() {
                break;
            }
            let Some(id) = moves.next_to_thaw() else { break };
            progressed = true;
            self.end.begin_slice(step.now, step.now);
            let flow = self.chain.handle(Handling::Thaw { id }, &mut self.end);
            self.end.end_slice(step)?;
            if flow == Flow::More {
                break;
            }
            let Some(moves) = self.moves() else { break };
            moves.thawed(id);
            let domain = moves.domain();
            self.mark(Mark::Release { id, domain }, step)?;
            progressed |= self.close_released(step)?;
        }
        Ok(progressed)
    }

    /// Says of moves whose release is on all lanes that they are done.
    fn close_released(&mut self, step: &mut StepContext<'_>) -> Result<bool> {
        let has_left = !self.is_under_way() || is_planted(Fault::DoneBeforeReleaseHasLeft);
        if self.end.is_marking() || !has_left {
            return Ok(false);
        }
        let mut progressed = false;
        while let Some(report) = self.moves().and_then(Moves::<C>::close_released) {
            step.replies.push(Reply::Moved(report));
            progressed = true;
        }
        Ok(progressed)
    }

    /// Takes records of units that are on their way here out of the batch that has just come, so
    /// that those of other keys need not wait for what the donor still has. Where too many are kept
    /// already the batch goes back: then `false`.
    pub(super) fn lets_in(&mut self) -> bool {
        self.follow_ranges_to_take();
        let (chain, end, batch) = (&mut self.chain, &mut self.end, &mut self.batch);
        let Input::Lanes { lanes, moves: Some(moves) } = &mut self.input else { return true };
        let Some(lane) = lanes.lane_in_hand() else { return true };
        let expected: Vec<_> =
            moves.expected(lane).map(|(moved, has_room)| (Arc::clone(moved), has_room)).collect();
        for (moved, has_room) in expected {
            let (units, mut is_found) = (&moved.units, false);
            chain.handle(Handling::Find { units, batch: &*batch, is_found: &mut is_found }, end);
            if !is_found {
                continue;
            }
            if !has_room {
                lanes.hold_back(moved.id, batch);
                return false;
            }
            let mut pulled = Batch::new();
            chain.handle(Handling::Pull { units, from: batch, to: &mut pulled }, end);
            moves.keep(moved.id, lane, pulled);
        }
        true
    }
}
