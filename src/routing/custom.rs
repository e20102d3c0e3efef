//! `custom`: the user's own function from key to key group.

use crate::record::{Key, hash_key};
use crate::routing::{KeyedPartitioner, with_group};

/// Puts a key where a function says. Equal keys must always get the same group, on every clone.
#[derive(Clone, Debug)]
pub struct Custom<F> {
    group: F,
}

impl<F> Custom<F> {
    /// `group` returns a key group in `0..4096`; a larger one fails the job. Partition *i* of *P*
    /// starts with the groups from `i * 4096 / P` (rounded up) on.
    pub fn new<K>(group: F) -> Custom<F>
    where
        F: Fn(&K) -> usize + Clone + Send + 'static,
    {
        Custom { group }
    }
}

impl<K: Key, F: Fn(&K) -> usize + Clone + Send + 'static> KeyedPartitioner<K> for Custom<F> {
    fn name(&self) -> String {
        "custom".into()
    }

    #[inline]
    fn hash(&self, key: &K) -> u64 {
        with_group(hash_key(key), (self.group)(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::key_group;

    #[test]
    fn the_function_decides_the_group() {
        let by_length = Custom::new(|key: &String| key.len());
        assert_eq!(key_group(by_length.hash(&"four".to_string())), 4);
        assert_ne!(by_length.hash(&"four".to_string()), by_length.hash(&"five".to_string()));
    }

    #[test]
    #[should_panic(expected = "key group 4096 is not below 4096")]
    fn a_group_out_of_range_panics_with_the_group() {
        Custom::new(|key: &u64| *key as usize).hash(&4096);
    }
}
