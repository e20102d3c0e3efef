//! `async_map` and `rate_limit` in whole jobs: what they promise about order, time, loss and rest.
#![allow(clippy::disallowed_methods)]

use std::future::{pending, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use millstream::config::Config;
use millstream::connector::{blackhole, channel, iterator};
use millstream::dataflow::{Chain, Collector, Emit, Flow, Operator, Timed};
use millstream::operator::Failure;
use millstream::prelude::*;
use millstream::testing::Random;
use millstream::testing::harness::Harness;
use millstream::testing::simulation::Simulation;
use millstream::time::Timestamp;
use millstream::time::watermark::BoundedDisorder;

const SEEDS: u64 = 200;

/// Fails for every seventh record, and needs another poll for every third.
async fn squared(n: u64) -> std::result::Result<u64, String> {
    if n.is_multiple_of(3) {
        let mut is_second = false;
        std::future::poll_fn(|context| {
            context.waker().wake_by_ref();
            let polled = is_second;
            is_second = true;
            if polled { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
    }
    if n % 7 == 6 { Err(format!("{n} is not liked")) } else { Ok(n * n) }
}

/// Sees to it that no record comes behind a watermark that says it is over.
#[derive(Clone)]
struct Watch {
    watermark: Timestamp,
    watermarks: Arc<AtomicUsize>,
}

impl<T: Send + 'static> Operator<T> for Watch {
    type Out = (T, Timestamp);
    const NAME: &'static str = "watch";

    fn on_record<E: Emit<Self::Out>>(&mut self, record: T, out: &mut Collector<'_, E>) {
        assert!(out.time() > self.watermark, "{} behind {}", out.time(), self.watermark);
        out.emit((record, out.time()));
    }

    fn on_watermark<E: Emit<Self::Out>>(
        &mut self,
        watermark: Timestamp,
        _: &mut Collector<'_, E>,
    ) -> Flow {
        assert!(watermark > self.watermark, "{watermark} after {}", self.watermark);
        self.watermark = watermark;
        self.watermarks.fetch_add(1, Ordering::Relaxed);
        Flow::Done
    }
}

/// The numbers below 60 in disorder, with their time, of which some are late by no means.
fn timed(pipeline: &Pipeline, seed: u64) -> DataStream<impl Chain<Out = u64, Time = Timed>> {
    let mut random = Random::seeded(seed);
    let mut numbers: Vec<u64> = (0..60).collect();
    for start in 0..55 {
        numbers.swap(start, start + random.index(5));
    }
    let disorder = BoundedDisorder::new(Duration::from_millis(60));
    pipeline.source(iterator(numbers)).assign_timestamps(|n| *n as i64, disorder)
}

#[test]
fn everything_comes_out_once_and_no_watermark_is_overtaken_in_any_simulated_order() {
    let seen = Arc::new(AtomicUsize::new(0));
    for seed in 0..SEEDS {
        let pipeline = Pipeline::new("squares");
        let numbers = timed(&pipeline, seed);
        let asked = numbers.async_map(squared).concurrency(1 + seed as usize % 7);
        let asked = asked.retry(1 + seed as u32 % 3, Duration::from_micros(seed % 50));
        let asked = if seed % 2 == 0 { asked.ordered() } else { asked.unordered() };
        let watch = Watch { watermark: Timestamp::MIN, watermarks: Arc::clone(&seen) };
        let (results, failed) = asked.split();
        let results = results.apply(watch.clone()).collect();
        let failed = failed.apply(watch).collect();
        let report = Simulation::seeded(seed).run(pipeline).unwrap();
        let mut results = results.take();
        if seed % 2 == 1 {
            results.sort();
        }
        let mut expected: Vec<_> = (0..60u64).filter(|n| n % 7 != 6).collect();
        if seed % 2 == 0 {
            let order = in_order(seed);
            expected = order.into_iter().filter(|n| n % 7 != 6).collect();
        }
        let at = |n: u64| Timestamp::from_millis(n as i64);
        assert_eq!(
            results,
            expected.iter().map(|n| (n * n, at(*n))).collect::<Vec<_>>(),
            "seed {seed}"
        );
        assert_eq!((failed.take().len(), report.dead_letter), (8, 8), "seed {seed}");
    }
    assert!(seen.load(Ordering::Relaxed) as u64 > SEEDS * 10, "watermarks go through");
}

/// The numbers as [`timed`] has them.
fn in_order(seed: u64) -> Vec<u64> {
    let pipeline = Pipeline::new("plain");
    let plain = timed(&pipeline, seed).collect();
    Simulation::seeded(seed).run(pipeline).expect("it runs");
    plain.take()
}

#[test]
fn future_that_never_ends_is_given_up_and_tried_again() {
    for seed in 0..SEEDS {
        let pipeline = Pipeline::new("stuck");
        let (results, failed) = pipeline
            .source(iterator(0..20u64))
            .async_map(|n| async move {
                if n == 7 {
                    pending::<()>().await;
                }
                Ok::<_, String>(n)
            })
            .concurrency(4)
            .timeout(Duration::from_secs(3_600))
            .retry(3, Duration::from_secs(60))
            .split();
        let (results, failed) = (results.collect(), failed.collect());
        let report = Simulation::seeded(seed).run(pipeline).unwrap();
        assert_eq!(results.take().len(), 19, "seed {seed}");
        let failed = failed.take().remove(0);
        assert_eq!((failed.record, failed.attempts), (7, 3));
        assert_eq!(failed.failure, Failure::TimedOut);
        assert!(report.seconds >= 3.0 * 3_600.0 + 60.0 + 120.0);
    }
}

#[test]
fn partition_rests_while_futures_are_under_way_and_wakes_to_give_them_up() {
    let pipeline = Pipeline::new("resting");
    let (results, failed) = pipeline
        .source(iterator(0..20u64))
        .async_map(|_| pending::<std::result::Result<(), String>>())
        .concurrency(2)
        .timeout(Duration::from_millis(5))
        .split();
    results.sink(blackhole());
    let failed = failed.collect();
    let mut job = Simulation::seeded(1).partitions(1).build(pipeline).unwrap();
    let clock = job.clock().clone();
    let mut rests = 0;
    loop {
        let turn = job.partitions()[0].turn().unwrap();
        if turn.done {
            break;
        }
        if turn.progressed {
            continue;
        }
        rests += 1;
        let now = job.partitions()[0].now();
        let wake_at = turn.wake_at.expect("the time-out wakes it");
        assert!(wake_at > now, "no turn is wasted on waiting");
        clock.advance(wake_at - now);
    }
    assert_eq!(failed.take().len(), 20);
    assert!((10..20).contains(&rests), "two at a time: {rests}");
}

#[test]
fn rate_is_kept_and_nothing_is_lost() {
    for seed in 0..SEEDS {
        let pipeline = Pipeline::new("limited");
        let passed = pipeline.source(iterator(0..100u64)).rate_limit(1_000).collect();
        let job = Simulation::seeded(seed).partitions(1 + seed as usize % 4);
        let report = job.run(pipeline).unwrap();
        assert_eq!(passed.take(), (0..100).collect::<Vec<_>>(), "seed {seed}");
        let least = 0.09 * (1 + seed % 4) as f64; // 10 ms worth may be saved up.
        let most = 0.11 * (1 + seed % 4) as f64;
        assert!((least..most).contains(&report.seconds), "seed {seed}: {}", report.seconds);
    }
}

#[test]
fn limit_behind_an_operator_that_emits_at_the_end_holds_nothing_up() {
    for seed in 0..SEEDS {
        let pipeline = Pipeline::new("limited end");
        let counts = pipeline.source(iterator(0..200u64)).key_by(|n| n % 100).count();
        let counts = counts.rate_limit(1_000_000).rate_limit(500_000).collect();
        Simulation::seeded(seed).run(pipeline).expect("it runs");
        assert_eq!(counts.take().len(), 100, "seed {seed}");
    }
}

/// Emits the number of records since it was told last, every 10 ns.
#[derive(Clone, Default)]
struct Metronome {
    count: u64,
    next: u64,
}

impl Operator<u64> for Metronome {
    type Out = u64;
    const NAME: &'static str = "metronome";

    fn on_record<E: Emit<u64>>(&mut self, _: u64, _: &mut Collector<'_, E>) {
        self.count += 1;
    }

    fn on_clock<E: Emit<u64>>(&mut self, now: u64, out: &mut Collector<'_, E>) -> Flow {
        out.emit(std::mem::take(&mut self.count));
        self.next = now + 10;
        Flow::Done
    }

    fn wake_at(&self) -> Option<u64> {
        Some(self.next)
    }
}

#[test]
fn operator_is_told_of_time_when_it_asked_for_it() {
    let mut harness = Harness::of_operator(Metronome::default());
    harness.feed([1, 2, 3]);
    assert_eq!(harness.take_emitted(), [0], "at once, as it asked");
    assert!(!harness.advance_clock(Duration::from_nanos(9)));
    assert!(harness.advance_clock(Duration::from_nanos(1)));
    harness.feed([4]);
    assert!(harness.advance_clock(Duration::from_nanos(15)));
    harness.end();
    assert_eq!(harness.take_emitted(), [3, 1]);
}

fn engine() -> Engine {
    let config = Config::builder().partitions(2).build();
    Engine::new(config.expect("a valid configuration")).expect("an engine")
}

#[test]
fn panic_in_a_future_fails_its_record_and_nothing_else() {
    let pipeline = Pipeline::new("panics");
    let (results, failed) = pipeline
        .source(iterator(0..10u64))
        .async_map(|n| {
            assert_ne!(n, 4, "planted in the call");
            async move {
                assert_ne!(n, 5, "planted in the future");
                Ok::<_, String>(n)
            }
        })
        .split();
    let (results, failed) = (results.collect(), failed.collect());
    engine().run(pipeline).unwrap();
    assert_eq!(results.take(), [0, 1, 2, 3, 6, 7, 8, 9]);
    let failed: Vec<String> = failed.take().iter().map(|one| one.failure.to_string()).collect();
    assert!(failed[0].contains("operator `async_map` panicked") && failed[0].contains("the call"));
    assert!(failed[1].contains("planted in the future"), "{failed:?}");
}

#[test]
fn futures_run_on_a_thread_of_their_own_and_drain_waits_for_them() {
    let pipeline = Pipeline::new("threads");
    let (names, failed) = pipeline
        .source(channel::<u64>("numbers", 1_000))
        .async_map(|_| async {
            let thread = std::thread::current();
            // Back to the executor once, so that some are under way at the end.
            tokio::task::yield_now().await;
            Ok::<_, String>(thread.name().unwrap_or_default().to_owned())
        })
        .unordered()
        .concurrency(16)
        .split();
    failed.sink(blackhole());
    let names = names.collect();
    let job = engine().start(pipeline).unwrap();
    let numbers = job.input::<u64>("numbers").unwrap();
    for n in 0..1_000 {
        numbers.send_blocking(n).unwrap();
    }
    drop(numbers);
    job.join().unwrap();
    let names = names.take();
    assert_eq!(names.len(), 1_000);
    assert!(names.iter().all(|name| name == "mill-async"), "{}", names[0]);
}

#[test]
fn stopped_job_drops_the_futures_under_way() {
    struct Guard(Arc<AtomicUsize>);
    impl Drop for Guard {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }
    let (alive, (began, has_begun)) = (Arc::new(AtomicUsize::new(0)), std::sync::mpsc::channel());
    let pipeline = Pipeline::new("stopped");
    let counter = Arc::clone(&alive);
    let (results, failed) = pipeline
        .source(iterator(0..8u64))
        .async_map(move |_| {
            counter.fetch_add(1, Ordering::SeqCst);
            let guard = Guard(Arc::clone(&counter));
            let began = began.clone();
            async move {
                began.send(()).unwrap();
                pending::<()>().await;
                drop(guard);
                Ok::<_, String>(())
            }
        })
        .split();
    results.sink(blackhole());
    failed.sink(blackhole());
    let job = engine().start(pipeline).unwrap();
    (0..8).for_each(|_| has_begun.recv().unwrap());
    job.stop().unwrap();
    assert_eq!(alive.load(Ordering::SeqCst), 0);
}

#[test]
fn wrong_bounds_are_all_told_before_the_start() {
    let pipeline = Pipeline::new("wrong");
    let asked = pipeline.source(iterator(0..8u64)).rate_limit(0).sample(f64::NAN, 1);
    let asked = asked.sample(1.5, 1).async_map(|n| ready(Ok::<_, String>(n)));
    let asked = asked.concurrency(0).timeout(Duration::ZERO).retry(0, Duration::ZERO);
    asked.sink(blackhole());
    let error = engine().run(pipeline).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    let told = error.to_string();
    for part in [
        "rate limit of 0",
        "fraction NaN",
        "fraction 1.5",
        "concurrency of 0",
        "time-out of 0",
        "0 attempts",
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }
}
