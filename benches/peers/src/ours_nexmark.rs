//! NEXMark on Millstream, through its public API: the pipelines as a user writes them.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use millstream::Result;
use millstream::config::PreAggregate;
use millstream::connector::nexmark::Event;
use millstream::dataflow::{
    Chain, Collector, DataStream, Emit, Pipeline, Polled, Sink, SinkConnector, Source,
    SourceConnector, TaskContext,
};
use millstream::engine::Engine;
use millstream::nexmark;
use millstream::record::Batch;

use crate::feed::Line;
use crate::nexmark::events::Events;
use crate::nexmark::rows::{Every, Latest, Tally};
use crate::nexmark::{Entry, Job};
use crate::ours::config;
use crate::work::Pass;

/// How it takes part.
pub const ENTRY: Entry = Entry { shapes, run };

fn shapes(query: usize) -> &'static [&'static str] {
    match query {
        0..=2 => &[""],
        _ => &["", "preagg=off"],
    }
}

/// Ends the query of this number, as the crate has it, in a sink.
fn build<C: Chain<Out = Event>>(query: usize, events: DataStream<C>, to: End) {
    match query {
        0 => nexmark::q0(events).sink(to.tally(Every::default())),
        1 => nexmark::q1(events).sink(to.tally(Every::default())),
        2 => nexmark::q2(events).sink(to.tally(Every::default())),
        3 => nexmark::q3(events).sink(to.tally(Every::default())),
        4 => nexmark::q4(events).sink(to.tally(Latest::default())),
        5 => nexmark::q5(events).sink(to.tally(Every::default())),
        6 => nexmark::q6(events).sink(to.tally(Latest::default())),
        7 => nexmark::q7(events).sink(to.tally(Every::default())),
        8 => nexmark::q8(events).sink(to.tally(Every::default())),
        _ => unreachable!("there are queries 0 to 8"),
    }
}

fn run(job: &Job<'_>) -> Pass {
    let line = job.line();
    let to = End::default();
    let outcome = Arc::clone(&to.outcome);
    let pipeline = Pipeline::new("nexmark");
    let connector = EventsConnector { events: Arc::clone(job.events), line: Arc::clone(&line) };
    build(job.query, pipeline.source(connector), to);
    let pre_aggregate =
        if job.options.is("preagg", "off") { PreAggregate::Off } else { PreAggregate::Auto };
    let config = config(job.cores, job.options, pre_aggregate);
    Engine::new(config).and_then(|engine| engine.run(pipeline)).expect("the job runs");
    let (end, checksum) = *outcome.lock().expect("nobody panicked");
    Pass { seconds: line.seconds_until(end.expect("a partition finished")), checksum }
}

struct EventsConnector {
    events: Arc<Events>,
    line: Arc<Line>,
}

impl SourceConnector for EventsConnector {
    type Item = Event;
    type Source = EventsSource;

    fn name(&self) -> String {
        "events".to_owned()
    }

    fn open(&mut self, context: &TaskContext) -> Result<EventsSource> {
        let (events, line) = (Arc::clone(&self.events), Arc::clone(&self.line));
        Ok(EventsSource { events, partition: context.partition, next: 0, line, stage: Stage::New })
    }
}

enum Stage {
    New,
    Waiting,
    Running,
}

struct EventsSource {
    events: Arc<Events>,
    partition: usize,
    next: usize,
    line: Arc<Line>,
    stage: Stage,
}

impl Source for EventsSource {
    type Item = Event;

    #[inline]
    fn poll<E: Emit<Event>>(
        &mut self,
        max: usize,
        now: u64,
        out: &mut Collector<'_, E>,
    ) -> Result<Polled> {
        match self.stage {
            Stage::Running => {
                let rest = &self.events.of(self.partition)[self.next..];
                let taken = out.emit_all(rest[..max.min(rest.len())].iter().copied());
                self.next += taken as usize;
                return Ok(if taken == 0 { Polled::Done } else { Polled::Ready });
            }
            Stage::New => {
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

/// Where the rows go.
#[derive(Default)]
struct End {
    outcome: Outcome,
}

impl End {
    /// A sink that keeps of the rows what `tally` does.
    fn tally<R, T: Tally<R>>(self, tally: T) -> TallyConnector<R, T> {
        TallyConnector { outcome: self.outcome, tally, row: std::marker::PhantomData }
    }
}

struct TallyConnector<R, T> {
    outcome: Outcome,
    tally: T,
    row: std::marker::PhantomData<fn(R)>,
}

impl<R: Send + 'static, T: Tally<R>> SinkConnector for TallyConnector<R, T> {
    type Item = R;
    type Sink = TallySink<R, T>;

    fn name(&self) -> String {
        "tally".to_owned()
    }

    fn open(&mut self, _: &TaskContext) -> Result<TallySink<R, T>> {
        let (outcome, tally) = (Arc::clone(&self.outcome), self.tally.clone());
        Ok(TallySink { outcome, tally, row: std::marker::PhantomData })
    }
}

struct TallySink<R, T> {
    outcome: Outcome,
    tally: T,
    row: std::marker::PhantomData<fn(R)>,
}

impl<R: Send + 'static, T: Tally<R>> Sink for TallySink<R, T> {
    type Item = R;

    #[inline(always)]
    fn try_take(&mut self, row: R) -> std::result::Result<(), R> {
        self.tally.add(row);
        Ok(())
    }

    fn write(&mut self, batch: &mut Batch<R>, _: u64) -> Result<()> {
        batch.records.drain(..).for_each(|row| self.tally.add(row));
        Ok(())
    }

    fn finish(&mut self, _: u64) -> Result<bool> {
        let mut outcome = self.outcome.lock().expect("nobody panics while holding it");
        outcome.1 = outcome.1.wrapping_add(self.tally.checksum());
        outcome.0 = Some(outcome.0.map_or_else(Instant::now, |end| end.max(Instant::now())));
        Ok(true)
    }
}
