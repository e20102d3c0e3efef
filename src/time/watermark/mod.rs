//! Watermarks: how far event time has come, made per split of a source and merged by minimum.
//!
//! `Watermark(t)` says that no more records with a time at or before `t` will come. It is made by
//! a [`WatermarkGenerator`] per split; [`Inputs`] merges those of splits, lanes and inputs, at
//! each place where several meet. A record that was not late at its split's generator is late
//! nowhere, unless its split was idle meanwhile: then time may have gone on without it.

mod alignment;
mod generator;
mod idle;
mod inputs;
#[cfg(test)]
mod never_late_test;
mod skew;

pub(crate) use alignment::Aligned;
pub use alignment::Alignment;
pub use generator::{BoundedDisorder, Monotone, Punctuated};
pub use idle::IdleTimeout;
pub use inputs::Inputs;
pub use skew::Guarded;

use crate::time::Timestamp;

/// Says how far the event time of one split of a source has come.
///
/// Called on the partition that reads the split: [`observe`](Self::observe) for every record,
/// [`watermark`](Self::watermark) once after each batch. Each partition has its own clone: it reads
/// the splits of a source one after the other, as one sequence.
pub trait WatermarkGenerator<T>: Clone + Send + 'static {
    /// Sees `record`, whose event time is `time`.
    fn observe(&mut self, record: &T, time: Timestamp);

    /// No more records at or before this time will come; [`Timestamp::MIN`] while nothing is
    /// known. Never less than the answer before.
    fn watermark(&self) -> Timestamp;
}

/// What a place where time is merged has to tell those behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// No more records at or before this time will come. After `Idle` it also says that records
    /// may come again, and then it may be the same as the last one, or [`Timestamp::MIN`].
    /// [`Timestamp::MAX`] says that all inputs have ended.
    Watermark(Timestamp),
    /// Nothing comes for now: do not wait for this input.
    Idle,
}
