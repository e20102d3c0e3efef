//! Per partition what is counted there, and how it reaches a reader without a lock on its path.
//!
//! A partition copies its readings into a buffer and swaps that into a queue of one slot, pushing
//! out the copy that nobody took; a reader takes it and gives the one before back. Both queues are
//! lock-free. A copy is either published, with the readers, or on its way back, so three of them
//! are enough, and after the first publications nothing is allocated. A mutex with `try_lock` would
//! do with one copy, but would make the newest figures wait for a slow reader.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam_queue::ArrayQueue;

use crate::metrics::{Activity, JobShape, Report, RunFacts, TaskMetrics, TimeSplit};
use crate::time::Nanos;

/// Between two publications. 100 ms, since throughput is sampled at that pace; copying the
/// histograms that changed takes some 2 µs each.
const PUBLISH_INTERVAL_NS: Nanos = 100_000_000;

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Detail {
    /// Counters and histograms.
    #[default]
    Full,
    /// Counters only; every histogram call costs one branch.
    Counters,
}

/// Everything one partition has counted; also the form in which it is published.
#[derive(Clone, Debug)]
pub struct PartitionReadings {
    tasks: Vec<TaskMetrics>,
    time: TimeSplit,
    involuntary_switches: u64,
    migrations: u64,
}

impl PartitionReadings {
    fn new(shape: &JobShape, detail: Detail) -> PartitionReadings {
        let make = match detail {
            Detail::Full => TaskMetrics::with_histograms,
            Detail::Counters => TaskMetrics::counters,
        };
        PartitionReadings {
            tasks: shape.tasks.iter().map(make).collect(),
            time: TimeSplit::default(),
            involuntary_switches: 0,
            migrations: 0,
        }
    }

    /// The tasks, in the order of the [`JobShape`].
    pub fn tasks(&self) -> &[TaskMetrics] {
        &self.tasks
    }

    /// Busy, idle and stalled.
    pub fn time(&self) -> TimeSplit {
        self.time
    }

    /// How often the operating system took the core away.
    pub fn involuntary_switches(&self) -> u64 {
        self.involuntary_switches
    }

    /// How often the thread changed its core.
    pub fn migrations(&self) -> u64 {
        self.migrations
    }

    /// Bytes of memory, histograms included.
    pub fn size_bytes(&self) -> usize {
        size_of::<PartitionReadings>()
            + self.tasks.iter().map(TaskMetrics::size_bytes).sum::<usize>()
    }

    fn catch_up(&mut self, source: &PartitionReadings) {
        for (own, source) in self.tasks.iter_mut().zip(&source.tasks) {
            own.catch_up(source);
        }
        self.time = source.time;
        self.involuntary_switches = source.involuntary_switches;
        self.migrations = source.migrations;
    }
}

/// Where copies change hands between a partition and the readers.
#[derive(Debug)]
struct Exchange {
    published: ArrayQueue<Box<PartitionReadings>>,
    returned: ArrayQueue<Box<PartitionReadings>>,
}

/// The write end: one per partition, on its thread, in its memory.
#[derive(Debug)]
pub struct PartitionMetrics {
    live: Box<PartitionReadings>,
    exchange: Arc<Exchange>,
    spare: Option<Box<PartitionReadings>>,
    publish_at: Nanos,
}

impl PartitionMetrics {
    /// What the task with this index counts.
    #[inline]
    pub fn task(&mut self, index: usize) -> &mut TaskMetrics {
        &mut self.live.tasks[index]
    }

    /// Books the time since the previous call. Once a turn, with the turn's own clock reading.
    #[inline]
    pub fn account(&mut self, activity: Activity, now: Nanos) {
        self.live.time.account(activity, now);
    }

    /// Whether [`publish`](Self::publish) is due: ten times a second. One comparison.
    #[inline]
    pub fn is_due(&self, now: Nanos) -> bool {
        now >= self.publish_at
    }

    /// When [`publish`](Self::publish) is due: a partition that sleeps longer wakes up for it, or
    /// its last figures before the sleep would never be seen.
    pub fn due_at(&self) -> Nanos {
        self.publish_at
    }

    /// Sets what the operating system says about this thread since it started. Cheap to call just
    /// before [`publish`](Self::publish), too dear for every turn.
    pub fn set_scheduling(&mut self, involuntary_switches: u64, migrations: u64) {
        self.live.involuntary_switches = involuntary_switches;
        self.live.migrations = migrations;
    }

    /// Publishes a copy. Never blocks, and allocates only for the first copies.
    pub fn publish(&mut self, now: Nanos) {
        self.publish_at = now.saturating_add(PUBLISH_INTERVAL_NS);
        self.book_stalls(now);
        let buffer = self.spare.take().or_else(|| self.exchange.returned.pop());
        let copy = match buffer {
            Some(mut buffer) => {
                buffer.catch_up(&self.live);
                buffer
            }
            None => self.live.clone(),
        };
        self.spare = self.exchange.published.force_push(copy);
    }

    /// Publishes the last state, by moving it: nothing is copied. The partition has ended.
    pub fn finish(mut self, now: Nanos) {
        self.book_stalls(now);
        self.exchange.published.force_push(self.live);
    }

    /// What was counted so far, for a reader on the same thread.
    pub fn readings(&self) -> &PartitionReadings {
        &self.live
    }

    fn book_stalls(&mut self, now: Nanos) {
        for task in &mut self.live.tasks {
            task.book_stall(now);
        }
    }
}

/// The read end of a whole job. Shared by everybody who wants figures.
#[derive(Debug)]
pub struct Registry {
    shape: JobShape,
    detail: Detail,
    // Among readers, and partitions that begin: no partition takes this lock while it runs.
    rows: Mutex<Rows>,
}

/// Every partition that ever was, by index.
#[derive(Debug, Default)]
struct Rows {
    exchanges: Vec<Arc<Exchange>>,
    latest: Vec<Option<Box<PartitionReadings>>>,
}

impl Rows {
    fn grow(&mut self, partitions: usize) {
        let exchange =
            || Arc::new(Exchange { published: ArrayQueue::new(1), returned: ArrayQueue::new(1) });
        let count = partitions.max(self.latest.len());
        self.exchanges.resize_with(count, exchange);
        self.latest.resize_with(count, || None);
    }

    fn refresh(&mut self) {
        for (slot, exchange) in self.latest.iter_mut().zip(&self.exchanges) {
            if let Some(fresh) = exchange.published.pop()
                && let Some(old) = slot.replace(fresh)
            {
                // At most three copies exist, so there is room; `finish` adds a fourth that nobody
                // needs back.
                drop(exchange.returned.push(old));
            }
        }
    }
}

impl Registry {
    /// A registry for `partitions` instances of every task in `shape`.
    pub fn new(shape: JobShape, partitions: usize, detail: Detail) -> Registry {
        let mut rows = Rows::default();
        rows.grow(partitions);
        Registry { shape, detail, rows: Mutex::new(rows) }
    }

    /// The write end of one partition, which may be one more than there were. Call it once per
    /// partition, on the partition's own thread, so that its memory lies near its core. One that
    /// has ended and begins again goes on from what it had counted.
    pub fn open(&self, partition: usize) -> PartitionMetrics {
        let mut rows = self.rows();
        rows.grow(partition + 1);
        rows.refresh();
        let mut live = match &rows.latest[partition] {
            Some(readings) => readings.clone(),
            None => Box::new(PartitionReadings::new(&self.shape, self.detail)),
        };
        live.time.pause();
        PartitionMetrics {
            live,
            exchange: Arc::clone(&rows.exchanges[partition]),
            spare: None,
            publish_at: 0,
        }
    }

    /// The tasks and edges that are counted.
    pub fn shape(&self) -> &JobShape {
        &self.shape
    }

    /// Runs `look` on the latest readings of every partition, in order; `None` for a partition
    /// that has published nothing yet.
    pub fn read<R>(&self, look: impl FnOnce(&[Option<Box<PartitionReadings>>]) -> R) -> R {
        let mut rows = self.rows();
        rows.refresh();
        look(&rows.latest)
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        // A reader that panicked has left whole boxes behind: the slots stay valid.
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that the sources have let in so far, as published: the base of throughput samples.
    pub fn records(&self) -> u64 {
        let is_source = |task: usize| self.shape.tasks[task].inputs.is_empty();
        self.read(|partitions| {
            let tasks = partitions.iter().flatten().flat_map(|readings| {
                readings.tasks.iter().enumerate().filter(|(index, _)| is_source(*index))
            });
            tasks.map(|(_, task)| task.records_in()).sum()
        })
    }

    /// The report on everything published so far.
    pub fn report(&self, facts: RunFacts) -> Report {
        self.read(|partitions| Report::new(&self.shape, partitions, facts))
    }

    /// Bytes of memory that one partition needs at most: its own readings and three copies.
    pub fn partition_bytes_max(&self) -> usize {
        4 * PartitionReadings::new(&self.shape, self.detail).size_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::TaskShape;

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
    fn a_reader_sees_the_latest_publication_and_keeps_it() {
        let registry = Registry::new(shape(), 2, Detail::Full);
        assert!(registry.read(|all| all.iter().all(Option::is_none)));
        let mut metrics = registry.open(1);
        metrics.task(0).step(10, 10, 5);
        metrics.publish(0);
        metrics.task(0).step(10, 10, 5);
        metrics.publish(1);
        metrics.task(0).step(10, 10, 5);
        assert_eq!(registry.records(), 20);
        assert_eq!(registry.records(), 20, "it stays readable until the next one");
        metrics.finish(2);
        assert_eq!(registry.records(), 30);
    }

    #[test]
    fn copies_that_travel_in_circles_stay_correct() {
        let registry = Registry::new(shape(), 1, Detail::Full);
        let mut metrics = registry.open(0);
        for round in 1..=100u64 {
            metrics.task(0).step(3, 3, round);
            metrics.task(1).latency(1, round + 1, 3);
            metrics.publish(round);
            // Every third copy is never read and is overwritten.
            if round % 3 != 0 {
                assert_eq!(registry.records(), 3 * round);
                let latency = registry.read(|all| {
                    let readings = all[0].as_ref().expect("it has published");
                    readings.tasks()[1].latencies().expect("a sink").percentiles()
                });
                assert_eq!((latency.count, latency.max), (3 * round, round));
            }
        }
    }

    #[test]
    fn writers_and_readers_on_threads_lose_nothing() {
        let registry = Registry::new(shape(), 2, Detail::Full);
        std::thread::scope(|scope| {
            for partition in 0..2 {
                let registry = &registry;
                scope.spawn(move || {
                    let mut metrics = registry.open(partition);
                    for now in 0..2_000 {
                        metrics.task(0).step(1, 1, now);
                        metrics.publish(now);
                    }
                    metrics.finish(2_000);
                });
            }
            let mut seen = 0;
            while seen < 4_000 {
                let now = registry.records();
                assert!(now >= seen, "{now} after {seen}");
                seen = now;
                std::thread::yield_now();
            }
        });
        assert_eq!(registry.records(), 4_000);
    }

    #[test]
    fn a_lasting_stall_is_published_while_it_lasts() {
        let registry = Registry::new(shape(), 1, Detail::Counters);
        let mut metrics = registry.open(0);
        metrics.task(0).blocked(crate::metrics::Blocked::Output(0), 100);
        metrics.publish(1_100);
        let stalled = registry.read(|all| all[0].as_ref().map(|one| one.tasks()[0].stalled_ns()));
        assert_eq!(stalled, Some(1_000));
    }

    #[test]
    fn publication_is_due_ten_times_a_second() {
        let registry = Registry::new(shape(), 1, Detail::Counters);
        let mut metrics = registry.open(0);
        assert!(metrics.is_due(5));
        metrics.publish(5);
        assert!(!metrics.is_due(PUBLISH_INTERVAL_NS + 4));
        assert!(metrics.is_due(PUBLISH_INTERVAL_NS + 5));
    }

    #[test]
    fn partition_that_begins_again_goes_on_counting() {
        let registry = Registry::new(shape(), 1, Detail::Counters);
        for round in 0..3 {
            for partition in 0..2 {
                let mut metrics = registry.open(partition);
                metrics.account(Activity::Busy, 1_000 * round);
                metrics.account(Activity::Busy, 1_000 * round + 10);
                metrics.task(0).step(1, 1, 1);
                metrics.finish(1_000 * round + 10);
            }
        }
        assert_eq!(registry.records(), 6);
        let busy = registry.read(|all| all[1].as_ref().map(|one| one.time().total_ns()));
        assert_eq!(busy, Some(30), "time in between is nobody's");
    }

    #[test]
    fn memory_per_partition_is_known() {
        let full = Registry::new(shape(), 1, Detail::Full).partition_bytes_max();
        let counters = Registry::new(shape(), 1, Detail::Counters).partition_bytes_max();
        // 2 tasks: service and stall each, one queue wait, one latency; four copies.
        assert!((4 * 6 * 30_000..4 * 6 * 40_000).contains(&full), "{full}");
        assert!(counters < 4_000, "{counters}");
    }
}
