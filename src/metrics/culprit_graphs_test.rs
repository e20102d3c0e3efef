//! The culprit on graphs with a known slow task: a model of partitions with bounded lanes does
//! what the engine does and counts what it counts; the report must name that task, and the key.

use std::collections::VecDeque;

use crate::metrics::{
    Activity, Blocked, Detail, HotKey, JobShape, PartitionMetrics, Registry, Report, RunFacts,
    TaskShape,
};

/// Batches that a lane holds, and that a task takes per turn, as in the engine.
const LANE: usize = 8;
const TICKS: u64 = 10_000;

/// What a task does about a batch.
#[derive(Clone, Default)]
struct Node {
    name: &'static str,
    /// Ticks per batch, by partition; the last one holds for those that follow.
    service: Vec<u64>,
    /// Ticks that the target of a sink takes nothing after a batch.
    outside: u64,
    /// Batches given on for each one taken, as a fraction: 1 of 10 is a filter.
    gives: (u64, u64),
    /// Ticks from one batch of a source to the next; 0 is as fast as it goes.
    pace: u64,
    /// Partitions that a source has splits on; 0 is all.
    splits: usize,
}

/// One edge: local where it has no weights, else an exchange that deals batches out by them.
struct Edge {
    from: usize,
    to: usize,
    weights: Vec<u64>,
}

struct Graph {
    partitions: usize,
    nodes: Vec<Node>,
    edges: Vec<Edge>,
}

impl Graph {
    fn on(partitions: usize) -> Graph {
        Graph { partitions, nodes: Vec::new(), edges: Vec::new() }
    }

    fn node(mut self, node: Node) -> Graph {
        self.nodes.push(node);
        self
    }

    /// A source, which reads four batches at once.
    fn source(self, name: &'static str, ticks: u64) -> Graph {
        self.node(Node { name, service: vec![ticks], gives: (4, 1), ..Node::default() })
    }

    /// A task with local edges from `inputs`.
    fn task(self, name: &'static str, ticks: u64, inputs: &[&str]) -> Graph {
        let node = Node { name, service: vec![ticks], gives: (1, 1), ..Node::default() };
        self.node(node).edges(inputs, &[])
    }

    /// A task behind exchanges that deal evenly.
    fn keyed(self, name: &'static str, ticks: u64, inputs: &[&str]) -> Graph {
        self.dealt(name, &[ticks], inputs, &[1; 64])
    }

    /// A task behind exchanges that deal by `weights`, with these ticks per partition.
    fn dealt(self, name: &'static str, ticks: &[u64], inputs: &[&str], weights: &[u64]) -> Graph {
        let weights = &weights[..self.partitions];
        let node = Node { name, service: ticks.to_vec(), gives: (1, 1), ..Node::default() };
        self.node(node).edges(inputs, weights)
    }

    fn edges(mut self, inputs: &[&str], weights: &[u64]) -> Graph {
        let to = self.nodes.len() - 1;
        for input in inputs {
            let from = self.nodes.iter().position(|node| node.name == *input).expect("a task");
            self.edges.push(Edge { from, to, weights: weights.to_vec() });
        }
        self
    }

    /// Changes the task that was added last.
    fn with(mut self, change: impl FnOnce(&mut Node)) -> Graph {
        self.nodes.last_mut().map(change).expect("a task");
        self
    }

    fn shape(&self) -> JobShape {
        let of = |end: fn(&Edge) -> usize, task: usize| -> Vec<usize> {
            (0..self.edges.len()).filter(|&edge| end(&self.edges[edge]) == task).collect()
        };
        let tasks = self.nodes.iter().enumerate().map(|(index, node)| TaskShape {
            name: node.name.into(),
            inputs: of(|edge| edge.to, index),
            outputs: of(|edge| edge.from, index),
        });
        let name = |edge: &Edge| format!("{} -> {}", edge.from, edge.to);
        JobShape { tasks: tasks.collect(), edges: self.edges.iter().map(name).collect() }
    }

    fn report(&self, hot_keys: Vec<(usize, HotKey)>) -> Report {
        let shape = self.shape();
        let registry = Registry::new(shape.clone(), self.partitions, Detail::Counters);
        let mut model = Model::new(self, &shape, &registry);
        model.run();
        model.threads.into_iter().for_each(|thread| thread.metrics.finish(TICKS));
        registry.report(RunFacts { hot_keys, ..RunFacts::default() })
    }

    /// What a batch to `to` counts there: the less, the larger its weight.
    fn weight_inverse(&self, edge: usize, to: usize) -> u64 {
        self.edges[edge].weights.get(to).map_or(1, |weight| 1_000_000 / weight)
    }

    fn culprit(&self) -> Option<String> {
        self.report(Vec::new()).back_pressure
    }
}

/// One partition: its tasks step in turns, from the sinks to the sources.
struct Thread {
    metrics: PartitionMetrics,
    now: u64,
    /// The task in turn, and the batches that it may still take.
    task: usize,
    left: usize,
    /// By task: when its source has the next batch, or its target takes one again.
    ready_at: Vec<u64>,
    taken: Vec<u64>,
}

struct Model<'a> {
    graph: &'a Graph,
    shape: &'a JobShape,
    threads: Vec<Thread>,
    /// `lanes[edge][from][to]`: when each batch was sent, so that a partition that is behind in
    /// the model takes nothing from its future.
    lanes: Vec<Vec<Vec<VecDeque<u64>>>>,
    /// `dealt[edge][from][to]`: batches so far.
    dealt: Vec<Vec<Vec<u64>>>,
}

impl<'a> Model<'a> {
    fn new(graph: &'a Graph, shape: &'a JobShape, registry: &Registry) -> Self {
        let (partitions, tasks) = (graph.partitions, graph.nodes.len());
        let thread = |partition| Thread {
            metrics: {
                let mut metrics = registry.open(partition);
                metrics.account(Activity::Idle, 0);
                metrics
            },
            now: 0,
            task: tasks - 1,
            left: LANE,
            ready_at: vec![0; tasks],
            taken: vec![0; tasks],
        };
        let edges = graph.edges.len();
        Model {
            graph,
            shape,
            threads: (0..partitions).map(thread).collect(),
            lanes: vec![vec![vec![VecDeque::new(); partitions]; partitions]; edges],
            dealt: vec![vec![vec![0; partitions]; partitions]; edges],
        }
    }

    /// Steps whoever is furthest behind, so that all see each other in the order of time.
    fn run(&mut self) {
        loop {
            let behind = (0..self.threads.len()).min_by_key(|&p| self.threads[p].now);
            let partition = behind.expect("a partition");
            if self.threads[partition].now >= TICKS {
                return;
            }
            let before = self.threads[partition].now;
            let is_done = self.threads[partition].left == 0 || !self.step(partition);
            let thread = &mut self.threads[partition];
            if is_done && thread.task == 0 {
                // A turn of nothing costs a tick.
                thread.now += u64::from(thread.now == before);
            }
            if is_done {
                thread.task = thread.task.checked_sub(1).unwrap_or(self.graph.nodes.len() - 1);
                thread.left = LANE;
            }
            thread.metrics.account(Activity::Busy, thread.now);
        }
    }

    /// Lets the task in turn work off one batch; `false` if it cannot.
    fn step(&mut self, partition: usize) -> bool {
        let (task, now) = (self.threads[partition].task, self.threads[partition].now);
        if let Some(blocked) = self.blocked(partition, task) {
            self.threads[partition].metrics.task(task).blocked(blocked, now);
            return false;
        }
        self.threads[partition].metrics.task(task).unblocked(now);
        if !self.take(partition, task) {
            return false;
        }
        let (graph, node) = (self.graph, &self.graph.nodes[task]);
        let ticks = node.service[partition.min(node.service.len() - 1)];
        let thread = &mut self.threads[partition];
        thread.now += ticks;
        thread.left -= 1;
        thread.metrics.task(task).step(1, 1, ticks);
        thread.taken[task] += 1;
        let given = |taken: u64| taken * node.gives.0 / node.gives.1;
        let gives = given(thread.taken[task]) - given(thread.taken[task] - 1);
        if node.outside > 0 {
            thread.ready_at[task] = thread.now + node.outside;
        }
        let now = thread.now;
        for &edge in &self.shape.tasks[task].outputs {
            for _ in 0..gives {
                let to = self.next_target(edge, partition);
                self.dealt[edge][partition][to] += graph.weight_inverse(edge, to);
                self.lanes[edge][partition][to].push_back(now);
            }
        }
        if let Some(blocked) = self.blocked(partition, task) {
            self.threads[partition].metrics.task(task).blocked(blocked, now);
        }
        true
    }

    /// What keeps the task from going on: the next batch's lane, or the world outside.
    fn blocked(&self, partition: usize, task: usize) -> Option<Blocked> {
        let thread = &self.threads[partition];
        if self.graph.nodes[task].outside > 0 && thread.now < thread.ready_at[task] {
            return Some(Blocked::Outside);
        }
        let outputs = &self.shape.tasks[task].outputs;
        let is_full = |&edge: &usize| {
            self.lanes[edge][partition][self.next_target(edge, partition)].len() >= LANE
        };
        outputs.iter().position(is_full).map(Blocked::Output)
    }

    /// Takes a batch from the fullest lane, or makes one where the task is a source.
    fn take(&mut self, partition: usize, task: usize) -> bool {
        let (node, now) = (&self.graph.nodes[task], self.threads[partition].now);
        let inputs = &self.shape.tasks[task].inputs;
        if inputs.is_empty() {
            let ready_at = &mut self.threads[partition].ready_at[task];
            let has_split = node.splits == 0 || partition < node.splits;
            let is_due = has_split && *ready_at <= now;
            *ready_at += if is_due { node.pace } else { 0 };
            return is_due;
        }
        let lanes = inputs.iter().flat_map(|&e| (0..self.threads.len()).map(move |from| (e, from)));
        let here = |&(edge, from): &(usize, usize)| {
            self.lanes[edge][from][partition].front().is_some_and(|&sent| sent <= now)
        };
        let fullest = |&(edge, from): &(usize, usize)| self.lanes[edge][from][partition].len();
        let Some((edge, from)) = lanes.filter(here).max_by_key(fullest) else { return false };
        self.lanes[edge][from][partition].pop_front().is_some()
    }

    /// Where the next batch goes: the one that has had the least by its weight.
    fn next_target(&self, edge: usize, from: usize) -> usize {
        if self.graph.edges[edge].weights.is_empty() {
            return from;
        }
        let dealt = &self.dealt[edge][from];
        let cost = |to: &usize| dealt[*to] + self.graph.weight_inverse(edge, *to);
        (0..self.threads.len()).min_by_key(cost).expect("a partition")
    }
}

/// What the graph is, its slow task, and the graph.
type Case = (&'static str, &'static str, Graph);

fn forked(partitions: usize) -> Graph {
    Graph::on(partitions).source("source", 1)
}

fn parsed(partitions: usize) -> Graph {
    forked(partitions).task("parse", 2, &["source"])
}

fn chains() -> Vec<Case> {
    let counted = |p| parsed(p).keyed("count", 20, &["parse"]).task("sink", 1, &["count"]);
    let middle = forked(2).keyed("parse", 12, &["source"]).keyed("count", 2, &["parse"]);
    let by_two = forked(1).task("a", 2, &["source"]).task("b", 2, &["a"]).task("c", 2, &["b"]);
    let from_slow = forked(4).keyed("a", 8, &["source"]).keyed("b", 2, &["a"]);
    let outside = parsed(2).keyed("count", 4, &["parse"]).task("http", 1, &["count"]);
    let two =
        |one, other| forked(2).keyed("first", one, &["source"]).keyed("second", other, &["first"]);
    let words = forked(2).task("words", 6, &["source"]).with(|node| node.gives = (4, 1));
    vec![
        ("chain, slow in a keyed task", "count", counted(2)),
        ("chain on one partition", "count", counted(1)),
        ("chain, slow in the middle", "parse", middle.task("sink", 1, &["count"])),
        ("long chain, slow at its end", "e", by_two.task("d", 2, &["c"]).task("e", 8, &["d"])),
        ("long chain, slow at its start", "a", from_slow.keyed("c", 2, &["b"])),
        (
            "slow sink, busy",
            "file",
            parsed(2).keyed("count", 5, &["parse"]).task("file", 15, &["count"]),
        ),
        ("sink that waits outside", "http", outside.with(|node| node.outside = 60)),
        ("two slow tasks, the second one slower", "second", two(10, 18)),
        ("two slow tasks, the first one slower", "first", two(18, 10)),
        ("flat_map that makes work for another", "count", words.keyed("count", 5, &["words"])),
    ]
}

fn branches() -> Vec<Case> {
    let sides = |left, right, join| {
        let sides = forked(2).keyed("left", left, &["source"]).keyed("right", right, &["source"]);
        sides.keyed("join", join, &["left", "right"])
    };
    let sources = |p, one, other| Graph::on(p).source("one", one).source("other", other);
    let both = ["one", "other"];
    let union = sources(3, 1, 20).keyed("union", 9, &both).task("sink", 1, &["union"]);
    let join = sources(2, 1, 2).keyed("join", 3, &both).keyed("rank", 14, &["join"]);
    let three = parsed(2).task("alert", 1, &["parse"]).keyed("archive", 14, &["parse"]);
    let outside = parsed(2).keyed("count", 5, &["parse"]).task("http", 1, &["parse"]);
    let filtered = forked(2).task("filter", 2, &["source"]).with(|node| node.gives = (1, 10));
    let beside = filtered.keyed("model", 90, &["filter"]).source("ticks", 1);
    let beside = beside.with(|node| node.pace = 200).task("chart", 5, &["ticks"]);
    vec![
        ("diamond, one slow side", "right", sides(2, 15, 3)),
        ("diamond, slow join", "join", sides(2, 4, 12)),
        ("fan-in, two sources, one of them slow", "union", union),
        ("join of two sources, slow behind it", "rank", join),
        ("fan-out, one of three slow", "archive", three.keyed("index", 4, &["parse"])),
        ("fan-out, one waits outside", "http", outside.with(|node| node.outside = 80)),
        ("two pipelines, one with back-pressure", "model", beside),
    ]
}

fn uneven() -> Vec<Case> {
    let slow = parsed(4).dealt("count", &[40, 2], &["parse"], &[1; 4]);
    let mut hot = [1; 64];
    hot[5] = 64;
    let hot = parsed(64).dealt("count", &[6], &["parse"], &hot);
    let mut others = [8; 16];
    others[0] = 1;
    let alone = forked(16).with(|node| node.splits = 1);
    let alone = alone.dealt("count", &[30], &["source"], &others);
    vec![
        ("slow on one partition of four", "count", slow.task("sink", 1, &["count"])),
        ("hot partition, one of 64", "count", hot.task("sink", 1, &["count"])),
        ("source on one of 16 partitions", "count", alone.task("sink", 1, &["count"])),
    ]
}

#[test]
fn the_slow_task_is_named_on_20_of_20_graphs() {
    let graphs: Vec<Case> = [chains(), branches(), uneven()].into_iter().flatten().collect();
    assert_eq!(graphs.len(), 20);
    let wrong: Vec<String> = graphs
        .iter()
        .filter_map(|(what, slow, graph)| {
            let named = graph.culprit();
            (named.as_deref() != Some(slow)).then(|| format!("{what}: {named:?}, not {slow}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn nobody_is_named_where_all_keep_up_with_the_source() {
    let paced = |p: usize| {
        let source = Graph::on(p).source("source", 1).with(|node| node.pace = 160);
        source.keyed("count", 20, &["source"]).task("sink", 4, &["count"])
    };
    for partitions in [1, 2, 8] {
        assert_eq!(paced(partitions).culprit(), None, "{partitions} partitions");
    }
}

#[test]
fn a_hot_key_is_named_on_the_partition_that_it_slows() {
    let named = |weights: &[u64], key: (usize, f64)| {
        let chain = Graph::on(4).source("source", 1).task("parse", 2, &["source"]);
        let graph = chain.dealt("count", &[10], &["parse"], weights).task("sink", 1, &["count"]);
        let hot = HotKey { name: "\"x\"".into(), partition: key.0, share: key.1 };
        let report = graph.report(vec![(2, hot)]);
        (report.back_pressure.unwrap_or_default(), report.back_pressure_key)
    };
    let key = Some("\"x\"".to_owned());
    assert_eq!(named(&[1, 1, 6, 1], (2, 0.8)), ("count".into(), key));
    assert_eq!(named(&[1, 1, 6, 1], (1, 0.8)), ("count".into(), None), "elsewhere");
    assert_eq!(named(&[1, 1, 6, 1], (2, 0.3)), ("count".into(), None), "many keys");
    assert_eq!(named(&[1, 1, 1, 1], (2, 0.8)), ("count".into(), None), "all are slow");
}
