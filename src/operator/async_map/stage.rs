//! The stage of a chain that hands records to futures and emits what they come to.

use std::fmt::Display;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::dataflow::{
    Chain, Emit, Executor, Meta, NoSource, Passed, Polled, Signal, SourceHead, TaskContext,
    TimeDomain,
};
use crate::operator::async_map::attempt::{Outcomes, Recall, errand};
use crate::operator::async_map::line::{Attempt, Leaving, Line, Rules};
use crate::operator::async_map::{Failed, Failure};
use crate::record::{Batch, Either, Never};
use crate::time::watermark::Progress;
use crate::time::{Nanos, Timestamp};

const NAME: &str = "async_map";

/// The chain of [`DataStream::async_map`](crate::dataflow::DataStream::async_map): it heads its
/// task, since it takes in no more than it has room for.
///
/// Everything happens on a [`Signal::Clock`], which it asks for whenever there is something to do:
/// attempts begin and are given up, outcomes are fetched, results leave. Between two of them
/// records are only lined up.
pub struct AsyncMap<T: Send + 'static, D, F, R> {
    function: F,
    rules: Rules,
    line: Line<T, R, Recall>,
    outside: Option<Outside<R>>,
    /// A buffer for outcomes.
    taken: Vec<(Attempt, Result<R, Failure>)>,
    time: PhantomData<fn() -> D>,
}

/// What it has to do with the world, once it is open.
struct Outside<R> {
    executor: Arc<dyn Executor>,
    outcomes: Arc<Outcomes<R>>,
    dead_letters: Arc<AtomicU64>,
}

impl<T: Send + 'static, D, F, R> AsyncMap<T, D, F, R> {
    pub(super) fn new(function: F, rules: Rules) -> Self {
        let line = Line::new(rules);
        AsyncMap { function, rules, line, outside: None, taken: Vec::new(), time: PhantomData }
    }

    /// The same with other rules.
    pub(super) fn with(self, change: impl FnOnce(&mut Rules)) -> Self {
        let mut rules = self.rules;
        change(&mut rules);
        AsyncMap::new(self.function, rules)
    }

    /// Emits what may leave, as far as there is room, up to the next word of event time.
    fn emit(&mut self, out: &mut impl Emit<Either<R, Failed<T>>>) -> Option<Signal> {
        while out.is_open() {
            match self.line.take()? {
                Leaving::Result(result, time) => out.push(Either::Left(result), Meta { time }),
                Leaving::Failed(failed, time) => {
                    if let Some(outside) = &self.outside {
                        // Relaxed: a counter.
                        outside.dead_letters.fetch_add(1, Ordering::Relaxed);
                    }
                    out.push(Either::Right(failed), Meta { time });
                }
                Leaving::Told(Progress::Watermark(time)) => return Some(Signal::Watermark(time)),
                Leaving::Told(Progress::Idle) => return Some(Signal::Idle),
            }
        }
        None
    }
}

impl<T, D, F, Fut, R, E> AsyncMap<T, D, F, R>
where
    T: Clone + Send + 'static,
    F: Fn(T) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Result<R, E>> + Send + 'static,
    R: Send + 'static,
    E: Display,
{
    /// Fetches what attempts have come to, gives up those that take too long, begins new ones.
    fn look(&mut self, now: Nanos) {
        let outside = self.outside.as_ref().expect("a chain is opened before it is used");
        outside.outcomes.take_into(&mut self.taken);
        for (attempt, outcome) in self.taken.drain(..) {
            self.line.finish(attempt, outcome, now);
        }
        self.line.pass_time(now);
        let function = &self.function;
        self.line.start(now, |attempt, record| {
            let (function, record) = (function.clone(), record.clone());
            let outcomes = Arc::clone(&outside.outcomes);
            let (errand, recall) = errand(attempt, move || function(record), outcomes);
            outside.executor.spawn(errand);
            recall
        });
    }
}

impl<T: Send + 'static, D, F: Clone, R> Clone for AsyncMap<T, D, F, R> {
    /// A clone of the logic, with nothing under way.
    fn clone(&self) -> Self {
        AsyncMap::new(self.function.clone(), self.rules)
    }
}

impl<T, D, F, Fut, R, E> Chain for AsyncMap<T, D, F, R>
where
    T: Clone + Send + 'static,
    D: TimeDomain,
    F: Fn(T) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Result<R, E>> + Send + 'static,
    R: Send + 'static,
    E: Display,
{
    type In = D::Row<T>;
    type Partial = Never;
    type Out = Either<R, Failed<T>>;
    type Time = D;
    type Source = NoSource;

    fn open(&mut self, context: &TaskContext) {
        let executor = context.executor.clone();
        self.outside = Some(Outside {
            executor: executor.expect("a job whose pipeline has futures has an executor"),
            outcomes: Arc::new(Outcomes::new(context.waker.clone())),
            dead_letters: Arc::clone(&context.dead_letters),
        });
    }

    fn push_batch<X: Emit<Self::Out>>(&mut self, batch: &mut Batch<D::Row<T>>, _: &mut X) {
        let count = self.line.room().min(batch.records.len());
        for row in batch.records.drain(..count) {
            let Meta { time } = D::meta(&row);
            self.line.enter(D::into_record(row), time);
        }
    }

    fn poll<X: Emit<Self::Out>>(
        &mut self,
        source: &mut SourceHead<NoSource>,
        _: Nanos,
        _: &mut X,
    ) -> crate::error::Result<Polled> {
        source.never()
    }

    fn signal<X: Emit<Self::Out>>(&mut self, signal: Signal, out: &mut X) -> Passed {
        Passed::Done(match signal {
            Signal::Clock(now) => {
                self.look(now);
                Some(self.emit(out).unwrap_or(signal))
            }
            Signal::Watermark(Timestamp::MAX) | Signal::End => {
                debug_assert!(self.line.is_empty(), "the end comes after what is under way");
                Some(signal)
            }
            Signal::Watermark(time) => {
                self.line.tell(Progress::Watermark(time));
                self.emit(out)
            }
            Signal::Idle => {
                self.line.tell(Progress::Idle);
                self.emit(out)
            }
        })
    }

    fn wake_at(&self) -> Option<Nanos> {
        let has_outcomes = self.outside.as_ref().is_some_and(|outside| outside.outcomes.has_some());
        if has_outcomes { Some(0) } else { self.line.wake_at() }
    }

    fn is_open(&self) -> bool {
        self.line.room() > 0
    }

    fn is_quiet(&self) -> bool {
        self.line.is_empty()
    }

    fn pins_state(&self) -> Option<&'static str> {
        Some("`async_map` behind them lets what is under way wait for its future")
    }

    fn describe(&self, names: &mut Vec<&'static str>) {
        names.push(NAME);
    }
}
