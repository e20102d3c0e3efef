//! Keys and their stable hash: the same on every machine, in every version, forever.
//!
//! # Method
//! One 64 × 64 → 128 bit multiplication per word, both halves of the product folded together by
//! xor (the "mum" step of wyhash, also used by foldhash and ahash), and one more at the end, so
//! that the last word's low bits reach the top bits too:
//!
//! ```text
//! fold(a, b)     = low64(a · b) ^ high64(a · b)
//! state_0        = SEED
//! integer x      : state = fold(state ^ zero_extended(x), ROUND)          (u128: low half first)
//! bytes b_0…b_n  : state = state + n · LENGTH, then each little-endian word of 8 bytes as an
//!                  integer, the last one padded with zeros; no bytes, no word
//! hash           = fold(state, FINISH) | 1
//! ```
//! The multiplier is a constant, so that no input can zero the state for good. The constants are
//! fractional digits of π. It is no defence against keys chosen to collide.
//!
//! What a key feeds is decided by its `Hash` impl. Derived impls feed an enum's discriminant as an
//! `isize` and a string as its bytes and `0xff`. std feeds a slice of integers as the memory it
//! lies in, so that keys that hold such slices agree only between machines of the same byte order.

use std::fmt::Debug;
use std::hash::{Hash, Hasher};

/// Names the hash and its constants. Stored with state: state under another id must be re-hashed.
pub const HASH_ID: &str = "fold64-pi-1";

const SEED: u64 = 0x243f_6a88_85a3_08d3;
const ROUND: u64 = 0xbe54_66cf_34e9_0c6d;
const FINISH: u64 = 0xc0ac_29b7_c97c_50dd;
const LENGTH: u64 = 0x3f84_d5b5_b547_0917;

/// What records are grouped by. Implemented for every type that can be.
pub trait Key: Hash + Eq + Clone + Debug + Send + 'static {}

impl<K: Hash + Eq + Clone + Debug + Send + 'static> Key for K {}

/// The hash of `key`: never 0, good in its top 12 bits (the key group) and in all below but the
/// lowest, which is always 1.
///
/// The same value on every machine and in every version; about 0.5 ns for an integer.
#[inline]
pub fn hash_key<K: Hash + ?Sized>(key: &K) -> u64 {
    let mut hasher = KeyHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

/// The stable hasher behind [`hash_key`]. The file's head says what it computes.
#[derive(Clone, Debug)]
pub struct KeyHasher {
    state: u64,
}

impl KeyHasher {
    /// A hasher that has been fed nothing.
    #[inline]
    pub fn new() -> KeyHasher {
        KeyHasher { state: SEED }
    }

    #[inline]
    fn word(&mut self, word: u64) {
        self.state = fold(self.state ^ word, ROUND);
    }
}

impl Default for KeyHasher {
    fn default() -> Self {
        KeyHasher::new()
    }
}

impl Hasher for KeyHasher {
    #[inline]
    fn finish(&self) -> u64 {
        // Never 0 at the price of one instruction; the lowest bit says nothing then.
        fold(self.state, FINISH) | 1
    }

    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        self.state = self.state.wrapping_add((bytes.len() as u64).wrapping_mul(LENGTH));
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.word(u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            self.word(u64::from_le_bytes(last));
        }
    }

    #[inline]
    fn write_u8(&mut self, x: u8) {
        self.word(u64::from(x));
    }

    #[inline]
    fn write_u16(&mut self, x: u16) {
        self.word(u64::from(x));
    }

    #[inline]
    fn write_u32(&mut self, x: u32) {
        self.word(u64::from(x));
    }

    #[inline]
    fn write_u64(&mut self, x: u64) {
        self.word(x);
    }

    #[inline]
    fn write_u128(&mut self, x: u128) {
        self.word(x as u64);
        self.word((x >> 64) as u64);
    }

    #[inline]
    fn write_usize(&mut self, x: usize) {
        self.word(x as u64);
    }

    #[inline]
    fn write_i8(&mut self, x: i8) {
        self.write_u8(x as u8);
    }

    #[inline]
    fn write_i16(&mut self, x: i16) {
        self.write_u16(x as u16);
    }

    #[inline]
    fn write_i32(&mut self, x: i32) {
        self.write_u32(x as u32);
    }

    #[inline]
    fn write_i64(&mut self, x: i64) {
        self.write_u64(x as u64);
    }

    #[inline]
    fn write_i128(&mut self, x: i128) {
        self.write_u128(x as u128);
    }

    // Sign-extended first, so that a negative `isize` is the same word where it has 32 bits.
    #[inline]
    fn write_isize(&mut self, x: isize) {
        self.write_i64(x as i64);
    }
}

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Hash)]
    enum Shape {
        Point,
        Circle(u32),
        Named { name: &'static str, sides: i64 },
    }

    // From an independent implementation of the file's head, not from this one.
    #[test]
    fn golden_vectors_never_change() {
        let seen = [
            hash_key(&0u64),
            hash_key(&1u64),
            hash_key(&u64::MAX),
            hash_key(&7u8),
            hash_key(&-1i32),
            hash_key(&-1i64),
            hash_key(&-1isize),
            hash_key(&(1u128 << 64)),
            hash_key(&5usize),
            hash_key(&'x'),
            hash_key(&true),
            hash_key(""),
            hash_key("a"),
            hash_key("hello, millstream"),
            hash_key(&[1u8, 2, 3][..]),
            hash_key(&(1u32, 2u32)),
            hash_key(&("JFK", "LAX")),
            hash_key(&Shape::Point),
            hash_key(&Shape::Circle(3)),
            hash_key(&Shape::Named { name: "hex", sides: 6 }),
            hash_key(&Some(9u64)),
            hash_key(&()),
        ];
        assert_eq!(seen.map(|hash| format!("{hash:016x}")).join(" "), GOLDEN.join(" "));
    }

    const GOLDEN: [&str; 22] = [
        "8fbc0b8ef8e8eaf7",
        "9e8bf2e27c7b6019",
        "39a93d5f3fb2f30f",
        "38c7f2c9ad8d4bf5",
        "33029e520657e3d9",
        "39a93d5f3fb2f30f",
        "39a93d5f3fb2f30f",
        "2d715ce41a1d3433",
        "ccd2c7f50ff7f865",
        "04efecbd3d84a7a1",
        "9e8bf2e27c7b6019",
        "0ca3a848bd39a865",
        "2fe45392737ec277",
        "3aa3164b201894af",
        "68a1eb10033c2e73",
        "1a860bfe0941ca35",
        "1faadcf55caf6ef7",
        "8fbc0b8ef8e8eaf7",
        "9795485c7a33a8d5",
        "9b9931af4683ba59",
        "7381194552d617a5",
        "a39788336454f7d1",
    ];

    #[test]
    fn usize_hashes_as_u64_and_signed_as_its_width() {
        assert_eq!(hash_key(&5usize), hash_key(&5u64));
        assert_eq!(hash_key(&-1i32), hash_key(&u32::MAX));
        assert_ne!(hash_key(&-1i32), hash_key(&-1i64));
        assert_eq!(hash_key(&-1isize), hash_key(&-1i64));
        assert_eq!(hash_key(&String::from("ab")), hash_key("ab"));
    }

    #[test]
    fn padding_and_cuts_of_bytes_are_told_apart() {
        let keys = ["", "a", "a\0", "a\0\0", "aaaaaaa", "aaaaaaaa", "aaaaaaaa\0", "\0", "\0\0"];
        for (i, a) in keys.iter().enumerate() {
            for b in &keys[i + 1..] {
                assert_ne!(hash_key(a), hash_key(b), "{a:?} {b:?}");
            }
        }
        assert_ne!(hash_key(&("ab", "c")), hash_key(&("a", "bc")));
        assert_ne!(hash_key(&(1u64, 2u64)), hash_key(&(2u64, 1u64)));
    }

    #[test]
    fn zero_is_never_returned() {
        // A word equal to the seed makes the state 0, whose fold is 0 too.
        assert_eq!(hash_key(&SEED), 1);
    }

    #[test]
    fn one_flipped_bit_flips_every_bit_of_the_hash_half_the_time() {
        const ROUNDS: u64 = 2_000;
        let mut flips = vec![[0u32; 64]; 64];
        for round in 0..ROUNDS {
            // Consecutive and spread-out keys by turns.
            let key = if round % 2 == 0 { round } else { round.wrapping_mul(SEED | 1) };
            for (bit, row) in flips.iter_mut().enumerate() {
                let changed = hash_key(&key) ^ hash_key(&(key ^ (1 << bit)));
                for (position, count) in row.iter_mut().enumerate() {
                    *count += (changed >> position & 1) as u32;
                }
            }
        }
        for (bit, row) in flips.iter().enumerate() {
            // The lowest bit is always 1.
            for (position, &count) in row.iter().enumerate().skip(1) {
                let share = f64::from(count) / ROUNDS as f64;
                assert!((0.43..0.57).contains(&share), "bit {bit} → {position}: {share}");
            }
        }
    }

    /// Chi-squared of 4,096 cells, as standard deviations from what chance would give.
    fn deviation(hashes: impl Iterator<Item = u64>, cell: impl Fn(u64) -> usize) -> f64 {
        let mut cells = vec![0f64; 4096];
        let mut count = 0.0;
        for hash in hashes {
            cells[cell(hash)] += 1.0;
            count += 1.0;
        }
        let expected = count / 4096.0;
        let chi: f64 = cells.iter().map(|n| (n - expected) * (n - expected) / expected).sum();
        (chi - 4095.0) / (2.0 * 4095.0f64).sqrt()
    }

    #[test]
    fn structured_keys_spread_evenly_over_top_and_low_bits() {
        type Make = fn(u64) -> u64;
        let keys: [(&str, Make); 8] = [
            ("consecutive", |i| hash_key(&i)),
            ("by 4096", |i| hash_key(&(i << 12))),
            ("high half", |i| hash_key(&(i << 40))),
            ("byte swapped", |i| hash_key(&i.swap_bytes())),
            ("floats", |i| hash_key(&(i as f64).to_bits())),
            ("decimal strings", |i| hash_key(&i.to_string())),
            ("pairs", |i| hash_key(&((i % 512) as u32, (i / 512) as u32))),
            ("u32", |i| hash_key(&(i as u32))),
        ];
        for (name, hash) in keys {
            for (bits, cell) in [
                ("top", (|h| (h >> 52) as usize) as fn(u64) -> usize),
                ("below", |h| (h >> 40 & 4095) as usize),
                ("low", |h| (h >> 1 & 4095) as usize),
            ] {
                let off = deviation((0..200_000).map(hash), cell);
                assert!(off < 5.0, "{name}, {bits} bits: {off} standard deviations");
            }
        }
    }

    #[test]
    fn a_million_consecutive_keys_do_not_collide() {
        let mut hashes: Vec<u64> = (0..1_000_000u64).map(|key| hash_key(&key)).collect();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), 1_000_000);
    }
}
