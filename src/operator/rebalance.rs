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

#[cfg(test)]
mod tests {
    use crate::dataflow::Pipeline;
    use crate::operator::graph_test::{Landed, OnFirst, run};

    #[test]
    fn records_of_one_partition_are_dealt_out_in_turn() {
        let (pipeline, landed) = (Pipeline::new("dealt"), Landed::new());
        pipeline.source(OnFirst((0..9).collect())).rebalance().sink(landed.sink());
        run(pipeline, 3);
        let mut landed = landed.take();
        landed.sort_unstable();
        let dealt = [(0, 0), (0, 3), (0, 6), (1, 1), (1, 4), (1, 7), (2, 2), (2, 5), (2, 8)];
        assert_eq!(landed, dealt);
    }
}
