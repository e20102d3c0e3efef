//! Stages: a task that keeps state by key, and all tasks behind it over local edges. What leaves
//! one goes over exchanges, or into sinks.

use std::sync::Arc;

use crate::dataflow::graph::{EdgeKind, Graph};
use crate::hand_over::{Place, Stage};

impl Graph {
    /// For each task the stages that it is in: index of the domain, and how many of its inputs come
    /// from there. None of them do at the task that keeps the state.
    fn stages(&self) -> Vec<Vec<(usize, usize)>> {
        let mut stages: Vec<Vec<(usize, usize)>> = Vec::new();
        for (index, task) in self.tasks.iter().enumerate() {
            let mut own: Vec<_> = task.domain.map(|domain| (domain, 0)).into_iter().collect();
            let edges = task.inputs.iter().map(|edge| self.edges[*edge]);
            // In a graph that can run each task stands behind those that feed it.
            let local = edges.filter(|edge| edge.kind == EdgeKind::Local && edge.from < index);
            for (domain, _) in local.flat_map(|edge| stages[edge.from].clone()) {
                match own.iter_mut().find(|(known, _)| *known == domain) {
                    Some((_, inputs)) => *inputs += 1,
                    None => own.push((domain, 1)),
                }
            }
            stages.push(own);
        }
        stages
    }

    /// Why the state by key of the task with this index stays on its partition, if it does.
    pub(crate) fn why_unmovable(&self, index: usize) -> Option<&'static str> {
        let domain = self.tasks[index].domain?;
        let stages = self.stages();
        let is_inside = |task: &usize| stages[*task].iter().any(|(known, _)| *known == domain);
        (0..stages.len()).filter(is_inside).find_map(|task| self.tasks[task].pins_state)
    }

    /// Whether something leaves the task's stage out of it.
    fn is_exit(&self, index: usize) -> bool {
        let outputs = &self.tasks[index].outputs;
        let is_local = |edge: &usize| self.edges[*edge].kind == EdgeKind::Local;
        outputs.is_empty() || !outputs.iter().all(is_local)
    }
}

/// The stages of a job, as its tasks pass marks through them; those of several tasks only.
pub(crate) struct Stages {
    /// By task, as [`Graph::stages`] has them, and whether it is an exit.
    tasks: Vec<(Vec<(usize, usize)>, bool)>,
    /// By domain, then by instance.
    running: Vec<Vec<Arc<Stage>>>,
}

impl Stages {
    /// Those of `graph`, with so many instances of each task at most.
    pub(crate) fn of(graph: &Graph, instances: usize) -> Stages {
        let places = graph.stages();
        let domains = graph.tasks.iter().filter_map(|task| task.domain).max();
        let mut exits = vec![0; domains.map_or(0, |last| last + 1)];
        for (task, places) in places.iter().enumerate() {
            for (domain, _) in places.iter().filter(|(_, inputs)| *inputs > 0) {
                exits[*domain] += usize::from(graph.is_exit(task));
            }
        }
        let instances_of = |exits: &usize| {
            let exits = *exits;
            (0..instances).map(|_| Arc::new(Stage::new(exits))).collect()
        };
        let running = exits.iter().map(instances_of).collect();
        let has_exits = |(domain, _): &(usize, usize)| exits[*domain] > 0;
        let several = |(task, places): (usize, Vec<(usize, usize)>)| {
            (places.into_iter().filter(has_exits).collect(), graph.is_exit(task))
        };
        Stages { tasks: places.into_iter().enumerate().map(several).collect(), running }
    }

    /// The places of one instance of a task.
    pub(crate) fn places(&self, task: usize, instance: usize) -> Vec<Place> {
        let (places, is_exit) = &self.tasks[task];
        let place = |(domain, inputs): &(usize, usize)| Place {
            domain: *domain,
            inputs: *inputs,
            is_exit: *is_exit,
            stage: Arc::clone(&self.running[*domain][instance]),
        };
        places.iter().map(place).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataflow::graph::{Edge, TaskNode};

    /// Tasks by their domains, and edges from one to another: local ones, and then exchanges.
    fn graph(
        domains: &[Option<usize>],
        local: &[(usize, usize)],
        exchanges: &[(usize, usize)],
    ) -> Graph {
        let node = |domain: &Option<usize>| TaskNode { domain: *domain, ..TaskNode::default() };
        let mut graph = Graph { tasks: domains.iter().map(node).collect(), ..Graph::default() };
        let kinds = [(EdgeKind::Local, local), (EdgeKind::Exchange, exchanges)];
        for (kind, edges) in kinds {
            for (from, to) in edges {
                let index = graph.edges.len();
                graph.edges.push(Edge { from: *from, to: *to, kind });
                graph.tasks[*from].outputs.push(index);
                graph.tasks[*to].inputs.push(index);
            }
        }
        graph
    }

    /// (domain, inputs, whether it is an exit) of a task's places.
    fn places(graph: &Graph, task: usize) -> Vec<(usize, usize, bool)> {
        let places = Stages::of(graph, 1).places(task, 0);
        places.iter().map(|place| (place.domain, place.inputs, place.is_exit)).collect()
    }

    /// 0 is keyed, 1 and 2 are its copies, 3 is a source, 4 the union of all, 5 is keyed behind it.
    fn forked() -> Graph {
        let domains = [Some(0), None, None, None, None, Some(1)];
        graph(&domains, &[(0, 1), (0, 2), (3, 4), (1, 4), (2, 4)], &[(4, 5)])
    }

    #[test]
    fn union_counts_its_branches_but_not_what_comes_from_outside() {
        let graph = forked();
        assert_eq!(places(&graph, 0), [(0, 0, false)]);
        assert_eq!(places(&graph, 1), [(0, 1, false)]);
        assert_eq!(places(&graph, 3), [], "a source beside");
        assert_eq!(places(&graph, 4), [(0, 2, true)]);
        assert_eq!(places(&graph, 5), [], "a stage of one task needs nobody to pass marks on");
    }

    #[test]
    fn task_behind_two_keyed_ones_is_in_both_stages() {
        let domains = [Some(0), Some(1), None, None];
        let graph = graph(&domains, &[(0, 2), (1, 2), (2, 3)], &[]);
        assert_eq!(places(&graph, 2), [(0, 1, false), (1, 1, false)]);
        assert_eq!(places(&graph, 3), [(0, 1, true), (1, 1, true)], "a sink is an exit");
    }

    #[test]
    fn instances_of_a_task_are_in_stages_of_their_own() {
        let stages = Stages::of(&forked(), 2);
        let stage = |task, instance| Arc::clone(&stages.places(task, instance)[0].stage);
        assert!(Arc::ptr_eq(&stage(0, 1), &stage(4, 1)));
        assert!(!Arc::ptr_eq(&stage(0, 0), &stage(0, 1)));
    }

    #[test]
    fn state_stays_for_what_any_task_of_its_stage_says_and_for_nothing_behind_that() {
        let mut graph = forked();
        graph.tasks[5].pins_state = Some("it is said behind");
        assert_eq!([0, 5].map(|task| graph.why_unmovable(task)), [None, Some("it is said behind")]);
        graph.tasks[4].pins_state = Some("it is said inside");
        assert_eq!(graph.why_unmovable(0), Some("it is said inside"));
        assert_eq!(graph.why_unmovable(4), None, "it keeps nothing by key");
    }
}
