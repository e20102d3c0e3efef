//! How keyed state should lie in memory: one flat table, one table per key group, or segments.
//!
//! Updates (count, sum) of u64 keys, batches of 512 carried hashes, only the batch's updates in
//! the timed part. Contenders take turns; the JSON on stdout holds medians in ns per record.
//!
//! `cargo bench --bench state_layout -- [--repeat N] [--sizes 1000,100000,10000000]
//! [--only NAME,NAME]`

#![allow(unsafe_code, missing_docs)] // Budget: 1 block, a prefetch.
#![allow(clippy::disallowed_methods)] // A benchmark reads the clock.

use std::hash::BuildHasherDefault;
use std::hint::black_box;
use std::num::NonZeroU64;
use std::time::Instant;

use hashbrown::hash_table::Entry as TableEntry;
use hashbrown::{HashMap, HashTable};
use millstream::record::{KeyHasher, hash_key};
use millstream::state::KeyedStore;

#[cfg(all(feature = "cli", not(feature = "mimalloc")))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BATCH: usize = 512;
const AHEAD: usize = 64;
const SEED: u64 = 1;
type State = (u64, u64);

trait Layout {
    /// Asks for, or reads, what the update of `hash` will touch.
    fn ask(&self, hash: u64) -> u64;
    fn state(&mut self, hash: u64, key: u64) -> &mut State;
    fn bytes(&self) -> usize;
}

#[inline(always)]
fn prefetch<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch changes nothing and cannot fault.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).cast());
    }
}

/// Linear probing over 32-byte slots, doubling at four fifths: flat, and the table of a group.
#[derive(Default)]
struct Flat {
    slots: Vec<Option<(NonZeroU64, u64, State)>>,
    len: usize,
}

impl Flat {
    #[inline]
    fn home(&self, hash: u64) -> usize {
        ((u128::from(hash << 12) * self.slots.len() as u128) >> 64) as usize
    }

    #[cold]
    fn grow(&mut self) {
        let slots = (self.slots.len() * 2).max(8);
        let old = std::mem::replace(&mut self.slots, (0..slots).map(|_| None).collect());
        for slot in old.into_iter().flatten() {
            let mut index = self.home(slot.0.get());
            while self.slots[index].is_some() {
                index = if index + 1 < slots { index + 1 } else { 0 };
            }
            self.slots[index] = Some(slot);
        }
    }
}

impl Layout for Flat {
    #[inline]
    fn ask(&self, hash: u64) -> u64 {
        if let Some(slot) = self.slots.get(self.home(hash)) {
            prefetch(slot);
        }
        0
    }

    #[inline]
    fn state(&mut self, hash: u64, key: u64) -> &mut State {
        let mut index = self.home(hash);
        loop {
            match self.slots.get(index) {
                Some(Some(slot)) if slot.0.get() == hash && slot.1 == key => break,
                Some(Some(_)) => index += 1,
                Some(None) if self.len < self.slots.len() / 5 * 4 => {
                    let hash = NonZeroU64::new(hash).expect("never 0");
                    self.slots[index] = Some((hash, key, (0, 0)));
                    self.len += 1;
                    break;
                }
                None if self.slots.len() > self.len => index = 0,
                _ => {
                    self.grow();
                    index = self.home(hash);
                }
            }
        }
        &mut self.slots[index].as_mut().expect("found").2
    }

    fn bytes(&self) -> usize {
        self.slots.len() * 32
    }
}

struct Groups(Vec<Flat>);

impl Layout for Groups {
    #[inline]
    fn ask(&self, hash: u64) -> u64 {
        self.0[(hash >> 52) as usize].ask(hash)
    }

    #[inline]
    fn state(&mut self, hash: u64, key: u64) -> &mut State {
        self.0[(hash >> 52) as usize].state(hash, key)
    }

    fn bytes(&self) -> usize {
        self.0.iter().map(Layout::bytes).sum::<usize>() + 4096 * size_of::<Flat>()
    }
}

/// The engine's store.
struct Segments(KeyedStore<u64, State>);

impl Layout for Segments {
    fn ask(&self, _hash: u64) -> u64 {
        0
    }

    #[inline]
    fn state(&mut self, hash: u64, key: u64) -> &mut State {
        self.0.get_or_insert(hash, key)
    }

    fn bytes(&self) -> usize {
        self.0.bytes()
    }
}

/// What timely's users write: a map, its own stable hasher, nothing carried.
struct Map(HashMap<u64, State, BuildHasherDefault<KeyHasher>>);

impl Layout for Map {
    fn ask(&self, _hash: u64) -> u64 {
        0
    }

    #[inline]
    fn state(&mut self, _hash: u64, key: u64) -> &mut State {
        self.0.entry(key).or_default()
    }

    fn bytes(&self) -> usize {
        self.0.allocation_size()
    }
}

/// hashbrown with the carried hash; asking early means a look-up, since it has no prefetch.
struct Table(HashTable<(u64, State)>);

impl Layout for Table {
    #[inline]
    fn ask(&self, hash: u64) -> u64 {
        self.0.find(hash, |_| true).map_or(0, |entry| entry.0)
    }

    #[inline]
    fn state(&mut self, hash: u64, key: u64) -> &mut State {
        let rehash = |entry: &(u64, State)| hash_key(&entry.0);
        match self.0.entry(hash, |entry| entry.0 == key, rehash) {
            TableEntry::Occupied(entry) => &mut entry.into_mut().1,
            TableEntry::Vacant(entry) => &mut entry.insert((key, (0, 0))).into_mut().1,
        }
    }

    fn bytes(&self) -> usize {
        self.0.allocation_size()
    }
}

/// hashbrown, a table per key group.
struct Tables(Vec<Table>);

impl Layout for Tables {
    #[inline]
    fn ask(&self, hash: u64) -> u64 {
        self.0[(hash >> 52) as usize].ask(hash)
    }

    #[inline]
    fn state(&mut self, hash: u64, key: u64) -> &mut State {
        self.0[(hash >> 52) as usize].state(hash, key)
    }

    fn bytes(&self) -> usize {
        self.0.iter().map(Layout::bytes).sum::<usize>() + 4096 * size_of::<Table>()
    }
}

fn mix64(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

struct Outcome {
    /// Processor time of the whole pass, which includes making the records: about 1.5 ns each.
    cpu_ns: f64,
    /// Of the median batch, which no other process has interrupted.
    median_ns: f64,
    worst_batch_us: f64,
}

/// Nanoseconds this thread has been on a processor: other processes do not count.
fn cpu_ns() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    stat.split(' ').next().and_then(|ns| ns.parse().ok()).expect("nanoseconds come first")
}

/// Runs `records` records from record number `first` on; only updates are timed.
#[inline(never)]
fn drive<L: Layout, const ASK: bool>(
    layout: &mut L,
    keys: u64,
    first: u64,
    records: u64,
) -> Outcome {
    let mut batch = Vec::with_capacity(BATCH);
    let mut times = Vec::with_capacity((records as usize).div_ceil(BATCH));
    let begin = cpu_ns();
    for start in (first..first + records).step_by(BATCH) {
        batch.clear();
        batch.extend((start..start + BATCH as u64).map(|i| {
            let r = mix64(SEED.wrapping_add(i.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
            let key = ((u128::from(r) * u128::from(keys)) >> 64) as u64;
            (hash_key(&key), key, r & 0xffff)
        }));
        let batch = black_box(&batch[..]);
        let clock = Instant::now();
        if ASK {
            ask_then_update(layout, batch);
        } else {
            for &(hash, key, value) in batch {
                update(layout, hash, key, value);
            }
        }
        times.push(clock.elapsed().as_nanos() as u32);
    }
    let cpu_ns = (cpu_ns() - begin) as f64 / (times.len() * BATCH) as f64;
    times.sort_unstable();
    Outcome {
        cpu_ns,
        median_ns: f64::from(times[times.len() / 2]) / BATCH as f64,
        worst_batch_us: f64::from(times[times.len() - 1]) / 1e3,
    }
}

#[inline(always)]
fn update<L: Layout>(layout: &mut L, hash: u64, key: u64, value: u64) {
    let state = layout.state(hash, key);
    state.0 += 1;
    state.1 += value;
}

#[inline(always)]
fn ask_then_update<L: Layout>(layout: &mut L, batch: &[(u64, u64, u64)]) {
    let mut seen = 0;
    for &(hash, ..) in batch.iter().take(AHEAD) {
        seen ^= layout.ask(hash);
    }
    for (index, &(hash, key, value)) in batch.iter().enumerate() {
        if let Some(&(ahead, ..)) = batch.get(index + AHEAD) {
            seen ^= layout.ask(ahead);
        }
        update(layout, hash, key, value);
    }
    black_box(seen);
}

#[derive(Default)]
struct Row {
    cold: Vec<f64>,
    worst: Vec<f64>,
    warm: Vec<f64>,
    bytes: usize,
}

fn measure<L: Layout, const ASK: bool>(mut layout: L, keys: u64, row: &mut Row) {
    let (cold, warm) = (2 * keys, if keys > 1_000_000 { 10_000_000 } else { 4_000_000 });
    let growth = drive::<L, ASK>(&mut layout, keys, 0, cold.max(BATCH as u64));
    row.cold.push(growth.cpu_ns);
    row.worst.push(growth.worst_batch_us);
    // Every key is there before the warm part, so that it inserts nothing.
    for key in 0..keys {
        layout.state(hash_key(&key), key);
    }
    row.warm.push(drive::<L, ASK>(&mut layout, keys, cold, warm).median_ns);
    row.bytes = layout.bytes();
}

type Run = fn(u64, &mut Row);

const CONTENDERS: [(&str, Run); 9] = [
    ("hashbrown-map", |keys, row| measure::<_, false>(Map(HashMap::default()), keys, row)),
    ("hashbrown-table", |keys, row| measure::<_, false>(Table(HashTable::new()), keys, row)),
    ("hashbrown-table-ask", |keys, row| measure::<_, true>(Table(HashTable::new()), keys, row)),
    ("hashbrown-groups-ask", |keys, row| {
        let groups = (0..4096).map(|_| Table(HashTable::new())).collect();
        measure::<_, true>(Tables(groups), keys, row);
    }),
    ("flat", |keys, row| measure::<_, false>(Flat::default(), keys, row)),
    ("flat-prefetch", |keys, row| measure::<_, true>(Flat::default(), keys, row)),
    ("groups", |keys, row| {
        measure::<_, false>(Groups((0..4096).map(|_| Flat::default()).collect()), keys, row);
    }),
    ("groups-prefetch", |keys, row| {
        measure::<_, true>(Groups((0..4096).map(|_| Flat::default()).collect()), keys, row);
    }),
    ("segments", |keys, row| measure::<_, false>(Segments(KeyedStore::new()), keys, row)),
];

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The worst batch of the luckiest repetition: what the layout costs, not its neighbours.
fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

fn option(name: &str) -> Option<String> {
    std::env::args().skip_while(|argument| argument != name).nth(1)
}

fn main() {
    let repeat: usize = option("--repeat").map_or(5, |n| n.parse().expect("a count"));
    let sizes = option("--sizes").unwrap_or("1000,100000,10000000".into());
    let only = option("--only");
    let chosen = |name: &str| only.as_ref().is_none_or(|only| only.split(',').any(|o| o == name));
    let mut rows = Vec::new();
    for keys in sizes.split(',').map(|size| size.parse::<u64>().expect("a number of keys")) {
        let mut results: Vec<Row> = CONTENDERS.iter().map(|_| Row::default()).collect();
        for _ in 0..repeat {
            for ((name, run), row) in CONTENDERS.iter().zip(&mut results) {
                if chosen(name) {
                    run(keys, row);
                }
            }
        }
        for ((name, _), row) in CONTENDERS.iter().zip(&mut results) {
            if !row.warm.is_empty() {
                let (cold, worst) = (median(&mut row.cold), least(&row.worst));
                let warm = median(&mut row.warm);
                // The processor clock ticks too coarsely for the few records of a small store.
                let cold_json = if keys < 1_000_000 { "null".into() } else { format!("{cold:.2}") };
                let spread = (row.warm[row.warm.len() - 1] - row.warm[0]) / warm;
                let per_key = row.bytes as f64 / keys as f64;
                eprintln!(
                    "{keys:>9} {name:22} cold {cold:6.2} worst {worst:9.1} us warm \
                    {warm:6.2} +-{spread:.2} bytes/key {per_key:.1}"
                );
                rows.push(format!(
                    "    {{\"keys\": {keys}, \"layout\": \"{name}\", \"cold_ns\": {cold_json}, \
                     \"worst_batch_us\": {worst:.1}, \"warm_ns\": {warm:.2}, \
                     \"spread\": {spread:.2}, \"bytes_per_key\": {per_key:.1}}}"
                ));
            }
        }
    }
    println!(
        "{{\n  \"command\": \"cargo bench --bench state_layout -- --repeat {repeat}\",\n  \
         \"seed\": {SEED},\n  \"batch\": {BATCH},\n  \
         \"ahead\": {AHEAD},\n  \"rows\": [\n{}\n  ]\n}}",
        rows.join(",\n")
    );
}
