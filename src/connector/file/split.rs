//! How a file is cut into splits and how splits are dealt out. Pure arithmetic.
//!
//! A split is a byte range. A record belongs to the split that its first byte lies in, so a split
//! begins after the first newline at or behind the byte before its start, and ends with the record
//! that begins before its end.

use std::ops::Range;

/// The shortest split of a file that has several: long enough that a read costs little per byte,
/// short enough that a small file keeps every partition busy and that a partition's buffer stays in
/// its second-level cache.
const SPLIT_BYTES_MIN: u64 = 64 * 1_024;

/// The longest split. The splits that are read at one time stand this close together in a
/// time-sorted file.
const SPLIT_BYTES_MAX: u64 = 1_024 * 1_024;

/// Large files get longer splits, so that the table of line counts stays short.
const SPLITS_WANTED: u64 = 16_384;

/// The splits of one file: all of `split_bytes` but the last, which may be shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Splits {
    file_bytes: u64,
    split_bytes: u64,
}

impl Splits {
    /// Splits for a file of `file_bytes`, of a length that suits it.
    pub(super) fn of(file_bytes: u64) -> Splits {
        let split_bytes = (file_bytes / SPLITS_WANTED).clamp(SPLIT_BYTES_MIN, SPLIT_BYTES_MAX);
        Splits { file_bytes, split_bytes }
    }

    /// One split for the whole file; none if it is empty.
    pub(super) fn whole(file_bytes: u64) -> Splits {
        Splits { file_bytes, split_bytes: file_bytes.max(1) }
    }

    /// Splits of a given length, at least 1.
    pub(super) fn with_bytes(file_bytes: u64, split_bytes: u64) -> Splits {
        Splits { file_bytes, split_bytes: split_bytes.max(1) }
    }

    /// Length of the file.
    pub(super) fn file_bytes(self) -> u64 {
        self.file_bytes
    }

    /// How many there are.
    pub(super) fn count(self) -> usize {
        self.file_bytes.div_ceil(self.split_bytes) as usize
    }

    /// The bytes of split `index`, `0..count()`.
    pub(super) fn range(self, index: usize) -> Range<u64> {
        let start = index as u64 * self.split_bytes;
        start..(start + self.split_bytes).min(self.file_bytes)
    }
}

/// The splits of one partition: of all splits, in the order of the files and within them, split `i`
/// is dealt to partition `i % partitions`.
#[derive(Clone, Debug)]
pub(super) struct Deal {
    file: usize,
    split: usize,
    partitions: usize,
}

impl Deal {
    pub(super) fn to(partition: usize, partitions: usize) -> Deal {
        Deal { file: 0, split: partition, partitions }
    }

    /// The next split as (index of the file, index of the split in it), or `None` at the end.
    /// `count_of` tells how many splits a file has, `None` behind the last file.
    pub(super) fn next(
        &mut self,
        count_of: impl Fn(usize) -> Option<usize>,
    ) -> Option<(usize, usize)> {
        loop {
            let count = count_of(self.file)?;
            if self.split < count {
                let dealt = (self.file, self.split);
                self.split += self.partitions;
                return Some(dealt);
            }
            self.split -= count;
            self.file += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_cover_the_file_without_gap_or_overlap() {
        for (file_bytes, split_bytes) in [(0, 4), (1, 4), (4, 4), (5, 4), (4_001, 1_000), (9, 1)] {
            let splits = Splits::with_bytes(file_bytes, split_bytes);
            let mut at = 0;
            for index in 0..splits.count() {
                let range = splits.range(index);
                assert_eq!(range.start, at);
                assert!(range.end > at && range.end - at <= split_bytes);
                at = range.end;
            }
            assert_eq!(at, file_bytes);
        }
    }

    #[test]
    fn length_of_a_split_suits_the_file() {
        assert_eq!(Splits::of(0).count(), 0);
        assert_eq!(Splits::of(1).count(), 1);
        assert_eq!(Splits::of(3_500_000).range(0), 0..65_536);
        assert_eq!(Splits::of(1 << 40).range(1), 1 << 20..2 << 20);
        assert_eq!(Splits::whole(0).count(), 0);
        assert_eq!(Splits::whole(1 << 40).count(), 1);
    }

    #[test]
    fn splits_are_dealt_round_robin_across_files() {
        let counts = [3, 0, 1, 4];
        let dealt = |partition| {
            let mut deal = Deal::to(partition, 3);
            let next = || deal.next(|file| counts.get(file).copied());
            std::iter::from_fn(next).collect::<Vec<_>>()
        };
        assert_eq!(dealt(0), [(0, 0), (2, 0), (3, 2)]);
        assert_eq!(dealt(1), [(0, 1), (3, 0), (3, 3)]);
        assert_eq!(dealt(2), [(0, 2), (3, 1)]);
    }
}
