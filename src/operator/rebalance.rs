//! `rebalance`: spreads records evenly over all partitions.

use crate::dataflow::{BoxedStream, Chain, DataStream};
use crate::routing::RoundRobin;

impl<C: Chain> DataStream<C> {
    /// Deals the records out to all partitions in turn. For a source that only one partition can
    /// read; order between records is lost.
    pub fn rebalance(self) -> BoxedStream<C::Out> {
        self.partition_by(RoundRobin::default())
    }
}
