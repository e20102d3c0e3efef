//! `assign_timestamps`: gives records their event time, and the stream its watermarks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::dataflow::blame::Watch;
use crate::dataflow::{
    Chain, DataStream, Emit, Meta, Passed, Polled, Signal, SourceHead, TaskContext, Timed,
};
use crate::error::{Error, ErrorKind, Result};
use crate::metrics::Tally;
use crate::record::Batch;
use crate::time::watermark::{Aligned, Alignment, Guarded, IdleTimeout, WatermarkGenerator};
use crate::time::{Nanos, Timestamp};

const NAME: &str = "assign_timestamps";

/// How far ahead of the wall clock a record may move time, unless the stream says otherwise.
const FUTURE_SKEW: Duration = Duration::from_secs(3_600);

/// How often a split that waits for slower ones looks at them.
const LOOK_NS: Nanos = 1_000_000;

impl<C: Chain> DataStream<C> {
    /// Gives each record the event time that `time_of` finds in it, and lets `generator` say how
    /// far event time has come.
    ///
    /// Each partition has its own clone of `generator`, which sees the records of its share of the
    /// input in their order, so those of a file's splits one split after the other; behind the next
    /// exchange the earliest of their watermarks counts. Files that cover the same time should be
    /// sources of their own, with timestamps of their own, joined by [`union`](DataStream::union).
    /// A record more than an hour ahead of the wall clock keeps its time but moves nobody else's
    /// (see [`max_future_skew`](DataStream::max_future_skew)).
    ///
    /// * `time_of` - milliseconds since the epoch, as `i64` or [`Timestamp`], or an `Option` or a
    ///   `Result` of them: a record without a time is dropped and counted as a dead letter. To keep
    ///   such records, [`route`](DataStream::route) them first.
    ///
    /// # Source
    /// Watermarks and their generators as in Flink; the model is that of Akidau et al., *The
    /// Dataflow Model*, VLDB 2015.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use millstream::{connector::iterator, prelude::*};
    /// # use millstream::time::watermark::BoundedDisorder;
    /// # let pipeline = Pipeline::new("example");
    /// let clicks = pipeline.source(iterator([(1_000, "a"), (900, "b"), (2_000, "a")]));
    /// let timed = clicks
    ///     .assign_timestamps(|click| click.0, BoundedDisorder::new(Duration::from_millis(200)))
    ///     .idle_after(Duration::from_secs(5));
    /// let counts = timed.key_by(|click| click.1).count().collect();
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// assert_eq!(counts.take().len(), 2);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn assign_timestamps<F, W, G>(
        self,
        time_of: F,
        generator: G,
    ) -> DataStream<AssignTimestamps<C, F, G>>
    where
        F: FnMut(&C::Out) -> W + Clone + Send + 'static,
        W: RecordTime,
        G: WatermarkGenerator<C::Out>,
    {
        self.rechain(|upstream| AssignTimestamps {
            upstream,
            time_of,
            guard: Guarded::new(generator.clone(), Timestamp::MAX, 0, FUTURE_SKEW),
            generator,
            future_skew: FUTURE_SKEW,
            idle_after: None,
            idle: None,
            has_seen: false,
            watermark: Timestamp::MIN,
            alignment: None,
            aligned: None,
            waits_until: None,
            looked_at: 0,
            wall_time: Timestamp::MAX,
            dead_letters: Arc::default(),
        })
    }
}

impl<C: Chain, F, W, G> DataStream<AssignTimestamps<C, F, G>>
where
    F: FnMut(&C::Out) -> W + Clone + Send + 'static,
    W: RecordTime,
    G: WatermarkGenerator<C::Out>,
{
    /// No longer waits for a partition whose share of the input gave no record for `timeout`.
    ///
    /// While it is idle time may go on without it, so what it gives then may be late. Without this
    /// an input that falls silent holds back all windows downstream.
    pub fn idle_after(self, timeout: Duration) -> Self {
        self.rechain(|chain| AssignTimestamps { idle_after: Some(timeout), ..chain })
    }

    /// Lets no record move event time further than `skew` beyond the wall clock, so that one wrong
    /// clock does not make all other records late. An hour by default.
    pub fn max_future_skew(self, skew: Duration) -> Self {
        self.rechain(|chain| AssignTimestamps { future_skew: skew, ..chain })
    }

    /// Lets a partition whose share of the input is too far ahead in event time wait for the
    /// slowest, of this stream and of all others under the same `alignment`, so that less has to
    /// be kept until time has come that far. By default nobody waits.
    ///
    /// A share that falls silent holds the others for as long as it is not idle: see
    /// [`idle_after`](Self::idle_after). One that waits looks about it once a millisecond, so the
    /// drift should be more than the event time that goes by in one. It is kept to a batch.
    ///
    /// # Errors
    /// Before the start, [`InvalidConfig`](crate::ErrorKind::InvalidConfig) if anything but
    /// operators of the same task stands between source and timestamps: what waits there may be
    /// what the slowest needs.
    ///
    /// # Source
    /// Watermark alignment as in Flink, FLIP-182.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use millstream::{connector::iterator, prelude::*};
    /// use millstream::time::watermark::{Alignment, Monotone};
    ///
    /// # let pipeline = Pipeline::new("example");
    /// let (orders, rates) = (iterator([1_000, 2_000, 90_000]), iterator([500, 700, 80_000]));
    /// let minute = Alignment::within(Duration::from_secs(60));
    /// let [orders, rates] = [orders, rates].map(|times| {
    ///     let timed = pipeline.source(times).assign_timestamps(|t| *t, Monotone::new());
    ///     timed.align_with(&minute)
    /// });
    /// let all = orders.union(rates).collect();
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// assert_eq!(all.take().len(), 6);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn align_with(self, alignment: &Alignment) -> Self {
        if !self.is_at_source() {
            let text = "align_with behind another task; allowed: right behind the source";
            self.note_problem(Error::new(ErrorKind::InvalidConfig, text));
        }
        let alignment = Some(alignment.clone());
        self.rechain(|chain| AssignTimestamps { alignment, ..chain })
    }
}

/// What a record's time may be given as.
pub trait RecordTime {
    /// The time, if the record has one.
    fn time(self) -> Option<Timestamp>;
}

impl RecordTime for Timestamp {
    #[inline(always)]
    fn time(self) -> Option<Timestamp> {
        Some(self)
    }
}

/// Milliseconds since the epoch.
impl RecordTime for i64 {
    #[inline(always)]
    fn time(self) -> Option<Timestamp> {
        Some(self.into())
    }
}

impl<W: RecordTime> RecordTime for Option<W> {
    #[inline(always)]
    fn time(self) -> Option<Timestamp> {
        self?.time()
    }
}

impl<W: RecordTime, E> RecordTime for std::result::Result<W, E> {
    #[inline(always)]
    fn time(self) -> Option<Timestamp> {
        self.ok()?.time()
    }
}

/// How far from today a time may be for a guess at its unit.
const NEAR_MS: u64 = 10 * 365 * 86_400_000;

/// Whether `time`, taken for milliseconds, is nowhere near `wall_time`, and taken for seconds,
/// microseconds or nanoseconds it is.
fn is_of_other_unit(time: Timestamp, wall_time: Timestamp) -> bool {
    let (time, today) = (time.as_millis(), wall_time.as_millis());
    let is_near = |millis: i64| millis.abs_diff(today) < NEAR_MS;
    !is_near(time)
        && (is_near(time.saturating_mul(1_000))
            || is_near(time / 1_000)
            || is_near(time / 1_000_000))
}

/// The chain `C` whose records have been given an event time.
pub struct AssignTimestamps<C, F, G> {
    upstream: C,
    time_of: F,
    generator: G,
    guard: Guarded<G>,
    future_skew: Duration,
    idle_after: Option<Duration>,
    idle: Option<IdleTimeout>,
    /// There were records since the last look.
    has_seen: bool,
    /// What was told last.
    watermark: Timestamp,
    alignment: Option<Alignment>,
    /// This partition's place in it.
    aligned: Option<Aligned>,
    /// It is too far ahead and takes nothing in, at least until then.
    waits_until: Option<Nanos>,
    looked_at: Nanos,
    /// The time of day at the start.
    wall_time: Timestamp,
    dead_letters: Arc<AtomicU64>,
}

impl<C: Clone, F: Clone, G: Clone> Clone for AssignTimestamps<C, F, G> {
    fn clone(&self) -> Self {
        AssignTimestamps {
            upstream: self.upstream.clone(),
            time_of: self.time_of.clone(),
            generator: self.generator.clone(),
            guard: self.guard.clone(),
            idle: self.idle,
            alignment: self.alignment.clone(),
            aligned: None,
            dead_letters: Arc::clone(&self.dead_letters),
            ..*self
        }
    }
}

/// What upstream emits into.
struct Stamper<'a, F, G, E> {
    time_of: &'a mut F,
    guard: &'a mut Guarded<G>,
    has_seen: &'a mut bool,
    dead_letters: &'a AtomicU64,
    next: &'a mut E,
}

impl<T, F, W, G, E> Emit<T> for Stamper<'_, F, G, E>
where
    F: FnMut(&T) -> W,
    W: RecordTime,
    G: WatermarkGenerator<T>,
    E: Emit<T>,
{
    #[inline(always)]
    fn push(&mut self, record: T, _: Meta) {
        *self.has_seen = true;
        let watch = Watch::operator(NAME);
        let time = (self.time_of)(&record).time();
        if let Some(time) = time {
            self.guard.observe(&record, time);
        }
        watch.over();
        match time {
            Some(time) => self.next.push(record, Meta { time }),
            // Relaxed: a counter that nothing else hangs on.
            None => drop(self.dead_letters.fetch_add(1, Ordering::Relaxed)),
        }
    }

    #[inline(always)]
    fn is_open(&self) -> bool {
        self.next.is_open()
    }
}

impl<C: Chain, F, W, G> AssignTimestamps<C, F, G>
where
    F: FnMut(&C::Out) -> W + Clone + Send + 'static,
    W: RecordTime,
    G: WatermarkGenerator<C::Out>,
{
    /// What there is to tell of event time at `now`, if anything.
    fn look(&mut self, now: Nanos) -> Option<Signal> {
        self.guard.set_now(now);
        self.looked_at = now;
        let has_seen = std::mem::take(&mut self.has_seen);
        let goes_idle = match &mut self.idle {
            Some(idle) if has_seen => {
                idle.on_records();
                false
            }
            // Nobody asked the source.
            Some(_) if self.waits_until.is_some() => false,
            Some(idle) => idle.on_nothing(now),
            None => false,
        };
        let watermark = self.guard.watermark();
        if self.waits_until.is_some_and(|until| until <= now) {
            self.align();
        }
        if watermark > self.watermark {
            self.watermark = watermark;
            return Some(Signal::Watermark(watermark));
        }
        if goes_idle {
            self.leave();
        }
        goes_idle.then_some(Signal::Idle)
    }

    /// Tells the others how far time is here, and finds out whether to wait for them.
    #[inline]
    fn align(&mut self) {
        if let Some(aligned) = &mut self.aligned {
            let waits = aligned.advance(self.guard.watermark());
            self.waits_until = waits.then(|| self.looked_at.saturating_add(LOOK_NS));
        }
    }

    /// Holds nobody back any more.
    fn leave(&mut self) {
        if let Some(aligned) = &mut self.aligned {
            aligned.leave();
        }
    }
}

impl<C: Chain, F, W, G> Chain for AssignTimestamps<C, F, G>
where
    F: FnMut(&C::Out) -> W + Clone + Send + 'static,
    W: RecordTime,
    G: WatermarkGenerator<C::Out>,
{
    type In = C::In;
    type Partial = C::Partial;
    type Out = C::Out;
    type Time = Timed;
    type Source = C::Source;

    fn open(&mut self, context: &TaskContext) {
        self.upstream.open(context);
        let generator = self.generator.clone();
        self.wall_time = context.wall_time;
        self.dead_letters = Arc::clone(&context.dead_letters);
        self.guard = Guarded::new(generator, context.wall_time, context.now, self.future_skew);
        self.idle = self.idle_after.map(IdleTimeout::new);
        self.aligned = self.alignment.as_ref().map(Alignment::join);
    }

    #[inline]
    fn push_batch<E: Emit<C::Out>>(&mut self, batch: &mut Batch<C::In, C::Partial>, out: &mut E) {
        let mut stamper = Stamper {
            time_of: &mut self.time_of,
            guard: &mut self.guard,
            has_seen: &mut self.has_seen,
            dead_letters: &self.dead_letters,
            next: out,
        };
        self.upstream.push_batch(batch, &mut stamper);
        self.align();
    }

    #[inline]
    fn poll<E: Emit<C::Out>>(
        &mut self,
        source: &mut SourceHead<C::Source>,
        now: Nanos,
        out: &mut E,
    ) -> Result<Polled> {
        let mut stamper = Stamper {
            time_of: &mut self.time_of,
            guard: &mut self.guard,
            has_seen: &mut self.has_seen,
            dead_letters: &self.dead_letters,
            next: out,
        };
        let before = source.given();
        let polled = self.upstream.poll(source, now, &mut stamper);
        // A poll that gives nothing says nothing of where time is.
        if source.given() > before {
            self.align();
        }
        polled
    }

    fn signal<E: Emit<C::Out>>(&mut self, signal: Signal, out: &mut E) -> Passed {
        let mut stamper = Stamper {
            time_of: &mut self.time_of,
            guard: &mut self.guard,
            has_seen: &mut self.has_seen,
            dead_letters: &self.dead_letters,
            next: out,
        };
        let arrived = match self.upstream.signal(signal, &mut stamper) {
            Passed::Done(Some(arrived)) => arrived,
            other => return other,
        };
        Passed::Done(match arrived {
            Signal::Clock(now) => Some(self.look(now).unwrap_or(arrived)),
            // The records have other times now; only the last watermark says the same of all.
            Signal::Watermark(Timestamp::MAX) => {
                self.leave();
                Some(arrived)
            }
            Signal::Watermark(_) => None,
            Signal::Idle | Signal::End => Some(arrived),
        })
    }

    fn wake_at(&self) -> Option<Nanos> {
        let idle_at = self.idle.as_ref().and_then(IdleTimeout::wake_at);
        [self.upstream.wake_at(), idle_at, self.waits_until].into_iter().flatten().min()
    }

    fn is_open(&self) -> bool {
        self.waits_until.is_none() && self.upstream.is_open()
    }

    fn is_quiet(&self) -> bool {
        self.upstream.is_quiet()
    }

    fn makes_time(&self) -> bool {
        true
    }

    fn pins_state(&self) -> Option<&'static str> {
        let own = "`assign_timestamps` behind them makes time of the records of its partition";
        self.upstream.pins_state().or(Some(own))
    }

    fn bound(&self) -> Option<&'static str> {
        Some("it makes the event time of the records of its partition")
    }

    fn count(&self, tally: &mut Tally) {
        self.upstream.count(tally);
        tally.future_skew += self.guard.held();
        let latest = self.guard.latest(self.watermark);
        tally.odd_units += u64::from(is_of_other_unit(latest, self.wall_time));
    }

    fn describe(&self, names: &mut Vec<&'static str>) {
        self.upstream.describe(names);
        names.push(NAME);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_units_are_told_from_old_and_new_times() {
        let today = Timestamp::from_millis(1_800_000_000_000);
        for (time, is_other) in [
            (1_800_000_000, true),
            (1_790_000_000_000_000, true),
            (1_800_000_000_000_000_000, true),
            (1_790_000_000_000, false),
            (978_307_200_000, false),
            (0, false),
            (-5, false),
            (123_456, false),
            (i64::MIN, false),
            (i64::MAX, false),
        ] {
            assert_eq!(is_of_other_unit(time.into(), today), is_other, "{time}");
        }
        assert!(!is_of_other_unit(1_800_000_000.into(), Timestamp::MAX), "no clock, no guess");
    }
}
