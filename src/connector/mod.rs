//! The built-in connectors: one file each, every constructor a free function that returns it.

mod blackhole;
mod collect;
mod collection;
mod dead_letter;
mod file_sink;
mod for_each;
mod iterator;
mod paced;
mod request;
mod stdout;

pub mod channel;
pub mod event_times;
pub mod file;
pub mod generator;
pub mod hot_keys;
#[cfg(feature = "nexmark")]
pub mod nexmark;

pub use blackhole::{Blackhole, BlackholeSink, Count, blackhole};
pub use channel::input::{Channel, Input, Inputs, TrySendError, channel};
pub use channel::output::{ChannelSink, Output, TryRecvError, channel_sink};
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
pub use paced::{LEAD_NS, PATIENCE_NS, Paced, PacedSource, due_everywhere, paced};
pub use request::{Alarm, Answer, Asked, Asker, Replies, Ring, replies, requests};
pub use stdout::{Stdout, stdout};

/// A context for tests of one connector.
#[cfg(test)]
fn test_context(partition: usize, partitions: usize) -> crate::dataflow::TaskContext {
    let waker = crate::exchange::wake::wake_pair().1;
    crate::dataflow::TaskContext::new(partition, partitions, waker)
}

/// What one poll of `source` says and gives, for tests of one connector.
#[cfg(test)]
fn polled<S: crate::dataflow::Source>(
    source: &mut S,
    max: usize,
    now: crate::time::Nanos,
) -> (crate::dataflow::Polled, Vec<S::Item>) {
    let mut records = Vec::new();
    let mut out = crate::dataflow::Collector::new(&mut records, Default::default());
    let polled = source.poll(max, now, &mut out).expect("the source is well");
    (polled, records)
}
