//! `flat_map`: makes any number of records of each.

use crate::dataflow::{Chain, Collector, DataStream, Emit, Operator, TaskContext, Then};

impl<C: Chain> DataStream<C> {
    /// Makes the records that `function` returns of every record, in their order.
    ///
    /// One record may make at most `max-outputs-per-record` of them (a knob): the job fails
    /// otherwise, since what one record makes has to lie in memory at once.
    ///
    /// ```
    /// # use millstream::{connector::iterator, prelude::*};
    /// # let pipeline = Pipeline::new("example");
    /// let counted = pipeline.source(iterator(1..=3)).flat_map(|n| 0..n).collect();
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// assert_eq!(counted.take(), [0, 0, 1, 0, 1, 2]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::chain_test::emitted;

    fn repeat(outputs_max: u64) -> FlatMap<impl FnMut(usize) -> Vec<usize> + Clone + Send> {
        FlatMap { function: |count: usize| vec![count; count], outputs_max }
    }

    #[test]
    fn outputs_follow_each_other_in_order() {
        assert_eq!(emitted(repeat(3), vec![2, 0, 1, 3]), [2, 2, 1, 3, 3, 3]);
    }

    #[test]
    #[should_panic(expected = "one record made more than 3 records; max-outputs-per-record")]
    fn one_output_too_many_is_refused() {
        emitted(repeat(3), vec![4]);
    }

    #[test]
    fn endless_outputs_are_cut_off() {
        let endless = FlatMap { function: |_: u8| std::iter::repeat(0), outputs_max: 1_000 };
        let outcome = std::panic::catch_unwind(|| emitted(endless, vec![1]));
        assert!(outcome.is_err());
    }

    #[test]
    fn the_bound_is_the_job_s() {
        let mut operator = repeat(u64::MAX);
        let waker = crate::exchange::wake::wake_pair().1;
        let context = TaskContext { max_outputs_per_record: 7, ..TaskContext::new(0, 1, waker) };
        operator.open(&context);
        assert_eq!(operator.outputs_max, 7);
    }
}
