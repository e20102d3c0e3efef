//! Which windows a time is in: tumbling, global, and the trait for windows of one's own.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::operator::window::firing::Firings;
use crate::operator::window::{PerWindow, Trigger, Windows};
use crate::state::Storable;
use crate::state::aggregate::Aggregate;
use crate::time::{Timestamp, millis};

/// A stretch of event time: `start` is in it, `end` is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Window {
    /// The first time in it.
    pub start: Timestamp,
    /// The first time after it.
    pub end: Timestamp,
}

impl Window {
    /// The window of `length_ms` from `start`.
    #[inline]
    pub fn from_start(start: Timestamp, length_ms: i64) -> Window {
        Window { start, end: start.plus_millis(length_ms) }
    }

    /// The last time in it: the time of its results, and the watermark at which it fires.
    #[inline]
    pub fn last(self) -> Timestamp {
        self.end.plus_millis(-1)
    }
}

/// What tells the windows of one key apart.
pub trait WindowId: Copy + Ord + Storable {}

impl<I: Copy + Ord + Storable> WindowId for I {}

/// Says which windows a record is in. Called for each record; each partition has its own clone.
///
/// ```
/// use millstream::operator::window::{Window, WindowAssigner};
/// use millstream::time::Timestamp;
///
/// /// Of each day so far: windows from midnight that end at each full hour.
/// #[derive(Clone)]
/// struct SinceMidnight;
///
/// impl<T> WindowAssigner<T> for SinceMidnight {
///     type Id = Window;
///     fn assign(&self, _record: &T, time: Timestamp, mut take: impl FnMut(Window)) {
///         const HOUR: i64 = 3_600_000;
///         let midnight = time.as_millis().div_euclid(24 * HOUR) * 24 * HOUR;
///         let next_hour = (time.as_millis() - midnight) / HOUR + 1;
///         for hour in next_hour..=24 {
///             take(Window::from_start(midnight.into(), hour * HOUR));
///         }
///     }
///     fn window(&self, id: Window) -> Window {
///         id
///     }
/// }
/// ```
pub trait WindowAssigner<T>: Clone + Send + 'static {
    /// What tells a window from the others of its key, and is kept in state: its start where all
    /// are equally long, else the [`Window`] itself.
    type Id: WindowId;

    /// Whether every record is in exactly one window, so that records of one window can be folded
    /// before they travel.
    const ONE_EACH: bool = false;

    /// Calls `take` for each window of `record`, from the earliest on.
    ///
    /// A record without a window is dropped and is not late. A window that is not longer than
    /// zero, or more than [`WINDOWS_PER_RECORD_MAX`](super::WINDOWS_PER_RECORD_MAX) of them, fail
    /// the job.
    fn assign(&self, record: &T, time: Timestamp, take: impl FnMut(Self::Id));

    /// Whether window `id` is certain to be the only one of a record of `time`. Saves
    /// [`assign`](Self::assign) where that costs more, as a division does.
    #[inline(always)]
    fn is_only(&self, id: Self::Id, time: Timestamp) -> bool {
        let _ = (id, time);
        false
    }

    /// The window that `id` stands for; the same at each call.
    fn window(&self, id: Self::Id) -> Window;
}

/// Windows of one's own.
#[derive(Clone, Copy, Debug)]
pub struct Custom<W>(pub W);

impl<T, A, W> Windows<T, A> for Custom<W>
where
    W: WindowAssigner<T>,
    A: Aggregate<T>,
    A::Accumulator: Clone,
{
    type Logic = PerWindow<W, A>;

    fn check(&self, trigger: Trigger) -> Result<()> {
        trigger.check()
    }

    fn logic(self, trigger: Trigger, aggregate: A) -> Self::Logic {
        PerWindow::new(self.0, Firings::new(trigger, aggregate))
    }
}

/// Windows of length `size`, one after the other without gaps, from the epoch on.
pub fn tumbling(size: Duration) -> Tumbling {
    Tumbling { size_ms: millis(size), offset_ms: 0 }
}

/// See [`tumbling`].
#[derive(Clone, Copy, Debug)]
pub struct Tumbling {
    size_ms: i64,
    offset_ms: i64,
}

impl Tumbling {
    /// Starts windows `offset_ms` milliseconds later, or earlier where it is negative. For days in
    /// the time zone UTC+8 it is -28,800,000.
    pub fn offset_ms(self, offset_ms: i64) -> Tumbling {
        Tumbling { offset_ms: within(offset_ms, self.size_ms), ..self }
    }
}

impl<T> WindowAssigner<T> for Tumbling {
    type Id = Timestamp;
    const ONE_EACH: bool = true;

    #[inline]
    fn assign(&self, _record: &T, time: Timestamp, mut take: impl FnMut(Timestamp)) {
        take(start_before(time, self.size_ms, self.offset_ms));
    }

    #[inline(always)]
    fn is_only(&self, start: Timestamp, time: Timestamp) -> bool {
        let since = time.as_millis().wrapping_sub(start.as_millis());
        0 <= since && since < self.size_ms
    }

    #[inline]
    fn window(&self, start: Timestamp) -> Window {
        Window::from_start(start, self.size_ms)
    }
}

impl<T, A> Windows<T, A> for Tumbling
where
    A: Aggregate<T>,
    A::Accumulator: Clone,
{
    type Logic = PerWindow<Tumbling, A>;

    fn check(&self, trigger: Trigger) -> Result<()> {
        check_length("size", self.size_ms)?;
        trigger.check()
    }

    fn logic(self, trigger: Trigger, aggregate: A) -> Self::Logic {
        PerWindow::new(self, Firings::new(trigger, aggregate))
    }
}

/// One window for all records of a key. It fires when the input is over, or as the trigger says.
pub fn global() -> Global {
    Global
}

/// See [`global`].
#[derive(Clone, Copy, Debug)]
pub struct Global;

impl<T> WindowAssigner<T> for Global {
    type Id = ();
    const ONE_EACH: bool = true;

    #[inline]
    fn assign(&self, _record: &T, _time: Timestamp, mut take: impl FnMut(())) {
        take(());
    }

    #[inline]
    fn window(&self, _id: ()) -> Window {
        Window { start: Timestamp::MIN, end: Timestamp::MAX }
    }
}

impl<T, A> Windows<T, A> for Global
where
    A: Aggregate<T>,
    A::Accumulator: Clone,
{
    type Logic = PerWindow<Global, A>;

    fn check(&self, trigger: Trigger) -> Result<()> {
        trigger.check()
    }

    fn waits_for_end(&self, trigger: Trigger) -> bool {
        !trigger.is_early()
    }

    fn logic(self, trigger: Trigger, aggregate: A) -> Self::Logic {
        PerWindow::new(self, Firings::new(trigger, aggregate))
    }
}

/// The offset from 0 to `width_ms` that comes to the same, so that the latest times of all can be
/// moved by it.
pub(super) fn within(offset_ms: i64, width_ms: i64) -> i64 {
    // A width of zero is refused before the start.
    offset_ms.checked_rem_euclid(width_ms).unwrap_or_default()
}

/// The latest multiple of `width_ms`, moved by `offset_ms`, that is not after `time`.
#[inline]
pub(super) fn start_before(time: Timestamp, width_ms: i64, offset_ms: i64) -> Timestamp {
    time.plus_millis(-time.as_millis().saturating_sub(offset_ms).rem_euclid(width_ms))
}

pub(super) fn invalid(context: String) -> Error {
    Error::new(ErrorKind::InvalidConfig, context)
}

/// Refuses a length of zero.
pub(super) fn check_length(what: &str, length_ms: i64) -> Result<()> {
    if length_ms > 0 {
        return Ok(());
    }
    Err(invalid(format!("window {what}: {length_ms} ms; allowed is 1 ms or more")))
}

/// Refuses a slide that leaves gaps or puts a record into too many windows. `unit` is `" ms"` or
/// empty.
pub(super) fn check_slide(size: i64, slide: i64, unit: &str) -> Result<()> {
    if slide < 1 || slide > size {
        return Err(invalid(format!(
            "window slide: {slide}{unit}; allowed is 1{unit} to the size of {size}{unit}"
        )));
    }
    if size / slide > super::WINDOWS_PER_RECORD_MAX {
        return Err(invalid(format!(
            "window size / slide: {size}{unit} / {slide}{unit} puts a record into {} windows; \
             allowed are {}",
            size / slide,
            super::WINDOWS_PER_RECORD_MAX
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_the_latest_multiple_that_is_not_after_the_time() {
        let start = |time: i64, width, offset| {
            start_before(Timestamp::from_millis(time), width, offset).as_millis()
        };
        assert_eq!(start(0, 10, 0), 0);
        assert_eq!(start(9, 10, 0), 0);
        assert_eq!(start(10, 10, 0), 10);
        assert_eq!(start(-1, 10, 0), -10);
        assert_eq!(start(2, 10, 3), -7);
        assert_eq!(start(3, 10, 3), 3);
        assert_eq!(start(3, 10, -27), 3);
        assert_eq!(start(i64::MAX, i64::MAX, 1), 1);
        assert_eq!(start(i64::MIN + 1, 10, 0), i64::MIN);
    }

    #[test]
    fn an_offset_moves_the_latest_windows_of_all_too() {
        for offset in [-11, 7, -11 - 18 * 1_000] {
            let windows = tumbling(Duration::from_millis(18)).offset_ms(offset);
            let mut starts = Vec::new();
            windows.assign(&(), Timestamp::from_millis(i64::MAX - 1), |id| starts.push(id));
            let aligned = (i128::from(i64::MAX - 1) - 7).div_euclid(18) * 18 + 7;
            assert_eq!(starts, [Timestamp::from(aligned as i64)], "{offset}");
        }
    }

    #[test]
    fn a_day_begins_at_midnight_of_the_time_zone() {
        let hour = 3_600_000;
        let days = tumbling(Duration::from_secs(86_400)).offset_ms(-8 * hour);
        let mut windows = Vec::new();
        days.assign(&(), Timestamp::from_millis(15 * hour), |id| windows.push(id));
        days.assign(&(), Timestamp::from_millis(16 * hour), |id| windows.push(id));
        assert_eq!(windows, [(-8 * hour).into(), (16 * hour).into()]);
    }
}
