//! What was tried: a contender's options as text, `epoch=4096 hash=fold`.

use std::hash::{BuildHasher, Hash};

use hashbrown::HashMap;
use millstream::connector::generator::keyed_count_checksum;

/// Options of one run of one contender; a missing one has the contender's default.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a>(pub &'a str);

impl<'a> Options<'a> {
    /// The value of `name`.
    pub fn text(&self, name: &str) -> Option<&'a str> {
        self.0
            .split_whitespace()
            .find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name))
            .map(|(_, value)| value)
    }

    /// The value of `name` as a number.
    pub fn number(&self, name: &str, default: usize) -> usize {
        self.text(name).and_then(|value| value.parse().ok()).unwrap_or(default)
    }

    /// Whether `name` has `value`.
    pub fn is(&self, name: &str, value: &str) -> bool {
        self.text(name) == Some(value)
    }
}

/// Count and sum per key, as all peers keep them.
pub type Table<S> = HashMap<u64, (u64, u64), S>;

/// Counts one record.
#[inline]
pub fn count<S: BuildHasher>(table: &mut Table<S>, key: u64, value: u64) {
    merge(table, key, (1, value));
}

/// Adds `partial`, a count and a sum.
#[inline]
pub fn merge<S: BuildHasher>(table: &mut Table<S>, key: u64, partial: (u64, u64)) {
    let state = table.entry(key).or_insert((0, 0));
    state.0 += partial.0;
    state.1 += partial.1;
}

/// The checksum of what `table` holds.
pub fn checksum<S>(table: &Table<S>) -> u64
where
    u64: Hash,
{
    keyed_count_checksum(table.iter().map(|(&key, &(count, sum))| (key, count, sum)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_by_name() {
        let options = Options("epoch=16384 hash=fx");
        assert_eq!(options.number("epoch", 1), 16384);
        assert_eq!(options.number("lag", 7), 7);
        assert!(options.is("hash", "fx"));
        assert!(!options.is("epoch", "fx"));
    }
}
