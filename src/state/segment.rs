//! One table of keys and states, for one key group or for some neighbouring ones.

use hashbrown::HashTable;

use crate::record::Key;
use crate::routing::{KeyedPartitioner, key_group};

/// What the table is given of a carried hash. It takes a tag from the top 7 bits and the home from
/// the low ones: after the turn these are bits 1 to 7 and bits 8 to 51. Left out are bit 0, which
/// is always 1, and the key group's bits, which are alike in a segment.
#[inline(always)]
fn turned(hash: u64) -> u64 {
    hash.rotate_right(8)
}

/// A table of its own, for one key group or for some neighbouring ones.
pub(super) struct Segment<K, S> {
    table: HashTable<(K, S)>,
    /// How many top bits of the hash all its entries share.
    pub(super) depth: u32,
    /// How often its entries have changed their buckets.
    pub(super) moves: u32,
}

impl<K, S> Segment<K, S> {
    /// A segment without entries that has not allocated.
    pub(super) fn new(depth: u32) -> Self {
        Segment { table: HashTable::new(), depth, moves: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.table.allocation_size()
    }

    pub(super) fn buckets(&self) -> usize {
        self.table.num_buckets()
    }

    /// Whether the next entry may make all others move.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.table.len() == self.table.capacity()
    }

    /// How many bytes it will have after [`grow`](Self::grow).
    pub(super) fn bytes_grown(&self) -> usize {
        // Half full, with the traces of removed entries: cleaned up where it is.
        let is_worn = self.len() < self.buckets() * 7 / 16;
        if is_worn { self.bytes() } else { 2 * self.bytes() }
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &(K, S)> {
        self.table.iter()
    }

    /// The entry in a bucket, if there is one.
    #[inline]
    pub(super) fn entry(&self, bucket: usize) -> Option<&(K, S)> {
        self.table.get_bucket(bucket)
    }

    /// The entry in a bucket, if there is one.
    #[inline]
    pub(super) fn entry_mut(&mut self, bucket: usize) -> Option<&mut (K, S)> {
        self.table.get_bucket_mut(bucket)
    }

    /// Takes the entry out of a bucket, if there is one. The others stay where they are.
    pub(super) fn remove(&mut self, bucket: usize) -> Option<(K, S)> {
        Some(self.table.get_bucket_entry(bucket).ok()?.remove().0)
    }

    /// Drops the entries that are spent. The others stay where they are.
    #[cold]
    pub(super) fn drop_spent(&mut self, is_spent: impl Fn(&S) -> bool) {
        self.table.retain(|(_, state)| !is_spent(state));
    }

    /// Puts the entries of `with` in place of its own.
    pub(super) fn replace(&mut self, with: HashTable<(K, S)>) -> HashTable<(K, S)> {
        self.moves += 1;
        std::mem::replace(&mut self.table, with)
    }
}

impl<K: Key, S> Segment<K, S> {
    /// The bucket of `key`, if it is here.
    #[inline]
    pub(super) fn find(&self, hash: u64, key: &K) -> Option<usize> {
        self.table.find_bucket_index(turned(hash), |entry| entry.0 == *key)
    }

    /// The bucket of the `nth` key of this hash, if there are as many.
    #[inline]
    pub(super) fn find_hash<Q>(&self, hash: u64, nth: usize, partitioner: &Q) -> Option<usize>
    where
        Q: KeyedPartitioner<K>,
    {
        let mut left = nth + 1;
        self.table.find_bucket_index(turned(hash), |entry| {
            left -= usize::from(partitioner.hash(&entry.0) == hash);
            left == 0
        })
    }

    #[inline]
    pub(super) fn get(&self, hash: u64, key: &K) -> Option<&(K, S)> {
        self.table.find(turned(hash), |entry| entry.0 == *key)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, hash: u64, key: &K) -> Option<&mut (K, S)> {
        self.table.find_mut(turned(hash), |entry| entry.0 == *key)
    }

    /// Puts an entry in that is not there yet. There must be room.
    #[inline(always)]
    pub(super) fn insert<Q>(&mut self, hash: u64, entry: (K, S), partitioner: &Q) -> &mut (K, S)
    where
        Q: KeyedPartitioner<K>,
    {
        debug_assert!(!self.is_full());
        insert(&mut self.table, hash, entry, partitioner)
    }

    /// Makes room for at least one more entry: doubles, or clears away what removed ones left.
    pub(super) fn grow<Q: KeyedPartitioner<K>>(&mut self, partitioner: &Q) {
        self.moves += 1;
        self.table.reserve(1, |entry| turned(partitioner.hash(&entry.0)));
    }

    /// The segment that all these entries make, which share so many top bits of their hashes.
    pub(super) fn of(table: HashTable<(K, S)>, depth: u32) -> Self {
        Segment { table, depth, moves: 0 }
    }

    /// Splits by the next `levels` bits of the hash. The lowest part stays here, the others come
    /// back in their order.
    pub(super) fn split<Q>(&mut self, levels: u32, partitioner: &Q) -> Vec<Self>
    where
        Q: KeyedPartitioner<K>,
    {
        self.depth += levels;
        let shift = u64::BITS - self.depth;
        let part_of = |hash: u64| (hash >> shift) as usize & ((1 << levels) - 1);
        let mut counts = vec![0; 1 << levels];
        self.entries().for_each(|entry| counts[part_of(partitioner.hash(&entry.0))] += 1);
        // A part that has all of them takes the table as it is; an eighth beyond, or half of the
        // parts would be full at once.
        let only = counts.iter().position(|count| *count == self.len());
        let room = |count: usize| if only.is_some() { 0 } else { count + count / 8 };
        let with_room = |count: &usize| HashTable::with_capacity(room(*count));
        let mut tables: Vec<_> = counts.iter().map(with_room).collect();
        let entries = self.replace(HashTable::new());
        match only {
            Some(part) => tables[part] = entries,
            None => entries.into_iter().for_each(|entry| {
                let hash = partitioner.hash(&entry.0);
                insert(&mut tables[part_of(hash)], hash, entry, partitioner);
            }),
        }
        let depth = self.depth;
        let mut parts = tables.into_iter().map(|table| Segment { table, depth, moves: 0 });
        self.table = parts.next().expect("there are two parts or more").table;
        parts.collect()
    }

    /// Takes out the entries of some of its groups, which ascend: a table for each. The others stay
    /// where they are; if there are none, the memory goes back.
    pub(super) fn take_out<Q: KeyedPartitioner<K>>(
        &mut self,
        partitioner: &Q,
        groups: &[usize],
    ) -> Vec<HashTable<(K, S)>> {
        let mut taken: Vec<_> = groups.iter().map(|_| HashTable::new()).collect();
        let nth = |hash: u64| groups.binary_search(&key_group(hash));
        for entry in self.table.extract_if(|entry| nth(partitioner.hash(&entry.0)).is_ok()) {
            let hash = partitioner.hash(&entry.0);
            let nth = nth(hash).expect("it is taken out because it is of one of them");
            insert(&mut taken[nth], hash, entry, partitioner);
        }
        if self.table.is_empty() {
            self.replace(HashTable::new());
        }
        taken
    }
}

/// Puts an entry in that is not there yet, under its carried hash.
#[inline(always)]
pub(super) fn insert<'a, K, S, Q: KeyedPartitioner<K>>(
    table: &'a mut HashTable<(K, S)>,
    hash: u64,
    entry: (K, S),
    partitioner: &Q,
) -> &'a mut (K, S) {
    debug_assert_eq!(hash, partitioner.hash(&entry.0), "a key's hash is its partitioner's");
    let rehash = |entry: &(K, S)| turned(partitioner.hash(&entry.0));
    table.insert_unique(turned(hash), entry, rehash).into_mut()
}

/// Whether `key` is in the table.
pub(super) fn holds<K: Key, S>(table: &HashTable<(K, S)>, hash: u64, key: &K) -> bool {
    table.find(turned(hash), |entry| entry.0 == *key).is_some()
}
