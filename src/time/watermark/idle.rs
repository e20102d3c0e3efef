//! `IdleTimeout`: when a split without records no longer holds time back.

use std::time::Duration;

use crate::time::Nanos;

/// Tells when a split has had no record for so long that it counts as idle.
///
/// It is told only when the split was asked for records. A split that nobody asks, because it is
/// paused or downstream is full, thus never becomes idle by that.
#[derive(Clone, Copy, Debug)]
pub struct IdleTimeout {
    timeout: Nanos,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Active,
    /// It has had nothing since then.
    Quiet(Nanos),
    Idle,
}

impl IdleTimeout {
    /// For a split that becomes idle once it has had nothing for `timeout`.
    pub fn new(timeout: Duration) -> Self {
        let timeout = Nanos::try_from(timeout.as_nanos()).unwrap_or(Nanos::MAX);
        IdleTimeout { timeout, stage: Stage::Active }
    }

    /// The split gave records. Returns whether it was idle, and is active again: that must be
    /// told downstream before the records.
    #[inline]
    pub fn on_records(&mut self) -> bool {
        std::mem::replace(&mut self.stage, Stage::Active) == Stage::Idle
    }

    /// The split had nothing at `now`. Returns whether it became idle by that.
    #[inline]
    pub fn on_nothing(&mut self, now: Nanos) -> bool {
        let since = match self.stage {
            Stage::Idle => return false,
            Stage::Active => now,
            Stage::Quiet(since) => since,
        };
        let is_over = now.saturating_sub(since) >= self.timeout;
        self.stage = if is_over { Stage::Idle } else { Stage::Quiet(since) };
        is_over
    }

    /// When to ask the split again at the latest; `None` while the time is not running.
    pub fn wake_at(&self) -> Option<Nanos> {
        match self.stage {
            Stage::Quiet(since) => Some(since.saturating_add(self.timeout)),
            Stage::Active | Stage::Idle => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn split_is_idle_after_the_timeout_and_says_so_once() {
        let mut idle = IdleTimeout::new(Duration::from_nanos(10));
        assert!(!idle.on_nothing(100));
        assert_eq!(idle.wake_at(), Some(110));
        assert!(!idle.on_nothing(109));
        assert!(idle.on_nothing(110));
        assert!(!idle.on_nothing(500));
        assert_eq!(idle.wake_at(), None);
    }

    #[test]
    fn records_start_the_time_anew_and_end_idleness_once() {
        let mut idle = IdleTimeout::new(Duration::from_nanos(10));
        assert!(!idle.on_nothing(100));
        assert!(!idle.on_records());
        assert_eq!(idle.wake_at(), None);
        assert!(!idle.on_nothing(109));
        assert!(idle.on_nothing(119));
        assert!(idle.on_records());
        assert!(!idle.on_records());
    }

    #[test]
    fn no_timeout_means_idle_at_the_first_look_and_an_endless_one_never() {
        assert!(IdleTimeout::new(Duration::ZERO).on_nothing(5));
        let mut endless = IdleTimeout::new(Duration::MAX);
        assert!(!endless.on_nothing(5));
        assert!(!endless.on_nothing(Nanos::MAX - 1));
    }

    #[test]
    fn time_in_which_nobody_asked_does_not_count_if_records_were_there() {
        let mut idle = IdleTimeout::new(Duration::from_nanos(10));
        assert!(!idle.on_records());
        assert!(!idle.on_nothing(1_000_000));
        assert_eq!(idle.wake_at(), Some(1_000_010));
    }
}
