//! A partition: one instance of every task of a job, stepped in turns by one thread.
//!
//! The same type runs under the actor on a pinned core and under the simulation, one step at a
//! time; it knows neither.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::dataflow::blame::{said, take_culprit};
use crate::dataflow::{Folded, Order, Reply, Step, StepContext, Task, TaskLook};
use crate::error::{Error, ErrorKind, Result};
use crate::metrics::{Activity, PartitionMetrics};
use crate::time::{Clock, Nanos};

/// Batches that a task may take in per step. As many as a lane holds by default, so that a
/// source's step fills no lane that was empty, and a turn stays near 100 µs.
const BATCHES_PER_STEP: usize = 8;

/// How a turn left the partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Some task moved something.
    pub progressed: bool,
    /// Some task could go on but for a full output.
    pub blocked: bool,
    /// All tasks are done.
    pub done: bool,
    /// When the next turn is wanted at the latest, if nothing else happens.
    pub wake_at: Option<Nanos>,
}

/// How a partition fares: what it tells whoever looks after the load.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// When, by the partition's clock.
    pub at: Nanos,
    /// Nanoseconds busy, idle and stalled, since the start.
    pub time_ns: [u64; 3],
    /// Its keyed tasks.
    pub tasks: Vec<TaskLook>,
    /// What its tasks have folded for keyed tasks.
    pub folded: Vec<Folded>,
}

/// An instance of a task, as a partition runs it.
pub struct Instance {
    /// Index of the task in the graph.
    pub task: usize,
    /// Which of its instances it is.
    pub index: usize,
    /// What the task is called.
    pub name: String,
    /// The instance itself.
    pub running: Box<dyn Task>,
    /// It has come to its end.
    pub is_done: bool,
}

/// One partition of a job.
pub struct Partition {
    /// In the order of the graph: sources first.
    slots: Vec<Instance>,
    metrics: PartitionMetrics,
    clock: Box<dyn Clock>,
    index: usize,
    /// What the last turn was.
    activity: Activity,
    /// What its tasks have to say to whoever controls the job, each by its index.
    replies: Vec<(usize, Reply)>,
    /// What the task in hand has to say.
    said: Vec<Reply>,
    is_vacant: bool,
}

impl Partition {
    /// A partition of `tasks`, each with its name, in the order of the graph.
    pub fn new(
        index: usize,
        tasks: Vec<(String, Box<dyn Task>)>,
        metrics: PartitionMetrics,
        clock: Box<dyn Clock>,
    ) -> Self {
        let slots = tasks.into_iter().enumerate();
        let slots = slots.map(|(task, (name, running))| Instance {
            task,
            index,
            name,
            running,
            is_done: false,
        });
        Partition {
            slots: slots.collect(),
            metrics,
            clock,
            index,
            activity: Activity::Idle,
            replies: Vec::new(),
            said: Vec::new(),
            is_vacant: false,
        }
    }

    /// A partition that is given its tasks [later](Self::seat).
    pub fn vacant(index: usize, metrics: PartitionMetrics, clock: Box<dyn Clock>) -> Self {
        let mut partition = Partition::new(index, Vec::new(), metrics, clock);
        partition.seat(Vec::new());
        partition
    }

    /// Whether its tasks are still to come. One that is made without any has nothing to wait for.
    pub fn is_vacant(&self) -> bool {
        self.is_vacant
    }

    /// Its index in the job.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Monotonic nanoseconds by its clock.
    pub fn now(&self) -> Nanos {
        self.clock.now()
    }

    /// Books the time since the last turn as what that turn was, so that sleep before work does not
    /// count as work; returns the time.
    pub fn rested(&mut self) -> Nanos {
        let now = self.clock.now();
        self.metrics.account(self.activity, now);
        now
    }

    /// Steps every task once, from the sinks to the sources, so that room is made before more is
    /// let in.
    ///
    /// # Errors
    /// A source's or sink's error, or [`ErrorKind::JobFailed`] if an operator panicked, naming
    /// operator and key. The partition must not be used again.
    pub fn turn(&mut self) -> Result<Progress> {
        let mut progress = Progress { done: true, ..Progress::default() };
        for index in (0..self.slots.len()).rev() {
            let step = self.step(index)?;
            progress.progressed |= step.progressed;
            progress.blocked |= step.blocked;
            progress.done &= step.done;
            progress.wake_at = [progress.wake_at, step.wake_at].into_iter().flatten().min();
        }
        self.account(progress);
        Ok(progress)
    }

    /// Steps one task, by its index in the graph. What a turn is made of.
    ///
    /// # Errors
    /// As for [`turn`](Self::turn).
    pub fn step(&mut self, index: usize) -> Result<Step> {
        if self.slots[index].is_done {
            return Ok(Step { done: true, ..Step::default() });
        }
        let step = self.run(index, |task, step| task.step(step))?;
        if step.done {
            let slot = &mut self.slots[index];
            slot.is_done = true;
            self.metrics.task(slot.task).set_done();
        }
        Ok(step)
    }

    /// Has one task do something.
    fn run<R>(
        &mut self,
        index: usize,
        act: impl FnOnce(&mut dyn Task, &mut StepContext<'_>) -> Result<R>,
    ) -> Result<R> {
        let slot = &mut self.slots[index];
        let mut context = StepContext {
            now: self.clock.now(),
            clock: &*self.clock,
            metrics: self.metrics.task(slot.task),
            batches_max: BATCHES_PER_STEP,
            replies: &mut self.said,
        };
        let outcome = catch_unwind(AssertUnwindSafe(|| act(&mut *slot.running, &mut context)));
        let answer = match outcome {
            Ok(answer) => answer.map_err(|error| of_task(&slot.name, error))?,
            Err(panic) => return Err(panicked(&slot.name, &*panic)),
        };
        self.replies.extend(self.said.drain(..).map(|reply| (index, reply)));
        Ok(answer)
    }

    /// How many tasks it has.
    pub fn task_count(&self) -> usize {
        self.slots.len()
    }

    /// What one of its tasks is called.
    pub fn task_name(&self, index: usize) -> &str {
        &self.slots[index].name
    }

    /// Whether one of its tasks is done.
    pub fn is_task_done(&self, index: usize) -> bool {
        self.slots[index].is_done
    }

    /// Whether all its tasks are done.
    pub fn is_done(&self) -> bool {
        self.slots.iter().all(|slot| slot.is_done)
    }

    /// Whether all its tasks have stopped, or come to their end.
    pub fn is_at_rest(&self) -> bool {
        self.slots.iter().all(|slot| slot.is_done || slot.running.is_stopped())
    }

    /// Finishes the sinks of tasks that `leaves` names by their indexes: they are dropped then.
    /// `false` asks to be called again.
    ///
    /// # Errors
    /// As for [`turn`](Self::turn).
    pub fn retire(&mut self, leaves: &[usize]) -> Result<bool> {
        let mut is_done = true;
        for index in 0..self.slots.len() {
            if leaves.contains(&self.slots[index].task) {
                is_done &= self.run(index, |task, step| task.retire(step))?;
            }
        }
        Ok(is_done)
    }

    /// Gives its tasks up. They are at rest.
    pub fn vacate(&mut self) -> Vec<Instance> {
        let slots = std::mem::take(&mut self.slots);
        for slot in &slots {
            self.metrics.task(slot.task).set_instances(0);
        }
        slots
    }

    /// Runs these instances from now on, in the order of the graph; without any it waits for them.
    pub fn seat(&mut self, slots: Vec<Instance>) {
        self.is_vacant = slots.is_empty();
        self.slots = slots;
        for task in 0..self.metrics.readings().tasks().len() {
            let running = self.slots.iter().filter(|slot| slot.task == task && !slot.is_done);
            self.metrics.task(task).set_instances(running.count());
        }
    }

    /// Asks the sources to end; what they have let in is still worked off.
    pub fn drain(&mut self) {
        for slot in &mut self.slots {
            slot.running.drain();
        }
    }

    /// Passes an order on to the task that it is for.
    pub fn tell(&mut self, order: &Order) {
        for (index, slot) in self.slots.iter_mut().enumerate() {
            self.replies.extend(slot.running.tell(order).map(|reply| (index, reply)));
        }
    }

    /// How it fares.
    ///
    /// * `with_sample` - also what its keys cost since the last such look.
    pub fn look(&mut self, with_sample: bool) -> Look {
        let mut folded = Vec::new();
        self.slots.iter().for_each(|slot| slot.running.folded(&mut folded));
        let tasks = self.slots.iter_mut().filter(|slot| !slot.is_done);
        let metrics = &mut self.metrics;
        Look {
            at: self.clock.now(),
            time_ns: metrics.readings().time().parts_ns(),
            tasks: tasks
                .filter_map(|slot| slot.running.look(metrics.task(slot.task), with_sample))
                .collect(),
            folded,
        }
    }

    /// What its tasks have said since the last call, each by its index in the graph.
    pub fn replies(&mut self) -> std::vec::Drain<'_, (usize, Reply)> {
        self.replies.drain(..)
    }

    /// Its counters, for what only the shell knows about its thread.
    pub fn metrics(&mut self) -> &mut PartitionMetrics {
        &mut self.metrics
    }

    /// Publishes the last figures. It has ended.
    pub fn finish(self) {
        let now = self.clock.now();
        self.metrics.finish(now);
    }

    fn account(&mut self, progress: Progress) {
        let now = self.clock.now();
        let activity = if progress.progressed {
            Activity::Busy
        } else if progress.blocked {
            Activity::Stalled
        } else {
            Activity::Idle
        };
        self.activity = activity;
        self.metrics.account(activity, now);
        if self.metrics.is_due(now) {
            self.metrics.publish(now);
        }
    }
}

fn of_task(task: &str, error: Error) -> Error {
    Error::new(error.kind(), format!("task `{task}`")).with_source(error)
}

fn panicked(task: &str, panic: &(dyn std::any::Any + Send)) -> Error {
    let culprit = take_culprit();
    #[cfg(feature = "tracing")]
    tracing::error!(
        task,
        operator = culprit.as_ref().and_then(|culprit| culprit.operator),
        key = culprit.as_ref().and_then(|culprit| culprit.key.as_deref()),
        panic = said(panic),
        "operator panicked"
    );
    let place = match culprit.and_then(|culprit| Some((culprit.operator?, culprit.key))) {
        Some((operator, Some(key))) => format!("operator `{operator}` panicked at key {key}"),
        Some((operator, None)) => format!("operator `{operator}` panicked"),
        None => format!("task `{task}` panicked"),
    };
    Error::new(ErrorKind::JobFailed, format!("{place}: {}", said(panic)))
}
