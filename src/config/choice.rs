//! The words that knobs choose from, each a type of its own.

use serde::{Deserialize, Serialize};

use crate::config::core_list::CoreList;
use crate::config::parse::Choice;

/// Which cores the partitions may run on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Cores {
    /// Those the process may use, less what housekeeping needs when there are more than two.
    #[default]
    Auto,
    /// These, in this order.
    List(CoreList),
}

/// Whether partitions are pinned to their cores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Pin {
    /// Where it is permitted and no core has two partitions.
    #[default]
    Auto,
    /// Always; a start without permission fails.
    On,
    /// Never.
    Off,
}

/// The last rung of the ladder that a partition without work climbs: spin, yield, nap, park.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Idle {
    /// Sleeps until a lane or a message wakes it.
    #[default]
    Park,
    /// Gives the core to others that are ready, and looks again.
    Yield,
    /// Looks again at once; needs a core of its own.
    Spin,
}

/// How many records a batch holds before it is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BatchSize {
    /// As many as stay in cache, by the size of a record.
    #[default]
    Auto,
    /// This many records, 1..=65536.
    Records(u32),
}

/// Whether aggregates that merge are combined in front of an exchange.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PreAggregate {
    /// Where it is measured to pay, per partition.
    #[default]
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

/// What the supervisor may do about load that is uneven. Each includes the one before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rebalance {
    /// Nothing: a key stays on the partition that it starts on.
    Off,
    /// Moves key groups between partitions.
    Groups,
    /// Moves single keys too.
    Keys,
    /// Also combines a key that one core cannot carry in front of the exchange.
    #[default]
    Combine,
}

/// Whether a job measures itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Metrics {
    /// Counters and histograms, read per batch.
    #[default]
    On,
    /// Only the counters that the engine itself needs.
    Off,
}

impl Choice for Pin {
    const NAMES: &'static [(&'static str, Pin)] =
        &[("auto", Pin::Auto), ("on", Pin::On), ("off", Pin::Off)];
}

impl Choice for Idle {
    const NAMES: &'static [(&'static str, Idle)] =
        &[("park", Idle::Park), ("yield", Idle::Yield), ("spin", Idle::Spin)];
}

impl Choice for PreAggregate {
    const NAMES: &'static [(&'static str, PreAggregate)] =
        &[("auto", PreAggregate::Auto), ("on", PreAggregate::On), ("off", PreAggregate::Off)];
}

impl Choice for Rebalance {
    const NAMES: &'static [(&'static str, Rebalance)] = &[
        ("off", Rebalance::Off),
        ("groups", Rebalance::Groups),
        ("keys", Rebalance::Keys),
        ("combine", Rebalance::Combine),
    ];
}

impl Choice for Metrics {
    const NAMES: &'static [(&'static str, Metrics)] = &[("on", Metrics::On), ("off", Metrics::Off)];
}
