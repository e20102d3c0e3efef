//! From a pipeline to the tasks of every partition.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::config::wording::together;
use crate::config::{BatchSize, Config, LaneMemory};
use crate::dataflow::graph::{EdgeKind, Graph};
use crate::dataflow::{BuildContext, Draft, Executor, InputHandle, Pipeline, Task, TaskContext};
use crate::error::Result;
use crate::exchange::wake::Wake;
use crate::exchange::{EdgeConfig, ROUND_BYTES, STAGED_RECORDS};
use crate::hand_over::PARCELS;
use crate::metrics::{JobShape, TaskShape};
use crate::routing::Domain;
use crate::supervisor::Movable;
use crate::time::{Clock, Nanos};

/// A checked pipeline with the tasks of every partition.
pub(crate) struct Built {
    pub(crate) name: String,
    /// By partition, then in the order of the graph, each with its name.
    pub(crate) partitions: Vec<Vec<(String, Box<dyn Task>)>>,
    pub(crate) shape: JobShape,
    pub(crate) inputs: Vec<InputHandle>,
    pub(crate) dead_letters: Arc<AtomicU64>,
    /// Who owns which key, for each task that keeps state by key.
    pub(crate) domains: Vec<Movable>,
}

/// What whoever runs a job gives it: the engine the real things, the simulation its own.
pub(crate) struct World<'a> {
    /// Wakes each partition.
    pub(crate) wakes: &'a [Wake],
    pub(crate) clock: &'a dyn Clock,
    pub(crate) memory_limit_bytes: u64,
    /// Messages that may wait between two partitions while state moves.
    pub(crate) parcels: usize,
    /// Records that may wait in front of an outbox.
    pub(crate) staged: usize,
    /// Makes what runs futures; asked only if the job has any.
    pub(crate) executor: &'a dyn Fn() -> Result<Arc<dyn Executor>>,
}

/// Checks `pipeline` and builds its tasks for each of the partitions that `world` has.
pub(crate) fn build(pipeline: Pipeline, config: &Config, world: &World<'_>) -> Result<Built> {
    let World { wakes, clock, memory_limit_bytes, executor, parcels, staged } = *world;
    let (name, draft) = pipeline.into_draft();
    let mut draft = draft.borrow_mut();
    if let Some(error) = together(draft.check()) {
        return Err(error);
    }
    let edge = EdgeConfig { parcels, staged, ..edge_config(config) };
    lane_memory(&draft.graph, &edge, wakes.len()).check(memory_limit_bytes, config)?;
    let dead_letters = Arc::new(AtomicU64::new(0));
    let domains: Vec<_> =
        (0..draft.domains).map(|index| Arc::new(Domain::new(index, wakes.len()))).collect();
    let executor = if draft.runs_futures { Some(executor()?) } else { None };
    // One start for all partitions: what they pace themselves by has to agree.
    let (now, wall_time) = (clock.now(), clock.wall_time());
    let mut partitions = Vec::new();
    for (partition, waker) in wakes.iter().enumerate() {
        let task = TaskContext {
            partition,
            partitions: wakes.len(),
            waker: waker.clone(),
            executor: executor.clone(),
            dead_letters: Arc::clone(&dead_letters),
            now,
            wall_time,
            max_outputs_per_record: config.max_outputs_per_record(),
        };
        let context = BuildContext { task: &task, wakes, edge: &edge, domains: &domains, config };
        partitions.push(tasks_of(&mut draft, &context)?);
    }
    let shape = shape_of(&draft.graph);
    let inputs = std::mem::take(&mut draft.inputs);
    let domains = movables(&draft.graph, domains);
    Ok(Built { name, partitions, shape, inputs, dead_letters, domains })
}

fn tasks_of(draft: &mut Draft, context: &BuildContext<'_>) -> Result<Vec<(String, Box<dyn Task>)>> {
    let Draft { graph, factories, .. } = draft;
    graph
        .tasks
        .iter()
        .zip(factories)
        .map(|(node, factory)| Ok((node.name.clone(), factory(context)?)))
        .collect()
}

/// The domains as moves see them.
fn movables(graph: &Graph, domains: Vec<Arc<Domain>>) -> Vec<Movable> {
    let domain_of = |task: usize| graph.tasks[task].domain;
    let mut movables: Vec<Movable> = domains
        .into_iter()
        .map(|domain| Movable {
            domain,
            name: String::new(),
            unmovable: None,
            unmergeable: None,
            related: Vec::new(),
        })
        .collect();
    for (task, node) in graph.tasks.iter().enumerate() {
        let Some(domain) = node.domain else { continue };
        movables[domain].name.clone_from(&node.name);
        movables[domain].unmovable = node.unmovable;
        movables[domain].unmergeable = node.unmergeable;
        for other in graph.upstream(task).filter_map(domain_of).filter(|other| *other != domain) {
            movables[domain].related.push(other);
            movables[other].related.push(domain);
        }
    }
    movables
}

fn edge_config(config: &Config) -> EdgeConfig {
    EdgeConfig {
        // More slots than memory is refused by the check that follows.
        lane_batches: usize::try_from(config.lane_capacity()).unwrap_or(usize::MAX),
        batch_records: match config.batch_size() {
            BatchSize::Auto => None,
            BatchSize::Records(records) => Some(records as usize),
        },
        linger: config.linger().as_nanos().try_into().unwrap_or(Nanos::MAX),
        parcels: PARCELS,
        staged: STAGED_RECORDS,
    }
}

fn lane_memory(graph: &Graph, edge: &EdgeConfig, partitions: usize) -> LaneMemory {
    let exchanges: Vec<_> = graph.edges.iter().filter(|e| e.kind == EdgeKind::Exchange).collect();
    let record_bytes = exchanges
        .iter()
        .map(|exchange| graph.tasks[exchange.from].record_bytes)
        .max()
        .unwrap_or_default();
    LaneMemory {
        partitions,
        exchanges: exchanges.len(),
        lane_capacity: edge.lane_batches as u64,
        batch_records: edge.batch_records_of(record_bytes) as u64,
        record_bytes: record_bytes as u64,
        round_bytes: ROUND_BYTES as u64,
    }
}

fn shape_of(graph: &Graph) -> JobShape {
    let shape = |node: &crate::dataflow::graph::TaskNode| TaskShape {
        name: node.name.clone(),
        inputs: node.inputs.clone(),
        outputs: node.outputs.clone(),
    };
    let edge = |edge: &crate::dataflow::graph::Edge| {
        format!("{} -> {}", graph.tasks[edge.from].name, graph.tasks[edge.to].name)
    };
    JobShape {
        tasks: graph.tasks.iter().map(shape).collect(),
        edges: graph.edges.iter().map(edge).collect(),
    }
}
