//! `Alignment`: which splits wait because they are too far ahead in event time.

use std::time::Duration;

use crate::time::{Timestamp, millis};

/// Pauses the splits whose watermark is more than a drift ahead of the slowest.
///
/// What a fast split reads too early waits in windows and join buffers; pausing it keeps them
/// small. The slowest split is never paused, so that alignment cannot bring a job to a stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alignment {
    max_drift_ms: i64,
}

impl Alignment {
    /// Lets splits be `max_drift` ahead of the slowest, in whole milliseconds.
    pub fn new(max_drift: Duration) -> Self {
        Alignment { max_drift_ms: millis(max_drift) }
    }

    /// Whether a split at `watermark` waits while the slowest of all is at `slowest`, as
    /// [`Inputs::slowest`](crate::time::watermark::Inputs::slowest) says; several of those are
    /// joined by their minimum. Without a slowest, nobody waits.
    #[inline]
    pub fn is_paused(&self, watermark: Timestamp, slowest: Option<Timestamp>) -> bool {
        slowest.is_some_and(|slowest| watermark > slowest.plus_millis(self.max_drift_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::watermark::Inputs;

    fn paused(inputs: &Inputs, watermarks: &[i64]) -> Vec<bool> {
        let alignment = Alignment::new(Duration::from_millis(10));
        let is_paused = |at: &i64| alignment.is_paused((*at).into(), inputs.slowest());
        watermarks.iter().map(is_paused).collect()
    }

    /// Inputs at `watermarks`; at the least there is nothing known.
    fn inputs_at(watermarks: &[i64]) -> Inputs {
        let mut inputs = Inputs::new(watermarks.len());
        for (index, at) in watermarks.iter().enumerate() {
            inputs.advance(index, (*at).into());
        }
        inputs
    }

    #[test]
    fn split_pauses_beyond_the_drift_and_the_slowest_never() {
        let watermarks = [5, 15, 16, 100];
        let inputs = inputs_at(&watermarks);
        assert_eq!(paused(&inputs, &watermarks), [false, false, true, true]);
    }

    #[test]
    fn idle_ended_and_silent_splits_hold_nobody() {
        let watermarks = [5, 7, i64::MIN, 50];
        let mut inputs = inputs_at(&watermarks);
        assert_eq!(paused(&inputs, &watermarks), [false, false, false, true]);
        inputs.set_idle(0);
        inputs.end(1);
        assert_eq!(paused(&inputs, &watermarks[2..]), [false, false]);
        inputs.set_idle(3);
        assert_eq!(inputs.slowest(), None);
        assert_eq!(paused(&inputs, &watermarks), [false; 4]);
    }

    #[test]
    fn drift_beyond_all_time_pauses_nobody() {
        let alignment = Alignment::new(Duration::MAX);
        assert!(!alignment.is_paused(Timestamp::MAX, Some(1.into())));
    }
}
