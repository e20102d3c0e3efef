//! `map`: makes one record of each.

use crate::dataflow::{Chain, Collector, DataStream, Emit, Operator, Then};

impl<C: Chain> DataStream<C> {
    /// Makes `function(record)` of every record; order is kept.
    ///
    /// ```
    /// # use millstream::{connector::iterator, prelude::*};
    /// # let pipeline = Pipeline::new("example");
    /// let lengths = pipeline.source(iterator(["to", "be", "not"])).map(str::len).collect();
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// assert_eq!(lengths.take(), [2, 2, 3]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn map<U, F>(self, function: F) -> DataStream<Then<C, Map<F>>>
    where
        U: Send + 'static,
        F: FnMut(C::Out) -> U + Clone + Send + 'static,
    {
        self.apply(Map { function })
    }
}

/// The operator of [`DataStream::map`].
#[derive(Clone)]
pub struct Map<F> {
    function: F,
}

impl<I, U, F> Operator<I> for Map<F>
where
    U: Send + 'static,
    F: FnMut(I) -> U + Clone + Send + 'static,
{
    type Out = U;
    const NAME: &'static str = "map";

    #[inline(always)]
    fn on_record<E: Emit<U>>(&mut self, record: I, out: &mut Collector<'_, E>) {
        out.emit((self.function)(record));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::chain_test::emitted;

    #[test]
    fn every_record_is_replaced_in_order() {
        let mut calls = 0;
        let numbered = Map {
            function: move |word: &str| {
                calls += 1;
                format!("{calls} {word}")
            },
        };
        assert_eq!(emitted(numbered, vec!["a", "b"]), ["1 a", "2 b"]);
    }
}
