//! Which batches are looked into, so that looking takes a fixed part of the busy time.

use crate::time::Nanos;

/// One batch of four at most: a partition with little to do is seen well enough by then.
const EVERY_MIN: u32 = 4;
/// One of 1,024 at least: with 5 ns a record and 25 ns to look at it, that is 0.5 %.
const EVERY_MAX: u32 = 1_024;
/// The part of the busy time that looking may take: 1/200.
const BUSY_PER_COST: u64 = 200;

/// Picks one batch of `every`, and adapts that from what looking took. Owned by one partition.
#[derive(Clone, Debug)]
pub struct Sampling {
    every: u32,
    to_go: u32,
}

impl Sampling {
    /// Begins with one batch of 64.
    pub fn new() -> Sampling {
        Sampling { every: 64, to_go: 1 }
    }

    /// Whether to look into the batch at hand. Called once for every batch.
    #[inline]
    pub fn takes_next(&mut self) -> bool {
        self.to_go -= 1;
        let takes = self.to_go == 0;
        if takes {
            self.to_go = self.every;
        }
        takes
    }

    /// Adapts to the time since the last call: `busy_ns` of work, `cost_ns` of it for looking.
    ///
    /// The load may be quite another one in the next tick, so it changes fourfold at most.
    pub fn adapt(&mut self, busy_ns: Nanos, cost_ns: Nanos) {
        if busy_ns == 0 {
            return;
        }
        let allowed = (busy_ns / BUSY_PER_COST).max(1);
        let wanted = (u64::from(self.every).saturating_mul(cost_ns)).div_ceil(allowed);
        let (least, most) = (self.every / 4, self.every * 4);
        let wanted = u32::try_from(wanted).unwrap_or(u32::MAX).clamp(least, most);
        self.every = wanted.clamp(EVERY_MIN, EVERY_MAX);
        self.to_go = self.to_go.min(self.every);
    }

    /// One batch of so many is looked into.
    pub fn every(&self) -> u32 {
        self.every
    }
}

impl Default for Sampling {
    fn default() -> Sampling {
        Sampling::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Works for a tick on batches that take `batch_ns`, and `look_ns` to look into; what looking
    /// took, and how many were looked into.
    fn tick(sampling: &mut Sampling, batch_ns: Nanos, look_ns: Nanos) -> (f64, u64) {
        let (mut busy, mut cost) = (0, 0);
        while busy < 100_000_000 {
            let spent = if sampling.takes_next() { look_ns } else { 0 };
            (busy, cost) = (busy + batch_ns + spent, cost + spent);
        }
        sampling.adapt(busy, cost);
        (cost as f64 / busy as f64, cost / look_ns)
    }

    #[test]
    fn looking_takes_half_a_percent_at_most_from_the_fourth_tick_on() {
        for record_ns in [5, 20, 200, 2_000] {
            let mut sampling = Sampling::new();
            (0..3).for_each(|_| _ = tick(&mut sampling, 256 * record_ns, 256 * 25));
            for _ in 0..20 {
                let (part, looks) = tick(&mut sampling, 256 * record_ns, 256 * 25);
                assert!(part <= 0.0051, "{part} with {record_ns} ns a record");
                assert!(looks > 40, "{looks} with {record_ns} ns a record");
            }
        }
    }

    #[test]
    fn cheap_looks_are_one_of_four_and_dear_ones_one_of_1024() {
        let mut sampling = Sampling::new();
        (0..9).for_each(|_| sampling.adapt(1_000_000, 1));
        assert_eq!(sampling.every(), 4);
        (0..9).for_each(|_| sampling.adapt(1_000_000, u64::MAX));
        assert_eq!(sampling.every(), 1_024);
        sampling.adapt(0, 0);
        assert_eq!(sampling.every(), 1_024);
    }

    #[test]
    fn one_batch_of_every_is_taken() {
        let mut sampling = Sampling::new();
        let taken = (0..640).filter(|_| sampling.takes_next()).count();
        assert_eq!(taken, 10);
    }
}
