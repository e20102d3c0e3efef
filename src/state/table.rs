//! `KeyedStore`: the state of one partition, a directory of segments by hash prefix.

use std::num::NonZeroU64;

use crate::record::Key;
use crate::routing::{KEY_GROUPS, key_group};
use crate::state::group::Group;
use crate::state::segment::{Entry, Place, Segment};

/// State by key, addressed by the hash that records carry. The folder's README says how it lies
/// in memory and why.
///
/// A key must always come with the same hash: [`hash_key`](crate::record::hash_key)'s, or a keyed
/// partitioner's. Neither is ever 0, and inserting under 0 panics.
///
/// ```
/// use millstream::record::hash_key;
/// use millstream::state::KeyedStore;
///
/// let mut counts = KeyedStore::<&str, u64>::new();
/// for word in ["a", "b", "a"] {
///     *counts.get_or_insert(hash_key(word), word) += 1;
/// }
/// assert_eq!(counts.get(hash_key("a"), &"a"), Some(&2));
/// ```
pub struct KeyedStore<K, S> {
    /// `directory[key group]` is an index into `segments`. Always of full length: a look-up then
    /// needs no bounds check and no shift of its own, for 8 KiB.
    directory: Box<[u16; KEY_GROUPS]>,
    segments: Vec<Segment<K, S>>,
    len: usize,
    buckets: usize,
}

const GROUP_DEPTH: u32 = KEY_GROUPS.trailing_zeros();

/// A store of at most so many keys keeps its segments sparse.
const SPARSE_KEYS: usize = 2_048;

/// A segment of several key groups splits before it grows beyond this many bytes.
const SPLIT_BYTES: usize = 32 << 10;

impl<K: Key, S> KeyedStore<K, S> {
    /// A store without entries.
    pub fn new() -> Self {
        KeyedStore {
            directory: Box::new([0; KEY_GROUPS]),
            segments: vec![Segment::new(0)],
            len: 0,
            buckets: 0,
        }
    }

    /// How many keys it holds.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds no key.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes it has allocated, without what keys and states own on the heap.
    pub fn bytes(&self) -> usize {
        Segment::<K, S>::bytes_of(self.buckets)
            + size_of_val(&*self.directory)
            + self.segments.capacity() * size_of::<Segment<K, S>>()
    }

    /// Asks for the cache line that a look-up of `hash` reads first. Pays some tens of records
    /// before the look-up, and once the store is larger than the inner caches
    /// ([`bytes`](Self::bytes)).
    #[inline(always)]
    pub fn prefetch(&self, hash: u64) {
        self.segments[self.segment_of(hash)].prefetch(hash);
    }

    /// The state of `key`, if there is one.
    #[inline]
    pub fn get(&self, hash: u64, key: &K) -> Option<&S> {
        let segment = &self.segments[self.segment_of(hash)];
        let place = segment.find(hash, key)?;
        Some(&segment.entry(place).state)
    }

    /// The state of `key`, if there is one.
    #[inline]
    pub fn get_mut(&mut self, hash: u64, key: &K) -> Option<&mut S> {
        let at = self.segment_of(hash);
        let segment = &mut self.segments[at];
        let place = segment.find(hash, key)?;
        Some(&mut segment.entry_mut(place).state)
    }

    /// The state of `key`, the default one if it had none.
    #[inline(always)]
    pub fn get_or_insert(&mut self, hash: u64, key: K) -> &mut S
    where
        S: Default,
    {
        self.entry(hash, key).1
    }

    /// The stored key equal to `key` and its state, the default one if it had none.
    #[inline(always)]
    pub fn entry(&mut self, hash: u64, key: K) -> (&K, &mut S)
    where
        S: Default,
    {
        let at = self.segment_of(hash);
        // Its own way out, so that nothing is looked up or checked twice on it.
        if let Some(place) = self.segments[at].find_at_home(hash, &key) {
            let entry = self.segments[at].entry_mut(place);
            return (&entry.key, &mut entry.state);
        }
        self.entry_beyond(at, hash, key)
    }

    /// The parts that a loop over look-ups reads, as one borrow: see [`AtHome`].
    #[inline(always)]
    pub(crate) fn at_home(&mut self) -> AtHome<'_, K, S> {
        AtHome { directory: &self.directory, segments: &mut self.segments }
    }

    /// An entry that its home bucket does not hold.
    #[inline(never)]
    fn entry_beyond(&mut self, at: usize, hash: u64, key: K) -> (&K, &mut S)
    where
        S: Default,
    {
        let (at, place) = match self.segments[at].find_beyond(hash, &key) {
            Some(place) => (at, place),
            None => {
                let hash = NonZeroU64::new(hash).expect("a carried hash is never 0");
                self.insert_new(at, Entry { hash, key, state: S::default() })
            }
        };
        let entry = self.segments[at].entry_mut(place);
        (&entry.key, &mut entry.state)
    }

    /// Takes `key` and its state out.
    pub fn remove(&mut self, hash: u64, key: &K) -> Option<(K, S)> {
        let at = self.segment_of(hash);
        let place = self.segments[at].find(hash, key)?;
        Some(self.remove_at(at, place))
    }

    pub(super) fn remove_at(&mut self, at: usize, place: Place) -> (K, S) {
        let entry = self.segments[at].remove(place);
        self.len -= 1;
        (entry.key, entry.state)
    }

    /// How many keys of `group` it holds.
    pub fn group_len(&self, group: usize) -> usize {
        let segment = &self.segments[self.segment_of_group(group)];
        if segment.depth == GROUP_DEPTH {
            return segment.len();
        }
        segment.entries().filter(|entry| key_group(entry.hash.get()) == group).count()
    }

    /// Takes everything of `group` out. Where the group has a segment of its own that hands over
    /// a pointer; where it shares one, which is small then, its entries are copied.
    pub fn take_group(&mut self, group: usize) -> Group<K, S> {
        let at = self.segment_of_group(group);
        let segment = &mut self.segments[at];
        self.buckets -= segment.buckets();
        let taken = if segment.depth == GROUP_DEPTH {
            std::mem::replace(segment, Segment::new(GROUP_DEPTH))
        } else {
            segment.take_out(GROUP_DEPTH, |hash| key_group(hash) == group)
        };
        self.buckets += segment.buckets();
        self.len -= taken.len();
        Group::from_segment(group, taken)
    }

    /// Installs what [`take_group`](Self::take_group) took, here or from another store.
    ///
    /// # Panics
    /// If the store already holds keys of that group: a group has one owner.
    pub fn install_group(&mut self, group: Group<K, S>) {
        let (index, segment) = group.into_segment();
        let held = self.group_len(index);
        assert_eq!(held, 0, "key group {index} is installed over {held} keys of its own");
        let mut at = self.segment_of_group(index);
        if Segment::<K, S>::bytes_of(segment.buckets()) <= COPY_BYTES
            && self.segments[at].depth < GROUP_DEPTH
        {
            for entry in segment.into_entries() {
                self.insert_new(self.segment_of(entry.hash.get()), entry);
            }
            return;
        }
        while self.segments[at].depth < GROUP_DEPTH {
            self.split(at);
            at = self.segment_of_group(index);
        }
        self.buckets = self.buckets - self.segments[at].buckets() + segment.buckets();
        self.len += segment.len();
        self.segments[at] = segment;
    }

    #[inline]
    pub(super) fn segment_of(&self, hash: u64) -> usize {
        usize::from(self.directory[key_group(hash)])
    }

    pub(super) fn segment_of_group(&self, group: usize) -> usize {
        assert!(group < KEY_GROUPS, "key group {group} is not below {KEY_GROUPS}");
        usize::from(self.directory[group])
    }

    pub(super) fn segment(&self, at: usize) -> &Segment<K, S> {
        &self.segments[at]
    }

    pub(super) fn segment_mut(&mut self, at: usize) -> &mut Segment<K, S> {
        &mut self.segments[at]
    }

    /// Puts an entry in that is not there yet. Out of line, so that an update stays short.
    #[inline(never)]
    fn insert_new(&mut self, at: usize, entry: Entry<K, S>) -> (usize, Place) {
        self.len += 1;
        let at = match self.has_room(at) {
            true => at,
            false => self.make_room(entry.hash.get()),
        };
        (at, self.segments[at].put(entry))
    }

    /// Whether the segment takes one more entry as it is. A store of few keys spends memory on
    /// speed, which at its size is some hundred KiB.
    fn has_room(&self, at: usize) -> bool {
        let segment = &self.segments[at];
        !(segment.is_full() || (self.len <= SPARSE_KEYS && segment.is_dense()))
    }

    /// Grows or splits the segment of `hash` until it has room for one more entry.
    #[cold]
    fn make_room(&mut self, hash: u64) -> usize {
        loop {
            let at = self.segment_of(hash);
            if self.has_room(at) {
                return at;
            }
            let segment = &mut self.segments[at];
            let buckets = segment.buckets_next();
            if segment.depth < GROUP_DEPTH && Segment::<K, S>::bytes_of(buckets) > SPLIT_BYTES {
                self.split(at);
            } else {
                self.buckets += buckets - segment.buckets();
                segment.resize(buckets);
            }
        }
    }

    /// Splits the segment in two by the next bit of the hash.
    fn split(&mut self, at: usize) {
        let depth = self.segments[at].depth;
        let segment = &mut self.segments[at];
        let bit = 1 << (u64::BITS - 1 - depth);
        self.buckets -= segment.buckets();
        let upper = segment.take_out(depth + 1, |hash| hash & bit != 0);
        segment.depth = depth + 1;
        self.buckets += upper.buckets() + segment.buckets();
        let index = u16::try_from(self.segments.len()).expect("one segment per key group at most");
        let groups = self.directory.iter_mut().filter(|of| usize::from(**of) == at);
        groups.skip(KEY_GROUPS >> (depth + 1)).for_each(|of| *of = index);
        self.segments.push(upper);
    }
}

/// A group of at most this many bytes is copied into a shared segment when it is installed.
const COPY_BYTES: usize = SPLIT_BYTES / 8;

/// A store whose keys can be looked up where they lie most likely, but not inserted. What a loop
/// needs is in locals this way; behind the store itself it would be read again for every record,
/// since the compiler cannot know that an insertion does not change it.
pub(crate) struct AtHome<'a, K, S> {
    directory: &'a [u16; KEY_GROUPS],
    segments: &'a mut [Segment<K, S>],
}

impl<K: Key, S> AtHome<'_, K, S> {
    /// As [`KeyedStore::prefetch`].
    #[inline(always)]
    pub(crate) fn prefetch(&self, hash: u64) {
        self.segments[usize::from(self.directory[key_group(hash)])].prefetch(hash);
    }

    /// The stored key equal to `key` and its state, if they lie at home.
    #[inline(always)]
    pub(crate) fn get_mut(&mut self, hash: u64, key: &K) -> Option<(&K, &mut S)> {
        let at = usize::from(self.directory[key_group(hash)]);
        let entry = self.segments[at].entry_at_home(hash, key)?;
        Some((&entry.key, &mut entry.state))
    }
}

impl<K: Key, S> Default for KeyedStore<K, S> {
    fn default() -> Self {
        KeyedStore::new()
    }
}

impl<K, S> std::fmt::Debug for KeyedStore<K, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("KeyedStore");
        debug.field("len", &self.len).field("segments", &self.segments.len()).finish()
    }
}
