//! `generator`: records that are a pure function of their index, dealt to partitions in blocks.
//!
//! Record *i* depends on nothing but *i* (and a seed), and partition *p* of *P* makes the blocks
//! *b* with *b* mod *P* = *p* of [`BLOCK`] records each. So the set of records is the same for
//! every number of partitions, and another program can make it too: [`BenchInput`] says how.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::dataflow::{Collector, Emit, Meta, Polled, Source, SourceConnector, TaskContext};
use crate::error::{Error, ErrorKind, Result};
use crate::time::Nanos;

/// Records in a block: the unit in which indexes are dealt to partitions.
pub const BLOCK: u64 = 1024;

/// Keys in the table of a skewed [`BenchInput`]; record *i* has the key `table[i % TABLE]`.
pub const TABLE: usize = 1 << 22;

/// Most keys of a skewed [`BenchInput`], whose table holds them in 32 bits each.
pub const SKEWED_KEYS_MAX: u64 = 1 << 32;

/// The step between the states of splitmix64.
pub(super) const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
const TABLE_SALT: u64 = 0x5A17;

// A block never wraps around the table, so that it is one slice of it.
const _: () = assert!(TABLE.is_multiple_of(BLOCK as usize));

/// The finaliser of splitmix64: a bijection of 64 bits that mixes well.
///
/// # Source
/// Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014 (variant 13 of
/// Stafford's mixers).
#[inline]
pub const fn mix64(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

/// What one key of a keyed count adds to the checksum:
/// `mix64(key ^ mix64(count ^ mix64(sum)))`.
#[inline]
pub const fn key_checksum(key: u64, count: u64, sum: u64) -> u64 {
    mix64(key ^ mix64(count ^ mix64(sum)))
}

/// The checksum of a keyed count and sum: the wrapping sum of [`key_checksum`] over `results`,
/// which are (key, count, sum) with each key once, in any order.
pub fn keyed_count_checksum(results: impl IntoIterator<Item = (u64, u64, u64)>) -> u64 {
    results.into_iter().fold(0, |checksum: u64, (key, count, sum)| {
        checksum.wrapping_add(key_checksum(key, count, sum))
    })
}

/// How the records of a [`BenchInput`] are spread over its keys. As text: `uniform`, `zipf:S`,
/// `hot:SHARE`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Skew {
    /// Every key equally often.
    Uniform,
    /// Key *k* has the weight (*k* + 1)^-S; S is at least 0.
    Zipf(f64),
    /// Key 0 has this share of the records (0..=1), the others equal parts of the rest.
    Hot(f64),
}

impl fmt::Display for Skew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Skew::Uniform => f.write_str("uniform"),
            Skew::Zipf(exponent) => write!(f, "zipf:{exponent}"),
            Skew::Hot(share) => write!(f, "hot:{share}"),
        }
    }
}

impl FromStr for Skew {
    type Err = Error;

    fn from_str(text: &str) -> Result<Skew> {
        let number = |digits: &str| digits.parse::<f64>().ok();
        let skew = match text.split_once(':') {
            None if text == "uniform" => Some(Skew::Uniform),
            Some(("zipf", digits)) => number(digits).map(Skew::Zipf),
            Some(("hot", digits)) => number(digits).map(Skew::Hot),
            _ => None,
        };
        let seen = || invalid(format!("skew is `{text}`, not uniform, zipf:S or hot:SHARE"));
        skew.ok_or_else(seen)?.checked()
    }
}

impl Skew {
    fn checked(self) -> Result<Skew> {
        match self {
            Skew::Zipf(exponent) if !(exponent.is_finite() && exponent >= 0.0) => {
                Err(invalid(format!("zipf exponent is {exponent}, not a number from 0 on")))
            }
            Skew::Hot(share) if !(0.0..=1.0).contains(&share) => {
                Err(invalid(format!("share of the hot key is {share}, not in 0..=1")))
            }
            _ => Ok(self),
        }
    }
}

fn invalid(context: String) -> Error {
    Error::new(ErrorKind::InvalidConfig, context)
}

/// The input of the benchmarks: (key, value) pairs, a pure function of seed and index.
///
/// With 64-bit wrapping arithmetic and `r = mix64(seed + i * 0x9E3779B97F4A7C15)`, the value of
/// record *i* is `r & 0xFFFF`. Its key is `(r as u128 * keys as u128) >> 64` if uniform, else
/// `table[i % 2^22]`, where `table[j]` is the smallest key whose cumulative weight reaches
/// `u_j = (mix64(seed ^ (0x5A17 + j * 0x9E3779B97F4A7C15)) >> 11) / 2^53` of the total weight.
/// Weights (see [`Skew`]) are 64-bit floats, summed in order of the key.
///
/// Cloning it is cheap: clones share the table.
#[derive(Clone, Debug)]
pub struct BenchInput {
    seed: u64,
    keys: u64,
    skew: Skew,
    table: Option<Arc<[u32]>>,
}

impl BenchInput {
    /// Makes the input, with its table of 16 MiB if it is skewed. That takes a while (1 s with 10 M
    /// keys), so do it before the clock starts.
    ///
    /// * `keys` - how many there are, `0..keys`; at least 1, at most [`SKEWED_KEYS_MAX`] if skewed.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] if the number of keys or the skew is out of its range.
    pub fn new(seed: u64, keys: u64, skew: Skew) -> Result<BenchInput> {
        let skew = skew.checked()?;
        if keys == 0 {
            return Err(invalid("keys is 0, not at least 1".to_owned()));
        }
        let hot = |share: f64, key: u64| match key {
            0 => share,
            _ => (1.0 - share) / (keys - 1) as f64,
        };
        let table = match skew {
            Skew::Uniform => None,
            _ if keys > SKEWED_KEYS_MAX => {
                let seen = format!("keys is {keys}, not at most {SKEWED_KEYS_MAX} when skewed");
                return Err(invalid(seen));
            }
            Skew::Zipf(exponent) => {
                Some(key_table(seed, keys, |key| ((key + 1) as f64).powf(-exponent)))
            }
            Skew::Hot(share) => Some(key_table(seed, keys, |key| hot(share, key))),
        };
        Ok(BenchInput { seed, keys, skew, table })
    }

    /// The seed it was made with.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// How many keys there are. Not every one needs to occur.
    pub fn keys(&self) -> u64 {
        self.keys
    }

    /// How the records are spread over the keys.
    pub fn skew(&self) -> Skew {
        self.skew
    }

    /// Key and value of record `index`.
    #[inline]
    pub fn record(&self, index: u64) -> (u64, u64) {
        let bits = mix64(self.seed.wrapping_add(index.wrapping_mul(GOLDEN)));
        match &self.table {
            None => (scale(bits, self.keys), bits & 0xFFFF),
            Some(table) => (table[index as usize % TABLE].into(), bits & 0xFFFF),
        }
    }

    /// The records of one partition; `records` is the number of all partitions together, `None` is
    /// without end.
    ///
    /// # Panics
    /// If `partition` is not below `partitions`.
    pub fn partition(
        &self,
        partition: usize,
        partitions: usize,
        records: Option<u64>,
    ) -> Dealt<BenchInput> {
        Dealt::new(self.clone(), partition, partitions, records)
    }
}

/// `bits` as a fraction of 2^64, times `keys`.
#[inline]
pub(super) fn scale(bits: u64, keys: u64) -> u64 {
    ((u128::from(bits) * u128::from(keys)) >> 64) as u64
}

fn key_table(seed: u64, keys: u64, weight: impl Fn(u64) -> f64) -> Arc<[u32]> {
    let mut total = 0.0;
    let mut cumulative = Vec::with_capacity(keys as usize);
    for key in 0..keys {
        total += weight(key);
        cumulative.push(total);
    }
    let draw = |j: usize| {
        let bits = mix64(seed ^ TABLE_SALT.wrapping_add((j as u64).wrapping_mul(GOLDEN)));
        let reached = (bits >> 11) as f64 / (1u64 << 53) as f64 * total;
        // The product may round up to the total, which the last key reaches.
        let key = cumulative.partition_point(|&sum| sum < reached).min(cumulative.len() - 1);
        key as u32
    };
    (0..TABLE).map(draw).collect()
}

/// Makes records from their indexes.
///
/// Called by a [`GeneratorSource`] on its partition's thread, once per block or part of one.
pub trait Recipe: Clone + Send + 'static {
    /// What it makes.
    type Item: Send + 'static;

    /// Emits the records of `indexes`, in order, as far as there is room; returns how many. They
    /// all lie in one block.
    fn make<E: Emit<Self::Item>>(&mut self, indexes: Range<u64>, out: &mut Collector<'_, E>)
    -> u64;
}

impl Recipe for BenchInput {
    type Item = (u64, u64);

    #[inline]
    fn make<E: Emit<(u64, u64)>>(
        &mut self,
        indexes: Range<u64>,
        out: &mut Collector<'_, E>,
    ) -> u64 {
        let (seed, keys) = (self.seed, self.keys);
        let draw = |index: u64| mix64(seed.wrapping_add(index.wrapping_mul(GOLDEN)));
        match &self.table {
            None => out.emit_all(indexes.map(|index| {
                let bits = draw(index);
                (scale(bits, keys), bits & 0xFFFF)
            })),
            Some(table) => {
                let keys = &table[indexes.start as usize % TABLE..];
                let records = keys.iter().zip(indexes);
                out.emit_all(records.map(|(&key, index)| (key.into(), draw(index) & 0xFFFF)))
            }
        }
    }
}

/// A function of the index as a [`Recipe`]; see [`generate`].
#[derive(Clone, Debug)]
pub struct PerRecord<F> {
    function: F,
}

impl<T, F> Recipe for PerRecord<F>
where
    T: Send + 'static,
    F: FnMut(u64) -> T + Clone + Send + 'static,
{
    type Item = T;

    #[inline]
    fn make<E: Emit<T>>(&mut self, indexes: Range<u64>, out: &mut Collector<'_, E>) -> u64 {
        out.emit_all(indexes.map(&mut self.function))
    }
}

/// The records of one partition, block after block.
#[derive(Clone, Debug)]
pub struct Dealt<R> {
    recipe: R,
    next: u64,
    block_end: u64,
    end: u64,
    stride: u64,
}

impl<R: Recipe> Dealt<R> {
    /// The blocks of `partition` (`0..partitions`); `records` is the number of all partitions
    /// together, `None` is without end.
    ///
    /// # Panics
    /// If `partition` is not below `partitions`.
    pub fn new(recipe: R, partition: usize, partitions: usize, records: Option<u64>) -> Dealt<R> {
        assert!(partition < partitions, "partition {partition} of {partitions}");
        let next = partition as u64 * BLOCK;
        let stride = partitions as u64 * BLOCK;
        // 2^64 - 1 records take centuries, so this is without end.
        Dealt { recipe, next, block_end: next + BLOCK, end: records.unwrap_or(u64::MAX), stride }
    }

    /// Emits the next records, at most `max`, and returns how many; fewer only at the end or where
    /// there is no more room.
    #[inline]
    pub fn emit<E: Emit<R::Item>>(&mut self, max: usize, out: &mut Collector<'_, E>) -> usize {
        let mut left = max as u64;
        while left > 0 && !self.is_done() {
            let to = self.block_end.min(self.end).min(self.next.saturating_add(left));
            let asked = to - self.next;
            let made = self.recipe.make(self.next..to, out);
            left -= made;
            self.next += made;
            if self.next == self.block_end {
                self.next = to.saturating_add(self.stride - BLOCK);
                self.block_end = self.next.saturating_add(BLOCK);
            }
            if made < asked {
                break;
            }
        }
        max - left as usize
    }

    /// Appends the next records to `out`, at most `max`, and returns how many; fewer only at the
    /// end.
    #[inline]
    pub fn fill(&mut self, max: usize, out: &mut Vec<R::Item>) -> usize {
        self.emit(max, &mut Collector::new(out, Meta::default()))
    }

    /// Whether there is no further record.
    #[inline]
    pub fn is_done(&self) -> bool {
        self.next >= self.end
    }
}

/// What `recipe` makes (the benchmark's input, say) as a source, in parallel on all partitions:
/// `records` in all, or `None` for no end of its own (see [`Generator::until`] and
/// [`Generator::stop_on`]).
pub fn generator<R: Recipe>(recipe: R, records: impl Into<Option<u64>>) -> Generator<R> {
    Generator { recipe, records: records.into(), until: None, stop: None }
}

/// A source of `function(0)`, `function(1)`, …, in parallel on all partitions: `records` in all, or
/// `None` for no end of its own.
///
/// Indexes are dealt in blocks of [`BLOCK`]; a partition makes its own in rising order.
///
/// ```
/// use millstream::connector::generator::generate;
///
/// let squares = generate(1_000_000, |index| index * index);
/// ```
pub fn generate<T, F>(records: impl Into<Option<u64>>, function: F) -> Generator<PerRecord<F>>
where
    T: Send + 'static,
    F: FnMut(u64) -> T + Clone + Send + 'static,
{
    generator(PerRecord { function }, records)
}

/// Connector of generated records, made by [`generator`] and [`generate`].
#[derive(Clone, Debug)]
pub struct Generator<R> {
    recipe: R,
    records: Option<u64>,
    until: Option<Nanos>,
    stop: Option<Arc<AtomicBool>>,
}

impl<R: Recipe> Generator<R> {
    /// Ends also at `deadline`, in monotonic nanoseconds of the engine's clock. How many records
    /// there were then depends on the machine.
    pub fn until(mut self, deadline: Nanos) -> Generator<R> {
        self.until = Some(deadline);
        self
    }

    /// Ends also when `stop` becomes true.
    pub fn stop_on(mut self, stop: Arc<AtomicBool>) -> Generator<R> {
        self.stop = Some(stop);
        self
    }

    fn share(&self, partition: usize, partitions: usize) -> GeneratorSource<R> {
        let dealt = Dealt::new(self.recipe.clone(), partition, partitions, self.records);
        GeneratorSource { dealt, until: self.until, stop: self.stop.clone() }
    }
}

impl<R: Recipe> SourceConnector for Generator<R> {
    type Item = R::Item;
    type Source = GeneratorSource<R>;

    fn name(&self) -> String {
        "generator".to_owned()
    }

    fn is_bounded(&self) -> bool {
        self.records.is_some() || self.until.is_some() || self.stop.is_some()
    }

    fn open(&mut self, context: &TaskContext) -> Result<GeneratorSource<R>> {
        Ok(self.share(context.partition, context.partitions))
    }
}

/// One partition's share of a [`Generator`].
#[derive(Debug)]
pub struct GeneratorSource<R> {
    dealt: Dealt<R>,
    until: Option<Nanos>,
    stop: Option<Arc<AtomicBool>>,
}

impl<R> GeneratorSource<R> {
    fn is_stopped(&self, now: Nanos) -> bool {
        // Relaxed: the flag publishes nothing but itself.
        self.until.is_some_and(|deadline| now >= deadline)
            || self.stop.as_ref().is_some_and(|stop| stop.load(Ordering::Relaxed))
    }
}

impl<R: Recipe> Source for GeneratorSource<R> {
    type Item = R::Item;

    #[inline]
    fn poll<E: Emit<R::Item>>(
        &mut self,
        max: usize,
        now: Nanos,
        out: &mut Collector<'_, E>,
    ) -> Result<Polled> {
        if self.is_stopped(now) {
            return Ok(Polled::Done);
        }
        self.dealt.emit(max, out);
        Ok(if self.dealt.is_done() { Polled::Done } else { Polled::Ready })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::connector::polled;

    // The expected figures of this file were made in Python from the definition of `BenchInput`:
    //   M = 2**64 - 1; G = 0x9E3779B97F4A7C15
    //   def mix64(z):
    //       z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & M
    //       z = (z ^ z >> 27) * 0x94D049BB133111EB & M
    //       return z ^ z >> 31
    //   def r(seed, i): return mix64(seed + i * G & M)
    //   def record(seed, keys, i): return r(seed, i) * keys >> 64, r(seed, i) & 0xFFFF
    //   def table(seed, weights, j):
    //       sums = list(itertools.accumulate(weights))
    //       u = (mix64((seed ^ (0x5A17 + j * G)) & M) >> 11) / 2**53
    //       return bisect.bisect_left(sums, u * sums[-1])
    //   zipf = [(k + 1) ** -S for k in range(keys)]
    //   hot = [share] + [(1 - share) / (keys - 1)] * (keys - 1)

    fn collect(mut dealt: Dealt<BenchInput>, max: usize) -> Vec<(u64, u64)> {
        let mut out = Vec::new();
        while !dealt.is_done() {
            let before = out.len();
            let count = dealt.fill(max, &mut out);
            assert!(count > 0 && count <= max);
            assert_eq!(out.len() - before, count);
        }
        assert_eq!(dealt.fill(max, &mut out), 0);
        out
    }

    fn checksum_of(records: impl IntoIterator<Item = (u64, u64)>) -> (usize, u64) {
        let mut table: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
        for (key, value) in records {
            let state = table.entry(key).or_default();
            *state = (state.0 + 1, state.1 + value);
        }
        let results = table.iter().map(|(&key, &(count, sum))| (key, count, sum));
        (table.len(), keyed_count_checksum(results))
    }

    #[test]
    fn mix64_gives_known_vectors() {
        assert_eq!(mix64(0), 0);
        assert_eq!(mix64(1), 0x5692_161d_100b_05e5);
        assert_eq!(mix64(u64::MAX), 0xb4d0_55fc_f2cb_bd7b);
    }

    #[test]
    fn uniform_records_give_known_vectors() {
        let input = BenchInput::new(1, 1000, Skew::Uniform).unwrap();
        let expected = [
            (0, (338, 1509)),
            (1, (566, 23745)),
            (2, (745, 60519)),
            (1023, (959, 22881)),
            (1024, (614, 1607)),
            (99_999, (267, 2946)),
        ];
        for (index, record) in expected {
            assert_eq!(input.record(index), record, "record {index}");
        }
        let input = BenchInput::new(u64::MAX, 10_000_000, Skew::Uniform).unwrap();
        assert_eq!(input.record(0), (7_063_039, 48507));
        assert_eq!(input.record(12_345_678), (9_269_706, 16099));
    }

    #[test]
    fn skewed_records_give_known_vectors() {
        let indexes = [0, 1, 2, 3, 4, 5, TABLE as u64 - 1];
        let input = BenchInput::new(1, 100_000, Skew::Zipf(1.0)).unwrap();
        let records = indexes.map(|index| input.record(index));
        assert_eq!(records.map(|record| record.0), [30354, 444, 837, 5514, 82, 146, 70]);
        let values = [1509, 23745, 60519, 21854, 51467, 46521, 56311];
        assert_eq!(records.map(|record| record.1), values);
        assert_eq!(input.record(TABLE as u64 + 1).0, 444);

        let input = BenchInput::new(1, 100_000, Skew::Zipf(1.4)).unwrap();
        let keys = indexes.map(|index| input.record(index).0);
        assert_eq!(keys, [158, 3, 5, 18, 1, 2, 1]);

        let input = BenchInput::new(7, 1000, Skew::Hot(0.25)).unwrap();
        let keys = indexes.map(|index| input.record(index).0);
        assert_eq!(keys, [0, 0, 951, 729, 233, 569, 340]);
    }

    #[test]
    fn hot_key_has_its_share_and_one_key_gets_all() {
        let count = |share, keys| {
            let input = BenchInput::new(3, keys, Skew::Hot(share)).unwrap();
            (0..10_000).filter(|&index| input.record(index).0 == 0).count()
        };
        assert!((2300..2700).contains(&count(0.25, 1000)));
        assert_eq!(count(1.0, 1000), 10_000);
        assert_eq!(count(0.5, 1), 10_000);
        assert_eq!(count(0.0, 1000), 0);
    }

    #[test]
    fn checksum_is_the_known_one_for_any_partition_count_and_batch_size() {
        let uniform = BenchInput::new(1, 1000, Skew::Uniform).unwrap();
        let zipf = BenchInput::new(1, 100_000, Skew::Zipf(1.0)).unwrap();
        let cases = [
            (uniform, 10_000, (1000, 13_852_594_583_364_262_828)),
            (zipf, 5_000, (2447, 14_976_498_071_421_440_420)),
        ];
        for (input, records, expected) in cases {
            for (partitions, max) in [(1, 5000), (2, 1), (3, 700), (8, 1024), (16, 64)] {
                let all = (0..partitions)
                    .flat_map(|p| collect(input.partition(p, partitions, Some(records)), max));
                assert_eq!(checksum_of(all), expected, "P = {partitions}, batches of {max}");
            }
        }
    }

    #[test]
    fn blocks_are_dealt_round_robin() {
        let mut dealt = Dealt::new(PerRecord { function: |index| index }, 1, 3, Some(5000));
        let mut indexes = Vec::new();
        assert_eq!(dealt.fill(usize::MAX, &mut indexes), 1024 + 5000 - 4096);
        assert!(indexes.iter().copied().eq((1024..2048).chain(4096..5000)));
        assert!(Dealt::new(PerRecord { function: |index| index }, 1, 2, Some(1024)).is_done());
    }

    #[test]
    fn uniform_fill_equals_record_by_record() {
        let input = BenchInput::new(9, 77, Skew::Uniform).unwrap();
        let records = collect(input.partition(0, 1, Some(3000)), 333);
        assert!(records.iter().copied().eq((0..3000).map(|index| input.record(index))));
    }

    #[test]
    fn source_ends_at_its_deadline_or_when_told() {
        let mut source = generate(None, |index| index).until(50).share(0, 1);
        assert_eq!(polled(&mut source, 10, 49), (Polled::Ready, Vec::from_iter(0..10)));
        assert_eq!(polled(&mut source, 10, 50), (Polled::Done, vec![]));

        let stop = Arc::new(AtomicBool::new(false));
        let connector = generate(None, |index| index);
        assert!(!connector.is_bounded());
        let connector = connector.stop_on(Arc::clone(&stop));
        assert!(connector.is_bounded());
        let mut source = connector.share(0, 1);
        assert_eq!(polled(&mut source, 10, 0), (Polled::Ready, Vec::from_iter(0..10)));
        stop.store(true, Ordering::Relaxed);
        assert_eq!(polled(&mut source, 10, 0), (Polled::Done, vec![]));

        let mut source = generate(15, |index| index).share(0, 1);
        assert_eq!(polled(&mut source, 10, 0), (Polled::Ready, Vec::from_iter(0..10)));
        assert_eq!(polled(&mut source, 10, 0), (Polled::Done, Vec::from_iter(10..15)));
    }

    #[test]
    fn skew_is_parsed_checked_and_printed() {
        for text in ["uniform", "zipf:1.4", "hot:0.5"] {
            assert_eq!(text.parse::<Skew>().unwrap().to_string(), text);
        }
        for text in ["", "zipf", "zipf:-1", "zipf:nan", "hot:1.1", "hot:x", "uniform:1"] {
            let error = text.parse::<Skew>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{text}");
        }
        assert!(BenchInput::new(1, 0, Skew::Uniform).is_err());
        assert!(BenchInput::new(1, SKEWED_KEYS_MAX + 1, Skew::Zipf(1.0)).is_err());
    }
}
