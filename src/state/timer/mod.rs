//! Timers: what a key has set, and which keys have something due.
//!
//! A key's own timers ([`KeyTimers`]) lie with its state: they are moved, stored and dropped with
//! it, and they alone say what fires. The [`TimerQueue`] of a partition only says whose turn it is
//! to look: it holds (time, hash) pairs, and sees to it that each key with timers is looked at when
//! the first of them is due. So deleting a timer need not touch the queue, two keys of one hash do
//! no harm, and a key that puts its timer off with every record has one pair in the queue. One
//! queue serves event time and another processing time.

mod block;
mod key;
mod queue;
#[cfg(test)]
mod timer_test;

pub use key::KeyTimers;
pub use queue::TimerQueue;
