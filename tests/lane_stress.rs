//! Two threads and a lane between them: everything in order, nothing lost, nobody left asleep.
//!
//! It is small enough for a race detector; `benches/drd` runs it under valgrind's.
#![allow(clippy::disallowed_methods)]

use std::thread;
use std::time::{Duration, Instant};

use millstream::exchange::lane::{LaneReceiver, LaneSender, Message, lane};
use millstream::exchange::wake::{Sleeper, wake_pair};
use millstream::record::Batch;

const BATCHES: u64 = 100_000;
/// A sleep that nobody ends within this time was forgotten: the other side needs a millisecond.
const FORGOTTEN: Duration = Duration::from_secs(30);

/// Looks until `look` finds something, asleep in between; returns how often it slept.
fn wait_for<R>(sleeper: &mut Sleeper, sleeps: &mut u64, mut look: impl FnMut() -> Option<R>) -> R {
    loop {
        if let Some(found) = look() {
            return found;
        }
        sleeper.announce();
        if let Some(found) = look() {
            sleeper.withdraw();
            return found;
        }
        *sleeps += 1;
        let asleep_at = Instant::now();
        sleeper.sleep_thread(FORGOTTEN);
        assert!(asleep_at.elapsed() < FORGOTTEN, "nobody woke this side");
    }
}

/// What one side saw.
#[derive(Debug, Default)]
struct Seen {
    sleeps: u64,
    buffers_reused: u64,
}

fn produce(mut sender: LaneSender<u64>, mut sleeper: Sleeper) -> Seen {
    sleeper.bind_to_current_thread();
    let mut seen = Seen::default();
    for number in 0..BATCHES {
        let mut batch = match sender.take_spare() {
            Some(spare) => {
                seen.buffers_reused += 1;
                spare
            }
            None => Batch::new(),
        };
        assert!(batch.is_empty(), "a buffer came home with records");
        batch.records.extend([number, !number]);
        let mut waiting = Some(batch);
        wait_for(&mut sleeper, &mut seen.sleeps, || {
            let refused = sender.try_send(waiting.take().expect("refused or not yet sent"));
            waiting = refused.err();
            waiting.is_none().then_some(())
        });
    }
    assert!(sender.try_end(), "the control slot is never taken by data");
    seen
}

fn consume(mut receiver: LaneReceiver<u64>, mut sleeper: Sleeper) -> Seen {
    sleeper.bind_to_current_thread();
    let mut seen = Seen::default();
    for number in 0..BATCHES {
        let message = wait_for(&mut sleeper, &mut seen.sleeps, || receiver.try_recv());
        let Message::Batch(batch) = message else { panic!("the end came after {number} batches") };
        assert_eq!(batch.records, [number, !number], "in order, none lost, none twice");
        receiver.give_back(batch);
    }
    let last = wait_for(&mut sleeper, &mut seen.sleeps, || receiver.try_recv());
    assert!(matches!(last, Message::End), "nothing follows the last batch");
    assert!(receiver.is_empty());
    seen
}

fn exchange(capacity: usize) -> (Seen, Seen) {
    let ((producer, wake_producer), (consumer, wake_consumer)) = (wake_pair(), wake_pair());
    let (sender, receiver) = lane(capacity, Some(wake_producer), Some(wake_consumer));
    let producing = thread::spawn(move || produce(sender, producer));
    let consuming = thread::spawn(move || consume(receiver, consumer));
    let produced = producing.join().expect("the producer found nothing wrong");
    (produced, consuming.join().expect("the consumer found nothing wrong"))
}

#[test]
fn numbered_batches_arrive_in_order_with_both_sides_sleeping() {
    let (produced, consumed) = exchange(8);
    assert!(produced.buffers_reused > BATCHES / 2, "{produced:?}");
    assert!(consumed.sleeps > 0, "a consumer that never slept tests no wake-up");
}

#[test]
fn lane_of_one_batch_wakes_its_producer_for_every_room() {
    let (produced, _) = exchange(1);
    assert!(produced.sleeps > 0, "a producer that never slept tests no wake-up");
}
