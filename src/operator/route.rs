//! `route`: deals the records of a stream out to named side outputs.

use crate::dataflow::{BoxedStream, Chain, DataStream};
use crate::record::Either;

impl<C: Chain> DataStream<C> {
    /// Sends every record to one of two streams: `Left` records to the first, `Right` records,
    /// which may be of another type, to the second. `side` names the second in reports.
    ///
    /// ```
    /// # use millstream::dataflow::Pipeline;
    /// # use millstream::connector::{collect::Collected, collection::collection};
    /// # use millstream::record::Either;
    /// # fn sketch(pipeline: &Pipeline) -> (Collected<i32>, Collected<String>) {
    /// let numbers = pipeline.source(collection(vec!["1", "x", "2"]));
    /// let (numbers, rest) = numbers.route("not a number", |text: &'static str| {
    ///     match text.parse::<i32>() {
    ///         Ok(number) => Either::Left(number),
    ///         Err(_) => Either::Right(text.to_owned()),
    ///     }
    /// });
    /// (numbers.collect(), rest.collect())
    /// # }
    /// ```
    pub fn route<L, R, F>(self, side: &str, choose: F) -> (BoxedStream<L>, BoxedStream<R>)
    where
        L: Send + 'static,
        R: Send + 'static,
        F: FnMut(C::Out) -> Either<L, R> + Clone + Send + 'static,
    {
        let (main, rest) = self.map(choose).split();
        (main, rest.labelled(side))
    }
}
