//! What a partition does when a turn moved nothing: spin, yield, nap, park.

use std::time::Duration;

use crate::config::Idle;
use crate::time::Nanos;

/// The next thing to do for a partition without work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Look again at once.
    Spin,
    /// Let another thread of this core run, then look again.
    Yield,
    /// Sleep for a moment that nobody cuts short, then look again.
    Nap,
    /// Sleep until woken or until there is something to do.
    Park,
}

/// Lets another thread of this core run, if one is ready.
pub(crate) fn give_way() {
    std::thread::yield_now();
}

/// Sleeps for [`NAP`]. Nobody is told, so that work that arrives meanwhile costs no wake-up.
#[allow(clippy::disallowed_methods)] // A rung of the ladder: there is nothing to do.
pub(crate) fn nap() {
    std::thread::sleep(NAP);
}

/// How long a partition naps; it sleeps some 15 µs longer than that.
///
/// 1 M records/s in drops, medians of three interleaved runs on two virtual cores: 10 µs give a p50
/// of 23 µs for 56 % of the cores, 15 µs 31 µs for 51 %, 20 µs 36 µs for 46 %, none 1.2 µs for
/// 98 % (`millstream bench latency --rate 1000000`).
const NAP: Duration = Duration::from_micros(15);

/// Turns spent on the yield rung before parking.
const YIELDS: u32 = 2;

/// Work without a pause for this long leads back to the first rung.
const BUSY_NS: Nanos = 50_000;

/// The idle ladder of one partition. Pure: it is told the time.
///
/// Spinning is for pauses between stretches of full work. A partition whose work comes in drops,
/// each worked off before the next one is there, would spin all the time; after it has spun once
/// it naps instead, so that the drops gather. It parks when a nap brought nothing.
///
/// Parking early is safe because a wake-up is never lost; spinning long is not, because on a
/// contended core it takes the time from whoever has the work (measured: 30 times slower).
#[derive(Debug)]
pub struct Ladder {
    idle: Idle,
    spin_ns: Nanos,
    /// When it first had no work since the last stretch of full work.
    idle_since: Option<Nanos>,
    /// When the present stretch of work began.
    busy_since: Option<Nanos>,
    yields: u32,
    /// Whether it has napped since it last had work.
    napped: bool,
}

impl Ladder {
    /// A ladder that ends as `idle` says and spins for `spin_us` before its next rung.
    pub fn new(idle: Idle, spin_us: u64) -> Ladder {
        Ladder {
            idle,
            spin_ns: spin_us.saturating_mul(1_000),
            idle_since: None,
            busy_since: None,
            yields: 0,
            napped: false,
        }
    }

    /// There was work; with enough of it the next pause starts from the first rung.
    #[inline]
    pub fn worked(&mut self, now: Nanos) {
        let since = *self.busy_since.get_or_insert(now);
        if now.saturating_sub(since) >= BUSY_NS {
            self.idle_since = None;
            self.yields = 0;
        }
        self.napped = false;
    }

    /// What to do now that there is none.
    pub fn rest(&mut self, now: Nanos) -> Rest {
        self.busy_since = None;
        let since = *self.idle_since.get_or_insert(now);
        if self.idle == Idle::Spin || now.saturating_sub(since) < self.spin_ns {
            return Rest::Spin;
        }
        if self.idle == Idle::Yield || self.yields < YIELDS {
            self.yields = self.yields.saturating_add(1);
            return Rest::Yield;
        }
        if !self.napped {
            self.napped = true;
            return Rest::Nap;
        }
        Rest::Park
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worked_fully(ladder: &mut Ladder, from: Nanos) {
        ladder.worked(from);
        ladder.worked(from + BUSY_NS);
    }

    #[test]
    fn park_comes_after_spinning_yielding_and_a_nap() {
        let mut ladder = Ladder::new(Idle::Park, 10);
        assert_eq!(ladder.rest(1_000), Rest::Spin);
        assert_eq!(ladder.rest(10_999), Rest::Spin);
        assert_eq!(ladder.rest(11_000), Rest::Yield);
        assert_eq!(ladder.rest(11_001), Rest::Yield);
        assert_eq!(ladder.rest(11_002), Rest::Nap);
        assert_eq!(ladder.rest(40_000), Rest::Park);
        assert_eq!(ladder.rest(90_000), Rest::Park);
    }

    #[test]
    fn full_work_leads_back_to_the_first_rung() {
        let mut ladder = Ladder::new(Idle::Park, 10);
        assert_eq!(ladder.rest(0), Rest::Spin);
        assert_eq!(ladder.rest(100_000), Rest::Yield);
        worked_fully(&mut ladder, 200_000);
        assert_eq!(ladder.rest(300_000), Rest::Spin);
    }

    #[test]
    fn drops_of_work_do_not_keep_a_partition_spinning() {
        let mut ladder = Ladder::new(Idle::Park, 10);
        let mut rests = Vec::new();
        for drop in 0..20 {
            ladder.worked(drop * 2_000);
            rests.push(ladder.rest(drop * 2_000 + 1_000));
        }
        assert_eq!(rests[..5], [Rest::Spin; 5]);
        assert_eq!(rests[5..7], [Rest::Yield; 2]);
        assert_eq!(rests[7..], [Rest::Nap; 13], "each drop is waited for once");
        assert_eq!(ladder.rest(80_000), Rest::Park, "none came");
    }

    #[test]
    fn spin_never_leaves_its_rung_and_yield_never_sleeps() {
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
