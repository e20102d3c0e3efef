//! What a partition's loop sees of a task.

use std::any::Any;
use std::sync::Arc;

use crate::dataflow::Folded;
use crate::dataflow::task::{KeyTap, TaskLook};
use crate::error::Result;
use crate::hand_over::{MoveReport, Parcel};
use crate::metrics::TaskMetrics;
use crate::routing::{Move, MoveId, Units};
use crate::time::{Clock, Nanos, Timestamp};

/// What a task gets for one step.
pub struct StepContext<'a> {
    /// Monotonic nanoseconds, read at the latest batch hop.
    pub now: Nanos,
    /// Where to read them again.
    pub clock: &'a dyn Clock,
    /// What this task counts.
    pub metrics: &'a mut TaskMetrics,
    /// Batches that the step may take in.
    pub batches_max: usize,
    /// What it has to say to whoever controls the job.
    pub replies: &'a mut Vec<Reply>,
}

/// What a task is told by whoever controls the job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Take on units, if it keeps the state of this domain.
    Offer(Arc<Move>),
    /// Forget a move that it has accepted: it will not be.
    Cancel(MoveId),
    /// Cut a range of keys, if it keeps the state of this domain and the range is its
    /// partition's.
    Cut {
        /// Index of the domain.
        domain: usize,
        /// The key group that the range is.
        group: u16,
        /// Into about so many parts.
        parts: usize,
    },
    /// Let this barrier in, if it has a source: what that has given so far is before it. It stops
    /// tasks if it is one of those [that do](crate::exchange::STOPS).
    Barrier(u64),
    /// The stop of this number is off.
    GoOn(u64),
}

/// What a task says to whoever controls the job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It takes the units on, and waits for them.
    Accepted(MoveId),
    /// It does not: its input is over.
    Refused(MoveId),
    /// The units are here, and nothing of the move is left anywhere.
    Moved(MoveReport),
    /// The order to cut a range has been followed.
    Cut {
        /// Index of the domain.
        domain: usize,
        /// The key group that was to be cut.
        group: u16,
        /// Whether it was: there may be no reason to.
        is_cut: bool,
    },
    /// The barrier has come through this task.
    Passed(u64),
}

/// How a step left its task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// A record or a message was moved.
    pub progressed: bool,
    /// It could go on but for a full output.
    pub blocked: bool,
    /// The input is over and everything is out; the task is not stepped again.
    pub done: bool,
    /// When it wants to be stepped again at the latest.
    pub wake_at: Option<Nanos>,
}

/// One running task of one partition. Stepped on the partition's thread, in turns from the sinks
/// to the sources. Never blocks.
pub trait Task: Any + Send {
    /// Takes in at most [`StepContext::batches_max`] batches, as far as there is room for what
    /// they make.
    ///
    /// # Errors
    /// What its source or sink reports. It fails the job.
    fn step(&mut self, step: &mut StepContext<'_>) -> Result<Step>;

    /// Asks its source, if it has one, to end.
    fn drain(&mut self);

    /// Follows an order, if it is for this task, and says whether it does where that is asked.
    fn tell(&mut self, order: &Order) -> Option<Reply>;

    /// How it fares, if it keeps state by key.
    ///
    /// * `metrics` - what it has counted.
    /// * `with_sample` - also what its keys cost since the last such look; watched from the first
    ///   one on.
    fn look(&mut self, metrics: &TaskMetrics, with_sample: bool) -> Option<TaskLook> {
        let _ = (metrics, with_sample);
        None
    }

    /// Tells `tap` of all batches from now on, if it keeps the state of `domain` by key.
    fn listen(&mut self, domain: usize, tap: &KeyTap) {
        let _ = (domain, tap);
    }

    /// Adds how many records of each combined key it has folded since the start.
    fn folded(&self, folded: &mut Vec<Folded>) {
        let _ = folded;
    }

    /// Whether it has stopped: everything before the stop is worked off and out, and it does
    /// nothing until it goes on.
    fn is_stopped(&self) -> bool {
        false
    }

    /// How far event time has come on its input, if it reads lanes.
    fn watermark(&self) -> Timestamp {
        Timestamp::MIN
    }

    /// Gives everything that it keeps for these units, if it keeps state by key. It has stopped.
    fn give_all(&mut self, units: &Units) -> Option<Parcel> {
        let _ = units;
        None
    }

    /// Keeps what another instance gave of these units, before its first step in a layout.
    fn get_all(&mut self, moved: Arc<Move>, parcel: Parcel) {
        let _ = (moved, parcel);
    }

    /// There is nothing to be done by it but to end: others have come to their end before.
    fn end_at_once(&mut self) {}

    /// Finishes its sink, if it has one; `false` asks to be called again. It has stopped, and is
    /// dropped then.
    ///
    /// # Errors
    /// What the sink reports.
    fn retire(&mut self, step: &mut StepContext<'_>) -> Result<bool> {
        let _ = step;
        Ok(true)
    }
}
