//! `rebalance`: spreads records evenly over all partitions.

use crate::dataflow::{BoxedStream, Chain, DataStream};
use crate::routing::RoundRobin;

impl<C: Chain> DataStream<C> {
    /// Deals the records out to all partitions in turn. For a source that only one partition can
    /// read; order between records is lost.
    ///
    /// ```
    /// # use millstream::{connector::iterator, prelude::*};
    /// # let pipeline = Pipeline::new("example");
    /// // Read by partition 0, checked by all.
    /// let primes = pipeline
    ///     .source(iterator(2u64..50))
    ///     .rebalance()
    ///     .filter(|n| (2..*n).all(|d| n % d != 0))
    ///     .collect();
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// assert_eq!(primes.take().len(), 15);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn rebalance(self) -> BoxedStream<C::Out, C::Time> {
        self.partition_by(RoundRobin::default())
    }
}
