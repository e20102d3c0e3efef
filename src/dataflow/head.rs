//! Heads: how the input of a task is made, once for each partition.

use std::sync::Arc;

use crate::dataflow::plan::{BuildContext, Wires};
use crate::dataflow::{Input, NoSource};
use crate::error::Result;
use crate::exchange::{EdgeTime, Gate};
use crate::hand_over::{Docks, HandOver, docks};

/// Makes a partition's input of a task.
pub(super) type Head<T, P, S> = Box<dyn FnMut(&BuildContext<'_>) -> Result<Input<T, P, S>>>;

/// A head that merges the lanes of `wires`, one edge each.
pub(crate) fn gate_head<T: Send + 'static, P: Send + 'static>(
    wires: Vec<Wires<T, P>>,
) -> Head<T, P, NoSource> {
    Box::new(move |context| {
        let edges = wires.iter().map(|wires| (wires.receivers(context), EdgeTime::Counts));
        Ok(Input::lanes(Gate::over(edges.collect())))
    })
}

/// `head`, of a task that keeps the state of `domain` by key, which may move.
pub(super) fn movable<T: Send + 'static, P: Send + 'static>(
    mut head: Head<T, P, NoSource>,
    domain: usize,
) -> Head<T, P, NoSource> {
    let mut unclaimed: Vec<Option<Docks<T, P>>> = Vec::new();
    Box::new(move |context| {
        if unclaimed.is_empty() {
            unclaimed = docks(context.wakes, context.edge.parcels).into_iter().map(Some).collect();
        }
        let partition = context.task.partition;
        let docks = unclaimed[partition].take().expect("a task has one instance per partition");
        let domain = Arc::clone(&context.domains[domain]);
        Ok(match head(context)? {
            Input::Lanes { lanes, .. } => {
                let moves = HandOver::new(partition, domain, lanes.count(), docks);
                Input::Lanes { lanes, moves: Some(Box::new(moves)) }
            }
            source @ Input::Source(_) => source,
        })
    })
}
