//! A reusable buffer of records: what sources fill and lanes carry.

use crate::time::{Nanos, Timestamp};

/// Records on their way, with what was computed about them once.
///
/// * `records[i]` - one event.
/// * `partials` - pre-aggregated states that travel beside the records (`P` is uninhabited on
///   edges that do not combine).
/// * `intake` - monotonic nanoseconds at which the oldest record entered the job; 0 if unknown.
/// * `sent` - monotonic nanoseconds at which the batch was put on a lane; 0 before that.
/// * `taken` - monotonic nanoseconds at which its task began to work on it, or went on.
/// * `watermark`, `goes_idle` - what the producer says of event time once these records are worked
///   off, in this order.
#[derive(Debug)]
pub struct Batch<T, P = Never> {
    /// The events, oldest first.
    pub records: Vec<T>,
    /// Partial aggregates, in no particular order.
    pub partials: Vec<P>,
    /// When the oldest record entered the job.
    pub intake: Nanos,
    /// When the batch was put on a lane.
    pub sent: Nanos,
    /// When its task took it in hand, or went on with it.
    pub taken: Nanos,
    /// How far event time has come; `None`: no further than before.
    pub watermark: Option<Timestamp>,
    /// Nothing follows for now.
    pub goes_idle: bool,
}

/// A type without values: the partial of an edge that does not combine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Never {}

impl<T, P> Batch<T, P> {
    /// An empty batch that has not allocated.
    pub fn new() -> Self {
        Batch {
            records: Vec::new(),
            partials: Vec::new(),
            intake: 0,
            sent: 0,
            taken: 0,
            watermark: None,
            goes_idle: false,
        }
    }

    /// Appends a record.
    #[inline]
    pub fn push(&mut self, record: T) {
        self.records.push(record);
    }

    /// Records and partials in it.
    #[inline]
    pub fn len(&self) -> usize {
        self.records.len() + self.partials.len()
    }

    /// Whether neither a record nor a partial is in it.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.partials.is_empty()
    }

    /// Empties it and keeps its memory.
    #[inline]
    pub fn clear(&mut self) {
        self.records.clear();
        self.partials.clear();
        self.intake = 0;
        self.sent = 0;
        self.taken = 0;
        self.watermark = None;
        self.goes_idle = false;
    }
}

impl<T, P> Default for Batch<T, P> {
    fn default() -> Self {
        Batch::new()
    }
}
