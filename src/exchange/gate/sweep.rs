//! Sweeps: taking the records of units that have left out of what is queued for a task.

use std::sync::Arc;

use crate::exchange::gate::Gate;
use crate::exchange::lane::{Message, Receive};
use crate::exchange::mark::Mark;
use crate::exchange::planted::{Fault, is_planted};
use crate::record::Batch;
use crate::routing::{Move, MoveId, Units};

/// Moves records of some units from one batch to another.
pub type Pull<'a, T, P> = &'a mut dyn FnMut(&Units, &mut Batch<T, P>, &mut Batch<T, P>);

/// What a sweep finds.
#[derive(Debug)]
pub enum Swept<T, P> {
    /// Records of the move's units, in the order of the lane over which they came.
    Records {
        /// The move.
        id: MoveId,
        /// The lane.
        lane: usize,
        /// The records, none other.
        batch: Batch<T, P>,
    },
    /// The lane brings none of them any more.
    Seen {
        /// The move.
        id: MoveId,
        /// The lane.
        lane: usize,
    },
}

/// A donor has given; what comes for it until each lane shows the move's reroute, or ends, belongs
/// to the taker.
pub(super) struct Sweep {
    moved: Arc<Move>,
    /// By lane, how many of the messages that wait there it has looked at; `None`: it is done with
    /// the lane.
    passed: Vec<Option<usize>>,
    /// Holds that it has passed, each with its edge.
    holds: Vec<(MoveId, usize)>,
}

impl Sweep {
    /// Whether it has looked at what is in front of a lane.
    pub(super) fn has_passed(&self, lane: usize) -> bool {
        self.passed[lane] != Some(0)
    }

    /// The message in front of a lane has left.
    pub(super) fn front_left(&mut self, lane: usize) {
        if let Some(passed) = &mut self.passed[lane] {
            *passed -= 1;
        }
    }

    /// A message that it has looked at is in front of a lane again.
    pub(super) fn front_came(&mut self, lane: usize) {
        if let Some(passed) = &mut self.passed[lane] {
            *passed += 1;
        }
    }
}

/// What comes of looking at one message.
enum Look<T, P> {
    Pass,
    Found(Batch<T, P>),
    /// It may not be passed yet.
    Stop,
    /// The lane is done with; the message goes.
    Marker,
    /// The lane is done with; the message stays.
    End,
}

impl<T, P, R: Receive<T, P>> Gate<T, P, R> {
    /// Takes what belongs to the units of `moved` out of what comes from now on. The batch in hand
    /// is the task's.
    pub fn begin_sweep(&mut self, moved: Arc<Move>) {
        let passed = vec![Some(0); self.lanes.len()];
        self.sweeps.push(Sweep { moved, passed, holds: Vec::new() });
    }

    /// Whether a sweep is under way.
    #[cfg(test)]
    pub fn is_sweeping(&self) -> bool {
        !self.sweeps.is_empty()
    }

    /// Goes on with all sweeps. Looks at each message once, in order, and keeps no more of a lane
    /// here than it could hold itself and two more.
    ///
    /// * `pull` - moves the records of some units from one batch to another.
    /// * `found` - takes what was found; `false` if it has room for no more.
    pub fn sweep(&mut self, pull: Pull<'_, T, P>, found: &mut dyn FnMut(Swept<T, P>) -> bool) {
        let sweeps = 0..self.sweeps.len();
        let places = sweeps.flat_map(|at| (0..self.lanes.len()).map(move |lane| (at, lane)));
        for (at, lane) in places.collect::<Vec<_>>() {
            if !self.sweep_lane(at, lane, pull, found) {
                break;
            }
        }
        self.sweeps.retain(|sweep| sweep.passed.iter().any(Option::is_some));
    }

    /// Goes on with one sweep of one lane; `false` if there is room for no more finds.
    fn sweep_lane(
        &mut self,
        at: usize,
        lane: usize,
        pull: Pull<'_, T, P>,
        found: &mut dyn FnMut(Swept<T, P>) -> bool,
    ) -> bool {
        let id = self.sweeps[at].moved.id;
        while let Some(passed) = self.sweeps[at].passed[lane] {
            if self.is_at_back(lane, passed) && !self.queue_next(lane) {
                break;
            }
            let swept = match self.look(at, lane, passed, pull) {
                Look::Stop => break,
                Look::Pass => {
                    self.sweeps[at].passed[lane] = Some(passed + 1);
                    continue;
                }
                Look::Found(batch) => {
                    self.sweeps[at].passed[lane] = Some(passed + 1);
                    Swept::Records { id, lane, batch }
                }
                Look::Marker => {
                    self.drop_marker(at, lane, passed);
                    Swept::Seen { id, lane }
                }
                Look::End => {
                    self.sweeps[at].passed[lane] = None;
                    if is_planted(Fault::EndedFeederNotSeen) {
                        break;
                    }
                    Swept::Seen { id, lane }
                }
            };
            if !found(swept) {
                return false;
            }
        }
        true
    }

    /// Whether there is nothing behind the first `passed` messages of a lane, but may be.
    fn is_at_back(&self, lane: usize, passed: usize) -> bool {
        passed == self.lanes[lane].queue.len() && !self.lanes[lane].has_ended
    }

    /// Takes one more message of a lane to the others that wait; `false` if there is none, or no
    /// place for it.
    fn queue_next(&mut self, index: usize) -> bool {
        let lane = &mut self.lanes[index];
        let is_long = lane.queue.len() >= lane.receiver.capacity() + 2;
        if is_long && !is_planted(Fault::SweepUnbounded) {
            return false;
        }
        let Some(message) = lane.receiver.try_recv() else { return false };
        lane.queue.push_back(message);
        // One more where a batch that was held back has come back.
        assert!(lane.queue.len() <= lane.receiver.capacity() + 3, "a sweep is bounded");
        true
    }

    fn look(&mut self, at: usize, lane: usize, passed: usize, pull: Pull<'_, T, P>) -> Look<T, P> {
        if self.lanes[lane].has_ended {
            return Look::End;
        }
        let (sweep, edge) = (&mut self.sweeps[at], self.lanes[lane].edge);
        match &mut self.lanes[lane].queue[passed] {
            Message::Batch(batch) => {
                let mut pulled = Batch::new();
                pull(&sweep.moved.units, batch, &mut pulled);
                if pulled.is_empty() { Look::Pass } else { Look::Found(pulled) }
            }
            Message::End => Look::End,
            Message::Mark(Mark::Reroute { id }) if *id == sweep.moved.id => Look::Marker,
            Message::Mark(Mark::Hold { id, .. }) => {
                sweep.holds.push((*id, edge));
                Look::Pass
            }
            Message::Mark(Mark::Resume { id, donor, .. }) => {
                let (id, donor) = (*id, *donor);
                if self.has_hold_passed(at, lane, id, donor) { Look::Pass } else { Look::Stop }
            }
            Message::Mark(_) => Look::Pass,
        }
    }

    /// Whether what the donor of move `id` has sent lies behind a sweep, so that it may pass what
    /// the taker sends.
    fn has_hold_passed(&self, at: usize, lane: usize, id: MoveId, donor: usize) -> bool {
        let (sweep, edge) = (&self.sweeps[at], self.lanes[lane].edge);
        let donors = self.lane_of(lane, donor);
        let has_ended = self.lanes[donors].has_ended
            || (sweep.passed[donors].is_none()
                && matches!(self.lanes[donors].queue.back(), Some(Message::End)));
        let is_free = is_planted(Fault::SweepPastResume);
        self.has_hold(id, edge) || sweep.holds.contains(&(id, edge)) || has_ended || is_free
    }

    /// The marker of a sweep goes, and the sweep is done with the lane.
    fn drop_marker(&mut self, at: usize, lane: usize, place: usize) {
        drop(self.lanes[lane].queue.remove(place));
        self.sweeps[at].passed[lane] = None;
        for sweep in &mut self.sweeps {
            if let Some(passed) = &mut sweep.passed[lane]
                && *passed > place
            {
                *passed -= 1;
            }
        }
    }
}
