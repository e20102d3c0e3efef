//! The built-in connectors: one file each, every constructor a free function that returns it.

mod blackhole;
mod collect;
mod collection;
mod dead_letter;
mod file_sink;
mod for_each;
mod iterator;
mod stdout;

pub mod file;
pub mod generator;

pub use blackhole::{Blackhole, BlackholeSink, Count, blackhole};
pub use collect::{Collect, CollectSink, Collected, collect};
pub use collection::{Collection, collection};
pub use dead_letter::{DeadLetter, DeadLetterReason, Rejected};
#[cfg(feature = "csv")]
pub use file::csv::{csv_bytes, csv_file};
#[cfg(feature = "json")]
pub use file::json::{json_bytes, json_lines};
pub use file::lines::{text_bytes, text_lines};
#[cfg(feature = "json")]
pub use file_sink::json_file_sink;
pub use file_sink::{FileSink, file_sink};
pub use for_each::{ForEach, for_each};
pub use iterator::{Iter, IteratorSource, iterator};
pub use stdout::{Stdout, stdout};

use crate::record::Batch;

/// Removes the first `count` records, and their hashes where the batch has them.
fn drop_front<T>(batch: &mut Batch<T>, count: usize) {
    batch.records.drain(..count);
    if !batch.hashes.is_empty() {
        batch.hashes.drain(..count);
    }
}

/// A context for tests of one connector.
#[cfg(test)]
fn test_context(partition: usize, partitions: usize) -> crate::dataflow::TaskContext {
    let waker = crate::exchange::wake::wake_pair().1;
    crate::dataflow::TaskContext::new(partition, partitions, waker)
}
