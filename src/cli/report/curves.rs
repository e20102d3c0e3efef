//! The distributions of a run, as curves.

use serde::Serialize;

use crate::metrics::{Histogram, Registry, TaskMetrics};
use crate::time::Nanos;

/// How long something took.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Curve {
    name: &'static str,
    /// From when to when, and of what.
    about: &'static str,
    /// How many there were.
    count: u64,
    /// `(n, ns)`: one of `n` took longer than `ns`.
    points: Vec<(f64, Nanos)>,
}

impl Curve {
    /// The curve of `seen`; `None` if it is empty.
    pub(super) fn of(name: &'static str, about: &'static str, seen: &Histogram) -> Option<Curve> {
        (seen.count() > 0).then(|| Curve { name, about, count: seen.count(), points: seen.curve() })
    }

    /// End to end, as the workload takes it.
    pub(super) fn measured(seen: &Histogram) -> Option<Curve> {
        Curve::of("latency", "from when a record was due to its result, after the warm-up", seen)
    }

    /// What it is of.
    pub(super) fn name(&self) -> &'static str {
        self.name
    }
}

/// The curves of all that partitions have published, those that have values.
pub(super) fn published(registry: &Registry) -> Vec<Curve> {
    registry.read(|partitions| {
        let tasks = || partitions.iter().flatten().flat_map(|one| one.tasks());
        let of_shape = || {
            let shapes = &registry.shape().tasks;
            partitions.iter().flatten().flat_map(move |one| one.tasks().iter().zip(shapes))
        };
        let waits = of_shape().flat_map(|(task, shape)| {
            (0..shape.inputs.len()).filter_map(|input| task.queue_waits(input))
        });
        let all = [
            Curve::of(
                "latency",
                "from a record's intake to its sink",
                &merged(tasks().filter_map(TaskMetrics::latencies)),
            ),
            Curve::of("queue wait", "of a batch in a lane", &merged(waits)),
            Curve::of(
                "service",
                "of a task's step",
                &merged(tasks().filter_map(TaskMetrics::service)),
            ),
            Curve::of(
                "stall",
                "of a task on a full output",
                &merged(tasks().filter_map(TaskMetrics::stall)),
            ),
        ];
        all.into_iter().flatten().collect()
    })
}

fn merged<'a>(histograms: impl Iterator<Item = &'a Histogram>) -> Histogram {
    let mut whole = Histogram::new();
    histograms.for_each(|one| whole.merge(one));
    whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Blocked, Detail, JobShape, TaskShape};

    fn shape() -> JobShape {
        JobShape {
            tasks: vec![
                TaskShape { name: "source".into(), inputs: vec![], outputs: vec![0] },
                TaskShape { name: "sink".into(), inputs: vec![0], outputs: vec![] },
            ],
            edges: vec!["source -> sink".into()],
        }
    }

    #[test]
    fn every_distribution_of_all_partitions_has_its_curve() {
        let registry = Registry::new(shape(), 2, Detail::Full);
        for partition in 0..2 {
            let mut metrics = registry.open(partition as usize);
            metrics.task(0).step(10, 10, 300);
            metrics.task(0).blocked(Blocked::Output(0), 1_000);
            metrics.task(0).unblocked(1_500);
            metrics.task(1).queue_wait(0, 1_000, 1_200);
            metrics.task(1).latency(1_000, 2_000 + partition, 10);
            metrics.finish(2_000);
        }
        let curves = published(&registry);
        let counts: Vec<_> = curves.iter().map(|curve| (curve.name(), curve.count)).collect();
        assert_eq!(counts, [("latency", 20), ("queue wait", 2), ("service", 2), ("stall", 2)]);
        assert_eq!(curves[0].points.last(), Some(&(20.0, 1_001)));
    }

    #[test]
    fn without_histograms_there_are_no_curves() {
        let registry = Registry::new(shape(), 1, Detail::Counters);
        let mut metrics = registry.open(0);
        metrics.task(0).step(10, 10, 300);
        metrics.finish(2_000);
        assert_eq!(published(&registry), []);
    }
}
