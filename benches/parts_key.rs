//! The stable hash of keys, and from the hash to the owner.

#![allow(missing_docs)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use millstream::record::hash_key;
use millstream::routing::RoutingTable;

const KEYS: u64 = 4096;

fn hash(c: &mut Criterion) {
    let mut group = c.benchmark_group("key/hash");
    group.throughput(Throughput::Elements(KEYS));
    let integers: Vec<u64> = (0..KEYS).collect();
    group.bench_function("u64", |b| {
        b.iter(|| black_box(&integers).iter().fold(0, |all, key| all ^ hash_key(key)));
    });
    let pairs: Vec<(u32, u32)> = (0..KEYS as u32).map(|i| (i, i / 7)).collect();
    group.bench_function("pair of u32", |b| {
        b.iter(|| black_box(&pairs).iter().fold(0, |all, key| all ^ hash_key(key)));
    });
    let words: Vec<String> = (0..KEYS).map(|i| format!("airport-{i}")).collect();
    group.bench_function("string of 9 to 12 bytes", |b| {
        b.iter(|| black_box(&words).iter().fold(0, |all, key| all ^ hash_key(key)));
    });
    group.finish();
}

fn owner(c: &mut Criterion) {
    let table = RoutingTable::even(7);
    let hashes: Vec<u64> = (0..KEYS).map(|key| hash_key(&key)).collect();
    let mut group = c.benchmark_group("key/owner");
    group.throughput(Throughput::Elements(KEYS));
    group.bench_function("from a carried hash", |b| {
        b.iter(|| black_box(&hashes).iter().map(|hash| table.owner(*hash)).sum::<usize>());
    });
    group.finish();
}

criterion_group!(benches, hash, owner);
criterion_main!(benches);
