//! The side that gives.

use std::sync::Arc;

use crate::routing::Move;
use crate::time::Nanos;

/// How far a donor has come with a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It has learnt of it, and takes nothing in until it has given.
    Asked,
    /// Its hold is on the way onto the lanes behind it.
    Holding,
    /// It has given, and sweeps what comes; so many lanes are not seen to their marker yet.
    Sweeping(usize),
}

/// A move whose units this partition gives.
pub(super) struct Giving {
    pub(super) moved: Arc<Move>,
    pub(super) stage: Stage,
    /// Since when nothing of the units has been worked off.
    pub(super) since: Nanos,
}

impl Giving {
    pub(super) fn new(moved: Arc<Move>) -> Giving {
        Giving { moved, stage: Stage::Asked, since: 0 }
    }

    pub(super) fn has_given(&self) -> bool {
        matches!(self.stage, Stage::Sweeping(_))
    }
}
