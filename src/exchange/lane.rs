//! A lane: a bounded queue from one partition to one partition, for one edge.
//!
//! Data flows forward, emptied buffers flow back, so that steady state allocates nothing and no
//! allocator ever frees across threads. Grammar of a lane: `(Batch | Mark)* End`; a debug build
//! asserts it. The last slot is kept for control messages, so that one of them does not wait for
//! data room.

use std::sync::Arc;

#[cfg(not(millstream_loom))]
use crossbeam_queue::ArrayQueue;

use crate::exchange::mark::Mark;
use crate::exchange::pipe::{PipeReceiver, PipeSender, pipe};
#[cfg(millstream_loom)]
use crate::exchange::ring_model::ArrayQueue;
use crate::exchange::wake::Wake;
use crate::record::{Batch, Never};

/// What travels on a lane.
#[derive(Debug)]
pub enum Message<T, P = Never> {
    /// Records, in order.
    Batch(Batch<T, P>),
    /// Something that keeps its place among them.
    Mark(Mark),
    /// Nothing follows.
    End,
}

/// The producer's end. There is exactly one; it lives on one partition.
pub struct LaneSender<T, P = Never> {
    messages: PipeSender<Message<T, P>>,
    /// Emptied buffers on their way home.
    spares: Arc<ArrayQueue<Batch<T, P>>>,
    capacity: usize,
    ended: bool,
}

/// The consumer's end. There is exactly one; it lives on one partition.
pub struct LaneReceiver<T, P = Never> {
    messages: PipeReceiver<Message<T, P>>,
    spares: Arc<ArrayQueue<Batch<T, P>>>,
}

/// Makes a lane of `capacity` data batches (at least 1). `producer` and `consumer` wake the two
/// partitions; both are `None` on a lane from a partition to itself.
pub fn lane<T, P>(
    capacity: usize,
    producer: Option<Wake>,
    consumer: Option<Wake>,
) -> (LaneSender<T, P>, LaneReceiver<T, P>) {
    assert!(capacity >= 1, "a lane of {capacity} batches cannot carry data");
    let (sender, receiver) = pipe(capacity + 1, capacity, producer, consumer);
    // One batch per slot, one open at the producer, one in hand at the consumer.
    let spares = Arc::new(ArrayQueue::new(capacity + 2));
    let sender =
        LaneSender { messages: sender, spares: Arc::clone(&spares), capacity, ended: false };
    (sender, LaneReceiver { messages: receiver, spares })
}

impl<T, P> LaneSender<T, P> {
    /// Puts `batch` on the lane, or gives it back if all data slots are taken.
    pub fn try_send(&mut self, batch: Batch<T, P>) -> Result<(), Batch<T, P>> {
        debug_assert!(!self.ended, "batch after end");
        if self.messages.len() >= self.capacity {
            return Err(batch);
        }
        match self.messages.try_send(Message::Batch(batch)) {
            Ok(()) => Ok(()),
            Err(Message::Batch(batch)) => Err(batch),
            Err(_) => unreachable!("a refused message comes back as it was"),
        }
    }

    /// Puts `mark` on the lane; `false` if even the control slot is taken: try again next turn.
    pub fn try_mark(&mut self, mark: Mark) -> bool {
        debug_assert!(!self.ended, "mark after end");
        self.messages.try_send(Message::Mark(mark)).is_ok()
    }

    /// Ends the lane; `false` if even the control slot is taken: try again next turn.
    pub fn try_end(&mut self) -> bool {
        debug_assert!(!self.ended, "end after end");
        self.ended = self.messages.try_send(Message::End).is_ok();
        self.ended
    }

    /// Whether the consumer has taken everything so far.
    #[inline]
    pub fn is_dry(&self) -> bool {
        self.messages.is_empty()
    }

    /// Whether it leads to another partition.
    pub fn crosses(&self) -> bool {
        self.messages.crosses()
    }

    /// An emptied buffer that came home, if there is one.
    pub fn take_spare(&mut self) -> Option<Batch<T, P>> {
        self.spares.pop()
    }
}

/// A lane's consuming end, as a gate reads it.
pub trait Receive<T, P> {
    /// The next message, if there is one.
    fn try_recv(&mut self) -> Option<Message<T, P>>;

    /// Sends an emptied buffer home. If home is full of them, it is freed.
    fn give_back(&mut self, batch: Batch<T, P>);

    /// Data batches that the lane holds at most.
    fn capacity(&self) -> usize;

    /// Messages that wait in it.
    fn waiting(&self) -> usize;
}

impl<T, P> Receive<T, P> for LaneReceiver<T, P> {
    #[inline]
    fn try_recv(&mut self) -> Option<Message<T, P>> {
        LaneReceiver::try_recv(self)
    }

    #[inline]
    fn give_back(&mut self, batch: Batch<T, P>) {
        LaneReceiver::give_back(self, batch);
    }

    fn capacity(&self) -> usize {
        self.messages.full_at()
    }

    fn waiting(&self) -> usize {
        self.messages.len()
    }
}

impl<T, P> LaneReceiver<T, P> {
    /// The next message, if there is one.
    #[inline]
    pub fn try_recv(&mut self) -> Option<Message<T, P>> {
        self.messages.try_recv()
    }

    /// Whether nothing is waiting.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Sends an emptied buffer home. If home is full of them, it is freed.
    pub fn give_back(&mut self, mut batch: Batch<T, P>) {
        batch.clear();
        drop(self.spares.push(batch));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch_of(record: u32) -> Batch<u32> {
        let mut batch = Batch::new();
        batch.push(record);
        batch
    }

    fn one_lane(capacity: usize) -> (LaneSender<u32>, LaneReceiver<u32>) {
        lane(capacity, None, None)
    }

    #[test]
    fn full_lane_gives_the_batch_back() {
        let (mut sender, mut receiver) = one_lane(2);
        assert!(sender.try_send(batch_of(1)).is_ok());
        assert!(sender.try_send(batch_of(2)).is_ok());
        let refused = sender.try_send(batch_of(3)).expect_err("two slots");
        assert_eq!(refused.records, [3]);
        assert!(matches!(receiver.try_recv(), Some(Message::Batch(b)) if b.records == [1]));
        assert!(sender.try_send(refused).is_ok());
    }

    #[test]
    fn control_finds_its_slot_in_a_full_lane() {
        let (mut sender, mut receiver) = one_lane(1);
        assert!(sender.try_send(batch_of(1)).is_ok());
        assert!(sender.try_end());
        assert!(matches!(receiver.try_recv(), Some(Message::Batch(_))));
        assert!(matches!(receiver.try_recv(), Some(Message::End)));
        assert!(receiver.try_recv().is_none());
    }

    #[test]
    fn buffers_come_home_empty_with_their_memory() {
        let (mut sender, mut receiver) = one_lane(1);
        assert!(sender.try_send(batch_of(1)).is_ok());
        let Some(Message::Batch(batch)) = receiver.try_recv() else { panic!("a batch was sent") };
        receiver.give_back(batch);
        let home = sender.take_spare().expect("one came home");
        assert!(home.is_empty());
        assert!(home.records.capacity() >= 1);
    }

    #[test]
    #[should_panic(expected = "cannot carry data")]
    fn lane_without_slots_is_refused() {
        let _ = one_lane(0);
    }
}
