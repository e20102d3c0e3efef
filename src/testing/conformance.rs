//! A suite that any operator can be run through: whatever the room downstream and however the
//! input is cut into batches, it must emit the same.

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::dataflow::blame::said;
use crate::dataflow::{BoxedStream, Chain, DataStream, Identity, KeyedStream, Stamped, Timed};
use crate::error::{Error, ErrorKind, Result};
use crate::record::{Either, Key};
use crate::testing::Random;
use crate::testing::harness::{Harness, Room};
use crate::time::{Clock, MonotonicClock, Nanos, Timestamp};

/// Records that a signal may emit after its output has closed. More is memory without a bound:
/// check [`Collector::is_open`](crate::dataflow::Collector::is_open) and return
/// [`Flow::More`](crate::dataflow::Flow::More).
pub const LATE_OUTPUTS_MAX: u64 = 1_024;

/// Records that may come out between two signals, or of one. It bounds the memory of the suite.
pub const OUTPUTS_MAX: usize = 1_000_000;

/// The suite. Each round feeds the same records twice: in one batch with all the room there is,
/// and in random batches before an output of one slot that is full every other call; processing
/// time passes at the same records. What comes out must be equal: in order while records go in,
/// in any order at a tick or at the end.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use millstream::testing::conformance::Conformance;
///
/// # fn main() -> millstream::Result<()> {
/// let suite = Conformance::seeded(7);
/// suite.check((0..100).collect(), |numbers| numbers.map(|n: u64| n * n))?;
///
/// let shared = Arc::new(AtomicU64::new(0));
/// let refused = suite.check((0..100).collect(), |numbers| {
///     let shared = Arc::clone(&shared);
///     numbers.map(move |n: u64| n + shared.fetch_add(1, Ordering::Relaxed))
/// });
/// assert!(refused.is_err(), "clones that share a counter depend on each other");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Conformance {
    seed: u64,
    rounds: u64,
    time_limit: Duration,
}

impl Conformance {
    /// The suite with its choices made from `seed`: 20 rounds, 10 seconds at most.
    pub fn seeded(seed: u64) -> Conformance {
        Conformance { seed, rounds: 20, time_limit: Duration::from_secs(10) }
    }

    /// Runs so many rounds, each with cuts of its own.
    pub fn rounds(mut self, rounds: u64) -> Conformance {
        self.rounds = rounds;
        self
    }

    /// Fails when the suite takes longer. It is looked at between calls, so an operator that never
    /// returns is not found this way.
    pub fn time_limit(mut self, limit: Duration) -> Conformance {
        self.time_limit = limit;
        self
    }

    /// Checks the operators that `stage` applies to a stream of `records`.
    ///
    /// # Errors
    /// [`ErrorKind::JobFailed`] with the seed of the round and what differed, or that an operator
    /// panicked, emitted more than [`OUTPUTS_MAX`] records at a time or [`LATE_OUTPUTS_MAX`] into a
    /// full output, or was too slow.
    ///
    /// # Panics
    /// As [`Harness::of`].
    pub fn check<T, C, S>(&self, records: Vec<T>, stage: S) -> Result<()>
    where
        T: Clone + Send + 'static,
        C: Chain<In = T>,
        C::Out: PartialEq + Debug,
        S: Fn(DataStream<Identity<T>>) -> DataStream<C>,
    {
        self.run(&records, None, || Harness::of(&stage))
    }

    /// Checks what `stage` applies to a stream of `records` keyed by `key_of`.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    ///
    /// # Panics
    /// As [`Harness::keyed`].
    pub fn check_keyed<T, K, F, C, S>(&self, records: Vec<T>, key_of: F, stage: S) -> Result<()>
    where
        T: Clone + Send + 'static,
        K: Key,
        F: Fn(&T) -> K + Clone + Send + 'static,
        C: Chain<In = T>,
        C::Out: PartialEq + Debug,
        S: Fn(KeyedStream<Identity<T>, F>) -> DataStream<C>,
    {
        self.run(&records, None, || Harness::keyed(key_of.clone(), &stage))
    }

    /// Checks what `stage` makes of two streams with event time, whose records are `rows` in the
    /// order in which they come. The watermark moves now and then; some rows will be late.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    ///
    /// # Panics
    /// As [`Harness::connected`].
    pub fn check_connected<L, R, C, S>(
        &self,
        rows: Vec<Stamped<Either<L, R>>>,
        stage: S,
    ) -> Result<()>
    where
        L: Clone + Send + 'static,
        R: Clone + Send + 'static,
        C: Chain<In = Stamped<Either<L, R>>>,
        C::Out: PartialEq + Debug,
        S: Fn(BoxedStream<L, Timed>, BoxedStream<R, Timed>) -> DataStream<C>,
    {
        self.run(&rows, Some(|row| row.time), || Harness::connected(&stage))
    }

    fn run<T, C>(
        &self,
        records: &[T],
        time_of: Option<fn(&T) -> Timestamp>,
        make: impl Fn() -> Harness<C>,
    ) -> Result<()>
    where
        T: Clone + Send + 'static,
        C: Chain<In = T>,
        C::Out: PartialEq + Debug,
    {
        let limit_ns = self.time_limit.as_nanos().try_into().unwrap_or(Nanos::MAX);
        let deadline = MonotonicClock.now().saturating_add(limit_ns);
        for round in 0..self.rounds {
            let seed = self.seed.wrapping_add(round);
            let script = Script::drawn(seed, records.len());
            let times: Vec<_> =
                time_of.map_or_else(Vec::new, |of| records.iter().map(of).collect());
            let play = |player| play(&script, (records, &times), player, deadline);
            catch_unwind(AssertUnwindSafe(|| {
                let harness = make().emitted_max(OUTPUTS_MAX);
                let calm = play(Player { harness, cuts: None })?;
                // One more than it may, so that one that repeats itself ends.
                let most = calm.iter().map(|emitted| emitted.records.len()).max();
                let harness = make().room(Room::OneSlot).emitted_max(most.unwrap_or(0) + 1);
                let cuts = Some(Random::seeded(!seed));
                let tight = play(Player { harness, cuts })?;
                compare(&calm, &tight)
            }))
            .unwrap_or_else(|panic| Err(format!("it panicked: {}", said(&*panic))))
            .map_err(|what| failure(seed, &what))?;
        }
        Ok(())
    }
}

/// When processing time passes, and by how much.
struct Script {
    /// `ticks[i]` - after how many records, ascending, and how much time passes then.
    ticks: Vec<(usize, Duration)>,
    /// How far the watermark is behind the latest record, in ms.
    lag_ms: i64,
}

impl Script {
    fn drawn(seed: u64, records: usize) -> Script {
        let mut random = Random::seeded(seed);
        let mut after: Vec<usize> =
            (0..random.below(8)).map(|_| random.index(records + 1)).collect();
        after.sort_unstable();
        // From a nanosecond to some hours, each magnitude equally likely.
        let mut tick = |after| (after, Duration::from_nanos(1 << random.below(44)));
        let ticks = after.into_iter().map(&mut tick).collect();
        Script { ticks, lag_ms: random.below(100).cast_signed() }
    }
}

/// A harness, and how its input is cut into batches; `None`: not at all.
struct Player<C: Chain> {
    harness: Harness<C>,
    cuts: Option<Random>,
}

/// What was emitted between two signals, and by the signals.
struct Emitted<T> {
    what: String,
    records: Vec<T>,
    is_ordered: bool,
}

type Played<T> = std::result::Result<Vec<Emitted<T>>, String>;

/// Feeds `records` with the pauses of `script`, and ends.
///
/// * `times` - that of each record, or empty.
fn play<T: Clone, C: Chain<In = T>>(
    script: &Script,
    (records, times): (&[T], &[Timestamp]),
    mut player: Player<C>,
    deadline: Nanos,
) -> Played<C::Out> {
    let mut emitted = Vec::new();
    let mut fed = 0;
    let pauses = script.ticks.iter().map(|(after, time)| (*after, Some(*time)));
    for (after, time) in pauses.chain([(records.len(), None)]) {
        player.feed(&records[fed..after], deadline)?;
        let what = format!("records {fed}..{after}");
        emitted.push(Emitted { what, records: player.harness.take_emitted(), is_ordered: true });
        fed = after;
        if let Some(latest) = times.get(..fed).and_then(|times| times.iter().max()) {
            let watermark = latest.plus_millis(-script.lag_ms);
            player.harness.advance_watermark(watermark);
            let records = player.harness.take_emitted();
            let what = format!("watermark at {watermark}");
            emitted.push(Emitted { what, records, is_ordered: false });
        }
        let what = match time {
            Some(time) if player.harness.advance_clock(time) => format!("tick after {time:?}"),
            Some(_) => continue,
            None => {
                player.harness.end();
                "end of the input".to_owned()
            }
        };
        emitted.push(Emitted { what, records: player.harness.take_emitted(), is_ordered: false });
    }
    let late = player.harness.late_outputs();
    if player.cuts.is_some() && late > LATE_OUTPUTS_MAX {
        return Err(format!(
            "one signal emitted {late} records into a full output, at most {LATE_OUTPUTS_MAX} may"
        ));
    }
    Ok(emitted)
}

impl<C: Chain> Player<C> {
    fn feed(&mut self, mut records: &[C::In], deadline: Nanos) -> std::result::Result<(), String>
    where
        C::In: Clone,
    {
        while !records.is_empty() {
            let cut = match &mut self.cuts {
                Some(random) => random.within(1..=records.len().min(7) as u64) as usize,
                None => records.len(),
            };
            let (batch, rest) = records.split_at(cut);
            self.harness.feed(batch.iter().cloned());
            records = rest;
            if MonotonicClock.now() > deadline {
                return Err("it took longer than the time limit".to_owned());
            }
        }
        Ok(())
    }
}

fn compare<T: PartialEq + Debug>(
    calm: &[Emitted<T>],
    tight: &[Emitted<T>],
) -> std::result::Result<(), String> {
    for (calm, tight) in calm.iter().zip(tight) {
        let is_same = if calm.is_ordered {
            calm.records == tight.records
        } else {
            is_permutation(&calm.records, &tight.records)
        };
        if !is_same || calm.what != tight.what {
            return Err(format!(
                "{} emitted {} in one batch with room, but {} at {} in cut batches with one slot",
                calm.what,
                excerpt(&calm.records, &tight.records),
                excerpt(&tight.records, &calm.records),
                tight.what
            ));
        }
    }
    if calm.len() != tight.len() {
        return Err("ticks were asked for at other times".to_owned());
    }
    Ok(())
}

/// Whether both hold the same records in any order; printed forms decide, since records need not
/// be ordered.
fn is_permutation<T: PartialEq + Debug>(a: &[T], b: &[T]) -> bool {
    let printed = |records: &[T]| {
        let mut printed: Vec<String> = records.iter().map(|r| format!("{r:?}")).collect();
        printed.sort_unstable();
        printed
    };
    a == b || printed(a) == printed(b)
}

/// How many records, and those around the first that differs.
fn excerpt<T: PartialEq + Debug>(records: &[T], other: &[T]) -> String {
    let same = records.iter().zip(other).take_while(|(a, b)| a == b).count();
    let shown = &records[same.min(records.len())..records.len().min(same + 4)];
    format!("{} records ({same} alike, then {shown:?}…)", records.len())
}

fn failure(seed: u64, what: &str) -> Error {
    Error::new(ErrorKind::JobFailed, format!("not conforming with seed {seed}: {what}"))
}
