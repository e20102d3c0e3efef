//! What a key's join remembers: rows in order of time, and when it next has to look at them.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::dataflow::KeyContext;
use crate::operator::window::WindowTime;
use crate::time::Timestamp;

/// The rows of one side of one key, by time; those of one time as they came.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Buffer<T> {
    rows: VecDeque<Kept<T>>,
}

/// A row that may still match, or be taken back.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Kept<T> {
    /// When it happened.
    pub(super) time: Timestamp,
    /// Whether it has had a match.
    pub(super) is_matched: bool,
    /// The row.
    pub(super) record: T,
}

impl<T> Default for Buffer<T> {
    fn default() -> Self {
        Buffer { rows: VecDeque::new() }
    }
}

/// Rows for which room is kept however few there are.
const CAPACITY_MIN: usize = 16;

impl<T> Buffer<T> {
    /// Puts `row` behind all that are not later.
    #[inline]
    pub(super) fn insert(&mut self, row: Kept<T>) {
        // Rows are nearly in order: most are the latest.
        if self.rows.back().is_none_or(|last| last.time <= row.time) {
            self.rows.push_back(row);
            return;
        }
        let place = self.rows.partition_point(|kept| kept.time <= row.time);
        self.rows.insert(place, row);
    }

    /// The rows from `first` to `last`, both included.
    #[inline]
    pub(super) fn within(
        &mut self,
        (first, last): (Timestamp, Timestamp),
    ) -> impl Iterator<Item = &mut Kept<T>> {
        let start = self.rows.partition_point(|kept| kept.time < first);
        let end = self.rows.partition_point(|kept| kept.time <= last);
        self.rows.range_mut(start..end.max(start))
    }

    /// The latest row that is not later than `time`.
    pub(super) fn newest(&self, time: Timestamp) -> Option<&Kept<T>> {
        let end = self.rows.partition_point(|kept| kept.time <= time);
        self.rows.get(end.checked_sub(1)?)
    }

    /// The time of the row at `index`, from the earliest on.
    #[inline]
    pub(super) fn time_at(&self, index: usize) -> Option<Timestamp> {
        self.rows.get(index).map(|kept| kept.time)
    }

    /// Takes the earliest row out if it is one of those that `is_over` names.
    #[inline]
    pub(super) fn pop_if(&mut self, is_over: impl FnOnce(Timestamp) -> bool) -> Option<Kept<T>> {
        let first = self.rows.front()?;
        if is_over(first.time) { self.rows.pop_front() } else { None }
    }

    /// Gives memory back that a burst has left.
    pub(super) fn settle(&mut self) {
        if self.rows.capacity() > CAPACITY_MIN.max(4 * self.rows.len()) {
            self.rows.shrink_to(CAPACITY_MIN.max(2 * self.rows.len()));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// How many rows there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }
}

/// When a key is woken next, so that it asks once and not for each row.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct NextWake(Option<Timestamp>);

impl NextWake {
    /// Asks for the key to be woken at `at`, unless it is to be woken before.
    #[inline]
    pub(super) fn ask<W: WindowTime, K, E>(
        &mut self,
        at: Option<Timestamp>,
        context: &mut KeyContext<'_, K, E>,
    ) {
        if let Some(at) = at
            && self.0.is_none_or(|next| at < next)
        {
            self.0 = Some(at);
            W::wake_at(at, context);
        }
    }

    /// Time has come to `until`: wakes up to there are not to come any more.
    #[inline]
    pub(super) fn pass(&mut self, until: Timestamp) {
        self.0 = self.0.filter(|next| *next > until);
    }
}

/// Both sides of one key.
#[derive(Debug, Serialize, Deserialize)]
pub struct Sides<L, R> {
    pub(super) left: Buffer<L>,
    pub(super) right: Buffer<R>,
    pub(super) wake: NextWake,
}

impl<L, R> Default for Sides<L, R> {
    fn default() -> Self {
        let (left, right) = (Buffer::default(), Buffer::default());
        Sides { left, right, wake: NextWake::default() }
    }
}

impl<L, R> Sides<L, R> {
    pub(super) fn is_empty(&self) -> bool {
        self.left.is_empty() && self.right.is_empty()
    }
}

/// Which times of the other side a row matches, relative to its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reach {
    pub(super) from_ms: i64,
    pub(super) to_ms: i64,
}

impl Reach {
    /// The first and the last time that a row of `time` matches.
    #[inline]
    pub(super) fn of(self, time: Timestamp) -> (Timestamp, Timestamp) {
        (time.plus_millis(self.from_ms), time.plus_millis(self.to_ms))
    }

    /// The watermark at which nothing can come any more that matches a row of `time`.
    #[inline]
    pub(super) fn last(self, time: Timestamp) -> Timestamp {
        time.plus_millis(self.to_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer(times: &[(i64, u32)]) -> Buffer<u32> {
        let mut buffer = Buffer::default();
        for (time, record) in times {
            buffer.insert(Kept { time: (*time).into(), is_matched: false, record: *record });
        }
        buffer
    }

    #[test]
    fn rows_lie_by_time_and_those_of_one_time_as_they_came() {
        let mut rows = buffer(&[(5, 0), (9, 1), (5, 2), (1, 3), (9, 4)]);
        let all = (Timestamp::MIN, Timestamp::MAX);
        let order: Vec<u32> = rows.within(all).map(|row| row.record).collect();
        assert_eq!(order, [3, 0, 2, 1, 4]);
        let within = |rows: &mut Buffer<u32>, first: i64, last: i64| {
            rows.within((first.into(), last.into())).map(|row| row.record).collect::<Vec<_>>()
        };
        assert_eq!(within(&mut rows, 5, 8), [0, 2]);
        assert_eq!(within(&mut rows, 2, 9), [0, 2, 1, 4]);
        assert!(within(&mut rows, 6, 8).is_empty() && within(&mut rows, 9, 5).is_empty());
        let newest = |time: i64| rows.newest(time.into()).map(|row| row.record);
        assert_eq!(
            [newest(0), newest(1), newest(8), newest(99)],
            [None, Some(3), Some(2), Some(4)]
        );
    }

    #[test]
    fn memory_of_a_burst_is_given_back_when_it_is_over() {
        let mut rows = buffer(&[]);
        for time in 0..10_000 {
            rows.insert(Kept { time: time.into(), is_matched: false, record: 0u32 });
        }
        while rows.pop_if(|time| time < 9_990.into()).is_some() {}
        rows.settle();
        assert_eq!((rows.len(), rows.time_at(0)), (10, Some(9_990.into())));
        assert!(rows.rows.capacity() < 100, "{}", rows.rows.capacity());
    }
}
