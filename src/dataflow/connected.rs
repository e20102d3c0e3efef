//! Streams that meet in one task: two keyed ones with one state per key, and a stream beside a
//! table that every partition has.

use crate::dataflow::graph::{EdgeKind, TaskNode};
use crate::dataflow::head::movable;
use crate::dataflow::keyed_stream::{KeyedStream, why_fixed};
use crate::dataflow::plan::Wires;
use crate::dataflow::route::{Copies, Forward};

use crate::dataflow::two_inputs::two_gates_head;
use crate::dataflow::{BoxedStream, Chain, DataStream, Identity, Keyed, KeyedOperator, TimeDomain};
use crate::error::{Error, Result};
use crate::exchange::EdgeTime;
use crate::exchange::combine::NoCombine;
use crate::record::{Either, Key, Never};
use crate::routing::KeyedPartitioner;

/// Two keyed streams that meet in one task: a key of either has one state there, on one partition.
///
/// Each stream keeps its own record type on its lanes. What follows is
/// [`apply_keyed`](Self::apply_keyed); joins are built on it.
#[must_use = "a stream that leads to no sink is an error"]
pub struct ConnectedStreams<C: Chain, F, D: Chain, G, Q> {
    left: KeyedStream<C, F, Q>,
    right: KeyedStream<D, G, Q>,
}

/// What records of the connected streams `C` and `D` enter their task as.
pub type ConnectedRow<C, D> =
    <<C as Chain>::Time as TimeDomain>::Row<Either<<C as Chain>::Out, <D as Chain>::Out>>;

/// A chain that begins where the streams `C` and `D` meet, and emits `T`.
pub trait ConnectedChain<C: Chain, D: Chain, T>:
    Chain<In = ConnectedRow<C, D>, Out = T, Time = C::Time>
{
}

impl<C, D, T, J> ConnectedChain<C, D, T> for J
where
    C: Chain,
    D: Chain,
    J: Chain<In = ConnectedRow<C, D>, Out = T, Time = C::Time>,
{
}

impl<C: Chain, F, Q> KeyedStream<C, F, Q> {
    /// Brings the records of two streams together by key. Both must be of one pipeline, and both
    /// with event time or both without; then the time of the task is the minimum of theirs.
    ///
    /// The partitioner is this stream's, for both.
    ///
    /// ```
    /// # use millstream::{connector::iterator, prelude::*};
    /// # let pipeline = Pipeline::new("example");
    /// use millstream::dataflow::{Emit, KeyContext, KeyedOperator};
    /// use millstream::record::{Either, Never};
    ///
    /// /// Lets the readings of a sensor through once it has been switched on.
    /// #[derive(Clone)]
    /// struct Switch;
    ///
    /// type Reading = (&'static str, f64);
    ///
    /// impl KeyedOperator<&'static str, Either<Reading, &'static str>> for Switch {
    ///     type Out = Reading;
    ///     type State = (bool, Vec<f64>);
    ///     type Partial = Never;
    ///     const NAME: &'static str = "switch";
    ///
    ///     fn on_record<E: Emit<Reading>>(
    ///         &mut self,
    ///         record: Either<Reading, &'static str>,
    ///         (is_on, waiting): &mut Self::State,
    ///         context: &mut KeyContext<'_, &'static str, E>,
    ///     ) {
    ///         match record {
    ///             Either::Left((_, value)) => waiting.push(value),
    ///             Either::Right(_) => *is_on = true,
    ///         }
    ///         if *is_on {
    ///             let key = *context.key();
    ///             waiting.drain(..).for_each(|value| context.emit((key, value)));
    ///         }
    ///     }
    ///
    ///     fn on_partial<E: Emit<Reading>>(
    ///         &mut self,
    ///         partial: Never,
    ///         _: &mut Self::State,
    ///         _: &mut KeyContext<'_, &'static str, E>,
    ///     ) {
    ///         match partial {}
    ///     }
    /// }
    ///
    /// let readings = pipeline.source(iterator([("a", 1.5), ("b", 2.5)])).key_by(|one| one.0);
    /// let switched_on = pipeline.source(iterator(["a", "c"])).key_by(|name| *name);
    /// let passed = readings.connect(switched_on).apply_keyed(Switch).collect();
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// assert_eq!(passed.take(), [("a", 1.5)]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    /// A stream with event time and one without have no common time:
    /// ```compile_fail,E0271
    /// # use millstream::{connector::iterator, prelude::*, time::watermark::Monotone};
    /// let pipeline = Pipeline::new("mixed");
    /// let timed = pipeline.source(iterator([1])).assign_timestamps(|n| *n, Monotone::new());
    /// let other = pipeline.source(iterator([1]));
    /// timed.key_by(|n| *n).connect(other.key_by(|n| *n));
    /// ```
    pub fn connect<D, G>(self, other: KeyedStream<D, G, Q>) -> ConnectedStreams<C, F, D, G, Q>
    where
        D: Chain<Time = C::Time>,
    {
        let problems = [self.check_no_emission(), other.check_no_emission()];
        self.refuse(problems.into_iter().filter_map(Result::err));
        ConnectedStreams { left: self, right: other }
    }
}

impl<C: Chain, F, D: Chain, G, Q> ConnectedStreams<C, F, D, G, Q> {
    /// Notes what is wrong with what follows, so that the job does not start.
    pub(crate) fn refuse(&self, problems: impl Iterator<Item = Error>) {
        self.left.refuse(problems);
    }
}

impl<K, C, F, D, G, Q> ConnectedStreams<C, F, D, G, Q>
where
    K: Key,
    C: Chain,
    D: Chain<Time = C::Time>,
    F: Fn(&C::Out) -> K + Clone + Send + 'static,
    G: Fn(&D::Out) -> K + Clone + Send + 'static,
    Q: KeyedPartitioner<K>,
{
    /// Applies a keyed operator to the records of both streams, as they come: there is no order
    /// between the two.
    pub fn apply_keyed<Op>(self, operator: Op) -> DataStream<impl ConnectedChain<C, D, Op::Out>>
    where
        Op: KeyedOperator<K, Either<C::Out, D::Out>>,
    {
        let ConnectedStreams { left, right } = self;
        let draft = left.stream.draft();
        let is_foreign = left.stream.refuse_foreign(&right.stream, "connect");
        let partitioner = left.partitioner.clone();
        let checks = [partitioner.check(), operator.check()];
        left.refuse(checks.into_iter().filter_map(Result::err));
        let (left_key, right_key) = (left.key_of.clone(), right.key_of.clone());
        let key_of = move |record: &Either<C::Out, D::Out>| match record {
            Either::Left(record) => left_key(record),
            Either::Right(record) => right_key(record),
        };
        let emits_at_end = operator.waits_for_end();
        let domain = draft.borrow_mut().add_domain(&partitioner);
        let (left, mut edges) = left.close_by_key(domain, |_| NoCombine::<Never>::new());
        let right = right.partition_by(partitioner.clone());
        let (right, others) = right.close_by_key(domain, |_| NoCombine::<Never>::new());
        if !is_foreign {
            // Edges are counted per pipeline; in this one, others' would be any.
            edges.extend(others);
        }
        let node = TaskNode {
            inputs: edges,
            emits_at_end,
            domain: Some(domain),
            pins_state: why_fixed(&partitioner),
            unmergeable: Some("it reads two streams"),
            ..TaskNode::default()
        };
        let head = two_gates_head::<_, _, C::Time, C::Time, _>(left, right, EdgeTime::Counts);
        let keyed = Keyed::<_, _, _, _, _, C::Time>::new(operator, key_of, partitioner);
        DataStream::begin(draft, node, movable(head, domain), keyed)
    }
}

impl<C: Chain> DataStream<C> {
    /// The records of this stream, on the partitions where they are, and on each of these all
    /// records of `table`, whose event time does not count.
    pub(crate) fn beside_table<D>(
        self,
        table: DataStream<D>,
        what: &str,
    ) -> BoxedStream<Either<C::Out, D::Out>, C::Time>
    where
        D: Chain,
        D::Out: Clone,
    {
        let draft = self.draft();
        let is_foreign = self.refuse_foreign(&table, what);
        let (records, rows) = (Wires::new(EdgeKind::Local), Wires::new(EdgeKind::Exchange));
        let mut edges = self.close_routed(vec![records.clone()], || Forward);
        let copies = || Copies::<D::Out, D::Time>(std::marker::PhantomData);
        let others = table.close_routed(vec![rows.clone()], copies);
        if !is_foreign {
            edges.extend(others);
        }
        let node = TaskNode { inputs: edges, ..TaskNode::default() };
        let head = two_gates_head::<_, _, C::Time, D::Time, _>(records, rows, EdgeTime::Ignored);
        DataStream::begin(draft, node, head, Identity::new())
    }
}
