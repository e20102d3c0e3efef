//! `known`: the plain value of an aggregate that has one from the first record on.

use crate::error::Result;
use crate::state::aggregate::Aggregate;

/// `aggregate` without the `Option` around its value, for where there is at least one record: a
/// key of a running aggregate, a window that fires.
///
/// # Panics
/// Finishing it panics while `aggregate` has no value, so that it suits only one that has a value
/// for whatever records come: not, say, [`min`](crate::state::aggregate::min) of floats that may
/// all be NaN.
///
/// ```
/// use millstream::state::aggregate::{Aggregate, known, max};
///
/// let highest = known(max(|value: &u64| *value));
/// let mut accumulator = None;
/// highest.add(&mut accumulator, &7);
/// assert_eq!(highest.finish(&accumulator), 7);
/// ```
pub fn known<A>(aggregate: A) -> Known<A> {
    Known { aggregate }
}

/// See [`known`].
#[derive(Clone, Copy, Debug)]
pub struct Known<A> {
    aggregate: A,
}

impl<T, O: Send + 'static, A: Aggregate<T, Output = Option<O>>> Aggregate<T> for Known<A> {
    type Accumulator = A::Accumulator;
    type Output = O;
    const MERGES: bool = A::MERGES;

    fn check(&self) -> Result<()> {
        self.aggregate.check()
    }

    #[inline]
    fn add(&self, accumulator: &mut A::Accumulator, record: &T) {
        self.aggregate.add(accumulator, record);
    }

    #[inline]
    fn merge(&self, into: &mut A::Accumulator, from: A::Accumulator) {
        self.aggregate.merge(into, from);
    }

    #[inline]
    fn finish(&self, accumulator: &A::Accumulator) -> O {
        self.aggregate.finish(accumulator).expect("a value from the first record on")
    }
}
