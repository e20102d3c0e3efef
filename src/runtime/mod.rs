//! Partitions on threads: turns, sleeping, pinning, control.

mod actor;
mod async_thread;
pub mod control;
pub mod host;
mod hunger;
mod idle;
pub mod lease;
mod partition;
pub mod placement;
mod system;
mod user_folder;

pub use actor::{OnDry, OnExit, OnReply};
pub use async_thread::AsyncThread;
pub use control::{Control, PartitionHandle, Settle, Summons, Vacated};
pub use idle::{Ladder, Rest};
pub use partition::{Instance, Look, Partition, Progress};
pub use system::{PartitionSeed, SystemThread};
pub use user_folder::UserFolder;
