//! The parts of an exchange: scatter, a hop over a lane, the merging gate, the combiner.
//!
//! `cargo bench --bench parts_exchange`; `-- --measurement-time 1 --warm-up-time 0.5` is quick.

#![allow(clippy::disallowed_methods)] // A benchmark reads clocks and starts threads.
#![allow(missing_docs)]

use std::hint::{black_box, spin_loop};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use millstream::connector::generator::{BenchInput, Skew};
use millstream::exchange::combine::{Combine, Combiner, Mode};
use millstream::exchange::lane::{LaneReceiver, LaneSender, Message, lane};
use millstream::exchange::{Arrival, EdgeConfig, Gate, Outbox};
use millstream::record::{Batch, hash_key};
use millstream::routing::RoutingTable;
use millstream::runtime::host;

/// A key and a value, 16 bytes.
type Pair = (u64, u64);

/// Batches on a lane, as a job has it by default.
const LANE_BATCHES: usize = 8;
const BATCH: u64 = 1_024;

fn pairs(count: u64) -> Vec<Pair> {
    (0..count).map(|index| (index.wrapping_mul(0x9E37_79B9_7F4A_7C15), index)).collect()
}

/// Hash, owner, and the append to the owner's open batch. The batches are never sent.
fn scatter(c: &mut Criterion) {
    let records = pairs(BATCH);
    let config = EdgeConfig {
        lane_batches: LANE_BATCHES,
        batch_records: None,
        linger: 0,
        parcels: 1,
        staged: 8,
    };
    let mut group = c.benchmark_group("exchange/scatter");
    group.throughput(Throughput::Elements(BATCH));
    for targets in [1, 2, 8, 64] {
        let table = RoutingTable::even(targets);
        let lanes = (0..targets).map(|_| lane(LANE_BATCHES, None, None).0).collect();
        let mut outbox: Outbox<Pair> = Outbox::new(lanes, &config);
        group.bench_function(BenchmarkId::from_parameter(targets), |b| {
            b.iter(|| {
                for record in black_box(&records) {
                    let target = table.owner(hash_key(&record.0));
                    outbox.push(target, *record).expect("an open batch takes them all");
                }
                outbox.open().iter_mut().for_each(Batch::clear);
            });
        });
    }
    group.finish();
}

fn send(sender: &mut LaneSender<Pair>, records: &[Pair]) {
    let mut batch = sender.take_spare().unwrap_or_default();
    batch.records.extend_from_slice(records);
    while let Err(refused) = sender.try_send(batch) {
        batch = refused;
        spin_loop();
    }
}

/// Reads what has come and sends the buffer home; `None` if nothing has.
fn receive(receiver: &mut LaneReceiver<Pair>) -> Option<u64> {
    let Message::Batch(batch) = receiver.try_recv()? else { return None };
    let sum = batch.records.iter().fold(0, |sum: u64, record| sum.wrapping_add(record.1));
    receiver.give_back(batch);
    Some(sum)
}

fn hop_on_one_core(c: &mut Criterion) {
    let mut group = c.benchmark_group("exchange/lane_hop_on_one_core");
    for size in [64, 256, 1_024] {
        let records = pairs(size);
        let (mut sender, mut receiver) = lane(LANE_BATCHES, None, None);
        group.throughput(Throughput::Elements(size));
        group.bench_function(BenchmarkId::from_parameter(size), |b| {
            b.iter(|| {
                send(&mut sender, black_box(&records));
                receive(&mut receiver).expect("it was sent")
            });
        });
    }
    group.finish();
}

fn hop_across_cores(c: &mut Criterion) {
    let machine = host::machine();
    let &[from, to, ..] = &*machine.allowed else {
        eprintln!("lane_hop_across_cores is left out: this machine allows one core");
        return;
    };
    if !machine.may_pin {
        eprintln!("lane_hop_across_cores is left out: this machine does not allow pinning");
        return;
    }
    let mut group = c.benchmark_group("exchange/lane_hop_across_cores");
    for size in [64, 256, 1_024] {
        let records = pairs(size);
        group.throughput(Throughput::Elements(size));
        group.bench_function(BenchmarkId::from_parameter(size), |b| {
            b.iter_custom(|hops| across([from, to], hops, &records));
        });
    }
    group.finish();
}

/// Sends `records` as often as `hops` says from one core to another; returns how long it took.
fn across(cores: [usize; 2], hops: u64, records: &[Pair]) -> Duration {
    let (mut sender, mut receiver) = lane(LANE_BATCHES, None, None);
    let start = Barrier::new(2);
    let begin = |core| {
        assert!(host::pin_current_thread(core), "core {core} is allowed");
        start.wait();
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            begin(cores[0]);
            (0..hops).for_each(|_| send(&mut sender, records));
        });
        let consumer = scope.spawn(|| {
            begin(cores[1]);
            let (started, mut left) = (Instant::now(), hops);
            while left > 0 {
                let Some(sum) = receive(&mut receiver) else {
                    spin_loop();
                    continue;
                };
                black_box(sum);
                left -= 1;
            }
            started.elapsed()
        });
        consumer.join().expect("it only reads")
    })
}

/// One batch of one record from every lane: what a batch costs beside its records.
fn gate(c: &mut Criterion) {
    let mut group = c.benchmark_group("exchange/gate_merge");
    for lanes in [1, 2, 8, 64] {
        let (mut senders, receivers): (Vec<_>, Vec<_>) =
            (0..lanes).map(|_| lane(LANE_BATCHES, None, None)).unzip();
        let mut gate = Gate::new(receivers);
        let mut batch = Batch::new();
        group.throughput(Throughput::Elements(lanes));
        group.bench_function(BenchmarkId::from_parameter(lanes), |b| {
            b.iter(|| {
                senders.iter_mut().for_each(|sender| send(sender, &[(1, 2)]));
                while let Arrival::Batch = gate.next(&mut batch) {
                    batch.clear();
                }
            });
        });
    }
    group.finish();
}

/// Folds records on the way to an exchange; the fewer keys, the fewer partials come out.
fn combiner(c: &mut Criterion) {
    const RECORDS: u64 = 1 << 16;
    let inputs = [
        ("1000 keys", 1_000, Skew::Uniform),
        ("100000 keys, zipf 1.4", 100_000, Skew::Zipf(1.4)),
        ("100000 keys", 100_000, Skew::Uniform),
    ];
    let mut group = c.benchmark_group("exchange/combiner");
    group.throughput(Throughput::Elements(RECORDS));
    for (name, keys, skew) in inputs {
        let input = BenchInput::new(1, keys, skew).expect("the skew is in bounds");
        let records: Vec<Pair> = (0..RECORDS).map(|index| input.record(index)).collect();
        let add = |state: &mut Pair, record: &Pair| {
            *state = (state.0 + 1, state.1 + record.1);
            None
        };
        let mut combiner = Combiner::new(Mode::On, add);
        group.bench_function(name, |b| {
            b.iter(|| {
                let fold = |record: &Pair| combiner.fold(record, hash_key(&record.0), record.0);
                black_box(&records).iter().filter_map(fold).count()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, scatter, hop_on_one_core, hop_across_cores, gate, combiner);
criterion_main!(benches);
