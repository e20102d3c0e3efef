//! Aggregates: how the records of a key become one value, in any order and in parts.
//!
//! One law serves running aggregates, window panes, pre-aggregation before an exchange and hot
//! keys on several partitions: the default accumulator is the identity of `merge`, `merge` is
//! associative, and adding records one by one equals merging, in their order, the accumulators of
//! any split of them. Where the aggregate [`MERGES`](Aggregate::MERGES) the order is free too.
//! Integers obey it to the bit and floats up to rounding; the sketches, which are off by as much
//! as each says, are off by the same for any split. `tests/aggregate_laws.rs` checks them all.
//!
//! | What | Here | Keeps, per key |
//! | --- | --- | --- |
//! | how many, total | [`Count`], [`sum`] | a number |
//! | smallest, largest value | [`min`], [`max`] | a value |
//! | record with it | [`arg_min`], [`arg_max`], [`first_by`], [`last_by`] | a record |
//! | records with the largest values | [`top_k`] | *k* records |
//! | mean, spread | [`mean`], [`variance`], [`std_dev`] | two or three numbers |
//! | quantiles | [`median`], [`quantiles`] | all values |
//! | quantiles within an error | [`quantile_sketch`] | a few KiB |
//! | different values | [`count_distinct`] | each different value |
//! | different values within an error | [`distinct_sketch`] | up to 4 KiB |
//! | by arrival, not merging | [`First`], [`Last`], [`Collect`] | a record, all records |
//!
//! A tuple of two to six aggregates is an aggregate, in one pass.

mod arrival;
mod count;
mod distinct;
mod distinct_sketch;
mod extreme;
mod known;
mod mean;
mod quantile_sketch;
mod quantiles;
mod sum;
mod top_k;
mod tuple;
mod variance;

pub use arrival::{Collect, First, Last};
pub use count::Count;
pub use distinct::{CountDistinct, count_distinct};
pub use distinct_sketch::{DistinctSketch, Hashes, distinct_sketch};
pub use extreme::{
    ArgExtreme, ArgMax, ArgMin, Extreme, Largest, Max, Min, Smallest, Wanted, arg_max, arg_min,
    first_by, last_by, max, min,
};
pub use known::{Known, known};
pub use mean::{Mean, Total, mean};
pub use quantile_sketch::{Bins, QuantileSketch, quantile_sketch};
pub use quantiles::{Median, Quantiles, median, quantiles};
pub use sum::{Sum, Summand, sum};
pub use top_k::{TopK, top_k};
pub use variance::{Moments, StdDev, Variance, std_dev, variance};

use crate::error::Result;
use crate::state::Storable;

/// How the records of a key become one value. Called on the partition that owns the key; the
/// aggregate itself is configuration and each partition has its own clone.
///
/// ```
/// use millstream::state::aggregate::{Aggregate, Count, sum};
///
/// let aggregate = (Count, sum(|value: &u64| *value));
/// let mut accumulator = Default::default();
/// for value in [3, 4] {
///     aggregate.add(&mut accumulator, &value);
/// }
/// assert_eq!(aggregate.finish(&accumulator), (2, 7));
/// ```
pub trait Aggregate<T>: Clone + Send + 'static {
    /// What is kept per key. Its default has seen no record.
    type Accumulator: Default + Storable;
    /// What comes out.
    type Output: Send + 'static;
    /// Whether the order of records does not matter, so that [`merge`](Self::merge) commutes and
    /// the engine may combine records in parts wherever that pays.
    ///
    /// Where it is `false` the engine does not: it adds records one by one as they arrive, and
    /// pre-aggregation is off.
    const MERGES: bool = true;

    /// What is wrong with how the aggregate is set up, if anything is; asked before the start.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// Takes one record in.
    fn add(&self, accumulator: &mut Self::Accumulator, record: &T);

    /// Takes in everything that `from` has seen, as if all of it came after what `into` has seen.
    fn merge(&self, into: &mut Self::Accumulator, from: Self::Accumulator);

    /// The value so far. The accumulator goes on.
    fn finish(&self, accumulator: &Self::Accumulator) -> Self::Output;
}
