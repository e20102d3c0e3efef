//! Work for the processor: a loop that leads from a number back to itself.
//!
//! So what comes out does not depend on how long the loop is, and yet nobody but a reader of this
//! can leave it out.

use crate::time::{Clock, MonotonicClock};

const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
const BACK: u64 = inverse(STEP);
const TURN: u32 = 29;

const _: () = assert!(STEP.wrapping_mul(BACK) == 1);

/// The number by which a product with `odd` is undone.
const fn inverse(odd: u64) -> u64 {
    // Newton's method: right in 3 bits at first, and twice as many with each step.
    let mut inverse = odd;
    let mut bits = 3;
    while bits < u64::BITS {
        inverse = inverse.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(inverse)));
        bits *= 2;
    }
    inverse
}

/// Works for so many rounds on each number.
#[derive(Clone, Debug)]
pub(super) struct Work {
    rounds: u32,
    /// Each number waits for the one before, so that the processor cannot work on two at once.
    carry: u64,
}

impl Work {
    pub(super) fn new(rounds: u32) -> Work {
        Work { rounds, carry: 0 }
    }

    /// Returns `value`, later.
    #[inline]
    pub(super) fn spend(&mut self, value: u64) -> u64 {
        let mut bits = value ^ self.carry;
        for _ in 0..self.rounds {
            bits = bits.wrapping_mul(STEP).rotate_left(TURN);
        }
        for _ in 0..self.rounds {
            bits = bits.rotate_right(TURN).wrapping_mul(BACK);
        }
        let value = bits ^ self.carry;
        self.carry = bits;
        value
    }
}

/// The rounds that take so many nanoseconds on the core that this runs on.
pub(super) fn rounds_of(work_ns: u64) -> u32 {
    const ROUNDS: u32 = 10_000;
    const TRIALS: usize = 200;
    let mut work = Work::new(ROUNDS);
    let trial = |_| {
        let start = MonotonicClock.now();
        std::hint::black_box(work.spend(std::hint::black_box(1)));
        MonotonicClock.now() - start
    };
    // The shortest one was not interrupted.
    let shortest = (0..TRIALS).map(trial).min().unwrap_or(0).max(1);
    let rounds = (work_ns * u64::from(ROUNDS) + shortest / 2) / shortest;
    u32::try_from(rounds).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_out_is_what_went_in_after_any_work() {
        for rounds in [0, 1, 2, 75, 1_000] {
            let mut work = Work::new(rounds);
            for value in [0, 1, 0xFFFF, u64::MAX, 7, 7] {
                assert_eq!(work.spend(value), value, "{rounds} rounds");
            }
        }
    }

    #[test]
    fn the_way_out_and_the_way_back_differ_in_between() {
        let mut seen = std::collections::BTreeSet::new();
        let mut bits = 1u64;
        for _ in 0..1_000 {
            bits = bits.wrapping_mul(STEP).rotate_left(TURN);
            assert!(seen.insert(bits), "the loop has a short cut");
        }
    }

    #[test]
    fn more_nanoseconds_are_more_rounds() {
        assert_eq!(rounds_of(0), 0);
        assert!(rounds_of(10) < rounds_of(100_000));
    }
}
