//! Marks: what has to keep its place among the records of a lane, but is none.

use crate::routing::MoveId;
use crate::time::Timestamp;

/// A mark on a lane. `hand_over` says what those of a move are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// What lies before it belongs to the checkpoint of this number, what lies behind it does not.
    /// From [`STOPS`] on: nothing lies behind it, since whoever has sent it has stopped.
    Barrier(u64),
    /// From its feeder, to the donor: records of the move's units go to the taker from here on.
    Reroute {
        /// The move.
        id: MoveId,
    },
    /// From the donor: nothing of the moved units follows. Until they are released time must not
    /// pass `watermark`, since the taker may emit what is later than that only.
    Hold {
        /// The move.
        id: MoveId,
        /// Index of its domain.
        domain: usize,
        /// How far the donor has told time.
        watermark: Timestamp,
    },
    /// From the taker: what follows may be of the moved units. It has to wait for what the donor
    /// has sent.
    Resume {
        /// The move.
        id: MoveId,
        /// Index of its domain.
        domain: usize,
        /// The partition over whose lane the hold comes.
        donor: usize,
    },
    /// From the taker: the moved units have come as far as its watermark.
    Release {
        /// The move.
        id: MoveId,
        /// Index of its domain.
        domain: usize,
    },
}

/// Barriers from this number on stop the tasks that they come through.
pub const STOPS: u64 = 1 << 63;

impl Mark {
    /// The hold of a move, of which the outbox knows how far time has come.
    pub fn hold(id: MoveId, domain: usize) -> Mark {
        Mark::Hold { id, domain, watermark: Timestamp::MIN }
    }

    /// The move and its domain, of a mark that goes through a stage: all that comes out of it lies
    /// before the mark or behind it.
    pub fn through_stage(&self) -> Option<(MoveId, usize)> {
        match *self {
            Mark::Hold { id, domain, .. }
            | Mark::Resume { id, domain, .. }
            | Mark::Release { id, domain } => Some((id, domain)),
            Mark::Barrier(_) | Mark::Reroute { .. } => None,
        }
    }
}
