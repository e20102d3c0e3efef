//! The side that gets.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::exchange::planted::{Fault, is_planted};
use crate::record::Batch;
use crate::routing::Move;
use crate::time::Nanos;

/// How far a taker has come with a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It has accepted, and lets nothing of the units in that comes by the new route.
    Waiting,
    /// It has the state, and works off what the donor forwards.
    Serving,
    /// All lanes are seen, and the units catch up with the time of the partition.
    Thawing,
    /// Its release is on the way onto the lanes behind it.
    Releasing,
}

/// A move whose units this partition gets.
pub(super) struct Taking<T, P> {
    pub(super) moved: Arc<Move>,
    pub(super) stage: Stage,
    /// By lane, whether all records of the units that the donor got over it are here.
    pub(super) seen: Vec<bool>,
    /// Records of the units that may be worked off, in order, with whether they are counted as
    /// received and the lane over which they came.
    pub(super) waiting: VecDeque<(usize, bool, Batch<T, P>)>,
    /// By lane, records that came directly over it before it was seen: they come behind what the
    /// donor still has of it.
    pub(super) early: Vec<VecDeque<Batch<T, P>>>,
    /// How long nothing of the units was worked off.
    pub(super) pause: Nanos,
    /// Records that came from the donor's queues.
    pub(super) stolen: u64,
}

impl<T, P> Taking<T, P> {
    pub(super) fn new(moved: Arc<Move>, lanes: usize) -> Self {
        Taking {
            moved,
            stage: Stage::Waiting,
            seen: vec![false; lanes],
            waiting: VecDeque::new(),
            early: (0..lanes).map(|_| VecDeque::new()).collect(),
            pause: 0,
            stolen: 0,
        }
    }

    /// Takes records that came directly over a lane, behind all that came over it before.
    pub(super) fn keep(&mut self, lane: usize, batch: Batch<T, P>) {
        if self.seen[lane] || is_planted(Fault::HeldBeforeSeen) {
            self.waiting.push_back((lane, false, batch));
        } else {
            self.early[lane].push_back(batch);
        }
    }

    /// All that the donor had of a lane is here.
    pub(super) fn see(&mut self, lane: usize) {
        self.seen[lane] = true;
        let early = self.early[lane].drain(..).map(|batch| (lane, false, batch));
        self.waiting.extend(early);
    }

    /// Whether its units may catch up with the partition.
    pub(super) fn has_all(&self) -> bool {
        self.stage == Stage::Serving
            && self.waiting.is_empty()
            && self.seen.iter().all(|seen| *seen)
    }
}
