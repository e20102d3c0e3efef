//! `count_distinct`, `distinct_sketch` of each key.

use std::hash::Hash;

use crate::dataflow::{Chain, KeyedOutput, KeyedStream};
use crate::operator::aggregate::Running;
use crate::record::Key;
use crate::routing::KeyedPartitioner;
use crate::state::Storable;
use crate::state::aggregate::{self, CountDistinct, DistinctSketch};

impl<K, C, F, Q> KeyedStream<C, F, Q>
where
    K: Key,
    C: Chain,
    F: Fn(&C::Out) -> K + Clone + Send + 'static,
    Q: KeyedPartitioner<K>,
{
    /// How many different values `value(record)` has had for each key, exactly. All are kept: see
    /// [`count_distinct`](aggregate::count_distinct).
    ///
    /// ```
    /// # use millstream::{connector::iterator, prelude::*};
    /// # let pipeline = Pipeline::new("example");
    /// let visits = pipeline.source(iterator([("/", 7), ("cart", 8), ("/", 7), ("/", 9)]));
    /// let users = visits.key_by(|(page, _)| *page).count_distinct(|(_, user)| *user).collect();
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// let mut users = users.take();
    /// users.sort();
    /// assert_eq!(users, [("/", 2), ("cart", 1)]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn count_distinct<V, G>(
        self,
        value: G,
    ) -> KeyedOutput<C, K, F, Q, Running<CountDistinct<G>>>
    where
        V: Ord + Storable,
        G: Fn(&C::Out) -> V + Clone + Send + 'static,
    {
        self.aggregate(aggregate::count_distinct(value))
    }

    /// About how many different values `value(record)` has had for each key: exact up to 256, with
    /// a standard error of 1.6 % beyond, in up to 4 KiB. See
    /// [`distinct_sketch`](aggregate::distinct_sketch), which has other precisions too.
    ///
    /// ```
    /// # use millstream::{connector::iterator, prelude::*};
    /// # let pipeline = Pipeline::new("example");
    /// let visits = pipeline.source(iterator((0..50_000).map(|n| n % 10_000)));
    /// let users = visits.key_by(|_| ()).distinct_sketch(|user| *user).collect();
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// assert!((9_500..=10_500).contains(&users.take()[0].1));
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn distinct_sketch<V, G>(
        self,
        value: G,
    ) -> KeyedOutput<C, K, F, Q, Running<DistinctSketch<G>>>
    where
        V: Hash,
        G: Fn(&C::Out) -> V + Clone + Send + 'static,
    {
        self.aggregate(aggregate::distinct_sketch(value))
    }
}
