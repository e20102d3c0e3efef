//! From a pipeline to the tasks of every partition, in the first layout and in later ones.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::config::wording::together;
use crate::config::{BatchSize, Config, LaneMemory};
use crate::dataflow::graph::{EdgeKind, Graph};
use crate::dataflow::{BuildContext, Draft, Executor, InputHandle, Pipeline, Stages, TaskContext};
use crate::engine::transfer::Transfer;
use crate::error::{Error, ErrorKind, Result};
use crate::exchange::wake::Wake;
use crate::exchange::{EdgeConfig, ROUND_BYTES, STAGED_RECORDS, Seat};
use crate::hand_over::PARCELS;
use crate::metrics::{JobShape, TaskShape};
use crate::routing::Domain;
use crate::runtime::Instance;
use crate::supervisor::Movable;
use crate::time::{Clock, Nanos};

/// A checked pipeline with the tasks of every partition.
pub(crate) struct Built {
    pub(crate) name: String,
    pub(crate) layout: Layout,
    pub(crate) shape: JobShape,
    pub(crate) inputs: Vec<InputHandle>,
    pub(crate) dead_letters: Arc<AtomicU64>,
    pub(crate) blueprint: Blueprint,
}

/// The tasks of every partition.
pub(crate) struct Layout {
    /// By partition, then in the order of the graph.
    pub(crate) partitions: Vec<Vec<Instance>>,
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

/// What it takes to lay a job out over its partitions, however many: chains to clone, and
/// connectors to open.
///
/// A task that is on the partition of a source, over local edges, is *rooted* there: it has as many
/// instances as the job had partitions at the start, and they go from partition to partition whole.
/// Any other task has one instance on each partition.
pub(crate) struct Blueprint {
    draft: Draft,
    rooted: Vec<bool>,
    config: Config,
    edge: EdgeConfig,
    memory_limit_bytes: u64,
    /// How many instances a rooted task has.
    roots: usize,
    /// What all instances know of the job.
    context: TaskContext,
    layouts: u32,
    /// Those of the last layout: ranges of keys go on as they are.
    domains: Vec<Arc<Domain>>,
}

/// Checks `pipeline` and builds its tasks for each of the partitions that `world` has.
pub(crate) fn build(pipeline: Pipeline, config: &Config, world: &World<'_>) -> Result<Built> {
    let World { wakes, clock, memory_limit_bytes, executor, parcels, staged } = *world;
    let (name, draft) = pipeline.into_draft();
    let mut draft = std::mem::take(&mut *draft.borrow_mut());
    if let Some(error) = together(draft.check()) {
        return Err(error);
    }
    // One start for all partitions: what they pace themselves by has to agree.
    let (now, wall_time) = (clock.now(), clock.wall_time());
    let dead_letters = Arc::new(AtomicU64::new(0));
    let context = TaskContext {
        executor: if draft.runs_futures { Some(executor()?) } else { None },
        dead_letters: Arc::clone(&dead_letters),
        now,
        wall_time,
        max_outputs_per_record: config.max_outputs_per_record(),
        ..TaskContext::new(0, wakes.len(), wakes[0].clone())
    };
    let (shape, inputs) = (shape_of(&draft.graph), std::mem::take(&mut draft.inputs));
    let mut blueprint = Blueprint {
        rooted: draft.graph.rooted(),
        draft,
        config: config.clone(),
        edge: EdgeConfig { parcels, staged, ..edge_config(config) },
        memory_limit_bytes,
        roots: wakes.len(),
        context,
        layouts: 0,
        domains: Vec::new(),
    };
    blueprint.check_memory(wakes.len())?;
    let layout = blueprint.lay_out(wakes.len(), wakes, Vec::new())?;
    Ok(Built { name, layout, shape, inputs, dead_letters, blueprint })
}

impl Blueprint {
    /// How many instances a rooted task has: *i* of them is on partition *i* mod *n* of *n*.
    pub(crate) fn roots(&self) -> usize {
        self.roots
    }

    /// Whether a task is rooted where a source is.
    pub(crate) fn is_rooted(&self, task: usize) -> bool {
        self.rooted[task]
    }

    /// Indexes of the tasks that have one instance on each partition.
    pub(crate) fn unrooted(&self) -> Vec<usize> {
        (0..self.rooted.len()).filter(|task| !self.rooted[*task]).collect()
    }

    /// Index of the domain whose state a task keeps, if it keeps any by key.
    pub(crate) fn domain_of(&self, task: usize) -> Option<usize> {
        self.draft.graph.tasks[task].domain
    }

    fn check_memory(&self, partitions: usize) -> Result<()> {
        let lanes = lane_memory(&self.draft.graph, &self.edge, partitions);
        lanes.check(self.memory_limit_bytes, &self.config).map(drop)
    }

    /// Whether the job can be laid out over so many partitions while it runs.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] with the first task that cannot, and why;
    /// what the memory limit says.
    pub(crate) fn check(&self, partitions: usize) -> Result<()> {
        let graph = &self.draft.graph;
        for (node, is_rooted) in graph.tasks.iter().zip(&self.rooted) {
            let crosses = |edge: &usize| graph.edges[*edge].kind == EdgeKind::Exchange;
            let why = if *is_rooted {
                let is_fed = node.inputs.iter().any(crosses);
                is_fed.then_some("it reads all partitions beside a source of its own")
            } else {
                let has_target = node.target.is_some();
                node.bound.or(has_target.then_some("its sink has a file on each partition"))
            };
            if let Some(why) = why {
                let text = format!(
                    "task `{}` cannot have more instances or fewer while the job runs: {why}",
                    node.name
                );
                return Err(Error::new(ErrorKind::InvalidConfig, text));
            }
        }
        if partitions > self.roots && self.rooted.iter().all(|is_rooted| *is_rooted) {
            let text = format!(
                "rescale to {partitions} partitions: the job has no exchange, so nothing would run \
                 on more than the {} that it began with",
                self.roots
            );
            return Err(Error::new(ErrorKind::InvalidConfig, text));
        }
        self.check_memory(partitions)
    }

    /// The tasks of so many partitions, made of those that there were `before`.
    ///
    /// * `wakes` - by partition; those of partitions that are no more wake where their rooted
    ///   instances are.
    /// * `before` - all instances of the layout before, stopped; none for the first.
    ///
    /// # Errors
    /// What a connector reports that cannot be opened. The instances are lost then.
    pub(crate) fn lay_out(
        &mut self,
        partitions: usize,
        wakes: &[Wake],
        mut before: Vec<Instance>,
    ) -> Result<Layout> {
        let seat =
            |(index, wake): (usize, &Wake)| Seat { host: index % partitions, wake: wake.clone() };
        let seats: Vec<Seat> = wakes.iter().enumerate().map(seat).collect();
        let domains = self.draft.domains(partitions, &self.domains);
        self.domains.clone_from(&domains);
        let mut transfer = Transfer::of(self, &domains, partitions, &mut before);
        let mut kept: BTreeMap<_, _> = before
            .into_iter()
            .map(|instance| ((instance.task, instance.index), instance.running))
            .collect();
        let stages = Stages::of(&self.draft.graph, seats.len());
        let mut laid_out: Vec<Vec<Instance>> = (0..partitions).map(|_| Vec::new()).collect();
        for task in 0..self.rooted.len() {
            let count = if self.rooted[task] { self.roots } else { partitions };
            for (index, seat) in seats.iter().enumerate().take(count) {
                let own = TaskContext {
                    partition: index,
                    partitions: count,
                    waker: seat.wake.clone(),
                    ..self.context.clone()
                };
                let context = BuildContext {
                    task: &own,
                    seats: &seats,
                    partitions,
                    layout: self.layouts,
                    watermark: transfer.watermark(task, index),
                    edge: &self.edge,
                    domains: &domains,
                    places: &stages.places(task, index),
                    config: &self.config,
                };
                let was = kept.remove(&(task, index));
                let is_new = was.is_none();
                let mut running = self.draft.factories[task](&context, was)?;
                transfer.hand_to(task, index, is_new, &mut *running);
                let name = self.draft.graph.tasks[task].name.clone();
                laid_out[seat.host].push(Instance { task, index, name, running, is_done: false });
            }
        }
        self.layouts += 1;
        Ok(Layout { partitions: laid_out, domains: movables(&self.draft.graph, domains) })
    }
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
        movables[domain].unmovable = graph.why_unmovable(task);
        movables[domain].unmergeable = node.unmergeable.or(ranged(&movables[domain].domain));
        for other in graph.upstream(task).filter_map(domain_of).filter(|other| *other != domain) {
            movables[domain].related.push(other);
            movables[other].related.push(domain);
        }
    }
    movables
}

/// Why no key of a domain can be combined by itself, if that is so whatever its operator is.
fn ranged(domain: &Domain) -> Option<&'static str> {
    domain.is_ranged().then_some("a key of a learned range goes with its range")
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
