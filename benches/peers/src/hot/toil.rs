//! Work for the processor, as `millstream bench hot-key` does it: a loop that leads from a number
//! back to itself, so that what comes out does not depend on its length.

use std::cell::Cell;
use std::hint::black_box;
use std::time::{Duration, Instant};

const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
/// The number by which a product with `STEP` is undone.
const BACK: u64 = 0xF1DE_83E1_9937_733D;
const TURN: u32 = 29;

const _: () = assert!(STEP.wrapping_mul(BACK) == 1);

/// Works for so many rounds on each number.
#[derive(Clone, Debug)]
pub struct Toil {
    rounds: u32,
    /// Each number waits for the one before, so that the processor cannot work on two at once.
    carry: Cell<u64>,
}

impl Toil {
    /// Of so many rounds.
    pub fn new(rounds: u32) -> Toil {
        Toil { rounds, carry: Cell::new(0) }
    }

    /// Returns `value`, later.
    #[inline]
    pub fn spend(&self, value: u64) -> u64 {
        let mut bits = value ^ self.carry.get();
        for _ in 0..self.rounds {
            bits = bits.wrapping_mul(STEP).rotate_left(TURN);
        }
        for _ in 0..self.rounds {
            bits = bits.rotate_right(TURN).wrapping_mul(BACK);
        }
        let value = bits ^ self.carry.get();
        self.carry.set(bits);
        value
    }
}

/// The rounds that take so many nanoseconds on the core that this runs on: for all contenders
/// alike, so it is asked once.
pub fn rounds_of(work_ns: u64) -> u32 {
    const ROUNDS: u32 = 10_000;
    let toil = Toil::new(ROUNDS);
    let trial = |_| {
        let start = Instant::now();
        black_box(toil.spend(black_box(1)));
        start.elapsed()
    };
    // The shortest one was not interrupted.
    let shortest = (0..200).map(trial).min().unwrap_or(Duration::ZERO).as_nanos().max(1) as u64;
    ((work_ns * u64::from(ROUNDS) + shortest / 2) / shortest) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_out_is_what_went_in() {
        for rounds in [0, 1, 75] {
            let toil = Toil::new(rounds);
            for value in [0, 1, 0xFFFF, 7, 7] {
                assert_eq!(toil.spend(value), value);
            }
        }
    }
}
