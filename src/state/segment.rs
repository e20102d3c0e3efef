//! One open-addressing table: a run of buckets of eight slots, probed linearly.
//!
//! The home bucket of an entry is its *order* (the hash without the key group's bits) scaled to
//! the number of buckets, so any number of buckets will do, and homes ascend with the order:
//! growing and walking go through memory in one direction, and a range of orders lies in a range
//! of buckets. The key group's bits are left out because some partitioners use few groups.
//!
//! Beside its entries a bucket has a byte per slot, its *tag*: 0 for an empty slot, else the low
//! bits of the hash. The eight tags are one word and are compared at once (the method of Abseil's
//! Swiss tables, of which hashbrown is the Rust form), so that a look-up hardly ever takes a branch
//! that depends on where in the bucket a key lies.
//!
//! Invariant: every bucket between an entry's home and the bucket it lies in is full.

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

const SLOTS: usize = 8;

/// The tags of a bucket: that of slot *i* is byte *i*, the lowest first.
type Tags = u64;

/// The slots of one bucket. Begins a cache line; an entry of a u64 key and 16 bytes of state never
/// crosses one.
#[repr(align(64))]
struct Bucket<K, S>([Slot<K, S>; SLOTS]);

/// The tag of an entry with this hash. The low bits, since the home is made from high ones.
#[inline]
fn tag(hash: u64) -> u8 {
    hash as u8 | 1
}

const LOW_BITS: u64 = u64::from_ne_bytes([0x01; SLOTS]);
const ALL_BUT_HIGH_BITS: u64 = LOW_BITS * 0x7f;

/// The slots whose tag is `tag`: the high bit of each one's byte.
#[inline]
fn slots_with(tags: Tags, tag: u8) -> u64 {
    // Zero bytes of a word without a carry between bytes (Warren, Hacker's Delight, 6-1).
    let differ = tags ^ (LOW_BITS * u64::from(tag));
    !(((differ & ALL_BUT_HIGH_BITS) + ALL_BUT_HIGH_BITS) | differ | ALL_BUT_HIGH_BITS)
}

/// The lowest of `slots`, or `SLOTS` if there is none.
#[inline]
fn lowest(slots: u64) -> usize {
    (slots.trailing_zeros() / u8::BITS) as usize
}

#[inline]
fn with_tag(tags: Tags, slot: usize, tag: u8) -> Tags {
    let shift = slot as u32 * u8::BITS;
    (tags & !(0xff << shift)) | (Tags::from(tag) << shift)
}

fn is_full(tags: Tags) -> bool {
    slots_with(tags, 0) == 0
}

/// All of `slots`, lowest first.
fn each_of(mut slots: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let slot = (slots != 0).then(|| lowest(slots))?;
        slots &= slots - 1;
        Some(slot)
    })
}

/// Where an entry lies in its segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    bucket: usize,
    slot: usize,
}

/// A table of its own, for one key group or for some neighbouring ones.
pub(super) struct Segment<K, S> {
    tags: Box<[Tags]>,
    buckets: Box<[Bucket<K, S>]>,
    len: usize,
    /// How many top bits of the hash all its entries share.
    pub(super) depth: u32,
}

/// The share of the slots that may be taken, so that few buckets are full and a probe
/// always ends.
const LOAD_MAX: (usize, usize) = (4, 5);

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
        Segment { tags: Box::default(), buckets: Box::default(), len: 0, depth }
    }

    /// A segment that takes `entries` without growing.
    pub(super) fn with_room_for(entries: usize, depth: u32) -> Self {
        Self::with_buckets((entries * LOAD_MAX.1).div_ceil(SLOTS * LOAD_MAX.0), depth)
    }

    fn with_buckets(buckets: usize, depth: u32) -> Self {
        Segment {
            tags: vec![0; buckets].into(),
            buckets: (0..buckets).map(|_| Bucket([const { None }; SLOTS])).collect(),
            len: 0,
            depth,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn buckets(&self) -> usize {
        self.buckets.len()
    }

    pub(super) fn bytes_of(buckets: usize) -> usize {
        buckets * (size_of::<Bucket<K, S>>() + size_of::<Tags>())
    }

    /// How many buckets it will have after it has grown once more.
    pub(super) fn buckets_next(&self) -> usize {
        let now = self.buckets.len();
        if Self::bytes_of(now) < STEP_BYTES { (2 * now).max(1) } else { now + now / 2 }
    }

    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.len >= room_in(self.buckets.len())
    }

    /// The bucket at which the probe for a hash of this order starts.
    #[inline]
    fn home(&self, order: u64) -> usize {
        ((u128::from(order) * self.buckets.len() as u128) >> 64) as usize
    }

    #[inline]
    fn next(&self, bucket: usize) -> usize {
        if bucket + 1 < self.buckets.len() { bucket + 1 } else { 0 }
    }

    /// Asks for the tags of the home bucket of `hash`.
    #[inline]
    pub(super) fn prefetch_tags(&self, hash: u64) {
        if let Some(tags) = self.tags.get(self.home(order(hash))) {
            prefetch(tags);
        }
    }

    /// Reads the tags of the home bucket of `hash` and asks for the entry that may have it, or the
    /// slot that a new one would get.
    #[inline]
    pub(super) fn prefetch_entry(&self, hash: u64) -> Option<Place> {
        let bucket = self.home(order(hash));
        let tags = *self.tags.get(bucket)?;
        let slot = lowest(slots_with(tags, tag(hash)));
        let slot = if slot < SLOTS { slot } else { lowest(slots_with(tags, 0)) };
        prefetch(self.buckets[bucket].0.get(slot)?);
        Some(Place { bucket, slot })
    }

    /// The entry at this place, if it is that of `key`.
    #[inline]
    pub(super) fn entry_if(&mut self, at: Place, key: &K) -> Option<&mut Entry<K, S>>
    where
        K: Eq,
    {
        let slot = self.buckets.get_mut(at.bucket)?.0.get_mut(at.slot)?;
        slot.as_mut().filter(|entry| entry.key == *key)
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
            let slot = lowest(slots_with(self.tags[bucket], 0));
            if slot < SLOTS {
                self.tags[bucket] = with_tag(self.tags[bucket], slot, tag(entry.hash.get()));
                self.buckets[bucket].0[slot] = Some(entry);
                self.len += 1;
                return Place { bucket, slot };
            }
            bucket = self.next(bucket);
        }
    }

    fn take(&mut self, at: Place) -> Option<Entry<K, S>> {
        self.tags[at.bucket] = with_tag(self.tags[at.bucket], at.slot, 0);
        self.buckets[at.bucket].0[at.slot].take()
    }

    /// Moves all entries into `buckets` buckets.
    pub(super) fn resize(&mut self, buckets: usize) {
        let empty = Self::with_buckets(buckets, self.depth);
        for entry in std::mem::replace(self, empty).into_entries() {
            self.put(entry);
        }
    }

    /// Takes the entry out and closes the gap, so that the invariant holds again: an entry that
    /// could not lie in the gap's bucket when it came moves up, and leaves a gap of its own
    /// (Knuth, volume 3, 6.4, algorithm R, by buckets).
    pub(super) fn remove(&mut self, at: Place) -> Entry<K, S> {
        let mut was_full = is_full(self.tags[at.bucket]);
        let removed = self.take(at);
        self.len -= 1;
        let mut gap = at;
        let mut bucket = at.bucket;
        while was_full {
            bucket = self.next(bucket);
            was_full = is_full(self.tags[bucket]);
            let passed = |slot: &usize| self.passed(gap.bucket, bucket, *slot);
            if let Some(slot) = (0..SLOTS).find(passed) {
                let moved = self.take(Place { bucket, slot });
                let tag = moved.as_ref().map_or(0, |entry| tag(entry.hash.get()));
                self.tags[gap.bucket] = with_tag(self.tags[gap.bucket], gap.slot, tag);
                self.buckets[gap.bucket].0[gap.slot] = moved;
                gap = Place { bucket, slot };
            }
        }
        removed.expect("a place that was found is taken")
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
            for slot in each_of(slots_with(self.tags[bucket], tag(hash))) {
                let place = Place { bucket, slot };
                match self.entry(place).hash.get() == hash {
                    true if left == 0 => return Some(place),
                    same => left -= usize::from(same),
                }
            }
            if !is_full(self.tags[bucket]) {
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
            if visited >= homes && !is_full(self.tags[bucket]) {
                return;
            }
            bucket = self.next(bucket);
        }
    }
}

impl<K: Key, S> Segment<K, S> {
    /// The slot of the home bucket that holds `key`, if one does: nearly always, if the key is
    /// here at all.
    #[inline(always)]
    pub(super) fn find_at_home(&self, hash: u64, key: &K) -> Option<Place> {
        let home = self.home(order(hash));
        let slot = lowest(slots_with(*self.tags.get(home)?, tag(hash)));
        let entry = self.buckets[home].0.get(slot)?.as_ref()?;
        (entry.key == *key).then_some(Place { bucket: home, slot })
    }

    /// Where `key` lies, if it is here.
    #[inline]
    pub(super) fn find(&self, hash: u64, key: &K) -> Option<Place> {
        match self.find_at_home(hash, key) {
            Some(place) => Some(place),
            None if self.buckets.is_empty() => None,
            None => self.find_beyond(self.home(order(hash)), hash, key),
        }
    }

    /// Goes on where the home bucket is full, or holds another key with the same hash.
    #[inline(never)]
    fn find_beyond(&self, home: usize, hash: u64, key: &K) -> Option<Place> {
        let mut bucket = home;
        loop {
            for slot in each_of(slots_with(self.tags[bucket], tag(hash))) {
                let place = Place { bucket, slot };
                let entry = self.entry(place);
                if entry.hash.get() == hash && entry.key == *key {
                    return Some(place);
                }
            }
            if !is_full(self.tags[bucket]) {
                return None;
            }
            bucket = self.next(bucket);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_found_by_their_tags_lowest_first() {
        let tags = Tags::from_le_bytes([0, 1, 2, 0x80, 0xff, 1, 0, 0x81]);
        let found = |tag| each_of(slots_with(tags, tag)).collect::<Vec<_>>();
        assert_eq!(found(0), [0, 6]);
        assert_eq!(found(1), [1, 5]);
        assert_eq!(found(0x80), [3]);
        assert_eq!(found(0x81), [7]);
        assert_eq!(found(0xff), [4]);
        assert_eq!(lowest(slots_with(tags, 3)), SLOTS);
        assert!(!is_full(tags) && is_full(with_tag(with_tag(tags, 0, 9), 6, 1)));
    }

    #[test]
    fn the_tag_of_an_entry_is_never_that_of_an_empty_slot() {
        assert!((0..1000).all(|hash| tag(hash) != 0));
    }

    #[test]
    fn an_entry_of_sixteen_bytes_of_state_takes_half_a_line() {
        assert_eq!(size_of::<Bucket<u64, (u64, u64)>>(), SLOTS * 32);
    }
}
