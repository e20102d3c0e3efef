//! The NEXMark generator by itself: nanoseconds an event, into a buffer that is reused.

#![allow(missing_docs)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use millstream::connector::generator::{BLOCK, Recipe};
use millstream::connector::nexmark::Nexmark;
use millstream::dataflow::{Collector, Meta};

fn generate(c: &mut Criterion) {
    let mut group = c.benchmark_group("nexmark/generate");
    group.throughput(Throughput::Elements(BLOCK));
    for rate in [10_000, 1_000_000] {
        let mut input = Nexmark::new(1, rate).expect("a rate above 0");
        let mut out = Vec::new();
        let mut start = 0;
        group.bench_function(format!("{rate} events a second"), |b| {
            b.iter(|| {
                out.clear();
                input.make(start..start + BLOCK, &mut Collector::new(&mut out, Meta::default()));
                start += BLOCK;
                black_box(&out);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, generate);
criterion_main!(benches);
