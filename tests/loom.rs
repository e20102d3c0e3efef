//! The protocols of lanes and sleep under the model checker: every interleaving of two threads.
//!
//! `RUSTFLAGS="--cfg millstream_loom" cargo test --release --test loom`
#![cfg(millstream_loom)]

use std::task::Poll;
use std::time::Duration;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use millstream::exchange::lane::{LaneReceiver, LaneSender, Message, lane};
use millstream::exchange::wake::{Sleeper, Wake, wake_pair};
use millstream::record::Batch;

/// Any interleaving with at most three preemptions; a lost wake-up needs one or two. A thread that
/// nobody wakes shows as a deadlock, which loom reports.
fn model(check: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(check);
}

/// Under the model there is no time: only a wake-up ends a sleep.
const FOR_EVER: Duration = Duration::MAX;

/// Looks until `look` finds something, asleep in between, as a partition on a thread does.
fn wait_for<R>(sleeper: &mut Sleeper, mut look: impl FnMut() -> Option<R>) -> R {
    loop {
        if let Some(found) = look() {
            return found;
        }
        sleeper.announce();
        if let Some(found) = look() {
            sleeper.withdraw();
            return found;
        }
        sleeper.sleep_thread(FOR_EVER);
    }
}

#[test]
fn work_before_a_wake_is_never_slept_through() {
    model(|| {
        let (mut sleeper, wake) = wake_pair();
        sleeper.bind_to_current_thread();
        let work = Arc::new(AtomicUsize::new(0));
        let producer = {
            let work = Arc::clone(&work);
            thread::spawn(move || {
                work.store(1, Ordering::Relaxed);
                wake.wake();
            })
        };
        wait_for(&mut sleeper, || (work.load(Ordering::Relaxed) == 1).then_some(()));
        producer.join().expect("no panic");
    });
}

#[test]
fn two_wakers_lose_no_work() {
    model(|| {
        let (mut sleeper, wake) = wake_pair();
        sleeper.bind_to_current_thread();
        let work = Arc::new(AtomicUsize::new(0));
        let producers = [(); 2].map(|()| {
            let (work, wake) = (Arc::clone(&work), wake.clone());
            thread::spawn(move || {
                work.fetch_add(1, Ordering::Relaxed);
                wake.wake();
            })
        });
        wait_for(&mut sleeper, || (work.load(Ordering::Relaxed) == 2).then_some(()));
        for producer in producers {
            producer.join().expect("no panic");
        }
    });
}

#[test]
fn task_that_registers_and_announces_is_polled_again() {
    model(|| {
        let (mut sleeper, wake) = wake_pair();
        let work = Arc::new(AtomicUsize::new(0));
        let producer = {
            let work = Arc::clone(&work);
            thread::spawn(move || {
                work.store(1, Ordering::Relaxed);
                wake.wake();
            })
        };
        loom::future::block_on(std::future::poll_fn(|task| {
            sleeper.withdraw();
            sleeper.register(task.waker());
            sleeper.announce();
            match work.load(Ordering::Relaxed) {
                0 => Poll::Pending,
                _ => Poll::Ready(()),
            }
        }));
        producer.join().expect("no panic");
    });
}

type Ends = (LaneSender<u64>, LaneReceiver<u64>, Sleeper, Sleeper);

/// A lane between two partitions, with what each of them sleeps in.
fn lane_between(capacity: usize) -> Ends {
    let ((producer, wake_producer), (consumer, wake_consumer)): ((Sleeper, Wake), (Sleeper, Wake)) =
        (wake_pair(), wake_pair());
    let (sender, receiver) = lane(capacity, Some(wake_producer), Some(wake_consumer));
    (sender, receiver, producer, consumer)
}

/// Sends `count` batches of one record each, numbered from 0, and the end. Sleeps while the lane
/// is full. Uses buffers that came home.
fn send_numbered(sender: &mut LaneSender<u64>, sleeper: &mut Sleeper, count: u64) {
    for number in 0..count {
        let mut batch = sender.take_spare().unwrap_or_default();
        assert!(batch.is_empty(), "a buffer came home with records");
        batch.push(number);
        let mut waiting = Some(batch);
        wait_for(sleeper, || {
            let refused = sender.try_send(waiting.take().expect("refused or not yet sent"));
            waiting = refused.err();
            waiting.is_none().then_some(())
        });
    }
    assert!(sender.try_end(), "the control slot is never taken by data");
}

/// Takes everything up to the end. Sleeps while the lane is empty. Sends buffers home.
fn receive_numbered(receiver: &mut LaneReceiver<u64>, sleeper: &mut Sleeper) -> u64 {
    let mut expected = 0;
    loop {
        match wait_for(sleeper, || receiver.try_recv()) {
            Message::Batch(batch) => {
                assert_eq!(batch.records, [expected], "in order, none lost, none twice");
                expected += 1;
                receiver.give_back(batch);
            }
            Message::Mark(_) => unreachable!("nobody marks"),
            Message::End => return expected,
        }
    }
}

/// `count` batches over a lane of `capacity`, both ends asleep when they have nothing to do.
fn exchange(capacity: usize, count: u64) {
    model(move || {
        let (mut sender, mut receiver, mut producer, mut consumer) = lane_between(capacity);
        let sending = thread::spawn(move || {
            producer.bind_to_current_thread();
            send_numbered(&mut sender, &mut producer, count);
        });
        consumer.bind_to_current_thread();
        assert_eq!(receive_numbered(&mut receiver, &mut consumer), count);
        sending.join().expect("no panic");
    });
}

#[test]
fn consumer_that_runs_dry_is_woken() {
    exchange(2, 2);
}

#[test]
fn producer_before_a_full_lane_is_woken_by_the_first_room() {
    exchange(1, 2);
}

#[test]
fn three_batches_and_their_buffers_go_round_a_lane_of_one() {
    exchange(1, 3);
}

#[test]
fn end_finds_its_slot_and_follows_all_data() {
    model(|| {
        let (mut sender, mut receiver, _producer, mut consumer) = lane_between(1);
        let sending = thread::spawn(move || {
            let mut batch = Batch::new();
            batch.push(0);
            sender.try_send(batch).expect("the lane is empty");
            assert!(sender.try_end());
        });
        consumer.bind_to_current_thread();
        assert_eq!(receive_numbered(&mut receiver, &mut consumer), 1);
        sending.join().expect("no panic");
    });
}
