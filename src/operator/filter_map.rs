//! `filter_map`: makes one record of each, or none.

use crate::dataflow::{Chain, Collector, DataStream, Emit, Operator, Then};

impl<C: Chain> DataStream<C> {
    /// Makes a record of every record for which `function` returns `Some`; order is kept.
    ///
    /// ```
    /// # use millstream::{connector::iterator, prelude::*};
    /// # let pipeline = Pipeline::new("example");
    /// let texts = pipeline.source(iterator(["1", "x", "3"]));
    /// let numbers = texts.filter_map(|text| text.parse::<u32>().ok()).collect();
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// assert_eq!(numbers.take(), [1, 3]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn filter_map<U, F>(self, function: F) -> DataStream<Then<C, FilterMap<F>>>
    where
        U: Send + 'static,
        F: FnMut(C::Out) -> Option<U> + Clone + Send + 'static,
    {
        self.apply(FilterMap { function })
    }
}

/// The operator of [`DataStream::filter_map`].
#[derive(Clone)]
pub struct FilterMap<F> {
    function: F,
}

impl<I, U, F> Operator<I> for FilterMap<F>
where
    U: Send + 'static,
    F: FnMut(I) -> Option<U> + Clone + Send + 'static,
{
    type Out = U;
    const NAME: &'static str = "filter_map";

    #[inline(always)]
    fn on_record<E: Emit<U>>(&mut self, record: I, out: &mut Collector<'_, E>) {
        if let Some(record) = (self.function)(record) {
            out.emit(record);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::chain_test::emitted;

    #[test]
    fn what_is_none_goes() {
        let parse = FilterMap { function: |text: &str| text.parse::<u8>().ok() };
        assert_eq!(emitted(parse, vec!["1", "x", "256", "255"]), [1, 255]);
    }
}
