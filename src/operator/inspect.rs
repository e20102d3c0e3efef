//! `inspect`: looks at every record and passes it on.

use crate::dataflow::{Chain, Collector, DataStream, Emit, Operator, Then};

impl<C: Chain> DataStream<C> {
    /// Calls `look` on every record and passes it on unchanged.
    pub fn inspect<F>(self, look: F) -> DataStream<Then<C, Inspect<F>>>
    where
        F: FnMut(&C::Out) + Clone + Send + 'static,
    {
        self.apply(Inspect { look })
    }
}

/// The operator of [`DataStream::inspect`].
#[derive(Clone)]
pub struct Inspect<F> {
    look: F,
}

impl<I, F> Operator<I> for Inspect<F>
where
    I: Send + 'static,
    F: FnMut(&I) + Clone + Send + 'static,
{
    type Out = I;
    const NAME: &'static str = "inspect";

    #[inline(always)]
    fn on_record<E: Emit<I>>(&mut self, record: I, out: &mut Collector<'_, E>) {
        (self.look)(&record);
        out.emit(record);
    }
}
