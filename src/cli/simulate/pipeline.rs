//! A random job as a pipeline of the engine, with somebody who listens before and behind each stage
//! of windows.

use std::time::Duration;

use crate::cli::simulate::job::{
    Domain, Event, FUTURE_SKEW, Feed, Given, Job, Measure, Stage, Way, keeps,
};
use crate::cli::simulate::tap::{Listening, Tap, Witness};
use crate::connector::blackhole;
use crate::dataflow::{
    BoxedStream, Chain, Collector, DataStream, Emit, Identity, KeyedStream, Lanes, Pipeline,
    Polled, Source, SourceConnector, Stamped, TaskContext, Timed,
};
use crate::error::Result;
use crate::operator::window::model::{Growing, Kind};
use crate::operator::window::{
    Custom, Trigger, WindowTime, WindowedStream, Windows, count_sliding, global, session, sliding,
    tumbling,
};
use crate::record::Key;
use crate::routing::{Hashed, RoundRobin};
use crate::state::aggregate::{Collect, Count, Sum, sum};
use crate::testing::Random;
use crate::time::Nanos;
use crate::time::watermark::BoundedDisorder;

type Boxed = BoxedStream<Event, Timed>;

/// Builds `job` on `pipeline`; what was heard at each of its stages can be asked for afterwards.
pub(super) fn build(job: &Job, pipeline: &Pipeline) -> Vec<Tap> {
    let fed = job
        .feeds
        .iter()
        .enumerate()
        .map(|(index, feed)| build_feed(feed, job.seed ^ index as u64, pipeline));
    let mut stream = fed.reduce(|one, other| one.union(other)).expect("a job has a source");
    let mut taps = Vec::new();
    for (index, stage) in job.stages.iter().enumerate() {
        let is_prompt = job.is_never_idle() && stage.is_prompt();
        let mut tap = Tap::new(job.partitions, format!("window {index}"), is_prompt);
        stream = build_stage(stream, *stage, &mut tap);
        taps.push(tap);
    }
    stream.sink(blackhole());
    taps
}

fn build_feed(feed: &Feed, seed: u64, pipeline: &Pipeline) -> Boxed {
    let modulus = feed.modulus;
    let timed = pipeline
        .source(Shares { feed: feed.clone(), seed })
        .filter(move |event| keeps(modulus, event))
        .assign_timestamps(|event: &Event| event.time, BoundedDisorder::new(feed.bound))
        .max_future_skew(FUTURE_SKEW);
    let timed = match feed.idle_after {
        Some(timeout) => timed.idle_after(timeout),
        None => timed,
    };
    match feed.way {
        Way::Straight => timed.boxed(),
        Way::Rebalance => timed.rebalance(),
        Way::RoundRobin => timed.partition_by(RoundRobin::default()),
        Way::Broadcast => timed.broadcast(),
        Way::Fork => {
            let [one, other] = timed.fork();
            one.union(other.map(Event::mapped))
        }
    }
}

fn millis(millis: i64) -> Duration {
    Duration::from_millis(millis.unsigned_abs())
}

/// The results of one stage as events, with `tap` on both sides of its operator. Not all windows
/// come in all ways, since each pair of them is compiled on its own.
fn build_stage(stream: Boxed, stage: Stage, tap: &mut Tap) -> Boxed {
    let is_collected = stage.measure == Measure::Collect;
    match stage.kind {
        Kind::Tumbling { size, offset } => {
            let windows = tumbling(millis(size)).offset_ms(offset);
            match (stage.keys, stage.domain) {
                (None, _) => {
                    let windowed = stream.window_all(windows).trigger(trigger_of(stage));
                    counted(windowed, |()| 0, tap)
                }
                (_, Domain::Processing) => in_processing_time(stream, windows, stage, tap),
                _ if is_collected => collected(stream, windows, stage, tap),
                _ => numbered(stream, windows, stage, tap),
            }
        }
        Kind::Sliding { size, slide, offset } => {
            let windows = sliding(millis(size), millis(slide)).offset_ms(offset);
            if is_collected {
                collected(stream, windows, stage, tap)
            } else {
                numbered(stream, windows, stage, tap)
            }
        }
        Kind::Session { gap } if stage.domain == Domain::Processing => {
            in_processing_time(stream, session(millis(gap)), stage, tap)
        }
        Kind::Session { gap } => numbered(stream, session(millis(gap)), stage, tap),
        Kind::Count { size, slide } => {
            numbered(stream, count_sliding(size as u64, slide as u64), stage, tap)
        }
        Kind::Global => numbered(stream, global(), stage, tap),
        Kind::Growing if is_collected => collected(stream, Custom(Growing), stage, tap),
        Kind::Growing => numbered(stream, Custom(Growing), stage, tap),
    }
}

fn trigger_of(stage: Stage) -> Trigger {
    let rules = stage.rules;
    Trigger::default().early(rules.early).mode(rules.mode).allowed_lateness(millis(rules.lateness))
}

type Keyed<F> = KeyedStream<Identity<Event, Timed>, F>;

fn keyed(stream: Boxed, stage: Stage) -> Keyed<impl Fn(&Event) -> u64 + Clone + Send + 'static> {
    stream.key_by(move |event| stage.key_of(event)).pre_aggregate(stage.pre_aggregate)
}

/// Counts, or sums beside which late records come out.
fn numbered<W>(stream: Boxed, windows: W, stage: Stage, tap: &mut Tap) -> Boxed
where
    W: Windows<Event, Count> + Windows<Event, Sum<fn(&Event) -> i64>>,
{
    let windowed = keyed(stream, stage).window(windows).trigger(trigger_of(stage));
    if stage.measure == Measure::Count {
        return counted(windowed, |key| *key, tap);
    }
    let value: fn(&Event) -> i64 = value_of;
    let results = windowed.late_output().aggregated(sum(value));
    let witness = Witness::new(tap, |key| *key, |sum: &i64| *sum);
    let (results, late) = listened(results, tap).apply(witness).split();
    tap.late = Some(late.collect());
    results
}

fn in_processing_time<W>(stream: Boxed, windows: W, stage: Stage, tap: &mut Tap) -> Boxed
where
    W: Windows<Event, Count>,
{
    let windowed = keyed(stream, stage).window_in_processing_time(windows);
    counted(windowed.trigger(trigger_of(stage)), |key| *key, tap)
}

fn collected<W>(stream: Boxed, windows: W, stage: Stage, tap: &mut Tap) -> Boxed
where
    W: Windows<Event, Collect>,
{
    let windowed = keyed(stream, stage).window(windows).trigger(trigger_of(stage));
    let measure =
        |all: &Vec<Event>| Measure::Collect.of(&all.iter().map(value_of).collect::<Vec<_>>());
    let witness = Witness::new(tap, |key: &u64| *key, measure);
    listened(windowed.aggregate(Collect), tap).apply(witness).boxed()
}

fn value_of(event: &Event) -> i64 {
    event.value
}

type Counting<F, W, S> = WindowedStream<Identity<Event, Timed>, F, Hashed, W, S>;

fn counted<K, F, W, S>(
    windowed: Counting<F, W, S>,
    number_of: fn(&K) -> u64,
    tap: &mut Tap,
) -> Boxed
where
    K: Key,
    F: Fn(&Event) -> K + Clone + Send + 'static,
    W: Windows<Event, Count>,
    S: WindowTime,
{
    let witness = Witness::new(tap, number_of, |count: &u64| count.cast_signed());
    listened(windowed.count(), tap).apply(witness).boxed()
}

/// The stream with `tap` at the input of its task, and a name.
fn listened<C>(stream: DataStream<C>, tap: &Tap) -> DataStream<C>
where
    C: Chain<In = Stamped<Event>>,
{
    let heard = tap.heard.clone();
    let listen = move |context: &TaskContext, lanes| -> Box<dyn Lanes<C::In, C::Partial>> {
        Box::new(Listening::new(lanes, heard.clone(), context.partition))
    };
    stream.with_lanes(listen).named(tap.name.clone())
}

/// A source of given records, with silences.
struct Shares {
    feed: Feed,
    seed: u64,
}

struct Share {
    given: std::vec::IntoIter<Given>,
    silent_until: Nanos,
    random: Random,
    context: TaskContext,
    modulus: u64,
    idle_after: Option<Nanos>,
    /// When the last record that the filter keeps was given.
    given_at: Nanos,
    /// The silence before one of the records so far was long enough for being idle.
    may_be_idle: bool,
}

impl SourceConnector for Shares {
    type Item = Event;
    type Source = Share;

    fn name(&self) -> String {
        "shares".into()
    }

    fn open(&mut self, context: &TaskContext) -> Result<Share> {
        let given = std::mem::take(&mut self.feed.shares[context.partition]).into_iter();
        let random = Random::seeded(self.seed ^ ((context.partition as u64) << 32));
        Ok(Share {
            given,
            silent_until: 0,
            random,
            context: context.clone(),
            modulus: self.feed.modulus,
            idle_after: self.feed.idle_after.map(|timeout| timeout.as_nanos() as Nanos),
            given_at: context.now,
            may_be_idle: false,
        })
    }
}

impl Share {
    /// `event`, as what it is when it is given at `now`.
    fn event(&mut self, event: Event, now: Nanos) -> Event {
        if keeps(self.modulus, &event) {
            let silence = now - std::mem::replace(&mut self.given_at, now);
            self.may_be_idle |= self.idle_after.is_some_and(|timeout| silence >= timeout);
        }
        Event { is_timely: event.is_timely && !self.may_be_idle, ..event }
    }
}

impl Source for Share {
    type Item = Event;

    /// Hesitates between records as its seed says.
    fn poll<E: Emit<Event>>(
        &mut self,
        max: usize,
        now: Nanos,
        out: &mut Collector<'_, E>,
    ) -> Result<Polled> {
        if now < self.silent_until {
            return Ok(Polled::Until(self.silent_until));
        }
        for _ in 0..self.random.index(max + 1) {
            if !out.is_open() {
                break;
            }
            match self.given.next() {
                Some(Given::Event(event)) => {
                    let event = self.event(event, now);
                    out.emit(event);
                }
                Some(Given::Silence(nanos)) => {
                    self.silent_until = now + nanos;
                    return Ok(Polled::Until(self.silent_until));
                }
                None => return Ok(Polled::Done),
            }
        }
        Ok(match self.random.below(8) {
            0 => {
                self.context.waker.wake();
                Polled::Pending
            }
            1 => Polled::Until(now + self.random.below(2_000)),
            _ => Polled::Ready,
        })
    }
}
