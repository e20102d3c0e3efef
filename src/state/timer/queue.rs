//! `TimerQueue`: a hierarchical timing wheel (Varghese and Lauck, SOSP 1987) over all of time.
//!
//! *Reached* is the time up to which everything has been handed out. An entry's level is that of
//! the highest digit, of six bits each, in which its time differs from it, and its slot that digit
//! (the same rule places entries in a radix heap: Ahuja, Mehlhorn, Orlin, Tarjan, J. ACM 37, 1990).
//! So the earliest entries lie in the first slot taken of the first level taken. When the watermark
//! has passed a slot as a whole, its blocks become due as they are; when it falls into one, that
//! slot's entries are placed again, lower. An entry is thus touched two to four times, each time at
//! the end of a block, and never compared with another.
//!
//! Invariants: each entry in a slot is later than `reached`, agrees with it in all digits above
//! its level, and is not before the slot's `first`.

use crate::routing::key_group;
use crate::state::timer::block::{Blocks, Chain, ENTRIES, Entry};
use crate::time::Timestamp;

const DIGIT_BITS: u32 = 6;
const SLOTS: usize = 1 << DIGIT_BITS;
const LEVELS: usize = u64::BITS.div_ceil(DIGIT_BITS) as usize;

/// How many entries are handed out at a time, at most.
const DUE_AT_A_TIME: usize = 2 * (ENTRIES + 1);

/// Says which hashes have something due at a watermark, but not what: that lies with the keys, in
/// their state or in [`KeyTimers`](crate::state::KeyTimers).
///
/// Setting is a push onto one of a few dozen blocks; taking what is due copies whole blocks.
pub struct TimerQueue {
    reached: u64,
    slots: Box<[Slot]>,
    /// Per level, which slots hold entries: one bit each.
    taken: [u64; LEVELS],
    /// Entries at or before `reached` that have not been handed out.
    due: Chain,
    blocks: Blocks,
    len: usize,
}

struct Slot {
    chain: Chain,
    /// No entry in it is earlier.
    first: u64,
}

/// Where a slot is: its level, and its digit there.
#[derive(Clone, Copy)]
struct Place {
    level: usize,
    digit: usize,
}

impl Place {
    /// Of an entry at `time`, which is later than `reached`.
    #[inline]
    fn new(reached: u64, time: u64) -> Place {
        let level = (reached ^ time).ilog2() / DIGIT_BITS;
        let digit = (time >> (level * DIGIT_BITS)) as usize % SLOTS;
        Place { level: level as usize, digit }
    }

    #[inline]
    fn index(self) -> usize {
        self.level * SLOTS + self.digit
    }

    /// The digits below its own, all ones.
    fn below(self) -> u64 {
        (1 << (self.level as u32 * DIGIT_BITS)) - 1
    }
}

/// Unsigned order of these is the order of times.
const SIGN: u64 = 1 << (u64::BITS - 1);

fn ordered(time: Timestamp) -> u64 {
    time.as_millis() as u64 ^ SIGN
}

fn timestamp(ordered: u64) -> Timestamp {
    Timestamp::from_millis((ordered ^ SIGN) as i64)
}

impl TimerQueue {
    /// A queue without entries.
    pub fn new() -> Self {
        let slot = || Slot { chain: Chain::default(), first: u64::MAX };
        TimerQueue {
            reached: 0,
            slots: std::iter::repeat_with(slot).take(LEVELS * SLOTS).collect(),
            taken: [0; LEVELS],
            due: Chain::default(),
            blocks: Blocks::default(),
            len: 0,
        }
    }

    /// Entries that have not been handed out. Some may be of timers long deleted.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no entries.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes allocated: 16 for an entry, where there are many.
    pub fn bytes(&self) -> usize {
        self.slots.len() * size_of::<Slot>() + self.blocks.bytes()
    }

    /// Wakes `hash` when `time` is due: at once where it is in the past.
    #[inline]
    pub fn set(&mut self, time: Timestamp, hash: u64) {
        self.len += 1;
        self.put(Entry { time: ordered(time), hash });
    }

    #[inline]
    fn put(&mut self, entry: Entry) {
        if entry.time <= self.reached {
            self.due.push(entry, &mut self.blocks);
            return;
        }
        let place = Place::new(self.reached, entry.time);
        let slot = &mut self.slots[place.index()];
        slot.chain.push(entry, &mut self.blocks);
        slot.first = slot.first.min(entry.time);
        self.taken[place.level] |= 1 << place.digit;
    }

    /// Not before this time is anything due; `None` if nothing ever is.
    pub fn next_at(&self) -> Option<Timestamp> {
        if !self.due.is_empty() {
            return Some(timestamp(self.reached));
        }
        self.first_place().map(|place| timestamp(self.slots[place.index()].first))
    }

    /// Moves some of the entries due at `watermark`, each with its time and its hash, into `due`,
    /// which is empty before: one to 256, or none if no more are due. Their order does not follow
    /// their times.
    ///
    /// * `watermark` - not below the one given before.
    pub fn take_due(&mut self, watermark: Timestamp, due: &mut Vec<(Timestamp, u64)>) {
        assert!(due.is_empty(), "what was handed out before is not worked off");
        let watermark = ordered(watermark);
        while due.len() + ENTRIES <= DUE_AT_A_TIME && self.reach(watermark) {
            let Some(block) = self.due.pop_block() else { continue };
            let entries = block.entries().iter();
            due.extend(entries.map(|entry| (timestamp(entry.time), entry.hash)));
            self.blocks.give_back(block);
        }
        self.len -= due.len();
    }

    /// Goes on, by one slot at most, if nothing is at hand; `false` once `watermark` is reached.
    fn reach(&mut self, watermark: u64) -> bool {
        if !self.due.is_empty() {
            return true;
        }
        let Some(place) = self.first_place() else {
            self.reached = self.reached.max(watermark);
            return false;
        };
        let first = self.slots[place.index()].first;
        if first > watermark {
            // Never into a slot that holds entries: they would agree with it in their own digit.
            // A slot taken is not the first one of its level, so there is a time before it.
            let before = (first & !place.below()) - 1;
            self.reached = self.reached.max(watermark.min(before));
            return false;
        }
        let mut chain = self.vacate(place);
        let last = first | place.below();
        if last <= watermark {
            self.reached = last;
            self.due = chain;
            return true;
        }
        self.reached = watermark;
        while let Some(block) = chain.pop_block() {
            block.entries().iter().for_each(|entry| self.put(*entry));
            self.blocks.give_back(block);
        }
        true
    }

    /// Takes what lies in a slot.
    fn vacate(&mut self, place: Place) -> Chain {
        self.taken[place.level] &= !(1 << place.digit);
        let slot = &mut self.slots[place.index()];
        slot.first = u64::MAX;
        std::mem::take(&mut slot.chain)
    }

    /// The slot that holds the earliest entries.
    #[inline]
    fn first_place(&self) -> Option<Place> {
        let level = self.taken.iter().position(|slots| *slots != 0)?;
        Some(Place { level, digit: self.taken[level].trailing_zeros() as usize })
    }

    /// Takes everything of one key group out, in no particular order. Reads all entries.
    pub fn take_group(&mut self, group: usize) -> Vec<(Timestamp, u64)> {
        self.take_matching(|hash| key_group(hash) == group)
    }

    /// Takes everything out whose hash is wanted, in no particular order. Reads all entries.
    pub fn take_matching(&mut self, is_wanted: impl Fn(u64) -> bool) -> Vec<(Timestamp, u64)> {
        let mut taken = Vec::new();
        let mut take = |entry: Entry| taken.push((timestamp(entry.time), entry.hash));
        self.take_out(|entry| is_wanted(entry.hash), &mut take);
        taken
    }

    /// Drops the entries whose hash is not to be kept. Reads all entries.
    pub fn retain(&mut self, keep: impl Fn(u64) -> bool) {
        self.take_out(|entry| !keep(entry.hash), &mut |_| {});
    }

    fn take_out(&mut self, is_wanted: impl Fn(Entry) -> bool, out: &mut impl FnMut(Entry)) {
        let mut count = 0;
        let mut out = |entry| {
            count += 1;
            out(entry);
        };
        self.due.take_out(&is_wanted, &mut self.blocks, &mut out);
        for level in 0..LEVELS {
            let mut rest = self.taken[level];
            while rest != 0 {
                let place = Place { level, digit: rest.trailing_zeros() as usize };
                rest &= rest - 1;
                let slot = &mut self.slots[place.index()];
                slot.chain.take_out(&is_wanted, &mut self.blocks, &mut out);
                if slot.chain.is_empty() {
                    self.vacate(place);
                }
            }
        }
        self.len -= count;
    }
}

impl Default for TimerQueue {
    fn default() -> Self {
        TimerQueue::new()
    }
}

impl std::fmt::Debug for TimerQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("TimerQueue");
        debug.field("len", &self.len).field("reached", &timestamp(self.reached)).finish()
    }
}
