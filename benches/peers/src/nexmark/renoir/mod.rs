//! Renoir: event time and watermarks from `add_timestamps`, as in its own NEXMark example.

mod aligned;
mod custom;
mod queries;
mod windows;

use std::sync::Arc;

use millstream::connector::nexmark::Event;
use renoir::operator::{Operator, Timestamp};
use renoir::{BatchMode, RuntimeConfig, Stream, StreamContext};

use crate::nexmark::events::Share;
use crate::nexmark::rows::Tally;
use crate::nexmark::{Entry, Job};
use crate::renoir_peer::{Answers, at_end, collect};
use crate::work::Pass;

/// How it takes part.
pub const ENTRY: Entry = Entry { shapes, run };

/// Those of its own operators come second; not its join, which now and then panics at the end of
/// the input (`receiver failed: Disconnected`).
fn shapes(query: usize) -> &'static [&'static str] {
    match query {
        0..=3 => &[""],
        _ => &["", "shape=windows"],
    }
}

fn run(job: &Job<'_>) -> Pass {
    let workers = job.cores.len();
    let config = RuntimeConfig::local(workers as u64).expect("there is a core");
    let context = StreamContext::new(config);
    let line = job.line();
    let events = {
        let (events, line) = (Arc::clone(job.events), Arc::clone(&line));
        let open = move |replica: u64, _replicas: u64| Share::new(events, replica as usize, line);
        context.stream_par_iter(open)
    };
    let events = events.batch_mode(BatchMode::fixed(job.options.number("batch", 1024)));
    let answers = Answers::default();
    let end = End { answers: Arc::clone(&answers) };
    let every = job.options.number("watermark", 16384);
    match job.query {
        query @ 0..=2 => queries::build(query, events, end),
        query if job.options.is("shape", "windows") => windows::build(query, events, every, end),
        query => custom::build(query, events, every, end),
    }
    context.execute_blocking();
    let answers = answers.lock().expect("no replica panicked");
    let end = answers.iter().map(|answer| answer.0).max().expect("a replica answered");
    let checksum = answers.iter().fold(0, |sum: u64, answer| sum.wrapping_add(answer.1));
    Pass { seconds: line.seconds_until(end), checksum }
}

/// Where the rows go.
struct End {
    answers: Answers,
}

impl End {
    fn end<R: Send + 'static, T: Tally<R>>(self, rows: Stream<impl Operator<Out = R> + 'static>) {
        let tally = T::default();
        rows.rich_map_custom(at_end(tally, T::add, T::checksum)).for_each(collect(self.answers));
    }
}

/// Gives events their time, and a watermark after each `every` of a replica.
fn timed(
    events: Stream<impl Operator<Out = Event> + 'static>,
    every: usize,
) -> Stream<impl Operator<Out = Event> + 'static> {
    let mut count = 0;
    events.add_timestamps(
        |event| event.time().as_millis(),
        move |_, time: &Timestamp| {
            count = (count + 1) % every;
            (count == 0).then_some(*time)
        },
    )
}
