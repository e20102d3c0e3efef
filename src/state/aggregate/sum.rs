//! `sum`: of a number that each record has.

use crate::state::Storable;
use crate::state::aggregate::Aggregate;

/// Sums `value(record)`. Integers wrap around on overflow, which keeps the sum independent of the
/// order of records; take a wider type in `value` where that could happen. Among floats, NaN and
/// opposite infinities make the sum NaN.
///
/// ```
/// use millstream::state::aggregate::{Aggregate, sum};
///
/// let bytes = sum(|packet: &Vec<u8>| packet.len() as u64);
/// let mut accumulator = 0;
/// for packet in [vec![1, 2, 3], vec![4]] {
///     bytes.add(&mut accumulator, &packet);
/// }
/// assert_eq!(bytes.finish(&accumulator), 4);
/// ```
pub fn sum<T, V: Summand, F: Fn(&T) -> V + Clone + Send + 'static>(value: F) -> Sum<F> {
    Sum { value }
}

/// See [`sum`].
#[derive(Clone, Copy, Debug)]
pub struct Sum<F> {
    value: F,
}

impl<T, V: Summand, F: Fn(&T) -> V + Clone + Send + 'static> Aggregate<T> for Sum<F> {
    type Accumulator = V;
    type Output = V;

    #[inline]
    fn add(&self, accumulator: &mut V, record: &T) {
        *accumulator = accumulator.plus((self.value)(record));
    }

    #[inline]
    fn merge(&self, into: &mut V, from: V) {
        *into = into.plus(from);
    }

    #[inline]
    fn finish(&self, accumulator: &V) -> V {
        *accumulator
    }
}

/// A number that can be summed, starting at its default: Rust's integers and floats.
pub trait Summand: Copy + Default + Storable {
    /// `self + other`; integers wrap around.
    fn plus(self, other: Self) -> Self;
}

macro_rules! integer_summands {
    ($($integer:ty),*) => {
        $(impl Summand for $integer {
            #[inline]
            fn plus(self, other: Self) -> Self {
                self.wrapping_add(other)
            }
        })*
    };
}

integer_summands!(u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize);

impl Summand for f32 {
    #[inline]
    fn plus(self, other: Self) -> Self {
        self + other
    }
}

impl Summand for f64 {
    #[inline]
    fn plus(self, other: Self) -> Self {
        self + other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_wrap_and_floats_add() {
        let bytes = sum(|value: &u8| *value);
        let mut accumulator = 0;
        bytes.add(&mut accumulator, &200);
        bytes.add(&mut accumulator, &100);
        assert_eq!(bytes.finish(&accumulator), 44);
        let floats = sum(|value: &i32| f64::from(*value) / 2.0);
        let mut accumulator = 0.0;
        floats.add(&mut accumulator, &3);
        floats.merge(&mut accumulator, 1.0);
        assert_eq!(floats.finish(&accumulator), 2.5);
    }
}
