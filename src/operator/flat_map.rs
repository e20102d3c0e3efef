//! `flat_map`: makes any number of records of each.

use crate::dataflow::{Chain, Collector, DataStream, Emit, Operator, TaskContext, Then};

impl<C: Chain> DataStream<C> {
    /// Makes the records that `function` returns of every record, in their order.
    ///
    /// One record may make at most `max-outputs-per-record` of them (a knob): the job fails
    /// otherwise, since what one record makes has to lie in memory at once.
    pub fn flat_map<U, R, F>(self, function: F) -> DataStream<Then<C, FlatMap<F>>>
    where
        U: Send + 'static,
        R: IntoIterator<Item = U>,
        F: FnMut(C::Out) -> R + Clone + Send + 'static,
    {
        self.apply(FlatMap { function, outputs_max: u64::MAX })
    }
}

/// The operator of [`DataStream::flat_map`].
#[derive(Clone)]
pub struct FlatMap<F> {
    function: F,
    outputs_max: u64,
}

impl<I, U, R, F> Operator<I> for FlatMap<F>
where
    U: Send + 'static,
    R: IntoIterator<Item = U>,
    F: FnMut(I) -> R + Clone + Send + 'static,
{
    type Out = U;
    const NAME: &'static str = "flat_map";

    fn open(&mut self, context: &TaskContext) {
        self.outputs_max = context.max_outputs_per_record;
    }

    #[inline]
    fn on_record<E: Emit<U>>(&mut self, record: I, out: &mut Collector<'_, E>) {
        let mut outputs = 0;
        for record in (self.function)(record) {
            outputs += 1;
            // Caught by the partition, which names the operator and fails the job.
            assert!(
                outputs <= self.outputs_max,
                "one record made more than {} records; max-outputs-per-record allows no more",
                self.outputs_max
            );
            out.emit(record);
        }
    }
}
