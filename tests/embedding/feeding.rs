//! Records sent into a running job, by threads and by async code.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel as std_channel};
use std::thread;
use std::time::Duration;

use millstream::config::Pin;
use millstream::connector::{TrySendError, blackhole, channel, collection, for_each, iterator};
use millstream::prelude::*;

use crate::{beside_others, block_on, engine};

/// A job that sends what it is fed to the receiver.
fn echo(engine: &Engine, capacity: usize) -> (Job, Receiver<u64>) {
    let pipeline = Pipeline::new("echo");
    let (seen, results) = std_channel();
    let numbers = pipeline.source(channel::<u64>("numbers", capacity));
    numbers.sink(for_each(move |number| seen.send(number).unwrap_or(())));
    (engine.start(pipeline).expect("it starts"), results)
}

#[test]
fn order_is_kept_per_handle() {
    let _beside = beside_others();
    let pipeline = Pipeline::new("handles");
    let pairs = pipeline.source(channel::<(usize, u64)>("pairs", 16)).collect();
    let job = engine(2).start(pipeline).expect("it starts");
    let first = job.input::<(usize, u64)>("pairs").expect("it is fed");
    let senders: Vec<_> = (0..4)
        .map(|sender| {
            let input = first.clone();
            thread::spawn(move || {
                for number in 0..5_000 {
                    input.send_blocking((sender, number)).expect("the job runs");
                }
            })
        })
        .collect();
    drop(first);
    for sender in senders {
        sender.join().expect("no panic");
    }
    assert_eq!(job.join().expect("nothing fails").records, 20_000);
    let pairs = pairs.take();
    for sender in 0..4 {
        let numbers = pairs.iter().filter(|(by, _)| *by == sender).map(|(_, number)| *number);
        assert!(numbers.eq(0..5_000), "sender {sender}");
    }
}

#[test]
fn full_input_gives_the_record_back_and_nothing_is_lost() {
    let _beside = beside_others();
    let is_open = Arc::new(AtomicBool::new(false));
    let pipeline = Pipeline::new("full");
    let valve = Arc::clone(&is_open);
    let numbers = pipeline.source(channel::<u64>("numbers", 4)).map(move |number| {
        // A partition that is busy for long, as none should be.
        while !valve.load(Ordering::Acquire) {
            thread::yield_now();
        }
        number
    });
    let numbers = numbers.collect();
    let job = engine(1).start(pipeline).expect("it starts");
    let input = job.input::<u64>("numbers").expect("it is fed");
    let mut next = 0;
    let refused = loop {
        match input.try_send(next) {
            Ok(()) => next += 1,
            Err(error) => break error,
        }
        assert!(next < 1_000_000, "an input of 4 records never fills up");
    };
    assert_eq!(refused, TrySendError::Full(next));
    let mut batch: Vec<u64> = (next..next + 3).collect();
    assert_eq!(input.send_batch(&mut batch).expect("the job runs"), 0);
    assert_eq!(batch.len(), 3, "what was not sent stays");
    is_open.store(true, Ordering::Release);
    while !batch.is_empty() {
        input.send_batch(&mut batch).expect("the job runs");
    }
    drop(input);
    job.join().expect("nothing fails");
    assert!(numbers.take().into_iter().eq(0..next + 3));
}

#[test]
fn awaited_sends_are_slowed_to_the_pace_of_the_job() {
    let _beside = beside_others();
    block_on(async {
        let (job, results) = echo(&engine(1), 1);
        let input = job.input::<u64>("numbers").expect("it is fed");
        for number in 0..5_000 {
            input.send(number).await.expect("the job runs");
        }
        drop(input);
        job.join_async().await.expect("nothing fails");
        assert!(results.iter().eq(0..5_000));
    });
}

#[test]
fn wrong_name_and_wrong_type_are_told() {
    let _beside = beside_others();
    let (job, _results) = echo(&engine(2), 4);
    let error = job.input::<u64>("number\n").expect_err("there is no such input");
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    assert_eq!(error.to_string(), "no input `number\\n`; there are: numbers");
    let error = job.input::<u32>("numbers").expect_err("it takes u64");
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    assert!(error.to_string().contains("`numbers` takes no u32"), "{error}");
    job.stop().expect("nothing failed");

    let pipeline = Pipeline::new("unfed");
    pipeline.source(collection(vec![1])).sink(blackhole());
    let job = engine(1).start(pipeline).expect("it starts");
    let error = job.input::<u64>("numbers").expect_err("it is not fed");
    assert_eq!(error.to_string(), "no input `numbers`; there are: none");
    job.join().expect("nothing fails");
}

#[test]
fn two_inputs_of_one_name_are_refused() {
    let _beside = beside_others();
    let pipeline = Pipeline::new("twins");
    pipeline.source(channel::<u64>("orders", 4)).sink(blackhole());
    pipeline.source(channel::<u32>("orders", 4)).sink(blackhole());
    let error = engine(1).start(pipeline).err().expect("which one is meant?");
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    assert!(error.to_string().contains("`orders`"), "{error}");
}

#[test]
fn drain_ends_the_input_and_keeps_what_was_let_in() {
    let _beside = beside_others();
    let (job, results) = echo(&engine(2), 64);
    let input = job.input::<u64>("numbers").expect("it is fed");
    for number in 0..100 {
        input.send_blocking(number).expect("the job runs");
    }
    for number in 0..100 {
        assert_eq!(results.recv().expect("it arrives"), number);
    }
    let report = job.drain().expect("nothing fails");
    assert_eq!(report.records, 100);
    assert_eq!(input.try_send(7), Err(TrySendError::Closed(7)));
    assert_eq!(results.iter().count(), 0);
}

#[test]
fn closing_one_handle_ends_the_job() {
    let _beside = beside_others();
    let (job, results) = echo(&engine(2), 8);
    let input = job.input::<u64>("numbers").expect("it is fed");
    let other = input.clone();
    input.send_blocking(1).expect("the job runs");
    other.send_blocking(2).expect("the job runs");
    input.close();
    assert_eq!(other.try_send(3), Err(TrySendError::Closed(3)));
    assert_eq!(job.join().expect("nothing fails").records, 2);
    assert_eq!(results.iter().sum::<u64>(), 3);
}

#[test]
fn input_that_nobody_asked_for_does_not_keep_the_job() {
    let _beside = beside_others();
    let pipeline = Pipeline::new("unasked");
    pipeline.source(channel::<u64>("numbers", 4)).sink(blackhole());
    assert_eq!(engine(2).run(pipeline).expect("it ends").records, 0);
}

#[test]
fn who_waits_for_room_is_told_when_the_job_fails() {
    let _beside = beside_others();
    let pipeline = Pipeline::new("fails");
    let numbers = pipeline.source(channel::<u64>("numbers", 2));
    numbers.map(|number| assert!(number < 100, "planted")).sink(blackhole());
    let job = engine(1).start(pipeline).expect("it starts");
    let input = job.input::<u64>("numbers").expect("it is fed");
    let refused = (0..).find_map(|number| input.send_blocking(number).err());
    let refused = refused.expect("it fails").into_record();
    assert!(refused > 100, "{refused}");
    let error = job.join().expect_err("it failed");
    assert!(error.to_string().contains("operator `map`"), "{error}");
}

#[test]
fn parked_partitions_wake_up_for_every_record() {
    let _beside = beside_others();
    // No spinning: a partition parks as soon as it has nothing to do.
    let config = Config::builder().partitions(2).pin(Pin::Off).spin_us(0).build();
    let engine = Engine::new(config.expect("in bounds")).expect("no core is asked for");
    let pipeline = Pipeline::new("parked");
    let (seen, results) = std_channel();
    let numbers = pipeline.source(channel::<u64>("numbers", 4));
    let counts = numbers.key_by(|number| *number).emit_at(EmitAt::EachRecord).count();
    counts.sink(for_each(move |count| seen.send(count).unwrap_or(())));
    let job = engine.start(pipeline).expect("it starts");
    let input = job.input::<u64>("numbers").expect("it is fed");
    let other = input.clone();
    for round in 0..500 {
        let sender = if round % 2 == 0 { &input } else { &other };
        sender.send_blocking(round % 16).expect("the job runs");
        let result = results.recv_timeout(Duration::from_secs(10));
        assert_eq!(result.expect("a wake-up was lost"), (round % 16, round / 16 + 1));
    }
    drop((input, other));
    job.join().expect("nothing fails");
}

#[test]
fn source_that_waits_leaves_the_others_running() {
    let _beside = beside_others();
    let pipeline = Pipeline::new("both");
    let fed = pipeline.source(channel::<u64>("numbers", 4));
    let all = fed.union(pipeline.source(iterator(0u64..10_000))).rebalance().collect();
    let job = engine(2).start(pipeline).expect("it starts");
    let input = job.input::<u64>("numbers").expect("it is fed");
    while job.records() < 10_000 {
        thread::yield_now();
    }
    input.send_blocking(1).expect("the job runs");
    drop(input);
    job.join().expect("nothing fails");
    assert_eq!(all.take().len(), 10_001);
}
