//! Millstream, through its public API.
//!
//! A contender of ours runs its input (`Case::records` of `Work::input`, after one record (key, 0)
//! for every key from every partition where `Case::warm` asks for it) through an engine with one
//! partition on each of `Work::cores`, and gives the seconds from the first record that counts to
//! the last result.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use millstream::Result;
use millstream::config::{Config, Idle, PreAggregate, Rebalance};
use millstream::connector::generator::{Recipe, keyed_count_checksum};
use millstream::dataflow::{
    Collector, Emit, Pipeline, Polled, Sink, SinkConnector, Source, SourceConnector, TaskContext,
};
use millstream::engine::Engine;
use millstream::record::Batch;
use millstream::state::aggregate::{Count, sum};

use crate::feed::{Feed, Line, Record};
use crate::options::Options;
use crate::work::{Contender, Pass, Work};
use crate::{hot, ours_latency, ours_nexmark};

/// `ours` and `ours_pre_aggregated`.
pub const CONTENDERS: &[Contender] = &[
    Contender {
        name: "ours",
        shapes: &[""],
        run,
        latency: Some(ours_latency::run),
        nexmark: Some(ours_nexmark::ENTRY),
        hot: Some(hot::ours::ENTRY),
    },
    Contender {
        name: "ours_pre_aggregated",
        shapes: &[""],
        run: run_pre_aggregating,
        latency: None,
        nexmark: None,
        hot: None,
    },
];

/// Counts behind an exchange.
pub fn run(work: &Work<'_>) -> Pass {
    run_with(work, PreAggregate::Off)
}

/// The same, with pre-aggregation where the engine finds that it pays.
pub fn run_pre_aggregating(work: &Work<'_>) -> Pass {
    run_with(work, PreAggregate::Auto)
}

fn run_with(work: &Work<'_>, pre_aggregate: PreAggregate) -> Pass {
    let line = Arc::new(Line::new(work.cores.len()));
    let outcome = Outcome::default();
    let pipeline = Pipeline::new(work.case.name);
    let (case, input) = (*work.case, work.input.clone());
    pipeline
        .source(FeedConnector::new(&line, move |worker, workers| {
            Feed::new(&case, &input, worker, workers)
        }))
        .key_by(|record| record.0)
        .aggregate((Count, sum(|record: &Record| record.1)))
        .sink(ChecksumConnector { outcome: Arc::clone(&outcome) });
    pass(pipeline, config(work.cores, work.options, pre_aggregate), &line, &outcome)
}

/// Runs `pipeline`, which starts at `line` and ends in `outcome`.
pub fn pass(pipeline: Pipeline, config: Config, line: &Line, outcome: &Outcome) -> Pass {
    Engine::new(config).and_then(|engine| engine.run(pipeline)).expect("the job runs");
    let (end, checksum) = *outcome.lock().expect("nobody panicked");
    Pass { seconds: line.seconds_until(end.expect("a partition finished")), checksum }
}

/// One partition on each core.
pub fn config(cores: &[usize], options: Options<'_>, pre_aggregate: PreAggregate) -> Config {
    let builder = Config::builder()
        .cores(cores.iter().copied().collect())
        .partitions(cores.len())
        .idle(if options.is("idle", "spin") { Idle::Spin } else { Idle::Park })
        .rebalance(match options.text("rebalance") {
            Some("off") => Rebalance::Off,
            Some("groups") => Rebalance::Groups,
            Some("keys") => Rebalance::Keys,
            _ => Rebalance::Combine,
        })
        .pre_aggregate(pre_aggregate);
    builder.build().expect("these values are within their bounds")
}

/// The source of what `feed_of(partition, partitions)` gives, which waits at a line.
pub struct FeedConnector<F> {
    feed_of: F,
    line: Arc<Line>,
}

impl<F> FeedConnector<F> {
    /// See [`FeedConnector`].
    pub fn new(line: &Arc<Line>, feed_of: F) -> FeedConnector<F> {
        FeedConnector { feed_of, line: Arc::clone(line) }
    }
}

impl<R, F> SourceConnector for FeedConnector<F>
where
    R: Recipe<Item = Record>,
    F: Fn(usize, usize) -> Feed<R> + Send + 'static,
{
    type Item = Record;
    type Source = FeedSource<R>;

    fn name(&self) -> String {
        "feed".to_owned()
    }

    fn open(&mut self, context: &TaskContext) -> Result<FeedSource<R>> {
        let feed = (self.feed_of)(context.partition, context.partitions);
        Ok(FeedSource { feed, line: Arc::clone(&self.line), stage: Stage::Warming })
    }
}

enum Stage {
    Warming,
    Waiting,
    Running,
}

/// One partition's end of a [`FeedConnector`].
pub struct FeedSource<R> {
    feed: Feed<R>,
    line: Arc<Line>,
    stage: Stage,
}

impl<R: Recipe<Item = Record>> Source for FeedSource<R> {
    type Item = Record;

    #[inline]
    fn poll<E: Emit<Record>>(
        &mut self,
        max: usize,
        now: u64,
        out: &mut Collector<'_, E>,
    ) -> Result<Polled> {
        match self.stage {
            Stage::Running => {
                let filled = self.feed.emit(max, out);
                return Ok(if filled == 0 { Polled::Done } else { Polled::Ready });
            }
            Stage::Warming => {
                if self.feed.emit_warm(max, out) > 0 {
                    return Ok(Polled::Ready);
                }
                self.line.arrive();
                self.stage = Stage::Waiting;
            }
            Stage::Waiting => {
                if self.line.is_open() {
                    self.stage = Stage::Running;
                }
            }
        }
        // A source that waits for the line asks to be asked again at once.
        Ok(Polled::Until(now))
    }
}

/// When the last partition was done, and the checksum of all.
pub type Outcome = Arc<Mutex<(Option<Instant>, u64)>>;

/// The sink that adds the checksum up.
pub struct ChecksumConnector {
    /// Of all partitions.
    pub outcome: Outcome,
}

impl SinkConnector for ChecksumConnector {
    type Item = (u64, (u64, u64));
    type Sink = ChecksumSink;

    fn name(&self) -> String {
        "checksum".to_owned()
    }

    fn open(&mut self, _: &TaskContext) -> Result<ChecksumSink> {
        Ok(ChecksumSink { outcome: Arc::clone(&self.outcome), checksum: 0 })
    }
}

/// One partition's end of a [`ChecksumConnector`].
pub struct ChecksumSink {
    outcome: Outcome,
    checksum: u64,
}

impl Sink for ChecksumSink {
    type Item = (u64, (u64, u64));

    fn write(&mut self, batch: &mut Batch<Self::Item>, _: u64) -> Result<()> {
        let results = batch.records.drain(..).map(|(key, (count, sum))| (key, count, sum));
        self.checksum = self.checksum.wrapping_add(keyed_count_checksum(results));
        Ok(())
    }

    fn finish(&mut self, _: u64) -> Result<bool> {
        let mut outcome = self.outcome.lock().expect("nobody panics while holding it");
        outcome.1 = outcome.1.wrapping_add(self.checksum);
        outcome.0 = Some(outcome.0.map_or_else(Instant::now, |end| end.max(Instant::now())));
        Ok(true)
    }
}
