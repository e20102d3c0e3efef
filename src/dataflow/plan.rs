//! A pipeline under construction: the graph so far, and how to build each of its tasks.

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use crate::config::Config;
use crate::dataflow::graph::{Edge, EdgeKind, Graph, TaskNode};
use crate::dataflow::{Task, TaskContext};
use crate::error::{Error, ErrorKind, Result};
use crate::exchange::wake::Wake;
use crate::exchange::{EdgeConfig, LaneMatrix, LaneReceiver, LaneSender};
use crate::routing::Domain;

/// What a task is built from: where it will run, and the job's lanes and knobs.
pub struct BuildContext<'a> {
    /// Where the task will run.
    pub task: &'a TaskContext,
    /// Wakes each partition of the job.
    pub wakes: &'a [Wake],
    /// How the job's edges are laid out.
    pub edge: &'a EdgeConfig,
    /// Who owns which key, for each task that keeps state by key.
    pub domains: &'a [Arc<Domain>],
    /// The knobs.
    pub config: &'a Config,
}

/// Builds one partition's instance of a task; called once per partition and run.
pub type TaskFactory = Box<dyn FnMut(&BuildContext<'_>) -> Result<Box<dyn Task>>>;

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
    /// How many tasks keep state by key.
    pub(crate) domains: usize,
    /// Streams that do not end anywhere yet, by ticket.
    open: BTreeMap<usize, String>,
    tickets: usize,
}

impl Draft {
    /// The index of one more task that keeps state by key.
    pub(crate) fn add_domain(&mut self) -> usize {
        self.domains += 1;
        self.domains - 1
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

/// The lanes of one edge, made when the first of its two tasks is built.
pub(crate) struct Wires<T, P> {
    kind: EdgeKind,
    matrix: Rc<RefCell<Option<LaneMatrix<T, P>>>>,
}

impl<T, P> Wires<T, P> {
    pub(crate) fn kind(&self) -> EdgeKind {
        self.kind
    }

    pub(crate) fn new(kind: EdgeKind) -> Self {
        Wires { kind, matrix: Rc::default() }
    }

    /// This partition's sending ends, by target.
    pub(crate) fn senders(&self, context: &BuildContext<'_>) -> Vec<LaneSender<T, P>> {
        self.with(context, |matrix| matrix.take_senders(context.task.partition))
    }

    /// This partition's receiving ends.
    pub(crate) fn receivers(&self, context: &BuildContext<'_>) -> Vec<LaneReceiver<T, P>> {
        self.with(context, |matrix| matrix.take_receivers(context.task.partition))
    }

    fn with<R>(
        &self,
        context: &BuildContext<'_>,
        take: impl FnOnce(&mut LaneMatrix<T, P>) -> R,
    ) -> R {
        let mut matrix = self.matrix.borrow_mut();
        take(matrix.get_or_insert_with(|| match self.kind {
            EdgeKind::Exchange => LaneMatrix::between_all(context.wakes, context.edge),
            EdgeKind::Local => LaneMatrix::within_each(context.wakes.len(), context.edge),
        }))
    }
}

impl<T, P> Clone for Wires<T, P> {
    fn clone(&self) -> Self {
        Wires { kind: self.kind, matrix: Rc::clone(&self.matrix) }
    }
}
