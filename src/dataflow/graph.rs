//! The job as data: its tasks, the edges between them, and what is wrong with them.

use std::collections::BTreeMap;
use std::fmt;

use crate::error::{Error, ErrorKind};

/// How records cross an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EdgeKind {
    /// Between two tasks of one partition.
    Local,
    /// From every partition to every partition.
    Exchange,
}

/// An edge from one task to another, by their indexes in [`Graph::tasks`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Index of the task that writes it.
    pub from: usize,
    /// Index of the task that reads it; [`usize::MAX`] as long as none does.
    pub to: usize,
    /// How records cross it.
    pub kind: EdgeKind,
}

/// One task: a chain of operators.
#[derive(Clone, Debug, Default)]
pub struct TaskNode {
    /// What it is called in reports: the given name, or its source, operators and sink.
    pub name: String,
    /// The name that the program gave it, if it did.
    pub given_name: Option<String>,
    /// Indexes of its input edges in [`Graph::edges`], in the order of its inputs.
    pub inputs: Vec<usize>,
    /// Indexes of its output edges, in the order of its outputs.
    pub outputs: Vec<usize>,
    /// A source that does not end by itself heads it.
    pub is_unbounded: bool,
    /// It emits only when its input ends.
    pub emits_at_end: bool,
    /// What its sink writes to, where no other sink may.
    pub target: Option<String>,
    /// Bytes of one record on its output edges.
    pub record_bytes: usize,
    /// How its operators go about it, where that is not the same for all.
    pub notes: Vec<String>,
    /// Index of the domain whose state it keeps, if it keeps any by key.
    pub domain: Option<usize>,
    /// Why state by key stays on its partition because of its operators, if it does: that which it
    /// keeps itself, or that of a task before it whose results reach it over local edges.
    pub pins_state: Option<&'static str>,
    /// Why feeders may not fold records of a key for it, if they may not.
    pub unmergeable: Option<&'static str>,
    /// Why it cannot have more instances or fewer while the job runs, if it cannot.
    pub bound: Option<&'static str>,
}

/// The tasks of a job and the edges between them.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// Tasks; one that the API made stands behind all tasks that feed it.
    pub tasks: Vec<TaskNode>,
    /// Edges between them.
    pub edges: Vec<Edge>,
    /// Streams that were begun and lead nowhere, by name.
    pub dangling: Vec<String>,
}

/// The longest name that may be given to a task, in bytes.
const NAME_BYTES_MAX: usize = 128;

impl Graph {
    /// Everything that is wrong with the graph; empty if it can run.
    pub fn problems(&self) -> Vec<Error> {
        let mut problems = Vec::new();
        if self.tasks.is_empty() {
            problems.push(invalid("the pipeline is empty; it needs a source and a sink".into()));
        }
        for name in &self.dangling {
            problems.push(invalid(format!(
                "stream `{}` leads to no sink; every stream ends in one",
                name.escape_debug()
            )));
        }
        self.check_names(&mut problems);
        self.check_targets(&mut problems);
        match self.cycle() {
            Some(cycle) => problems.push(invalid(format!(
                "the pipeline has a cycle: {}; a pipeline flows one way",
                cycle.join(" -> ")
            ))),
            None => self.check_ends(&mut problems),
        }
        problems
    }

    fn check_names(&self, problems: &mut Vec<Error>) {
        let mut seen = BTreeMap::new();
        for (index, task) in self.tasks.iter().enumerate() {
            let Some(name) = &task.given_name else { continue };
            let shown: String = name.escape_debug().take(80).collect();
            if name.is_empty() || name.len() > NAME_BYTES_MAX {
                problems.push(invalid(format!(
                    "task name `{shown}` has {} bytes; 1..={NAME_BYTES_MAX} are allowed",
                    name.len()
                )));
            }
            if !name.chars().all(|c| c.is_alphanumeric() || " _-.:".contains(c))
                || name.contains("..")
            {
                problems.push(invalid(format!(
                    "task name `{shown}`; letters, digits, spaces and `_-.:` are allowed, `..` not"
                )));
            }
            if let Some(first) = seen.insert(name, index) {
                problems.push(invalid(format!(
                    "task name `{shown}` is given to tasks {first} and {index}; each has its own"
                )));
            }
        }
    }

    fn check_targets(&self, problems: &mut Vec<Error>) {
        let mut seen = BTreeMap::new();
        for task in &self.tasks {
            let Some(target) = &task.target else { continue };
            if let Some(first) = seen.insert(target, &task.name) {
                problems.push(invalid(format!(
                    "sinks of `{first}` and `{}` both write to {}; each needs a target of its own",
                    task.name,
                    target.escape_debug()
                )));
            }
        }
    }

    /// Tasks that emit only at the end of an input that never ends.
    fn check_ends(&self, problems: &mut Vec<Error>) {
        for (index, task) in self.tasks.iter().enumerate() {
            if !task.emits_at_end {
                continue;
            }
            if let Some(source) = self.upstream(index).find(|up| self.tasks[*up].is_unbounded) {
                problems.push(invalid(format!(
                    "`{}` emits at the end of its input, but source `{}` never ends; \
                     choose EmitAt::EachRecord or EmitAt::Every",
                    task.name, self.tasks[source].name
                )));
            }
        }
    }

    /// For each task whether it is on the partition of a source, over local edges in any direction.
    pub(crate) fn rooted(&self) -> Vec<bool> {
        let mut rooted: Vec<bool> = self.tasks.iter().map(|task| task.inputs.is_empty()).collect();
        let local: Vec<&Edge> =
            self.edges.iter().filter(|edge| edge.kind == EdgeKind::Local).collect();
        while let Some(edge) = local.iter().find(|edge| rooted[edge.from] != rooted[edge.to]) {
            (rooted[edge.from], rooted[edge.to]) = (true, true);
        }
        rooted
    }

    /// The task and all tasks that feed it, directly or not. The graph has no cycle.
    pub(crate) fn upstream(&self, index: usize) -> impl Iterator<Item = usize> {
        let mut reached = vec![index];
        let mut next = 0;
        while next < reached.len() {
            for edge in &self.tasks[reached[next]].inputs {
                let from = self.edges[*edge].from;
                if !reached.contains(&from) {
                    reached.push(from);
                }
            }
            next += 1;
        }
        reached.into_iter()
    }

    /// The names along a cycle, the first one again at the end, if there is a cycle.
    fn cycle(&self) -> Option<Vec<String>> {
        let mut unread: Vec<usize> = self.tasks.iter().map(|task| task.inputs.len()).collect();
        let mut ready: Vec<usize> = (0..self.tasks.len()).filter(|i| unread[*i] == 0).collect();
        while let Some(task) = ready.pop() {
            for edge in &self.tasks[task].outputs {
                let to = self.edges[*edge].to;
                // A dangling stream has no reader.
                let Some(unread) = unread.get_mut(to) else { continue };
                *unread -= 1;
                if *unread == 0 {
                    ready.push(to);
                }
            }
        }
        // Every task left has an input from a task left: walk back until one comes again.
        let mut at = (0..self.tasks.len()).find(|task| unread[*task] > 0)?;
        let mut path = vec![at];
        loop {
            let inputs = &self.tasks[at].inputs;
            let from = inputs.iter().map(|edge| self.edges[*edge].from).find(|f| unread[*f] > 0);
            at = from.expect("a task is left only if one that feeds it is");
            if let Some(start) = path.iter().position(|task| *task == at) {
                path.push(at);
                let cycle = path[start..].iter().rev();
                return Some(cycle.map(|task| self.tasks[*task].name.clone()).collect());
            }
            path.push(at);
        }
    }
}

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, task) in self.tasks.iter().enumerate() {
            write!(f, "{index} {}", task.name)?;
            for edge in &task.outputs {
                let edge = self.edges[*edge];
                let arrow = match edge.kind {
                    EdgeKind::Local => "->",
                    EdgeKind::Exchange => "=>",
                };
                match edge.to {
                    usize::MAX => write!(f, " {arrow} nowhere")?,
                    to => write!(f, " {arrow} {to}")?,
                }
            }
            writeln!(f)?;
            for note in &task.notes {
                writeln!(f, "    {note}")?;
            }
            if let Some(why) = self.why_unmovable(index) {
                writeln!(f, "    its keys do not move between partitions: {why}")?;
            }
        }
        Ok(())
    }
}

fn invalid(text: String) -> Error {
    Error::new(ErrorKind::InvalidConfig, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(tasks: usize, edges: &[(usize, usize)]) -> Graph {
        let mut graph = Graph {
            tasks: (0..tasks)
                .map(|index| TaskNode { name: format!("t{index}"), ..TaskNode::default() })
                .collect(),
            ..Graph::default()
        };
        for (index, (from, to)) in edges.iter().enumerate() {
            graph.edges.push(Edge { from: *from, to: *to, kind: EdgeKind::Local });
            graph.tasks[*from].outputs.push(index);
            graph.tasks[*to].inputs.push(index);
        }
        graph
    }

    fn texts(graph: &Graph) -> Vec<String> {
        graph.problems().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn diamond_is_fine() {
        assert!(texts(&graph(4, &[(0, 1), (0, 2), (1, 3), (2, 3)])).is_empty());
    }

    #[test]
    fn cycle_is_printed_along_its_edges() {
        let problems = texts(&graph(4, &[(0, 1), (1, 2), (2, 3), (3, 1)]));
        assert_eq!(problems.len(), 1, "{problems:?}");
        let path = problems[0].split(": ").nth(1).and_then(|rest| rest.split(';').next());
        let names: Vec<&str> = path.expect("a path is printed").split(" -> ").collect();
        assert_eq!(names.len(), 4, "{problems:?}");
        for pair in names.windows(2) {
            let index = |name: &str| name[1..].parse::<usize>().expect("tN");
            let (from, to) = (index(pair[0]), index(pair[1]));
            assert!([(1, 2), (2, 3), (3, 1)].contains(&(from, to)), "{problems:?}");
        }
    }

    #[test]
    fn bad_names_are_all_told() {
        for (name, word) in [
            ("", "0 bytes"),
            (&"x".repeat(300)[..], "300 bytes"),
            ("../x", "allowed"),
            ("bell\u{7}", "\\u{7}"),
        ] {
            let mut graph = graph(1, &[]);
            graph.tasks[0].given_name = Some(name.to_owned());
            let problems = texts(&graph);
            assert!(problems.iter().any(|p| p.contains(word)), "{name:?}: {problems:?}");
        }
        let mut graph = graph(2, &[]);
        graph.tasks[0].given_name = Some("twice".to_owned());
        graph.tasks[1].given_name = Some("twice".to_owned());
        assert!(texts(&graph)[0].contains("given to tasks 0 and 1"));
    }

    #[test]
    fn two_sinks_of_one_target_and_dangling_streams_are_told_together() {
        let mut graph = graph(2, &[]);
        for task in &mut graph.tasks {
            task.target = Some("out.txt".to_owned());
        }
        graph.dangling.push("map".to_owned());
        let problems = texts(&graph);
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].contains("`map` leads to no sink"));
        assert!(problems[1].contains("out.txt"));
    }

    #[test]
    fn edge_without_a_reader_is_no_cycle_and_leads_nowhere() {
        let mut graph = graph(2, &[(0, 1)]);
        graph.edges.push(Edge { from: 1, to: usize::MAX, kind: EdgeKind::Exchange });
        graph.tasks[1].outputs.push(1);
        assert!(texts(&graph).is_empty());
        assert_eq!(graph.to_string(), "0 t0 -> 1\n1 t1 => nowhere\n");
    }

    #[test]
    fn end_of_an_endless_source_is_refused() {
        let mut graph = graph(3, &[(0, 1), (1, 2)]);
        graph.tasks[0].is_unbounded = true;
        graph.tasks[2].emits_at_end = true;
        assert!(texts(&graph)[0].contains("never ends"), "{:?}", texts(&graph));
    }

    #[test]
    fn empty_pipeline_is_refused() {
        assert!(texts(&Graph::default())[0].contains("empty"));
    }
}
