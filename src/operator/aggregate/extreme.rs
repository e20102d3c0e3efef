//! `min`, `max`, `arg_min`, `arg_max`, `first_by`, `last_by`, `top_k` of each key.

use crate::dataflow::{Chain, KeyedOutput, KeyedStream};
use crate::operator::aggregate::Running;
use crate::record::Key;
use crate::routing::KeyedPartitioner;
use crate::state::Storable;
use crate::state::aggregate::{self, ArgMax, ArgMin, Known, Max, Min, TopK};

impl<K, C, F, Q> KeyedStream<C, F, Q>
where
    K: Key,
    C: Chain,
    F: Fn(&C::Out) -> K + Clone + Send + 'static,
    Q: KeyedPartitioner<K>,
{
    /// The smallest `value(record)` of each key.
    ///
    /// Floats have no total order, since NaN compares to nothing; `aggregate(min(value))` takes
    /// them and has an `Option` as its result.
    ///
    /// ```
    /// # use millstream::{connector::iterator, prelude::*};
    /// # let pipeline = Pipeline::new("example");
    /// let min = pipeline.source(iterator([4, 1, 9])).key_by(|_| ()).min(|n| *n).collect();
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// assert_eq!(min.take(), [((), 1)]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn min<V, G>(self, value: G) -> KeyedOutput<C, K, F, Q, Running<Known<Min<G>>>>
    where
        V: Ord + Clone + Storable,
        G: Fn(&C::Out) -> V + Clone + Send + 'static,
    {
        self.aggregate(aggregate::known(aggregate::min(value)))
    }

    /// The largest `value(record)` of each key.
    ///
    /// Floats are for `aggregate(max(value))`, whose result is an `Option`.
    ///
    /// ```
    /// # use millstream::{connector::iterator, prelude::*};
    /// # let pipeline = Pipeline::new("example");
    /// let max = pipeline.source(iterator([4, 1, 9])).key_by(|_| ()).max(|n| *n).collect();
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// assert_eq!(max.take(), [((), 9)]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn max<V, G>(self, value: G) -> KeyedOutput<C, K, F, Q, Running<Known<Max<G>>>>
    where
        V: Ord + Clone + Storable,
        G: Fn(&C::Out) -> V + Clone + Send + 'static,
    {
        self.aggregate(aggregate::known(aggregate::max(value)))
    }
}

impl<K, C, F, Q> KeyedStream<C, F, Q>
where
    K: Key,
    C: Chain,
    C::Out: Clone + Storable,
    F: Fn(&C::Out) -> K + Clone + Send + 'static,
    Q: KeyedPartitioner<K>,
{
    /// The record of each key whose `value` is smallest.
    ///
    /// Of several with that value it is any one; see [`arg_min`](aggregate::arg_min).
    ///
    /// ```
    /// # use millstream::{connector::iterator, prelude::*};
    /// # let pipeline = Pipeline::new("example");
    /// let offers = pipeline.source(iterator([(1, 40), (2, 30), (3, 90)])); // (id, price)
    /// let best = offers.key_by(|_| ()).arg_min(|(_, price)| *price).collect();
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// assert_eq!(best.take(), [((), (2, 30))]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn arg_min<V, G>(self, value: G) -> KeyedOutput<C, K, F, Q, Running<Known<ArgMin<G>>>>
    where
        V: Ord,
        G: Fn(&C::Out) -> V + Clone + Send + 'static,
    {
        self.aggregate(aggregate::known(aggregate::arg_min(value)))
    }

    /// The record of each key whose `value` is largest.
    ///
    /// Of several with that value it is any one; see [`arg_max`](aggregate::arg_max).
    ///
    /// ```
    /// # use millstream::{connector::iterator, prelude::*};
    /// # let pipeline = Pipeline::new("example");
    /// let offers = pipeline.source(iterator([(1, 40), (2, 30), (3, 90)])); // (id, price)
    /// let best = offers.key_by(|_| ()).arg_max(|(_, price)| *price).collect();
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// assert_eq!(best.take(), [((), (3, 90))]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn arg_max<V, G>(self, value: G) -> KeyedOutput<C, K, F, Q, Running<Known<ArgMax<G>>>>
    where
        V: Ord,
        G: Fn(&C::Out) -> V + Clone + Send + 'static,
    {
        self.aggregate(aggregate::known(aggregate::arg_max(value)))
    }

    /// The first record of each key by `time`, whenever it arrives.
    ///
    /// Unlike [`first`](Self::first) it can be pre-aggregated. Of several with that time it is any
    /// one; a tuple `(time, id)` decides.
    ///
    /// ```
    /// # use millstream::{connector::iterator, prelude::*};
    /// # let pipeline = Pipeline::new("example");
    /// let events = [(2, 20), (3, 30), (1, 10)]; // (time, value)
    /// let events = pipeline.source(iterator(events)).key_by(|_| ());
    /// let first = events.first_by(|(time, _)| *time).collect();
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// assert_eq!(first.take(), [((), (1, 10))]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn first_by<V, G>(self, time: G) -> KeyedOutput<C, K, F, Q, Running<Known<ArgMin<G>>>>
    where
        V: Ord,
        G: Fn(&C::Out) -> V + Clone + Send + 'static,
    {
        self.aggregate(aggregate::known(aggregate::first_by(time)))
    }

    /// The last record of each key by `time`, whenever it arrives.
    ///
    /// Unlike [`last`](Self::last) it can be pre-aggregated. Of several with that time it is any
    /// one; a tuple `(time, id)` decides.
    ///
    /// ```
    /// # use millstream::{connector::iterator, prelude::*};
    /// # let pipeline = Pipeline::new("example");
    /// let events = [(2, 20), (3, 30), (1, 10)]; // (time, value)
    /// let events = pipeline.source(iterator(events)).key_by(|_| ());
    /// let last = events.last_by(|(time, _)| *time).collect();
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// assert_eq!(last.take(), [((), (3, 30))]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn last_by<V, G>(self, time: G) -> KeyedOutput<C, K, F, Q, Running<Known<ArgMax<G>>>>
    where
        V: Ord,
        G: Fn(&C::Out) -> V + Clone + Send + 'static,
    {
        self.aggregate(aggregate::known(aggregate::last_by(time)))
    }

    /// The `k` records of each key with the largest `value`, largest first; a `k` of 0 is an error
    /// before the start.
    ///
    /// Of several with equal values any is kept; see [`top_k`](aggregate::top_k).
    ///
    /// ```
    /// # use millstream::{connector::iterator, prelude::*};
    /// # let pipeline = Pipeline::new("example");
    /// let prices = pipeline.source(iterator([3, 9, 1, 4])).key_by(|_| ());
    /// let dearest = prices.top_k(2, |price| *price).collect();
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// assert_eq!(dearest.take(), [((), vec![9, 4])]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn top_k<V, G>(self, k: usize, value: G) -> KeyedOutput<C, K, F, Q, Running<TopK<G>>>
    where
        V: PartialOrd,
        G: Fn(&C::Out) -> V + Clone + Send + 'static,
    {
        self.aggregate(aggregate::top_k(k, value))
    }
}
