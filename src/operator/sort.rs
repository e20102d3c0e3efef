//! `sort_by_time` and `merge_sorted`: records in the order of their times.

use std::collections::VecDeque;

use crate::dataflow::{Chain, Collector, DataStream, Emit, Flow, Identity, Operator, Then, Timed};
use crate::metrics::Tally;
use crate::time::Timestamp;

impl<C: Chain<Time = Timed>> DataStream<C> {
    /// Holds records back until the watermark has passed them, and lets them out in the order of
    /// their times, per partition; those of one time in the order in which they came. A record
    /// behind the watermark is late: it is dropped, and counted.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use millstream::{connector::iterator, prelude::*};
    /// # use millstream::time::watermark::BoundedDisorder;
    /// # let pipeline = Pipeline::new("example");
    /// let disorder = BoundedDisorder::new(Duration::from_millis(10));
    /// let times = pipeline.source(iterator([3, 1, 9, 7])).assign_timestamps(|t| *t, disorder);
    /// let sorted = times.sort_by_time().collect();
    /// # Engine::new(Config::builder().partitions(1).build()?)?.run(pipeline)?;
    /// assert_eq!(sorted.take(), [1, 3, 7, 9]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn sort_by_time(self) -> DataStream<Then<C, SortByTime<C::Out>>> {
        self.apply(SortByTime::new())
    }

    /// Merges two streams into one that is in the order of times, per partition.
    ///
    /// ```
    /// # use millstream::{connector::iterator, prelude::*};
    /// # use millstream::time::watermark::Monotone;
    /// # let pipeline = Pipeline::new("example");
    /// let odd = pipeline.source(iterator([1, 3, 5])).assign_timestamps(|t| *t, Monotone::new());
    /// let even = pipeline.source(iterator([2, 4, 6])).assign_timestamps(|t| *t, Monotone::new());
    /// let all = odd.merge_sorted(even).collect();
    /// # Engine::new(Config::builder().partitions(1).build()?)?.run(pipeline)?;
    /// assert_eq!(all.take(), [1, 2, 3, 4, 5, 6]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn merge_sorted<D>(self, other: DataStream<D>) -> SortedStream<C::Out>
    where
        D: Chain<Out = C::Out, Time = Timed>,
    {
        self.union(other).sort_by_time()
    }
}

/// The stream behind [`DataStream::merge_sorted`].
pub type SortedStream<T> = DataStream<Then<Identity<T, Timed>, SortByTime<T>>>;

/// The operator of [`DataStream::sort_by_time`].
pub struct SortByTime<T> {
    /// Held back. Sorted up to `sorted`, and behind it as they came.
    held: VecDeque<(Timestamp, T)>,
    sorted: usize,
    watermark: Timestamp,
    tally: Tally,
}

impl<T> SortByTime<T> {
    fn new() -> Self {
        SortByTime {
            held: VecDeque::new(),
            sorted: 0,
            watermark: Timestamp::MIN,
            tally: Tally::default(),
        }
    }
}

impl<T> Clone for SortByTime<T> {
    /// Without what it holds.
    fn clone(&self) -> Self {
        SortByTime::new()
    }
}

impl<T: Send + 'static> Operator<T> for SortByTime<T> {
    type Out = T;
    const NAME: &'static str = "sort_by_time";
    const PINS_STATE: Option<&'static str> =
        Some("`sort_by_time` behind them compares times of records with the watermark");
    const BOUND: Option<&'static str> = Some("records that it holds back belong to no key");

    #[inline]
    fn on_record<E: Emit<T>>(&mut self, record: T, out: &mut Collector<'_, E>) {
        self.tally.taken += 1;
        if out.time() <= self.watermark {
            self.tally.late += 1;
            return;
        }
        self.tally.applied += 1;
        self.held.push_back((out.time(), record));
    }

    fn on_watermark<E: Emit<T>>(
        &mut self,
        watermark: Timestamp,
        out: &mut Collector<'_, E>,
    ) -> Flow {
        self.watermark = watermark;
        if self.sorted < self.held.len() {
            // Stable, and fast on runs: what was left is one, and what came is nearly one.
            self.held.make_contiguous().sort_by_key(|(time, _)| *time);
            self.sorted = self.held.len();
        }
        while let Some((time, _)) = self.held.front()
            && *time <= watermark
        {
            if !out.is_open() {
                return Flow::More;
            }
            let (time, record) = self.held.pop_front().expect("it has a front");
            self.sorted -= 1;
            out.emit_at(record, time);
        }
        Flow::Done
    }

    fn count(&self, tally: &mut Tally) {
        *tally += self.tally;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataflow::Signal;
    use crate::operator::chain_test::timed;

    #[test]
    fn records_wait_for_the_watermark_and_come_in_order() {
        let mut sorted = timed(SortByTime::<char>::new());
        assert!(sorted.feed_at(vec![('c', 30), ('a', 10), ('b', 20), ('A', 10)]).is_empty());
        assert_eq!(sorted.signal(Signal::Watermark(20.into())), ['a', 'A', 'b']);
        sorted.feed_at(vec![('x', 20), ('d', 25)]);
        assert_eq!(sorted.signal(Signal::Watermark(Timestamp::MAX)), ['d', 'c']);
        assert_eq!((sorted.tally().late, sorted.tally().applied), (1, 5));
    }
}
