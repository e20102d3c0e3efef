//! Joins: records of two streams brought together.
//!
//! | Join | Of the records of one key it brings together |
//! | --- | --- |
//! | [`interval_join`] | those near each other in event time |
//! | [`join`]`(…).window(…)` | those of one window, as pairs or as groups |
//! | [`join`]`(…).ttl(…)`, `.keep_forever()` | all, whenever they come |
//! | [`join_table`] | each with the version of a table that held at its time |
//!
//! [`with_broadcast`] needs no keys: every partition has the whole table. All others are keyed
//! operators over [`connect`]. What each means to the millisecond is in the folder's `README.md`.
//!
//! [`connect`]: crate::dataflow::KeyedStream::connect
//! [`interval_join`]: crate::dataflow::KeyedStream::interval_join
//! [`join`]: crate::dataflow::KeyedStream::join
//! [`join_table`]: crate::dataflow::KeyedStream::join_table
//! [`with_broadcast`]: crate::dataflow::DataStream::with_broadcast

mod as_of;
mod broadcast;
mod buffer;
mod interval;
mod kind;
mod regular;
mod windowed;

pub use as_of::AsOf;
pub use broadcast::WithBroadcast;
pub use interval::{IntervalJoin, IntervalJoining};
pub use kind::{
    FullOuter, FullRow, FullUpdate, Inner, JoinKind, LeftOuter, LeftRow, LeftUpdate, RightOuter,
    RightRow, RightUpdate, Update,
};
pub use regular::{Join, Joining, KeptJoin, RowTime};
pub use windowed::{CoGroup, Group, Pairs, WindowJoin, WindowedGroup};
