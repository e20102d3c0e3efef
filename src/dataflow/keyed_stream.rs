//! Streams that know their key: the only place where keyed operators can be applied.

use std::sync::Arc;
use std::time::Duration;

use crate::config::PreAggregate;
use crate::dataflow::by_key::ByKey;
use crate::dataflow::end::OutboxEnd;
use crate::dataflow::graph::{EdgeKind, TaskNode};
use crate::dataflow::plan::{BuildContext, Wires};
use crate::dataflow::stream::gate_head;
use crate::dataflow::{Chain, DataStream, Keyed, KeyedOperator};
use crate::exchange::Outbox;
use crate::exchange::combine::{Combine, NoCombine, Partial};
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
}

/// A stream whose records have a key. Its operators keep state per key, on the partition that owns
/// the key.
///
/// The key function is called on the partition that makes the record, for routing, and again on
/// the one that owns the key, so that the key itself does not travel: it must give the same key
/// for the same record (Flink's `KeySelector` has the same contract).
#[must_use = "a stream that leads to no sink is an error"]
pub struct KeyedStream<C: Chain, F, Q = Hashed> {
    stream: DataStream<C>,
    key_of: F,
    partitioner: Q,
    emit_at: EmitAt,
    pre_aggregate: Option<PreAggregate>,
}

/// The stream behind the keyed operator `Op` on a [`KeyedStream<C, F, Q>`] with keys `K`.
pub type KeyedOutput<C, K, F, Q, Op> = DataStream<Keyed<<C as Chain>::Out, K, F, Q, Op>>;

impl<C: Chain> DataStream<C> {
    /// Groups the records by the key that `key_of` finds in each.
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
    pub fn emit_at(mut self, emit_at: EmitAt) -> Self {
        self.emit_at = emit_at;
        self
    }

    /// Overrides the job's knob for pre-aggregation in front of this exchange.
    pub fn pre_aggregate(mut self, pre_aggregate: PreAggregate) -> Self {
        self.pre_aggregate = Some(pre_aggregate);
        self
    }

    /// When the aggregate that follows emits.
    pub fn emission(&self) -> EmitAt {
        self.emit_at
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
        self.exchange(operator, |_, _| NoCombine::new())
    }

    /// Applies a keyed operator behind an exchange that folds records with what `combine` makes
    /// (once per partition) in front.
    pub(crate) fn exchange<Op, M>(
        self,
        operator: Op,
        mut combine: impl FnMut(&BuildContext<'_>, Option<PreAggregate>) -> M + 'static,
    ) -> KeyedOutput<C, K, F, Q, Op>
    where
        Op: KeyedOperator<K, C::Out>,
        M: Combine<C::Out, K, Partial = Partial<K, Op::Partial>> + 'static,
    {
        let KeyedStream { stream, key_of, partitioner, emit_at, pre_aggregate } = self;
        let draft = stream.draft();
        if let Err(problem) = partitioner.check() {
            draft.borrow_mut().problems.push(problem);
        }
        let wires: Wires<C::Out, Partial<K, Op::Partial>> = Wires::new(EdgeKind::Exchange);
        let senders = wires.clone();
        let keyed = Keyed::new(operator, key_of.clone(), partitioner.clone());
        let edges = stream.close("", &[EdgeKind::Exchange], move |context| {
            let outbox = Outbox::new(senders.senders(context), context.edge);
            let (key_of, partitioner) = (key_of.clone(), partitioner.clone());
            let combine = combine(context, pre_aggregate);
            let table = Arc::clone(context.table);
            let route = ByKey::new(key_of, partitioner, table, combine, emit_at.interval());
            Ok(OutboxEnd::new(outbox, route, 1))
        });
        let node = TaskNode { inputs: edges, ..TaskNode::default() };
        let stream = DataStream::begin(draft, node, gate_head(vec![wires]), keyed);
        if emit_at == EmitAt::End { stream.emits_at_end() } else { stream }
    }
}
