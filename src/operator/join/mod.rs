//! Joins: records of two streams brought together.

mod broadcast;

pub use broadcast::WithBroadcast;
