//! One open-addressing table: a run of buckets of two slots, probed linearly.
//!
//! The home bucket of an entry is its *order* (the hash without the key group's bits) scaled to
//! the number of buckets, so any number of buckets will do, and homes ascend with the order:
//! growing and walking go through memory in one direction, and a range of orders lies in a range
//! of buckets. The key group's bits are left out because some partitioners use few groups.
//!
//! A bucket of a u64 key with 16 bytes of state is one cache line, and the hash lies in the entry:
//! a look-up that finds its key at home, as nine in ten do, touches one line that was asked for
//! early, and takes no branch that depends on which of the two slots it is.
//!
//! Invariants: every bucket between an entry's home and the bucket it lies in is full; the second
//! slot of a bucket is taken only if the first is.

use std::num::NonZeroU64;
use std::ops::RangeInclusive;

use crate::record::Key;
use crate::routing::KEY_GROUPS;
use crate::state::prefetch::prefetch;

/// What lies in a slot. The hash is never 0, so an empty slot needs no flag of its own.
pub(super) struct Entry<K, S> {
    pub(super) hash: NonZeroU64,
    pub(super) key: K,
    pub(super) state: S,
}

type Slot<K, S> = Option<Entry<K, S>>;

const SLOTS: usize = 2;

/// Slots that are compared together. Begins a cache line, and is one for a u64 key with 16 bytes
/// of state.
#[repr(align(64))]
struct Bucket<K, S>([Slot<K, S>; SLOTS]);

impl<K, S> Bucket<K, S> {
    const EMPTY: Self = Bucket([const { None }; SLOTS]);

    /// 0 if the slot is empty.
    #[inline(always)]
    fn hash(&self, slot: usize) -> u64 {
        self.0[slot].as_ref().map_or(0, |entry| entry.hash.get())
    }

    fn first_empty(&self) -> Option<usize> {
        self.0.iter().position(Option::is_none)
    }

    fn is_full(&self) -> bool {
        self.0[SLOTS - 1].is_some()
    }
}

/// Where an entry lies in its segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    bucket: usize,
    slot: usize,
}

/// A table of its own, for one key group or for some neighbouring ones.
pub(super) struct Segment<K, S> {
    buckets: Box<[Bucket<K, S>]>,
    len: usize,
    /// How many top bits of the hash all its entries share.
    pub(super) depth: u32,
}

/// The share of the slots that may be taken: between this and two thirds of it, where a segment
/// grows by half, nine in ten keys lie at home.
const LOAD_MAX: (usize, usize) = (5, 8);

const fn room_in(buckets: usize) -> usize {
    buckets * SLOTS * LOAD_MAX.0 / LOAD_MAX.1
}

/// From this size on a segment grows by half and no longer doubles.
const STEP_BYTES: usize = 32 << 10;

/// The hash as the walk sorts it within a segment.
#[inline]
pub(super) const fn order(hash: u64) -> u64 {
    hash << KEY_GROUPS.trailing_zeros()
}

impl<K, S> Segment<K, S> {
    /// A segment without entries that has not allocated.
    pub(super) fn new(depth: u32) -> Self {
        Segment { buckets: Box::default(), len: 0, depth }
    }

    /// A segment that takes `entries` without growing.
    pub(super) fn with_room_for(entries: usize, depth: u32) -> Self {
        Self::with_buckets((entries * LOAD_MAX.1).div_ceil(SLOTS * LOAD_MAX.0), depth)
    }

    fn with_buckets(buckets: usize, depth: u32) -> Self {
        Segment { buckets: (0..buckets).map(|_| Bucket::EMPTY).collect(), len: 0, depth }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn buckets(&self) -> usize {
        self.buckets.len()
    }

    pub(super) fn bytes_of(buckets: usize) -> usize {
        buckets * size_of::<Bucket<K, S>>()
    }

    /// How many buckets it will have after it has grown once more.
    pub(super) fn buckets_next(&self) -> usize {
        let now = self.buckets.len();
        if Self::bytes_of(now) < STEP_BYTES { (2 * now).max(2) } else { now + now / 2 }
    }

    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.len >= room_in(self.buckets.len())
    }

    /// Whether more than one in fifty keys may lie away from home: a look-up there is a branch that
    /// was not foreseen, and costs as much as five others.
    #[inline]
    pub(super) fn is_dense(&self) -> bool {
        self.len >= self.buckets.len() * SLOTS / 4
    }

    /// The bucket at which the probe for a hash of this order starts: its upper half, scaled.
    #[inline(always)]
    fn home(&self, order: u64) -> usize {
        debug_assert!(self.buckets.len() <= u32::MAX as usize);
        (((order >> 32) * self.buckets.len() as u64) >> 32) as usize
    }

    #[inline]
    fn next(&self, bucket: usize) -> usize {
        if bucket + 1 < self.buckets.len() { bucket + 1 } else { 0 }
    }

    /// Asks for the home bucket of `hash`.
    #[inline(always)]
    pub(super) fn prefetch(&self, hash: u64) {
        if let Some(bucket) = self.buckets.get(self.home(order(hash))) {
            prefetch(bucket);
        }
    }

    #[inline]
    pub(super) fn entry(&self, at: Place) -> &Entry<K, S> {
        self.buckets[at.bucket].0[at.slot].as_ref().expect("a place that was found is taken")
    }

    #[inline]
    pub(super) fn entry_mut(&mut self, at: Place) -> &mut Entry<K, S> {
        self.buckets[at.bucket].0[at.slot].as_mut().expect("a place that was found is taken")
    }

    /// Puts an entry that is not there yet into the first empty slot from its home on. There must
    /// be room.
    pub(super) fn put(&mut self, entry: Entry<K, S>) -> Place {
        debug_assert!(!self.is_full());
        let mut bucket = self.home(order(entry.hash.get()));
        loop {
            if let Some(slot) = self.buckets[bucket].first_empty() {
                self.buckets[bucket].0[slot] = Some(entry);
                self.len += 1;
                return Place { bucket, slot };
            }
            bucket = self.next(bucket);
        }
    }

    /// Moves all entries into `buckets` buckets.
    pub(super) fn resize(&mut self, buckets: usize) {
        let empty = Self::with_buckets(buckets, self.depth);
        for entry in std::mem::replace(self, empty).into_entries() {
            self.put(entry);
        }
    }

    /// Takes the entry out and closes the gap, so that the invariants hold again: an entry that
    /// could not lie in the gap's bucket when it came moves up, and leaves a gap of its own
    /// (Knuth, volume 3, 6.4, algorithm R, by buckets).
    pub(super) fn remove(&mut self, at: Place) -> Entry<K, S> {
        let mut was_full = self.buckets[at.bucket].is_full();
        let removed = self.buckets[at.bucket].0[at.slot].take();
        self.len -= 1;
        let mut gap = self.close_up(at);
        let mut bucket = at.bucket;
        while was_full {
            bucket = self.next(bucket);
            was_full = self.buckets[bucket].is_full();
            let passed = |slot: &usize| self.passed(gap.bucket, bucket, *slot);
            if let Some(slot) = (0..SLOTS).find(passed) {
                let moved = self.buckets[bucket].0[slot].take();
                self.buckets[gap.bucket].0[gap.slot] = moved;
                gap = self.close_up(Place { bucket, slot });
            }
        }
        removed.expect("a place that was found is taken")
    }

    /// Moves a gap to the last slot of its bucket.
    fn close_up(&mut self, gap: Place) -> Place {
        self.buckets[gap.bucket].0[gap.slot..].rotate_left(1);
        let last = self.buckets[gap.bucket].first_empty().expect("there is a gap");
        Place { bucket: gap.bucket, slot: last }
    }

    /// Whether the entry in this slot came by bucket `gap` on the way from its home.
    fn passed(&self, gap: usize, bucket: usize, slot: usize) -> bool {
        let Some(entry) = &self.buckets[bucket].0[slot] else { return false };
        let home = self.home(order(entry.hash.get()));
        if gap < bucket { home <= gap || bucket < home } else { bucket < home && home <= gap }
    }

    /// All entries, in the order of their homes but for those that wrapped around.
    pub(super) fn into_entries(self) -> impl Iterator<Item = Entry<K, S>> {
        self.buckets.into_vec().into_iter().flat_map(|bucket| bucket.0.into_iter().flatten())
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry<K, S>> {
        self.buckets.iter().flat_map(|bucket| bucket.0.iter().flatten())
    }

    /// Takes out the entries that `belongs` names, into a segment of `depth`. Both get room for
    /// half as many again.
    pub(super) fn take_out(&mut self, depth: u32, belongs: impl Fn(u64) -> bool) -> Self {
        let count = self.entries().filter(|entry| belongs(entry.hash.get())).count();
        let rest = self.len - count;
        let mut taken = Self::with_room_for(count + count / 2, depth);
        let stay = Self::with_room_for(rest + rest / 2, self.depth);
        for entry in std::mem::replace(self, stay).into_entries() {
            let to = if belongs(entry.hash.get()) { &mut taken } else { &mut *self };
            to.put(entry);
        }
        taken
    }

    /// The entry with this hash that comes `nth` in the order of the probe.
    pub(super) fn find_nth(&self, hash: u64, nth: usize) -> Option<Place> {
        let mut bucket = self.home(order(hash));
        let mut left = nth;
        for _ in 0..self.buckets.len() {
            for slot in (0..SLOTS).filter(|slot| self.buckets[bucket].hash(*slot) == hash) {
                if left == 0 {
                    return Some(Place { bucket, slot });
                }
                left -= 1;
            }
            if !self.buckets[bucket].is_full() {
                return None;
            }
            bucket = self.next(bucket);
        }
        None
    }

    /// Appends the hashes of all entries whose order lies in `orders`, which is not empty.
    pub(super) fn hashes_in(&self, orders: RangeInclusive<u64>, into: &mut Vec<u64>) {
        let mut bucket = self.home(*orders.start());
        let homes = self.home(*orders.end()) - bucket + 1;
        for visited in 1..=self.buckets.len() {
            let hashes = self.buckets[bucket].0.iter().flatten().map(|entry| entry.hash.get());
            into.extend(hashes.filter(|hash| orders.contains(&order(*hash))));
            if visited >= homes && !self.buckets[bucket].is_full() {
                return;
            }
            bucket = self.next(bucket);
        }
    }
}

impl<K: Key, S> Segment<K, S> {
    /// The slot of the home bucket that holds `key`, if one does.
    #[inline(always)]
    pub(super) fn find_at_home(&self, hash: u64, key: &K) -> Option<Place> {
        let home = self.home(order(hash));
        let bucket = self.buckets.get(home)?;
        // Which of the slots it is cannot be predicted; that it is one of them can.
        let slot = usize::from(bucket.hash(0) != hash);
        let entry = bucket.0[slot].as_ref()?;
        (entry.hash.get() == hash && entry.key == *key).then_some(Place { bucket: home, slot })
    }

    /// The entry of `key`, if its home bucket holds it.
    #[inline(always)]
    pub(super) fn entry_at_home(&mut self, hash: u64, key: &K) -> Option<&mut Entry<K, S>> {
        let home = self.home(order(hash));
        let bucket = self.buckets.get_mut(home)?;
        let slot = usize::from(bucket.hash(0) != hash);
        let entry = bucket.0[slot].as_mut()?;
        (entry.hash.get() == hash && entry.key == *key).then_some(entry)
    }

    /// Where `key` lies, if it is here.
    #[inline]
    pub(super) fn find(&self, hash: u64, key: &K) -> Option<Place> {
        self.find_at_home(hash, key).or_else(|| self.find_beyond(hash, key))
    }

    /// Where `key` lies, looking at every bucket that may have it: the home bucket may be full, or
    /// hold another key with the same hash.
    #[inline]
    pub(super) fn find_beyond(&self, hash: u64, key: &K) -> Option<Place> {
        let mut at = self.home(order(hash));
        while let Some(bucket) = self.buckets.get(at) {
            let holds = |slot: &usize| {
                bucket.0[*slot].as_ref().is_some_and(|e| e.hash.get() == hash && e.key == *key)
            };
            if let Some(slot) = (0..SLOTS).find(holds) {
                return Some(Place { bucket: at, slot });
            }
            if !bucket.is_full() {
                return None;
            }
            at = self.next(at);
        }
        None
    }
}
