//! `hash`: the key group is the top of the key's stable hash. What `key_by` uses.

use crate::record::{Key, hash_key};
use crate::routing::KeyedPartitioner;

/// Spreads keys evenly, whatever they are. The default.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hashed;

impl<K: Key> KeyedPartitioner<K> for Hashed {
    fn name(&self) -> String {
        "hash".into()
    }

    #[inline]
    fn hash(&self, key: &K) -> u64 {
        hash_key(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carried_hash_is_the_hash_of_the_key() {
        assert_eq!(Hashed.hash(&42u64), hash_key(&42u64));
        assert_eq!(Hashed.hash(&String::from("JFK")), hash_key("JFK"));
    }
}
