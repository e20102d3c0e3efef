//! Millstream, open loop: partitions that spin while they wait, records sent as they are due.
//!
//! `idle=park` runs the default idle ladder instead.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use millstream::Result;
use millstream::config::{Config, Idle};
use millstream::connector::generator::{BenchInput, Dealt};
use millstream::dataflow::{
    Collector, Emit, KeyContext, KeyedOperator, Pipeline, Polled, Sink, SinkConnector, Source,
    SourceConnector, TaskContext,
};
use millstream::engine::Engine;
use millstream::record::{Batch, Never};

use crate::feed::{Line, Record};
use crate::latency::{Latencies, Offer, WARM_UP_SECONDS, histogram};

/// Key, value, and when it should have been sent, in nanoseconds since the start.
type Timed = (u64, u64, u64);

/// Counts records as they are due and takes the time until each is counted.
pub fn run(offer: &Offer<'_>) -> Latencies {
    let line = Arc::new(Line::new(offer.cores.len()));
    let outcome = Arc::new(Mutex::new((histogram(), None)));
    let pipeline = Pipeline::new("latency");
    pipeline
        .source(ScheduleConnector {
            input: offer.input.clone(),
            records: offer.records_per_worker(),
            interval_ns: offer.interval_ns(),
            line: Arc::clone(&line),
        })
        .key_by(|record: &Timed| record.0)
        .apply_keyed(CountEach)
        .sink(MeterConnector { line: Arc::clone(&line), outcome: Arc::clone(&outcome) });
    Engine::new(config(offer)).and_then(|engine| engine.run(pipeline)).expect("the job runs");
    let mut outcome = outcome.lock().expect("nobody panicked");
    let end = outcome.1.expect("a partition finished");
    let histogram = std::mem::replace(&mut outcome.0, histogram());
    Latencies { histogram, seconds: line.seconds_until(end) }
}

fn config(offer: &Offer<'_>) -> Config {
    let builder = Config::builder()
        .cores(offer.cores.iter().copied().collect())
        .partitions(offer.cores.len());
    let builder = match offer.options.is("idle", "park") {
        true => builder,
        false => builder.idle(Idle::Spin).linger(Duration::ZERO),
    };
    builder.build().expect("these values are within their bounds")
}

/// Counts and sums per key, and emits the new sum for every record.
#[derive(Clone)]
struct CountEach;

impl KeyedOperator<u64, Timed> for CountEach {
    type Out = (Record, u64);
    type State = (u64, u64);
    type Partial = Never;
    const NAME: &'static str = "count each";

    #[inline]
    fn on_record<E: Emit<Self::Out>>(
        &mut self,
        (key, value, due_ns): Timed,
        state: &mut (u64, u64),
        context: &mut KeyContext<'_, u64, E>,
    ) {
        *state = (state.0 + 1, state.1 + value);
        context.emit(((key, state.1), due_ns));
    }

    fn on_partial<E: Emit<Self::Out>>(
        &mut self,
        partial: Never,
        _: &mut (u64, u64),
        _: &mut KeyContext<'_, u64, E>,
    ) {
        match partial {}
    }
}

struct ScheduleConnector {
    input: BenchInput,
    /// Of one partition.
    records: u64,
    interval_ns: u64,
    line: Arc<Line>,
}

impl SourceConnector for ScheduleConnector {
    type Item = Timed;
    type Source = Schedule;

    fn name(&self) -> String {
        "schedule".to_owned()
    }

    fn open(&mut self, context: &TaskContext) -> Result<Schedule> {
        Ok(Schedule {
            dealt: self.input.partition(context.partition, context.partitions, None),
            line: Arc::clone(&self.line),
            stage: Stage::New,
            interval_ns: self.interval_ns,
            sent: 0,
            records: self.records,
            made: Vec::new(),
        })
    }
}

enum Stage {
    New,
    /// At the line.
    Waiting,
    Running(Instant),
}

/// Sends one partition's records when they are due.
struct Schedule {
    dealt: Dealt<BenchInput>,
    line: Arc<Line>,
    stage: Stage,
    interval_ns: u64,
    sent: u64,
    records: u64,
    made: Vec<Record>,
}

impl Source for Schedule {
    type Item = Timed;

    fn poll<E: Emit<Timed>>(
        &mut self,
        max: usize,
        now: u64,
        out: &mut Collector<'_, E>,
    ) -> Result<Polled> {
        let start = match self.stage {
            Stage::Running(start) => start,
            Stage::New => {
                self.line.arrive();
                self.stage = Stage::Waiting;
                return Ok(Polled::Until(now));
            }
            Stage::Waiting => {
                if self.line.is_open() {
                    self.stage = Stage::Running(self.line.started());
                }
                return Ok(Polled::Until(now));
            }
        };
        let elapsed_ns = start.elapsed().as_nanos() as u64;
        let due = (elapsed_ns / self.interval_ns + 1).min(self.records);
        self.made.clear();
        self.dealt.fill(max.min((due - self.sent) as usize), &mut self.made);
        for &(key, value) in &self.made {
            // There is room for a batch, and more is no harm.
            out.emit((key, value, self.sent * self.interval_ns));
            self.sent += 1;
        }
        Ok(match self.sent {
            sent if sent == self.records => Polled::Done,
            sent if sent < due => Polled::Ready,
            sent => Polled::Until(now + (sent * self.interval_ns).saturating_sub(elapsed_ns)),
        })
    }
}

/// All latencies, and when the last partition was done.
type Outcome = Arc<Mutex<(Histogram<u64>, Option<Instant>)>>;

struct MeterConnector {
    line: Arc<Line>,
    outcome: Outcome,
}

impl SinkConnector for MeterConnector {
    type Item = (Record, u64);
    type Sink = Meter;

    fn name(&self) -> String {
        "meter".to_owned()
    }

    fn open(&mut self, _: &TaskContext) -> Result<Meter> {
        let (line, outcome) = (Arc::clone(&self.line), Arc::clone(&self.outcome));
        Ok(Meter { line, outcome, start: None, latencies: histogram() })
    }
}

/// Takes the time of what one partition counted.
struct Meter {
    line: Arc<Line>,
    outcome: Outcome,
    start: Option<Instant>,
    latencies: Histogram<u64>,
}

impl Sink for Meter {
    type Item = (Record, u64);

    fn write(&mut self, batch: &mut Batch<Self::Item>, _: u64) -> Result<()> {
        const WARM_UP_NS: u64 = (WARM_UP_SECONDS * 1e9) as u64;
        // Records are sent after the start only.
        let start = *self.start.get_or_insert_with(|| self.line.started());
        let now_ns = start.elapsed().as_nanos() as u64;
        for (record, due_ns) in batch.records.drain(..) {
            std::hint::black_box(record);
            if due_ns >= WARM_UP_NS {
                self.latencies.saturating_record(now_ns.saturating_sub(due_ns).max(1));
            }
        }
        Ok(())
    }

    fn finish(&mut self, _: u64) -> Result<bool> {
        let mut outcome = self.outcome.lock().expect("nobody panics while holding it");
        outcome.0.add(&self.latencies).expect("the histograms are alike");
        outcome.1 = outcome.1.max(Some(Instant::now()));
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cores;
    use crate::latency::{RATE, input};
    use crate::options::Options;

    #[test]
    fn every_record_after_the_warm_up_is_timed() {
        let cores: Vec<usize> = cores::allowed().unwrap().into_iter().take(2).collect();
        let input = input(1).unwrap();
        let options = Options("idle=park");
        let taken = run(&Offer { input: &input, cores: &cores, seconds: 0.1, options });
        assert_eq!(taken.histogram.len(), RATE / 10);
        assert!(taken.seconds >= 0.59, "{}", taken.seconds);
    }
}
