//! A gate: merges the lanes that feed one task of one partition.

use crate::exchange::lane::{LaneReceiver, Message};
use crate::record::{Batch, Never};
use crate::time::Timestamp;
use crate::time::watermark::{Inputs, Progress};

/// What a gate has for its task.
#[derive(Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The batch was filled.
    Batch,
    /// Event time has come further, as all lanes together see it; the batch is as it was.
    Progress(Progress),
    /// No lane has anything now.
    Nothing,
    /// Every lane has ended.
    Ended,
}

/// Hands out batches of its lanes in turn, sends their buffers home, and tells event time as the
/// minimum over its lanes.
pub struct Gate<T, P = Never> {
    /// `None` once the lane has ended.
    lanes: Vec<Option<LaneReceiver<T, P>>>,
    /// The lane to ask first, so that none starves.
    next: usize,
    live: usize,
    /// The lane whose buffer the task holds.
    in_hand: Option<usize>,
    /// Event time of each lane.
    inputs: Inputs,
    /// A batch that ends its lane's idleness, which is told first.
    held: Option<(usize, Batch<T, P>)>,
    /// Lanes of each edge; the lanes of one edge lie together.
    lanes_per_edge: usize,
}

impl<T, P> Gate<T, P> {
    /// A gate over the lanes of one edge, in any order.
    pub fn new(lanes: Vec<LaneReceiver<T, P>>) -> Self {
        Gate::over(vec![lanes])
    }

    /// A gate over several edges, each with equally many lanes.
    pub fn over(edges: Vec<Vec<LaneReceiver<T, P>>>) -> Self {
        let lanes_per_edge = edges.first().map_or(1, Vec::len);
        let lanes: Vec<_> = edges.into_iter().flatten().map(Some).collect();
        Gate {
            next: 0,
            live: lanes.len(),
            inputs: Inputs::new(lanes.len()),
            lanes,
            in_hand: None,
            held: None,
            lanes_per_edge,
        }
    }

    /// Index of the edge that the batch in hand came over.
    pub fn edge_in_hand(&self) -> usize {
        self.in_hand.unwrap_or(0) / self.lanes_per_edge
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
        if let Some((index, held)) = self.held.take() {
            return self.hand_out(index, held, batch);
        }
        for _ in 0..self.lanes.len() {
            let index = self.next;
            self.next = if index + 1 == self.lanes.len() { 0 } else { index + 1 };
            let Some(lane) = &mut self.lanes[index] else { continue };
            match lane.try_recv() {
                Some(Message::Batch(arrived)) => return self.arrive(index, arrived, batch),
                Some(Message::End) => {
                    if let Some(progress) = self.end(index, batch) {
                        return Arrival::Progress(progress);
                    }
                }
                None => {}
            }
        }
        if self.live == 0 { Arrival::Ended } else { Arrival::Nothing }
    }

    fn arrive(&mut self, index: usize, arrived: Batch<T, P>, batch: &mut Batch<T, P>) -> Arrival {
        if !arrived.is_empty()
            && let Some(progress) = self.inputs.set_active(index)
        {
            self.held = Some((index, arrived));
            return Arrival::Progress(progress);
        }
        self.hand_out(index, arrived, batch)
    }

    fn hand_out(&mut self, index: usize, arrived: Batch<T, P>, batch: &mut Batch<T, P>) -> Arrival {
        let emptied = std::mem::replace(batch, arrived);
        self.send_home(emptied);
        self.in_hand = Some(index);
        Arrival::Batch
    }

    /// What follows for all lanes from what `batch` says of the lane at `index`, one thing at a
    /// time.
    fn tell(&mut self, index: usize, batch: &mut Batch<T, P>) -> Option<Progress> {
        if let Some(time) = batch.watermark.take()
            && let Some(progress) = self.inputs.advance(index, time)
        {
            return Some(progress);
        }
        if std::mem::take(&mut batch.goes_idle) { self.inputs.set_idle(index) } else { None }
    }

    fn end(&mut self, index: usize, batch: &mut Batch<T, P>) -> Option<Progress> {
        if self.in_hand == Some(index) {
            self.send_home(std::mem::take(batch));
        }
        self.lanes[index] = None;
        self.live -= 1;
        self.inputs.end(index).filter(|told| *told != Progress::Watermark(Timestamp::MAX))
    }

    fn send_home(&mut self, emptied: Batch<T, P>) {
        if let Some(index) = self.in_hand.take()
            && let Some(lane) = &mut self.lanes[index]
        {
            lane.give_back(emptied);
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
