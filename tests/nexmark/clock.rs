//! q12 on a manual clock that follows event time, where its windows are those of event time.

use millstream::connector::event_times::BASE_TIME;
use millstream::connector::nexmark::result::BidderCount;
use millstream::connector::nexmark::{Event, Nexmark};
use millstream::dataflow::{Collector, Emit, Polled, Source, SourceConnector, TaskContext};
use millstream::nexmark;
use millstream::prelude::*;
use millstream::testing::simulation::Simulation;
use millstream::time::Nanos;

use crate::oracle;

const NANOS_PER_MILLI: Nanos = 1_000_000;

/// The rows of q12 over the first `count` events of `input`, each of which comes when the clock of
/// the job, which begins at [`BASE_TIME`], shows its time.
pub(crate) fn q12(input: Nexmark, count: u64, partitions: usize) -> Vec<BidderCount> {
    let pipeline = Pipeline::new("nexmark-q12");
    let rows = nexmark::q12(pipeline.source(Following { input, count })).collect();
    let simulation = Simulation::seeded(1).partitions(partitions).batch_size(64);
    let mut job = simulation.build(pipeline).unwrap();
    let clock = job.clock().clone();
    let last = input.event(count - 1).time().as_millis() - BASE_TIME.as_millis();
    for _ in 0..=last {
        // Within each millisecond the clock also passes the time for which an outbox waits.
        for part in [NANOS_PER_MILLI * 6 / 10, NANOS_PER_MILLI * 4 / 10] {
            while progresses(job.partitions()) {}
            clock.advance(part);
        }
    }
    job.run().unwrap();
    let row = |row: BidderCount| BidderCount {
        window: row.window.plus_millis(BASE_TIME.as_millis()),
        ..row
    };
    let mut rows: Vec<BidderCount> = rows.take().into_iter().map(row).collect();
    rows.sort();
    rows
}

fn progresses(partitions: &mut [millstream::runtime::Partition]) -> bool {
    let turns = partitions.iter_mut().map(|partition| partition.turn().unwrap().progressed);
    turns.fold(false, |any, progressed| any | progressed)
}

/// Events that come at their times.
struct Following {
    input: Nexmark,
    count: u64,
}

impl SourceConnector for Following {
    type Item = Event;
    type Source = FollowingSource;

    fn name(&self) -> String {
        "following".to_owned()
    }

    fn open(&mut self, context: &TaskContext) -> millstream::Result<FollowingSource> {
        let mut events = Vec::new();
        let mut dealt =
            self.input.partition(context.partition, context.partitions, Some(self.count));
        dealt.fill(usize::MAX, &mut events);
        events.reverse();
        Ok(FollowingSource { events, started: context.now })
    }
}

struct FollowingSource {
    /// The next one is the last.
    events: Vec<Event>,
    started: Nanos,
}

impl Source for FollowingSource {
    type Item = Event;

    fn poll<E: Emit<Event>>(
        &mut self,
        max: usize,
        now: Nanos,
        out: &mut Collector<'_, E>,
    ) -> millstream::Result<Polled> {
        for _ in 0..max {
            let Some(next) = self.events.last() else { return Ok(Polled::Done) };
            let passed = next.time().as_millis() - BASE_TIME.as_millis();
            let due = self.started + passed as Nanos * NANOS_PER_MILLI;
            if due > now {
                return Ok(Polled::Until(due));
            }
            out.emit_all(self.events.pop());
        }
        Ok(Polled::Ready)
    }
}

#[test]
fn q12_gives_the_bids_of_bidders_on_a_clock_that_follows_event_time() {
    for (seed, partitions) in [(1, 1), (2, 2), (3, 3)] {
        let input = Nexmark::new(seed, 400).unwrap();
        let count = 20_000;
        let events: Vec<Event> = (0..count).map(|index| input.event(index)).collect();
        let rows = q12(input, count, partitions);
        let last = rows.iter().map(|row| row.window).max();
        assert_eq!(last, Some(BASE_TIME.plus_millis(40_000)), "there are five windows");
        assert_eq!(rows, oracle::q12(&events), "seed {seed}, {partitions} partitions");
    }
}
