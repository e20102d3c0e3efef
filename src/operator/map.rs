//! `map`: makes one record of each.

use crate::dataflow::{Chain, Collector, DataStream, Emit, Operator, Then};

impl<C: Chain> DataStream<C> {
    /// Makes `function(record)` of every record; order is kept.
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
