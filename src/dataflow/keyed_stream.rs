//! Streams that know their key: the only place where keyed operators can be applied.

use std::sync::Arc;
use std::time::Duration;

use crate::config::PreAggregate;
use crate::dataflow::by_key::ByKey;
use crate::dataflow::end::OutboxEnd;
use crate::dataflow::graph::{EdgeKind, TaskNode};
use crate::dataflow::head::{gate_head, movable};
use crate::dataflow::plan::{BuildContext, Wires};
use crate::dataflow::stream::Row;
use crate::dataflow::{Chain, DataStream, Keyed, KeyedOperator, TimeDomain};
use crate::error::{Error, ErrorKind, Result};
use crate::exchange::Outbox;
use crate::exchange::combine::{Combine, Mode, NoCombine, Partial};
use crate::record::Key;
use crate::routing::{Hashed, KeyedPartitioner};
use crate::time::Nanos;

/// When a running aggregate emits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EmitAt {
    /// Once per key, when the input is over. An error where the input never is.
    #[default]
    End,
    /// After each record.
    EachRecord,
    /// For every key that has changed, at this interval of processing time, and at the end.
    Every(Duration),
}

impl EmitAt {
    /// The interval of [`EmitAt::Every`] in nanoseconds.
    pub fn interval(self) -> Option<Nanos> {
        match self {
            EmitAt::Every(interval) => Some(interval.as_nanos().try_into().unwrap_or(Nanos::MAX)),
            EmitAt::End | EmitAt::EachRecord => None,
        }
    }

    /// Refuses an interval that would keep a partition busy for ever.
    fn check(self) -> Result<()> {
        match self.interval() {
            Some(0) => Err(Error::new(
                ErrorKind::InvalidConfig,
                "EmitAt::Every is 0 s; allowed: above 0 s, or EmitAt::EachRecord",
            )),
            _ => Ok(()),
        }
    }
}

/// A stream whose records have a key. Its operators keep state per key, on the partition that owns
/// the key.
///
/// The key function is called on the partition that makes the record, for routing, and again on
/// the one that owns the key, so that the key itself does not travel: it must give the same key
/// for the same record (Flink's `KeySelector` has the same contract).
///
/// # What the compiler refuses
/// An operator with state on a stream without keys: `key_by` first.
/// ```compile_fail,E0599
/// # use millstream::{connector::iterator, prelude::*};
/// Pipeline::new("words").source(iterator(["to", "be"])).count();
/// ```
/// State behind a partitioner that knows no keys: such a one belongs on the stream, before
/// `key_by`; `Hashed`, `Ranges`, `Modulo` and `Custom` belong behind it.
/// ```compile_fail,E0599
/// # use millstream::{connector::iterator, prelude::*, routing::RoundRobin};
/// let words = Pipeline::new("words").source(iterator(["to", "be"]));
/// words.key_by(|word| *word).partition_by(RoundRobin::default()).count();
/// ```
/// A key that cannot be hashed or compared, as a float cannot: use `to_bits`, or round it to an
/// integer.
/// ```compile_fail,E0277
/// # use millstream::{connector::iterator, prelude::*};
/// Pipeline::new("prices").source(iterator([1.5, 2.5])).key_by(|price| *price);
/// ```
/// A function that the partitions cannot have clones of, or that cannot go to their threads: move
/// what it needs into an `Arc`, or make it where it is used.
/// ```compile_fail,E0277
/// # use millstream::{connector::iterator, prelude::*};
/// let bonus = std::rc::Rc::new(1);
/// Pipeline::new("sums").source(iterator([1, 2])).map(move |n| n + *bonus);
/// ```
/// ```compile_fail,E0277
/// # use millstream::{connector::iterator, prelude::*};
/// let file = std::fs::File::open("words.txt").unwrap();
/// Pipeline::new("file").source(iterator([1, 2])).inspect(move |_| file.sync_all().unwrap());
/// ```
/// All of these with what was missing:
/// ```no_run
/// # use millstream::{connector::iterator, prelude::*, routing::Modulo};
/// # use std::sync::Arc;
/// Pipeline::new("words").source(iterator(["to", "be"])).key_by(|word| *word).count();
/// let numbers = Pipeline::new("numbers").source(iterator([1, 2]));
/// numbers.key_by(|n| *n).partition_by(Modulo).count();
/// Pipeline::new("prices").source(iterator([1.5f64, 2.5])).key_by(|price| price.to_bits());
/// let bonus = Arc::new(1);
/// Pipeline::new("sums").source(iterator([1, 2])).map(move |n| n + *bonus);
/// let file = Arc::new(std::fs::File::open("words.txt").unwrap());
/// Pipeline::new("file").source(iterator([1, 2])).inspect(move |_| file.sync_all().unwrap());
/// ```
#[must_use = "a stream that leads to no sink is an error"]
pub struct KeyedStream<C: Chain, F, Q = Hashed> {
    pub(super) stream: DataStream<C>,
    pub(super) key_of: F,
    pub(super) partitioner: Q,
    emit_at: EmitAt,
    pre_aggregate: Option<PreAggregate>,
}

/// The stream behind the keyed operator `Op` on a [`KeyedStream<C, F, Q>`] with keys `K`.
pub type KeyedOutput<C, K, F, Q, Op> =
    DataStream<Keyed<<C as Chain>::Out, K, F, Q, Op, <C as Chain>::Time>>;

impl<C: Chain> DataStream<C> {
    /// Groups the records by the key that `key_of` finds in each.
    ///
    /// ```
    /// # use millstream::{connector::iterator, prelude::*};
    /// # let pipeline = Pipeline::new("example");
    /// let words = pipeline.source(iterator(["to", "be", "not"]));
    /// let by_length = words.key_by(|word| word.len()).count().collect();
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// let mut by_length = by_length.take();
    /// by_length.sort();
    /// assert_eq!(by_length, [(2, 2), (3, 1)]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn key_by<K, F>(self, key_of: F) -> KeyedStream<C, F>
    where
        K: Key,
        F: Fn(&C::Out) -> K + Clone + Send + 'static,
    {
        KeyedStream {
            stream: self,
            key_of,
            partitioner: Hashed,
            emit_at: EmitAt::default(),
            pre_aggregate: None,
        }
    }
}

impl<C: Chain, F, Q> KeyedStream<C, F, Q> {
    /// Chooses the key group by `partitioner` instead of the key's hash.
    ///
    /// ```
    /// # use millstream::{connector::iterator, prelude::*};
    /// # let pipeline = Pipeline::new("example");
    /// # use millstream::routing::Ranges;
    /// // Keys below 10 on the first partitions, all others on the last.
    /// let keyed = pipeline.source(iterator(0..20)).key_by(|n| *n);
    /// let counts = keyed.partition_by(Ranges::new(vec![10])).count().collect();
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// assert_eq!(counts.take().len(), 20);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn partition_by<R>(self, partitioner: R) -> KeyedStream<C, F, R> {
        KeyedStream {
            stream: self.stream,
            key_of: self.key_of,
            partitioner,
            emit_at: self.emit_at,
            pre_aggregate: self.pre_aggregate,
        }
    }

    /// Says when the running aggregate that follows emits.
    ///
    /// ```
    /// # use millstream::{connector::iterator, prelude::*};
    /// # let pipeline = Pipeline::new("example");
    /// let running = pipeline
    ///     .source(iterator([3u64, 4, 5]))
    ///     .key_by(|_| ())
    ///     .emit_at(EmitAt::EachRecord)
    ///     .sum(|n| *n)
    ///     .collect();
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// assert_eq!(running.take(), [((), 3), ((), 7), ((), 12)]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn emit_at(mut self, emit_at: EmitAt) -> Self {
        self.emit_at = emit_at;
        self
    }

    /// Overrides the job's knob for pre-aggregation in front of this exchange.
    ///
    /// ```
    /// # use millstream::{connector::iterator, prelude::*};
    /// # let pipeline = Pipeline::new("example");
    /// # use millstream::config::PreAggregate;
    /// let counts = pipeline
    ///     .source(iterator(0..100))
    ///     .key_by(|n| n % 2)
    ///     .pre_aggregate(PreAggregate::On)
    ///     .count()
    ///     .collect();
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// assert_eq!(counts.take().iter().map(|(_, count)| count).sum::<u64>(), 100);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn pre_aggregate(mut self, pre_aggregate: PreAggregate) -> Self {
        self.pre_aggregate = Some(pre_aggregate);
        self
    }

    /// When the aggregate that follows emits.
    pub fn emission(&self) -> EmitAt {
        self.emit_at
    }

    /// Refuses an [`emit_at`](Self::emit_at) in front of what has its own rule.
    pub(crate) fn check_no_emission(&self) -> Result<()> {
        if self.emit_at == EmitAt::End {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::InvalidConfig,
            "emit_at is for running aggregates; windows emit as their trigger says, and what reads \
             two streams as it does itself",
        ))
    }

    /// Notes what is wrong with what follows, so that the job does not start.
    pub(crate) fn refuse(&self, problems: impl Iterator<Item = Error>) {
        self.stream.draft().borrow_mut().problems.extend(problems);
    }
}

impl<K, C, F, Q> KeyedStream<C, F, Q>
where
    K: Key,
    C: Chain,
    F: Fn(&C::Out) -> K + Clone + Send + 'static,
    Q: KeyedPartitioner<K>,
{
    /// Applies a keyed operator that takes every record as it is.
    pub fn apply_keyed<Op: KeyedOperator<K, C::Out>>(
        self,
        operator: Op,
    ) -> KeyedOutput<C, K, F, Q, Op> {
        let why = "its operator takes every record as it is";
        self.exchange(operator, Some(why), |_| NoCombine::new())
    }

    /// Applies a keyed operator behind an exchange that folds records with what `combine` makes
    /// (once per partition) in front.
    ///
    /// * `unmergeable` - why records may not be folded, if they may not.
    pub(crate) fn exchange<Op, M>(
        self,
        operator: Op,
        unmergeable: Option<&'static str>,
        mut combine: impl FnMut(Mode) -> M + Send + 'static,
    ) -> KeyedOutput<C, K, F, Q, Op>
    where
        Op: KeyedOperator<K, C::Out>,
        M: Combine<Row<C>, K, Partial = Partial<K, Op::Partial>> + 'static,
    {
        let draft = self.stream.draft();
        let checks = [self.partitioner.check(), self.emit_at.check(), operator.check()];
        self.refuse(checks.into_iter().filter_map(Result::err));
        let emits_at_end = operator.waits_for_end();
        let keyed = Keyed::new(operator, self.key_of.clone(), self.partitioner.clone());
        let domain = draft.borrow_mut().add_domain(&self.partitioner);
        let pins_state = why_fixed(&self.partitioner);
        let own = self.pre_aggregate;
        let (wires, edges) = self.close_by_key(domain, move |context| {
            let asked = own.unwrap_or(context.config.pre_aggregate());
            combine(if unmergeable.is_some() { Mode::Off } else { Mode::asked(asked) })
        });
        let node = TaskNode {
            inputs: edges,
            emits_at_end,
            domain: Some(domain),
            pins_state,
            unmergeable,
            ..TaskNode::default()
        };
        DataStream::begin(draft, node, movable(gate_head(vec![wires]), domain), keyed)
    }

    /// Closes the task with the way of its records to the owners of their keys; returns the lanes
    /// and the index of the edge.
    pub(super) fn close_by_key<M>(
        self,
        domain: usize,
        mut combine: impl FnMut(&BuildContext<'_>) -> M + Send + 'static,
    ) -> (Wires<Row<C>, M::Partial>, Vec<usize>)
    where
        M: Combine<Row<C>, K> + 'static,
    {
        let KeyedStream { stream, key_of, partitioner, emit_at, .. } = self;
        let wires = Wires::new(EdgeKind::Exchange);
        let senders = wires.clone();
        let edges = stream.close("", &[EdgeKind::Exchange], move |context, before| {
            let outbox = Outbox::new(senders.senders(context), context.edge);
            let (key_of, partitioner) = (key_of.clone(), partitioner.clone());
            let key_of = move |row: &Row<C>| key_of(C::Time::record(row));
            let combine = combine(context);
            let domain = Arc::clone(&context.domains[domain]);
            let route = ByKey::new(key_of, partitioner, domain, combine, emit_at.interval());
            Ok(OutboxEnd::<C::Out, C::Time, _>::new(outbox, route).in_place_of(before))
        });
        (wires, edges)
    }
}

/// Why the keys of a partitioner stay where they are, if they do.
pub(super) fn why_fixed<K>(partitioner: &impl KeyedPartitioner<K>) -> Option<&'static str> {
    let is_fixed = partitioner.order().is_some() && partitioner.clone().ranging().is_none();
    is_fixed.then_some("ranges between given bounds keep their order; learned ones may move")
}
