//! The only file that calls `Instant::now` and `SystemTime::now`.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::time::{Nanos, Timestamp, millis};

/// Where a partition reads the time. Called once a turn and once a batch hop, on the partition's
/// own thread.
pub trait Clock: Send {
    /// Monotonic nanoseconds; never less than the answer before.
    fn now(&self) -> Nanos;

    /// The time of day. [`Timestamp::MAX`] where there is none, so that nothing lies in its future.
    fn wall_time(&self) -> Timestamp {
        Timestamp::MAX
    }
}

/// The operating system's monotonic clock. All of a process share one origin, so stamps of one
/// partition can be compared with those of another.
#[derive(Clone, Copy, Debug, Default)]
pub struct MonotonicClock;

impl Clock for MonotonicClock {
    #[allow(clippy::disallowed_methods)] // This is the place that the ban points to.
    fn now(&self) -> Nanos {
        static ORIGIN: OnceLock<Instant> = OnceLock::new();
        let origin = *ORIGIN.get_or_init(Instant::now);
        origin.elapsed().as_nanos() as Nanos
    }

    #[allow(clippy::disallowed_methods)] // As above.
    fn wall_time(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(Timestamp::MIN, |since| Timestamp::from_millis(millis(since)))
    }
}

/// A clock that stands still until it is told to move; clones share their time. For tests and
/// simulation.
#[derive(Clone, Debug)]
pub struct ManualClock {
    now: Arc<AtomicU64>,
    /// The time of day at 0.
    wall_time: Timestamp,
}

impl Default for ManualClock {
    /// At 0, and without a time of day.
    fn default() -> Self {
        ManualClock { now: Arc::default(), wall_time: Timestamp::MAX }
    }
}

impl ManualClock {
    /// A clock at 0, when the time of day is `wall_time`.
    pub fn starting_at(wall_time: Timestamp) -> Self {
        ManualClock { wall_time, ..ManualClock::default() }
    }

    /// Moves time forward by `nanos`.
    pub fn advance(&self, nanos: Nanos) {
        // Relaxed: a single-threaded simulation is the only user, nothing else is published by it.
        self.now.fetch_add(nanos, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Nanos {
        self.now.load(Ordering::Relaxed)
    }

    fn wall_time(&self) -> Timestamp {
        self.wall_time + Duration::from_nanos(self.now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manual_clock_moves_only_when_told() {
        let clock = ManualClock::default();
        let twin = clock.clone();
        assert_eq!(clock.now(), 0);
        clock.advance(7);
        assert_eq!(twin.now(), 7);
        assert_eq!(twin.wall_time(), Timestamp::MAX, "it has none");
        let noon = ManualClock::starting_at(43_200_000.into());
        noon.advance(5_000_000);
        assert_eq!(noon.wall_time(), 43_200_005.into());
    }

    #[test]
    fn monotonic_clock_never_goes_back() {
        let first = MonotonicClock.now();
        assert!(MonotonicClock.now() >= first);
    }
}
