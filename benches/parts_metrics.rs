//! Histograms of durations: recording, merging, reading the percentiles.
//!
//! `cargo bench --bench parts_metrics`

#![allow(missing_docs)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use millstream::metrics::Histogram;

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

criterion_group!(benches, record, read);
criterion_main!(benches);
