//! `with_broadcast`: records beside a table that every partition has in full.

use crate::dataflow::{Chain, Collector, DataStream, Emit, Operator};
use crate::record::Either;

impl<C: Chain> DataStream<C> {
    /// Maps each record beside a table that `table` brings up to date. The records stay on the
    /// partitions where they are; every partition gets all rows and keeps a table of its own.
    ///
    /// A record meets the table as it stands on its partition when the record comes: between
    /// records and rows there is no order, and rows of the past may come after it. Where that
    /// matters, key both and [`join_table`](crate::dataflow::KeyedStream::join_table). The event
    /// time of rows, if they have one, does not count.
    ///
    /// * `update` - brings the table up to date with a row; the table begins as its default.
    /// * `function` - what becomes of a record beside the table.
    ///
    /// # Source
    /// The broadcast state pattern of Flink.
    ///
    /// ```
    /// # use millstream::{connector::iterator, prelude::*};
    /// # let pipeline = Pipeline::new("example");
    /// use std::collections::BTreeMap;
    ///
    /// let rates = pipeline.source(iterator([("EUR", 108), ("CHF", 112)]));
    /// let prices = pipeline.source(iterator([("EUR", 5), ("CHF", 7), ("EUR", 1)]));
    /// let in_cents = prices
    ///     .with_broadcast(
    ///         rates,
    ///         |rates: &mut BTreeMap<_, _>, (currency, rate)| {
    ///             rates.insert(currency, rate);
    ///         },
    ///         |(currency, price), rates| (price, rates.get(currency).map(|rate| price * rate)),
    ///     )
    ///     .collect();
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// for (price, cents) in in_cents.take() {
    ///     // A price that came before the rate of its currency has none.
    ///     assert!(cents.is_none_or(|cents| cents == price * 108 || cents == price * 112));
    /// }
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn with_broadcast<D, S, T, U, G>(
        self,
        table: DataStream<D>,
        update: U,
        function: G,
    ) -> DataStream<impl Chain<Out = T, Time = C::Time>>
    where
        D: Chain,
        D::Out: Clone,
        S: Default + Clone + Send + 'static,
        T: Send + 'static,
        U: FnMut(&mut S, D::Out) + Clone + Send + 'static,
        G: FnMut(C::Out, &S) -> T + Clone + Send + 'static,
    {
        let operator = WithBroadcast { table: S::default(), update, function };
        self.beside_table(table, "with_broadcast").apply(operator)
    }
}

/// The operator of [`DataStream::with_broadcast`].
#[derive(Clone)]
pub struct WithBroadcast<S, U, G> {
    table: S,
    update: U,
    function: G,
}

impl<L, R, T, S, U, G> Operator<Either<L, R>> for WithBroadcast<S, U, G>
where
    T: Send + 'static,
    S: Clone + Send + 'static,
    U: FnMut(&mut S, R) + Clone + Send + 'static,
    G: FnMut(L, &S) -> T + Clone + Send + 'static,
{
    type Out = T;
    const NAME: &'static str = "with_broadcast";
    const BOUND: Option<&'static str> = Some("one on another partition would not have its table");

    fn on_record<E: Emit<T>>(&mut self, record: Either<L, R>, out: &mut Collector<'_, E>) {
        match record {
            Either::Left(record) => out.emit((self.function)(record, &self.table)),
            Either::Right(row) => (self.update)(&mut self.table, row),
        }
    }
}
