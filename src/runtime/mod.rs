//! Partitions on threads: turns, sleeping, pinning, control.

mod actor;
mod async_thread;
pub mod control;
pub mod host;
mod hunger;
mod idle;
mod partition;
pub mod placement;
mod system;

pub use actor::{OnDry, OnExit, OnReply};
pub use async_thread::AsyncThread;
pub use control::{Control, PartitionHandle, Settle, Summons, Vacated};
pub use idle::{Ladder, Rest};
pub use partition::{Instance, Look, Partition, Progress};
pub use system::{PartitionSeed, SystemThread};
