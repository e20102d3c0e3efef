//! How records enter and leave a job: what a connector implements.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::dataflow::{Collector, Emit, Executor};
use crate::error::Result;
use crate::exchange::wake::Wake;
use crate::metrics::Tally;
use crate::record::Batch;
use crate::time::{Nanos, Timestamp};

/// What a source has to say after a poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polled {
    /// There may be more at once.
    Ready,
    /// Nothing more for now; the source wakes its partition when there is
    /// (see [`TaskContext::waker`]).
    Pending,
    /// Nothing more before this time, in monotonic nanoseconds.
    Until(Nanos),
    /// The source is at its end and is not polled again.
    Done,
}

/// One partition's share of an input. Polled on that partition's thread, a few thousand times a
/// second, whenever downstream has room. Never blocks.
///
/// It is the head of its task's loop: what it emits goes through the operators behind it at once,
/// without being stored in between.
///
/// ```
/// use millstream::dataflow::{Collector, Emit, Polled, Source};
///
/// /// The numbers from `next` down to 1.
/// struct Countdown {
///     next: u64,
/// }
///
/// impl Source for Countdown {
///     type Item = u64;
///
///     fn poll<E: Emit<u64>>(
///         &mut self,
///         max: usize,
///         _now: u64,
///         out: &mut Collector<'_, E>,
///     ) -> millstream::Result<Polled> {
///         for _ in 0..max {
///             if self.next == 0 {
///                 return Ok(Polled::Done);
///             }
///             if !out.is_open() {
///                 break;
///             }
///             out.emit(self.next);
///             self.next -= 1;
///         }
///         Ok(Polled::Ready)
///     }
/// }
/// ```
pub trait Source: Send {
    /// What it makes.
    type Item: Send + 'static;

    /// Emits at most `max` records, fewer if [`out`](Collector::is_open) has no more room, and
    /// says how it stands: [`Polled::Done`] only if nothing is left. What is emitted without room
    /// is not lost, but stands in memory that nothing bounds. `now` is monotonic nanoseconds.
    ///
    /// # Errors
    /// An error fails the job. A record that does not parse is no error but a dead letter.
    fn poll<E: Emit<Self::Item>>(
        &mut self,
        max: usize,
        now: Nanos,
        out: &mut Collector<'_, E>,
    ) -> Result<Polled>;

    /// Adds to `tally` what it has read since it was opened, and what of that left no record
    /// behind, so that `read = given + unread` can be checked. `given` is what it gave in all its
    /// polls; a source that gives a record for everything that it reads need not say more.
    fn count(&self, given: u64, tally: &mut Tally) {
        tally.read += given;
    }
}

/// Makes one [`Source`] per partition. Called on the thread that starts the job.
pub trait SourceConnector: Send + 'static {
    /// What its sources make.
    type Item: Send + 'static;
    /// The source of one partition.
    type Source: Source<Item = Self::Item> + 'static;

    /// The name shown in `explain`, reports and errors.
    fn name(&self) -> String;

    /// Whether it ends by itself. Channels do not.
    fn is_bounded(&self) -> bool {
        true
    }

    /// Checks what can be checked before any thread starts (files are there, bounds are sane).
    ///
    /// # Errors
    /// Whatever would make [`open`](Self::open) fail for sure.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// The handle that feeds it from outside, and the name to ask for it by; for sources that are
    /// fed. Called once, when the stream begins.
    fn input(&self) -> Option<(String, Box<dyn Any + Send + Sync>)> {
        None
    }

    /// Opens the share of one partition. Called once per partition and run.
    ///
    /// # Errors
    /// The job does not start.
    fn open(&mut self, context: &TaskContext) -> Result<Self::Source>;
}

/// One partition's end of an output. Called on that partition's thread, once a batch. Never blocks
/// for long: what it has no room for stays in the batch.
pub trait Sink: Send {
    /// What it takes.
    type Item: Send + 'static;

    /// Takes `record` as the last operator emits it, or gives it back to get it in a batch, which
    /// is what a sink does that does not say otherwise. A sink does the same with all its records.
    ///
    /// Called once per record, within the loop of the chain; worth its while where taking a record
    /// costs less than storing it. Records that come from a lane through no operator are a batch
    /// already and go to [`write`](Self::write), so a sink does the same with a record either way.
    ///
    /// # Errors
    /// The record.
    #[inline(always)]
    fn try_take(&mut self, record: Self::Item) -> std::result::Result<(), Self::Item> {
        Err(record)
    }

    /// Says how many records [`try_take`](Self::try_take) took since the last call. Called once a
    /// batch, so that a sink need not count each of them.
    fn count_taken(&mut self, records: u64) {
        let _ = records;
    }

    /// Takes records from the front of `batch`, in order, and leaves those it has no room for.
    /// What it leaves is offered again later, which is how a slow sink slows its sources.
    ///
    /// # Errors
    /// An error fails the job.
    fn write(&mut self, batch: &mut Batch<Self::Item>, now: Nanos) -> Result<()>;

    /// Called once, after the last record: everything must be out when it returns `true`; `false`
    /// asks to be called again.
    ///
    /// # Errors
    /// An error fails the job.
    fn finish(&mut self, now: Nanos) -> Result<bool> {
        let _ = now;
        Ok(true)
    }
}

/// Makes one [`Sink`] per partition. Called on the thread that starts the job.
pub trait SinkConnector: Send + 'static {
    /// What its sinks take.
    type Item: Send + 'static;
    /// The sink of one partition.
    type Sink: Sink<Item = Self::Item> + 'static;

    /// The name shown in `explain`, reports and errors.
    fn name(&self) -> String;

    /// The file or address that no second sink of the job may share, if there is one.
    fn target(&self) -> Option<String> {
        None
    }

    /// Opens the end of one partition. Called once per partition and run.
    ///
    /// # Errors
    /// The job does not start.
    fn open(&mut self, context: &TaskContext) -> Result<Self::Sink>;
}

/// What a connector or an operator factory knows about where its copy will run.
#[derive(Clone, Debug)]
pub struct TaskContext {
    /// Index of the partition, `0..partitions`.
    pub partition: usize,
    /// How many partitions the job has.
    pub partitions: usize,
    /// Wakes that partition; for sources that answered [`Polled::Pending`] and for sinks that left
    /// records in their batch.
    pub waker: Wake,
    /// Runs futures, where the job has any.
    pub executor: Option<Arc<dyn Executor>>,
    /// Counts the job's dead letters.
    pub dead_letters: Arc<AtomicU64>,
    /// Monotonic nanoseconds at the start of the job.
    pub now: Nanos,
    /// The time of day at the start of the job; [`Timestamp::MAX`] where there is none.
    pub wall_time: Timestamp,
    /// Records that an operator may make of one record.
    pub max_outputs_per_record: u64,
}

impl TaskContext {
    /// The context of one of `partitions` partitions, `waker` being its own; everything else as a
    /// job has it by default.
    pub fn new(partition: usize, partitions: usize, waker: Wake) -> TaskContext {
        TaskContext {
            partition,
            partitions,
            waker,
            executor: None,
            dead_letters: Arc::default(),
            now: 0,
            wall_time: Timestamp::MAX,
            max_outputs_per_record: u64::MAX,
        }
    }
}
