//! What is counted: per partition, without locks or sharing, and merged by whoever reads.
//!
//! A partition owns a [`PartitionMetrics`] and writes plain memory. Ten times a second it publishes
//! a copy; the [`Registry`] picks the latest copies up and makes a [`Report`] of them. Clocks are
//! read per batch, never per record.

mod conservation;
mod counter;
mod culprit;
#[cfg(test)]
mod culprit_graphs_test;
mod histogram;
mod kll;
mod moves;
mod registry;
mod report;
pub(crate) mod report_text;
mod sampling;
mod space_saving;
mod tally;
mod task;

pub use conservation::{Conservation, Imbalance};
pub use counter::{Activity, Counter, TimeSplit};
pub use culprit::{Culprit, HotKey, InstanceLoad, TaskLoad, culprit};
pub use histogram::{Histogram, Percentiles, RANGE_NS_MAX};
pub use kll::Kll;
pub use moves::{Moves, MovesReport};
pub use registry::{Detail, PartitionMetrics, PartitionReadings, Registry};
pub use report::{EdgeReport, PartitionReport, Report, RunFacts, TaskReport};
pub use sampling::Sampling;
pub use space_saving::{COUNTERS, Heavy, SpaceSaving};
pub use tally::Tally;
pub use task::{Blocked, JobShape, TaskMetrics, TaskShape};
