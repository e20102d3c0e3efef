//! What a worker keeps of the rows that it comes to: enough for a checksum that no order changes.

use std::hash::Hash;

use millstream::connector::nexmark::result::{CategoryAverage, SellerAverage};
use millstream::record::hash_key;

/// Takes rows and gives their checksum; those of all workers add up.
pub trait Tally<R>: Default + Clone + Send + 'static {
    /// Takes a row.
    fn add(&mut self, row: R);

    /// The wrapping sum of the hashes of the rows that count.
    fn checksum(&self) -> u64;
}

/// Of a query each of whose rows counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Every(u64);

impl<R: Hash> Tally<R> for Every {
    #[inline]
    fn add(&mut self, row: R) {
        self.0 = self.0.wrapping_add(hash_key(&row));
    }

    fn checksum(&self) -> u64 {
        self.0
    }
}

/// A row that replaces the one before of the same key.
pub trait Updating: Hash + Copy + Send + 'static {
    /// Which row it replaces.
    fn key(&self) -> u64;
}

impl Updating for CategoryAverage {
    fn key(&self) -> u64 {
        self.category.into()
    }
}

impl Updating for SellerAverage {
    fn key(&self) -> u64 {
        self.seller
    }
}

/// Of an updating query: the last row of each key counts.
#[derive(Clone, Debug)]
pub struct Latest<R> {
    rows: hashbrown::HashMap<u64, R, rustc_hash::FxBuildHasher>,
}

impl<R> Default for Latest<R> {
    fn default() -> Latest<R> {
        Latest { rows: hashbrown::HashMap::default() }
    }
}

impl<R: Updating> Tally<R> for Latest<R> {
    fn add(&mut self, row: R) {
        self.rows.insert(row.key(), row);
    }

    fn checksum(&self) -> u64 {
        self.rows.values().fold(0, |sum, row| sum.wrapping_add(hash_key(row)))
    }
}
