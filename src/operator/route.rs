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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataflow::Pipeline;
    use crate::operator::graph_test::{Landed, OnFirst, run};

    #[test]
    fn left_goes_on_and_right_to_the_side_in_order_where_they_were_made() {
        let (pipeline, evens, odds) = (Pipeline::new("routed"), Landed::new(), Landed::new());
        let numbers = pipeline.source(OnFirst((0..8).collect()));
        let (even, odd) = numbers.route("odd", |n: u32| match n % 2 {
            0 => Either::Left(n),
            _ => Either::Right(n.to_string()),
        });
        even.sink(evens.sink());
        odd.sink(odds.sink());
        run(pipeline, 2);
        assert_eq!(evens.take(), [(0, 0), (0, 2), (0, 4), (0, 6)]);
        let odds = odds.take();
        assert_eq!(odds, ["1", "3", "5", "7"].map(|text| (0, text.to_owned())));
    }

    #[test]
    fn side_is_named_in_the_graph() {
        let pipeline = Pipeline::new("routed");
        let numbers = pipeline.source(OnFirst(vec![1u32]));
        let (even, odd) = numbers.route("odd", Either::<u32, u32>::Right);
        even.sink(Landed::new().sink());
        odd.sink(Landed::new().sink());
        let names: Vec<String> = pipeline.graph().tasks.into_iter().map(|task| task.name).collect();
        assert_eq!(names, ["listed | map", "landing", "odd | landing"]);
    }
}
