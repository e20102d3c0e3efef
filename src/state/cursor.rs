//! Walking a store entry by entry, with stops of any length between two of them.
//!
//! The walk takes one *scope* after the other: the run of key groups that share a segment when
//! the walk arrives. It goes through the segment's buckets in their order and writes down the
//! hashes it has met. If entries have changed their buckets between two steps, since the segment
//! has grown or split, it begins the scope anew and passes over what it has written down. So
//! whatever grows, splits, goes or comes between two steps, an entry that is there all the time is
//! met exactly once; one that comes in behind the walk may not be met.
//!
//! One exception: of distinct keys whose 64 bits of hash are all the same, one may be missed if
//! the store changes between two steps that meet them.

use std::ops::Range;

use crate::record::Key;
use crate::routing::{KEY_GROUPS, KeyedPartitioner};
use crate::state::table::KeyedStore;

/// Where a walk stands. A new one stands before the first entry.
#[derive(Clone, Debug, Default)]
pub struct Cursor {
    /// Key groups of the scope.
    scope: Range<usize>,
    /// The segment of this group is under way; the end of the scope when it is through.
    group: usize,
    /// That segment's index, and how often its entries had moved when the walk came to it.
    seen: (usize, u32),
    /// The first bucket not looked at yet.
    bucket: usize,
    /// Hashes met in this scope.
    met: Vec<u64>,
    /// The first so many of them are sorted: met before the scope was begun anew.
    passed: usize,
}

/// What a step has come to.
struct Met {
    segment: usize,
    bucket: usize,
    hash: u64,
}

impl Cursor {
    /// A walk that has not begun.
    pub fn new() -> Cursor {
        Cursor::default()
    }

    /// Stands before the segment of `group`.
    fn enter<K: Key, S, Q: KeyedPartitioner<K>>(
        &mut self,
        group: usize,
        store: &KeyedStore<K, S, Q>,
    ) {
        (self.group, self.bucket) = (group, 0);
        if group < self.scope.end {
            let at = store.segment_of_group(group);
            self.seen = (at, store.segment(at).moves);
        }
    }
}

impl<K: Key, S, Q: KeyedPartitioner<K>> KeyedStore<K, S, Q> {
    /// Steps on and returns hash, key and state of the entry met; `None` at the end of the walk.
    pub fn walk(&mut self, cursor: &mut Cursor) -> Option<(u64, &K, &mut S)> {
        let met = self.step(cursor)?;
        cursor.met.push(met.hash);
        let entry = self.segment_mut(met.segment).entry_mut(met.bucket);
        let (key, state) = entry.expect("a step comes to an entry");
        Some((met.hash, key, state))
    }

    /// Steps on and takes the entry met out of the store; `None` at the end of the walk.
    pub fn drain_next(&mut self, cursor: &mut Cursor) -> Option<(u64, K, S)> {
        let met = self.step(cursor)?;
        let entry = self.segment_mut(met.segment).remove(met.bucket);
        let (key, state) = entry.expect("a step comes to an entry");
        Some((met.hash, key, state))
    }

    fn step(&self, cursor: &mut Cursor) -> Option<Met> {
        loop {
            if cursor.group == cursor.scope.end {
                self.begin_scope(cursor)?;
            }
            let at = self.segment_of_group(cursor.group);
            let segment = self.segment(at);
            if cursor.seen != (at, segment.moves) {
                cursor.met.sort_unstable();
                cursor.passed = cursor.met.len();
                cursor.enter(cursor.scope.start, self);
                continue;
            }
            let passed = &cursor.met[..cursor.passed];
            for bucket in cursor.bucket..segment.buckets() {
                let Some((key, _)) = segment.entry(bucket) else { continue };
                let hash = self.hash(key);
                if passed.is_empty() || passed.binary_search(&hash).is_err() {
                    cursor.bucket = bucket + 1;
                    return Some(Met { segment: at, bucket, hash });
                }
            }
            cursor.enter(cursor.group + (KEY_GROUPS >> segment.depth), self);
        }
    }

    /// Goes on to the next scope; `None` at the end of the walk.
    fn begin_scope(&self, cursor: &mut Cursor) -> Option<()> {
        let group = cursor.scope.end;
        let segment = (group < KEY_GROUPS).then(|| self.segment(self.segment_of_group(group)))?;
        cursor.scope = group..group + (KEY_GROUPS >> segment.depth);
        cursor.met.clear();
        cursor.passed = 0;
        cursor.enter(group, self);
        Some(())
    }
}
