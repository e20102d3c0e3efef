//! In-process channels as source and sink: bounded queues between user threads and partitions.
//!
//! See `README.md` beside this file for the two protocols (waiting for room, ending) and why no
//! wake-up and no record is lost.

pub mod input;
pub mod output;
pub(super) mod wait;

use crossbeam_queue::ArrayQueue;

/// Moves records from the front of `records` into `queue` while there is room; returns how many.
/// The others keep their order and the vector its memory.
fn push_front<T>(queue: &ArrayQueue<T>, records: &mut Vec<T>) -> usize {
    let before = records.len();
    if queue.is_full() || before == 0 {
        return 0;
    }
    // Reversed, so that what the queue gives back goes where it came from at no cost.
    records.reverse();
    while let Some(record) = records.pop() {
        if let Err(record) = queue.push(record) {
            records.push(record);
            break;
        }
    }
    records.reverse();
    before - records.len()
}
