//! `modulo`: integer keys by their remainder, so that neighbouring keys go to different partitions.
//!
//! The group is the key modulo 4,096 with its 12 bits reversed (van der Corput's sequence). A
//! partition owns neighbouring groups, so without the reversal a run of small keys would all go
//! to partition 0. With it, where the number of partitions is a power of two, every run of that
//! many consecutive keys meets each partition once; for other numbers a run is as even as the
//! sequence is. Keys that are equal modulo 4,096 stay together.

use crate::record::{Key, hash_key};
use crate::routing::{GROUP_BITS, KeyedPartitioner, with_group};

/// Deals consecutive integer keys out evenly.
#[derive(Clone, Copy, Debug, Default)]
pub struct Modulo;

impl<K: IntegerKey> KeyedPartitioner<K> for Modulo {
    fn name(&self) -> String {
        "modulo".into()
    }

    #[inline]
    fn hash(&self, key: &K) -> u64 {
        let reversed = key.low_bits().reverse_bits() >> (u64::BITS - GROUP_BITS);
        with_group(hash_key(key), reversed as usize)
    }
}

/// An integer that [`Modulo`] takes: all of Rust's.
pub trait IntegerKey: Key {
    /// Its low 64 bits in two's complement, which are the key modulo 2^64, for negative keys too.
    fn low_bits(&self) -> u64;
}

macro_rules! integer_keys {
    ($($integer:ty),*) => {
        $(impl IntegerKey for $integer {
            #[inline]
            fn low_bits(&self) -> u64 {
                *self as u64
            }
        })*
    };
}

integer_keys!(u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::{RoutingTable, key_group};

    #[test]
    fn every_run_of_keys_as_long_as_a_power_of_two_of_partitions_meets_each_once() {
        for partitions in [1usize, 2, 4, 8, 16] {
            let table = RoutingTable::even(partitions);
            for start in -40i64..40 {
                let mut met = vec![0; partitions];
                for key in start..start + partitions as i64 {
                    met[table.owner(Modulo.hash(&key))] += 1;
                }
                assert_eq!(met, vec![1; partitions], "{partitions} partitions from {start}");
            }
        }
    }

    #[test]
    fn any_number_of_partitions_gets_nearly_equal_shares_of_a_run() {
        for partitions in [3usize, 5, 6, 7, 12] {
            let table = RoutingTable::even(partitions);
            let mut met = vec![0i32; partitions];
            for key in 0..1200u64 {
                met[table.owner(Modulo.hash(&key))] += 1;
            }
            let fair = 1200 / partitions as i32;
            assert!(met.iter().all(|n| (n - fair).abs() <= 8), "{met:?}");
        }
    }

    #[test]
    fn keys_equal_modulo_4096_share_a_group_and_differ_in_hash() {
        let (a, b) = (Modulo.hash(&5i32), Modulo.hash(&(5 - 4096)));
        assert_eq!(key_group(a), key_group(b));
        assert_ne!(a, b);
    }
}
