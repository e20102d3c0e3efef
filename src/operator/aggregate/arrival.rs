//! `first`, `last`, `collect_by_key`: records of each key by the order in which they arrive.

use crate::dataflow::{Chain, KeyedOutput, KeyedStream};
use crate::operator::aggregate::Running;
use crate::record::Key;
use crate::routing::KeyedPartitioner;
use crate::state::Storable;
use crate::state::aggregate::{self, Collect, First, Known, Last};

impl<K, C, F, Q> KeyedStream<C, F, Q>
where
    K: Key,
    C: Chain,
    C::Out: Clone + Storable,
    F: Fn(&C::Out) -> K + Clone + Send + 'static,
    Q: KeyedPartitioner<K>,
{
    /// The record of each key that arrived first: in the order of each source, by chance between
    /// several. It is not pre-aggregated; [`first_by`](Self::first_by) a time can be.
    ///
    /// ```
    /// # use millstream::{connector::iterator, prelude::*};
    /// # let pipeline = Pipeline::new("example");
    /// let first = pipeline.source(iterator([4, 1, 9])).key_by(|_| ()).first().collect();
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// assert_eq!(first.take(), [((), 4)]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn first(self) -> KeyedOutput<C, K, F, Q, Running<Known<First>>> {
        self.aggregate(aggregate::known(First))
    }

    /// The record of each key that arrived last: in the order of each source, by chance between
    /// several. It is not pre-aggregated; [`last_by`](Self::last_by) a time can be.
    ///
    /// ```
    /// # use millstream::{connector::iterator, prelude::*};
    /// # let pipeline = Pipeline::new("example");
    /// let last = pipeline.source(iterator([4, 1, 9])).key_by(|_| ()).last().collect();
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// assert_eq!(last.take(), [((), 9)]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn last(self) -> KeyedOutput<C, K, F, Q, Running<Known<Last>>> {
        self.aggregate(aggregate::known(Last))
    }

    /// All records of each key, in the order in which they arrived: that of each source, by chance
    /// between several. They are not pre-aggregated, and the state grows with each.
    ///
    /// ```
    /// # use millstream::{connector::iterator, prelude::*};
    /// # let pipeline = Pipeline::new("example");
    /// let numbers = pipeline.source(iterator([4, 1, 9]));
    /// let by_parity = numbers.key_by(|n| n % 2).collect_by_key().collect();
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// let mut by_parity = by_parity.take();
    /// by_parity.sort();
    /// assert_eq!(by_parity, [(0, vec![4]), (1, vec![1, 9])]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn collect_by_key(self) -> KeyedOutput<C, K, F, Q, Running<Collect>> {
        self.aggregate(Collect)
    }
}
