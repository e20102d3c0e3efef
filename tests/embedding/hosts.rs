//! Engines started on every kind of thread that a program may have.

use actix::{Actor, Context, Handler, Message};

use millstream::connector::{channel, channel_sink, collection, iterator};
use millstream::prelude::*;

use crate::{beside_others, block_on, engine};

/// Runs a job to its end and returns what it computed: 499,500.
async fn sum_of_a_thousand() -> u64 {
    let (job, sums) = {
        // A pipeline does not outlive its start, so that the future can change its thread.
        let pipeline = Pipeline::new("sum");
        let numbers = pipeline.source(iterator(0u64..1_000)).rebalance();
        let sums = numbers.key_by(|_| ()).sum(|number| *number).collect();
        (engine(2).start(pipeline).expect("it starts"), sums)
    };
    let report = job.join_async().await.expect("nothing fails");
    assert_eq!(report.records, 1_000);
    sums.take().iter().map(|(_, sum)| sum).sum()
}

#[test]
fn inside_tokio_on_one_thread() {
    let _beside = beside_others();
    block_on(async {
        assert_eq!(sum_of_a_thousand().await, 499_500);
    });
}

#[test]
fn inside_tokio_on_many_threads() {
    let _beside = beside_others();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build();
    runtime.expect("a runtime").block_on(async {
        let jobs: Vec<_> = (0..4).map(|_| tokio::spawn(sum_of_a_thousand())).collect();
        for job in jobs {
            assert_eq!(job.await.expect("no panic"), 499_500);
        }
    });
}

#[test]
fn inside_an_actix_system() {
    let _beside = beside_others();
    let sum = actix::System::new().block_on(sum_of_a_thousand());
    assert_eq!(sum, 499_500);
}

struct Square(u64);

impl Message for Square {
    type Result = u64;
}

/// An actor of the program that runs a job per message.
struct Squares;

impl Actor for Squares {
    type Context = Context<Self>;
}

impl Handler<Square> for Squares {
    type Result = u64;

    fn handle(&mut self, Square(side): Square, _: &mut Self::Context) -> u64 {
        let pipeline = Pipeline::new("square");
        let squares = pipeline.source(collection(vec![side])).map(|side| side * side).collect();
        engine(2).run(pipeline).expect("nothing fails");
        squares.take()[0]
    }
}

#[test]
fn inside_an_actor_and_the_actor_s_system_lives_on() {
    let _beside = beside_others();
    actix::System::new().block_on(async {
        let squares = Squares.start();
        for side in 1..4 {
            assert_eq!(squares.send(Square(side)).await.expect("the actor lives"), side * side);
        }
    });
}

#[test]
fn on_a_pinned_thread() {
    let _beside = beside_others();
    let pinned = std::thread::spawn(|| {
        let cores = core_affinity::get_core_ids().expect("this system tells its cores");
        assert!(core_affinity::set_for_current(cores[0]), "a thread may pin itself");
        let engine = Engine::new(Config::builder().partitions(2).build().expect("in bounds"));
        let pipeline = Pipeline::new("pinned");
        let all = pipeline.source(iterator(0u64..10_000)).rebalance().collect();
        let report = engine.expect("a warning, no error").run(pipeline).expect("it runs");
        assert_eq!(all.take().len(), 10_000);
        let allowed = core_affinity::get_core_ids().expect("this system tells its cores");
        assert_eq!(allowed, [cores[0]], "the caller's own core is left as it was");
        report
    });
    let report = pinned.join().expect("no panic");
    assert!(!report.warnings.is_empty(), "two partitions share the one core of their thread");
}

#[test]
fn async_stop_and_drain_end_a_fed_job() {
    let _beside = beside_others();
    block_on(async {
        for stop in [true, false] {
            let pipeline = Pipeline::new("fed");
            let numbers = pipeline.source(channel::<u64>("numbers", 4));
            let doubled = numbers.map(|number| number * 2).collect();
            let job = engine(2).start(pipeline).expect("it starts");
            let numbers = job.input::<u64>("numbers").expect("it is fed");
            if stop {
                job.stop_async().await.expect("nothing failed");
            } else {
                let report = job.drain_async().await.expect("nothing failed");
                assert_eq!(report.records, doubled.take().len() as u64);
            }
            let refused = numbers.send(7).await.expect_err("the job has ended");
            assert_eq!(refused.into_record(), 7);
        }
    });
}

#[test]
fn results_are_awaited_while_records_are_sent() {
    let _beside = beside_others();
    block_on(async {
        let (sink, mut results) = channel_sink(8);
        let job = {
            let pipeline = Pipeline::new("ask");
            pipeline.source(channel::<u64>("in", 8)).rebalance().map(|n| n + 1).sink(sink);
            engine(2).start(pipeline).expect("it starts")
        };
        let input = job.input::<u64>("in").expect("it is fed");
        for number in 0..200 {
            input.send(number).await.expect("the job runs");
            assert_eq!(results.recv().await, Some(number + 1));
        }
        drop(input);
        assert_eq!(results.recv().await, None);
        job.join_async().await.expect("nothing fails");
    });
}

#[test]
fn handles_cross_threads() {
    fn crosses<T: Send>() {}
    fn is_shared<T: Send + Sync + Clone>() {}
    crosses::<Job>();
    crosses::<millstream::metrics::Report>();
    is_shared::<Engine>();
    is_shared::<Config>();
    is_shared::<millstream::connector::Input<u64>>();
    is_shared::<millstream::connector::Collected<u64>>();
}
