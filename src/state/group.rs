//! The state of a key group, or of neighbouring ones, as one box: what moves between stores.

use hashbrown::HashTable;

use crate::record::Key;
use crate::routing::{KEY_GROUPS, KeyedPartitioner, key_group};
use crate::state::segment::{Segment, holds, insert};

/// Everything a store holds for one key group, outside any store.
pub struct Group<K, S> {
    pub(super) index: usize,
    pub(super) table: HashTable<(K, S)>,
}

/// Everything a store holds for a run of 2^j neighbouring key groups, outside any store.
pub(crate) struct Run<K, S> {
    /// The first of them.
    pub(super) first: usize,
    /// How many top bits of the hash they share.
    pub(super) depth: u32,
    pub(super) table: HashTable<(K, S)>,
}

impl<K: Key, S> Run<K, S> {
    /// Its parts by the next `levels` bits of the hash.
    pub(super) fn split<Q: KeyedPartitioner<K>>(
        self,
        levels: u32,
        partitioner: &Q,
    ) -> impl Iterator<Item = Run<K, S>> + use<K, S, Q> {
        let Run { first, depth, table } = self;
        let mut lowest = Segment::of(table, depth);
        let others = lowest.split(levels, partitioner);
        let span = KEY_GROUPS >> (depth + levels);
        std::iter::once(lowest).chain(others).enumerate().map(move |(nth, mut part)| Run {
            first: first + nth * span,
            depth: part.depth,
            table: part.replace(HashTable::new()),
        })
    }
}

impl<K, S> Group<K, S> {
    /// Which key group this is, `0..4096`.
    pub fn index(&self) -> usize {
        self.index
    }

    /// How many keys it holds.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether it holds no key.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Bytes it has allocated, without what keys and states own on the heap.
    pub fn bytes(&self) -> usize {
        self.table.allocation_size()
    }

    /// Key and state of everything in it, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &S)> {
        self.table.iter().map(|(key, state)| (key, state))
    }
}

impl<K, S> IntoIterator for Run<K, S> {
    type Item = (K, S);
    type IntoIter = hashbrown::hash_table::IntoIter<(K, S)>;

    fn into_iter(self) -> Self::IntoIter {
        self.table.into_iter()
    }
}

impl<K: Key, S> Group<K, S> {
    /// Builds the group from distinct keys with their states, for stores of this partitioner.
    ///
    /// # Panics
    /// If a key is not of this group, or comes twice.
    pub fn build<Q: KeyedPartitioner<K>>(
        index: usize,
        partitioner: &Q,
        entries: impl ExactSizeIterator<Item = (K, S)>,
    ) -> Self {
        let mut table = HashTable::with_capacity(entries.len());
        for (key, state) in entries {
            let hash = partitioner.hash(&key);
            assert_eq!(key_group(hash), index, "key {key:?} is not of key group {index}");
            assert!(!holds(&table, hash, &key), "key {key:?} comes twice");
            insert(&mut table, hash, (key, state), partitioner);
        }
        Group { index, table }
    }
}

impl<K, S> std::fmt::Debug for Group<K, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Group").field("index", &self.index).field("len", &self.len()).finish()
    }
}
