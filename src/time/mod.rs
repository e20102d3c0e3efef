//! Monotonic time, and the one place that reads a clock.

mod clock;

pub use clock::{Clock, ManualClock, MonotonicClock};

/// Monotonic time in nanoseconds since an origin that the process chose. Only differences mean
/// something.
pub type Nanos = u64;
