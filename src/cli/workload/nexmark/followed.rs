//! q12 on a manual clock that follows event time, so that its rows are those of event time and can
//! be compared with another engine's.

use std::vec::IntoIter;

use crate::connector::event_times::BASE_TIME;
use crate::connector::nexmark::result::BidderCount;
use crate::connector::nexmark::{Event, Nexmark};
use crate::dataflow::{Collector, Emit, Pipeline, Polled, Source, SourceConnector, TaskContext};
use crate::error::Result;
use crate::nexmark;
use crate::runtime::Partition;
use crate::testing::simulation::Simulation;
use crate::time::Nanos;

const NANOS_PER_MILLI: Nanos = 1_000_000;

/// The rows of q12 over the events of `input` of which each partition has made as many as `made`
/// says. Each comes when the clock of the job, which begins at [`BASE_TIME`], shows its time.
pub(super) fn q12(input: Nexmark, made: &[u64]) -> Result<Vec<BidderCount>> {
    let pipeline = Pipeline::new("nexmark-q12");
    let following = Following { input, made: made.to_vec() };
    let rows = nexmark::q12(pipeline.source(following)).collect();
    let simulation = Simulation::seeded(1).partitions(made.len()).batch_size(64);
    let mut job = simulation.build(pipeline)?;
    let clock = job.clock().clone();
    while !job.partitions().iter().all(Partition::is_done) {
        // Within each millisecond the clock also passes the time for which an outbox waits.
        for part in [NANOS_PER_MILLI * 6 / 10, NANOS_PER_MILLI * 4 / 10] {
            while progresses(job.partitions())? {}
            clock.advance(part);
        }
    }
    job.run()?;
    let row = |row: BidderCount| BidderCount {
        window: row.window.plus_millis(BASE_TIME.as_millis()),
        ..row
    };
    Ok(rows.take().into_iter().map(row).collect())
}

fn progresses(partitions: &mut [Partition]) -> Result<bool> {
    let mut progressed = false;
    for partition in partitions {
        progressed |= partition.turn()?.progressed;
    }
    Ok(progressed)
}

/// Events that come at their times.
struct Following {
    input: Nexmark,
    /// By partition.
    made: Vec<u64>,
}

impl SourceConnector for Following {
    type Item = Event;
    type Source = FollowingSource;

    fn name(&self) -> String {
        "following".to_owned()
    }

    fn open(&mut self, context: &TaskContext) -> Result<FollowingSource> {
        let made = usize::try_from(self.made[context.partition]).expect("they were in memory");
        let mut events = Vec::new();
        self.input.partition(context.partition, context.partitions, None).fill(made, &mut events);
        Ok(FollowingSource { events: events.into_iter(), started: context.now })
    }
}

struct FollowingSource {
    events: IntoIter<Event>,
    started: Nanos,
}

impl Source for FollowingSource {
    type Item = Event;

    fn poll<E: Emit<Event>>(
        &mut self,
        max: usize,
        now: Nanos,
        out: &mut Collector<'_, E>,
    ) -> Result<Polled> {
        for _ in 0..max {
            let Some(next) = self.events.as_slice().first() else { return Ok(Polled::Done) };
            let passed_ms = next.time().as_millis() - BASE_TIME.as_millis();
            let due = self.started + passed_ms.cast_unsigned() * NANOS_PER_MILLI;
            if due > now {
                return Ok(Polled::Until(due));
            }
            if !out.is_open() {
                break;
            }
            out.emit_all(self.events.next());
        }
        Ok(Polled::Ready)
    }
}
