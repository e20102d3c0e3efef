//! The report of a run: what every partition counted, merged.

use serde::Serialize;

use crate::metrics::registry::PartitionReadings;
use crate::metrics::{
    Conservation, Histogram, HotKey, InstanceLoad, JobShape, MovesReport, Percentiles, Tally,
    TaskLoad, TaskMetrics, TaskShape, culprit,
};

/// What the engine knows about a run that no partition counts.
#[derive(Clone, Debug, Default)]
pub struct RunFacts {
    /// From the start of the sources to the end of the last sink, in seconds.
    pub seconds: f64,
    /// The core of each partition; `None` where it is not pinned.
    pub cores: Vec<Option<usize>>,
    /// Records that did not parse, or that an operator gave up.
    pub dead_letter: u64,
    /// What did not go as asked: a core that could not be pinned, more partitions than cores.
    pub warnings: Vec<String>,
    /// Moves of keyed state.
    pub moves: MovesReport,
    /// The hottest keys, each with the index of its task; any order.
    pub hot_keys: Vec<(usize, HotKey)>,
}

/// What a run did. Durations are in nanoseconds, shares between 0 and 1.
///
/// It prints as an aligned table. Distributions are merged over partitions and tasks; those of one
/// task or edge stand in `tasks` and `edges`. With metrics off they are empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// Records that the sources let in.
    pub records: u64,
    /// How long the run took, in seconds.
    pub seconds: f64,
    /// `records / seconds`.
    pub records_per_second: f64,
    /// Whether every partition ran on a core of its own.
    pub pinned: bool,
    /// One entry per partition, in order.
    pub partitions: Vec<PartitionReport>,
    /// One entry per task, in the order of the graph.
    pub tasks: Vec<TaskReport>,
    /// One entry per edge between tasks.
    pub edges: Vec<EdgeReport>,
    /// From intake at a source to the end of the sink's call, per record.
    pub latency_ns: Percentiles,
    /// In a lane or local edge, per batch.
    pub queue_wait_ns: Percentiles,
    /// In a task's step, per step.
    pub service_ns: Percentiles,
    /// Blocked on a full output, per stall.
    pub stall_ns: Percentiles,
    /// The task that back-pressure comes from, if there was any.
    pub back_pressure: Option<String>,
    /// The key that this task is slow for, if it is one key.
    pub back_pressure_key: Option<String>,
    /// Moves of keyed state between partitions.
    pub moves: MovesReport,
    /// Records that did not parse, or that an operator gave up.
    pub dead_letter: u64,
    /// Records that came after their window was closed.
    pub late: u64,
    /// Records too far ahead of the clock to move event time.
    pub future_skew: u64,
    /// Timers of processing time that were still to come when the input was over.
    pub dropped_timers: u64,
    /// Whether what came in went out again, task by task and edge by edge.
    pub conservation: Conservation,
    /// Durations that were negative or longer than 1,000 s.
    pub overflow_total: u64,
    /// Memory of the partitions' own counters and histograms, in bytes.
    pub metrics_bytes: usize,
    /// What did not go as asked.
    pub warnings: Vec<String>,
}

/// One partition; `busy + idle + stalled = 1`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PartitionReport {
    /// The core it was pinned to.
    pub core: Option<usize>,
    /// Records that its sources let in; they sum to the report's `records`.
    pub records: u64,
    /// Records that its tasks took in, sources included: its share of the work.
    pub records_processed: u64,
    /// Share of time in which a task moved records.
    pub busy: f64,
    /// Share of time without work.
    pub idle: f64,
    /// Share of time with work that a full output held up.
    pub stalled: f64,
    /// How often the operating system took the core away.
    pub involuntary_switches: u64,
    /// How often its thread changed the core.
    pub migrations: u64,
}

/// One task, over all partitions.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TaskReport {
    /// Its operators, fused.
    pub name: String,
    /// Records taken in; for a source, records read.
    pub records_in: u64,
    /// Records given on; for a sink, records written.
    pub records_out: u64,
    /// What its operators have counted.
    pub tally: Tally,
    /// Steps that moved something.
    pub batches: u64,
    /// Share of the partitions' time spent in it.
    pub busy: f64,
    /// Share of the partitions' time that it was blocked.
    pub stalled: f64,
    /// Time per step.
    pub service_ns: Percentiles,
    /// Time per stall.
    pub stall_ns: Percentiles,
    /// End-to-end latency per record; empty if it is no sink.
    pub latency_ns: Percentiles,
}

/// One edge, over all partitions.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct EdgeReport {
    /// From which task to which.
    pub name: String,
    /// Time per batch from the push to the pop.
    pub queue_wait_ns: Percentiles,
    /// Share of the partitions' time that a producer was blocked because it was full.
    pub full: f64,
}

/// What a partition published, if anything.
pub(super) type Slot = Option<Box<PartitionReadings>>;

impl Report {
    /// Merges what the partitions published; `None` is one that published nothing.
    pub(crate) fn new(shape: &JobShape, partitions: &[Slot], facts: RunFacts) -> Report {
        let total_ns: u64 = partitions.iter().flatten().map(|one| one.time().total_ns()).sum();
        let share = |ns: u64| if total_ns == 0 { 0.0 } else { ns as f64 / total_ns as f64 };
        let tasks = merge_tasks(shape, partitions, share);
        let edges = merge_edges(shape, partitions, share);
        let culprit = culprit(&task_loads(shape, partitions, &facts.hot_keys));
        let merged_partitions = merge_partitions(shape, partitions, &facts.cores);
        let tally: Tally = tasks.iter().map(|task| task.tally).sum();
        let records = merged_partitions.iter().map(|one| one.records).sum();
        let all = || partitions.iter().flatten().flat_map(|one| one.tasks());
        let queue_waits = shape.tasks.iter().enumerate().flat_map(|(task, shape)| {
            let inputs = 0..shape.inputs.len();
            inputs.flat_map(move |input| of_task(partitions, task).map(move |one| (one, input)))
        });
        Report {
            records,
            seconds: facts.seconds,
            records_per_second: if facts.seconds > 0.0 {
                records as f64 / facts.seconds
            } else {
                0.0
            },
            pinned: !facts.cores.is_empty() && facts.cores.iter().all(Option::is_some),
            latency_ns: merged(all().filter_map(TaskMetrics::latencies)),
            queue_wait_ns: merged(queue_waits.filter_map(|(task, input)| task.queue_waits(input))),
            service_ns: merged(all().filter_map(TaskMetrics::service)),
            stall_ns: merged(all().filter_map(TaskMetrics::stall)),
            back_pressure: culprit.as_ref().map(|culprit| culprit.task.clone()),
            back_pressure_key: culprit.and_then(|culprit| culprit.key),
            moves: facts.moves,
            dead_letter: facts.dead_letter,
            late: tally.late,
            future_skew: tally.future_skew,
            dropped_timers: tally.dropped_timers,
            conservation: Conservation::of(shape, partitions),
            overflow_total: all().map(TaskMetrics::overflow).sum(),
            metrics_bytes: partitions.iter().flatten().map(|one| one.size_bytes()).sum(),
            partitions: merged_partitions,
            tasks,
            edges,
            warnings: warnings(facts.warnings, tally),
        }
    }

    /// The report as JSON, with the field names of this type.
    #[cfg(feature = "json")]
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self).expect("a report has string keys and finite numbers only")
    }
}

/// What did not go as asked, and what the figures make one suspect.
fn warnings(mut warnings: Vec<String>, tally: Tally) -> Vec<String> {
    if tally.odd_units > 0 {
        let text = "event times look like seconds, microseconds or nanoseconds; \
                    assign_timestamps wants milliseconds";
        warnings.push(text.to_owned());
    }
    warnings
}

/// The instances of one task.
pub(super) fn of_task(partitions: &[Slot], task: usize) -> impl Iterator<Item = &TaskMetrics> {
    partitions.iter().flatten().map(move |one| &one.tasks()[task])
}

fn merged<'a>(histograms: impl Iterator<Item = &'a Histogram>) -> Percentiles {
    let mut histograms = histograms.filter(|one| one.count() > 0);
    let Some(first) = histograms.next() else { return Percentiles::default() };
    let mut whole = first.clone();
    histograms.for_each(|one| whole.merge(one));
    whole.percentiles()
}

fn merge_partitions(
    shape: &JobShape,
    partitions: &[Slot],
    cores: &[Option<usize>],
) -> Vec<PartitionReport> {
    let one = |(index, slot): (usize, &Slot)| {
        let core = cores.get(index).copied().flatten();
        let Some(readings) = slot else {
            return PartitionReport { core, idle: 1.0, ..PartitionReport::default() };
        };
        let [busy, idle, stalled] = readings.time().shares();
        let tasks = || readings.tasks().iter().zip(&shape.tasks);
        let sources = tasks().filter(|(_, shape)| shape.inputs.is_empty());
        PartitionReport {
            core,
            records: sources.map(|(task, _)| task.records_in()).sum(),
            records_processed: tasks().map(|(task, _)| task.records_in()).sum(),
            busy,
            idle,
            stalled,
            involuntary_switches: readings.involuntary_switches(),
            migrations: readings.migrations(),
        }
    };
    partitions.iter().enumerate().map(one).collect()
}

fn merge_tasks(
    shape: &JobShape,
    partitions: &[Slot],
    share: impl Fn(u64) -> f64,
) -> Vec<TaskReport> {
    let one = |(index, task): (usize, &TaskShape)| {
        let all = || of_task(partitions, index);
        TaskReport {
            name: task.name.clone(),
            records_in: all().map(TaskMetrics::records_in).sum(),
            records_out: all().map(TaskMetrics::records_out).sum(),
            tally: all().map(TaskMetrics::tally).sum(),
            batches: all().map(TaskMetrics::batches).sum(),
            busy: share(all().map(TaskMetrics::busy_ns).sum()),
            stalled: share(all().map(TaskMetrics::stalled_ns).sum()),
            service_ns: merged(all().filter_map(TaskMetrics::service)),
            stall_ns: merged(all().filter_map(TaskMetrics::stall)),
            latency_ns: merged(all().filter_map(TaskMetrics::latencies)),
        }
    };
    shape.tasks.iter().enumerate().map(one).collect()
}

fn merge_edges(
    shape: &JobShape,
    partitions: &[Slot],
    share: impl Fn(u64) -> f64,
) -> Vec<EdgeReport> {
    let mut edges: Vec<EdgeReport> = shape
        .edges
        .iter()
        .map(|name| EdgeReport { name: name.clone(), ..EdgeReport::default() })
        .collect();
    for (index, task) in shape.tasks.iter().enumerate() {
        let all = || of_task(partitions, index);
        for (input, &edge) in task.inputs.iter().enumerate() {
            edges[edge].queue_wait_ns = merged(all().filter_map(|task| task.queue_waits(input)));
        }
        for (output, &edge) in task.outputs.iter().enumerate() {
            edges[edge].full += share(all().map(|task| task.blocked_ns(output)).sum());
        }
    }
    edges
}

fn task_loads(
    shape: &JobShape,
    partitions: &[Slot],
    hot_keys: &[(usize, HotKey)],
) -> Vec<TaskLoad> {
    let full = edges_full(shape, partitions);
    let load = |own: &TaskMetrics, total_ns: f64| InstanceLoad {
        busy: own.busy_ns() as f64 / total_ns,
        output_full: (own.stalled_ns() - own.outside_ns()) as f64 / total_ns,
        outside: own.outside_ns() as f64 / total_ns,
    };
    let one = |(index, task): (usize, &TaskShape)| TaskLoad {
        name: task.name.clone(),
        // By partition: one that has published nothing has done nothing.
        instances: partitions
            .iter()
            .map(|slot| slot.as_ref().map(|one| load(&one.tasks()[index], total_ns(one))))
            .map(Option::unwrap_or_default)
            .collect(),
        feeders: feeders(shape, task),
        input_full: task.inputs.iter().map(|&edge| full[edge]).fold(0.0, f64::max),
        keys: hot_keys.iter().filter(|(of, _)| *of == index).map(|(_, key)| key.clone()).collect(),
    };
    shape.tasks.iter().enumerate().map(one).collect()
}

fn feeders(shape: &JobShape, task: &TaskShape) -> Vec<usize> {
    let feeds = |other: &TaskShape| other.outputs.iter().any(|edge| task.inputs.contains(edge));
    (0..shape.tasks.len()).filter(|&other| feeds(&shape.tasks[other])).collect()
}

/// For each edge, the largest share of its partition's time that a producer was blocked on it.
fn edges_full(shape: &JobShape, partitions: &[Slot]) -> Vec<f64> {
    let mut full = vec![0.0f64; shape.edges.len()];
    for partition in partitions.iter().flatten() {
        for (own, task) in partition.tasks().iter().zip(&shape.tasks) {
            for (output, &edge) in task.outputs.iter().enumerate() {
                full[edge] = full[edge].max(own.blocked_ns(output) as f64 / total_ns(partition));
            }
        }
    }
    full
}

/// The time that a partition has accounted for, not 0.
fn total_ns(partition: &PartitionReadings) -> f64 {
    partition.time().total_ns().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Activity, Blocked, Detail, Registry};

    fn two_partitions() -> Report {
        let shape = JobShape {
            tasks: vec![
                TaskShape { name: "source, map".into(), inputs: vec![], outputs: vec![0] },
                TaskShape { name: "count, sink".into(), inputs: vec![0], outputs: vec![] },
            ],
            edges: vec!["map -> count".into()],
        };
        let registry = Registry::new(shape, 2, Detail::Full);
        for partition in 0..2u64 {
            let mut metrics = registry.open(partition as usize);
            metrics.account(Activity::Idle, 1_000);
            metrics.task(0).step(100, 90, 300);
            metrics.task(0).blocked(Blocked::Output(0), 1_200);
            metrics.task(0).unblocked(1_800);
            metrics.task(1).queue_wait(0, 1_300, 1_700 + partition * 100);
            metrics.task(1).step(90, 9, 700);
            metrics.task(1).latency(1_000, 2_000, 90);
            metrics.account(Activity::Busy, 1_800);
            metrics.account(Activity::Stalled, 1_900);
            metrics.account(Activity::Idle, 2_000);
            metrics.set_scheduling(3, 1);
            metrics.finish(2_000);
        }
        registry.report(RunFacts {
            seconds: 2.0,
            cores: vec![Some(2), Some(3)],
            moves: MovesReport::default(),
            dead_letter: 4,
            warnings: vec!["the clock is slow".into()],
            hot_keys: Vec::new(),
        })
    }

    #[test]
    fn partitions_are_merged_and_shares_sum_to_one() {
        let report = two_partitions();
        assert_eq!((report.records, report.records_per_second), (200, 100.0));
        assert!(report.pinned);
        for (partition, core) in report.partitions.iter().zip([2, 3]) {
            assert_eq!(partition.core, Some(core));
            assert_eq!((partition.records, partition.records_processed), (100, 190));
            let sum = partition.busy + partition.idle + partition.stalled;
            assert!((sum - 1.0).abs() < 1e-9, "{sum}");
            assert_eq!(partition.busy, 0.8);
            assert_eq!((partition.involuntary_switches, partition.migrations), (3, 1));
        }
        assert_eq!((report.latency_ns.count, report.latency_ns.max), (180, 1_000));
        assert_eq!((report.queue_wait_ns.count, report.queue_wait_ns.max), (2, 500));
        assert_eq!((report.service_ns.count, report.service_ns.max), (4, 700));
        assert_eq!((report.stall_ns.count, report.stall_ns.max), (2, 600));
        assert_eq!((report.dead_letter, report.overflow_total), (4, 0));
    }

    #[test]
    fn tasks_and_edges_have_their_own_figures_and_the_culprit_is_named() {
        let report = two_partitions();
        let [source, count] = &report.tasks[..] else { panic!("two tasks") };
        assert_eq!((source.records_in, source.records_out, source.batches), (200, 180, 2));
        assert_eq!((source.busy, source.stalled), (0.3, 0.6));
        assert_eq!((count.busy, count.stalled, count.latency_ns.count), (0.7, 0.0, 180));
        assert_eq!((report.edges[0].full, report.edges[0].queue_wait_ns.count), (0.6, 2));
        assert_eq!(report.back_pressure.as_deref(), Some("count, sink"));
    }

    #[test]
    fn a_partition_that_published_nothing_is_idle() {
        let registry = Registry::new(JobShape::default(), 1, Detail::Full);
        let report = registry.report(RunFacts::default());
        assert_eq!(report.partitions[0].idle, 1.0);
        assert_eq!((report.records, report.records_per_second, report.pinned), (0, 0.0, false));
    }

    #[test]
    fn it_prints_as_a_table_with_every_partition_task_and_warning() {
        let text = two_partitions().to_string();
        for wanted in [
            "200 records in 2.000 s: 100.0 records/s",
            "count, sink",
            "map -> count",
            "80.0 %",
            "the clock is slow",
            "4 dead letters",
            "back-pressure comes from `count, sink`",
        ] {
            assert!(text.contains(wanted), "{wanted:?} is missing in\n{text}");
        }
        assert!(text.lines().all(|line| line == line.trim_end()), "no trailing blanks\n{text}");
    }

    #[cfg(feature = "json")]
    #[test]
    fn json_has_the_fields_that_scripts_read() {
        let json = two_partitions().to_json();
        assert_eq!(json["partitions"][1]["core"], 3);
        assert_eq!(json["partitions"][0]["involuntary_switches"], 3);
        for field in ["latency_ns", "queue_wait_ns", "service_ns", "stall_ns"] {
            for figure in ["p50", "p90", "p99", "p999", "max", "count"] {
                assert!(json[field][figure].is_u64(), "{field}.{figure}");
            }
        }
        for field in ["records", "seconds", "records_per_second", "dead_letter", "late"] {
            assert!(json[field].is_number(), "{field}");
        }
    }
}
