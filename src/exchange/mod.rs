//! Typed lanes between partitions, and what stands at their two ends: outboxes and gates.
//!
//! Everything here moves records and knows no operator.

pub mod combine;
mod gate;
pub mod lane;
mod mark;
mod matrix;
mod outbox;
#[cfg(millstream_loom)]
mod park_model;
pub mod pipe;
pub(crate) mod planted;
mod pool;
#[cfg(millstream_loom)]
mod ring_model;
pub mod wake;

pub use gate::{Arrival, EdgeTime, Gate, Pull, Swept};
pub use lane::{LaneReceiver, LaneSender, Message, Receive};
pub use mark::{Mark, STOPS};
pub use matrix::{EdgeConfig, LaneMatrix, STAGED_RECORDS, Seat};
pub use outbox::Outbox;
pub use pool::ROUND_BYTES;
