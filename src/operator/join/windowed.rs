//! Joins within windows: pairs, and whole groups, of the records of one key and window.

use std::marker::PhantomData;
use std::time::Duration;

use crate::dataflow::{
    Chain, Collector, ConnectedChain, ConnectedStreams, DataStream, Emit, Operator, Timed,
};
use crate::operator::join::Join;
use crate::operator::window::{DropLate, EventTime, Trigger, Windowed, Windowing, Windows};
use crate::record::{Either, Key};
use crate::routing::KeyedPartitioner;
use crate::state::Storable;
use crate::state::aggregate::Aggregate;

impl<C, F, D, G, Q> Join<ConnectedStreams<C, F, D, G, Q>>
where
    C: Chain<Time = Timed>,
    D: Chain<Time = Timed>,
{
    /// Joins the records of a key that are in one window of event time. Windows are kept, and
    /// records late, as in [`KeyedStream::window`](crate::dataflow::KeyedStream::window); nothing
    /// comes out of a window before it fires.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use millstream::{connector::iterator, prelude::*};
    /// # use millstream::time::watermark::Monotone;
    /// # let pipeline = Pipeline::new("example");
    /// use millstream::operator::window::tumbling;
    ///
    /// // (user, time in ms)
    /// let clicks = pipeline.source(iterator([('a', 1), ('a', 4), ('b', 12)]));
    /// let sales = pipeline.source(iterator([('a', 7), ('b', 25)]));
    /// let clicks = clicks.assign_timestamps(|click| click.1, Monotone::new());
    /// let sales = sales.assign_timestamps(|sale| sale.1, Monotone::new());
    /// let together = clicks
    ///     .key_by(|click| click.0)
    ///     .join(sales.key_by(|sale| sale.0))
    ///     .window(tumbling(Duration::from_millis(10)))
    ///     .inner(|click, sale| (click.1, sale.1))
    ///     .collect();
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// let rows = together.take().into_iter().map(|row| (row.key, row.value));
    /// let mut rows: Vec<_> = rows.collect();
    /// rows.sort();
    /// assert_eq!(rows, [('a', (1, 7)), ('a', (4, 7))]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn window<W>(self, windows: W) -> WindowJoin<ConnectedStreams<C, F, D, G, Q>, W> {
        WindowJoin { streams: self.streams, windows, trigger: Trigger::default() }
    }
}

/// Two streams to be joined by key and window. What follows says what comes out of each window.
#[must_use = "a stream that leads to no sink is an error"]
pub struct WindowJoin<S, W> {
    streams: S,
    windows: W,
    trigger: Trigger,
}

impl<S, W> WindowJoin<S, W> {
    /// Says when results come out: by default once, when the watermark has passed the window.
    pub fn trigger(self, trigger: Trigger) -> Self {
        WindowJoin { trigger, ..self }
    }

    /// Keeps a window for `lateness` after it has fired; a record that comes then makes it fire
    /// again.
    pub fn allowed_lateness(self, lateness: Duration) -> Self {
        let trigger = self.trigger.allowed_lateness(lateness);
        self.trigger(trigger)
    }
}

impl<K, C, F, D, G, Q, W> WindowJoin<ConnectedStreams<C, F, D, G, Q>, W>
where
    K: Key,
    C: Chain<Time = Timed>,
    D: Chain<Time = Timed>,
    C::Out: Clone + Storable,
    D::Out: Clone + Storable,
    F: Fn(&C::Out) -> K + Clone + Send + 'static,
    G: Fn(&D::Out) -> K + Clone + Send + 'static,
    Q: KeyedPartitioner<K>,
    W: Windows<Either<C::Out, D::Out>, CoGroup<C::Out, D::Out>>,
{
    /// Emits `function(left, right)` for each pair of a window; nothing for one that has records
    /// of one side only.
    pub fn inner<V, P>(self, function: P) -> DataStream<impl ConnectedChain<C, D, Windowed<K, V>>>
    where
        V: Send + 'static,
        P: FnMut(&C::Out, &D::Out) -> V + Clone + Send + 'static,
    {
        self.co_group().apply(Pairs { function })
    }

    /// Emits, for each window, the records of both sides, in no particular order: what an outer
    /// join, or any other, can be made of. One side may be empty.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use millstream::{connector::iterator, prelude::*};
    /// # use millstream::time::watermark::Monotone;
    /// # let pipeline = Pipeline::new("example");
    /// use millstream::operator::window::tumbling;
    ///
    /// let clicks = pipeline.source(iterator([1, 4, 12]));
    /// let sales = pipeline.source(iterator([7, 25]));
    /// let clicks = clicks.assign_timestamps(|time| *time, Monotone::new());
    /// let sales = sales.assign_timestamps(|time| *time, Monotone::new());
    /// let counts = clicks
    ///     .key_by(|_| ())
    ///     .join(sales.key_by(|_| ()))
    ///     .window(tumbling(Duration::from_millis(10)))
    ///     .co_group()
    ///     .map(|group| (group.value.0.len(), group.value.1.len()))
    ///     .collect();
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// assert_eq!(counts.take(), [(2, 1), (1, 0), (0, 1)]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn co_group(
        self,
    ) -> DataStream<impl ConnectedChain<C, D, WindowedGroup<K, C::Out, D::Out>>> {
        let WindowJoin { streams, windows, trigger } = self;
        streams.refuse(windows.check(trigger).err().into_iter());
        let waits_for_end = windows.waits_for_end(trigger);
        let logic = windows.logic(trigger, CoGroup { sides: PhantomData });
        streams.apply_keyed(Windowing::<_, EventTime, DropLate>::new(logic, trigger, waits_for_end))
    }
}

/// The records of the two sides of one key and window, in no particular order.
pub type Group<L, R> = (Vec<L>, Vec<R>);

/// A [`Group`], with its key and window.
pub type WindowedGroup<K, L, R> = Windowed<K, Group<L, R>>;

/// The aggregate of [`WindowJoin::co_group`]: all records of both sides.
///
/// It merges, since their order does not count: sessions need that, and for sliding windows a
/// record is kept once and not for each window that it is in.
pub struct CoGroup<L, R> {
    sides: PhantomData<fn() -> (L, R)>,
}

impl<L, R> Clone for CoGroup<L, R> {
    fn clone(&self) -> Self {
        CoGroup { sides: PhantomData }
    }
}

impl<L, R> Aggregate<Either<L, R>> for CoGroup<L, R>
where
    L: Clone + Storable,
    R: Clone + Storable,
{
    type Accumulator = Group<L, R>;
    type Output = Group<L, R>;
    fn add(&self, (left, right): &mut Group<L, R>, record: &Either<L, R>) {
        match record {
            Either::Left(record) => left.push(record.clone()),
            Either::Right(record) => right.push(record.clone()),
        }
    }

    fn merge(&self, into: &mut Group<L, R>, mut from: Group<L, R>) {
        into.0.append(&mut from.0);
        into.1.append(&mut from.1);
    }

    fn finish(&self, sides: &Group<L, R>) -> Group<L, R> {
        sides.clone()
    }
}

/// The operator of [`WindowJoin::inner`] behind the groups.
#[derive(Clone)]
pub struct Pairs<P> {
    function: P,
}

impl<K, L, R, V, P> Operator<WindowedGroup<K, L, R>> for Pairs<P>
where
    K: Key,
    V: Send + 'static,
    P: FnMut(&L, &R) -> V + Clone + Send + 'static,
{
    type Out = Windowed<K, V>;
    const NAME: &'static str = "pairs";

    fn on_record<E: Emit<Windowed<K, V>>>(
        &mut self,
        group: WindowedGroup<K, L, R>,
        out: &mut Collector<'_, E>,
    ) {
        let Windowed { key, window, firing, index, change, value: (left, right) } = group;
        for left in &left {
            for right in &right {
                let (key, value) = (key.clone(), (self.function)(left, right));
                out.emit(Windowed { key, window, firing, index, change, value });
            }
        }
    }
}
