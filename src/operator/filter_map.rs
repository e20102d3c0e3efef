//! `filter_map`: makes one record of each, or none.

use crate::dataflow::{Chain, Collector, DataStream, Emit, Operator, Then};

impl<C: Chain> DataStream<C> {
    /// Makes a record of every record for which `function` returns `Some`; order is kept.
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
