//! What a partition does when a turn moved nothing: spin, yield, park.

use crate::config::Idle;
use crate::time::Nanos;

/// The next thing to do for a partition without work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Look again at once.
    Spin,
    /// Let another thread of this core run, then look again.
    Yield,
    /// Sleep until woken or until there is something to do.
    Park,
}

/// Lets another thread of this core run, if one is ready.
pub(crate) fn give_way() {
    std::thread::yield_now();
}

/// Turns spent on the yield rung before parking.
const YIELDS: u32 = 2;

/// The idle ladder of one partition. Pure: it is told the time.
///
/// Parking early is safe because a wake-up is never lost; spinning long is not, because on a
/// contended core it takes the time from whoever has the work (measured: 30 times slower).
#[derive(Debug)]
pub struct Ladder {
    idle: Idle,
    spin_ns: Nanos,
    idle_since: Option<Nanos>,
    yields: u32,
}

impl Ladder {
    /// A ladder that ends as `idle` says and spins for `spin_us` before its next rung.
    pub fn new(idle: Idle, spin_us: u64) -> Ladder {
        Ladder { idle, spin_ns: spin_us.saturating_mul(1_000), idle_since: None, yields: 0 }
    }

    /// There was work: start from the first rung.
    #[inline]
    pub fn reset(&mut self) {
        self.idle_since = None;
        self.yields = 0;
    }

    /// What to do now that there is none.
    pub fn rest(&mut self, now: Nanos) -> Rest {
        let since = *self.idle_since.get_or_insert(now);
        if self.idle == Idle::Spin || now.saturating_sub(since) < self.spin_ns {
            return Rest::Spin;
        }
        if self.idle == Idle::Yield || self.yields < YIELDS {
            self.yields += 1;
            return Rest::Yield;
        }
        Rest::Park
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn park_comes_after_spinning_and_yielding() {
        let mut ladder = Ladder::new(Idle::Park, 10);
        assert_eq!(ladder.rest(1_000), Rest::Spin);
        assert_eq!(ladder.rest(10_999), Rest::Spin);
        assert_eq!(ladder.rest(11_000), Rest::Yield);
        assert_eq!(ladder.rest(11_001), Rest::Yield);
        assert_eq!(ladder.rest(11_002), Rest::Park);
        ladder.reset();
        assert_eq!(ladder.rest(20_000), Rest::Spin);
    }

    #[test]
    fn spin_never_leaves_its_rung_and_yield_never_parks() {
        let mut spin = Ladder::new(Idle::Spin, 1);
        let mut yielding = Ladder::new(Idle::Yield, 1);
        spin.rest(0);
        yielding.rest(0);
        for now in [1_000, 1_000_000, u64::MAX] {
            assert_eq!(spin.rest(now), Rest::Spin);
            assert_eq!(yielding.rest(now), Rest::Yield);
        }
    }
}
