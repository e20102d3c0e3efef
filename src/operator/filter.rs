//! `filter`: keeps the records that a predicate accepts.

use crate::dataflow::{Chain, Collector, DataStream, Emit, Operator, Then};

impl<C: Chain> DataStream<C> {
    /// Keeps the records for which `predicate` returns `true`; order is kept.
    ///
    /// ```
    /// # use millstream::{connector::iterator, prelude::*};
    /// # let pipeline = Pipeline::new("example");
    /// let even = pipeline.source(iterator(1..=6)).filter(|n| n % 2 == 0).collect();
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// assert_eq!(even.take(), [2, 4, 6]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::chain_test::emitted;

    #[test]
    fn accepted_records_stay_in_order() {
        let odd = Filter { predicate: |n: &i32| n % 2 != 0 };
        assert_eq!(emitted(odd, vec![3, 2, 1, 0, -1]), [3, 1, -1]);
    }

    #[test]
    fn nothing_accepted_is_nothing_emitted() {
        assert!(emitted(Filter { predicate: |_: &i32| false }, vec![1, 2]).is_empty());
    }
}
