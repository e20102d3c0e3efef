//! `Timestamp`: a point in event time.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A point in event time: milliseconds since the Unix epoch, or since whatever instant a source
/// counts from.
///
/// Arithmetic saturates at [`MIN`](Self::MIN) and [`MAX`](Self::MAX), which no record carries: as
/// watermarks they mean "nothing is known yet" and "the input is over".
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use millstream::time::Timestamp;
///
/// let noon = Timestamp::from_millis(43_200_000);
/// assert_eq!(noon + Duration::from_secs(1), Timestamp::from_millis(43_201_000));
/// assert_eq!(Timestamp::MAX + Duration::from_secs(1), Timestamp::MAX);
/// ```
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[repr(transparent)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Before all records.
    pub const MIN: Timestamp = Timestamp(i64::MIN);
    /// After all records.
    pub const MAX: Timestamp = Timestamp(i64::MAX);

    /// The point `millis` milliseconds after the epoch.
    #[inline]
    pub const fn from_millis(millis: i64) -> Timestamp {
        Timestamp(millis)
    }

    /// Milliseconds since the epoch.
    #[inline]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// The point `millis` later, or earlier where it is negative.
    #[inline]
    pub const fn plus_millis(self, millis: i64) -> Timestamp {
        Timestamp(self.0.saturating_add(millis))
    }
}

/// Whole milliseconds of `duration`, at most `i64::MAX`.
#[inline]
pub fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl std::ops::Add<Duration> for Timestamp {
    type Output = Timestamp;

    #[inline]
    fn add(self, duration: Duration) -> Timestamp {
        self.plus_millis(millis(duration))
    }
}

impl std::ops::Sub<Duration> for Timestamp {
    type Output = Timestamp;

    #[inline]
    fn sub(self, duration: Duration) -> Timestamp {
        self.plus_millis(-millis(duration))
    }
}

impl From<i64> for Timestamp {
    #[inline]
    fn from(millis: i64) -> Timestamp {
        Timestamp(millis)
    }
}

impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ms", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Timestamp::MIN - Duration::MAX, Timestamp::MIN);
        assert_eq!(Timestamp::MAX.plus_millis(1), Timestamp::MAX);
        assert_eq!(millis(Duration::MAX), i64::MAX);
    }

    #[test]
    fn part_of_a_millisecond_is_cut_off() {
        assert_eq!(Timestamp::from_millis(5) + Duration::from_micros(1_999), 6.into());
    }
}
