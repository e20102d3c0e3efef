//! Walking a store entry by entry, with stops of any length between two of them.
//!
//! The walk takes one *scope* after the other: the run of key groups that share a segment when
//! the walk arrives. Of a scope it takes one range of orders after the other: it writes down the
//! hashes in that range and looks each up when its turn comes. So whatever grows, splits, goes or
//! comes between two steps, an entry that is there all the time is met exactly once; one that
//! comes in behind the walk is not met, one that comes in ahead of it may be.
//!
//! One exception: of distinct keys whose 64 bits of hash are all the same, one may be missed or met
//! twice if the store changes between two steps that meet them.

use std::ops::Range;

use crate::record::Key;
use crate::routing::KEY_GROUPS;
use crate::state::segment::{Place, order};
use crate::state::table::KeyedStore;

/// Where a walk stands. A new one stands before the first entry.
#[derive(Clone, Debug, Default)]
pub struct Cursor {
    /// Key groups of the scope.
    scope: Range<usize>,
    /// The first order not written down yet; `None` when the scope is through.
    next_order: Option<u64>,
    /// Hashes written down, ascending.
    hashes: Vec<u64>,
    /// The hash whose turn it is.
    position: usize,
    /// How many entries of that very hash have had their turn.
    met: usize,
}

/// About so many buckets are looked through at a time.
const BUCKETS_AT_A_TIME: usize = 64;

impl Cursor {
    /// A walk that has not begun.
    pub fn new() -> Cursor {
        Cursor::default()
    }

    fn pass_hash(&mut self) {
        let passed = self.hashes[self.position];
        self.position += 1;
        if self.hashes.get(self.position) != Some(&passed) {
            self.met = 0;
        }
    }
}

impl<K: Key, S> KeyedStore<K, S> {
    /// Steps on and returns hash, key and state of the entry met; `None` at the end of the walk.
    pub fn walk(&mut self, cursor: &mut Cursor) -> Option<(u64, &K, &mut S)> {
        let (at, place) = self.step(cursor)?;
        cursor.met += 1;
        cursor.pass_hash();
        let entry = self.segment_mut(at).entry_mut(place);
        Some((entry.hash.get(), &entry.key, &mut entry.state))
    }

    /// Steps on and takes the entry met out of the store; `None` at the end of the walk.
    pub fn drain_next(&mut self, cursor: &mut Cursor) -> Option<(u64, K, S)> {
        let (at, place) = self.step(cursor)?;
        let hash = cursor.hashes[cursor.position];
        cursor.pass_hash();
        let (key, state) = self.remove_at(at, place);
        Some((hash, key, state))
    }

    /// Segment and place of the next entry.
    fn step(&self, cursor: &mut Cursor) -> Option<(usize, Place)> {
        loop {
            while let Some(&hash) = cursor.hashes.get(cursor.position) {
                let at = self.segment_of(hash);
                if let Some(place) = self.segment(at).find_nth(hash, cursor.met) {
                    return Some((at, place));
                }
                cursor.pass_hash();
            }
            if !self.write_down_more(cursor) {
                return None;
            }
        }
    }

    /// Writes the next range of orders down; `false` at the end of the walk.
    fn write_down_more(&self, cursor: &mut Cursor) -> bool {
        cursor.hashes.clear();
        (cursor.position, cursor.met) = (0, 0);
        let first = match cursor.next_order {
            Some(order) => order,
            None if cursor.scope.end == KEY_GROUPS => return false,
            None => {
                let group = cursor.scope.end;
                cursor.scope = group..group + self.groups_sharing(group);
                0
            }
        };
        let buckets = self.segments_in(cursor.scope.clone()).map(|at| self.segment(at).buckets());
        let parts = buckets.max().unwrap_or(0).div_ceil(BUCKETS_AT_A_TIME).max(1) as u64;
        let last = first.saturating_add(u64::MAX / parts);
        for at in self.segments_in(cursor.scope.clone()) {
            self.segment(at).hashes_in(first..=last, &mut cursor.hashes);
        }
        cursor.hashes.sort_unstable();
        cursor.next_order = last.checked_add(1);
        true
    }

    /// How many key groups share the segment of `group`, which is the first of them.
    fn groups_sharing(&self, group: usize) -> usize {
        KEY_GROUPS >> self.segment(self.segment_of_group(group)).depth
    }

    fn segments_in(&self, scope: Range<usize>) -> impl Iterator<Item = usize> {
        let mut group = scope.start;
        std::iter::from_fn(move || {
            let at = (group < scope.end).then(|| self.segment_of_group(group))?;
            group += self.groups_sharing(group);
            Some(at)
        })
    }
}

/// The order of a hash leaves out the bits that all hashes of a key group share.
const _: () = assert!(order(u64::MAX) == u64::MAX << 12);
