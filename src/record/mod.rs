//! What flows: records in batches, and the keys they are grouped by.

mod batch;
mod key;

pub use batch::{Batch, Never};
pub use key::{HASH_ID, Key, KeyHasher, hash_key};
