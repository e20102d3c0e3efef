//! What goes from a donor to a taker, and over what.

use std::any::Any;
use std::collections::VecDeque;

use crate::exchange::pipe::{PipeReceiver, PipeSender, pipe};
use crate::exchange::wake::Wake;
use crate::record::Batch;
use crate::routing::MoveId;
use crate::time::Nanos;

/// The state of some units, as only their task knows it.
pub type Parcel = Box<dyn Any + Send>;

/// What goes from donor to taker, in this order for each move.
pub enum Cargo<T, P> {
    /// The units' state, first of all.
    State {
        /// The move.
        id: MoveId,
        /// Their state.
        parcel: Parcel,
        /// Since when nothing of the units has been worked off.
        since: Nanos,
    },
    /// Records of the units that had come over this lane of the donor's.
    Records {
        /// The move.
        id: MoveId,
        /// The lane.
        lane: usize,
        /// The records.
        batch: Batch<T, P>,
        /// The donor has counted them as received.
        is_received: bool,
    },
    /// None come over this lane any more.
    Seen {
        /// The move.
        id: MoveId,
        /// The lane.
        lane: usize,
    },
}

/// Messages that wait between two partitions, at most.
pub const PARCELS: usize = 16;

/// One partition's ends towards all others, by partition.
pub struct Docks<T, P> {
    pub(super) outgoing: Vec<Outgoing<T, P>>,
    pub(super) incoming: Vec<PipeReceiver<Cargo<T, P>>>,
    /// Messages that wait between two partitions, at most.
    pub(super) slots: usize,
}

/// The way to one taker.
pub(super) struct Outgoing<T, P> {
    pipe: PipeSender<Cargo<T, P>>,
    /// What had no room, in order.
    waiting: VecDeque<Cargo<T, P>>,
}

impl<T, P> Outgoing<T, P> {
    pub(super) fn push(&mut self, cargo: Cargo<T, P>) {
        self.waiting.push_back(cargo);
    }

    /// Sends what there is room for; `true` if something went.
    pub(super) fn send(&mut self) -> bool {
        let before = self.waiting.len();
        while let Some(cargo) = self.waiting.pop_front() {
            if let Err(cargo) = self.pipe.try_send(cargo) {
                self.waiting.push_front(cargo);
                break;
            }
        }
        self.waiting.len() < before
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

/// The ends of all partitions that `wakes` wake, with `slots` messages between each two of them.
pub fn docks<T, P>(wakes: &[Wake], slots: usize) -> Vec<Docks<T, P>> {
    let mut docks: Vec<Docks<T, P>> =
        wakes.iter().map(|_| Docks { outgoing: Vec::new(), incoming: Vec::new(), slots }).collect();
    for from in 0..wakes.len() {
        for to in 0..wakes.len() {
            let producer = (from != to).then(|| wakes[from].clone());
            let consumer = (from != to).then(|| wakes[to].clone());
            let (sender, receiver) = pipe(slots, slots, producer, consumer);
            let waiting = VecDeque::new();
            docks[from].outgoing.push(Outgoing { pipe: sender, waiting });
            docks[to].incoming.push(receiver);
        }
    }
    docks
}
