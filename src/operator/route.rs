//! `route`: deals the records of a stream out to named side outputs.

use crate::dataflow::{BoxedStream, Chain, DataStream};
use crate::record::Either;

impl<C: Chain> DataStream<C> {
    /// Sends every record to one of two streams: `Left` records to the first, `Right` records,
    /// which may be of another type, to the second. `side` names the second in reports.
    ///
    /// ```
    /// # use millstream::{connector::iterator, prelude::*, record::Either};
    /// # let pipeline = Pipeline::new("example");
    /// let texts = pipeline.source(iterator(["1", "x", "2"]));
    /// let (numbers, rest) = texts.route("not a number", |text| match text.parse::<i32>() {
    ///     Ok(number) => Either::Left(number),
    ///     Err(_) => Either::Right(text.to_owned()),
    /// });
    /// let (numbers, rest) = (numbers.collect(), rest.collect());
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// assert_eq!(numbers.take(), [1, 2]);
    /// assert_eq!(rest.take(), ["x"]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn route<L, R, F>(
        self,
        side: &str,
        choose: F,
    ) -> (BoxedStream<L, C::Time>, BoxedStream<R, C::Time>)
    where
        L: Send + 'static,
        R: Send + 'static,
        F: FnMut(C::Out) -> Either<L, R> + Clone + Send + 'static,
    {
        let (main, rest) = self.map(choose).split();
        (main, rest.labelled(side))
    }
}
