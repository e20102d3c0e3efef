//! Jobs whose keys move all the time, and what each of their results has to be.

use crate::config::PreAggregate;
#[cfg(test)]
use crate::config::{BatchSize, Config, Rebalance};
use crate::dataflow::{DataStream, EmitAt, Pipeline, Timed};
#[cfg(test)]
use crate::engine::Engine;
#[cfg(test)]
use crate::metrics::MovesReport;
#[cfg(test)]
use crate::routing::key_group;
use crate::routing::{KeyedPartitioner, Ranges};
#[cfg(test)]
use crate::supervisor::Proposal;
use crate::testing::Random;
use crate::testing::simulation::branches::Branches;
use crate::testing::simulation::closing::{Closing, Counted, Counts};
use crate::testing::simulation::events::{Event, Feed, Feeds, KEYS, RANGED_KEYS, TwoInEach};
use crate::testing::simulation::numbering::{Log, Numbering, Slow, Times, append, staged};
use crate::testing::simulation::{RandomMoves, Simulated, Simulation, SingleSteps};
use crate::time::watermark::Monotone;

/// Events of one source, at most.
const COUNT: u32 = 120;
/// A job, by its seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// Two keyed stages, then a count.
    Stages,
    /// Three keyed stages, then a count.
    MoreStages,
    /// A count.
    Count,
    /// Two streams in one keyed stage, then a count.
    Join,
    /// One keyed stage in front of a slow sink.
    Sink,
}

/// A job, drawn from a seed.
pub(crate) struct MovingJob {
    shape: Shape,
    closing: Closing,
    pre_aggregate: PreAggregate,
    seed: u64,
    partitions: usize,
    /// Events of one source, at most.
    count: u32,
    /// Keys are below this.
    keys: u8,
    /// Where the learned ranges of its keys begin, if they lie in such.
    ranges: Option<Vec<u8>>,
    /// What stands behind keyed tasks on their partitions, in place of the shape.
    branches: Option<Branches>,
    log: Log,
}

impl MovingJob {
    /// Its shape, and how many partitions it has, follow from `seed`.
    pub(crate) fn seeded(seed: u64) -> MovingJob {
        let mut random = Random::seeded(seed);
        let shapes = [Shape::Stages, Shape::MoreStages, Shape::Count, Shape::Join, Shape::Sink];
        let shape = *random.one_of(&shapes);
        let folds = [PreAggregate::Off, PreAggregate::Off, PreAggregate::Auto];
        MovingJob {
            shape,
            closing: Closing::drawn(&mut random),
            pre_aggregate: *random.one_of(&folds),
            seed,
            partitions: random.within(2..=5) as usize,
            count: COUNT,
            keys: KEYS,
            ranges: None,
            branches: None,
            log: Log::default(),
        }
    }

    /// One whose keys lie in ranges that are cut, merged and moved.
    pub(crate) fn ranged(seed: u64) -> MovingJob {
        let mut random = Random::seeded(seed ^ 0x5eed);
        let mut ranges: Vec<u8> = (1..RANGED_KEYS).filter(|_| random.one_in(8)).collect();
        ranges.truncate(random.index(6));
        let folds = [PreAggregate::Off, PreAggregate::On, PreAggregate::Auto];
        let ends = Closing::Totals(EmitAt::End);
        let closing = if random.one_in(2) { ends } else { Closing::drawn(&mut random) };
        MovingJob {
            pre_aggregate: *random.one_of(&folds),
            closing,
            keys: RANGED_KEYS,
            ranges: Some(ranges),
            ..MovingJob::seeded(seed)
        }
    }

    /// One with local edges behind its keyed tasks.
    pub(crate) fn branched(seed: u64) -> MovingJob {
        let mut random = Random::seeded(seed ^ 0xed6e);
        let branches = Branches::drawn(&mut random);
        let closing = Closing::drawn(&mut random);
        MovingJob { branches: Some(branches), closing, count: COUNT / 4, ..MovingJob::seeded(seed) }
    }

    fn edges(&self) -> u16 {
        if self.shape == Shape::Join { 2 } else { 1 }
    }

    pub(super) fn feeds(&self, pipeline: &Pipeline, edge: u16) -> DataStream<impl TimedEvents> {
        pipeline
            .source(self.feed(edge))
            .assign_timestamps(|event: &Event| event.time, Monotone::new())
    }

    fn feed(&self, edge: u16) -> Feeds {
        Feeds { seed: self.seed, edge, count: self.count, keys: self.keys }
    }

    /// A sink that takes little at once.
    pub(super) fn slow(&self) -> Slow {
        Slow::new(self.log.clone())
    }

    /// Counts what `records` brings.
    pub(super) fn count<C, Q>(&self, records: DataStream<C>, groups: &Q) -> Counted
    where
        C: TimedEvents,
        Q: KeyedPartitioner<u8>,
    {
        self.closing.count(records, Event::key, groups.clone())
    }

    pub(super) fn stage(&self, name: &'static str) -> Numbering {
        Numbering { name, log: self.log.clone() }
    }

    /// Builds the job; where it ends in a count, returns that.
    fn build(&self, pipeline: &Pipeline) -> Option<Counted> {
        match &self.ranges {
            None => self.build_by(pipeline, &TwoInEach),
            Some(bounds) => {
                self.build_by(pipeline, &Ranges::learned().starting_with(bounds.clone()))
            }
        }
    }

    fn build_by<Q>(&self, pipeline: &Pipeline, groups: &Q) -> Option<Counted>
    where
        Q: KeyedPartitioner<u8>,
    {
        if let Some(branches) = self.branches {
            return branches.build(self, pipeline, groups);
        }
        if self.shape == Shape::Count {
            return Some(self.closing.count(self.feeds(pipeline, 0), Event::key, groups.clone()));
        }
        if self.shape == Shape::Join {
            let left = self.feeds(pipeline, 0).key_by(Event::key).partition_by(groups.clone());
            let right = self.feeds(pipeline, 1).key_by(Event::key).partition_by(groups.clone());
            let joined = left.connect(right).apply_keyed(self.stage("join"));
            return Some(self.closing.count(joined, Event::key, groups.clone()));
        }
        let events = self.feeds(pipeline, 0).key_by(Event::key).partition_by(groups.clone());
        let first = events.apply_keyed(self.stage("first"));
        if self.shape == Shape::Sink {
            first.sink(self.slow());
            return None;
        }
        let halves = first.key_by(|event| event.key / 2).partition_by(groups.clone());
        let second = halves.apply_keyed(self.stage("second"));
        if self.shape == Shape::Stages {
            return Some(self.closing.count(second, Event::key, groups.clone()));
        }
        let all = second.key_by(|event| event.key / 4).partition_by(groups.clone());
        let third = all.apply_keyed(self.stage("third"));
        Some(self.closing.count(third, Event::key, groups.clone()))
    }

    /// What the events that the stages make of those of the sources come to.
    fn expected(&self) -> Counts {
        if let Some(branches) = self.branches {
            return self.closing.expected(branches.times(self));
        }
        let stages = match self.shape {
            Shape::Stages => 2,
            Shape::MoreStages => 3,
            Shape::Join => 1,
            Shape::Count | Shape::Sink => 0,
        };
        let mut times = Times::new();
        for edge in 0..self.edges() {
            append(&mut times, self.times(edge));
        }
        self.closing.expected((0..stages).fold(times, |times, _| staged(times)))
    }

    /// What the sources of an edge send.
    pub(super) fn times(&self, edge: u16) -> Times {
        let mut times = Times::new();
        for partition in 0..self.partitions {
            let mut feed = Feed::new(&self.feed(edge), partition);
            while let Some(event) = feed.next() {
                times.entry(event.key).or_default().push(event.time);
            }
        }
        times
    }

    fn hashes() -> Vec<u64> {
        (0..KEYS).map(|key| TwoInEach.hash(&key)).collect()
    }

    /// A longer one, for threads.
    #[cfg(test)]
    pub(crate) fn threaded(seed: u64, partitions: usize, count: u32) -> MovingJob {
        MovingJob { partitions, count, ..MovingJob::seeded(seed) }
    }

    /// As [`branched`](Self::branched), longer, for threads.
    #[cfg(test)]
    pub(crate) fn branched_on_threads(seed: u64, partitions: usize, count: u32) -> MovingJob {
        MovingJob { partitions, count, ..MovingJob::branched(seed) }
    }

    /// Whether it can go over to more partitions or fewer.
    #[cfg(test)]
    pub(crate) fn can_rescale(&self) -> bool {
        self.branches.is_none_or(|branches| !branches.is_rooted())
    }

    /// How many keyed tasks it has.
    #[cfg(test)]
    fn domains(&self) -> usize {
        if let Some(branches) = self.branches {
            return branches.domains();
        }
        match self.shape {
            Shape::Stages => 3,
            Shape::MoreStages => 4,
            Shape::Count | Shape::Sink => 1,
            Shape::Join => 2,
        }
    }

    /// Runs it on threads, with as many moves as can be made one after the other; what they came
    /// to, or what went wrong. With every other seed keys of the count do not move: they are
    /// combined now and then.
    #[cfg(test)]
    pub(crate) fn check_on_threads(&self) -> std::result::Result<MovesReport, String> {
        let pipeline = Pipeline::new("moves");
        let collected = self.build(&pipeline);
        let config = Config::builder()
            .partitions(self.partitions)
            .batch_size(BatchSize::Records(8))
            // The supervisor would move keys that are combined here without its knowledge.
            .rebalance(Rebalance::Off)
            .pre_aggregate(self.pre_aggregate);
        let engine = config.build().and_then(Engine::new).map_err(|error| error.to_string())?;
        let job = engine.start(pipeline).map_err(|error| error.to_string())?;
        let mut random = Random::seeded(self.seed);
        let hashes = MovingJob::hashes();
        let combines = collected.is_some() && self.seed % 2 == 1;
        while !job.has_ended() {
            let hash = *random.one_of(&hashes);
            let (mut groups, mut keys) = (vec![], vec![]);
            if random.one_in(2) {
                keys.push(hash);
            } else {
                groups.push(key_group(hash) as u16);
            }
            if combines && random.one_in(8) {
                job.set_combined(hash, !random.one_in(3));
            }
            let (domain, donor) = (random.index(4), random.index(self.partitions));
            let taker = random.index(self.partitions);
            if combines && domain == self.domains() - 1 {
                continue;
            }
            // Most are denied, since others own the units, or a move is open.
            job.propose(Proposal { domain, groups, keys, donor, taker });
        }
        let report = job.join().map_err(|error| format!("{error:#?}"))?;
        self.verdict(collected)?;
        Ok(report.moves)
    }

    /// Runs it; how many moves there were, or what went wrong.
    pub(crate) fn check(&self) -> std::result::Result<u64, String> {
        self.simulated(None, &[]).map(|simulated| simulated.moved())
    }

    /// Runs it; how many moves there were, and how many ranges were cut or merged, or what went
    /// wrong.
    #[cfg(test)]
    pub(crate) fn check_ranges(&self) -> std::result::Result<(u64, u64), String> {
        self.simulated(None, &[]).map(|simulated| (simulated.moved(), simulated.regrouped()))
    }

    /// Runs it, and gives it more partitions or fewer meanwhile; how often, or what went wrong.
    #[cfg(test)]
    pub(crate) fn check_rescaled(&self) -> std::result::Result<u64, String> {
        let one_in = Random::seeded(self.seed).within(2..=30);
        self.simulated(Some(one_in), &[]).map(|simulated| simulated.rescaled())
    }

    /// Runs it, and has it go over to these numbers of partitions at once, one after the other; how
    /// often it did before it came to its end, or what went wrong.
    #[cfg(test)]
    pub(crate) fn check_rescaled_to(&self, to: &[usize]) -> std::result::Result<u64, String> {
        self.simulated(Some(u64::MAX), to).map(|simulated| simulated.rescaled())
    }

    /// Runs it; one step in so many begins a rescale, if any does, behind those to `to`.
    fn simulated(
        &self,
        rescale_in: Option<u64>,
        to: &[usize],
    ) -> std::result::Result<Simulated, String> {
        let mut random = Random::seeded(self.seed ^ 0xface);
        let pipeline = Pipeline::new("moves");
        let collected = self.build(&pipeline);
        let moves = RandomMoves {
            hashes: MovingJob::hashes(),
            one_in: random.within(2..=8),
            open_max: random.within(1..=4) as usize,
            barriers: random.one_in(3),
            combines: self.ranges.is_none(),
            ranges: self.ranges.is_some(),
        };
        let mut simulation = Simulation::seeded(self.seed)
            .partitions(self.partitions)
            .lane_capacity(random.within(1..=3))
            .parcels(*random.one_of(&[1, 2, 3, 16]))
            .staged(random.within(1..=5) as usize)
            .pre_aggregate(self.pre_aggregate)
            .steps_max(4_000_000)
            .moves(moves);
        if self.branches.is_some() {
            let turn_in = *random.one_of(&[2, 4, 16]);
            simulation = simulation.single_steps(SingleSteps { turn_in, slow: random.index(8) });
        }
        if let Some(one_in) = rescale_in {
            simulation = simulation.rescales(one_in);
        }
        let mut simulated = simulation.build(pipeline).map_err(|error| error.to_string())?;
        let outcome = to.iter().try_for_each(|to| simulated.rescale_to(*to));
        let outcome = outcome.and_then(|()| simulated.run_to_end());
        outcome.map_err(|error| format!("{error:#?}"))?;
        self.verdict(collected)?;
        Ok(simulated)
    }

    /// What is wrong with what it did, if anything is.
    fn verdict(&self, counted: Option<Counted>) -> std::result::Result<(), String> {
        self.log.verdict()?;
        let Some(counted) = counted else { return Ok(()) };
        if self.ranges.is_some() {
            self.closing.check_order(&counted)?;
        }
        let counts = self.closing.collected(&counted)?;
        if counts != self.expected() {
            return Err(format!("{counts:?} instead of {:?}", self.expected()));
        }
        Ok(())
    }
}

/// A chain of events with event time.
pub(super) trait TimedEvents: crate::dataflow::Chain<Out = Event, Time = Timed> {}

impl<C: crate::dataflow::Chain<Out = Event, Time = Timed>> TimedEvents for C {}
