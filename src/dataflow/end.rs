//! Where a chain's records go: the end of a task that is not keyed.

use std::vec::Drain;

use crate::dataflow::blame::watched_sink;
use crate::dataflow::chain::{feed, stow};
use crate::dataflow::{Emit, Meta, Sink, StepContext};
use crate::error::Result;
use crate::exchange::Outbox;
use crate::metrics::Blocked;
use crate::record::{Batch, Either, Never};
use crate::routing::Partitioner;
use crate::time::Nanos;

/// The end of a task. The loop calls it once a batch; records reach it through [`Emit`].
pub trait End<T>: Emit<T> + Send {
    /// A batch with this intake stamp is about to be worked off.
    fn begin_slice(&mut self, intake: Nanos, now: Nanos);

    /// The batch, or a part of it, has been worked off.
    ///
    /// # Errors
    /// What a sink reports.
    fn end_slice(&mut self, step: &mut StepContext<'_>) -> Result<()>;

    /// Tries to get rid of what waits for room; `true` if the end is open.
    ///
    /// # Errors
    /// What a sink reports.
    fn retry(&mut self, step: &mut StepContext<'_>) -> Result<bool>;

    /// Sends what has waited long enough; `true` if something went out.
    fn settle(&mut self, now: Nanos) -> bool;

    /// Sends everything and says that nothing follows; `false` asks to be called again.
    ///
    /// # Errors
    /// What a sink reports.
    fn finish(&mut self, step: &mut StepContext<'_>) -> Result<bool>;

    /// When [`settle`](Self::settle) has something to do at the latest, if nothing comes in.
    fn wake_at(&self) -> Option<Nanos>;

    /// Records and batches that went out since start.
    fn sent(&self) -> (u64, u64);

    /// What it waits for while it is not open.
    fn blocked(&self) -> Blocked;
}

/// How records find their lanes in an outbox.
pub trait Route<T>: Send {
    /// What a record travels as on this edge.
    type Item: Send;
    /// What travels beside records on this edge.
    type Partial: Send;

    /// Another batch is about to be worked off.
    fn begin_slice(&mut self) {}

    /// Moves `records` from the front into the outbox, or keeps them to be folded with others,
    /// until there is no room; the rest stays. `spare` is an empty buffer that may change places
    /// with `records`. The hottest loop of an exchange: called once a batch.
    fn scatter(
        &mut self,
        records: &mut Vec<T>,
        spare: &mut Vec<T>,
        outbox: &mut Outbox<Self::Item, Self::Partial>,
    );

    /// Puts everything it kept into the outbox; `false` if there was no room for all of it.
    fn empty_into(&mut self, outbox: &mut Outbox<Self::Item, Self::Partial>) -> bool {
        let _ = outbox;
        true
    }

    /// Puts what it has kept long enough into the outbox.
    fn settle(&mut self, outbox: &mut Outbox<Self::Item, Self::Partial>, now: Nanos) {
        let _ = (outbox, now);
    }

    /// When [`settle`](Self::settle) has something to do at the latest.
    fn wake_at(&self) -> Option<Nanos> {
        None
    }
}

/// The end of a task that feeds lanes: an outbox and the way to a lane.
///
/// Records that operators emit are staged and scattered together, so that the scattering loop is
/// one loop; a task without operators scatters its batch as it is. What the outbox has no room for
/// stays staged, and while it does the task takes nothing in.
pub(super) struct OutboxEnd<T, R: Route<T>> {
    outbox: Outbox<R::Item, R::Partial>,
    route: R,
    staged: Vec<T>,
    spare: Vec<T>,
    /// Lanes of each of its output edges.
    lanes_per_edge: usize,
}

impl<T, R: Route<T>> OutboxEnd<T, R> {
    /// Feeds the lanes of `outbox`, `edges` output edges of equally many lanes, as `route` says.
    pub(super) fn new(outbox: Outbox<R::Item, R::Partial>, route: R, edges: usize) -> Self {
        let lanes_per_edge = outbox.targets() / edges;
        OutboxEnd { outbox, route, staged: Vec::new(), spare: Vec::new(), lanes_per_edge }
    }

    /// Scatters what is staged; `true` if nothing is left.
    fn scatter(&mut self) -> bool {
        if !self.staged.is_empty() {
            self.route.scatter(&mut self.staged, &mut self.spare, &mut self.outbox);
        }
        self.staged.is_empty()
    }
}

impl<T: Send, R: Route<T>> Emit<T> for OutboxEnd<T, R> {
    #[inline(always)]
    fn push(&mut self, record: T, _: Meta) {
        self.staged.push(record);
    }

    fn push_all(&mut self, records: &mut Vec<T>, spare: &mut Vec<T>) {
        // In order behind what is staged already.
        if self.scatter() {
            self.route.scatter(records, spare, &mut self.outbox);
        }
    }

    #[inline(always)]
    fn is_open(&self) -> bool {
        self.staged.len() < STAGED_MAX && self.outbox.is_open()
    }
}

impl<T: Send, R: Route<T>> End<T> for OutboxEnd<T, R> {
    fn begin_slice(&mut self, intake: Nanos, now: Nanos) {
        self.route.begin_slice();
        self.outbox.begin_slice(intake, now);
    }

    fn end_slice(&mut self, _: &mut StepContext<'_>) -> Result<()> {
        self.scatter();
        self.outbox.end_slice();
        Ok(())
    }

    fn retry(&mut self, step: &mut StepContext<'_>) -> Result<bool> {
        let is_open = self.outbox.retry(step.now) && self.scatter();
        self.outbox.end_slice();
        Ok(is_open)
    }

    fn settle(&mut self, now: Nanos) -> bool {
        self.route.settle(&mut self.outbox, now);
        self.outbox.settle(now)
    }

    fn finish(&mut self, step: &mut StepContext<'_>) -> Result<bool> {
        let is_empty = self.scatter() && self.route.empty_into(&mut self.outbox);
        self.outbox.end_slice();
        Ok(is_empty && self.outbox.finish(step.now))
    }

    fn wake_at(&self) -> Option<Nanos> {
        [self.outbox.wake_at(), self.route.wake_at()].into_iter().flatten().min()
    }

    fn sent(&self) -> (u64, u64) {
        self.outbox.sent()
    }

    fn blocked(&self) -> Blocked {
        Blocked::Output(self.outbox.blocked_target() / self.lanes_per_edge)
    }
}

/// Spreads records without keys as a partitioner says.
pub(super) struct Spread<Q>(pub Q);

impl<T: Send, Q: Partitioner<T>> Route<T> for Spread<Q> {
    type Item = T;
    type Partial = Never;

    fn scatter(&mut self, records: &mut Vec<T>, spare: &mut Vec<T>, outbox: &mut Outbox<T>) {
        let targets = outbox.targets();
        scatter_to(records, spare, outbox, |record| self.0.partition(record, targets));
    }
}

/// Moves every record to the only lane.
pub(super) struct Forward;

impl<T: Send> Route<T> for Forward {
    type Item = T;
    type Partial = Never;

    fn scatter(&mut self, records: &mut Vec<T>, spare: &mut Vec<T>, outbox: &mut Outbox<T>) {
        scatter_to(records, spare, outbox, |_| 0);
    }
}

/// Moves `records` into `outbox`, each to the target that `target_of` names, until one has no
/// room. `target_of` is asked once per record, and again for one that had no room.
#[inline(always)]
fn scatter_to<T>(
    records: &mut Vec<T>,
    spare: &mut Vec<T>,
    outbox: &mut Outbox<T>,
    mut target_of: impl FnMut(&T) -> usize,
) {
    let capacity = records.capacity();
    let mut drain = records.drain(..);
    while let Some(target) = scatter_run(&mut drain, outbox.open(), &mut target_of) {
        if !outbox.make_room(target) {
            break;
        }
        outbox.open()[target].records.extend(drain.next());
    }
    if stow(drain, capacity, spare) {
        std::mem::swap(records, spare);
    }
}

/// Moves records into their targets' open batches until one has no room; returns that target,
/// whose record stays.
///
/// The batches are a parameter, so that the loop finds them in a register: behind the outbox they
/// would be looked up for every record, since the compiler cannot know that a push does not change
/// them.
#[inline(always)]
fn scatter_run<T>(
    drain: &mut Drain<'_, T>,
    open: &mut [Batch<T>],
    mut target_of: impl FnMut(&T) -> usize,
) -> Option<usize> {
    while let Some(next) = drain.as_slice().first() {
        let target = target_of(next);
        let batch = &mut open[target].records;
        // A vector of records without size is never full; the outbox counts those.
        if batch.len() == batch.capacity() || size_of::<T>() == 0 {
            return Some(target);
        }
        batch.push(drain.next()?);
    }
    None
}

/// Copies every record to all lanes: a broadcast, or a fork.
pub(super) struct Copies;

impl<T: Clone + Send> Route<T> for Copies {
    type Item = T;
    type Partial = Never;

    fn scatter(&mut self, records: &mut Vec<T>, _: &mut Vec<T>, outbox: &mut Outbox<T>) {
        let mut copied = 0;
        for record in records.iter() {
            // All or none, so that a record that waits has been copied nowhere.
            if !(0..outbox.targets()).all(|target| outbox.has_room(target)) {
                break;
            }
            for batch in outbox.open() {
                batch.records.push(record.clone());
            }
            copied += 1;
        }
        records.drain(..copied);
    }
}

/// Deals a chain's two outputs out to two edges.
pub(super) struct EitherEnd<L, R> {
    left: Outbox<L>,
    right: Outbox<R>,
    staged: Vec<Either<L, R>>,
    spare: Vec<Either<L, R>>,
}

impl<L, R> EitherEnd<L, R> {
    /// `Left` records go to `left`, `Right` records to `right`; each has one target.
    pub(super) fn new(left: Outbox<L>, right: Outbox<R>) -> Self {
        EitherEnd { left, right, staged: Vec::new(), spare: Vec::new() }
    }

    /// Deals out what is staged; `true` if nothing is left.
    fn deal(&mut self) -> bool {
        let EitherEnd { left, right, staged, spare } = self;
        let mut refused = None;
        feed(staged, spare, |record| {
            refused = match record {
                Either::Left(record) => left.push(0, record).err().map(Either::Left),
                Either::Right(record) => right.push(0, record).err().map(Either::Right),
            };
            refused.is_none()
        });
        if let Some(record) = refused {
            staged.insert(0, record);
        }
        left.end_slice();
        right.end_slice();
        staged.is_empty()
    }
}

impl<L: Send, R: Send> Emit<Either<L, R>> for EitherEnd<L, R> {
    #[inline]
    fn push(&mut self, record: Either<L, R>, _: Meta) {
        self.staged.push(record);
    }

    #[inline]
    fn is_open(&self) -> bool {
        self.staged.len() < STAGED_MAX && self.left.is_open() && self.right.is_open()
    }
}

impl<L: Send, R: Send> End<Either<L, R>> for EitherEnd<L, R> {
    fn begin_slice(&mut self, intake: Nanos, now: Nanos) {
        self.left.begin_slice(intake, now);
        self.right.begin_slice(intake, now);
    }

    fn end_slice(&mut self, _: &mut StepContext<'_>) -> Result<()> {
        self.deal();
        Ok(())
    }

    fn retry(&mut self, step: &mut StepContext<'_>) -> Result<bool> {
        let left = self.left.retry(step.now);
        Ok(self.right.retry(step.now) && left && self.deal())
    }

    fn settle(&mut self, now: Nanos) -> bool {
        let left = self.left.settle(now);
        self.right.settle(now) || left
    }

    fn finish(&mut self, step: &mut StepContext<'_>) -> Result<bool> {
        if !self.deal() {
            return Ok(false);
        }
        let left = self.left.finish(step.now);
        Ok(self.right.finish(step.now) && left)
    }

    fn wake_at(&self) -> Option<Nanos> {
        [self.left.wake_at(), self.right.wake_at()].into_iter().flatten().min()
    }

    fn sent(&self) -> (u64, u64) {
        let (left, right) = (self.left.sent(), self.right.sent());
        (left.0 + right.0, left.1 + right.1)
    }

    fn blocked(&self) -> Blocked {
        Blocked::Output(usize::from(self.left.is_open()))
    }
}

/// Records that operators may have emitted and that are not scattered yet: twice the largest
/// automatic batch, so that a chain that makes one record of each is never cut short. What one
/// record makes may go beyond it.
const STAGED_MAX: usize = 2_048;

/// Records gathered before a sink is called: twice the largest automatic batch, so that a chain
/// that makes one record of each is never cut short.
const SINK_BATCH: usize = 2_048;

/// Hands a chain's records to a sink: each as it comes if the sink takes it so, else a batch at a
/// time.
pub(super) struct SinkEnd<S: Sink> {
    sink: S,
    gathered: Batch<S::Item, Never>,
    /// Records that the sink took as they came and has not been told the number of.
    taken: u64,
    finished: bool,
    records: u64,
    batches: u64,
}

impl<S: Sink> SinkEnd<S> {
    /// Writes to `sink`.
    pub(super) fn new(sink: S) -> Self {
        SinkEnd { sink, gathered: Batch::new(), taken: 0, finished: false, records: 0, batches: 0 }
    }

    fn write(&mut self, step: &mut StepContext<'_>) -> Result<()> {
        let before = self.gathered.len();
        let mut written = std::mem::take(&mut self.taken);
        if written > 0 {
            self.sink.count_taken(written);
        }
        let intake = self.gathered.intake;
        if before > 0 {
            self.sink.write(&mut self.gathered, step.now)?;
            written += (before - self.gathered.len()) as u64;
        }
        if written > 0 {
            self.records += written;
            self.batches += 1;
            step.now = step.clock.now();
            step.metrics.latency(intake, step.now, written);
        }
        Ok(())
    }
}

impl<S: Sink> Emit<S::Item> for SinkEnd<S> {
    #[inline(always)]
    fn push(&mut self, record: S::Item, _: Meta) {
        match watched_sink(|| self.sink.try_take(record)) {
            Ok(()) => self.taken += 1,
            Err(record) => self.gathered.push(record),
        }
    }

    fn push_all(&mut self, records: &mut Vec<S::Item>, _: &mut Vec<S::Item>) {
        // No operator stands before the sink, so a batch is a batch already.
        if self.gathered.is_empty() {
            std::mem::swap(records, &mut self.gathered.records);
        } else {
            self.gathered.records.append(records);
        }
    }

    #[inline(always)]
    fn is_open(&self) -> bool {
        self.gathered.records.len() < SINK_BATCH
    }
}

impl<S: Sink> End<S::Item> for SinkEnd<S> {
    fn begin_slice(&mut self, intake: Nanos, _: Nanos) {
        if self.gathered.is_empty() {
            self.gathered.intake = intake;
        }
    }

    fn end_slice(&mut self, step: &mut StepContext<'_>) -> Result<()> {
        self.write(step)
    }

    fn retry(&mut self, step: &mut StepContext<'_>) -> Result<bool> {
        self.write(step)?;
        Ok(self.is_open())
    }

    fn settle(&mut self, _: Nanos) -> bool {
        false
    }

    fn finish(&mut self, step: &mut StepContext<'_>) -> Result<bool> {
        self.write(step)?;
        if self.gathered.is_empty() && !self.finished {
            self.finished = self.sink.finish(step.now)?;
        }
        Ok(self.finished)
    }

    fn wake_at(&self) -> Option<Nanos> {
        None
    }

    fn sent(&self) -> (u64, u64) {
        (self.records, self.batches)
    }

    fn blocked(&self) -> Blocked {
        Blocked::Outside
    }
}
