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

    fn waits_for_end(&self) -> bool {
        self.emit_at == EmitAt::End
    }

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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::dataflow::Signal;
    use crate::operator::chain_test::keyed;

    /// Joins words by the order in which they come.
    fn joining(emit_at: EmitAt) -> Reducing<impl FnMut(String, String) -> String + Clone + Send> {
        Reducing { function: |so_far: String, next: String| so_far + &next, emit_at }
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[allow(clippy::ptr_arg)] // A key function takes a record by reference.
    fn initial(word: &String) -> char {
        word.chars().next().expect("no test has an empty word")
    }

    fn texts(emitted: Vec<(char, String)>) -> Vec<String> {
        let mut texts: Vec<String> = emitted.into_iter().map(|(_, text)| text).collect();
        texts.sort_unstable();
        texts
    }

    #[test]
    fn records_of_a_key_are_joined_in_order_and_emitted_at_the_end() {
        let mut joined = keyed(joining(EmitAt::End), initial);
        assert!(joined.feed(words(&["a1", "b1", "a2", "a3"])).is_empty());
        assert_eq!(texts(joined.signal(Signal::End)), ["a1a2a3", "b1"]);
    }

    #[test]
    fn first_record_of_a_key_is_its_result_untouched() {
        let function = |_: String, _: String| unreachable!("there is nothing to reduce");
        let emit_at = EmitAt::EachRecord;
        let mut joined = keyed(Reducing { function, emit_at }, initial);
        assert_eq!(texts(joined.feed(words(&["a", "b"]))), ["a", "b"]);
    }

    #[test]
    fn result_so_far_follows_each_record_and_the_end_adds_none() {
        let mut joined = keyed(joining(EmitAt::EachRecord), initial);
        let emitted = joined.feed(words(&["a1", "a2"]));
        assert_eq!(emitted, [('a', "a1".to_owned()), ('a', "a1a2".to_owned())]);
        assert!(joined.signal(Signal::End).is_empty());
    }

    #[test]
    fn tick_emits_the_keys_that_changed_and_keeps_their_state() {
        let mut joined = keyed(joining(EmitAt::Every(Duration::from_nanos(10))), initial);
        joined.feed(words(&["a1", "b1"]));
        assert_eq!(texts(joined.signal(Signal::Clock(10))), ["a1", "b1"]);
        joined.feed(words(&["b2"]));
        assert_eq!(texts(joined.signal(Signal::Clock(20))), ["b1b2"]);
        assert!(joined.signal(Signal::End).is_empty());
    }
}
