//! Latency over time, by when records were due, and how it recovers after a shift.

use std::ops::Range;

use crate::metrics::Histogram;
use crate::time::Nanos;

/// The finest step.
const STEP_NS_MIN: Nanos = 10_000_000;
/// Steps of a run, at 34 KiB each, of which a few have values.
const STEPS_MAX: u64 = 1_000;
/// Steps over which a percentile is taken: 100 ms of a short run.
const WINDOW: usize = 10;
/// Latency has recovered when it is below so many times what it was.
const RECOVERED: u64 = 2;

/// A distribution per step of time since the start.
#[derive(Clone, Debug)]
pub(super) struct Timeline {
    step_ns: Nanos,
    steps: Vec<Histogram>,
}

/// What a shift of the load did to latency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Recovery {
    /// Largest p99 of any window until it recovered.
    pub(super) peak: Nanos,
    /// From the shift to the begin of the first window whose p99 has recovered; `None` if none has
    /// before the next shift.
    pub(super) after: Option<Nanos>,
}

impl Timeline {
    /// For a run of so many nanoseconds.
    pub(super) fn new(lasting: Nanos) -> Timeline {
        Timeline { step_ns: lasting.div_ceil(STEPS_MAX).max(STEP_NS_MIN), steps: Vec::new() }
    }

    /// `count` records that were due at `due` after the start took `latency`.
    #[inline]
    pub(super) fn record(&mut self, due: Nanos, latency: Nanos, count: u64) {
        let step = (due / self.step_ns) as usize;
        if step >= self.steps.len() {
            // A record of a run that lasts longer than planned has no place.
            if step > STEPS_MAX as usize {
                return;
            }
            self.steps.resize_with(step + 1, Histogram::new);
        }
        self.steps[step].record_n(latency, count);
    }

    /// Adds what another partition recorded.
    pub(super) fn merge(&mut self, other: &Timeline) {
        if self.steps.len() < other.steps.len() {
            self.steps.resize_with(other.steps.len(), Histogram::new);
        }
        for (own, other) in self.steps.iter_mut().zip(&other.steps) {
            own.merge(other);
        }
    }

    /// The length of a window of [`windows`](Self::windows).
    pub(super) fn window_ns(&self) -> Nanos {
        self.step_ns * WINDOW as Nanos
    }

    /// p99 of each window, one behind the other.
    pub(super) fn windows(&self) -> Vec<Nanos> {
        let starts = (0..self.steps.len()).step_by(WINDOW);
        starts.map(|start| self.p99(start..start + WINDOW).unwrap_or(0)).collect()
    }

    /// p99 of all records due in `span`; `None` if there are none.
    pub(super) fn p99_of(&self, span: Range<Nanos>) -> Option<Nanos> {
        self.p99(span.start.div_ceil(self.step_ns) as usize..(span.end / self.step_ns) as usize)
    }

    /// How latency went after a shift at the start of `span`, which ends with the next one, if p99
    /// was `before`.
    pub(super) fn recovery(&self, span: Range<Nanos>, before: Nanos) -> Recovery {
        let first = (span.start / self.step_ns) as usize;
        let end = ((span.end / self.step_ns) as usize).min(self.steps.len());
        let mut peak = 0;
        for start in first..end {
            let Some(p99) = self.p99(start..(start + WINDOW).min(end)) else { continue };
            if p99 < RECOVERED * before {
                let after = (start as Nanos * self.step_ns).saturating_sub(span.start);
                return Recovery { peak: peak.max(p99), after: Some(after) };
            }
            peak = peak.max(p99);
        }
        Recovery { peak, after: None }
    }

    fn p99(&self, steps: Range<usize>) -> Option<Nanos> {
        let mut all = Histogram::new();
        let end = steps.end.min(self.steps.len());
        for step in self.steps.get(steps.start..end).unwrap_or_default() {
            all.merge(step);
        }
        (all.count() > 0).then(|| all.percentiles().p99)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Nanos = 1_000_000;

    /// 100 records a millisecond, with the latency that `latency` gives each millisecond.
    fn timeline(lasting_ms: u64, latency: impl Fn(u64) -> Nanos) -> Timeline {
        let mut halves = [Timeline::new(lasting_ms * MS), Timeline::new(lasting_ms * MS)];
        for ms in 0..lasting_ms {
            halves[ms as usize % 2].record(ms * MS, latency(ms), 100);
        }
        let [mut one, other] = halves;
        one.merge(&other);
        one
    }

    #[test]
    fn recovery_ends_with_the_first_window_that_is_as_before() {
        let seen = timeline(2_000, |ms| if (1_000..1_057).contains(&ms) { 40 * MS } else { MS });
        let before = seen.p99_of(0..1_000 * MS).expect("records");
        assert!((MS..MS + MS / 50).contains(&before), "{before}");
        let Recovery { peak, after } = seen.recovery(1_000 * MS..2_000 * MS, before);
        assert!((40 * MS..41 * MS).contains(&peak), "{peak}");
        assert_eq!(after, Some(60 * MS));
    }

    #[test]
    fn latency_that_does_not_rise_has_recovered_at_once() {
        let seen = timeline(500, |_| MS);
        assert_eq!(seen.recovery(200 * MS..500 * MS, MS).after, Some(0));
    }

    #[test]
    fn latency_that_stays_has_not_recovered_before_the_next_shift() {
        let seen = timeline(900, |ms| if (300..600).contains(&ms) { 9 * MS } else { MS });
        let Recovery { peak, after } = seen.recovery(300 * MS..600 * MS, MS);
        assert!(peak >= 9 * MS && after.is_none());
    }

    #[test]
    fn windows_are_a_tenth_of_a_second_and_longer_in_long_runs() {
        let seen = timeline(450, |ms| (1 + ms / 100) * MS);
        assert_eq!(seen.window_ns(), 100 * MS);
        let rounded: Vec<_> = seen.windows().iter().map(|p99| p99 / MS).collect();
        assert_eq!(rounded, [1, 2, 3, 4, 5]);
        assert_eq!(Timeline::new(100_000 * MS).window_ns(), 1_000 * MS);
        assert_eq!(Timeline::new(MS).p99_of(0..MS), None);
    }
}
