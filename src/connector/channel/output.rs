//! `channel_sink`: an in-process sink that one receiver of the program reads.

use std::fmt;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use crossbeam_queue::ArrayQueue;

use crate::connector::channel::push_front;
use crate::connector::channel::wait::{Ticket, WaitList, block_on};
use crate::dataflow::{Sink, SinkConnector, TaskContext};
use crate::error::{Error, ErrorKind, Result};
use crate::exchange::wake::Wake;
use crate::record::Batch;
use crate::time::Nanos;

/// A sink with room for `capacity` records (at least 1, which 0 counts as), and the end of it that
/// the program reads. A receiver that is slow slows the job down; one that is dropped fails it with
/// [`ErrorKind::Closed`].
pub fn channel_sink<T: Send + 'static>(capacity: usize) -> (ChannelSink<T>, Output<T>) {
    let shared = Arc::new(Shared {
        records: ArrayQueue::new(capacity.max(1)),
        writers: AtomicUsize::new(1),
        receiver: WaitList::default(),
        blocked: AtomicUsize::new(0),
        partitions: Mutex::default(),
        is_abandoned: AtomicBool::new(false),
    });
    let sink = ChannelSink { writer: Writer { shared: Arc::clone(&shared) } };
    (sink, Output { shared, taken_since_wake: 0 })
}

struct Shared<T> {
    records: ArrayQueue<T>,
    /// Sinks that have not finished, and the connector.
    writers: AtomicUsize,
    receiver: WaitList,
    /// How many of `partitions` are blocked.
    blocked: AtomicUsize,
    /// One for each open sink. Locked at opening and while one is blocked, by the receiver.
    partitions: Mutex<Vec<Arc<Partition>>>,
    /// Whether the receiver is gone.
    is_abandoned: AtomicBool,
}

/// A partition that writes.
struct Partition {
    is_blocked: AtomicBool,
    wake: Wake,
}

impl<T> Shared<T> {
    fn partitions(&self) -> MutexGuard<'_, Vec<Arc<Partition>>> {
        // Nothing that can panic happens while it is held.
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cold]
    fn wake_blocked(&self) {
        for partition in self.partitions().iter() {
            if partition.is_blocked.swap(false, Ordering::Relaxed) {
                self.blocked.fetch_sub(1, Ordering::Relaxed);
                partition.wake.wake();
            }
        }
    }
}

/// One of those whose end is awaited.
struct Writer<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Drop for Writer<T> {
    fn drop(&mut self) {
        // Release pairs with the Acquire in `try_recv`: records before the end.
        self.shared.writers.fetch_sub(1, Ordering::Release);
        self.shared.receiver.wake(1);
    }
}

/// Made by [`channel_sink`].
pub struct ChannelSink<T> {
    writer: Writer<T>,
}

impl<T: Send + 'static> SinkConnector for ChannelSink<T> {
    type Item = T;
    type Sink = ChannelSinkPart<T>;

    fn name(&self) -> String {
        "channel".to_string()
    }

    fn open(&mut self, context: &TaskContext) -> Result<ChannelSinkPart<T>> {
        let shared = &self.writer.shared;
        let partition =
            Arc::new(Partition { is_blocked: AtomicBool::new(false), wake: context.waker.clone() });
        shared.partitions().push(Arc::clone(&partition));
        // Relaxed: the connector's own count keeps the receiver from seeing the end meanwhile.
        shared.writers.fetch_add(1, Ordering::Relaxed);
        Ok(ChannelSinkPart { writer: Some(Writer { shared: Arc::clone(shared) }), partition })
    }
}

/// One partition's end of a [`channel_sink`].
pub struct ChannelSinkPart<T> {
    /// `None` after the end.
    writer: Option<Writer<T>>,
    partition: Arc<Partition>,
}

impl<T: Send + 'static> Sink for ChannelSinkPart<T> {
    type Item = T;

    fn write(&mut self, batch: &mut Batch<T>, _now: Nanos) -> Result<()> {
        let writer = self.writer.as_ref().expect("a sink is not written to after its end");
        let shared = &*writer.shared;
        if shared.is_abandoned.load(Ordering::Relaxed) {
            return Err(Error::new(
                ErrorKind::Closed,
                "the receiver of a channel sink was dropped",
            ));
        }
        let mut sent = push_front(&shared.records, &mut batch.records);
        if !batch.records.is_empty() {
            if !self.partition.is_blocked.swap(true, Ordering::Relaxed) {
                shared.blocked.fetch_add(1, Ordering::Relaxed);
            }
            // SeqCst pairs with the fence in `make_room`: flag before queue here, queue before
            // flag there, so either this try finds the room or the receiver finds the flag.
            fence(Ordering::SeqCst);
            sent += push_front(&shared.records, &mut batch.records);
        }
        if sent > 0 {
            shared.receiver.wake(1);
        }
        Ok(())
    }

    fn finish(&mut self, _now: Nanos) -> Result<bool> {
        self.writer = None;
        Ok(true)
    }
}

/// Why there is no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryRecvError {
    /// None for now.
    Empty,
    /// None any more: the job has ended and everything was received.
    Ended,
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TryRecvError::Empty => "the output is empty",
            TryRecvError::Ended => "the output has ended",
        })
    }
}

impl std::error::Error for TryRecvError {}

/// The receiving end of a [`channel_sink`]. Records of one partition come in their order.
pub struct Output<T> {
    shared: Arc<Shared<T>>,
    /// Records taken since blocked partitions were woken last.
    taken_since_wake: usize,
}

impl<T> Output<T> {
    /// Takes a record if one is there.
    ///
    /// # Errors
    /// Says whether there may be one later.
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        // Before the queue. Acquire pairs with the Release of the last writer's end.
        let is_ended = self.shared.writers.load(Ordering::Acquire) == 0;
        match self.shared.records.pop() {
            Some(record) => {
                self.make_room();
                Ok(record)
            }
            None if is_ended => Err(TryRecvError::Ended),
            None => Err(TryRecvError::Empty),
        }
    }

    /// Waits for a record; `None` when the job has ended and everything was received. Dropping the
    /// future loses nothing.
    pub async fn recv(&mut self) -> Option<T> {
        let mut waiting = Waiting { output: self, ticket: Ticket::default() };
        poll_fn(move |context| waiting.poll(context)).await
    }

    /// Like [`recv`](Self::recv), for threads that may block. Never call it on a partition.
    pub fn recv_blocking(&mut self) -> Option<T> {
        block_on(self.recv())
    }

    /// Wakes the partitions that wait for room: not for each record, since every one of them would
    /// run for the room of one; but for a quarter of the queue, and when it has run empty.
    #[inline]
    fn make_room(&mut self) {
        self.taken_since_wake += 1;
        // SeqCst pairs with the fence in `write`.
        fence(Ordering::SeqCst);
        if self.shared.blocked.load(Ordering::Relaxed) == 0 {
            return;
        }
        let is_room = self.taken_since_wake >= self.shared.records.capacity().div_ceil(4);
        if is_room || self.shared.records.is_empty() {
            self.taken_since_wake = 0;
            self.shared.wake_blocked();
        }
    }
}

impl<T> Drop for Output<T> {
    fn drop(&mut self) {
        self.shared.is_abandoned.store(true, Ordering::Relaxed);
        // SeqCst pairs with the fence in `write`: a partition that blocks from now on finds room,
        // since the queue is emptied behind the fence, and then finds the flag.
        fence(Ordering::SeqCst);
        while self.shared.records.pop().is_some() {}
        self.shared.wake_blocked();
    }
}

/// A receiver that waits, and leaves the list when it gives up.
struct Waiting<'a, T> {
    output: &'a mut Output<T>,
    ticket: Ticket,
}

impl<T> Waiting<'_, T> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<T>> {
        if let Some(received) = self.received() {
            return Poll::Ready(received);
        }
        self.output.shared.receiver.enter(&mut self.ticket, context.waker());
        self.received().map_or(Poll::Pending, Poll::Ready)
    }

    /// A record, or the end; `None` where it has to wait.
    fn received(&mut self) -> Option<Option<T>> {
        match self.output.try_recv() {
            Ok(record) => Some(Some(record)),
            Err(TryRecvError::Ended) => Some(None),
            Err(TryRecvError::Empty) => None,
        }
    }
}

impl<T> Drop for Waiting<'_, T> {
    fn drop(&mut self) {
        self.output.shared.receiver.leave(&mut self.ticket);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::connector::test_context;

    fn open(capacity: usize, partitions: usize) -> (Vec<ChannelSinkPart<u32>>, Output<u32>) {
        let (mut connector, output) = channel_sink(capacity);
        let sinks = (0..partitions)
            .map(|partition| connector.open(&test_context(partition, partitions)).unwrap())
            .collect();
        (sinks, output)
    }

    fn batch(records: impl IntoIterator<Item = u32>) -> Batch<u32> {
        let mut batch = Batch::new();
        batch.records.extend(records);
        batch
    }

    #[test]
    fn sink_leaves_what_it_has_no_room_for() {
        let (mut sinks, mut output) = open(2, 1);
        let mut batch = batch([1, 2, 3, 4]);
        sinks[0].write(&mut batch, 0).unwrap();
        assert_eq!(batch.records, [3, 4]);
        assert_eq!(output.try_recv(), Ok(1));
        sinks[0].write(&mut batch, 0).unwrap();
        assert_eq!(batch.records, [4]);
        assert_eq!((output.try_recv(), output.try_recv()), (Ok(2), Ok(3)));
        assert_eq!(output.try_recv(), Err(TryRecvError::Empty));
    }

    #[test]
    fn output_ends_when_every_partition_has_finished() {
        let (mut sinks, mut output) = open(4, 2);
        sinks[0].write(&mut batch([1]), 0).unwrap();
        assert!(sinks[0].finish(0).unwrap());
        assert_eq!(output.try_recv(), Ok(1));
        assert_eq!(output.try_recv(), Err(TryRecvError::Empty));
        sinks[1].write(&mut batch([2]), 0).unwrap();
        assert!(sinks[1].finish(0).unwrap());
        assert_eq!(output.recv_blocking(), Some(2));
        assert_eq!(output.recv_blocking(), None);
        assert_eq!(output.try_recv(), Err(TryRecvError::Ended));
    }

    #[test]
    fn output_does_not_end_before_the_job_starts() {
        let (connector, mut output) = channel_sink::<u32>(4);
        assert_eq!(output.try_recv(), Err(TryRecvError::Empty));
        drop(connector);
        assert_eq!(output.try_recv(), Err(TryRecvError::Ended));
    }

    #[test]
    fn dropped_receiver_fails_the_job() {
        let (mut sinks, output) = open(1, 1);
        drop(output);
        let error = sinks[0].write(&mut batch([1]), 0).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Closed);
    }

    #[test]
    fn blocked_partition_is_noted_once_and_woken_when_the_queue_runs_empty() {
        let (mut sinks, mut output) = open(8, 1);
        let mut batch = batch(0..9);
        for _ in 0..2 {
            sinks[0].write(&mut batch, 0).unwrap();
            assert_eq!(output.shared.blocked.load(Ordering::Relaxed), 1);
        }
        output.try_recv().unwrap();
        assert_eq!(
            output.shared.blocked.load(Ordering::Relaxed),
            1,
            "one of eight is not worth it"
        );
        output.try_recv().unwrap();
        assert_eq!(output.shared.blocked.load(Ordering::Relaxed), 0);
    }

    fn send_all(mut sink: ChannelSinkPart<u32>, records: std::ops::Range<u32>) {
        for record in records {
            let mut batch = batch([record]);
            while !batch.is_empty() {
                sink.write(&mut batch, 0).unwrap();
                thread::yield_now();
            }
        }
        sink.finish(0).unwrap();
    }

    #[test]
    fn blocking_receiver_gets_everything_in_order() {
        let (sinks, mut output) = open(3, 2);
        let writers: Vec<_> = sinks
            .into_iter()
            .zip([0, 10_000])
            .map(|(sink, first)| thread::spawn(move || send_all(sink, first..first + 3_000)))
            .collect();
        let received: Vec<_> = std::iter::from_fn(|| output.recv_blocking()).collect();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        let (low, high): (Vec<u32>, Vec<u32>) =
            received.into_iter().partition(|&record| record < 10_000);
        assert!(low.into_iter().eq(0..3_000) && high.into_iter().eq(10_000..13_000));
    }

    #[tokio::test]
    async fn async_receiver_gets_everything() {
        let (mut sinks, mut output) = open(3, 1);
        let sink = sinks.pop().unwrap();
        let writer = thread::spawn(move || send_all(sink, 0..2_000));
        for expected in 0..2_000 {
            assert_eq!(output.recv().await, Some(expected));
        }
        assert_eq!(output.recv().await, None);
        writer.join().unwrap();
    }
}
