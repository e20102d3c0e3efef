//! `mean`, `variance`, `std_dev` of each key.

use crate::dataflow::{Chain, KeyedOutput, KeyedStream};
use crate::operator::aggregate::Running;
use crate::record::Key;
use crate::routing::KeyedPartitioner;
use crate::state::aggregate::{self, Known, Mean, StdDev, Variance};

impl<K, C, F, Q> KeyedStream<C, F, Q>
where
    K: Key,
    C: Chain,
    F: Fn(&C::Out) -> K + Clone + Send + 'static,
    Q: KeyedPartitioner<K>,
{
    /// The arithmetic mean of `value(record)` of each key.
    ///
    /// ```
    /// # use millstream::{connector::iterator, prelude::*};
    /// # let pipeline = Pipeline::new("example");
    /// let numbers = pipeline.source(iterator([1.0, 2.0, 6.0]));
    /// let mean = numbers.key_by(|_| ()).mean(|n| *n).collect();
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// assert_eq!(mean.take(), [((), 3.0)]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn mean<G>(self, value: G) -> KeyedOutput<C, K, F, Q, Running<Known<Mean<G>>>>
    where
        G: Fn(&C::Out) -> f64 + Clone + Send + 'static,
    {
        self.aggregate(aggregate::known(aggregate::mean(value)))
    }

    /// The sample variance (n − 1) of `value(record)` of each key; `None` for fewer than two
    /// records.
    ///
    /// ```
    /// # use millstream::{connector::iterator, prelude::*};
    /// # let pipeline = Pipeline::new("example");
    /// let numbers = pipeline.source(iterator([1.0, 2.0, 6.0]));
    /// let variance = numbers.key_by(|_| ()).variance(|n| *n).collect();
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// assert_eq!(variance.take(), [((), Some(7.0))]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn variance<G>(self, value: G) -> KeyedOutput<C, K, F, Q, Running<Variance<G>>>
    where
        G: Fn(&C::Out) -> f64 + Clone + Send + 'static,
    {
        self.aggregate(aggregate::variance(value))
    }

    /// The sample standard deviation (n − 1) of `value(record)` of each key; `None` for fewer than
    /// two records.
    ///
    /// ```
    /// # use millstream::{connector::iterator, prelude::*};
    /// # let pipeline = Pipeline::new("example");
    /// let numbers = pipeline.source(iterator([1.0, 2.0, 3.0]));
    /// let deviation = numbers.key_by(|_| ()).std_dev(|n| *n).collect();
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// assert_eq!(deviation.take(), [((), Some(1.0))]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn std_dev<G>(self, value: G) -> KeyedOutput<C, K, F, Q, Running<StdDev<G>>>
    where
        G: Fn(&C::Out) -> f64 + Clone + Send + 'static,
    {
        self.aggregate(aggregate::std_dev(value))
    }
}
