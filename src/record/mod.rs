//! What flows: records in batches.

mod batch;

pub use batch::{Batch, Never};
