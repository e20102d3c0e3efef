//! `channel`: an in-process source that user threads and tasks send into.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use crossbeam_queue::ArrayQueue;

use crate::connector::channel::push_front;
use crate::connector::channel::wait::{Ticket, WaitList, block_on};
use crate::dataflow::{Collector, Emit, Polled, Source, SourceConnector, TaskContext};
use crate::error::{Error, ErrorKind, Result};
use crate::exchange::wake::Wake;
use crate::time::Nanos;

/// The most records that a channel may be asked to hold for one partition.
const CAPACITY_MAX: usize = 1 << 24;

/// A source called `name` that the program sends records into, with room for `capacity` records
/// per partition, `1..=16,777,216`.
///
/// The running job gives its handles out (`job.input::<T>(name)`, see [`Input`]). The source ends
/// when it is closed or when all handles are dropped, after everything sent has been read.
pub fn channel<T: Send + 'static>(name: impl Into<String>, capacity: usize) -> Channel<T> {
    let shared =
        Arc::new(Shared { name: name.into(), capacity, stage: Mutex::new(Stage::default()) });
    let inputs = Inputs { life: Arc::new(Life { shared }) };
    Channel { inputs }
}

/// Made by [`channel`].
pub struct Channel<T> {
    inputs: Inputs<T>,
}

impl<T: Send + 'static> Channel<T> {
    /// Where handles are made once the source is open.
    pub fn inputs(&self) -> Inputs<T> {
        self.inputs.clone()
    }
}

impl<T: Send + 'static> SourceConnector for Channel<T> {
    type Item = T;
    type Source = ChannelSource<T>;

    fn name(&self) -> String {
        format!("channel {}", self.inputs.life.shared.name)
    }

    fn is_bounded(&self) -> bool {
        false
    }

    fn input(&self) -> Option<(String, Box<dyn Any + Send + Sync>)> {
        Some((self.inputs.life.shared.name.clone(), Box::new(self.inputs())))
    }

    fn check(&self) -> Result<()> {
        let Shared { name, capacity, .. } = &*self.inputs.life.shared;
        if (1..=CAPACITY_MAX).contains(capacity) {
            return Ok(());
        }
        let text = format!(
            "capacity of channel {name} is {capacity} records; allowed: 1..={CAPACITY_MAX}"
        );
        Err(Error::new(ErrorKind::InvalidConfig, text))
    }

    fn open(&mut self, context: &TaskContext) -> Result<ChannelSource<T>> {
        self.check()?;
        let shared = &self.inputs.life.shared;
        let queue = Arc::new(Queue {
            records: ArrayQueue::new(shared.capacity),
            gate: AtomicUsize::new(0),
            senders: WaitList::default(),
            partition: context.waker.clone(),
        });
        let mut stage = shared.stage();
        if stage.is_closed {
            queue.close();
        }
        stage.partitions = context.partitions;
        stage.queues.push(Arc::clone(&queue));
        Ok(ChannelSource { queue })
    }
}

/// One partition's share of a [`channel`].
pub struct ChannelSource<T> {
    queue: Arc<Queue<T>>,
}

impl<T: Send + 'static> Source for ChannelSource<T> {
    type Item = T;

    fn poll<E: Emit<T>>(
        &mut self,
        max: usize,
        _: Nanos,
        out: &mut Collector<'_, E>,
    ) -> Result<Polled> {
        // Before the queue: what a sealed gate leaves in the queue is all there will be.
        // Acquire pairs with the Release of the last send's exit.
        let gate = self.queue.gate.load(Ordering::Acquire);
        let records = std::iter::from_fn(|| self.queue.records.pop()).take(max);
        let taken = out.emit_all(records) as usize;
        if taken > 0 {
            self.queue.senders.wake(taken);
        }
        if taken == max || !out.is_open() {
            return Ok(Polled::Ready);
        }
        Ok(match gate {
            CLOSED => Polled::Done,
            // A send that is under way may leave without a wake-up, so this is no time to sleep.
            gate if gate & CLOSED != 0 => Polled::Ready,
            _ => Polled::Pending,
        })
    }
}

impl<T> Drop for ChannelSource<T> {
    fn drop(&mut self) {
        self.queue.close();
        while self.queue.records.pop().is_some() {}
    }
}

/// Where the handles of a [`channel`] are made; what a running job keeps of it.
///
/// When all clones are dropped and no handle was ever made, the source ends, since nobody can feed
/// it any more.
pub struct Inputs<T> {
    life: Arc<Life<T>>,
}

/// Ends a source that nobody can feed.
struct Life<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Drop for Life<T> {
    fn drop(&mut self) {
        let is_fed = self.shared.stage().handles_made > 0;
        if !is_fed {
            self.shared.close();
        }
    }
}

impl<T> Inputs<T> {
    /// Makes a handle.
    ///
    /// # Errors
    /// [`ErrorKind::TryAgain`] before all partitions have opened the source.
    pub fn handle(&self) -> Result<Input<T>> {
        self.life.shared.handle()
    }
}

impl<T> Clone for Inputs<T> {
    fn clone(&self) -> Self {
        Inputs { life: Arc::clone(&self.life) }
    }
}

/// What a channel's connector, its handles and its sources share.
struct Shared<T> {
    name: String,
    capacity: usize,
    /// Not touched while records flow: handles and sources keep their own queue at hand.
    stage: Mutex<Stage<T>>,
}

struct Stage<T> {
    /// `queues[p]` - the queue of partition `p`, from its opening on.
    queues: Vec<Arc<Queue<T>>>,
    partitions: usize,
    /// Handles made and not dropped.
    handles: usize,
    handles_made: usize,
    is_closed: bool,
}

impl<T> Default for Stage<T> {
    fn default() -> Self {
        Stage { queues: Vec::new(), partitions: 0, handles: 0, handles_made: 0, is_closed: false }
    }
}

impl<T> Shared<T> {
    fn stage(&self) -> MutexGuard<'_, Stage<T>> {
        // Every change under the lock is complete before anything that could panic.
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes one more handle, tied to the next partition in turn.
    fn handle(self: &Arc<Self>) -> Result<Input<T>> {
        let mut stage = self.stage();
        if stage.queues.is_empty() || stage.queues.len() < stage.partitions {
            let text = format!("input {} is not open yet; allowed: while the job runs", self.name);
            return Err(Error::new(ErrorKind::TryAgain, text));
        }
        let queue = Arc::clone(&stage.queues[stage.handles_made % stage.queues.len()]);
        stage.handles += 1;
        stage.handles_made += 1;
        Ok(Input { shared: Arc::clone(self), queue })
    }

    fn close(&self) {
        let mut stage = self.stage();
        stage.is_closed = true;
        for queue in &stage.queues {
            queue.close();
        }
    }
}

/// The queue of one partition. `README.md` tells how it ends and why nothing is lost.
struct Queue<T> {
    records: ArrayQueue<T>,
    /// Bit 0: closed. The rest: sends under way, 2 each.
    gate: AtomicUsize,
    senders: WaitList,
    partition: Wake,
}

const CLOSED: usize = 1;
const SEND: usize = 2;

/// A send under way; the source does not end while there is one.
struct Entered<'a>(&'a AtomicUsize);

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        // Release pairs with the Acquire in `ChannelSource::poll`: pushes before the exit.
        self.0.fetch_sub(SEND, Ordering::Release);
    }
}

impl<T> Queue<T> {
    /// Enters the gate; `None` if it is closed.
    fn enter(&self) -> Option<Entered<'_>> {
        // Acquire pairs with the Release in `close`.
        let before = self.gate.fetch_add(SEND, Ordering::Acquire);
        let entered = Entered(&self.gate);
        (before & CLOSED == 0).then_some(entered)
    }

    fn try_send(&self, record: T) -> Result<(), TrySendError<T>> {
        let Some(entered) = self.enter() else {
            return Err(TrySendError::Closed(record));
        };
        let pushed = self.records.push(record);
        drop(entered);
        match pushed {
            Ok(()) => {
                self.partition.wake();
                Ok(())
            }
            Err(record) => Err(TrySendError::Full(record)),
        }
    }

    fn close(&self) {
        // Release pairs with the Acquire in `enter` and in `ChannelSource::poll`.
        self.gate.fetch_or(CLOSED, Ordering::Release);
        self.senders.wake(usize::MAX);
        self.partition.wake();
    }
}

/// Why a record was not taken; it comes back in here.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TrySendError<T> {
    /// The queue of this handle's partition is full. Wait or drop, as suits the program.
    Full(T),
    /// The source takes nothing any more: it was closed, or the job has ended.
    Closed(T),
}

impl<T> TrySendError<T> {
    /// The record.
    pub fn into_record(self) -> T {
        match self {
            TrySendError::Full(record) | TrySendError::Closed(record) => record,
        }
    }

    fn text(&self) -> &'static str {
        match self {
            TrySendError::Full(_) => "the input is full",
            TrySendError::Closed(_) => "the input is closed",
        }
    }
}

impl<T> fmt::Debug for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TrySendError::Full(_) => f.write_str("Full(..)"),
            TrySendError::Closed(_) => f.write_str("Closed(..)"),
        }
    }
}

impl<T> fmt::Display for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl<T> std::error::Error for TrySendError<T> {}

impl<T> From<TrySendError<T>> for Error {
    fn from(error: TrySendError<T>) -> Error {
        let kind = match error {
            TrySendError::Full(_) => ErrorKind::TryAgain,
            TrySendError::Closed(_) => ErrorKind::Closed,
        };
        Error::new(kind, error.text())
    }
}

/// A handle that sends records into a [`channel`].
///
/// It is tied to the queue of one partition, so its records keep their order; each clone is tied to
/// the next partition in turn. Dropping the last handle ends the source.
pub struct Input<T> {
    shared: Arc<Shared<T>>,
    queue: Arc<Queue<T>>,
}

impl<T> Input<T> {
    /// Sends a record if there is room at once.
    ///
    /// # Errors
    /// The record comes back, with the reason.
    pub fn try_send(&self, record: T) -> Result<(), TrySendError<T>> {
        self.queue.try_send(record)
    }

    /// Sends a record as soon as there is room. Those who wait for room on one partition get it in
    /// the order in which they came, give or take a newcomer for each. Dropping the future before
    /// it is ready drops the record.
    ///
    /// # Errors
    /// The record comes back if the source is closed.
    pub fn send(&self, record: T) -> Sending<'_, T> {
        Sending { queue: &self.queue, record: Some(record), ticket: Ticket::default() }
    }

    /// Like [`send`](Self::send), for threads that may block. Never call it on a partition.
    ///
    /// # Errors
    /// The record comes back if the source is closed.
    pub fn send_blocking(&self, record: T) -> Result<(), TrySendError<T>> {
        block_on(self.send(record))
    }

    /// Sends records from the front of `records` while there is room, at the price of one wake-up;
    /// returns how many were sent. The others stay.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] if the source is closed; then all stay.
    pub fn send_batch(&self, records: &mut Vec<T>) -> Result<usize> {
        let Some(entered) = self.queue.enter() else {
            let text = format!("input {} is closed", self.shared.name);
            return Err(Error::new(ErrorKind::Closed, text));
        };
        let sent = push_front(&self.queue.records, records);
        drop(entered);
        if sent > 0 {
            self.queue.partition.wake();
        }
        Ok(sent)
    }

    /// Ends the source for all handles. What was sent before is still read.
    pub fn close(&self) {
        self.shared.close();
    }

    /// Whether it takes nothing any more: it was closed, or the job has ended.
    pub fn is_closed(&self) -> bool {
        self.queue.gate.load(Ordering::Relaxed) & CLOSED != 0
    }

    /// How many records its partition's queue has room for.
    pub fn capacity(&self) -> usize {
        self.shared.capacity
    }
}

impl<T> Clone for Input<T> {
    fn clone(&self) -> Self {
        self.shared.handle().expect("a channel that gave out a handle is open")
    }
}

impl<T> Drop for Input<T> {
    fn drop(&mut self) {
        let mut stage = self.shared.stage();
        stage.handles -= 1;
        let is_last = stage.handles == 0;
        drop(stage);
        if is_last {
            self.shared.close();
        }
    }
}

impl<T> fmt::Debug for Input<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input").field("name", &self.shared.name).finish_non_exhaustive()
    }
}

/// The future of [`Input::send`].
#[must_use = "a future does nothing until it is awaited"]
pub struct Sending<'a, T> {
    queue: &'a Queue<T>,
    /// `None` once it is ready.
    record: Option<T>,
    ticket: Ticket,
}

// Nothing in it is pinned.
impl<T> Unpin for Sending<'_, T> {}

impl<T> Future for Sending<'_, T> {
    type Output = Result<(), TrySendError<T>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let record = this.record.take().expect("a future is not polled after it was ready");
        let record = match this.queue.try_send(record) {
            Err(TrySendError::Full(record)) => record,
            done => return this.ready(done),
        };
        this.queue.senders.enter(&mut this.ticket, context.waker());
        match this.queue.try_send(record) {
            Err(TrySendError::Full(record)) => {
                this.record = Some(record);
                Poll::Pending
            }
            done => this.ready(done),
        }
    }
}

impl<T> Sending<'_, T> {
    fn ready(&mut self, done: Result<(), TrySendError<T>>) -> Poll<Result<(), TrySendError<T>>> {
        // A wake-up that came is used up by this record.
        self.queue.senders.leave(&mut self.ticket);
        Poll::Ready(done)
    }
}

impl<T> Drop for Sending<'_, T> {
    fn drop(&mut self) {
        if !self.queue.senders.leave(&mut self.ticket) {
            // Woken, but it will not use the room: the next one may.
            self.queue.senders.wake(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::connector::{polled, test_context};

    fn open(capacity: usize, partitions: usize) -> (Vec<ChannelSource<u32>>, Inputs<u32>) {
        let mut connector = channel("orders", capacity);
        let sources = (0..partitions)
            .map(|partition| connector.open(&test_context(partition, partitions)).unwrap())
            .collect();
        (sources, connector.inputs())
    }

    fn poll(source: &mut ChannelSource<u32>, max: usize) -> (Polled, Vec<u32>) {
        polled(source, max, 0)
    }

    /// Polls to the end; yields the processor while there is nothing.
    fn drain(mut source: ChannelSource<u32>) -> Vec<u32> {
        let mut all = Vec::new();
        loop {
            let (polled, records) = poll(&mut source, 7);
            all.extend(records);
            match polled {
                Polled::Done => return all,
                Polled::Ready => {}
                _ => thread::yield_now(),
            }
        }
    }

    #[test]
    fn full_queue_gives_the_record_back() {
        let (mut sources, inputs) = open(2, 1);
        let input = inputs.handle().unwrap();
        input.try_send(1).unwrap();
        input.try_send(2).unwrap();
        assert_eq!(input.try_send(3), Err(TrySendError::Full(3)));
        assert_eq!(poll(&mut sources[0], 1), (Polled::Ready, vec![1]));
        input.try_send(3).unwrap();
        assert_eq!(poll(&mut sources[0], 9), (Polled::Pending, vec![2, 3]));
    }

    #[test]
    fn closing_ends_the_source_after_what_was_sent() {
        let (mut sources, inputs) = open(4, 2);
        let (first, second) = (inputs.handle().unwrap(), inputs.handle().unwrap());
        first.try_send(1).unwrap();
        second.close();
        assert_eq!(first.try_send(2), Err(TrySendError::Closed(2)));
        assert_eq!(first.send_batch(&mut vec![2]).unwrap_err().kind(), ErrorKind::Closed);
        assert_eq!(poll(&mut sources[0], 9), (Polled::Done, vec![1]));
        assert_eq!(poll(&mut sources[1], 9), (Polled::Done, vec![]));
    }

    #[test]
    fn dropping_the_last_handle_ends_the_source() {
        let (mut sources, inputs) = open(4, 1);
        let input = inputs.handle().unwrap();
        let clone = input.clone();
        drop(inputs);
        drop(input);
        assert_eq!(poll(&mut sources[0], 9).0, Polled::Pending);
        clone.try_send(5).unwrap();
        drop(clone);
        assert_eq!(poll(&mut sources[0], 9), (Polled::Done, vec![5]));
    }

    #[test]
    fn source_that_nobody_can_feed_ends() {
        let (mut sources, inputs) = open(4, 1);
        assert_eq!(poll(&mut sources[0], 9).0, Polled::Pending);
        drop(inputs);
        assert_eq!(poll(&mut sources[0], 9).0, Polled::Done);
    }

    #[test]
    fn handles_are_dealt_round_robin_and_keep_their_order() {
        let (mut sources, inputs) = open(4, 2);
        let first = inputs.handle().unwrap();
        let (second, third) = (first.clone(), first.clone());
        for (handle, record) in [(&first, 1), (&second, 2), (&third, 3), (&first, 4)] {
            handle.try_send(record).unwrap();
        }
        assert_eq!(poll(&mut sources[0], 9).1, [1, 3, 4]);
        assert_eq!(poll(&mut sources[1], 9).1, [2]);
    }

    #[test]
    fn batch_is_sent_as_far_as_there_is_room() {
        let (mut sources, inputs) = open(3, 1);
        let input = inputs.handle().unwrap();
        let mut records = vec![1, 2, 3, 4, 5];
        assert_eq!(input.send_batch(&mut records).unwrap(), 3);
        assert_eq!(records, [4, 5]);
        assert_eq!(input.send_batch(&mut records).unwrap(), 0);
        assert_eq!(poll(&mut sources[0], 9).1, [1, 2, 3]);
        assert_eq!(input.send_batch(&mut records).unwrap(), 2);
        assert!(records.is_empty());
        assert_eq!(poll(&mut sources[0], 9).1, [4, 5]);
    }

    #[test]
    fn handle_before_opening_and_capacity_out_of_range_are_refused() {
        let connector = channel::<u32>("orders", 0);
        assert_eq!(connector.check().unwrap_err().kind(), ErrorKind::InvalidConfig);
        assert_eq!(connector.inputs().handle().unwrap_err().kind(), ErrorKind::TryAgain);
        let (name, inputs) = connector.input().unwrap();
        assert_eq!(name, "orders");
        assert!(inputs.downcast::<Inputs<u32>>().is_ok());
        assert!(!connector.is_bounded());
    }

    #[test]
    fn source_that_is_dropped_releases_those_who_wait() {
        let (mut sources, inputs) = open(1, 1);
        let input = inputs.handle().unwrap();
        input.try_send(1).unwrap();
        let sender = thread::spawn(move || input.send_blocking(2));
        while sources[0].queue.senders.len() == 0 {
            thread::yield_now();
        }
        drop(sources.pop());
        assert_eq!(sender.join().unwrap(), Err(TrySendError::Closed(2)));
    }

    #[test]
    fn dropped_waiting_send_passes_its_room_on() {
        let (mut sources, inputs) = open(1, 1);
        let input = inputs.handle().unwrap();
        input.try_send(1).unwrap();
        let mut context = Context::from_waker(std::task::Waker::noop());
        let mut impatient = Box::pin(input.send(2));
        assert!(impatient.as_mut().poll(&mut context).is_pending());
        let patient = inputs.handle().unwrap();
        let sender = thread::spawn(move || patient.send_blocking(3));
        while sources[0].queue.senders.len() < 2 {
            thread::yield_now();
        }
        // One room, one wake-up, and it goes to the send that came first.
        assert_eq!(poll(&mut sources[0], 1).1, [1]);
        drop(impatient);
        assert_eq!(sender.join().unwrap(), Ok(()));
        assert_eq!(poll(&mut sources[0], 9).1, [3]);
    }

    #[test]
    fn many_blocking_senders_lose_nothing_and_keep_their_order() {
        const SENDERS: u32 = 4;
        const RECORDS: u32 = 5_000;
        let (sources, inputs) = open(3, 2);
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| {
                let input = inputs.handle().unwrap();
                thread::spawn(move || {
                    for record in 0..RECORDS {
                        input.send_blocking(sender * RECORDS + record).unwrap();
                    }
                })
            })
            .collect();
        let readers: Vec<_> =
            sources.into_iter().map(|source| thread::spawn(|| drain(source))).collect();
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        let parts: Vec<Vec<u32>> =
            readers.into_iter().map(|reader| reader.join().unwrap()).collect();
        for part in &parts {
            for sender in 0..SENDERS {
                let own: Vec<_> =
                    part.iter().filter(|&record| record / RECORDS == sender).collect();
                assert!(own.is_sorted() && (own.is_empty() || own.len() == RECORDS as usize));
            }
        }
        assert_eq!(parts.concat().len(), (SENDERS * RECORDS) as usize);
    }

    #[test]
    fn what_is_accepted_while_closing_is_read() {
        for _ in 0..300 {
            let (mut sources, inputs) = open(64, 1);
            let (input, closer) = (inputs.handle().unwrap(), inputs.handle().unwrap());
            let sender =
                thread::spawn(move || (0..64).take_while(|&r| input.try_send(r).is_ok()).count());
            let close = thread::spawn(move || closer.close());
            let read = drain(sources.pop().unwrap()).len();
            assert_eq!(read, sender.join().unwrap());
            close.join().unwrap();
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn async_senders_lose_nothing() {
        let (mut sources, inputs) = open(2, 1);
        let reader = thread::spawn({
            let source = sources.pop().unwrap();
            move || drain(source)
        });
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let input = inputs.handle().unwrap();
                tokio::spawn(async move {
                    for record in 0..1_000 {
                        input.send(record).await.unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(reader.join().unwrap().len(), 4_000);
    }
}
