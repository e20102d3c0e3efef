//! When keys are to be looked at again: the times for which they asked, and how far time has come.

use hashbrown::HashTable;

use crate::dataflow::TaskContext;
use crate::state::TimerQueue;
use crate::time::{Nanos, Timestamp};

/// The time for which a key asked has come.
///
/// The wakes of one key do not come in the order of their times, and what it asked for may have
/// been settled since. So the state says what is due, and the first wake settles all of it:
/// whatever lies behind `after` and not behind `until`, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// The time that was asked for.
    pub at: Timestamp,
    /// Up to here everything was settled before.
    pub after: Timestamp,
    /// The watermark, or the clock.
    pub until: Timestamp,
}

/// Both kinds of time of one keyed task.
pub(crate) struct Wakes {
    pub(super) event: Line,
    pub(super) processing: Line,
    clock: WallClock,
}

impl Wakes {
    /// Nothing is asked for, and no time has passed.
    pub(super) fn new() -> Self {
        Wakes { event: Line::new(), processing: Line::new(), clock: WallClock::default() }
    }

    /// From here on says nothing new to a key that wakes for the second time in one stretch.
    pub(super) fn tell_once(&mut self) {
        self.event.told = Some(HashTable::new());
        self.processing.told = Some(HashTable::new());
    }

    /// Those of moved units: nothing is asked for, event time stands at `watermark`, the clock is
    /// the same.
    pub(super) fn apart(&self, watermark: Timestamp) -> Wakes {
        let told = self.event.told.is_some();
        let mut apart = Wakes { clock: self.clock, ..Wakes::new() };
        (apart.event.after, apart.event.until) = (watermark, watermark);
        let clock = self.processing.until;
        (apart.processing.after, apart.processing.until) = (clock, clock);
        if told {
            apart.tell_once();
        }
        apart
    }

    /// Reads the clock of the job from here on.
    pub(super) fn open(&mut self, context: &TaskContext) {
        self.clock = WallClock::started(context);
        self.read_clock(context.now);
    }

    /// Notes that it is `now`; says what time of day that is.
    #[inline]
    pub(super) fn read_clock(&mut self, now: Nanos) -> Timestamp {
        self.processing.until = self.processing.until.max(self.clock.time(now));
        self.processing.until
    }

    /// When a key wants to be woken by the clock, if one does.
    pub(super) fn wake_at(&self) -> Option<Nanos> {
        let queue = self.processing.queue.as_ref()?;
        if !self.processing.due.is_empty() {
            return Some(0);
        }
        queue.next_at().map(|at| self.clock.nanos(at))
    }
}

/// One kind of time: who asked for which time, and who is to be told now.
pub(crate) struct Line {
    /// Only once a key has asked for something.
    queue: Option<TimerQueue>,
    /// Taken from the queue, and to be told.
    due: Vec<(Timestamp, u64)>,
    /// Hashes that have been told of the stretch from `after` to `until`; `None` where it does no
    /// harm to tell them again.
    told: Option<HashTable<u64>>,
    after: Timestamp,
    pub(super) until: Timestamp,
}

impl Line {
    fn new() -> Self {
        let (after, until) = (Timestamp::MIN, Timestamp::MIN);
        Line { queue: None, due: Vec::new(), told: None, after, until }
    }

    /// The queue, to be asked for something.
    #[inline]
    pub(super) fn queue(&mut self) -> &mut TimerQueue {
        self.queue.get_or_insert_default()
    }

    /// Takes out what was asked for by hashes that are wanted. Nothing is due.
    pub(super) fn take(&mut self, is_wanted: impl Fn(u64) -> bool) -> Vec<(Timestamp, u64)> {
        debug_assert!(self.due.is_empty(), "units leave between two signals");
        self.queue.as_mut().map(|queue| queue.take_matching(is_wanted)).unwrap_or_default()
    }

    /// Puts in what was taken elsewhere.
    pub(super) fn put(&mut self, asked: Vec<(Timestamp, u64)>) {
        for (time, hash) in asked {
            self.queue().set(time, hash);
        }
    }

    /// Time has come to `until`, if not further already.
    pub(super) fn advance(&mut self, until: Timestamp) {
        self.until = self.until.max(until);
    }

    /// The next wake and its hash. Stays until it is [`settled`](Self::settle); with `None`, time
    /// has come to where it was moved.
    pub(super) fn next(&mut self) -> Option<(Due, u64)> {
        if self.due.is_empty()
            && let Some(queue) = &mut self.queue
        {
            queue.take_due(self.until, &mut self.due);
        }
        let Some((at, hash)) = self.due.last() else {
            self.after = self.until;
            if let Some(told) = self.told.as_mut().filter(|told| !told.is_empty()) {
                told.clear();
            }
            return None;
        };
        let is_told = |told: &HashTable<u64>| told.find(*hash, |other| other == hash).is_some();
        let after = if self.told.as_ref().is_some_and(is_told) { self.until } else { self.after };
        Some((Due { at: *at, after, until: self.until }, *hash))
    }

    /// Hashes of the next wake and of those after it, `count` at most.
    pub(super) fn ahead(&self, count: usize) -> impl Iterator<Item = &u64> {
        self.due.iter().rev().take(count).map(|(_, hash)| hash)
    }

    /// The wake that was [`next`](Self::next) has been dealt with.
    pub(super) fn settle(&mut self) {
        if let (Some((_, hash)), Some(told)) = (self.due.pop(), &mut self.told) {
            told.entry(hash, |other| *other == hash, |other| *other).or_insert(hash);
        }
    }
}

/// The time of day that belongs to a monotonic time: the two are read together once, at the start,
/// so that nobody who sets the host's clock moves the timers.
#[derive(Clone, Copy, Debug, Default)]
struct WallClock {
    started: Nanos,
    wall_time: Timestamp,
}

const NANOS_PER_MILLI: u64 = 1_000_000;

impl WallClock {
    fn started(context: &TaskContext) -> WallClock {
        let has_wall_time = context.wall_time != Timestamp::MAX;
        let wall_time = if has_wall_time { context.wall_time } else { Timestamp::from_millis(0) };
        WallClock { started: context.now, wall_time }
    }

    #[inline]
    fn time(&self, now: Nanos) -> Timestamp {
        let passed = now.saturating_sub(self.started) / NANOS_PER_MILLI;
        self.wall_time.plus_millis(passed.cast_signed())
    }

    /// The first instant of `time`.
    fn nanos(&self, time: Timestamp) -> Nanos {
        let passed = time.as_millis().saturating_sub(self.wall_time.as_millis()).max(0);
        passed.unsigned_abs().saturating_mul(NANOS_PER_MILLI).saturating_add(self.started)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::wake::wake_pair;

    #[test]
    fn clock_is_the_time_of_day_at_the_start_and_what_has_passed() {
        let mut context = TaskContext::new(0, 1, wake_pair().1);
        (context.now, context.wall_time) = (7_000_000, 1_000.into());
        let mut wakes = Wakes::new();
        wakes.open(&context);
        assert_eq!(wakes.read_clock(9_999_999), 1_002.into());
        assert_eq!(wakes.read_clock(8_000_000), 1_002.into(), "time does not go back");
        wakes.processing.queue().set(1_005.into(), 77);
        assert_eq!(wakes.wake_at(), Some(12_000_000));
        assert_eq!(wakes.read_clock(12_000_000), 1_005.into());
        assert_eq!(
            wakes.processing.next().map(|(due, hash)| (due.at, hash)),
            Some((1_005.into(), 77))
        );
    }

    #[test]
    fn a_key_is_told_of_a_stretch_once_where_that_matters() {
        let mut wakes = Wakes::new();
        wakes.tell_once();
        let line = &mut wakes.event;
        let mut advance = |until: i64, sets: &[(i64, u64)]| {
            sets.iter().for_each(|(at, hash)| line.queue().set((*at).into(), *hash));
            line.advance(until.into());
            let mut told = Vec::new();
            while let Some((due, hash)) = line.next() {
                told.push((hash, due.after.as_millis(), due.until.as_millis()));
                line.settle();
            }
            told.sort();
            told
        };
        advance(5, &[]);
        let told = advance(20, &[(10, 1), (15, 1), (12, 2)]);
        assert_eq!(told, [(1, 5, 20), (1, 20, 20), (2, 5, 20)]);
        assert_eq!(advance(40, &[(30, 1)]), [(1, 20, 40)], "of the next one anew");
    }

    #[test]
    fn each_wake_comes_once_and_says_what_was_settled_before() {
        let mut line = Line::new();
        line.queue().set(10.into(), 1);
        line.queue().set(30.into(), 2);
        for (until, after, expected) in [(20, Timestamp::MIN, 1), (40, 20.into(), 2)] {
            line.advance(until.into());
            let (due, hash) = line.next().expect("one is due");
            assert_eq!((due.after, due.until, hash), (after, until.into(), expected));
            assert_eq!(line.next(), Some((due, hash)), "until it is settled");
            line.settle();
            assert_eq!(line.next(), None);
        }
    }
}
