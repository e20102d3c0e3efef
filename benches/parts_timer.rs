//! Timers: 10 M set and fired, the queue alone and with the keys' own sets.

#![allow(missing_docs)]

use std::collections::BinaryHeap;
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use millstream::record::hash_key;
use millstream::state::{KeyTimers, TimerQueue};
use millstream::time::Timestamp;

#[cfg(not(feature = "mimalloc"))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TIMERS: u64 = 10_000_000;
const START: i64 = 1_700_000_000_000;
const HOUR_MS: i64 = 3_600_000;

fn time(after_start: i64) -> Timestamp {
    Timestamp::from_millis(START + after_start)
}

/// A number below `bound` that follows from `index` alone.
fn scattered(index: u64, bound: i64) -> i64 {
    ((u128::from(hash_key(&index)) * bound as u128) >> 64) as i64
}

fn started() -> (TimerQueue, Vec<(Timestamp, u64)>) {
    let (mut queue, mut hashes) = (TimerQueue::new(), Vec::new());
    queue.take_due(time(0), &mut hashes);
    (queue, hashes)
}

/// Fires what is due, and returns something that depends on all of it.
fn fire(queue: &mut TimerQueue, watermark: Timestamp, hashes: &mut Vec<(Timestamp, u64)>) -> u64 {
    let mut sum = 0;
    loop {
        queue.take_due(watermark, hashes);
        if hashes.is_empty() {
            return sum;
        }
        sum += hashes.drain(..).map(|(_, hash)| hash).sum::<u64>();
    }
}

/// All are set, and then fired as the watermark goes over the hour in steps.
fn set_then_fire(times: &[i64], step_ms: i64) -> u64 {
    let (mut queue, mut hashes) = started();
    (1..).zip(times).for_each(|(hash, at)| queue.set(time(*at), hash));
    let watermarks = (0..=HOUR_MS / step_ms).map(|step| time(step * step_ms));
    watermarks.map(|watermark| fire(&mut queue, watermark, &mut hashes)).sum()
}

/// Each is set up to 5 s out of order and fires a minute later, while others are set.
fn flow(times: &[i64]) -> u64 {
    let (mut queue, mut hashes) = started();
    let mut sum = 0;
    for (batch, now) in times.chunks(1_000).zip(0..) {
        let now = now * 1_000 * HOUR_MS / TIMERS as i64;
        (now as u64..).zip(batch).for_each(|(hash, at)| queue.set(time(at + 60_000), hash));
        sum += fire(&mut queue, time(now), &mut hashes);
    }
    sum + fire(&mut queue, Timestamp::MAX, &mut hashes)
}

/// As `set_then_fire`, the hash being the key's place among the keys, which have one timer each.
fn with_keys(keys: &mut [KeyTimers], times: &[i64], step_ms: i64) -> usize {
    let (mut queue, mut hashes) = started();
    for ((hash, at), key) in (0..).zip(times).zip(&mut *keys) {
        key.set(time(*at), hash, &mut queue);
    }
    let mut fired = 0;
    for watermark in (0..=HOUR_MS / step_ms).map(|step| time(step * step_ms)) {
        loop {
            queue.take_due(watermark, &mut hashes);
            if hashes.is_empty() {
                break;
            }
            // Asks for all before the first is needed, as the store does with a batch's state.
            fired += hashes.iter().filter(|(_, hash)| keys[*hash as usize].is_empty()).count();
            for (_, hash) in hashes.drain(..) {
                let key = &mut keys[hash as usize];
                while key.pop_due(watermark, hash, &mut queue).is_some() {
                    fired += 1;
                }
            }
        }
    }
    fired
}

fn heap(times: &[i64]) -> u64 {
    let mut heap = BinaryHeap::new();
    (1..).zip(times).for_each(|(hash, at): (u64, _)| heap.push((-at, hash)));
    std::iter::from_fn(|| heap.pop()).map(|(_, hash)| hash).sum()
}

fn timers(c: &mut Criterion) {
    let mut group = c.benchmark_group("timer");
    group.sample_size(10).throughput(Throughput::Elements(TIMERS));
    let uniform: Vec<i64> = (0..TIMERS).map(|i| scattered(i, HOUR_MS)).collect();
    let in_order = |i| i as i64 * HOUR_MS / TIMERS as i64;
    let ascending: Vec<i64> = (0..TIMERS).map(|i| in_order(i) + scattered(i, 5_000)).collect();
    let equal = vec![HOUR_MS / 2; TIMERS as usize];
    group.bench_function("queue/uniform, steps of 1 s", |b| {
        b.iter(|| set_then_fire(black_box(&uniform), 1_000));
    });
    group.bench_function("queue/uniform, steps of 1 ms", |b| {
        b.iter(|| set_then_fire(black_box(&uniform), 1));
    });
    group.bench_function("queue/all equal", |b| {
        b.iter(|| set_then_fire(black_box(&equal), 1_000));
    });
    group.bench_function("queue/mostly ascending, fired a minute later", |b| {
        b.iter(|| flow(black_box(&ascending)));
    });
    let mut keys = vec![KeyTimers::new(); TIMERS as usize];
    group.bench_function("keys/uniform, steps of 1 s", |b| {
        b.iter(|| with_keys(&mut keys, black_box(&uniform), 1_000));
    });
    group.bench_function("keys/uniform, steps of 1 ms", |b| {
        b.iter(|| with_keys(&mut keys, black_box(&uniform), 1));
    });
    group.bench_function("keys/all equal", |b| {
        b.iter(|| with_keys(&mut keys, black_box(&equal), 1_000));
    });
    group.bench_function("binary heap/uniform", |b| b.iter(|| heap(black_box(&uniform))));
    group.finish();
}

fn one_group(c: &mut Criterion) {
    let mut group = c.benchmark_group("timer/take a group");
    group.sample_size(20).throughput(Throughput::Elements(TIMERS));
    let (mut queue, _) = started();
    for i in 0..TIMERS {
        queue.set(time(scattered(i, HOUR_MS)), hash_key(&i));
    }
    group.bench_function("of 10 M", |b| {
        b.iter(|| {
            let taken = queue.take_group(black_box(77));
            taken.iter().for_each(|(time, hash)| queue.set(*time, *hash));
            taken.len()
        });
    });
    group.finish();
}

criterion_group!(benches, timers, one_group);
criterion_main!(benches);
