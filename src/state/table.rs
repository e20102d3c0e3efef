//! `KeyedStore`: the state of one partition, a directory of segments by hash prefix.

use hashbrown::HashTable;

use crate::record::Key;
use crate::routing::{Hashed, KEY_GROUPS, KeyedPartitioner, key_group};
use crate::state::group::{Group, Run};
use crate::state::segment::Segment;

/// State by key, addressed by the hash that records carry. The folder's README says how it lies
/// in memory and why.
///
/// The hash that comes with a key is always that of the store's partitioner, which is asked again
/// when keys move. [`Hashed`]'s is [`hash_key`](crate::record::hash_key)'s.
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
pub struct KeyedStore<K, S, Q = Hashed> {
    /// `directory[key group]` is an index into `segments`. Always of full length: a look-up then
    /// needs no bounds check and no shift of its own, for 8 KiB.
    directory: Box<[u16; KEY_GROUPS]>,
    segments: Vec<Segment<K, S>>,
    partitioner: Q,
}

const GROUP_DEPTH: u32 = KEY_GROUPS.trailing_zeros();

/// The only segment of a store splits before it grows beyond this many bytes: 100,000 keys that
/// count are found without the directory.
const SINGLE_BYTES: usize = 4 << 20;

/// A store of at most this many bytes is taken to lie in a core's own caches.
const NEAR_BYTES: usize = 512 << 10;

/// One of many, if it has several key groups, does so before it grows beyond this many bytes.
const SPLIT_BYTES: usize = 128 << 10;

/// A group of at most this many bytes is copied into a shared segment when it is installed.
const COPY_BYTES: usize = 4 << 10;

impl<K: Key, S> KeyedStore<K, S> {
    /// A store without entries, for keys under their own hash.
    pub fn new() -> Self {
        KeyedStore::with_partitioner(Hashed)
    }
}

impl<K: Key, S, Q: KeyedPartitioner<K>> KeyedStore<K, S, Q> {
    /// A store without entries, for keys under the hash of `partitioner`.
    pub fn with_partitioner(partitioner: Q) -> Self {
        KeyedStore {
            directory: Box::new([0; KEY_GROUPS]),
            segments: vec![Segment::new(0)],
            partitioner,
        }
    }

    /// Asks `partitioner` from now on, which gives every key that is here the hash that it has;
    /// returns the one that was asked before.
    pub(crate) fn set_partitioner(&mut self, partitioner: Q) -> Q {
        std::mem::replace(&mut self.partitioner, partitioner)
    }

    /// How many keys it holds. Adds up at most 4,096 numbers.
    pub fn len(&self) -> usize {
        self.segments.iter().map(Segment::len).sum()
    }

    /// Whether it holds no key.
    pub fn is_empty(&self) -> bool {
        self.segments.iter().all(|segment| segment.len() == 0)
    }

    /// Bytes it has allocated, without what keys and states own on the heap. Adds up at most
    /// 4,096 numbers.
    pub fn bytes(&self) -> usize {
        self.segments.iter().map(Segment::bytes).sum::<usize>()
            + size_of_val(&*self.directory)
            + self.segments.capacity() * size_of::<Segment<K, S>>()
    }

    /// The state of `key`, if there is one.
    #[inline]
    pub fn get(&self, hash: u64, key: &K) -> Option<&S> {
        let (_, state) = self.segments[self.segment_of(hash)].get(hash, key)?;
        Some(state)
    }

    /// The state of `key`, if there is one.
    #[inline]
    pub fn get_mut(&mut self, hash: u64, key: &K) -> Option<&mut S> {
        let at = self.segment_of(hash);
        let (_, state) = self.segments[at].get_mut(hash, key)?;
        Some(state)
    }

    /// The parts that a loop over look-ups reads, as one borrow: see [`View`].
    #[inline(always)]
    pub(crate) fn view(&mut self) -> View<'_, K, S> {
        View { directory: &self.directory, segments: &mut self.segments }
    }

    /// Whether all keys lie in one segment.
    pub(crate) fn is_single(&self) -> bool {
        self.segments.len() == 1
    }

    /// The state of `key`, the default one if it had none.
    #[inline]
    pub fn get_or_insert(&mut self, hash: u64, key: K) -> &mut S
    where
        S: Default,
    {
        self.entry(hash, key).1
    }

    /// The stored key equal to `key` and its state, the default one if it had none.
    #[inline]
    pub fn entry(&mut self, hash: u64, key: K) -> (&K, &mut S)
    where
        S: Default,
    {
        let at = self.segment_of(hash);
        match self.segments[at].find(hash, &key) {
            Some(bucket) => {
                let (key, state) = self.segments[at].entry_mut(bucket).expect("was found there");
                (key, state)
            }
            None => self.insert_new(hash, key),
        }
    }

    /// Puts a key that is not there yet in with its default state. Out of line, so that an update
    /// stays short; the state is made in here, since one that came through memory in parts and went
    /// on in other parts would wait for all stores before it.
    #[inline(never)]
    pub(crate) fn insert_new(&mut self, hash: u64, key: K) -> (&K, &mut S)
    where
        S: Default,
    {
        let at = self.segment_with_room(hash);
        let (key, state) = self.segments[at].insert(hash, (key, S::default()), &self.partitioner);
        (key, state)
    }

    /// Where the `nth` key of this hash lies, if there are as many; keys of one hash have no order,
    /// but keep it while nothing comes or goes.
    #[inline]
    pub(crate) fn find_hash(&self, hash: u64, nth: usize) -> Option<Place> {
        let segment = self.segment_of(hash);
        let bucket = self.segments[segment].find_hash(hash, nth, &self.partitioner)?;
        Some(Place { segment, bucket })
    }

    /// Reads the first entry of this hash, if there is one, so that it is near when it is asked
    /// for: reads that do not hang on each other wait for memory together.
    #[inline]
    pub(crate) fn touch(&self, hash: u64) {
        std::hint::black_box(self.find_hash(hash, 0).is_some());
    }

    /// Whether it is too large for the nearest caches.
    pub(crate) fn is_far(&self) -> bool {
        !self.is_single() || self.segments[0].bytes() > NEAR_BYTES
    }

    /// The entry at a place found since the last change.
    #[inline]
    pub(crate) fn at(&mut self, place: Place) -> (&K, &mut S) {
        let entry = self.segments[place.segment].entry_mut(place.bucket);
        let (key, state) = entry.expect("it was found there");
        (key, state)
    }

    /// Drops what is spent where a key of this hash would find no room, so that the place of keys
    /// that come and go is used again. Goes through a segment at most once for each time that it
    /// fills up.
    #[inline]
    pub(crate) fn make_way(&mut self, hash: u64, is_spent: impl Fn(&S) -> bool) {
        let at = self.segment_of(hash);
        if self.segments[at].is_full() {
            self.segments[at].drop_spent(is_spent);
        }
    }

    /// Takes `key` and its state out.
    pub fn remove(&mut self, hash: u64, key: &K) -> Option<(K, S)> {
        let at = self.segment_of(hash);
        let bucket = self.segments[at].find(hash, key)?;
        self.segments[at].remove(bucket)
    }

    /// How many keys of `group` it holds.
    pub fn group_len(&self, group: usize) -> usize {
        let segment = &self.segments[self.segment_of_group(group)];
        if segment.depth == GROUP_DEPTH {
            return segment.len();
        }
        let belongs = |key: &K| key_group(self.partitioner.hash(key)) == group;
        segment.entries().filter(|(key, _)| belongs(key)).count()
    }

    /// Takes everything of `group` out. Where the group has a segment of its own that hands over
    /// a pointer; where it shares one, which is small then, its entries are copied.
    pub fn take_group(&mut self, group: usize) -> Group<K, S> {
        let run = self.take_groups([group]).pop().expect("one group is one run");
        Group { index: group, table: run.table }
    }

    /// Takes everything of these groups out, which ascend. Neighbours that have a segment to
    /// themselves are handed over by one pointer.
    pub(crate) fn take_groups(
        &mut self,
        groups: impl IntoIterator<Item = usize>,
    ) -> Vec<Run<K, S>> {
        let mut groups = groups.into_iter().peekable();
        let mut runs = Vec::new();
        while let Some(first) = groups.peek().copied() {
            let at = self.small_segment_of_group(first);
            let segment = &mut self.segments[at];
            let depth = segment.depth;
            let span = KEY_GROUPS >> depth;
            let begin = first & !(span - 1);
            let taken: Vec<usize> =
                std::iter::from_fn(|| groups.next_if(|group| *group < begin + span)).collect();
            if taken.len() == span {
                runs.push(Run { first: begin, depth, table: segment.replace(HashTable::new()) });
                continue;
            }
            let tables = segment.take_out(&self.partitioner, &taken).into_iter();
            let alone = |(first, table)| Run { first, depth: GROUP_DEPTH, table };
            runs.extend(taken.into_iter().zip(tables).map(alone));
        }
        runs
    }

    /// Puts a key in that is not there, with its state.
    pub(crate) fn put_in(&mut self, entry: (K, S)) {
        let hash = self.partitioner.hash(&entry.0);
        debug_assert!(self.get(hash, &entry.0).is_none(), "key {:?} comes twice", entry.0);
        let at = self.segment_with_room(hash);
        self.segments[at].insert(hash, entry, &self.partitioner);
    }

    /// Takes all keys of this hash out, nearly always one.
    pub(crate) fn take_hash(&mut self, hash: u64) -> Vec<(K, S)> {
        let mut taken = Vec::new();
        while let Some(place) = self.find_hash(hash, 0) {
            taken.extend(self.segments[place.segment].remove(place.bucket));
        }
        taken
    }

    /// Installs what [`take_group`](Self::take_group) took, here or from another store of the same
    /// partitioner.
    ///
    /// # Panics
    /// If the store already holds keys of that group: a group has one owner.
    pub fn install_group(&mut self, group: Group<K, S>) {
        let held = self.group_len(group.index);
        assert_eq!(held, 0, "key group {} is installed over {held} keys of its own", group.index);
        self.put_run(Run { first: group.index, depth: GROUP_DEPTH, table: group.table });
    }

    /// Puts a run in of which other keys may be here already. Large ones by pointer, where the
    /// segment has nothing.
    pub(crate) fn put_run(&mut self, run: Run<K, S>) {
        if run.table.is_empty() {
            return;
        }
        let is_small = run.table.allocation_size() <= COPY_BYTES;
        loop {
            let at = self.small_segment_of_group(run.first);
            let segment = &mut self.segments[at];
            if segment.depth > run.depth {
                let levels = segment.depth - run.depth;
                return run.split(levels, &self.partitioner).for_each(|part| self.put_run(part));
            }
            if is_small && (segment.depth < run.depth || segment.len() > 0) {
                return run.table.into_iter().for_each(|entry| self.put_in(entry));
            }
            if segment.depth == run.depth {
                let own = segment.replace(run.table);
                return own.into_iter().for_each(|entry| self.put_in(entry));
            }
            let levels = run.depth - segment.depth;
            self.split(at, levels);
        }
    }

    /// The segment of `group`, which is not searched for it before it is small.
    fn small_segment_of_group(&mut self, group: usize) -> usize {
        let at = self.segment_of_group(group);
        if self.is_single() && self.segments[at].bytes() > SPLIT_BYTES {
            self.split(at, GROUP_DEPTH);
        }
        self.segment_of_group(group)
    }

    pub(super) fn hash(&self, key: &K) -> u64 {
        self.partitioner.hash(key)
    }

    #[inline]
    fn segment_of(&self, hash: u64) -> usize {
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

    /// The segment of `hash`, with room for one more entry.
    #[inline]
    fn segment_with_room(&mut self, hash: u64) -> usize {
        let at = self.segment_of(hash);
        if self.segments[at].is_full() { self.make_room(hash) } else { at }
    }

    /// Grows or splits the segment of `hash` until it has room for one more entry.
    #[cold]
    fn make_room(&mut self, hash: u64) -> usize {
        loop {
            let bytes_max = if self.is_single() { SINGLE_BYTES } else { SPLIT_BYTES };
            let at = self.segment_of(hash);
            let segment = &mut self.segments[at];
            if !segment.is_full() {
                return at;
            }
            let levels = GROUP_DEPTH - segment.depth;
            if levels > 0 && segment.bytes_grown() > bytes_max {
                self.split(at, levels);
            } else {
                segment.grow(&self.partitioner);
            }
        }
    }

    /// Splits the segment by the next bits of the hash, at most so many, into as many parts as make
    /// them small: two, unless it was the only one.
    fn split(&mut self, at: usize, levels_max: u32) {
        let segment = &mut self.segments[at];
        let parts = (2 * segment.bytes()).div_ceil(SPLIT_BYTES).next_power_of_two();
        let levels = parts.ilog2().clamp(1, levels_max);
        let others = segment.split(levels, &self.partitioner);
        let groups_each = KEY_GROUPS >> segment.depth;
        let entries = self.directory.iter_mut().filter(|of| usize::from(**of) == at);
        for (nth, entry) in entries.enumerate().skip(groups_each) {
            let index = self.segments.len() + nth / groups_each - 1;
            *entry = u16::try_from(index).expect("one segment per key group at most");
        }
        self.segments.extend(others);
    }
}

/// Where an entry lies, until one comes or goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    segment: usize,
    bucket: usize,
}

/// A store whose keys can be looked up, but not inserted. What a loop needs is in locals this way;
/// behind the store itself it would be read again for every record, since the compiler cannot
/// know that writing to a state does not change it.
pub(crate) struct View<'a, K, S> {
    directory: &'a [u16; KEY_GROUPS],
    segments: &'a mut [Segment<K, S>],
}

impl<K: Key, S> View<'_, K, S> {
    /// The stored key equal to `key` and its state, if there is one.
    ///
    /// * `SINGLE` - all keys lie in one segment.
    #[inline(always)]
    pub(crate) fn get_mut<const SINGLE: bool>(
        &mut self,
        hash: u64,
        key: &K,
    ) -> Option<(&K, &mut S)> {
        let at = if SINGLE { 0 } else { usize::from(self.directory[key_group(hash)]) };
        let (key, state) = self.segments[at].get_mut(hash, key)?;
        Some((key, state))
    }
}

impl<K: Key, S, Q: KeyedPartitioner<K> + Default> Default for KeyedStore<K, S, Q> {
    fn default() -> Self {
        KeyedStore::with_partitioner(Q::default())
    }
}

impl<K, S, Q> std::fmt::Debug for KeyedStore<K, S, Q> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let len: usize = self.segments.iter().map(Segment::len).sum();
        let mut debug = f.debug_struct("KeyedStore");
        debug.field("len", &len).field("segments", &self.segments.len()).finish()
    }
}
