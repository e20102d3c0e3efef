//! Jobs with local edges behind their keyed tasks: cuts, forks, unions, streams that are split.

use crate::dataflow::{BoxedStream, DataStream, Pipeline, Timed};
use crate::record::Either;
use crate::routing::KeyedPartitioner;
use crate::testing::Random;
use crate::testing::simulation::closing::Counted;
use crate::testing::simulation::events::Event;
use crate::testing::simulation::moving_job::{MovingJob, TimedEvents};
use crate::testing::simulation::numbering::{Times, append, staged};

/// What stands behind a keyed task on its partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behind {
    /// Two cuts.
    Cut,
    /// A fork and the union of both copies.
    Diamond,
    /// The same, with more tasks on one of the ways.
    Uneven,
    /// Two forks, and one union behind the other.
    Nested,
    /// Events with odd numbers and those with even ones, apart and together again.
    Split,
}

/// What comes from outside the stage to the union behind the first keyed task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beside {
    Nothing,
    /// A stream of a source.
    Source,
    /// What another keyed task makes: the union is in two stages.
    Keyed,
}

/// Where that goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tail {
    Count,
    /// To one more keyed task, with this behind it, and a count.
    Stage(Behind),
    /// Into a slow sink.
    Sink,
    /// Both copies of a fork to one keyed task, and a count.
    Join,
}

/// A job with local edges behind its keyed tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Branches {
    behind: Behind,
    beside: Beside,
    tail: Tail,
}

impl Branches {
    pub(super) fn drawn(random: &mut Random) -> Branches {
        let behind = [Behind::Cut, Behind::Diamond, Behind::Uneven, Behind::Nested, Behind::Split];
        let beside = [Beside::Nothing, Beside::Nothing, Beside::Source, Beside::Keyed];
        let (first, second) = (*random.one_of(&behind), *random.one_of(&behind));
        let beside = *random.one_of(&beside);
        let stage = Tail::Stage(second);
        let tails = [Tail::Count, stage, stage, stage, Tail::Sink];
        let tail = *random.one_of(&tails);
        if random.one_in(5) {
            let (behind, beside) = (Behind::Diamond, Beside::Nothing);
            return Branches { behind, beside, tail: Tail::Join };
        }
        Branches { behind: first, beside, tail }
    }

    /// Builds it; where it ends in a count, returns that.
    pub(super) fn build<Q>(
        self,
        job: &MovingJob,
        pipeline: &Pipeline,
        groups: &Q,
    ) -> Option<Counted>
    where
        Q: KeyedPartitioner<u8>,
    {
        let keyed = |edge, name| {
            let events = job.feeds(pipeline, edge).key_by(Event::key);
            events.partition_by(groups.clone()).apply_keyed(job.stage(name))
        };
        let first = keyed(0, "first");
        if self.tail == Tail::Join {
            let [left, right] = first.fork();
            let [left, right] = [left.map(by_way(1)), right.map(by_way(2))]
                .map(|copy| copy.key_by(Event::key).partition_by(groups.clone()));
            let joined = left.connect(right).apply_keyed(job.stage("join"));
            return Some(job.count(joined, groups));
        }
        let all = match self.beside {
            Beside::Nothing => self.behind.put(first),
            Beside::Source => self.behind.put(first.union(job.feeds(pipeline, 1).map(named))),
            Beside::Keyed => self.behind.put(first.union(keyed(1, "beside").map(by_way(9)))),
        };
        match self.tail {
            Tail::Sink => {
                all.sink(job.slow());
                None
            }
            Tail::Stage(behind) => {
                let halves = all.key_by(|event| event.key / 2).partition_by(groups.clone());
                let second = halves.apply_keyed(job.stage("second"));
                Some(job.count(behind.put(second), groups))
            }
            Tail::Count | Tail::Join => Some(job.count(all, groups)),
        }
    }

    /// Times of the events that are counted.
    pub(super) fn times(self, job: &MovingJob) -> Times {
        let mut times = staged(job.times(0));
        match self.beside {
            Beside::Nothing => {}
            Beside::Source => append(&mut times, job.times(1)),
            Beside::Keyed => append(&mut times, staged(job.times(1))),
        }
        let times = copied(times, self.behind.copies());
        match self.tail {
            Tail::Join => staged(times),
            Tail::Stage(behind) => copied(staged(times), behind.copies()),
            Tail::Count | Tail::Sink => times,
        }
    }

    /// Whether keyed tasks are on the partition of a source.
    #[cfg(test)]
    pub(super) fn is_rooted(self) -> bool {
        self.beside == Beside::Source
    }

    /// How many keyed tasks it has.
    #[cfg(test)]
    pub(super) fn domains(self) -> usize {
        let tails = match self.tail {
            Tail::Sink => 0,
            Tail::Count => 1,
            Tail::Stage(_) | Tail::Join => 2,
        };
        1 + usize::from(self.beside == Beside::Keyed) + tails
    }
}

impl Behind {
    /// Puts it behind `stream`. Events that come by different ways have different makers.
    fn put<C: TimedEvents>(self, stream: DataStream<C>) -> BoxedStream<Event, Timed> {
        match self {
            Behind::Cut => stream.boxed().map(by_way(1)).boxed(),
            Behind::Diamond => {
                let [one, other] = stream.fork();
                one.map(by_way(1)).union(other.map(by_way(2)))
            }
            Behind::Uneven => {
                let [one, other] = stream.fork();
                one.map(by_way(1)).union(other.boxed().boxed().map(by_way(2)))
            }
            Behind::Nested => {
                let [one, other] = stream.fork();
                let [one, another] = one.fork();
                let both = one.map(by_way(1)).union(other.map(by_way(2)));
                both.union(another.map(by_way(3)))
            }
            Behind::Split => {
                let (odd, even) = stream.map(by_number).split();
                odd.union(even.boxed())
            }
        }
    }

    /// As how many of them an event comes out.
    fn copies(self) -> usize {
        match self {
            Behind::Cut | Behind::Split => 1,
            Behind::Diamond | Behind::Uneven => 2,
            Behind::Nested => 3,
        }
    }
}

fn copied(times: Times, copies: usize) -> Times {
    let copy = |(key, times): (u8, Vec<i64>)| (key, times.repeat(copies));
    times.into_iter().map(copy).collect()
}

/// Makers are below this, and so many are those of one way.
const MAKERS: u16 = 4_000;

/// Gives events a maker that stands for the way by which they come too: events of two ways may
/// overtake each other.
fn by_way(way: u16) -> impl Fn(Event) -> Event + Clone + Send + 'static {
    move |event| Event { maker: event.maker + way * MAKERS, ..event }
}

/// A source numbers events by key, and a stage whose keys are others tells makers apart only.
fn named(event: Event) -> Event {
    Event { maker: 2_000 + event.maker * 16 + u16::from(event.key), ..event }
}

fn by_number(event: Event) -> Either<Event, Event> {
    let number = event.number.div_ceil(2);
    match event.number % 2 {
        1 => Either::Left(Event { number, ..by_way(4)(event) }),
        _ => Either::Right(Event { number, ..by_way(5)(event) }),
    }
}
