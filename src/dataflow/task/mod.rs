//! Tasks: a chain of operators with its input and its end, as the partition's loop sees it.

mod costs;
mod look;
mod moving;
mod step;

pub use costs::{KeySample, KeyTap};
pub use look::TaskLook;
pub use step::{Order, Reply, Step, StepContext, Task};

use crate::dataflow::input::{Input, Intake};
use crate::dataflow::task::costs::KeyCosts;
use crate::dataflow::{Chain, End, Flow, Folded, Passed, Polled, Signal};
use crate::error::Result;
use crate::exchange::Mark;
use crate::metrics::{Tally, TaskMetrics};
use crate::record::Batch;
use crate::time::watermark::Progress;
use crate::time::{Nanos, Timestamp};

/// A step begins no batch after so long, even if more were allowed. With much work on each record a
/// turn would take milliseconds, and who waits for the partition would wait for that: its mailbox,
/// units that move, watermarks.
const STEP_NS: Nanos = 100_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    /// The input is over, and with it all of event time, which the chain is to be told.
    LastTime,
    /// The chain is to be told of the end.
    Ending,
    /// The chain has been told everything. When it has nothing left, the end is flushed.
    Closing,
    Done,
}

/// How far a barrier has come through a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Barrier {
    /// What is under way in the chain comes first.
    Arrived(u64),
    /// It is on its way onto the lanes.
    Leaving(u64),
}

/// The task of a chain `C` that ends in `E`.
pub struct ChainTask<C: Chain, E> {
    input: Input<C::In, C::Partial, C::Source>,
    chain: C,
    end: E,
    /// The batch in hand, of lanes.
    batch: Batch<C::In, C::Partial>,
    phase: Phase,
    /// The signal that has not come through the chain yet. Until it has, nothing else enters.
    passing: Option<Signal>,
    /// The barrier that has come in and not gone out yet. Until it has, nothing else enters.
    barrier: Option<Barrier>,
    /// A stage has event time to tell, and there was no room for what that may make.
    owes_time: bool,
    /// When the source wants to be asked again.
    input_wake_at: Option<Nanos>,
    /// What its keys cost, if somebody wants to know.
    costs: Option<Box<KeyCosts>>,
}

impl<C: Chain, E: End<C::Out>> ChainTask<C, E> {
    /// A task that reads `input`, runs `chain` and writes to `end`.
    pub fn new(input: Input<C::In, C::Partial, C::Source>, chain: C, end: E) -> Self {
        ChainTask {
            input,
            chain,
            end,
            batch: Batch::new(),
            phase: Phase::Running,
            passing: None,
            barrier: None,
            owes_time: false,
            input_wake_at: None,
            costs: None,
        }
    }

    /// Works off batches until the input has none, the budget is spent, or end or chain closes.
    /// Returns how many records it took in, and whether there was a batch: one without records may
    /// have brought time, and more may wait behind it.
    fn run(&mut self, step: &mut StepContext<'_>) -> Result<(u64, bool)> {
        let (mut taken, mut moved) = (0, false);
        let until = step.now.saturating_add(STEP_NS);
        for _ in 0..step.batches_max {
            if !self.chain.is_open() {
                break;
            }
            let records = match self.input {
                Input::Lanes { .. } => self.work_off(step)?,
                Input::Source(_) => self.poll(step)?,
            };
            taken += records.unwrap_or(0);
            moved |= records.is_some();
            let is_over = records.is_none()
                || step.now >= until
                || self.phase != Phase::Running
                || self.barrier.is_some();
            if is_over || (!self.end.is_open() && !self.end.retry(step)?) {
                break;
            }
        }
        Ok((taken, moved))
    }

    /// Lets the source emit into the chain; returns how many records, `None` if it has none.
    fn poll(&mut self, step: &mut StepContext<'_>) -> Result<Option<u64>> {
        let Input::Source(source) = &mut self.input else { return Ok(None) };
        let before = source.given();
        self.end.begin_slice(step.now, step.now);
        let polled = self.chain.poll(source, step.now, &mut self.end)?;
        let given = source.given() - before;
        self.end.end_slice(step)?;
        self.input_wake_at = None;
        if given > 0 && polled != Polled::Done {
            return Ok(Some(given));
        }
        self.rest(polled, step.now);
        Ok((given > 0).then_some(given))
    }

    /// Works off the batch in hand as far as there is room; returns how many records of it, `None`
    /// if there is no batch.
    fn work_off(&mut self, step: &mut StepContext<'_>) -> Result<Option<u64>> {
        if self.batch.is_empty() && !self.fetch(step)? {
            return Ok(None);
        }
        let before = self.batch.len() as u64;
        self.batch.taken = step.now;
        self.end.begin_slice(self.batch.intake, step.now);
        if self.costs.as_mut().is_some_and(|costs| costs.takes_next()) {
            self.push_watched(step);
        } else {
            self.chain.push_batch(&mut self.batch, &mut self.end);
        }
        self.end.end_slice(step)?;
        Ok(Some(before - self.batch.len() as u64))
    }

    /// Takes the next batch into hand; `false` if there is none, or if what came first has not come
    /// through the chain.
    fn fetch(&mut self, step: &mut StepContext<'_>) -> Result<bool> {
        let edge = loop {
            let Input::Lanes { lanes, moves } = &mut self.input else { return Ok(false) };
            match lanes.next(&mut self.batch) {
                Intake::Batch => {
                    let edge = lanes.edge_in_hand();
                    if moves.as_ref().is_none_or(|moves| !moves.is_taking()) {
                        break edge;
                    }
                    if self.lets_in() {
                        break edge;
                    }
                }
                Intake::Barrier(barrier) => {
                    self.barrier = Some(Barrier::Arrived(barrier));
                    return Ok(false);
                }
                Intake::Progress(progress) => {
                    let signal = match progress {
                        Progress::Watermark(time) => Signal::Watermark(time),
                        Progress::Idle => Signal::Idle,
                    };
                    if self.pass(signal, step)? == Flow::More || !self.end.is_open() {
                        return Ok(false);
                    }
                }
                Intake::Nothing(polled) => {
                    self.rest(polled, step.now);
                    return Ok(false);
                }
            }
        };
        step.now = step.clock.now();
        step.metrics.queue_wait(edge, self.batch.sent, step.now);
        step.metrics.received(edge, self.batch.len() as u64);
        Ok(true)
    }

    /// Notes why the input gives nothing.
    fn rest(&mut self, polled: Polled, now: Nanos) {
        match polled {
            Polled::Ready => self.input_wake_at = Some(now),
            Polled::Until(time) => self.input_wake_at = Some(time),
            Polled::Pending => {}
            Polled::Done => {
                if self.may_end() {
                    self.phase = Phase::LastTime;
                }
            }
        }
    }

    /// Brings `signal` through the chain, as far as there is room, and what comes out of it to the
    /// end.
    fn pass(&mut self, signal: Signal, step: &mut StepContext<'_>) -> Result<Flow> {
        self.end.begin_slice(step.now, step.now);
        let passed = self.chain.signal(signal, &mut self.end);
        self.end.end_slice(step)?;
        let Passed::Done(left) = passed else {
            self.passing = Some(signal);
            return Ok(Flow::More);
        };
        self.passing = None;
        match left {
            // The end of the lanes says as much.
            Some(Signal::Watermark(Timestamp::MAX)) => {}
            Some(Signal::Watermark(time)) => self.end.tell(Progress::Watermark(time)),
            Some(Signal::Idle) => self.end.tell(Progress::Idle),
            Some(Signal::Clock(_) | Signal::End) | None => {}
        }
        Ok(Flow::Done)
    }

    /// Brings a barrier that has come in to the lanes behind it, once everything before it is
    /// there; `true` if something moved.
    fn bring_barrier(&mut self, step: &mut StepContext<'_>) -> Result<bool> {
        match self.barrier {
            Some(Barrier::Arrived(barrier)) => {
                if self.passing.is_some() || !self.chain.is_quiet() {
                    return Ok(false);
                }
                self.end.mark(Mark::Barrier(barrier));
                self.barrier = Some(Barrier::Leaving(barrier));
                self.end.retry(step)?;
                Ok(true)
            }
            Some(Barrier::Leaving(barrier)) if !self.end.is_marking() => {
                self.barrier = None;
                step.replies.push(Reply::Passed(barrier));
                Ok(true)
            }
            Some(Barrier::Leaving(_)) | None => Ok(false),
        }
    }

    /// Brings the end of the input to the end of the task; `true` if something moved.
    fn wind_up(&mut self, step: &mut StepContext<'_>) -> Result<bool> {
        let mut progressed = false;
        loop {
            let (signal, next) = match (self.passing, self.phase) {
                (Some(signal), phase) => (signal, phase),
                // What is under way comes first. Nothing but time or its own wake brings it.
                (None, Phase::LastTime) if !self.chain.is_quiet() => {
                    return Ok(self.tell_time(step)? || progressed);
                }
                (None, Phase::LastTime) => (Signal::Watermark(Timestamp::MAX), Phase::Ending),
                (None, Phase::Ending) => (Signal::End, Phase::Closing),
                (None, Phase::Running | Phase::Closing | Phase::Done) => break,
            };
            progressed = true;
            self.phase = next;
            if self.pass(signal, step)? == Flow::More {
                return Ok(true);
            }
        }
        if self.phase == Phase::Closing && self.end.finish(step)? {
            self.phase = Phase::Done;
            step.metrics.set_done();
            progressed = true;
        }
        Ok(progressed)
    }

    /// Lets stages that wait for processing time, or make event time, know it. `true` if they had
    /// something to do.
    fn tell_time(&mut self, step: &mut StepContext<'_>) -> Result<bool> {
        if self.passing.is_some() || !self.end.is_open() {
            self.owes_time = self.chain.makes_time();
            return Ok(false);
        }
        self.owes_time = false;
        let is_due = self.chain.wake_at().is_some_and(|at| at <= step.now);
        if is_due || self.chain.makes_time() {
            self.pass(Signal::Clock(step.now), step)?;
        }
        Ok(is_due)
    }

    /// What a step does while its input is not over; returns how many records it took in, and
    /// whether anything else moved.
    fn advance(&mut self, step: &mut StepContext<'_>) -> Result<(u64, bool)> {
        // What is under way comes before everything that waits for it.
        let waits = self.passing.take_if(|_| self.end.is_open());
        if let Some(signal) = waits {
            self.pass(signal, step)?;
        }
        let (mut taken, mut moved) = (0, waits.is_some());
        let mut may_enter = true;
        if self.has_moves() {
            (taken, moved) = self.hand_over(step)?;
            moved |= waits.is_some();
            may_enter = !self.is_pausing();
        }
        moved |= self.bring_barrier(step)?;
        if may_enter && self.barrier.is_none() && self.is_free_of_signals() {
            let (records, has_come) = self.take_in(step)?;
            taken += records;
            moved |= has_come | self.bring_barrier(step)?;
        }
        if !self.is_giving() {
            // Also while nothing enters: a stage that has closed opens when it is told the time.
            moved |= self.tell_time(step)?;
        }
        Ok((taken, moved || self.passing.is_some_and(|_| self.end.is_open())))
    }

    /// Whether nothing is under way, and there is room for what more makes.
    fn is_free_of_signals(&self) -> bool {
        self.passing.is_none() && self.end.is_open()
    }

    /// Lets records in; returns how many, and whether there was anything.
    fn take_in(&mut self, step: &mut StepContext<'_>) -> Result<(u64, bool)> {
        if self.owes_time {
            self.tell_time(step)?;
        }
        let (mut taken, mut moved) = (0, false);
        if self.is_free_of_signals() {
            (taken, moved) = self.run(step)?;
        }
        if self.has_moves() {
            // What came for units that have not settled.
            taken += self.work_off_moved(step)?;
        }
        Ok((taken, moved))
    }

    /// When the next step has something to do at the latest. With a full end nothing enters, so
    /// neither input nor chain has a say: whoever makes room wakes the partition. Nor has the input
    /// while the chain is closed: the chain says when it opens.
    fn wake_at(&self, is_open: bool) -> Option<Nanos> {
        if !is_open {
            return self.end.wake_at();
        }
        let is_running = self.phase == Phase::Running;
        let input = self.input_wake_at.filter(|_| is_running && self.chain.is_open());
        let chain = self.chain.wake_at().filter(|_| is_running || !self.chain.is_quiet());
        [input, chain, self.end.wake_at()].into_iter().flatten().min()
    }
}

impl<C: Chain, E: End<C::Out>> Task for ChainTask<C, E> {
    fn step(&mut self, step: &mut StepContext<'_>) -> Result<Step> {
        if self.phase == Phase::Done {
            return Ok(Step { done: true, ..Step::default() });
        }
        let sent_before = self.end.sent();
        let started = step.now;
        let mut taken = 0;
        let mut progressed = false;
        let mut is_open = self.end.retry(step)?;
        if self.phase == Phase::Running {
            (taken, progressed) = self.advance(step)?;
            is_open = self.end.is_open();
        }
        if is_open && self.phase != Phase::Running {
            progressed |= self.wind_up(step)?;
            is_open = self.end.is_open();
        }
        if self.phase != Phase::Done {
            self.end.settle(step.now);
        }
        let sent = self.end.sent();
        progressed |= taken > 0 || sent != sent_before;
        if progressed {
            step.now = step.clock.now();
            let mut tally = Tally::default();
            self.input.count(&mut tally);
            self.chain.count(&mut tally);
            step.metrics.set_tally(tally);
            step.metrics.set_sent(|output| self.end.sent_over(output));
            step.metrics.step(taken, sent.0 - sent_before.0, step.now.saturating_sub(started));
        }
        if is_open {
            step.metrics.unblocked(step.now);
        } else {
            step.metrics.blocked(self.end.blocked(), step.now);
        }
        Ok(Step {
            progressed,
            blocked: !is_open,
            done: self.phase == Phase::Done,
            wake_at: self.wake_at(is_open),
        })
    }

    fn drain(&mut self) {
        self.input.drain();
    }

    fn look(&mut self, metrics: &TaskMetrics, with_sample: bool) -> Option<TaskLook> {
        self.look_at(metrics, with_sample)
    }

    fn listen(&mut self, domain: usize, tap: &KeyTap) {
        self.listen_to(domain, tap);
    }

    fn folded(&self, folded: &mut Vec<Folded>) {
        self.end.folded(folded);
    }

    fn tell(&mut self, order: &Order) -> Option<Reply> {
        match order {
            Order::Offer(moved) => self.offer(moved),
            Order::Cancel(id) => {
                self.cancel(*id);
                None
            }
            Order::Barrier(barrier) => {
                if let Input::Source(_) = self.input
                    && self.phase == Phase::Running
                {
                    self.barrier = Some(Barrier::Arrived(*barrier));
                }
                None
            }
        }
    }
}
