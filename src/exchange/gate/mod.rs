//! A gate: merges the lanes that feed one task of one partition.

#[cfg(test)]
mod marks_test;
mod sweep;

use std::collections::VecDeque;

pub use sweep::{Pull, Swept};

use crate::exchange::lane::{LaneReceiver, Message, Receive};
use crate::exchange::mark::Mark;
use crate::exchange::planted::{Fault, is_planted};
use crate::record::{Batch, Never};
use crate::routing::MoveId;
use crate::time::Timestamp;
use crate::time::watermark::{Inputs, Progress};

/// What a gate has for its task.
#[derive(Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The batch was filled.
    Batch,
    /// Event time has come further, as all lanes together see it; the batch is as it was.
    Progress(Progress),
    /// This barrier has come on every lane that has not ended, and nothing behind it.
    Barrier(u64),
    /// This mark has come over a lane of an edge whose marks are [passed on](Gate::pass_marks_of),
    /// behind all that came before it.
    Mark(Mark),
    /// No lane has anything now.
    Nothing,
    /// Every lane has ended.
    Ended,
}

/// Whether the event time of an edge counts at a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EdgeTime {
    /// Time passes no record that may still come over it.
    Counts,
    /// It belongs to no time domain.
    Ignored,
}

/// Hands out batches of its lanes in turn, sends their buffers home, and tells event time as the
/// minimum over its lanes.
///
/// It keeps the rules of marks: a barrier waits for all lanes; a hold keeps time back until it is
/// released; what stands behind a resume waits until its hold has come, or the end of the lane that
/// would bring it; and nothing behind a reroute is taken before the donor has given, which then
/// [sweeps](Self::sweep).
pub struct Gate<T, P = Never, R = LaneReceiver<T, P>> {
    lanes: Vec<Lane<T, P, R>>,
    /// The lane to ask first, so that none starves.
    next: usize,
    live: usize,
    /// The lane whose buffer the task holds.
    in_hand: Option<usize>,
    /// Event time of each lane that counts, and of each hold.
    inputs: Inputs,
    /// Holds that have come and are not released.
    holds: Vec<Held>,
    /// The barrier that some lanes have shown and others have not.
    barrier: Option<u64>,
    sweeps: Vec<sweep::Sweep>,
}

/// A hold that is not released. Where a stage feeds a gate over several edges each has its own.
struct Held {
    id: MoveId,
    /// The edge over which it came.
    edge: usize,
    /// Its place among the inputs, if time of the edge counts.
    input: Option<usize>,
}

struct Lane<T, P, R> {
    receiver: R,
    /// What was taken from the lane and waits here, in order.
    queue: VecDeque<Message<T, P>>,
    /// Its end has come out.
    has_ended: bool,
    /// It has shown the barrier that others have not.
    is_at_barrier: bool,
    /// The move whose state has to come before anything of this lane.
    held_for: Option<MoveId>,
    edge: usize,
    /// The partition that feeds it.
    origin: usize,
    /// Its place among the inputs, if its time counts.
    input: Option<usize>,
    /// Marks that go through a stage are the task's.
    is_inside: bool,
}

impl<T, P, R: Receive<T, P>> Gate<T, P, R> {
    /// A gate over the lanes of one edge, in the order of their origins.
    pub fn new(lanes: Vec<R>) -> Self {
        Gate::over(vec![(lanes, EdgeTime::Counts)])
    }

    /// A gate over several edges, each with its lanes in the order of their origins.
    pub fn over(edges: Vec<(Vec<R>, EdgeTime)>) -> Self {
        let mut lanes = Vec::new();
        let mut timed = 0;
        for (edge, (receivers, time)) in edges.into_iter().enumerate() {
            for (origin, receiver) in receivers.into_iter().enumerate() {
                let input = (time == EdgeTime::Counts).then_some(timed);
                timed += usize::from(input.is_some());
                lanes.push(Lane {
                    receiver,
                    queue: VecDeque::new(),
                    has_ended: false,
                    is_at_barrier: false,
                    held_for: None,
                    edge,
                    origin,
                    input,
                    is_inside: false,
                });
            }
        }
        Gate {
            next: 0,
            live: lanes.len(),
            inputs: Inputs::new(timed),
            lanes,
            in_hand: None,
            holds: Vec::new(),
            barrier: None,
            sweeps: Vec::new(),
        }
    }

    /// Hands marks of moves that come over `edge` out to the task, which passes them on: the edge
    /// lies within a stage.
    pub fn pass_marks_of(&mut self, edge: usize) {
        let lanes = self.lanes.iter_mut().filter(|lane| lane.edge == edge);
        lanes.for_each(|lane| lane.is_inside = true);
    }

    /// Goes on from `watermark`: time does not go back to where its lanes begin, which are new.
    pub fn go_on_from(&mut self, watermark: Timestamp) {
        self.inputs.go_on_from(watermark);
    }

    /// How far event time has come over all its lanes.
    pub fn watermark(&self) -> Timestamp {
        self.inputs.watermark()
    }

    /// How many lanes it has; those of one edge lie together, in the order of their origins.
    pub fn lanes(&self) -> usize {
        self.lanes.len()
    }

    /// Index of the edge that the batch in hand came over.
    pub fn edge_in_hand(&self) -> usize {
        self.in_hand.map_or(0, |index| self.lanes[index].edge)
    }

    /// Index of the edge of a lane.
    pub fn edge_of(&self, lane: usize) -> usize {
        self.lanes[lane].edge
    }

    /// Messages that wait in all lanes.
    pub fn waiting(&self) -> usize {
        self.lanes.iter().map(|lane| lane.receiver.waiting() + lane.queue.len()).sum()
    }

    /// The lane that the batch in hand came over, if there is one.
    pub fn lane_in_hand(&self) -> Option<usize> {
        self.in_hand
    }

    /// Puts the next batch into `batch`, whose records have been worked off by now and whose
    /// buffer goes home.
    ///
    /// What a batch says about event time counts from the call after the one that handed it out.
    /// The end of all lanes is told by [`Arrival::Ended`] alone, not as a watermark too.
    pub fn next(&mut self, batch: &mut Batch<T, P>) -> Arrival {
        debug_assert!(batch.is_empty(), "the task has worked off what it had");
        if let Some(index) = self.in_hand
            && let Some(progress) = self.tell(index, batch)
        {
            return Arrival::Progress(progress);
        }
        loop {
            let before = (self.holds.len(), self.live);
            if let Some(arrival) = self.ask_all(batch) {
                return arrival;
            }
            // What waited for a hold, or for an end, may come out now.
            if (self.holds.len(), self.live) == before {
                break;
            }
        }
        match self.aligned() {
            Some(barrier) => Arrival::Barrier(barrier),
            None if self.live == 0 => Arrival::Ended,
            None => Arrival::Nothing,
        }
    }

    /// Asks each lane once, and follows what is no batch.
    fn ask_all(&mut self, batch: &mut Batch<T, P>) -> Option<Arrival> {
        for _ in 0..self.lanes.len() {
            let index = self.next;
            self.next = if index + 1 == self.lanes.len() { 0 } else { index + 1 };
            while let Some(message) = self.take(index) {
                let arrival = self.follow(index, message, batch);
                if arrival.is_some() {
                    return arrival;
                }
            }
        }
        None
    }

    /// Takes back the batch in hand as it was handed out, and nothing more of its lane until the
    /// lane is [freed](Self::free): records of it have to wait for the state that comes with `id`.
    pub fn hold_back(&mut self, id: MoveId, batch: &mut Batch<T, P>) {
        let index = self.in_hand.take().expect("a batch that is held back was handed out");
        self.put_back(index, Message::Batch(std::mem::take(batch)));
        self.lanes[index].held_for = Some(id);
    }

    /// Lets a lane go on that was held back for `id`.
    pub fn free(&mut self, id: MoveId, lane: usize) {
        let held_for = &mut self.lanes[lane].held_for;
        if *held_for == Some(id) {
            *held_for = None;
        }
    }

    /// The next message of a lane, if there is one and it may come out.
    #[inline]
    fn take(&mut self, index: usize) -> Option<Message<T, P>> {
        let lane = &mut self.lanes[index];
        if lane.has_ended || lane.is_at_barrier || lane.held_for.is_some() {
            return None;
        }
        if !lane.queue.is_empty() || !self.sweeps.is_empty() {
            return self.take_queued(index);
        }
        let message = lane.receiver.try_recv()?;
        if let Message::Mark(mark) = &message
            && !self.may_pass(index, mark)
        {
            self.put_back(index, message);
            return None;
        }
        Some(message)
    }

    /// As [`take`](Self::take), where messages of the lane may wait here already.
    fn take_queued(&mut self, index: usize) -> Option<Message<T, P>> {
        if self.sweeps.iter().any(|sweep| !sweep.has_passed(index)) {
            return None;
        }
        if self.lanes[index].queue.is_empty() {
            let message = self.lanes[index].receiver.try_recv()?;
            self.put_back(index, message);
        }
        if let Some(Message::Mark(mark)) = self.lanes[index].queue.front()
            && !self.may_pass(index, mark)
        {
            return None;
        }
        self.sweeps.iter_mut().for_each(|sweep| sweep.front_left(index));
        self.lanes[index].queue.pop_front()
    }

    /// Puts a message back in front of its lane.
    fn put_back(&mut self, index: usize, message: Message<T, P>) {
        self.lanes[index].queue.push_front(message);
        self.sweeps.iter_mut().for_each(|sweep| sweep.front_came(index));
    }

    /// Whether a mark in front of a lane may come out, and what is behind it.
    fn may_pass(&self, index: usize, mark: &Mark) -> bool {
        match mark {
            Mark::Reroute { .. } => is_planted(Fault::LanePoppedPastMarker),
            Mark::Resume { .. } if self.lanes[index].is_inside => true,
            Mark::Resume { id, donor, .. } => {
                is_planted(Fault::NoResumeWait)
                    || self.has_hold(*id, self.lanes[index].edge)
                    || self.lanes[self.lane_of(index, *donor)].has_ended
            }
            Mark::Barrier(_) | Mark::Hold { .. } | Mark::Release { .. } => true,
        }
    }

    fn has_hold(&self, id: MoveId, edge: usize) -> bool {
        let is_any = is_planted(Fault::HoldOfAnyEdge);
        self.holds.iter().any(|held| held.id == id && (held.edge == edge || is_any))
    }

    /// The lane of partition `origin`, among those of the edge of lane `index`.
    fn lane_of(&self, index: usize, origin: usize) -> usize {
        index - self.lanes[index].origin + origin
    }

    /// What a message that came out means for the task, if anything.
    fn follow(
        &mut self,
        index: usize,
        message: Message<T, P>,
        batch: &mut Batch<T, P>,
    ) -> Option<Arrival> {
        let progress = match message {
            Message::Batch(arrived) => return Some(self.arrive(index, arrived, batch)),
            Message::End => self.end(index, batch),
            Message::Mark(mark)
                if self.lanes[index].is_inside && mark.through_stage().is_some() =>
            {
                return Some(Arrival::Mark(mark));
            }
            Message::Mark(Mark::Hold { id, watermark, .. }) => self.hold(index, id, watermark),
            Message::Mark(Mark::Release { id, .. }) => self.release(index, id),
            Message::Mark(Mark::Barrier(barrier)) => {
                debug_assert!(self.barrier.is_none_or(|open| open == barrier), "one at a time");
                self.barrier = Some(barrier);
                self.lanes[index].is_at_barrier = true;
                None
            }
            Message::Mark(Mark::Resume { .. } | Mark::Reroute { .. }) => None,
        };
        progress.map(Arrival::Progress)
    }

    fn arrive(&mut self, index: usize, arrived: Batch<T, P>, batch: &mut Batch<T, P>) -> Arrival {
        if !arrived.is_empty()
            && let Some(input) = self.lanes[index].input
            && let Some(progress) = self.inputs.set_active(input)
        {
            self.put_back(index, Message::Batch(arrived));
            self.next = index;
            return Arrival::Progress(progress);
        }
        let emptied = std::mem::replace(batch, arrived);
        self.send_home(emptied);
        self.in_hand = Some(index);
        Arrival::Batch
    }

    /// What follows for all lanes from what `batch` says of the lane at `index`, one thing at a
    /// time.
    fn tell(&mut self, index: usize, batch: &mut Batch<T, P>) -> Option<Progress> {
        let input = self.lanes[index].input?;
        if let Some(time) = batch.watermark.take()
            && let Some(progress) = self.inputs.advance(input, time)
        {
            return Some(progress);
        }
        if std::mem::take(&mut batch.goes_idle) { self.inputs.set_idle(input) } else { None }
    }

    fn hold(&mut self, index: usize, id: MoveId, watermark: Timestamp) -> Option<Progress> {
        let Lane { edge, input, .. } = self.lanes[index];
        let (input, progress) = match input.map(|_| self.inputs.hold(watermark)) {
            Some((input, progress)) => (Some(input), progress),
            None => (None, None),
        };
        self.holds.push(Held { id, edge, input });
        progress
    }

    /// Ends a hold; a donor that had ended sent none.
    fn release(&mut self, index: usize, id: MoveId) -> Option<Progress> {
        let edge = self.lanes[index].edge;
        let at = self.holds.iter().position(|held| held.id == id && held.edge == edge)?;
        let ended = self.inputs.end(self.holds.swap_remove(at).input?);
        ended.filter(|told| *told != Progress::Watermark(Timestamp::MAX))
    }

    /// The barrier that all live lanes have shown; they go on then.
    fn aligned(&mut self) -> Option<u64> {
        self.barrier?;
        if self.lanes.iter().any(|lane| !lane.has_ended && !lane.is_at_barrier) {
            return None;
        }
        self.lanes.iter_mut().for_each(|lane| lane.is_at_barrier = false);
        self.barrier.take()
    }

    fn end(&mut self, index: usize, batch: &mut Batch<T, P>) -> Option<Progress> {
        if self.in_hand == Some(index) {
            self.send_home(std::mem::take(batch));
        }
        self.lanes[index].has_ended = true;
        self.live -= 1;
        let ended = self.inputs.end(self.lanes[index].input?);
        ended.filter(|told| *told != Progress::Watermark(Timestamp::MAX))
    }

    fn send_home(&mut self, emptied: Batch<T, P>) {
        if let Some(index) = self.in_hand.take() {
            self.lanes[index].receiver.give_back(emptied);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::lane::{LaneSender, lane};

    fn send(sender: &mut LaneSender<u32>, record: u32) {
        let mut batch = sender.take_spare().unwrap_or_default();
        batch.push(record);
        sender.try_send(batch).expect("there is room");
    }

    #[test]
    fn lanes_take_turns_and_the_gate_ends_with_the_last() {
        let (mut first, receiver_a) = lane::<u32, Never>(4, None, None);
        let (mut second, receiver_b) = lane::<u32, Never>(4, None, None);
        let mut gate = Gate::new(vec![receiver_a, receiver_b]);
        for record in [1, 2] {
            send(&mut first, record);
            send(&mut second, record + 10);
        }
        assert!(first.try_end());
        let mut batch = Batch::new();
        let mut seen = Vec::new();
        while let Arrival::Batch = gate.next(&mut batch) {
            seen.append(&mut batch.records);
        }
        assert_eq!(seen, [1, 11, 2, 12]);
        assert!(matches!(gate.next(&mut batch), Arrival::Nothing));
        assert!(second.try_end());
        assert!(matches!(gate.next(&mut batch), Arrival::Ended));
    }

    #[test]
    fn buffers_go_back_to_the_lane_they_came_from() {
        let (mut first, receiver_a) = lane::<u32, Never>(4, None, None);
        let (mut second, receiver_b) = lane::<u32, Never>(4, None, None);
        let mut gate = Gate::new(vec![receiver_a, receiver_b]);
        send(&mut first, 1);
        send(&mut second, 2);
        let mut batch = Batch::new();
        assert!(matches!(gate.next(&mut batch), Arrival::Batch));
        batch.records.clear();
        assert!(first.take_spare().is_none());
        assert!(matches!(gate.next(&mut batch), Arrival::Batch));
        assert!(first.take_spare().is_some());
        assert!(second.take_spare().is_none());
    }
}
