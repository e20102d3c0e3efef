//! Who gets which record: partitioners for streams with and without keys.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use millstream::connector::iterator;
use millstream::dataflow::{Chain, Sink, SinkConnector, TaskContext};
use millstream::prelude::*;
use millstream::record::Batch;
use millstream::routing::{Custom, Modulo, Partitioner, Ranges};

use crate::engine;

/// A sink that keeps what each partition got apart.
struct PerPartition<T> {
    parts: Arc<Mutex<Vec<Vec<T>>>>,
}

struct Part<T> {
    index: usize,
    parts: Arc<Mutex<Vec<Vec<T>>>>,
}

impl<T: Send + 'static> SinkConnector for PerPartition<T> {
    type Item = T;
    type Sink = Part<T>;

    fn name(&self) -> String {
        "per partition".to_owned()
    }

    fn open(&mut self, context: &TaskContext) -> Result<Part<T>> {
        let mut parts = self.parts.lock().expect("nobody panics");
        parts.resize_with(context.partitions, Vec::new);
        Ok(Part { index: context.partition, parts: Arc::clone(&self.parts) })
    }
}

impl<T: Send + 'static> Sink for Part<T> {
    type Item = T;

    fn write(&mut self, batch: &mut Batch<T>, _: u64) -> Result<()> {
        let mut parts = self.parts.lock().expect("nobody panics");
        parts[self.index].append(&mut batch.records);
        batch.clear();
        Ok(())
    }
}

/// What each of `partitions` partitions gets of the stream that `build` makes of 0..`records`.
fn parts<T: Send + 'static, C: Chain<Out = T>>(
    partitions: usize,
    records: u64,
    build: impl FnOnce(BoxedStream<u64>) -> DataStream<C>,
) -> Vec<Vec<T>> {
    let pipeline = Pipeline::new("parts");
    let parts = Arc::default();
    let source = pipeline.source(iterator(0..records)).boxed();
    build(source).sink(PerPartition { parts: Arc::clone(&parts) });
    engine(partitions).run(pipeline).expect("nothing fails");
    std::mem::take(&mut *parts.lock().expect("nobody panics"))
}

#[test]
fn every_key_is_with_one_partition() {
    for partitions in [2, 3, 8] {
        let parts = parts(partitions, 20_000, |numbers| {
            numbers.rebalance().key_by(|n| n % 500).emit_at(EmitAt::EachRecord).count()
        });
        let mut owners = vec![None; 500];
        for (index, part) in parts.iter().enumerate() {
            assert!(!part.is_empty(), "partition {index} of {partitions} got nothing");
            for (key, _) in part {
                let owner = owners[*key as usize].get_or_insert(index);
                assert_eq!(*owner, index, "key {key}");
            }
        }
        assert!(owners.iter().all(Option::is_some));
    }
}

#[test]
fn modulo_deals_neighbouring_keys_out_evenly() {
    let parts = parts(2, 1_000, |numbers| numbers.key_by(|n| *n).partition_by(Modulo).count());
    for part in &parts {
        assert_eq!(part.len(), 500);
    }
    assert!(parts[0].iter().all(|(key, _)| key % 2 == parts[0][0].0 % 2), "even and odd apart");
}

#[test]
fn ranges_stay_in_order_over_the_partitions() {
    let bounds = vec![100, 700];
    let parts = parts(3, 1_000, |numbers| {
        numbers.rebalance().key_by(|n| *n).partition_by(Ranges::new(bounds)).count()
    });
    let mut lengths = Vec::new();
    let mut below = None;
    for part in &parts {
        let keys = || part.iter().map(|(key, _)| *key);
        let (low, high) = (keys().min(), keys().max());
        assert!(low > below, "{low:?} is not above {below:?}");
        (below, lengths) = (high, [lengths, vec![part.len()]].concat());
    }
    assert_eq!(lengths, [100, 600, 300]);
}

#[test]
fn custom_partitioner_puts_keys_where_it_says() {
    let parts = parts(4, 400, |numbers| {
        let keyed = numbers.key_by(|n| n % 100);
        // All groups from 3,072 on belong to the last of four partitions.
        keyed.partition_by(Custom::new(|key: &u64| if *key == 7 { 0 } else { 4_095 })).count()
    });
    assert_eq!(parts[0], [(7, 4)]);
    assert_eq!((parts[1].len(), parts[2].len(), parts[3].len()), (0, 0, 99));
}

#[test]
fn group_out_of_range_fails_the_job() {
    let pipeline = Pipeline::new("group");
    let keyed = pipeline.source(iterator(0u64..10)).key_by(|n| *n);
    let counts = keyed.partition_by(Custom::new(|_: &u64| 4_096)).count();
    counts.sink(millstream::connector::blackhole());
    let error = engine(2).run(pipeline).expect_err("4096 is none");
    assert_eq!(error.kind(), ErrorKind::JobFailed);
    assert!(error.to_string().contains("4096"), "{error}");
}

#[test]
fn rebalance_gives_every_partition_its_share() {
    let parts = parts(3, 9_000, |numbers| numbers.rebalance());
    let lengths: Vec<usize> = parts.iter().map(Vec::len).collect();
    assert_eq!(lengths.iter().sum::<usize>(), 9_000);
    assert!(lengths.iter().all(|length| *length == 3_000), "{lengths:?}");
}

#[test]
fn broadcast_gives_every_partition_everything() {
    for part in parts(3, 2_000, |numbers| numbers.broadcast()) {
        assert!(part.into_iter().eq(0..2_000), "one source, so its order is kept");
    }
}

/// Sends small numbers to the first partition and all others to the last.
#[derive(Clone)]
struct Threshold {
    calls: Arc<AtomicUsize>,
}

impl Partitioner<u64> for Threshold {
    fn name(&self) -> String {
        "threshold".to_owned()
    }

    fn partition(&mut self, record: &u64, partitions: usize) -> usize {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if *record < 10 { 0 } else { partitions - 1 }
    }
}

#[test]
fn partitioner_of_the_user_sees_every_record_once() {
    let calls = Arc::new(AtomicUsize::new(0));
    let threshold = Threshold { calls: Arc::clone(&calls) };
    let parts = parts(3, 1_000, |numbers| numbers.partition_by(threshold));
    assert!(parts[0].iter().copied().eq(0..10));
    assert!(parts[1].is_empty());
    assert!(parts[2].iter().copied().eq(10..1_000));
    assert_eq!(calls.load(Ordering::Relaxed), 1_000);
}

#[test]
fn partitioner_that_names_no_partition_fails_the_job() {
    #[derive(Clone)]
    struct Astray;
    impl Partitioner<u64> for Astray {
        fn name(&self) -> String {
            "astray".to_owned()
        }
        fn partition(&mut self, _: &u64, partitions: usize) -> usize {
            partitions
        }
    }
    let pipeline = Pipeline::new("astray");
    let numbers = pipeline.source(iterator(0u64..10)).partition_by(Astray);
    numbers.sink(millstream::connector::blackhole());
    let error = engine(2).run(pipeline).expect_err("there is no such partition");
    assert_eq!(error.kind(), ErrorKind::JobFailed, "{error}");
}

#[test]
fn every_partition_runs_its_own_clone_of_a_closure() {
    let (told, firsts) = channel();
    let pipeline = Pipeline::new("clones");
    let mut calls = 0;
    let numbered = pipeline.source(iterator(0u64..3_000)).rebalance().map(move |_| {
        calls += 1;
        calls
    });
    numbered.filter(|calls| *calls == 1).sink(millstream::connector::for_each(move |_| {
        told.send(()).unwrap_or(());
    }));
    engine(3).run(pipeline).expect("nothing fails");
    assert_eq!(firsts.iter().count(), 3);
}
