//! Histograms of durations: recording, merging, reading the percentiles. The sketch of heavy keys.
//!
//! `cargo bench --bench parts_metrics`

#![allow(missing_docs)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use millstream::metrics::{Histogram, SpaceSaving};

const SPANS: u64 = 4_096;

/// Durations as queues show them: most near some microseconds, up to some milliseconds.
fn spans() -> Vec<u64> {
    let spread = |index: u64| index.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
    (0..SPANS).map(|index| 1_000 + (spread(index) >> (index % 12))).collect()
}

fn record(c: &mut Criterion) {
    let spans = spans();
    let mut histogram = Histogram::new();
    let mut group = c.benchmark_group("metrics/histogram");
    group.throughput(Throughput::Elements(SPANS));
    group.bench_function("record", |b| {
        b.iter(|| black_box(&spans).iter().for_each(|ns| histogram.record(*ns)));
    });
    group.finish();
}

fn read(c: &mut Criterion) {
    let mut histogram = Histogram::new();
    spans().into_iter().for_each(|ns| histogram.record(ns));
    let mut group = c.benchmark_group("metrics/histogram");
    let mut all = Histogram::new();
    group.bench_function("merge", |b| b.iter(|| all.merge(black_box(&histogram))));
    group.bench_function("percentiles", |b| b.iter(|| black_box(&histogram).percentiles()));
    group.finish();
}

/// Hashes of keys 0..100,000 with weights (key + 1)^-exponent.
fn keys(exponent: f64) -> Vec<u64> {
    let mut sums: Vec<f64> = (1..=100_000).map(|rank| f64::from(rank).powf(-exponent)).collect();
    for index in 1..sums.len() {
        sums[index] += sums[index - 1];
    }
    let whole = sums[sums.len() - 1];
    let mix = |number: u64| {
        let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        number ^ (number >> 31)
    };
    let draw = |index: u64| {
        let point = (mix(index) >> 11) as f64 / (1u64 << 53) as f64 * whole;
        mix(sums.partition_point(|sum| *sum < point) as u64 + 1)
    };
    (1..=1 << 18).map(draw).collect()
}

fn sketch(c: &mut Criterion) {
    let mut group = c.benchmark_group("metrics/space_saving");
    for (name, exponent) in [("uniform", 0.0), ("zipf_1.0", 1.0), ("zipf_1.4", 1.4)] {
        let hashes = keys(exponent);
        let mut sketch = SpaceSaving::new();
        group.throughput(Throughput::Elements(hashes.len() as u64));
        group.bench_function(name, |b| {
            b.iter(|| black_box(&hashes).iter().for_each(|hash| sketch.add(*hash, 1)));
        });
    }
    group.finish();
}

criterion_group!(benches, record, read, sketch);
criterion_main!(benches);
