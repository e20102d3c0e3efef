//! Renoir: group by key and fold; and the same with a fold in front of the exchange.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use millstream::connector::generator::{key_checksum, mix64};
use renoir::operator::{ElementGenerator, Operator, StreamElement};
use renoir::{BatchMode, Replication, RuntimeConfig, Stream, StreamContext};

use crate::cores;
use crate::feed::{Feed, FeedIterator, Line, Record};
use crate::options::{Table, checksum, count, merge};
use crate::work::{Pass, Work};

/// A key's state or partial result: count and sum.
type Partial = (u64, (u64, u64));
type FoldTable = Table<rustc_hash::FxBuildHasher>;
/// When each replica of the last block was done, and the checksum of its keys.
pub type Answers = Arc<Mutex<Vec<(Instant, u64)>>>;

/// Counts behind an exchange.
pub fn run(work: &Work<'_>) -> Pass {
    pass(work, |context, source, answers| {
        let records = records(context, source);
        if work.options.is("shape", "group") {
            records
                .group_by(|record| record.0)
                .fold((0, 0), |state, (_, value)| *state = (state.0 + 1, state.1 + value))
                .unkey()
                .rich_map_custom(at_end(0, add_key, |&sum| sum))
                .for_each(collect(answers));
        } else {
            let table = FoldTable::default();
            records
                .repartition_by(Replication::Unlimited, |record| mix64(record.0))
                .rich_map_custom(at_end(
                    table,
                    |table, (key, value)| count(table, key, value),
                    checksum,
                ))
                .for_each(collect(answers));
        }
    })
}

/// Counts in front of the exchange, exchanges the states at the end, adds up.
pub fn run_pre_aggregating(work: &Work<'_>) -> Pass {
    pass(work, |context, source, answers| {
        let records = records(context, source);
        if work.options.is("shape", "group") {
            records
                .group_by_fold(
                    |record| record.0,
                    (0, 0),
                    |state, (_, value)| *state = (state.0 + 1, state.1 + value),
                    |state, partial| *state = (state.0 + partial.0, state.1 + partial.1),
                )
                .unkey()
                .rich_map_custom(at_end(0, add_key, |&sum| sum))
                .for_each(collect(answers));
        } else {
            let table = FoldTable::default();
            records
                .rich_map_custom(count_locally())
                .repartition_by(Replication::Unlimited, |partial: &Partial| mix64(partial.0))
                .rich_map_custom(at_end(
                    table,
                    |table, (key, partial)| merge(table, key, partial),
                    checksum,
                ))
                .for_each(collect(answers));
        }
    })
}

/// What a source replica needs.
#[derive(Clone)]
struct Source {
    feeds: Vec<Feed>,
    line: Arc<Line>,
    /// A core for each replica, or none where the system places the threads.
    cores: Vec<usize>,
    batch: usize,
}

fn pass(work: &Work<'_>, build: impl FnOnce(&StreamContext, Source, Answers)) -> Pass {
    let workers = work.cores.len();
    let config = RuntimeConfig::local(workers as u64).expect("there is a core");
    let context = StreamContext::new(config);
    let line = Arc::new(Line::new(workers));
    let feeds = (0..workers).map(|worker| Feed::new(work.case, work.input, worker, workers));
    let source = Source {
        feeds: feeds.collect(),
        line: Arc::clone(&line),
        cores: if work.options.is("pin", "source") { work.cores.to_vec() } else { Vec::new() },
        batch: work.options.number("batch", 1024),
    };
    let answers = Answers::default();
    build(&context, source, Arc::clone(&answers));
    context.execute_blocking();
    let answers = answers.lock().expect("no replica panicked");
    let end = answers.iter().map(|answer| answer.0).max().expect("a replica answered");
    let checksum = answers.iter().fold(0, |sum: u64, answer| sum.wrapping_add(answer.1));
    Pass { seconds: line.seconds_until(end), checksum }
}

fn records(context: &StreamContext, source: Source) -> Stream<impl Operator<Out = Record> + use<>> {
    let batch = BatchMode::fixed(source.batch);
    let open = move |replica: u64, _replicas: u64| {
        let replica = replica as usize;
        if let Some(&core) = source.cores.get(replica) {
            cores::pin(core);
        }
        FeedIterator::new(source.feeds[replica].clone(), source.line)
    };
    context.stream_par_iter(open).batch_mode(batch)
}

fn add_key(sum: &mut u64, (key, (count, total)): Partial) {
    *sum = sum.wrapping_add(key_checksum(key, count, total));
}

/// Notes the answer of a replica.
pub fn collect(answers: Answers) -> impl FnMut(u64) + Clone + Send + 'static {
    move |checksum| {
        let mut answers = answers.lock().expect("no replica panics while holding it");
        answers.push((Instant::now(), checksum));
    }
}

/// An operator that absorbs its whole input and gives one answer.
pub fn at_end<Op, A>(
    mut state: A,
    absorb: impl Fn(&mut A, Op::Out) + Clone + Send + 'static,
    answer: impl Fn(&A) -> u64 + Clone + Send + 'static,
) -> impl FnMut(ElementGenerator<'_, Op>) -> StreamElement<u64> + Clone + Send + 'static
where
    Op: Operator,
    A: Clone + Send + 'static,
{
    let mut has_answered = false;
    move |mut input| {
        if has_answered {
            has_answered = false;
            return StreamElement::FlushAndRestart;
        }
        loop {
            match input.next() {
                StreamElement::Item(item) | StreamElement::Timestamped(item, _) => {
                    absorb(&mut state, item);
                }
                StreamElement::FlushAndRestart => {
                    has_answered = true;
                    return StreamElement::Item(answer(&state));
                }
                StreamElement::Terminate => return StreamElement::Terminate,
                StreamElement::Watermark(_) | StreamElement::FlushBatch => {}
            }
        }
    }
}

/// Counts in a table of our own, whose content goes out at the end.
fn count_locally<Op: Operator<Out = Record>>()
-> impl FnMut(ElementGenerator<'_, Op>) -> StreamElement<Partial> + Clone + Send + 'static {
    let mut table = FoldTable::default();
    let mut content: Option<std::vec::IntoIter<Partial>> = None;
    move |mut input| {
        loop {
            if let Some(partials) = &mut content {
                return match partials.next() {
                    Some(partial) => StreamElement::Item(partial),
                    None => {
                        content = None;
                        StreamElement::FlushAndRestart
                    }
                };
            }
            match input.next() {
                StreamElement::Item((key, value)) | StreamElement::Timestamped((key, value), _) => {
                    count(&mut table, key, value);
                }
                StreamElement::FlushAndRestart => {
                    content = Some(table.drain().collect::<Vec<_>>().into_iter());
                }
                StreamElement::Terminate => return StreamElement::Terminate,
                StreamElement::Watermark(_) | StreamElement::FlushBatch => {}
            }
        }
    }
}
