//! `filter`: keeps the records that a predicate accepts.

use crate::dataflow::{Chain, Collector, DataStream, Emit, Operator, Then};

impl<C: Chain> DataStream<C> {
    /// Keeps the records for which `predicate` returns `true`; order is kept.
    pub fn filter<P>(self, predicate: P) -> DataStream<Then<C, Filter<P>>>
    where
        P: FnMut(&C::Out) -> bool + Clone + Send + 'static,
    {
        self.apply(Filter { predicate })
    }
}

/// The operator of [`DataStream::filter`].
#[derive(Clone)]
pub struct Filter<P> {
    predicate: P,
}

impl<I, P> Operator<I> for Filter<P>
where
    I: Send + 'static,
    P: FnMut(&I) -> bool + Clone + Send + 'static,
{
    type Out = I;
    const NAME: &'static str = "filter";

    #[inline(always)]
    fn on_record<E: Emit<I>>(&mut self, record: I, out: &mut Collector<'_, E>) {
        if (self.predicate)(&record) {
            out.emit(record);
        }
    }
}
