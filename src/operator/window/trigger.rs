//! `Trigger`: when the result of a window comes out, and what it has to do with the one before.

use std::time::Duration;

use crate::error::Result;
use crate::operator::window::assigner::invalid;
use crate::time::{Timestamp, millis};

/// When results of a window come out. By default once, when the watermark passes its end.
///
/// ```
/// use std::time::Duration;
/// use millstream::operator::window::{Early, Mode, Trigger};
///
/// let trigger = Trigger::default()
///     .early(Early::Every(Duration::from_secs(1)))
///     .mode(Mode::Retracting)
///     .allowed_lateness(Duration::from_secs(60));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Trigger {
    early: Early,
    mode: Mode,
    lateness_ms: i64,
}

/// When a window fires before the watermark has passed its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Early {
    /// Not at all.
    #[default]
    Never,
    /// After each so many records of the window.
    Records(u64),
    /// This long in processing time after the first record that is in no result yet.
    After(Duration),
    /// At the multiples of this in processing time, if there has been a record.
    Every(Duration),
}

/// What the results of one window have to do with each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Each is of the records since the one before. Nothing comes out if there are none.
    Discarding,
    /// Each is of all records so far and stands for those before it.
    #[default]
    Accumulating,
    /// As accumulating, but what a result stands for goes out before it, marked
    /// [`Retract`](super::Change::Retract).
    Retracting,
}

impl Trigger {
    /// Fires early as well.
    pub fn early(self, early: Early) -> Trigger {
        Trigger { early, ..self }
    }

    /// Says what a second result of a window is.
    pub fn mode(self, mode: Mode) -> Trigger {
        Trigger { mode, ..self }
    }

    /// Keeps windows for as long after they have fired; each record for one of them makes it fire
    /// again. By default 0.
    pub fn allowed_lateness(self, lateness: Duration) -> Trigger {
        Trigger { lateness_ms: millis(lateness), ..self }
    }

    pub(super) fn check(self) -> Result<()> {
        let interval = match self.early {
            Early::Never => return Ok(()),
            Early::Records(0) => {
                return Err(invalid("early firing: every 0 records; allowed is 1 or more".into()));
            }
            Early::Records(_) => return Ok(()),
            Early::After(interval) | Early::Every(interval) => interval,
        };
        if millis(interval) == 0 {
            return Err(invalid(format!(
                "early firing: every {interval:?}; allowed is 1 ms or more"
            )));
        }
        Ok(())
    }

    #[inline]
    pub(super) fn is_early(&self) -> bool {
        self.early != Early::Never
    }

    #[inline]
    pub(super) fn mode_of_results(&self) -> Mode {
        self.mode
    }

    #[inline]
    pub(super) fn lateness_ms(&self) -> i64 {
        self.lateness_ms
    }

    /// Whether early firings count records, which folded ones would hide.
    pub(super) fn counts(&self) -> bool {
        matches!(self.early, Early::Records(_))
    }

    /// Whether `pending` records without a result make the window fire.
    #[inline]
    pub(super) fn is_full(&self, pending: u64) -> bool {
        matches!(self.early, Early::Records(records) if pending >= records)
    }

    /// When a window fires early that has had a record at `now`, if by time.
    #[inline]
    pub(super) fn early_at(&self, now: Timestamp) -> Option<Timestamp> {
        match self.early {
            Early::Never | Early::Records(_) => None,
            Early::After(delay) => Some(now + delay),
            Early::Every(interval) => {
                let interval_ms = millis(interval);
                let past_ms = now.as_millis().rem_euclid(interval_ms);
                Some(now.plus_millis(interval_ms - past_ms))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn early_firings_of_no_records_or_no_time_are_refused() {
        let refused = |early| {
            let error = Trigger::default().early(early).check().expect_err("nothing to wait for");
            assert_eq!(error.kind(), crate::error::ErrorKind::InvalidConfig);
            error.to_string()
        };
        assert_eq!(
            refused(Early::Records(0)),
            "early firing: every 0 records; allowed is 1 or more"
        );
        assert_eq!(
            refused(Early::After(Duration::from_micros(999))),
            "early firing: every 999µs; allowed is 1 ms or more"
        );
        refused(Early::Every(Duration::ZERO));
        Trigger::default().early(Early::Every(Duration::from_millis(1))).check().expect("allowed");
    }

    #[test]
    fn early_time_is_counted_from_the_record_or_from_the_clock() {
        let at = |early, now: i64| {
            Trigger::default().early(early).early_at(now.into()).map(Timestamp::as_millis)
        };
        let ten = Duration::from_millis(10);
        assert_eq!(at(Early::After(ten), 13), Some(23));
        assert_eq!(at(Early::Every(ten), 13), Some(20));
        assert_eq!(at(Early::Every(ten), 20), Some(30));
        assert_eq!(at(Early::Every(ten), -3), Some(0));
        assert_eq!(at(Early::Records(2), 13), None);
    }
}
