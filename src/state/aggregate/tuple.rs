//! Tuples: two to six aggregates in one pass over the records.

use crate::error::Result;
use crate::state::aggregate::Aggregate;

macro_rules! tuples {
    ($(($($name:ident . $index:tt),+);)*) => {
        $(
            /// Several aggregates in one pass; the result is the tuple of theirs.
            impl<T, $($name: Aggregate<T>),+> Aggregate<T> for ($($name,)+) {
                type Accumulator = ($($name::Accumulator,)+);
                type Output = ($($name::Output,)+);
                const MERGES: bool = $($name::MERGES)&&+;

                fn check(&self) -> Result<()> {
                    $(self.$index.check()?;)+
                    Ok(())
                }

                #[inline]
                fn add(&self, accumulator: &mut Self::Accumulator, record: &T) {
                    $(self.$index.add(&mut accumulator.$index, record);)+
                }

                #[inline]
                fn merge(&self, into: &mut Self::Accumulator, from: Self::Accumulator) {
                    $(self.$index.merge(&mut into.$index, from.$index);)+
                }

                #[inline]
                fn finish(&self, accumulator: &Self::Accumulator) -> Self::Output {
                    ($(self.$index.finish(&accumulator.$index),)+)
                }
            }
        )*
    };
}

tuples! {
    (A.0, B.1);
    (A.0, B.1, C.2);
    (A.0, B.1, C.2, D.3);
    (A.0, B.1, C.2, D.3, E.4);
    (A.0, B.1, C.2, D.3, E.4, F.5);
}

#[cfg(test)]
mod tests {
    use crate::state::aggregate::{Aggregate, Count, Last, sum, top_k};

    #[test]
    fn a_tuple_merges_only_if_all_do() {
        fn merges<A: Aggregate<u64>>(_aggregate: &A) -> bool {
            A::MERGES
        }
        assert!(merges(&(Count, Count)));
        assert!(merges(&(Count, Count, Count, Count, Count, Count)));
        assert!(!merges(&(Count, Last)));
        assert!(!merges(&(Count, Count, Last, Count)));
        assert!(!merges(&((Last, Count), Count)));
    }

    #[test]
    fn six_are_aggregated_in_one_pass() {
        let times = |factor: u64| sum(move |value: &u64| value * factor);
        let six = (Count, times(1), times(2), times(3), times(4), Last);
        let mut accumulator = Default::default();
        for value in [3, 4] {
            six.add(&mut accumulator, &value);
        }
        assert_eq!(six.finish(&accumulator), (2, 7, 14, 21, 28, Some(4)));
    }

    #[test]
    fn a_wrong_part_is_told() {
        let wrong = (Count, top_k(0, |value: &u64| *value));
        let error = wrong.check().expect_err("nothing is kept").to_string();
        assert!(error.contains("top_k"), "{error}");
    }
}
