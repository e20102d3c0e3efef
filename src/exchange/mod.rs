//! Typed lanes between partitions, and what stands at their two ends.

pub mod wake;
