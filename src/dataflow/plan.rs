//! A pipeline under construction: the graph so far, and how to build each of its tasks.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::Config;
use crate::dataflow::graph::{Edge, EdgeKind, Graph, TaskNode};
use crate::dataflow::{Task, TaskContext};
use crate::error::{Error, ErrorKind, Result};
use crate::exchange::{EdgeConfig, LaneMatrix, LaneReceiver, LaneSender, Seat};
use crate::hand_over::Place;
use crate::routing::{Domain, KeyRanges, KeyedPartitioner};
use crate::time::Timestamp;

/// What a task is built from: where it will run, and the job's lanes and knobs.
pub struct BuildContext<'a> {
    /// Where the task will run.
    pub task: &'a TaskContext,
    /// Where instances of tasks run: instance *i* of any task on `seats[i]`.
    pub seats: &'a [Seat],
    /// How many instances a task has that lanes of all partitions feed: one on each.
    pub partitions: usize,
    /// Version of the layout; each has lanes of its own.
    pub layout: u32,
    /// How far event time had come for the task in the layout before.
    pub watermark: Timestamp,
    /// How the job's edges are laid out.
    pub edge: &'a EdgeConfig,
    /// Who owns which key, for each task that keeps state by key.
    pub domains: &'a [Arc<Domain>],
    /// The places of the task in stages, through which it passes marks on.
    pub places: &'a [Place],
    /// The knobs.
    pub config: &'a Config,
}

/// Builds one instance of a task, from the one that was there in the layout before if there was
/// one: that goes on over lanes of this layout.
pub type TaskFactory =
    Box<dyn FnMut(&BuildContext<'_>, Option<Box<dyn Task>>) -> Result<Box<dyn Task>> + Send>;

/// An input handle of a source, to be asked for by the source's name.
pub type InputHandle = (String, Box<dyn Any + Send + Sync>);

/// What the methods on streams add to.
#[derive(Default)]
pub(crate) struct Draft {
    pub(crate) graph: Graph,
    pub(crate) factories: Vec<TaskFactory>,
    /// What connectors and partitioners refused.
    pub(crate) problems: Vec<Error>,
    pub(crate) inputs: Vec<InputHandle>,
    /// Whether an operator needs an [`Executor`](crate::dataflow::Executor).
    pub(crate) runs_futures: bool,
    /// Of each task that keeps state by key, the ranges that its key groups are at the start, where
    /// they change.
    ranges: Vec<Option<Arc<dyn KeyRanges>>>,
    /// Streams that do not end anywhere yet, by ticket.
    open: BTreeMap<usize, String>,
    tickets: usize,
}

impl Draft {
    /// The index of one more task that keeps state by key, which `partitioner` groups.
    pub(crate) fn add_domain<K>(&mut self, partitioner: &impl KeyedPartitioner<K>) -> usize {
        self.ranges.push(partitioner.clone().ranging().map(|ranging| ranging.ranges()));
        self.ranges.len() - 1
    }

    /// Who owns which key in a new layout, for each task that keeps state by key. Ranges of keys
    /// are those of the layout `before`, if there was one.
    pub(crate) fn domains(&self, partitions: usize, before: &[Arc<Domain>]) -> Vec<Arc<Domain>> {
        let of_task = |(index, first): (usize, &Option<Arc<dyn KeyRanges>>)| {
            let known = before.get(index).and_then(|domain| domain.table().ranges().cloned());
            Arc::new(match known.as_ref().or(first.as_ref()) {
                None => Domain::new(index, partitions),
                Some(ranges) => Domain::ranged(index, partitions, Arc::clone(ranges)),
            })
        };
        self.ranges.iter().enumerate().map(of_task).collect()
    }

    /// Remembers that a stream was begun.
    pub(crate) fn begin(&mut self, name: &str) -> usize {
        self.tickets += 1;
        self.open.insert(self.tickets, name.to_owned());
        self.tickets
    }

    /// Adds a task and its output edges; returns the indexes of these, whose reader is unknown yet.
    pub(crate) fn close(
        &mut self,
        ticket: usize,
        mut node: TaskNode,
        outputs: &[EdgeKind],
        factory: TaskFactory,
    ) -> Vec<usize> {
        self.open.remove(&ticket);
        let index = self.graph.tasks.len();
        for edge in &node.inputs {
            self.graph.edges[*edge].to = index;
        }
        let first = self.graph.edges.len();
        for kind in outputs {
            // The reader closes later and then fills itself in.
            self.graph.edges.push(Edge { from: index, to: usize::MAX, kind: *kind });
        }
        node.outputs = (first..self.graph.edges.len()).collect();
        let edges = node.outputs.clone();
        self.graph.tasks.push(node);
        self.factories.push(factory);
        edges
    }

    /// Everything that is wrong, all at once.
    pub(crate) fn check(&mut self) -> Vec<Error> {
        self.graph.dangling = self.open.values().cloned().collect();
        let mut problems = std::mem::take(&mut self.problems);
        problems.extend(self.ambiguous_inputs());
        problems.extend(self.graph.problems());
        problems
    }

    /// Names by which more than one source is fed.
    fn ambiguous_inputs(&self) -> Vec<Error> {
        let mut names: Vec<&str> = self.inputs.iter().map(|(name, _)| &**name).collect();
        names.sort_unstable();
        let mut twice: Vec<&str> =
            names.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
        twice.dedup();
        let tell = |name: &str| {
            let text = format!(
                "input name `{}` is given to more than one source; each has its own",
                name.escape_debug()
            );
            Error::new(ErrorKind::InvalidConfig, text)
        };
        twice.into_iter().map(tell).collect()
    }
}

/// The lanes of one edge, made when the task that feeds it is built: that is the first of the two.
pub(crate) struct Wires<T, P> {
    kind: EdgeKind,
    matrix: Arc<Mutex<OfLayout<LaneMatrix<T, P>>>>,
}

/// What there is one of in each layout, with the version of that.
type OfLayout<M> = Option<(u32, M)>;

impl<T, P> Wires<T, P> {
    pub(crate) fn kind(&self) -> EdgeKind {
        self.kind
    }

    pub(crate) fn new(kind: EdgeKind) -> Self {
        Wires { kind, matrix: Arc::default() }
    }

    /// This instance's sending ends, by target.
    pub(crate) fn senders(&self, context: &BuildContext<'_>) -> Vec<LaneSender<T, P>> {
        self.with(context, |matrix| matrix.take_senders(context.task.partition))
    }

    /// This instance's receiving ends.
    pub(crate) fn receivers(&self, context: &BuildContext<'_>) -> Vec<LaneReceiver<T, P>> {
        self.with(context, |matrix| matrix.take_receivers(context.task.partition))
    }

    fn with<R>(
        &self,
        context: &BuildContext<'_>,
        take: impl FnOnce(&mut LaneMatrix<T, P>) -> R,
    ) -> R {
        // Whoever panics while it holds the lock fails the job.
        let mut matrix = self.matrix.lock().unwrap_or_else(PoisonError::into_inner);
        if matrix.as_ref().is_none_or(|(layout, _)| *layout != context.layout) {
            let feeders = &context.seats[..context.task.partitions];
            let lanes = match self.kind {
                EdgeKind::Exchange => {
                    let readers = &context.seats[..context.partitions];
                    LaneMatrix::between(feeders, readers, context.edge)
                }
                EdgeKind::Local => LaneMatrix::within_each(feeders.len(), context.edge),
            };
            *matrix = Some((context.layout, lanes));
        }
        let (_, matrix) = matrix.as_mut().expect("it has been made");
        take(matrix)
    }
}

impl<T, P> Clone for Wires<T, P> {
    fn clone(&self) -> Self {
        Wires { kind: self.kind, matrix: Arc::clone(&self.matrix) }
    }
}
