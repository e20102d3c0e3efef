//! `async_map`: makes one record of each by a future, many at a time, off the partitions.

mod attempt;
mod line;
#[cfg(test)]
mod line_test;
mod stage;

use std::fmt::{self, Display};
use std::future::Future;
use std::time::Duration;

use crate::dataflow::{Chain, DataStream, TimeDomain};
use crate::error::{Error, ErrorKind};
use crate::operator::async_map::line::{Order, Rules};
use crate::time::Nanos;

pub use stage::AsyncMap;

/// Records under way on each partition, unless the stream says otherwise.
const CONCURRENCY: usize = 100;
/// What one attempt may take, unless the stream says otherwise.
const TIMEOUT: Duration = Duration::from_secs(30);

impl<C: Chain> DataStream<C> {
    /// Makes a record of each by the future that `function` gives, such as a look-up in a database
    /// or a call of a service. Records under way wait for each other's results, not for each other.
    ///
    /// What comes out is `Left` results and `Right` records that [`Failed`];
    /// [`split`](DataStream::split) deals them out to two streams, and the report counts the failed
    /// ones as dead letters. A record fails if its future gives an error, panics, or takes longer
    /// than the time-out, at each attempt. A result has the event time of its record.
    ///
    /// By default each partition has up to 100 records under way, makes one attempt at each, gives
    /// it 30 seconds, and emits the results in the order of their records:
    /// [`concurrency`](DataStream::concurrency), [`retry`](DataStream::retry),
    /// [`timeout`](DataStream::timeout), [`unordered`](DataStream::unordered). When it has no room
    /// it takes no more in, and the source waits. The end of the input waits for what is under way.
    ///
    /// The futures of a job run on one thread of its own, which is not pinned, in a tokio runtime.
    /// Long computations would hold the others up: `tokio::task::spawn_blocking` is for those. A
    /// future that is given up is dropped at its next `await`. In a simulation there is no runtime,
    /// and the futures are polled in an order that its seed picks.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use millstream::{connector::iterator, prelude::*};
    /// # let pipeline = Pipeline::new("example");
    /// async fn price_of(order: u32) -> Result<u64, String> {
    ///     if order == 13 { Err("no such order".to_owned()) } else { Ok(u64::from(order) * 100) }
    /// }
    ///
    /// let (prices, failed) = pipeline
    ///     .source(iterator(11..15))
    ///     .async_map(|order| price_of(order))
    ///     .concurrency(1_000)
    ///     .timeout(Duration::from_secs(2))
    ///     .retry(3, Duration::from_millis(10))
    ///     .split();
    /// let (prices, failed) = (prices.collect(), failed.collect());
    /// let report = Engine::new(Config::default())?.run(pipeline)?;
    /// assert_eq!(prices.take(), [1_100, 1_200, 1_400]);
    /// let failed = failed.take().remove(0);
    /// assert_eq!((failed.record, failed.attempts, report.dead_letter), (13, 3, 1));
    /// assert_eq!(failed.failure.to_string(), "no such order");
    /// # Ok::<(), millstream::Error>(())
    /// ```
    ///
    /// # Source
    /// Asynchronous I/O as in Flink (FLIP-12).
    pub fn async_map<F, Fut, R, E>(self, function: F) -> DataStream<AsyncMap<C::Out, C::Time, F, R>>
    where
        C::Out: Clone,
        F: Fn(C::Out) -> Fut + Clone + Send + 'static,
        Fut: Future<Output = Result<R, E>> + Send + 'static,
        R: Send + 'static,
        E: Display,
    {
        let rules = Rules {
            order: Order::Input,
            concurrency: CONCURRENCY,
            timeout: nanos(TIMEOUT),
            attempts: 1,
            backoff: 0,
        };
        self.runs_futures();
        self.headed().rechain(|_| AsyncMap::new(function, rules))
    }
}

impl<T, D, F, Fut, R, E> DataStream<AsyncMap<T, D, F, R>>
where
    T: Clone + Send + 'static,
    D: TimeDomain,
    F: Fn(T) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Result<R, E>> + Send + 'static,
    R: Send + 'static,
    E: Display,
{
    /// Lets each partition have up to `records` under way; results that wait for their turn count.
    ///
    /// * `records` - at least 1; 0 is an error before the job starts.
    pub fn concurrency(self, records: usize) -> Self {
        self.check(records > 0, "concurrency of 0 records; allowed: 1 or more");
        self.rechain(|chain| chain.with(|rules| rules.concurrency = records))
    }

    /// Gives an attempt up when it has taken so long.
    ///
    /// * `timeout` - more than zero; zero is an error before the job starts.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.check(!timeout.is_zero(), "time-out of 0 s; allowed: more");
        self.rechain(|chain| chain.with(|rules| rules.timeout = nanos(timeout)))
    }

    /// Makes up to `attempts` attempts at a record, and pauses for `backoff` after the first that
    /// fails, twice as long after the second, and so on.
    ///
    /// * `attempts` - at least 1, the first one counted; 0 is an error before the job starts.
    pub fn retry(self, attempts: u32, backoff: Duration) -> Self {
        self.check(attempts > 0, "0 attempts at a record; allowed: 1 or more");
        self.rechain(|chain| {
            chain.with(|rules| (rules.attempts, rules.backoff) = (attempts, nanos(backoff)))
        })
    }

    /// Emits results in the order of their records: one that takes long holds up those behind it.
    pub fn ordered(self) -> Self {
        self.rechain(|chain| chain.with(|rules| rules.order = Order::Input))
    }

    /// Emits results as they come. None overtakes a watermark, and no watermark a result, so what
    /// was not late before is not late after.
    pub fn unordered(self) -> Self {
        self.rechain(|chain| chain.with(|rules| rules.order = Order::Completion))
    }

    fn check(&self, is_allowed: bool, problem: &str) {
        if !is_allowed {
            let text = format!("async_map: {problem}");
            self.note_problem(Error::new(ErrorKind::InvalidConfig, text));
        }
    }
}

fn nanos(duration: Duration) -> Nanos {
    duration.as_nanos().try_into().unwrap_or(Nanos::MAX)
}

/// A record of which no attempt came to a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed<T> {
    /// The record.
    pub record: T,
    /// How many attempts were made.
    pub attempts: u32,
    /// How the last of them failed.
    pub failure: Failure,
}

/// How an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// It took longer than the time-out.
    TimedOut,
    /// Its future gave this error.
    Error(String),
    /// Its future panicked and said this.
    Panicked(String),
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::TimedOut => f.write_str("timed out"),
            Failure::Error(error) => f.write_str(error),
            Failure::Panicked(panic) => write!(f, "operator `async_map` panicked: {panic}"),
        }
    }
}
