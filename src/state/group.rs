//! A key group's state as one box: what moves between stores.

use std::num::NonZeroU64;

use crate::record::Key;
use crate::routing::{KEY_GROUPS, key_group};
use crate::state::segment::{Entry, Segment};

/// Everything a store holds for one key group, outside any store.
pub struct Group<K, S> {
    index: usize,
    segment: Segment<K, S>,
}

impl<K, S> Group<K, S> {
    pub(super) fn from_segment(index: usize, segment: Segment<K, S>) -> Self {
        Group { index, segment }
    }

    pub(super) fn into_segment(self) -> (usize, Segment<K, S>) {
        (self.index, self.segment)
    }

    /// Which key group this is, `0..4096`.
    pub fn index(&self) -> usize {
        self.index
    }

    /// How many keys it holds.
    pub fn len(&self) -> usize {
        self.segment.len()
    }

    /// Whether it holds no key.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes it has allocated, without what keys and states own on the heap.
    pub fn bytes(&self) -> usize {
        Segment::<K, S>::bytes_of(self.segment.buckets())
    }

    /// Hash, key and state of everything in it, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &K, &S)> {
        self.segment.entries().map(|entry| (entry.hash.get(), &entry.key, &entry.state))
    }
}

impl<K: Key, S> Group<K, S> {
    /// Builds the group from as many distinct entries as `entries` says it has.
    ///
    /// # Panics
    /// If a hash is 0 or not of this group, or a key comes twice.
    pub fn build(index: usize, entries: impl ExactSizeIterator<Item = (u64, K, S)>) -> Self {
        let mut segment = Segment::with_room_for(entries.len(), KEY_GROUPS.trailing_zeros());
        for (hash, key, state) in entries {
            assert_eq!(key_group(hash), index, "hash {hash:#018x} is not of key group {index}");
            let hash = NonZeroU64::new(hash).expect("a carried hash is never 0");
            assert!(segment.find(hash.get(), &key).is_none(), "key {key:?} comes twice");
            segment.put(Entry { hash, key, state });
        }
        Group { index, segment }
    }
}

impl<K, S> std::fmt::Debug for Group<K, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Group").field("index", &self.index).field("len", &self.len()).finish()
    }
}
