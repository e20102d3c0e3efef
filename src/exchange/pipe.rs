//! A pipe: a bounded queue with one producer and one consumer, and the wake-ups of both.

use std::sync::Arc;

#[cfg(not(millstream_loom))]
use crossbeam_queue::ArrayQueue;

#[cfg(millstream_loom)]
use crate::exchange::ring_model::ArrayQueue;
use crate::exchange::wake::Wake;

/// The producer's end. There is exactly one; it lives on one partition.
pub struct PipeSender<M> {
    queue: Arc<ArrayQueue<M>>,
    /// Wakes the consumer; `None` if it is the producer's own partition.
    consumer: Option<Wake>,
}

/// The consumer's end. There is exactly one; it lives on one partition.
pub struct PipeReceiver<M> {
    queue: Arc<ArrayQueue<M>>,
    /// A producer that sleeps since it found no room saw this many messages at least.
    full_at: usize,
    /// Wakes the producer when there is room again; `None` if it is the same partition.
    producer: Option<Wake>,
}

/// Makes a pipe of `slots` messages whose producer may find it full at `full_at` of them.
/// `producer` and `consumer` wake the two partitions; both are `None` from a partition to itself.
pub fn pipe<M>(
    slots: usize,
    full_at: usize,
    producer: Option<Wake>,
    consumer: Option<Wake>,
) -> (PipeSender<M>, PipeReceiver<M>) {
    let queue = Arc::new(ArrayQueue::new(slots));
    let sender = PipeSender { queue: Arc::clone(&queue), consumer };
    (sender, PipeReceiver { queue, full_at, producer })
}

impl<M> PipeSender<M> {
    /// Puts `message` in, or gives it back if there is no slot.
    #[inline]
    pub fn try_send(&mut self, message: M) -> Result<(), M> {
        self.queue.push(message)?;
        if let Some(consumer) = &self.consumer {
            consumer.wake();
        }
        Ok(())
    }

    /// How many messages wait. Only this end adds, so it can only have shrunk since.
    #[inline]
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether the consumer has taken everything so far.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether it leads to another partition.
    pub fn crosses(&self) -> bool {
        self.consumer.is_some()
    }
}

impl<M> PipeReceiver<M> {
    /// The next message, if there is one.
    #[inline]
    pub fn try_recv(&mut self) -> Option<M> {
        let message = self.queue.pop()?;
        // A producer sleeps only after it saw `full_at` messages, and nobody but this end frees
        // slots: so the first pop after that look finds as many at least and leaves one less.
        // Looking before the pop would miss a producer that fills the pipe in between.
        let was_full = self.queue.len() + 1 >= self.full_at;
        if was_full && let Some(producer) = &self.producer {
            producer.wake();
        }
        Some(message)
    }

    /// Messages at which the producer may find it full.
    pub fn full_at(&self) -> usize {
        self.full_at
    }

    /// How many messages wait. Only this end takes, so there can only be more by now.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether nothing is waiting.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}
