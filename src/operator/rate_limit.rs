//! `rate_limit`: lets so many records a second through, and lets the others wait.

use crate::dataflow::{
    Chain, Collector, DataStream, Emit, Flow, Identity, Operator, TaskContext, Then,
};
use crate::error::{Error, ErrorKind};
use crate::time::Nanos;

const NS_PER_S: u64 = 1_000_000_000;
/// What may be saved up while nothing comes, beside one record: this much time's worth, so that a
/// partition that wakes late loses none of its rate.
const SAVED_NS_MAX: Nanos = 10_000_000;
/// A limit that was reached is lifted for this much time's worth at once, so that a high rate does
/// not cost a step per record.
const PORTION_NS: Nanos = 100_000;

impl<C: Chain> DataStream<C> {
    /// Lets at most `records_per_second` records through, in order, dropping none: the input waits,
    /// and with it the source.
    ///
    /// The rate is that of the job. Each of its partitions gets an equal share, whatever the others
    /// use of theirs: [`rebalance`](DataStream::rebalance) first where one partition has all
    /// records. After a pause 10 ms worth of records and one more may pass
    /// at once.
    ///
    /// * `records_per_second` - at least 1; 0 is an error before the job starts.
    ///
    /// ```
    /// # use millstream::{connector::iterator, prelude::*};
    /// # let pipeline = Pipeline::new("example");
    /// let calls = pipeline.source(iterator(0..100)).rate_limit(10_000).collect();
    /// # Engine::new(Config::builder().partitions(1).build()?)?.run(pipeline)?;
    /// assert_eq!(calls.take().len(), 100); // Some 10 ms later.
    /// # Ok::<(), millstream::Error>(())
    /// ```
    ///
    /// # Source
    /// A token bucket: Turner, "New directions in communications", 1986.
    pub fn rate_limit(self, records_per_second: u64) -> RateLimited<C> {
        if records_per_second == 0 {
            let text = "rate limit of 0 records per second; allowed: 1 or more";
            self.note_problem(Error::new(ErrorKind::InvalidConfig, text));
        }
        self.headed().apply(RateLimit::new(records_per_second))
    }
}

/// The stream of chain `C`, cut, with a limit on its rate.
pub type RateLimited<C> =
    DataStream<Then<Identity<<C as Chain>::Out, <C as Chain>::Time>, RateLimit>>;

/// The operator of [`DataStream::rate_limit`].
#[derive(Clone, Debug)]
pub struct RateLimit {
    records_per_second: u64,
    bucket: Bucket,
}

impl RateLimit {
    fn new(records_per_second: u64) -> Self {
        RateLimit { records_per_second, bucket: Bucket::new(records_per_second, 1, 0) }
    }
}

impl<T: Send + 'static> Operator<T> for RateLimit {
    type Out = T;
    const NAME: &'static str = "rate_limit";
    const PINS_STATE: Option<&'static str> =
        Some("`rate_limit` behind them lets what is under way wait for its turn");
    const BOUND: Option<&'static str> = Some("each instance has its part of the rate");

    fn open(&mut self, context: &TaskContext) {
        let partitions = context.partitions as u64;
        self.bucket = Bucket::new(self.records_per_second, partitions, context.now);
    }

    #[inline(always)]
    fn on_record<E: Emit<T>>(&mut self, record: T, out: &mut Collector<'_, E>) {
        self.bucket.take();
        out.emit(record);
    }

    fn on_clock<E: Emit<T>>(&mut self, now: Nanos, _: &mut Collector<'_, E>) -> Flow {
        self.bucket.fill(now);
        Flow::Done
    }

    fn wake_at(&self) -> Option<Nanos> {
        (!self.bucket.has_token()).then(|| self.bucket.portion_at())
    }

    #[inline(always)]
    fn is_open(&self) -> bool {
        self.bucket.has_token()
    }
}

/// One partition's share of a rate, as tokens that come with time and go with records.
///
/// It counts in parts of a token, so that no rate and no number of partitions is rounded: a token
/// has as many parts as all partitions together have nanoseconds in a second, and each nanosecond
/// brings as many parts as the job's rate has records per second.
#[derive(Clone, Debug)]
struct Bucket {
    parts: u64,
    parts_max: u64,
    parts_per_ns: u64,
    parts_per_token: u64,
    /// A limit that was reached is lifted when there are so many.
    portion: u64,
    filled_at: Nanos,
}

impl Bucket {
    /// An empty bucket.
    fn new(records_per_second: u64, partitions: u64, now: Nanos) -> Self {
        // A rate of 0 was reported, and the job will not start.
        let parts_per_ns = records_per_second.max(1);
        let parts_per_token = NS_PER_S * partitions;
        let worth = |time: Nanos| parts_per_ns.saturating_mul(time);
        Bucket {
            parts: 0,
            parts_max: parts_per_token.saturating_add(worth(SAVED_NS_MAX)),
            parts_per_ns,
            parts_per_token,
            portion: worth(PORTION_NS).max(parts_per_token),
            filled_at: now,
        }
    }

    #[inline(always)]
    fn has_token(&self) -> bool {
        self.parts >= self.parts_per_token
    }

    #[inline(always)]
    fn take(&mut self) {
        debug_assert!(self.has_token(), "a closed operator is given nothing");
        self.parts -= self.parts_per_token;
    }

    /// Adds what has come since it was filled last.
    fn fill(&mut self, now: Nanos) {
        let elapsed = now.saturating_sub(self.filled_at);
        let come = elapsed.saturating_mul(self.parts_per_ns);
        self.parts = self.parts.saturating_add(come).min(self.parts_max);
        self.filled_at = self.filled_at.max(now);
    }

    /// When there will be a portion of tokens, at least one, if none is taken until then.
    fn portion_at(&self) -> Nanos {
        let missing = self.portion.saturating_sub(self.parts);
        self.filled_at.saturating_add(missing.div_ceil(self.parts_per_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes tokens whenever there is one, looking every `step` ns, until `end`.
    fn taken(bucket: &mut Bucket, step: Nanos, end: Nanos) -> u64 {
        let mut taken = 0;
        let mut now = bucket.filled_at;
        while now < end {
            now += step;
            bucket.fill(now);
            while bucket.has_token() {
                bucket.take();
                taken += 1;
            }
        }
        taken
    }

    #[test]
    fn rate_is_kept_to_the_record_whatever_the_steps() {
        for (rate, partitions) in [(3, 1), (1_000, 7), (1_000_000, 1), (10_000_000, 16)] {
            for step in [999, 1_000_003, 7_000_000] {
                let end = 1_000 * step;
                let mut bucket = Bucket::new(rate, partitions, 0);
                let expected = u128::from(end) * u128::from(rate) / u128::from(NS_PER_S);
                let expected = (expected / u128::from(partitions)) as u64;
                let what = format!("{rate}/s over {partitions}, steps of {step} ns");
                assert_eq!(taken(&mut bucket, step, end), expected, "{what}");
            }
        }
    }

    #[test]
    fn pause_saves_ten_milliseconds_worth_and_one_record() {
        for (rate, at_once) in [(1, 1), (99, 1), (1_000, 11), (1_000_000, 10_001)] {
            let mut bucket = Bucket::new(rate, 1, 5);
            let hour = 3_600 * NS_PER_S;
            assert_eq!(taken(&mut bucket, hour, hour), at_once, "{rate}/s");
        }
    }

    #[test]
    fn empty_bucket_asks_for_the_time_of_its_next_portion() {
        for (rate, partitions, portion_ns) in
            [(1, 1, NS_PER_S), (3, 1, 333_333_334), (3, 2, 666_666_667), (1_000_000, 1, PORTION_NS)]
        {
            let mut bucket = Bucket::new(rate, partitions, 7);
            assert_eq!(bucket.portion_at(), 7 + portion_ns);
            bucket.fill(7 + portion_ns - 1);
            assert!(!bucket.has_token() || rate == 1_000_000);
            bucket.fill(7 + portion_ns);
            assert!(bucket.has_token());
        }
    }

    #[test]
    fn highest_rates_and_times_do_not_overflow() {
        let mut bucket = Bucket::new(u64::MAX, 1_024, 0);
        bucket.fill(Nanos::MAX);
        assert!(bucket.has_token());
        bucket.take();
        assert!(bucket.portion_at() >= bucket.filled_at);
    }
}
