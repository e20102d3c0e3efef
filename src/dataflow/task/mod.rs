//! Tasks: a chain of operators with its input and its end, as the partition's loop sees it.

mod barrier;
mod costs;
mod intake;
mod look;
mod moving;
mod ranges;
mod rescaling;
mod step;

use std::collections::VecDeque;
use std::sync::Arc;

pub use costs::{KeySample, KeyTap};
pub use look::TaskLook;
pub use step::{Order, Reply, Step, StepContext, Task};

use crate::dataflow::input::Input;
use crate::dataflow::task::barrier::Barrier;
use crate::dataflow::task::costs::KeyCosts;
use crate::dataflow::task::rescaling::Settling;
use crate::dataflow::{Chain, End, Flow, Folded, Passed, Signal};
use crate::error::Result;
use crate::exchange::planted::{Fault, is_planted};
use crate::hand_over::{Parcel, Relay};
use crate::metrics::{Tally, TaskMetrics};
use crate::record::Batch;
use crate::routing::{Move, Units};
use crate::time::watermark::Progress;
use crate::time::{Nanos, Timestamp};

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
    /// What it does about marks that go through the stages that it is in.
    relay: Option<Box<Relay>>,
    /// The barrier that has come in and not gone out yet. Until it has, nothing else enters.
    barrier: Option<Barrier>,
    /// Barriers that its source lets in behind that one.
    barriers: VecDeque<u64>,
    /// A stage has event time to tell, and there was no room for what that may make.
    owes_time: bool,
    /// Nothing more comes over its input. It ends once no move is open that it has a part in.
    is_input_over: bool,
    /// When the source wants to be asked again.
    input_wake_at: Option<Nanos>,
    /// What its keys cost, if somebody wants to know.
    costs: Option<Box<KeyCosts>>,
    /// A stop has come through. Until it is off, nothing is done.
    is_stopped: bool,
    /// Stops up to this one are off.
    off: u64,
    /// What has to be done before anything enters, in a layout that is not the first.
    settling: Option<Box<Settling>>,
    /// What the metrics know of its tally.
    tallied: Tally,
    /// What they know of records over each output.
    sent_known: Vec<u64>,
}

impl<C: Chain, E: End<C::Out>> ChainTask<C, E> {
    /// A task that reads `input`, runs `chain` and writes to `end`.
    pub fn new(input: Input<C::In, C::Partial, C::Source>, chain: C, end: E) -> Self {
        let mut task = ChainTask {
            input,
            chain,
            end,
            batch: Batch::new(),
            phase: Phase::Running,
            passing: None,
            relay: None,
            barrier: None,
            barriers: VecDeque::new(),
            owes_time: false,
            is_input_over: false,
            input_wake_at: None,
            costs: None,
            is_stopped: false,
            off: 0,
            settling: None,
            tallied: Tally::default(),
            sent_known: Vec::new(),
        };
        task.follow_ranges();
        task
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
        if self.settling.is_some() && !self.settle_in(step)? {
            return Ok((0, self.end.is_open()));
        }
        let (mut taken, mut moved) = (0, waits.is_some());
        let mut may_enter = true;
        if self.has_moves() {
            (taken, moved) = self.hand_over(step)?;
            moved |= waits.is_some();
            may_enter = !self.is_pausing();
        }
        moved |= self.bring_barrier(step)?;
        may_enter &= self.barrier.is_none() && !self.is_stopped;
        if may_enter && self.is_free_of_signals() {
            let (records, has_come) = self.take_in(step)?;
            taken += records;
            moved |= has_come | self.bring_barrier(step)?;
        }
        if !self.is_giving() && !self.is_stopped {
            // Also while nothing enters: a stage that has closed opens when it is told the time.
            moved |= self.tell_time(step)?;
        }
        Ok((taken, moved || self.passing.is_some_and(|_| self.end.is_open())))
    }

    /// Whether nothing is under way, and there is room for what more makes.
    fn is_free_of_signals(&self) -> bool {
        self.passing.is_none() && self.end.is_open()
    }

    /// Adds what it has counted since the last time to `metrics`, which may be those of other
    /// instances too.
    fn book(&mut self, metrics: &mut TaskMetrics) {
        let mut tally = Tally::default();
        self.input.count(&mut tally);
        self.chain.count(&mut tally);
        metrics.add_tally(tally.since(std::mem::replace(&mut self.tallied, tally)));
        self.sent_known.resize(metrics.outputs(), 0);
        for (output, known) in self.sent_known.iter_mut().enumerate() {
            let sent = self.end.sent_over(output);
            metrics.add_sent(output, sent - std::mem::replace(known, sent));
        }
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

impl<C: Chain, E: End<C::Out> + 'static> Task for ChainTask<C, E> {
    fn step(&mut self, step: &mut StepContext<'_>) -> Result<Step> {
        if self.phase == Phase::Done || self.is_stopped {
            return Ok(Step { done: self.phase == Phase::Done, ..Step::default() });
        }
        let sent_before = self.end.sent();
        let started = step.now;
        let mut taken = 0;
        let mut is_open = self.end.retry(step)?;
        let mut progressed = self.note_left();
        if self.phase == Phase::Running {
            let (records, has_moved) = self.advance(step)?;
            taken = records;
            progressed |= has_moved | self.note_left();
            is_open = self.end.is_open();
        }
        if is_planted(Fault::HoldAfterEnd) && self.phase == Phase::Closing && self.has_moves() {
            progressed |= self.hand_over(step)?.1;
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
            self.book(step.metrics);
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
            Order::Cut { domain, group, parts } => self.cut(*domain, *group, *parts),
            Order::Cancel(id) => {
                self.cancel(*id);
                None
            }
            Order::Barrier(barrier) => {
                self.let_barrier_in(*barrier);
                None
            }
            Order::GoOn(stop) => {
                self.call_off(*stop);
                None
            }
        }
    }

    fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    fn watermark(&self) -> Timestamp {
        self.input.watermark()
    }

    fn give_all(&mut self, units: &Units) -> Option<Parcel> {
        self.give_parcel(units)
    }

    fn get_all(&mut self, moved: Arc<Move>, parcel: Parcel) {
        self.get_parcel(moved, parcel);
    }

    fn end_at_once(&mut self) {
        self.close_at_once();
    }

    fn retire(&mut self, step: &mut StepContext<'_>) -> Result<bool> {
        Ok(self.phase == Phase::Done || self.end.feeds_lanes() || self.end.finish(step)?)
    }
}
