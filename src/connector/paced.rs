//! `paced`: records released on a fixed schedule, whether they are taken or not (open loop).
//!
//! The schedule is fixed beforehand: slot *k* of all partitions together is due at
//! `start + k / rate`, and partition *p* of *P* fills the slots *k* with *k* mod *P* = *p*, so each
//! of them releases evenly. Which records a partition makes is as in
//! [`generator`](crate::connector::generator): a record that is late was due all the same, and
//! carries that time.

use std::cmp::Ordering;
use std::time::Duration;

use crate::connector::generator::BLOCK;
use crate::dataflow::{Collector, Emit, Polled, Source, SourceConnector, TaskContext};
use crate::error::{Error, ErrorKind, Result};
use crate::time::Nanos;

/// From the start of the job to the first slot, so that the threads are up when it is due.
pub const LEAD_NS: Nanos = 20_000_000;

/// What a source is behind at the end at least before it gives up: a busy machine takes a core
/// away for tens of milliseconds.
pub const PATIENCE_NS: Nanos = 200_000_000;

const NS_PER_S: u128 = 1_000_000_000;

/// A source of `function(index, due)` at `rate` records per second over all partitions, where `due`
/// is when the record should leave, in monotonic nanoseconds. Without end until
/// [`records`](Paced::records) or [`lasting`](Paced::lasting) gives it one.
pub fn paced<T, F>(rate: u64, function: F) -> Paced<F>
where
    T: Send + 'static,
    F: FnMut(u64, Nanos) -> T + Clone + Send + 'static,
{
    Paced { rate, function, records: None, lasting: None }
}

/// Connector of records on a schedule, made by [`paced`].
#[derive(Clone, Debug)]
pub struct Paced<F> {
    rate: u64,
    function: F,
    records: Option<u64>,
    lasting: Option<Duration>,
}

impl<F> Paced<F> {
    /// Ends after so many records, all partitions together.
    pub fn records(mut self, records: u64) -> Paced<F> {
        self.records = Some(records);
        self
    }

    /// Ends with the last slot of this time. Records that are still held up a tenth of it later,
    /// at least [`PATIENCE_NS`], are given up, since the rate cannot be held.
    pub fn lasting(mut self, lasting: Duration) -> Paced<F> {
        self.lasting = Some(lasting);
        self
    }

    fn share(&self, context: &TaskContext) -> PacedSource<F>
    where
        F: Clone,
    {
        let (partition, partitions) = (context.partition as u64, context.partitions as u64);
        let schedule =
            Schedule { start: context.now + LEAD_NS, rate: self.rate, partition, partitions };
        let by_records = self.records.map(|records| schedule.records_below(records));
        let ns = self.lasting.map(|lasting| lasting.as_nanos().try_into().unwrap_or(Nanos::MAX));
        let by_time = ns.map(|ns: Nanos| schedule.due_by((schedule.start + ns).saturating_sub(1)));
        PacedSource {
            next: 0,
            end: [by_records, by_time].into_iter().flatten().min().unwrap_or(u64::MAX),
            give_up_at: ns.map_or(Nanos::MAX, |ns| {
                schedule.start.saturating_add(ns).saturating_add(PATIENCE_NS.max(ns / 10))
            }),
            function: self.function.clone(),
            schedule,
        }
    }
}

impl<T, F> SourceConnector for Paced<F>
where
    T: Send + 'static,
    F: FnMut(u64, Nanos) -> T + Clone + Send + 'static,
{
    type Item = T;
    type Source = PacedSource<F>;

    fn name(&self) -> String {
        "paced".to_owned()
    }

    fn is_bounded(&self) -> bool {
        self.records.is_some() || self.lasting.is_some()
    }

    fn check(&self) -> Result<()> {
        if self.rate == 0 {
            let seen = "rate is 0 records per second, not at least 1";
            return Err(Error::new(ErrorKind::InvalidConfig, seen));
        }
        Ok(())
    }

    fn open(&mut self, context: &TaskContext) -> Result<PacedSource<F>> {
        Ok(self.share(context))
    }
}

/// When the records of one partition are due.
#[derive(Clone, Copy, Debug)]
struct Schedule {
    start: Nanos,
    rate: u64,
    partition: u64,
    partitions: u64,
}

impl Schedule {
    /// When the partition's record `nth` (from 0) is due, rounded up to a nanosecond.
    #[inline]
    fn due(&self, nth: u64) -> Nanos {
        let slot = u128::from(nth) * u128::from(self.partitions) + u128::from(self.partition);
        let after = (slot * NS_PER_S).div_ceil(u128::from(self.rate));
        self.start.saturating_add(after.try_into().unwrap_or(Nanos::MAX))
    }

    /// How many of the partition's records are due at `now`.
    #[inline]
    fn due_by(&self, now: Nanos) -> u64 {
        let Some(elapsed) = now.checked_sub(self.start) else { return 0 };
        let last_slot = u128::from(elapsed) * u128::from(self.rate) / NS_PER_S;
        let Some(beyond) = last_slot.checked_sub(u128::from(self.partition)) else { return 0 };
        let count = beyond / u128::from(self.partitions) + 1;
        count.try_into().unwrap_or(u64::MAX)
    }

    /// The index of the partition's record `nth` among those of all.
    #[inline]
    fn index(&self, nth: u64) -> u64 {
        (nth / BLOCK * self.partitions + self.partition) * BLOCK + nth % BLOCK
    }

    /// When the first of the partition's records is due whose index is at least `index`.
    fn due_from(&self, index: u64) -> Nanos {
        let (block, place) = (index / BLOCK, index % BLOCK);
        let (round, turn) = (block / self.partitions, block % self.partitions);
        self.due(match self.partition.cmp(&turn) {
            Ordering::Less => (round + 1) * BLOCK,
            Ordering::Equal => round * BLOCK + place,
            Ordering::Greater => round * BLOCK,
        })
    }

    /// How many of the partition's records have an index below `records`.
    fn records_below(&self, records: u64) -> u64 {
        let round = self.partitions * BLOCK;
        let rest = (records % round).saturating_sub(self.partition * BLOCK).min(BLOCK);
        records / round * BLOCK + rest
    }
}

/// When each partition of the job of `context` should have released record `index` of a source
/// [`paced`] at `rate`, or one behind it; in monotonic nanoseconds.
pub fn due_everywhere(rate: u64, index: u64, context: &TaskContext) -> Nanos {
    let partitions = context.partitions as u64;
    let due = |partition| {
        Schedule { start: context.now + LEAD_NS, rate, partition, partitions }.due_from(index)
    };
    (0..partitions).map(due).max().unwrap_or(0)
}

/// One partition's share of a [`Paced`].
#[derive(Debug)]
pub struct PacedSource<F> {
    schedule: Schedule,
    next: u64,
    end: u64,
    give_up_at: Nanos,
    function: F,
}

impl<T, F> Source for PacedSource<F>
where
    T: Send + 'static,
    F: FnMut(u64, Nanos) -> T + Send,
{
    type Item = T;

    fn poll<E: Emit<T>>(
        &mut self,
        max: usize,
        now: Nanos,
        out: &mut Collector<'_, E>,
    ) -> Result<Polled> {
        if self.next >= self.end || now >= self.give_up_at {
            return Ok(Polled::Done);
        }
        let due = self.schedule.due_by(now).min(self.end);
        let until = due.min(self.next.saturating_add(max as u64));
        let (schedule, function) = (&self.schedule, &mut self.function);
        let records =
            (self.next..until).map(|nth| function(schedule.index(nth), schedule.due(nth)));
        self.next += out.emit_all(records);
        Ok(match self.next {
            next if next >= self.end => Polled::Done,
            next if next < due => Polled::Ready,
            next => Polled::Until(self.schedule.due(next)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::generator::Dealt;
    use crate::connector::{polled, test_context};

    type Stamped = (u64, Nanos);

    fn stamp(index: u64, due: Nanos) -> Stamped {
        (index, due)
    }

    fn open(
        mut paced: Paced<fn(u64, Nanos) -> Stamped>,
        p: usize,
        of: usize,
    ) -> impl FnMut(usize, Nanos) -> (Polled, Vec<Stamped>) {
        let mut source = paced.open(&test_context(p, of)).unwrap();
        move |max, now| polled(&mut source, max, now)
    }

    fn at(rate: u64) -> Paced<fn(u64, Nanos) -> Stamped> {
        paced(rate, stamp as fn(u64, Nanos) -> Stamped)
    }

    #[test]
    fn records_leave_when_they_are_due_and_not_before() {
        let mut poll = open(at(1_000_000).records(4), 0, 1);
        assert_eq!(poll(10, 0), (Polled::Until(LEAD_NS), vec![]));
        assert_eq!(poll(10, LEAD_NS - 1), (Polled::Until(LEAD_NS), vec![]));
        assert_eq!(poll(10, LEAD_NS), (Polled::Until(LEAD_NS + 1_000), vec![(0, LEAD_NS)]));
        let late = vec![(1, LEAD_NS + 1_000), (2, LEAD_NS + 2_000)];
        assert_eq!(poll(10, LEAD_NS + 2_999), (Polled::Until(LEAD_NS + 3_000), late));
        assert_eq!(poll(10, LEAD_NS + 3_000), (Polled::Done, vec![(3, LEAD_NS + 3_000)]));
        assert_eq!(poll(10, LEAD_NS + 9_000), (Polled::Done, vec![]));
    }

    #[test]
    fn what_is_held_up_keeps_its_due_time_and_comes_in_portions() {
        let mut poll = open(at(1_000_000_000).records(10), 0, 1);
        let (polled, records) = poll(4, LEAD_NS + 1_000);
        assert_eq!(polled, Polled::Ready);
        assert_eq!(records, (0..4).map(|i| (i, LEAD_NS + i)).collect::<Vec<_>>());
        assert_eq!(poll(4, LEAD_NS + 1_000).0, Polled::Ready);
        assert_eq!(poll(4, LEAD_NS + 1_000).0, Polled::Done);
    }

    #[test]
    fn partitions_share_the_slots_evenly_and_the_records_as_the_generator_does() {
        const RECORDS: u64 = 3 * BLOCK * 2 + 100;
        for partitions in [1, 2, 3, 5] {
            let mut slots = Vec::new();
            for partition in 0..partitions {
                let mut poll = open(at(1_000_000).records(RECORDS), partition, partitions);
                let (_, made) = poll(usize::MAX, Nanos::MAX - 1);
                let mut dealt: Vec<u64> = Vec::new();
                let everything = Dealt::new(Indexes, partition, partitions, Some(RECORDS));
                everything.clone().fill(usize::MAX, &mut dealt);
                assert_eq!(made.iter().map(|(index, _)| *index).collect::<Vec<_>>(), dealt);
                slots.extend(made.iter().map(|(_, due)| *due));
            }
            slots.sort_unstable();
            assert_eq!(slots.len() as u64, RECORDS);
            // Each partition's share of the slots is even, so only the last round may have gaps.
            let even = RECORDS / (partitions as u64 * BLOCK) * partitions as u64 * BLOCK;
            let first: Vec<_> = (0..even).map(|slot| LEAD_NS + slot * 1_000).collect();
            assert_eq!(slots[..even as usize], first);
        }
    }

    #[test]
    fn all_have_come_to_an_index_when_the_last_has() {
        for partitions in [1, 2, 3] {
            let shares: Vec<Vec<Stamped>> = (0..partitions)
                .map(|partition| {
                    let mut poll = open(at(1_000_000).records(20 * BLOCK), partition, partitions);
                    poll(usize::MAX, Nanos::MAX - 1).1
                })
                .collect();
            for index in [0, 1, BLOCK - 1, BLOCK, 3 * BLOCK + 7, 10 * BLOCK] {
                let first = |share: &Vec<Stamped>| {
                    share.iter().find(|record| record.0 >= index).expect("20 blocks").1
                };
                let due = due_everywhere(1_000_000, index, &test_context(0, partitions));
                assert_eq!(Some(due), shares.iter().map(first).max(), "{index} of {partitions}");
            }
        }
    }

    #[test]
    fn a_time_ends_it_after_the_records_of_that_time() {
        for partitions in [1, 3] {
            let lasting = Duration::from_millis(10);
            let made = (0..partitions).map(|partition| {
                let mut poll = open(at(3_000_000).lasting(lasting), partition, partitions);
                poll(usize::MAX, LEAD_NS + 10_500_000).1.len()
            });
            assert_eq!(made.sum::<usize>(), 30_000);
        }
    }

    #[test]
    fn a_rate_that_cannot_be_held_is_given_up() {
        for (lasting_ms, patience_ns) in [(10, PATIENCE_NS), (10_000, 1_000_000_000)] {
            let lasting = Duration::from_millis(lasting_ms);
            let given_up = LEAD_NS + lasting_ms * 1_000_000 + patience_ns;
            let mut poll = open(at(1_000_000).lasting(lasting), 0, 1);
            assert_eq!(poll(5, given_up - 1).0, Polled::Ready);
            assert_eq!(poll(5, given_up), (Polled::Done, vec![]));
        }
    }

    #[test]
    fn rates_that_do_not_divide_a_second_do_not_drift() {
        let schedule = Schedule { start: 0, rate: 3, partition: 0, partitions: 1 };
        assert_eq!((schedule.due(1), schedule.due(3)), (333_333_334, 1_000_000_000));
        assert_eq!(schedule.due(3_000_000_000), 1_000_000_000_000_000_000);
        for nth in [1, 2, 3, 1_000_001] {
            let due = schedule.due(nth);
            assert_eq!((schedule.due_by(due - 1), schedule.due_by(due)), (nth, nth + 1));
        }
    }

    #[test]
    fn a_rate_of_zero_is_refused() {
        let error = at(0).check().expect_err("no rate");
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    }

    #[derive(Clone)]
    struct Indexes;

    impl crate::connector::generator::Recipe for Indexes {
        type Item = u64;

        fn make<E: Emit<u64>>(
            &mut self,
            indexes: std::ops::Range<u64>,
            out: &mut Collector<'_, E>,
        ) -> u64 {
            out.emit_all(indexes)
        }
    }
}
