//! Windows on streams: `window`, `window_in_processing_time`, `window_all`, and what they are told.

use std::marker::PhantomData;
use std::time::Duration;

use crate::dataflow::{
    BoxedStream, Chain, DataStream, KeyedOutput, KeyedStream, Row, TimeDomain, Timed,
};
use crate::error::Result;
use crate::exchange::combine::Combiner;
use crate::operator::window::{
    DropLate, Early, EmitLate, EventTime, LateRecords, Mode, ProcessingTime, Trigger, WindowLogic,
    WindowTime, Windowed, Windowing, Windows,
};
use crate::record::Key;
use crate::routing::{Hashed, KeyedPartitioner};
use crate::state::Storable;
use crate::state::aggregate::{self, Aggregate, Count, Known, Max, Mean, Min, Sum, Summand};

/// A keyed stream whose records are cut into windows. What follows is an aggregate.
///
/// * `W` - the windows.
/// * `S` - [`EventTime`] or [`ProcessingTime`].
/// * `O` - [`DropLate`], or [`EmitLate`] behind [`late_output`](WindowedStream::late_output).
#[must_use = "a stream that leads to no sink is an error"]
pub struct WindowedStream<C: Chain, F, Q, W, S = EventTime, O = DropLate> {
    stream: KeyedStream<C, F, Q>,
    windows: W,
    trigger: Trigger,
    kinds: PhantomData<(S, O)>,
}

/// The stream of results behind an aggregate `A` over the windows `W` of records `T`.
pub type WindowOutput<C, K, F, Q, W, A, S = EventTime, O = DropLate> =
    KeyedOutput<C, K, F, Q, Windowing<<W as Windows<<C as Chain>::Out, A>>::Logic, S, O>>;

/// The results and the late records of a window with a late output.
pub type WindowOutputs<C, K, V> = (
    BoxedStream<Windowed<K, V>, <C as Chain>::Time>,
    BoxedStream<<C as Chain>::Out, <C as Chain>::Time>,
);

impl<C: Chain<Time = Timed>, F, Q> KeyedStream<C, F, Q> {
    /// Cuts the records of each key into windows of event time.
    ///
    /// A window fires when the watermark has passed it, and then is gone; a record all of whose
    /// windows are gone is late, and counted. What else can be had: see
    /// [`trigger`](WindowedStream::trigger).
    ///
    /// # Source
    /// Akidau et al., *The Dataflow Model*, VLDB 2015; meaning as in Flink, where they differ.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use millstream::{connector::iterator, prelude::*};
    /// # use millstream::time::watermark::Monotone;
    /// # let pipeline = Pipeline::new("example");
    /// use millstream::operator::window::tumbling;
    ///
    /// let clicks = pipeline.source(iterator([(1, "a"), (9, "a"), (9, "b"), (12, "a")]));
    /// let per_10_ms = clicks
    ///     .assign_timestamps(|click| click.0, Monotone::new())
    ///     .key_by(|click| click.1)
    ///     .window(tumbling(Duration::from_millis(10)))
    ///     .count()
    ///     .collect();
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// let results = per_10_ms.take();
    /// let mut counts: Vec<_> =
    ///     results.iter().map(|one| (one.window.start.as_millis(), one.key, one.value)).collect();
    /// counts.sort();
    /// assert_eq!(counts, [(0, "a", 2), (0, "b", 1), (10, "a", 1)]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    /// Windows of event time need event time:
    /// ```compile_fail,E0271
    /// # use std::time::Duration;
    /// # use millstream::{connector::iterator, operator::window::tumbling, prelude::*};
    /// let words = Pipeline::new("words").source(iterator(["to", "be"])).key_by(|word| *word);
    /// words.window(tumbling(Duration::from_secs(1)));
    /// ```
    pub fn window<W>(self, windows: W) -> WindowedStream<C, F, Q, W> {
        WindowedStream::new(self, windows)
    }
}

impl<C: Chain, F, Q> KeyedStream<C, F, Q> {
    /// Cuts the records of each key into windows of the time at which they are worked off. Nothing
    /// is late. What is open when the input ends fires then.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use millstream::{connector::iterator, prelude::*};
    /// # let pipeline = Pipeline::new("example");
    /// use millstream::operator::window::tumbling;
    ///
    /// let words = pipeline.source(iterator(["to", "be", "to"])).key_by(|word| *word);
    /// let counts =
    ///     words.window_in_processing_time(tumbling(Duration::from_secs(3_600))).count().collect();
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// assert_eq!(counts.take().iter().map(|one| one.value).sum::<u64>(), 3);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn window_in_processing_time<W>(
        self,
        windows: W,
    ) -> WindowedStream<C, F, Q, W, ProcessingTime> {
        WindowedStream::new(self, windows)
    }
}

impl<C: Chain<Time = Timed>> DataStream<C> {
    /// Cuts all records into windows of event time, whatever their keys. The results are made on
    /// one partition, so the aggregate should be one that merges: then each partition folds its
    /// own records first.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use millstream::{connector::iterator, prelude::*};
    /// # use millstream::time::watermark::Monotone;
    /// # let pipeline = Pipeline::new("example");
    /// use millstream::operator::window::tumbling;
    ///
    /// let times = pipeline.source(iterator([1, 9, 12]));
    /// let times = times.assign_timestamps(|time| *time, Monotone::new());
    /// let counts = times.window_all(tumbling(Duration::from_millis(10))).count().collect();
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// assert_eq!(counts.take().iter().map(|one| one.value).collect::<Vec<_>>(), [2, 1]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn window_all<W>(self, windows: W) -> WindowedStream<C, fn(&C::Out), Hashed, W> {
        let nobody: fn(&C::Out) = |_| ();
        self.key_by(nobody).window(windows)
    }
}

impl<C: Chain, F, Q, W, S, O> WindowedStream<C, F, Q, W, S, O> {
    fn new(stream: KeyedStream<C, F, Q>, windows: W) -> Self {
        WindowedStream { stream, windows, trigger: Trigger::default(), kinds: PhantomData }
    }

    /// Says when results come out: by default once, when the watermark has passed the window.
    pub fn trigger(self, trigger: Trigger) -> Self {
        WindowedStream { trigger, ..self }
    }

    /// Keeps a window for `lateness` after it has fired; a record that comes then makes it fire
    /// again.
    pub fn allowed_lateness(self, lateness: Duration) -> Self {
        let trigger = self.trigger.allowed_lateness(lateness);
        self.trigger(trigger)
    }

    /// Lets windows fire before the watermark has passed them.
    pub fn early(self, early: Early) -> Self {
        let trigger = self.trigger.early(early);
        self.trigger(trigger)
    }

    /// Says what a second result of a window has to do with the first.
    pub fn mode(self, mode: Mode) -> Self {
        let trigger = self.trigger.mode(mode);
        self.trigger(trigger)
    }

    /// Aggregates; with a late output, results and late records come out as one.
    pub(crate) fn aggregated<K, A>(self, aggregate: A) -> WindowOutput<C, K, F, Q, W, A, S, O>
    where
        K: Key,
        F: Fn(&C::Out) -> K + Clone + Send + 'static,
        Q: KeyedPartitioner<K>,
        W: Windows<C::Out, A>,
        A: Aggregate<C::Out>,
        S: WindowTime,
        O: LateRecords<C::Out, Windowed<K, A::Output>>,
    {
        let WindowedStream { stream, windows, trigger, .. } = self;
        let problems = [windows.check(trigger), aggregate.check(), stream.check_no_emission()];
        stream.refuse(problems.into_iter().filter_map(Result::err));
        let waits_for_end = windows.waits_for_end(trigger);
        let note = windows.explain(trigger);
        let logic = windows.logic(trigger, aggregate);
        let unmergeable = if O::KEEPS_RECORDS {
            Some("late records come out one by one")
        } else if S::CLOCK_LEAD_MS != 0 {
            Some("its windows are of the time at which each record is worked off")
        } else {
            (!logic.folds()).then_some("its windows, trigger or aggregate do not merge")
        };
        let folding = logic.clone();
        let operator = Windowing::new(logic, trigger, waits_for_end);
        let results = stream.exchange(operator, unmergeable, move |mode| {
            let logic = folding.clone();
            Combiner::new(mode, move |held: &mut Option<_>, row: &Row<C>| {
                let time = C::Time::meta(row).time;
                logic.fold(held, C::Time::record(row), time).map(Some)
            })
        });
        results.noted(note)
    }
}

impl<C: Chain, F, Q, W> WindowedStream<C, F, Q, W> {
    /// Lets late records out beside the results: the aggregate then gives two streams.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use millstream::{connector::iterator, prelude::*};
    /// # use millstream::time::watermark::Monotone;
    /// # let pipeline = Pipeline::new("example");
    /// use millstream::{operator::window::tumbling, state::aggregate::Count};
    ///
    /// let times = pipeline.source(iterator([1, 9, 25]));
    /// let (counts, late) = times
    ///     .assign_timestamps(|t| *t, Monotone::new())
    ///     .key_by(|_| ())
    ///     .window(tumbling(Duration::from_millis(10)))
    ///     .late_output()
    ///     .aggregate(Count);
    /// let (counts, late) = (counts.collect(), late.collect());
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// assert_eq!((counts.take().len(), late.take().len()), (2, 0));
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn late_output(self) -> WindowedStream<C, F, Q, W, EventTime, EmitLate> {
        WindowedStream {
            stream: self.stream,
            windows: self.windows,
            trigger: self.trigger,
            kinds: PhantomData,
        }
    }
}

impl<K, C, F, Q, W> WindowedStream<C, F, Q, W, EventTime, EmitLate>
where
    K: Key,
    C: Chain,
    F: Fn(&C::Out) -> K + Clone + Send + 'static,
    Q: KeyedPartitioner<K>,
{
    /// Aggregates the records of each window; the second stream is of those that came too late.
    pub fn aggregate<A>(self, aggregate: A) -> WindowOutputs<C, K, A::Output>
    where
        W: Windows<C::Out, A>,
        A: Aggregate<C::Out>,
    {
        self.aggregated(aggregate).split()
    }
}

impl<K, C, F, Q, W, S> WindowedStream<C, F, Q, W, S, DropLate>
where
    K: Key,
    C: Chain,
    F: Fn(&C::Out) -> K + Clone + Send + 'static,
    Q: KeyedPartitioner<K>,
    S: WindowTime,
{
    /// Aggregates the records of each window of each key.
    ///
    /// * `aggregate` - one of [`state::aggregate`](crate::state::aggregate), a tuple of them, or
    ///   one of your own.
    pub fn aggregate<A>(self, aggregate: A) -> WindowOutput<C, K, F, Q, W, A, S>
    where
        W: Windows<C::Out, A>,
        A: Aggregate<C::Out>,
    {
        self.aggregated(aggregate)
    }

    /// Counts the records of each window.
    pub fn count(self) -> WindowOutput<C, K, F, Q, W, Count, S>
    where
        W: Windows<C::Out, Count>,
    {
        self.aggregate(Count)
    }

    /// Sums `value(record)` over the records of each window; integers wrap around.
    pub fn sum<V, G>(self, value: G) -> WindowOutput<C, K, F, Q, W, Sum<G>, S>
    where
        V: Summand,
        G: Fn(&C::Out) -> V + Clone + Send + 'static,
        W: Windows<C::Out, Sum<G>>,
    {
        self.aggregate(aggregate::sum(value))
    }

    /// The smallest `value(record)` of each window.
    pub fn min<V, G>(self, value: G) -> WindowOutput<C, K, F, Q, W, Known<Min<G>>, S>
    where
        V: PartialOrd + Clone + Storable,
        G: Fn(&C::Out) -> V + Clone + Send + 'static,
        W: Windows<C::Out, Known<Min<G>>>,
    {
        self.aggregate(aggregate::known(aggregate::min(value)))
    }

    /// The largest `value(record)` of each window.
    pub fn max<V, G>(self, value: G) -> WindowOutput<C, K, F, Q, W, Known<Max<G>>, S>
    where
        V: PartialOrd + Clone + Storable,
        G: Fn(&C::Out) -> V + Clone + Send + 'static,
        W: Windows<C::Out, Known<Max<G>>>,
    {
        self.aggregate(aggregate::known(aggregate::max(value)))
    }

    /// The mean of `value(record)` over the records of each window.
    pub fn mean<G>(self, value: G) -> WindowOutput<C, K, F, Q, W, Known<Mean<G>>, S>
    where
        G: Fn(&C::Out) -> f64 + Clone + Send + 'static,
        W: Windows<C::Out, Known<Mean<G>>>,
    {
        self.aggregate(aggregate::known(aggregate::mean(value)))
    }
}
