//! Heads: how the input of a task is made, once for each partition.

use std::sync::Arc;

use crate::dataflow::graph::EdgeKind;
use crate::dataflow::plan::{BuildContext, Wires};
use crate::dataflow::{Input, NoSource, SourceConnector, SourceHead};
use crate::error::Result;
use crate::exchange::wake::Wake;
use crate::exchange::{EdgeTime, Gate, Receive};
use crate::hand_over::{Docks, HandOver, docks};
use crate::record::Never;

/// Makes the input of an instance of a task, from the one in the layout before if it had one.
pub(super) type Head<T, P, S> =
    Box<dyn FnMut(&BuildContext<'_>, Option<Input<T, P, S>>) -> Result<Input<T, P, S>> + Send>;

/// A head that merges the lanes of `wires`, one edge each.
pub(crate) fn gate_head<T: Send + 'static, P: Send + 'static>(
    wires: Vec<Wires<T, P>>,
) -> Head<T, P, NoSource> {
    Box::new(move |context, _| {
        let edges = wires.iter().map(|wires| (wires.receivers(context), EdgeTime::Counts));
        let mut gate = Gate::over(edges.collect());
        pass_local_marks(&mut gate, wires.iter().map(Wires::kind));
        gate.go_on_from(context.watermark);
        Ok(Input::lanes(gate))
    })
}

/// Has the task of `gate` pass marks on that come over local edges, of these `kinds` of its edges.
pub(super) fn pass_local_marks<T, P, R: Receive<T, P>>(
    gate: &mut Gate<T, P, R>,
    kinds: impl IntoIterator<Item = EdgeKind>,
) {
    for (edge, kind) in kinds.into_iter().enumerate() {
        if kind == EdgeKind::Local {
            gate.pass_marks_of(edge);
        }
    }
}

/// A head with the source that `connector` opens, which goes on in every layout.
pub(super) fn source_head<C: SourceConnector>(connector: C) -> Head<Never, Never, C::Source> {
    let mut connector = Some(connector);
    Box::new(move |context, before| {
        if let Some(source) = before {
            return Ok(source);
        }
        let own = connector.as_mut().expect("a source has as many instances as at the start");
        let source = own.open(context.task)?;
        if context.task.partition + 1 == context.task.partitions {
            // What feeds it from outside ends when nobody holds it any more.
            connector = None;
        }
        let max = context.edge.batch_records_for::<C::Item>();
        Ok(Input::Source(SourceHead::new(source, max)))
    })
}

/// `head`, of a task that keeps the state of `domain` by key, which may move.
pub(super) fn movable<T: Send + 'static, P: Send + 'static>(
    mut head: Head<T, P, NoSource>,
    domain: usize,
) -> Head<T, P, NoSource> {
    let mut unclaimed: Vec<Option<Docks<T, P>>> = Vec::new();
    Box::new(move |context, before| {
        let partition = context.task.partition;
        if partition == 0 {
            let seats = &context.seats[..context.task.partitions];
            let wakes: Vec<Wake> = seats.iter().map(|seat| seat.wake.clone()).collect();
            unclaimed = docks(&wakes, context.edge.parcels).into_iter().map(Some).collect();
        }
        let docks = unclaimed[partition].take().expect("a task has one instance per partition");
        let domain = Arc::clone(&context.domains[domain]);
        Ok(match head(context, before)? {
            Input::Lanes { lanes, .. } => {
                let moves = HandOver::new(partition, domain, lanes.count(), docks);
                Input::Lanes { lanes, moves: Some(Box::new(moves)) }
            }
            source @ Input::Source(_) => source,
        })
    })
}
