//! `inspect`: looks at every record and passes it on.

use crate::dataflow::{Chain, Collector, DataStream, Emit, Operator, Then};

impl<C: Chain> DataStream<C> {
    /// Calls `look` on every record and passes it on unchanged.
    ///
    /// ```
    /// # use millstream::{connector::iterator, prelude::*};
    /// # let pipeline = Pipeline::new("example");
    /// let numbers = pipeline.source(iterator(0..3)).inspect(|n| println!("saw {n}")).collect();
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// assert_eq!(numbers.take(), [0, 1, 2]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::chain_test::emitted;

    #[test]
    fn records_are_seen_once_and_pass_unchanged() {
        let (seen, all) = std::sync::mpsc::channel();
        let look = Inspect { look: move |n: &i32| seen.send(*n).expect("the test listens") };
        assert_eq!(emitted(look, vec![1, 2]), [1, 2]);
        assert_eq!(all.iter().collect::<Vec<_>>(), [1, 2]);
    }
}
