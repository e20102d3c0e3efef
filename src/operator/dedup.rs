//! `dedup`: the first record of each id within a time.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::dataflow::{
    Chain, DataStream, Due, Emit, Flow, KeyContext, KeyedOperator, KeyedOutput, KeyedStream,
    TimeDomain,
};
use crate::error::{Error, ErrorKind, Result};
use crate::metrics::Tally;
use crate::record::{Key, Never};
use crate::routing::{Hashed, KeyedPartitioner};
use crate::state::Storable;
use crate::time::{Timestamp, millis};

impl<K, C, F, Q> KeyedStream<C, F, Q>
where
    K: Key,
    C: Chain,
    F: Fn(&C::Out) -> K + Clone + Send + 'static,
    Q: KeyedPartitioner<K>,
{
    /// Lets the first record of each id pass and drops others of the same key and id, until
    /// `within` has passed since the first: in event time where the stream has one, else in
    /// processing time.
    ///
    /// A record behind the watermark whose id is not known any more may be a second one; it is
    /// late, and counted.
    pub fn dedup<I, G>(self, id_of: G, within: Duration) -> KeyedOutput<C, K, F, Q, Dedup<I, G>>
    where
        I: Ord + Clone + Storable,
        G: Fn(&C::Out) -> I + Clone + Send + 'static,
    {
        self.apply_keyed(Dedup::new(id_of, within, C::Time::HAS_TIME))
    }
}

/// The stream behind [`DataStream::dedup`]: the id is the key.
pub type DedupOutput<C, I, F> = KeyedOutput<C, I, F, Hashed, Dedup<(), fn(&<C as Chain>::Out)>>;

impl<C: Chain> DataStream<C> {
    /// Lets the first record of each id pass and drops the others, until `within` has passed since
    /// the first. Sends every record to the partition that owns its id.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use millstream::{connector::iterator, prelude::*};
    /// # let pipeline = Pipeline::new("example");
    /// let orders = pipeline.source(iterator([(7, "tea"), (8, "jam"), (7, "tea")]));
    /// let once = orders.dedup(|order| order.0, Duration::from_secs(3_600)).collect();
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// let mut once = once.take();
    /// once.sort();
    /// assert_eq!(once, [(7, "tea"), (8, "jam")]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn dedup<I, F>(self, id_of: F, within: Duration) -> DedupOutput<C, I, F>
    where
        I: Key,
        F: Fn(&C::Out) -> I + Clone + Send + 'static,
    {
        let only: fn(&C::Out) = |_| ();
        self.key_by(id_of).dedup(only, within)
    }
}

/// The operator of `dedup`.
pub struct Dedup<I, G> {
    id_of: G,
    within: Duration,
    in_event_time: bool,
    tally: Tally,
    id: std::marker::PhantomData<fn() -> I>,
}

impl<I, G> Dedup<I, G> {
    fn new(id_of: G, within: Duration, in_event_time: bool) -> Self {
        let id = std::marker::PhantomData;
        Dedup { id_of, within, in_event_time, tally: Tally::default(), id }
    }
}

impl<I, G: Clone> Clone for Dedup<I, G> {
    fn clone(&self) -> Self {
        Dedup::new(self.id_of.clone(), self.within, self.in_event_time)
    }
}

/// The ids of a key, each with the time from which it may pass again.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound(serialize = "I: Serialize", deserialize = "I: Ord + Deserialize<'de>"))]
pub struct Seen<I> {
    ids: Ids<I>,
    /// When the key is woken to forget some, if it is.
    woken_at: Option<Timestamp>,
}

impl<I> Default for Seen<I> {
    fn default() -> Self {
        Seen { ids: Ids::None, woken_at: None }
    }
}

/// One id takes no allocation: where the id is the key there is only one.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(bound(serialize = "I: Serialize", deserialize = "I: Ord + Deserialize<'de>"))]
enum Ids<I> {
    #[default]
    None,
    One(I, Timestamp),
    #[allow(clippy::box_collection)] // Most keys have one id, and are 16 bytes smaller.
    Many(Box<BTreeMap<I, Timestamp>>),
}

impl<I: Ord> Ids<I> {
    fn get(&self, id: &I) -> Option<Timestamp> {
        match self {
            Ids::One(own, until) if own == id => Some(*until),
            Ids::None | Ids::One(..) => None,
            Ids::Many(ids) => ids.get(id).copied(),
        }
    }

    fn set(&mut self, id: I, until: Timestamp) {
        *self = match std::mem::take(self) {
            Ids::None => Ids::One(id, until),
            Ids::One(own, _) if own == id => Ids::One(id, until),
            Ids::One(own, other) => {
                Ids::Many(Box::new(BTreeMap::from([(own, other), (id, until)])))
            }
            Ids::Many(mut ids) => {
                ids.insert(id, until);
                Ids::Many(ids)
            }
        };
    }

    /// Forgets the ids that may pass again at `now`; returns when the next one may.
    fn forget(&mut self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Ids::One(_, until) if *until > now => return Some(*until),
            Ids::Many(ids) => {
                ids.retain(|_, until| *until > now);
                if let Some(next) = ids.values().min() {
                    return Some(*next);
                }
            }
            Ids::None | Ids::One(..) => {}
        }
        *self = Ids::None;
        None
    }
}

impl<I, G> Dedup<I, G> {
    fn ask<K, E>(&self, at: Timestamp, seen: &mut Seen<I>, context: &mut KeyContext<'_, K, E>) {
        seen.woken_at = Some(at);
        match self.in_event_time {
            true => context.wake_at(at),
            false => context.wake_at_clock(at),
        }
    }

    fn wake<K, E>(&self, due: Due, seen: &mut Seen<I>, context: &mut KeyContext<'_, K, E>) -> Flow
    where
        I: Ord,
    {
        seen.woken_at = None;
        if let Some(next) = seen.ids.forget(due.until) {
            // All that go within an eighth of the time go together, so that a key of many ids is
            // not gone through for each of them.
            let at = next.max(due.until.plus_millis(millis(self.within) / 8));
            self.ask(at, seen, context);
        }
        Flow::Done
    }
}

impl<K, T, I, G> KeyedOperator<K, T> for Dedup<I, G>
where
    T: Send + 'static,
    I: Ord + Clone + Storable,
    G: Fn(&T) -> I + Clone + Send + 'static,
{
    type Out = T;
    type State = Seen<I>;
    type Partial = Never;
    const NAME: &'static str = "dedup";
    const COUNTS_RECORDS: bool = true;
    const FORGETS: bool = true;

    fn check(&self) -> Result<()> {
        if millis(self.within) > 0 {
            return Ok(());
        }
        let context = format!("dedup within {:?}; allowed is 1 ms or more", self.within);
        Err(Error::new(ErrorKind::InvalidConfig, context))
    }

    fn on_record<E: Emit<T>>(
        &mut self,
        record: T,
        seen: &mut Seen<I>,
        context: &mut KeyContext<'_, K, E>,
    ) {
        let id = (self.id_of)(&record);
        let time = if self.in_event_time { context.time() } else { context.now() };
        let is_second = match seen.ids.get(&id) {
            Some(until) => time < until,
            None if self.in_event_time && time <= context.watermark() => {
                self.tally.late += 1;
                return;
            }
            None => false,
        };
        self.tally.applied += 1;
        if is_second {
            return;
        }
        let until = time + self.within;
        seen.ids.set(id, until);
        if seen.woken_at.is_none() {
            self.ask(until, seen, context);
        }
        context.emit(record);
    }

    fn on_partial<E: Emit<T>>(
        &mut self,
        partial: Never,
        _: &mut Seen<I>,
        _: &mut KeyContext<'_, K, E>,
    ) {
        match partial {}
    }

    fn on_event_time<E: Emit<T>>(
        &mut self,
        due: Due,
        seen: &mut Seen<I>,
        context: &mut KeyContext<'_, K, E>,
    ) -> Flow {
        self.wake(due, seen, context)
    }

    fn on_processing_time<E: Emit<T>>(
        &mut self,
        due: Due,
        seen: &mut Seen<I>,
        context: &mut KeyContext<'_, K, E>,
    ) -> Flow {
        self.wake(due, seen, context)
    }

    fn is_empty(seen: &Seen<I>) -> bool {
        matches!(seen.ids, Ids::None)
    }

    fn count(&self, tally: &mut Tally) {
        *tally += self.tally;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataflow::Signal;
    use crate::operator::chain_test::keyed_timed;

    const TEN: Duration = Duration::from_millis(10);

    #[test]
    fn second_record_of_an_id_passes_once_the_time_is_over() {
        let mut dedup = keyed_timed(Dedup::new(|n: &u32| n / 100, TEN, true), |n: &u32| n % 10);
        let fed = dedup.feed_at(vec![(101, 0), (102, 1), (111, 9), (201, 2), (121, 10), (131, 19)]);
        assert_eq!(fed, [101, 102, 201, 121]);
    }

    #[test]
    fn ids_that_may_pass_again_are_forgotten_and_late_records_are_counted() {
        let mut dedup = keyed_timed(Dedup::new(|_: &u32| (), TEN, true), |n: &u32| *n);
        dedup.feed_at(vec![(1, 5), (2, 14)]);
        assert!(dedup.signal(Signal::Watermark(15.into())).is_empty());
        assert_eq!(dedup.keys(), 1, "1 is forgotten");
        assert!(dedup.feed_at(vec![(1, 15), (2, 15)]).is_empty(), "late, and a second one");
        dedup.signal(Signal::Watermark(30.into()));
        assert_eq!(dedup.keys(), 0);
        assert_eq!((dedup.tally().late, dedup.tally().applied), (1, 3));
    }

    #[test]
    fn one_id_of_nothing_takes_32_bytes() {
        assert!(size_of::<Seen<()>>() <= 32);
    }

    #[test]
    fn ids_are_forgotten_when_they_may_pass_again() {
        let mut ids = Ids::None;
        for (id, until) in [(1, 30), (2, 10), (3, 20), (1, 40)] {
            ids.set(id, until.into());
        }
        assert_eq!(ids.get(&1), Some(40.into()));
        assert_eq!(ids.forget(10.into()), Some(20.into()));
        assert_eq!(ids.get(&2), None);
        assert_eq!(ids.forget(39.into()), Some(40.into()));
        assert_eq!(ids.forget(40.into()), None);
        assert!(matches!(ids, Ids::None));
    }
}
