//! `reduce`: combines the records of a key two at a time.

use crate::dataflow::{Chain, Emit, EmitAt, KeyContext, KeyedOperator, KeyedOutput, KeyedStream};
use crate::record::{Key, Never};
use crate::routing::KeyedPartitioner;
use crate::state::Storable;
use crate::time::Nanos;

impl<K, C, F, Q> KeyedStream<C, F, Q>
where
    K: Key,
    C: Chain,
    C::Out: Clone + Storable,
    F: Fn(&C::Out) -> K + Clone + Send + 'static,
    Q: KeyedPartitioner<K>,
{
    /// Combines the records of each key by `function(so far, next)`, in the order of each source;
    /// emits `(key, record)` as [`emit_at`](KeyedStream::emit_at) says.
    ///
    /// Nothing is assumed of `function`, so it is not pre-aggregated; write an
    /// [`Aggregate`](crate::state::aggregate::Aggregate) where it is associative and commutative.
    ///
    /// ```
    /// # use millstream::{connector::iterator, prelude::*};
    /// # let pipeline = Pipeline::new("example");
    /// let words = pipeline.source(iterator(["to", "be", "or", "not"]));
    /// let longest = words
    ///     .map(str::to_owned)
    ///     .key_by(|_| ())
    ///     .reduce(|so_far, next| if next.len() > so_far.len() { next } else { so_far })
    ///     .collect();
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// assert_eq!(longest.take(), [((), "not".to_owned())]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn reduce<G>(self, function: G) -> KeyedOutput<C, K, F, Q, Reducing<G>>
    where
        G: FnMut(C::Out, C::Out) -> C::Out + Clone + Send + 'static,
    {
        let emit_at = self.emission();
        self.apply_keyed(Reducing { function, emit_at })
    }
}

/// The operator of [`KeyedStream::reduce`].
#[derive(Clone)]
pub struct Reducing<G> {
    function: G,
    emit_at: EmitAt,
}

impl<K, I, G> KeyedOperator<K, I> for Reducing<G>
where
    K: Key,
    I: Clone + Storable,
    G: FnMut(I, I) -> I + Clone + Send + 'static,
{
    type Out = (K, I);
    type State = Option<I>;
    type Partial = Never;
    const NAME: &'static str = "reduce";

    #[inline]
    fn on_record<E: Emit<(K, I)>>(
        &mut self,
        record: I,
        state: &mut Option<I>,
        context: &mut KeyContext<'_, K, E>,
    ) {
        let reduced = match state.take() {
            Some(so_far) => (self.function)(so_far, record),
            None => record,
        };
        if self.emit_at == EmitAt::EachRecord {
            context.emit((context.key().clone(), reduced.clone()));
        }
        *state = Some(reduced);
    }

    fn on_partial<E: Emit<(K, I)>>(
        &mut self,
        partial: Never,
        _: &mut Option<I>,
        _: &mut KeyContext<'_, K, E>,
    ) {
        match partial {}
    }

    fn on_end<E: Emit<(K, I)>>(
        &mut self,
        state: &mut Option<I>,
        context: &mut KeyContext<'_, K, E>,
    ) {
        if self.emit_at == EmitAt::End {
            self.on_tick(state, context);
        }
    }

    fn emits_on_record(&self) -> bool {
        self.emit_at == EmitAt::EachRecord
    }

    fn tick_interval(&self) -> Option<Nanos> {
        self.emit_at.interval()
    }

    fn on_tick<E: Emit<(K, I)>>(
        &mut self,
        state: &mut Option<I>,
        context: &mut KeyContext<'_, K, E>,
    ) {
        if let Some(reduced) = state {
            context.emit((context.key().clone(), reduced.clone()));
        }
    }
}
