//! The cost model of the simulated cores: what a record, a partial and a move take.
//!
//! The sources are the micro-benchmarks of this crate (`cargo bench`), on a 2-core cloud machine.
//! It is a model: memory channels, caches shared by cores and NUMA are not in it.

use crate::time::Nanos;

/// Work per record in the keyed operator: the default of `bench hot-key --work-ns`.
pub(super) const RECORD_NS: f64 = 200.0;
/// A partial on its way: scatter, lane hop and one update of the state, 5 to 9 ns
/// (`parts_exchange`, `table`).
pub(super) const PARTIAL_NS: f64 = 7.0;
/// Flushes of partials a second, at the default linger of 500 µs, so that results are as fresh
/// as those of keys that are not split.
pub(super) const PARTIALS_PER_S: f64 = 2_000.0;
/// A move: sweep, markers, taking out and putting in, on both sides together.
pub(super) const MOVE_NS: f64 = 500_000.0;
/// Records of a batch: arrivals come in lumps of this size.
pub(super) const BATCH_RECORDS: f64 = 256.0;
/// Records that a partition samples in a tick: 0.5 % of its time at 20 ns each (`parts_metrics`).
pub(super) const SAMPLES: f64 = 16_384.0;
/// How full the cores would be if the load were spread as well as it can be.
pub(super) const FULLNESS: f64 = 0.9;
/// One step of the simulation: one move may begin and end in it.
pub(super) const STEP_NS: Nanos = 1_000_000;
