//! The engine through its public API, on real threads: how jobs begin and end, what they compute,
//! what they refuse and how they fail.

#[path = "engine/emission.rs"]
mod emission;
#[path = "engine/failures.rs"]
mod failures;
#[path = "engine/lifecycle.rs"]
mod lifecycle;
#[path = "engine/partitioning.rs"]
mod partitioning;
#[path = "engine/rebalance.rs"]
mod rebalance;
#[path = "engine/refusals.rs"]
mod refusals;
#[path = "engine/shapes.rs"]
mod shapes;

use millstream::config::Pin;
use millstream::prelude::*;

/// An engine of so many partitions, unpinned: tests run beside each other on few cores.
fn engine(partitions: usize) -> Engine {
    let config = Config::builder().partitions(partitions).pin(Pin::Off).build();
    Engine::new(config.expect("the knobs are in their bounds")).expect("no core is asked for")
}

/// In ascending order, for results that come in none.
fn sorted<T: Ord>(mut records: Vec<T>) -> Vec<T> {
    records.sort_unstable();
    records
}
