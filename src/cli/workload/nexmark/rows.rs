//! What the rows of a query come to.

use std::hash::Hash;

use crate::cli::workload::gather::Answer;
use crate::record::{Key, hash_key};
use crate::state::{Cursor, KeyedStore};

/// The rows that count, of a partition or of all.
pub(super) struct Rows<R> {
    pub(super) count: u64,
    /// The wrapping sum of their hashes.
    pub(super) checksum: u64,
    /// The rows themselves, where they are kept.
    pub(super) kept: Vec<R>,
}

impl<R> Default for Rows<R> {
    fn default() -> Rows<R> {
        Rows { count: 0, checksum: 0, kept: Vec::new() }
    }
}

impl<R: Hash> Rows<R> {
    #[inline]
    fn count(&mut self, row: &R) {
        self.count += 1;
        self.checksum = self.checksum.wrapping_add(hash_key(row));
    }
}

/// Of a query each of whose rows counts.
pub(super) struct Every<R> {
    keeps: bool,
    rows: Rows<R>,
}

impl<R> Every<R> {
    pub(super) fn new(keeps: bool) -> Every<R> {
        Every { keeps, rows: Rows::default() }
    }
}

impl<R: Hash + Send + 'static> Answer for Every<R> {
    type Row = R;
    type Whole = Rows<R>;

    #[inline]
    fn take(&mut self, row: R) {
        self.rows.count(&row);
        if self.keeps {
            self.rows.kept.push(row);
        }
    }

    fn finish(mut self, whole: &mut Rows<R>) {
        whole.count += self.rows.count;
        whole.checksum = whole.checksum.wrapping_add(self.rows.checksum);
        whole.kept.append(&mut self.rows.kept);
    }
}

/// Of an updating query: the last row of each key counts. A key's rows come from one partition.
pub(super) struct Latest<K, R> {
    key: fn(&R) -> K,
    keeps: bool,
    rows: KeyedStore<K, Option<R>>,
}

impl<K: Key, R> Latest<K, R> {
    pub(super) fn new(key: fn(&R) -> K, keeps: bool) -> Latest<K, R> {
        Latest { key, keeps, rows: KeyedStore::new() }
    }
}

impl<K: Key, R: Hash + Send + 'static> Answer for Latest<K, R> {
    type Row = R;
    type Whole = Rows<R>;

    fn take(&mut self, row: R) {
        let key = (self.key)(&row);
        *self.rows.get_or_insert(hash_key(&key), key) = Some(row);
    }

    fn finish(mut self, whole: &mut Rows<R>) {
        let mut cursor = Cursor::new();
        while let Some((_, _, row)) = self.rows.walk(&mut cursor) {
            let Some(row) = row.take() else { continue };
            whole.count(&row);
            if self.keeps {
                whole.kept.push(row);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole<A: Answer<Row = (u64, char), Whole = Rows<(u64, char)>>>(
        new: impl Fn() -> A,
        parts: [&[(u64, char)]; 2],
    ) -> (u64, u64, Vec<(u64, char)>) {
        let mut whole = Rows::default();
        for part in parts {
            let mut answer = new();
            part.iter().for_each(|row| answer.take(*row));
            answer.finish(&mut whole);
        }
        whole.kept.sort_unstable();
        (whole.count, whole.checksum, whole.kept)
    }

    fn sum(rows: &[(u64, char)]) -> u64 {
        rows.iter().map(hash_key).fold(0, u64::wrapping_add)
    }

    const PARTS: [&[(u64, char)]; 2] = [&[(1, 'a'), (2, 'b'), (1, 'c')], &[(3, 'd')]];

    #[test]
    fn every_row_counts_or_the_last_of_each_key() {
        let all = vec![(1, 'a'), (1, 'c'), (2, 'b'), (3, 'd')];
        assert_eq!(whole(|| Every::new(false), PARTS), (4, sum(&all), vec![]));
        assert_eq!(whole(|| Every::new(true), PARTS), (4, sum(&all), all));
        let last = vec![(1, 'c'), (2, 'b'), (3, 'd')];
        let latest = |keeps| whole(move || Latest::new(|row: &(u64, char)| row.0, keeps), PARTS);
        assert_eq!(latest(false), (3, sum(&last), vec![]));
        assert_eq!(latest(true), (3, sum(&last), last));
    }
}
