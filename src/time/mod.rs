//! Monotonic time and the one place that reads a clock; event time.
#![doc = include_str!("README.md")]

mod clock;
mod parse;
mod timestamp;
pub mod watermark;

pub use clock::{Clock, ManualClock, MonotonicClock};
pub use timestamp::{Timestamp, millis};

/// Monotonic time in nanoseconds since an origin that the process chose. Only differences mean
/// something.
pub type Nanos = u64;
