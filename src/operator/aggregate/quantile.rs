//! `median`, `quantiles`, `quantile_sketch` of each key.

use crate::dataflow::{Chain, KeyedOutput, KeyedStream};
use crate::operator::aggregate::Running;
use crate::record::Key;
use crate::routing::KeyedPartitioner;
use crate::state::aggregate::{self, Median, QuantileSketch, Quantiles};

impl<K, C, F, Q> KeyedStream<C, F, Q>
where
    K: Key,
    C: Chain,
    F: Fn(&C::Out) -> K + Clone + Send + 'static,
    Q: KeyedPartitioner<K>,
{
    /// The median of `value(record)` of each key, exactly; `None` where all values are NaN. Every
    /// value is kept: see [`median`](aggregate::median).
    ///
    /// ```
    /// # use millstream::{connector::iterator, prelude::*};
    /// # let pipeline = Pipeline::new("example");
    /// let numbers = pipeline.source(iterator([1.0, 9.0, 2.0]));
    /// let median = numbers.key_by(|_| ()).median(|n| *n).collect();
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// assert_eq!(median.take(), [((), Some(2.0))]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn median<G>(self, value: G) -> KeyedOutput<C, K, F, Q, Running<Median<G>>>
    where
        G: Fn(&C::Out) -> f64 + Clone + Send + 'static,
    {
        self.aggregate(aggregate::median(value))
    }

    /// The quantiles `at` of `value(record)` of each key, exactly; `None` where all values are NaN.
    /// Every value is kept: see [`quantiles`](aggregate::quantiles). One outside 0..=1 is an error
    /// before the start.
    ///
    /// ```
    /// # use millstream::{connector::iterator, prelude::*};
    /// # let pipeline = Pipeline::new("example");
    /// let numbers = pipeline.source(iterator([1.0, 9.0, 2.0]));
    /// let quartiles = numbers.key_by(|_| ()).quantiles([0.25, 0.75], |n| *n).collect();
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// assert_eq!(quartiles.take(), [((), Some([1.5, 5.5]))]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn quantiles<G, const N: usize>(
        self,
        at: [f64; N],
        value: G,
    ) -> KeyedOutput<C, K, F, Q, Running<Quantiles<G, N>>>
    where
        G: Fn(&C::Out) -> f64 + Clone + Send + 'static,
    {
        self.aggregate(aggregate::quantiles(at, value))
    }

    /// The quantiles `at` of `value(record)` of each key, within 1 % of the value, in a few
    /// kilobytes; `None` where all values are NaN. One outside 0..=1 is an error before the start.
    /// See [`quantile_sketch`](aggregate::quantile_sketch), which has other accuracies too.
    ///
    /// ```
    /// # use millstream::{connector::iterator, prelude::*};
    /// # let pipeline = Pipeline::new("example");
    /// let numbers = pipeline.source(iterator((0..=1_000).map(f64::from)));
    /// let p90 = numbers.key_by(|_| ()).quantile_sketch([0.9], |n| *n).collect();
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// let [p90] = p90.take()[0].1.expect("there are numbers");
    /// assert!((891.0..=909.0).contains(&p90));
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn quantile_sketch<G, const N: usize>(
        self,
        at: [f64; N],
        value: G,
    ) -> KeyedOutput<C, K, F, Q, Running<QuantileSketch<G, N>>>
    where
        G: Fn(&C::Out) -> f64 + Clone + Send + 'static,
    {
        self.aggregate(aggregate::quantile_sketch(at, value))
    }
}
