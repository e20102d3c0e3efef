//! Millstream, through its public API.
//!
//! A contender of ours runs its input (`Case::records` of `Work::input`, after one record (key, 0)
//! for every key from every partition where `Case::warm` asks for it) through an engine with one
//! partition on each of `Work::cores`, and gives the seconds from the first record that counts to
//! the last result.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use millstream::Result;
use millstream::config::{Config, Idle, PreAggregate};
use millstream::connector::generator::{BenchInput, keyed_count_checksum};
use millstream::dataflow::{
    Collector, Emit, Pipeline, Polled, Sink, SinkConnector, Source, SourceConnector, TaskContext,
};
use millstream::engine::Engine;
use millstream::record::Batch;
use millstream::state::aggregate::{Count, sum};

use crate::case::Case;
use crate::feed::{Feed, Line, Record};
use crate::options::Options;
use crate::work::{Contender, Pass, Work};
use crate::{ours_latency, ours_nexmark};

/// `ours` and `ours_pre_aggregated`.
pub const CONTENDERS: &[Contender] = &[
    Contender {
        name: "ours",
        shapes: &[""],
        run,
        latency: Some(ours_latency::run),
        nexmark: Some(ours_nexmark::ENTRY),
    },
    Contender {
        name: "ours_pre_aggregated",
        shapes: &[""],
        run: run_pre_aggregating,
        latency: None,
        nexmark: None,
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
    let outcome = Arc::new(Mutex::new((None, 0)));
    let pipeline = Pipeline::new(work.case.name);
    pipeline
        .source(FeedConnector {
            case: *work.case,
            input: work.input.clone(),
            line: Arc::clone(&line),
        })
        .key_by(|record| record.0)
        .aggregate((Count, sum(|record: &Record| record.1)))
        .sink(ChecksumConnector { outcome: Arc::clone(&outcome) });
    let config = config(work.cores, work.options, pre_aggregate);
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
        .pre_aggregate(pre_aggregate);
    builder.build().expect("these values are within their bounds")
}

struct FeedConnector {
    case: Case,
    input: BenchInput,
    line: Arc<Line>,
}

impl SourceConnector for FeedConnector {
    type Item = Record;
    type Source = FeedSource;

    fn name(&self) -> String {
        "feed".to_owned()
    }

    fn open(&mut self, context: &TaskContext) -> Result<FeedSource> {
        let feed = Feed::new(&self.case, &self.input, context.partition, context.partitions);
        Ok(FeedSource { feed, line: Arc::clone(&self.line), stage: Stage::Warming })
    }
}

enum Stage {
    Warming,
    Waiting,
    Running,
}

struct FeedSource {
    feed: Feed,
    line: Arc<Line>,
    stage: Stage,
}

impl Source for FeedSource {
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

type Outcome = Arc<Mutex<(Option<Instant>, u64)>>;

struct ChecksumConnector {
    outcome: Outcome,
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

struct ChecksumSink {
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
