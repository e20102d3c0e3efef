//! One open-addressing table: a run of slots, probed linearly.
//!
//! The home of an entry is its *order* (the hash without the key group's bits) scaled to the
//! number of slots, so any number of slots will do, and homes ascend with the order: growing and
//! walking go through memory in one direction, and a range of orders lies in a range of slots.
//! The key group's bits are left out because some partitioners use few groups.

use std::num::NonZeroU64;

use crate::record::Key;
use crate::routing::KEY_GROUPS;

/// What lies in a slot. The hash is never 0, so an empty slot needs no flag of its own.
pub(super) struct Entry<K, S> {
    pub(super) hash: NonZeroU64,
    pub(super) key: K,
    pub(super) state: S,
}

type Slot<K, S> = Option<Entry<K, S>>;

/// A table of its own, for one key group or for some neighbouring ones.
pub(super) struct Segment<K, S> {
    slots: Box<[Slot<K, S>]>,
    len: usize,
    /// How many top bits of the hash all its entries share.
    pub(super) depth: u32,
}

const SLOTS_MIN: usize = 8;

/// The hash as the walk sorts it within a segment.
#[inline]
pub(super) const fn order(hash: u64) -> u64 {
    hash << KEY_GROUPS.trailing_zeros()
}

impl<K, S> Segment<K, S> {
    /// A segment without entries that has not allocated.
    pub(super) fn new(depth: u32) -> Self {
        Segment { slots: Box::default(), len: 0, depth }
    }

    /// A segment for one key group that takes `entries` without growing.
    pub(super) fn of_group(entries: usize) -> Self {
        Self::with_room_for(entries, KEY_GROUPS.trailing_zeros())
    }

    /// A segment that takes `entries` without growing.
    pub(super) fn with_room_for(entries: usize, depth: u32) -> Self {
        Self::with_slots(Self::slots_for(entries), depth)
    }

    fn with_slots(slots: usize, depth: u32) -> Self {
        Segment { slots: (0..slots).map(|_| None).collect(), len: 0, depth }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn slots(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn bytes_of(slots: usize) -> usize {
        slots * size_of::<Slot<K, S>>()
    }

    /// The most entries in so many slots. Below 1, so that a probe always meets an empty slot.
    #[inline]
    fn room_in(slots: usize) -> usize {
        slots - slots / LOAD_GAP
    }

    fn slots_for(entries: usize) -> usize {
        match entries {
            0 => 0,
            _ => (entries + entries / (LOAD_GAP - 1) + 1).next_multiple_of(SLOTS_MIN),
        }
    }

    /// How many slots it will have after it has grown once more.
    pub(super) fn slots_next(&self) -> usize {
        let now = self.slots.len();
        let step = if Self::bytes_of(now) < STEP_BYTES { now } else { now / 2 };
        (now + step).next_multiple_of(SLOTS_MIN).max(SLOTS_MIN)
    }

    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.len >= Self::room_in(self.slots.len())
    }

    /// The slot at which the probe for `hash` starts; 0 in a segment without slots.
    #[inline]
    pub(super) fn home(&self, order: u64) -> usize {
        ((u128::from(order) * self.slots.len() as u128) >> 64) as usize
    }

    /// The slot at this index, if there is one.
    #[inline]
    pub(super) fn slot(&self, index: usize) -> Option<&Slot<K, S>> {
        self.slots.get(index)
    }

    #[inline]
    pub(super) fn next(&self, index: usize) -> usize {
        if index + 1 < self.slots.len() { index + 1 } else { 0 }
    }

    #[inline]
    pub(super) fn entry_mut(&mut self, index: usize) -> &mut Entry<K, S> {
        self.slots[index].as_mut().expect("a found slot holds an entry")
    }

    /// Puts an entry that is not there yet into the first empty slot from its home on. There must
    /// be one.
    pub(super) fn place(&mut self, entry: Entry<K, S>) -> usize {
        let mut index = self.home(order(entry.hash.get()));
        while self.slots[index].is_some() {
            index = self.next(index);
        }
        self.place_at(index, entry);
        index
    }

    /// Puts an entry into the empty slot at which its probe ended.
    #[inline]
    pub(super) fn place_at(&mut self, index: usize, entry: Entry<K, S>) {
        debug_assert!(self.slots[index].is_none() && self.len + 1 < self.slots.len());
        self.slots[index] = Some(entry);
        self.len += 1;
    }

    /// Moves all entries into `slots` slots.
    pub(super) fn resize(&mut self, slots: usize) {
        let depth = self.depth;
        let old = std::mem::replace(self, Self::with_slots(slots, depth));
        old.into_entries().for_each(|entry| {
            self.place(entry);
        });
    }

    /// Takes the entry out and closes the gap: entries behind it move up as long as that brings
    /// them no further than their home (Knuth, volume 3, 6.4, algorithm R).
    pub(super) fn remove(&mut self, index: usize) -> Entry<K, S> {
        let removed = self.slots[index].take().expect("a found slot holds an entry");
        self.len -= 1;
        let mut gap = index;
        let mut index = self.next(index);
        while let Some(entry) = &self.slots[index] {
            let home = self.home(order(entry.hash.get()));
            let between =
                if gap < index { gap < home && home <= index } else { gap < home || home <= index };
            if !between {
                self.slots[gap] = self.slots[index].take();
                gap = index;
            }
            index = self.next(index);
        }
        removed
    }

    /// All entries, those of one home in the order of their probes: what wrapped around to the
    /// front comes last.
    pub(super) fn into_entries(mut self) -> impl Iterator<Item = Entry<K, S>> {
        let wrapped = self.slots.iter().position(Option::is_none).unwrap_or(0);
        let front: Vec<_> = self.slots[..wrapped].iter_mut().map(Option::take).collect();
        self.slots.into_vec().into_iter().chain(front).flatten()
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry<K, S>> {
        self.slots.iter().flatten()
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
            to.place(entry);
        }
        taken
    }

    /// The index of the entry with this hash that comes `nth` in probe order.
    pub(super) fn find_nth(&self, hash: u64, nth: usize) -> Option<usize> {
        let mut index = self.home(order(hash));
        let mut left = nth;
        while let Some(entry) = self.slots.get(index)?.as_ref() {
            match left.checked_sub(usize::from(entry.hash.get() == hash)) {
                Some(fewer) => left = fewer,
                None => return Some(index),
            }
            index = self.next(index);
        }
        None
    }

    /// Appends the hashes of all entries whose order lies in `orders`, which is not empty.
    pub(super) fn hashes_in(&self, orders: std::ops::RangeInclusive<u64>, into: &mut Vec<u64>) {
        if self.len == 0 {
            return;
        }
        let (first, last) = (self.home(*orders.start()), self.home(*orders.end()));
        let mut index = first;
        for visited in 0..self.slots.len() {
            match &self.slots[index] {
                Some(entry) if orders.contains(&order(entry.hash.get())) => {
                    into.push(entry.hash.get());
                }
                None if visited >= last - first => return,
                _ => {}
            }
            index = self.next(index);
        }
    }
}

impl<K: Key, S> Segment<K, S> {
    /// The slot that holds `key`, or where the probe for it ended: an empty slot, or no slot in a
    /// segment that has none.
    #[inline]
    pub(super) fn find(&self, hash: u64, key: &K) -> Result<usize, usize> {
        let mut index = self.home(order(hash));
        loop {
            match self.slots.get(index) {
                Some(Some(entry)) if entry.hash.get() == hash && entry.key == *key => {
                    return Ok(index);
                }
                Some(Some(_)) => index += 1,
                Some(None) => return Err(index),
                None if self.slots.is_empty() => return Err(0),
                None => index = 0,
            }
        }
    }
}

/// One slot in so many stays empty.
const LOAD_GAP: usize = 5;
/// From this size on a segment grows by half and no longer doubles.
const STEP_BYTES: usize = 32 << 10;
