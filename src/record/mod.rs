//! What flows: records in batches, and the keys they are grouped by.

mod batch;
mod either;
mod key;

pub use batch::{Batch, Never};
pub use either::Either;
pub use key::{HASH_ID, Key, KeyHasher, hash_key};
