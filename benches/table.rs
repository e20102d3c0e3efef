//! The keyed store by itself: update, miss, insert with growth, and moving a group.

#![allow(missing_docs)]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use millstream::record::hash_key;
use millstream::routing::KEY_GROUPS;
use millstream::state::KeyedStore;

type Store = KeyedStore<u64, (u64, u64)>;

fn filled(keys: u64) -> Store {
    let mut store = Store::new();
    (0..keys).for_each(|key| *store.get_or_insert(hash_key(&key), key) = (1, key));
    store
}

/// Keys in an order that memory does not know.
fn shuffled(keys: u64, count: u64) -> Vec<(u64, u64)> {
    let key = |i: u64| ((u128::from(hash_key(&i)) * u128::from(keys)) >> 64) as u64;
    (0..count).map(key).map(|key| (hash_key(&key), key)).collect()
}

fn update(c: &mut Criterion) {
    let mut group = c.benchmark_group("table/update");
    for keys in [1_000, 100_000, 1_000_000] {
        let mut store = filled(keys);
        let records = shuffled(keys, 1 << 16);
        group.throughput(Throughput::Elements(records.len() as u64));
        group.bench_function(keys.to_string(), |b| {
            b.iter(|| {
                for &(hash, key) in &records {
                    store.get_or_insert(hash, key).0 += 1;
                }
            });
        });
    }
    group.finish();
}

fn miss(c: &mut Criterion) {
    let store = filled(100_000);
    let absent: Vec<(u64, u64)> = (1 << 40..(1 << 40) + 4096).map(|k| (hash_key(&k), k)).collect();
    let mut group = c.benchmark_group("table/miss");
    group.throughput(Throughput::Elements(absent.len() as u64));
    group.bench_function("100000", |b| {
        b.iter(|| absent.iter().filter(|(hash, key)| store.get(*hash, key).is_some()).count());
    });
    group.finish();
}

fn insert(c: &mut Criterion) {
    let mut group = c.benchmark_group("table/insert_and_grow");
    group.throughput(Throughput::Elements(100_000));
    group.bench_function("100000", |b| b.iter(|| black_box(filled(100_000).len())));
    group.finish();
}

fn move_group(c: &mut Criterion) {
    let mut group = c.benchmark_group("table/move_group");
    for keys in [1_000, 1_000_000] {
        let mut store = filled(keys);
        let mut next = (0..KEY_GROUPS).cycle();
        group.bench_function(keys.to_string(), |b| {
            b.iter_batched(
                || next.next().expect("a cycle has no end"),
                |index| {
                    let taken = store.take_group(index);
                    store.install_group(taken);
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, update, miss, insert, move_group);
criterion_main!(benches);
