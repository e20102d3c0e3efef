//! Typed lanes between partitions, and what stands at their two ends: outboxes and gates.
//!
//! Everything here moves records and knows no operator.

pub mod combine;
mod gate;
pub mod lane;
mod matrix;
mod outbox;
#[cfg(millstream_loom)]
mod park_model;
mod pool;
#[cfg(millstream_loom)]
mod ring_model;
pub mod wake;

pub use gate::{Arrival, Gate};
pub use lane::{LaneReceiver, LaneSender, Message};
pub use matrix::{EdgeConfig, LaneMatrix};
pub use outbox::Outbox;
pub use pool::ROUND_BYTES;
