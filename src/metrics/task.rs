//! What one task on one partition counts.

use crate::metrics::{Counter, Histogram, Tally};
use crate::time::Nanos;

/// The tasks and edges of a job, as the metrics see them: what is allocated and what it is called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobShape {
    /// Every partition runs one instance of each.
    pub tasks: Vec<TaskShape>,
    /// Names of the edges between tasks, such as `map -> count`.
    pub edges: Vec<String>,
}

/// One task: where its inputs and outputs stand among the edges of its [`JobShape`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskShape {
    /// Its operators, fused: `map, filter`.
    pub name: String,
    /// Edge indexes that it reads, in the order of its inputs. A task without inputs is a source.
    pub inputs: Vec<usize>,
    /// Edge indexes that it writes, in the order of its outputs. A task without is a sink.
    pub outputs: Vec<usize>,
}

/// What a task waits for when it cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocked {
    /// The output with this index (of the task's own outputs): a full lane or local edge.
    Output(usize),
    /// The world outside: a sink's target takes nothing more.
    Outside,
}

/// What one task on one partition has counted. Written by that partition, on its own thread.
#[derive(Clone, Debug)]
pub struct TaskMetrics {
    records_in: Counter,
    records_out: Counter,
    /// Records and partials that came over each of its input edges.
    received: Vec<Counter>,
    /// Batches in which they came.
    received_batches: Counter,
    /// Those that it put on the lanes of each of its output edges.
    sent: Vec<u64>,
    batches: Counter,
    busy_ns: Counter,
    stalled_ns: Counter,
    outside_ns: Counter,
    tally: Tally,
    /// How many run, of which none has come to its end.
    instances: usize,
    blocked_ns: Vec<Counter>,
    stall: Option<Stall>,
    histograms: Option<Box<TaskHistograms>>,
}

#[derive(Clone, Copy, Debug)]
struct Stall {
    on: Blocked,
    since: Nanos,
    // Up to here the counters have it, so that a stall that lasts is seen while it lasts.
    booked: Nanos,
}

#[derive(Clone, Debug)]
struct TaskHistograms {
    service: Histogram,
    stall: Histogram,
    queue_waits: Vec<Histogram>,
    latency: Option<Histogram>,
}

impl TaskMetrics {
    /// Counters only: what `--metrics off` leaves.
    pub(crate) fn counters(shape: &TaskShape) -> TaskMetrics {
        TaskMetrics {
            records_in: Counter::default(),
            records_out: Counter::default(),
            received: vec![Counter::default(); shape.inputs.len()],
            received_batches: Counter::default(),
            sent: vec![0; shape.outputs.len()],
            batches: Counter::default(),
            busy_ns: Counter::default(),
            stalled_ns: Counter::default(),
            outside_ns: Counter::default(),
            tally: Tally::default(),
            instances: 1,
            blocked_ns: vec![Counter::default(); shape.outputs.len()],
            stall: None,
            histograms: None,
        }
    }

    /// Counters and the histograms that a task of this shape can fill.
    pub(crate) fn with_histograms(shape: &TaskShape) -> TaskMetrics {
        let histograms = TaskHistograms {
            service: Histogram::new(),
            stall: Histogram::new(),
            queue_waits: shape.inputs.iter().map(|_| Histogram::new()).collect(),
            latency: shape.outputs.is_empty().then(Histogram::new),
        };
        TaskMetrics { histograms: Some(Box::new(histograms)), ..TaskMetrics::counters(shape) }
    }

    /// Counts a step: what went in and out, and how long it took. A step that moved nothing is not
    /// reported.
    #[inline]
    pub fn step(&mut self, records_in: u64, records_out: u64, service_ns: Nanos) {
        self.records_in.add(records_in);
        self.records_out.add(records_out);
        self.batches.add(1);
        self.busy_ns.add(service_ns);
        if let Some(histograms) = &mut self.histograms {
            histograms.service.record(service_ns);
        }
    }

    /// Counts what its operators have counted since the last time.
    #[inline]
    pub fn add_tally(&mut self, tally: Tally) {
        self.tally += tally;
    }

    /// Counts the records and partials of a batch that came over `input`, the index among the
    /// task's own inputs.
    #[inline]
    pub fn received(&mut self, input: usize, records: u64) {
        self.received[input].add(records);
        self.received_batches.add(1);
    }

    /// How many outputs it has.
    #[inline]
    pub fn outputs(&self) -> usize {
        self.sent.len()
    }

    /// Counts the records and partials that went over `output`.
    #[inline]
    pub fn add_sent(&mut self, output: usize, records: u64) {
        self.sent[output] += records;
    }

    /// So many instances of the task run on the partition from now on: one at the start.
    pub fn set_instances(&mut self, instances: usize) {
        self.instances = instances;
    }

    /// The input of an instance is over and everything is out.
    pub fn set_done(&mut self) {
        self.instances = self.instances.saturating_sub(1);
    }

    /// Counts how long a batch lay in the lane of `input`, the index among the task's own inputs.
    #[inline]
    pub fn queue_wait(&mut self, input: usize, pushed: Nanos, now: Nanos) {
        if let Some(histograms) = &mut self.histograms {
            histograms.queue_waits[input].record_span(pushed, now, 1);
        }
    }

    /// Counts the end-to-end latency of `records` records that a sink took: since `intake`, when
    /// the oldest of them entered the job. An intake of 0 is unknown and not counted; a task that
    /// is no sink counts nothing.
    #[inline]
    pub fn latency(&mut self, intake: Nanos, now: Nanos, records: u64) {
        if intake == 0 {
            return;
        }
        if let Some(latency) = self.histograms.as_mut().and_then(|own| own.latency.as_mut()) {
            latency.record_span(intake, now, records);
        }
    }

    /// The task cannot go on. Repeating it while blocked changes nothing, unless what blocks it is
    /// another output now.
    #[inline]
    pub fn blocked(&mut self, on: Blocked, now: Nanos) {
        match &mut self.stall {
            Some(stall) if stall.on == on => {}
            Some(_) => {
                self.book_stall(now);
                if let Some(stall) = &mut self.stall {
                    stall.on = on;
                }
            }
            None => self.stall = Some(Stall { on, since: now, booked: now }),
        }
    }

    /// The task goes on; ends the stall if there was one.
    #[inline]
    pub fn unblocked(&mut self, now: Nanos) {
        if self.stall.is_some() {
            self.end_stall(now);
        }
    }

    #[cold]
    fn end_stall(&mut self, now: Nanos) {
        self.book_stall(now);
        if let (Some(stall), Some(histograms)) = (self.stall.take(), &mut self.histograms) {
            histograms.stall.record_span(stall.since, now, 1);
        }
    }

    /// Books the part of a lasting stall that the counters do not have yet.
    pub(crate) fn book_stall(&mut self, now: Nanos) {
        let Some(stall) = &mut self.stall else { return };
        let elapsed = now.saturating_sub(stall.booked);
        stall.booked = stall.booked.max(now);
        self.stalled_ns.add(elapsed);
        match stall.on {
            Blocked::Output(output) => self.blocked_ns[output].add(elapsed),
            Blocked::Outside => self.outside_ns.add(elapsed),
        }
    }

    /// What its operators have counted.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Records taken from inputs; for a source, records read.
    pub fn records_in(&self) -> u64 {
        self.records_in.value()
    }

    /// Records given to outputs; for a sink, records written.
    pub fn records_out(&self) -> u64 {
        self.records_out.value()
    }

    /// Records and partials that came over one of its inputs.
    pub fn received_over(&self, input: usize) -> u64 {
        self.received[input].value()
    }

    /// Records and partials that came over all its inputs.
    pub fn received_in_all(&self) -> u64 {
        self.received.iter().map(|received| received.value()).sum()
    }

    /// Batches that came over its inputs.
    pub fn received_batches(&self) -> u64 {
        self.received_batches.value()
    }

    /// Records and partials that went over one of its outputs.
    pub fn sent_over(&self, output: usize) -> u64 {
        self.sent[output]
    }

    /// Whether the input of all its instances is over and everything is out.
    pub fn is_done(&self) -> bool {
        self.instances == 0
    }

    /// Steps that moved something.
    pub fn batches(&self) -> u64 {
        self.batches.value()
    }

    /// Nanoseconds spent in steps.
    pub fn busy_ns(&self) -> u64 {
        self.busy_ns.value()
    }

    /// Nanoseconds blocked, whatever on.
    pub fn stalled_ns(&self) -> u64 {
        self.stalled_ns.value()
    }

    /// Nanoseconds blocked on the world outside.
    pub fn outside_ns(&self) -> u64 {
        self.outside_ns.value()
    }

    /// Nanoseconds blocked on one of its outputs.
    pub fn blocked_ns(&self, output: usize) -> u64 {
        self.blocked_ns[output].value()
    }

    /// Time per step; absent when histograms are off, as are the next three.
    pub fn service(&self) -> Option<&Histogram> {
        self.histograms.as_ref().map(|own| &own.service)
    }

    /// Time per stall that ended.
    pub fn stall(&self) -> Option<&Histogram> {
        self.histograms.as_ref().map(|own| &own.stall)
    }

    /// Time that batches lay in the lane of one of its inputs.
    pub fn queue_waits(&self, input: usize) -> Option<&Histogram> {
        self.histograms.as_ref().map(|own| &own.queue_waits[input])
    }

    /// End-to-end latency per record; sinks only.
    pub fn latencies(&self) -> Option<&Histogram> {
        self.histograms.as_ref().and_then(|own| own.latency.as_ref())
    }

    /// Makes this one, an earlier copy of `source`, equal to it without allocating.
    pub(crate) fn catch_up(&mut self, source: &TaskMetrics) {
        self.records_in = source.records_in;
        self.records_out = source.records_out;
        self.received.copy_from_slice(&source.received);
        self.sent.copy_from_slice(&source.sent);
        self.received_batches = source.received_batches;
        self.batches = source.batches;
        self.busy_ns = source.busy_ns;
        self.stalled_ns = source.stalled_ns;
        self.outside_ns = source.outside_ns;
        self.tally = source.tally;
        self.instances = source.instances;
        self.blocked_ns.copy_from_slice(&source.blocked_ns);
        self.stall = source.stall;
        if let (Some(own), Some(source)) = (&mut self.histograms, &source.histograms) {
            for (own, source) in own.all_mut().zip(source.all()) {
                own.catch_up(source);
            }
        }
    }

    /// Durations out of the histograms' range.
    pub(crate) fn overflow(&self) -> u64 {
        self.histograms.iter().flat_map(|own| own.all()).map(Histogram::overflow).sum()
    }

    /// Bytes of memory, histograms included.
    pub(crate) fn size_bytes(&self) -> usize {
        let cells: usize =
            self.histograms.iter().flat_map(|own| own.all()).map(Histogram::size_bytes).sum();
        let counters = self.blocked_ns.len() + self.received.len() + self.sent.len();
        size_of::<TaskMetrics>() + counters * size_of::<Counter>() + cells
    }
}

impl TaskHistograms {
    fn all(&self) -> impl Iterator<Item = &Histogram> {
        [&self.service, &self.stall].into_iter().chain(&self.queue_waits).chain(&self.latency)
    }

    fn all_mut(&mut self) -> impl Iterator<Item = &mut Histogram> {
        [&mut self.service, &mut self.stall]
            .into_iter()
            .chain(&mut self.queue_waits)
            .chain(&mut self.latency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn middle() -> TaskShape {
        TaskShape { name: "map".into(), inputs: vec![0], outputs: vec![1, 2] }
    }

    #[test]
    fn a_stall_is_booked_while_it_lasts_and_once() {
        let mut task = TaskMetrics::with_histograms(&middle());
        task.blocked(Blocked::Output(1), 100);
        task.blocked(Blocked::Output(1), 150);
        task.book_stall(300);
        assert_eq!((task.stalled_ns(), task.blocked_ns(1)), (200, 200));
        task.unblocked(400);
        task.unblocked(900);
        assert_eq!((task.stalled_ns(), task.blocked_ns(0), task.blocked_ns(1)), (300, 0, 300));
        let stalls = task.stall().expect("histograms are on").percentiles();
        assert_eq!((stalls.max, stalls.count), (300, 1));
    }

    #[test]
    fn a_stall_that_changes_its_reason_is_dealt_out() {
        let mut task = TaskMetrics::with_histograms(&middle());
        task.blocked(Blocked::Output(0), 0);
        task.blocked(Blocked::Outside, 30);
        task.unblocked(100);
        assert_eq!((task.blocked_ns(0), task.outside_ns(), task.stalled_ns()), (30, 70, 100));
    }

    #[test]
    fn without_histograms_the_counters_still_count() {
        let mut task = TaskMetrics::counters(&middle());
        task.step(10, 7, 50);
        task.queue_wait(0, 1, 2);
        task.latency(1, 2, 10);
        task.blocked(Blocked::Output(0), 0);
        task.unblocked(5);
        assert_eq!((task.records_in(), task.records_out(), task.batches()), (10, 7, 1));
        assert_eq!((task.busy_ns(), task.stalled_ns()), (50, 5));
        assert!(task.service().is_none() && task.stall().is_none());
        assert!(task.size_bytes() < 1_000);
    }

    #[test]
    fn histograms_exist_only_for_what_can_fill_them() {
        let source = TaskShape { name: "s".into(), inputs: vec![], outputs: vec![0] };
        let sink = TaskShape { name: "t".into(), inputs: vec![0], outputs: vec![] };
        let one = Histogram::new().size_bytes();
        let source = TaskMetrics::with_histograms(&source);
        let sink = TaskMetrics::with_histograms(&sink);
        assert_eq!(source.size_bytes() / one, 2);
        assert_eq!(sink.size_bytes() / one, 4);
        assert!(source.latencies().is_none() && sink.latencies().is_some());
    }

    #[test]
    fn latency_counts_records_and_skips_an_unknown_intake() {
        let sink = TaskShape { name: "t".into(), inputs: vec![0], outputs: vec![] };
        let mut task = TaskMetrics::with_histograms(&sink);
        task.latency(0, 100, 5);
        task.latency(40, 100, 5);
        let seen = task.latencies().expect("a sink counts latency").percentiles();
        assert_eq!((seen.count, seen.max), (5, 60));
    }
}
