//! A job's threads are all gone once its handle is.

use std::fs;
use std::sync::mpsc::channel;

use millstream::connector::{collection, for_each, iterator};
use millstream::prelude::*;

use crate::{alone, block_on, engine};

/// Names of the threads of this process that are an engine's.
fn engine_threads() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").expect("this system lists its threads");
    // A thread may end between the two calls.
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    let mut names: Vec<String> = names
        .filter(|name| name.starts_with("mill-") || name.starts_with("actix-rt"))
        .map(|name| name.trim_end().to_owned())
        .collect();
    names.sort_unstable();
    names
}

/// A thread gets its name once it runs, and one that was joined may be listed for a moment longer.
fn assert_threads(expected: &[&str], when: &str) {
    let patience = std::time::Instant::now() + std::time::Duration::from_secs(5);
    while engine_threads() != expected {
        assert!(std::time::Instant::now() < patience, "{when}: {:?}", engine_threads());
        std::thread::yield_now();
    }
}

fn assert_all_gone(after: &str) {
    assert_threads(&[], &format!("after {after}"));
}

/// A job that is known to run.
fn running() -> Job {
    let pipeline = Pipeline::new("threads");
    let (seen, results) = channel();
    let numbers = pipeline.source(iterator(0u64..)).rebalance();
    numbers.sink(for_each(move |number| seen.send(number).unwrap_or(())));
    let job = engine(3).start(pipeline).expect("it starts");
    results.recv().expect("it runs");
    job
}

#[test]
fn every_way_to_end_a_job_ends_its_threads() {
    let _alone = alone();
    assert_all_gone("the start");

    let job = running();
    assert_threads(&["mill-p0", "mill-p1", "mill-p2", "mill-system"], "while it runs");
    drop(job);
    assert_all_gone("a drop");

    running().stop().expect("nothing failed");
    assert_all_gone("a stop");

    running().drain().expect("nothing failed");
    assert_all_gone("a drain");

    let pipeline = Pipeline::new("end");
    let all = pipeline.source(collection(vec![1, 2, 3])).collect();
    engine(3).run(pipeline).expect("nothing fails");
    assert_all_gone("a run");
    assert_eq!(all.take().len(), 3);

    let pipeline = Pipeline::new("failure");
    pipeline.source(iterator(0u64..)).map(|n| assert!(n < 100)).collect();
    engine(3).run(pipeline).expect_err("it panics");
    assert_all_gone("a failure");

    let pipeline = Pipeline::new("wrong");
    let _ = pipeline.source(iterator(0u64..));
    let Err(_) = engine(3).start(pipeline) else { panic!("a dangling stream is refused") };
    assert_eq!(engine_threads(), [""; 0], "a refused pipeline starts no thread");
}

#[test]
fn future_that_is_dropped_stops_its_job() {
    let _alone = alone();
    block_on(async {
        let mut joining = Box::pin(running().join_async());
        let first = std::future::poll_fn(|task| {
            std::task::Poll::Ready(joining.as_mut().poll(task).is_pending())
        });
        assert!(first.await, "an endless job does not end");
        drop(joining);
        assert_all_gone("a dropped future");
    });
}
