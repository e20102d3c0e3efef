//! A lane: a bounded queue from one partition to one partition, for one edge.
//!
//! Data flows forward, emptied buffers flow back, so that steady state allocates nothing and no
//! allocator ever frees across threads. Grammar of a lane: `Batch* End`; a debug build asserts it.
//! The last slot is kept for control messages, so that one of them never waits for data room.

use std::sync::Arc;

#[cfg(not(millstream_loom))]
use crossbeam_queue::ArrayQueue;

#[cfg(millstream_loom)]
use crate::exchange::ring_model::ArrayQueue;
use crate::exchange::wake::Wake;
use crate::record::{Batch, Never};

/// What travels on a lane.
#[derive(Debug)]
pub enum Message<T, P = Never> {
    /// Records, in order.
    Batch(Batch<T, P>),
    /// Nothing follows.
    End,
}

struct Shared<T, P> {
    messages: ArrayQueue<Message<T, P>>,
    /// Emptied buffers on their way home.
    spares: ArrayQueue<Batch<T, P>>,
}

/// The producer's end. There is exactly one; it lives on one partition.
pub struct LaneSender<T, P = Never> {
    shared: Arc<Shared<T, P>>,
    capacity: usize,
    /// Wakes the consumer; `None` if it is the producer's own partition.
    consumer: Option<Wake>,
    ended: bool,
}

/// The consumer's end. There is exactly one; it lives on one partition.
pub struct LaneReceiver<T, P = Never> {
    shared: Arc<Shared<T, P>>,
    capacity: usize,
    /// Wakes the producer when there is room again; `None` if it is the same partition.
    producer: Option<Wake>,
}

/// Makes a lane of `capacity` data batches (at least 1). `producer` and `consumer` wake the two
/// partitions; both are `None` on a lane from a partition to itself.
pub fn lane<T, P>(
    capacity: usize,
    producer: Option<Wake>,
    consumer: Option<Wake>,
) -> (LaneSender<T, P>, LaneReceiver<T, P>) {
    assert!(capacity >= 1, "a lane of {capacity} batches cannot carry data");
    let shared = Arc::new(Shared {
        messages: ArrayQueue::new(capacity + 1),
        // One batch per slot, one open at the producer, one in hand at the consumer.
        spares: ArrayQueue::new(capacity + 2),
    });
    let sender = LaneSender { shared: Arc::clone(&shared), capacity, consumer, ended: false };
    (sender, LaneReceiver { shared, capacity, producer })
}

impl<T, P> LaneSender<T, P> {
    /// Puts `batch` on the lane, or gives it back if all data slots are taken.
    pub fn try_send(&mut self, batch: Batch<T, P>) -> Result<(), Batch<T, P>> {
        debug_assert!(!self.ended, "batch after end");
        // Only this end adds, so the length can only have shrunk since.
        if self.shared.messages.len() >= self.capacity {
            return Err(batch);
        }
        match self.shared.messages.push(Message::Batch(batch)) {
            Ok(()) => {
                self.wake_consumer();
                Ok(())
            }
            Err(Message::Batch(batch)) => Err(batch),
            Err(Message::End) => unreachable!("a refused message comes back as it was"),
        }
    }

    /// Ends the lane; `false` if even the control slot is taken: try again next turn.
    pub fn try_end(&mut self) -> bool {
        debug_assert!(!self.ended, "end after end");
        self.ended = self.shared.messages.push(Message::End).is_ok();
        if self.ended {
            self.wake_consumer();
        }
        self.ended
    }

    /// Whether the consumer has taken everything so far.
    #[inline]
    pub fn is_dry(&self) -> bool {
        self.shared.messages.is_empty()
    }

    /// Whether it leads to another partition.
    pub fn crosses(&self) -> bool {
        self.consumer.is_some()
    }

    /// An emptied buffer that came home, if there is one.
    pub fn take_spare(&mut self) -> Option<Batch<T, P>> {
        self.shared.spares.pop()
    }

    #[inline]
    fn wake_consumer(&self) {
        if let Some(consumer) = &self.consumer {
            consumer.wake();
        }
    }
}

impl<T, P> LaneReceiver<T, P> {
    /// The next message, if there is one.
    pub fn try_recv(&mut self) -> Option<Message<T, P>> {
        let message = self.shared.messages.pop()?;
        // A producer sleeps only after it saw all data slots taken, and nobody but this end frees
        // them: so the first pop after that look finds `capacity` messages at least and leaves one
        // less. Looking before the pop would miss a producer that fills the lane in between.
        let was_full = self.shared.messages.len() + 1 >= self.capacity;
        if was_full && let Some(producer) = &self.producer {
            producer.wake();
        }
        Some(message)
    }

    /// Whether nothing is waiting.
    pub fn is_empty(&self) -> bool {
        self.shared.messages.is_empty()
    }

    /// Sends an emptied buffer home. If home is full of them, it is freed.
    pub fn give_back(&mut self, mut batch: Batch<T, P>) {
        batch.clear();
        drop(self.shared.spares.push(batch));
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
