//! Tasks: a chain of operators with its input and its end, as the partition's loop sees it.

use crate::dataflow::{Chain, End, Flow, Input, Polled, Signal};
use crate::error::Result;
use crate::metrics::TaskMetrics;
use crate::record::Batch;
use crate::time::{Clock, Nanos};

/// What a task gets for one step.
pub struct StepContext<'a> {
    /// Monotonic nanoseconds, read at the latest batch hop.
    pub now: Nanos,
    /// Where to read them again.
    pub clock: &'a dyn Clock,
    /// What this task counts.
    pub metrics: &'a mut TaskMetrics,
    /// Batches that the step may take in.
    pub batches_max: usize,
}

/// How a step left its task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// A record or a message was moved.
    pub progressed: bool,
    /// It could go on but for a full output.
    pub blocked: bool,
    /// The input is over and everything is out; the task is not stepped again.
    pub done: bool,
    /// When it wants to be stepped again at the latest.
    pub wake_at: Option<Nanos>,
}

/// One running task of one partition. Stepped on the partition's thread, in turns from the sinks
/// to the sources. Never blocks.
pub trait Task: Send {
    /// Takes in at most [`StepContext::batches_max`] batches, as far as there is room for what
    /// they make.
    ///
    /// # Errors
    /// What its source or sink reports. It fails the job.
    fn step(&mut self, step: &mut StepContext<'_>) -> Result<Step>;

    /// Asks its source, if it has one, to end.
    fn drain(&mut self);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    /// The input is over; the end signal passes through the chain.
    Ending,
    /// The chain has nothing left; the end is being flushed.
    Closing,
    Done,
}

/// The task of a chain `C` that ends in `E`.
pub struct ChainTask<C: Chain, E> {
    input: Box<dyn Input<C::In, C::Partial>>,
    chain: C,
    end: E,
    /// The batch in hand.
    batch: Batch<C::In, C::Partial>,
    phase: Phase,
    /// When the input wants to be asked again.
    input_wake_at: Option<Nanos>,
}

impl<C: Chain, E: End<C::Out>> ChainTask<C, E> {
    /// A task that reads `input`, runs `chain` and writes to `end`.
    pub fn new(input: Box<dyn Input<C::In, C::Partial>>, chain: C, end: E) -> Self {
        ChainTask {
            input,
            chain,
            end,
            batch: Batch::new(),
            phase: Phase::Running,
            input_wake_at: None,
        }
    }

    /// Works off batches until the input has none, the budget is spent or the end closes.
    /// Returns how many records it took in.
    fn run(&mut self, step: &mut StepContext<'_>) -> Result<u64> {
        let mut taken = 0;
        for _ in 0..step.batches_max {
            if self.batch.is_empty() && !self.fetch(step)? {
                break;
            }
            let before = self.batch.len() as u64;
            self.end.begin_slice(self.batch.intake, step.now);
            self.chain.push_batch(&mut self.batch, &mut self.end);
            self.end.end_slice(step)?;
            taken += before - self.batch.len() as u64;
            if !self.end.is_open() && !self.end.retry(step)? {
                break;
            }
        }
        Ok(taken)
    }

    /// Takes the next batch into hand; `false` if there is none.
    fn fetch(&mut self, step: &mut StepContext<'_>) -> Result<bool> {
        self.input_wake_at = None;
        let polled = self.input.next(step.now, &mut self.batch)?;
        if !self.batch.is_empty() {
            if let Some(edge) = self.input.edge_in_hand() {
                step.now = step.clock.now();
                step.metrics.queue_wait(edge, self.batch.sent, step.now);
            }
            return Ok(true);
        }
        match polled {
            Polled::Ready => self.input_wake_at = Some(step.now),
            Polled::Until(time) => self.input_wake_at = Some(time),
            Polled::Pending => {}
            Polled::Done => self.phase = Phase::Ending,
        }
        Ok(false)
    }

    /// Brings the end of the input to the end of the task; `true` if something moved.
    fn wind_up(&mut self, step: &mut StepContext<'_>) -> Result<bool> {
        let mut progressed = false;
        if self.phase == Phase::Ending {
            progressed = true;
            self.end.begin_slice(step.now, step.now);
            let flow = self.chain.signal(Signal::End, &mut self.end);
            self.end.end_slice(step)?;
            if flow == Flow::More {
                return Ok(true);
            }
            self.phase = Phase::Closing;
        }
        if self.phase == Phase::Closing && self.end.finish(step)? {
            self.phase = Phase::Done;
            progressed = true;
        }
        Ok(progressed)
    }

    /// Lets stages that wait for processing time know it. `None` if it was not time yet, else how
    /// far they came: with `More` nothing may enter, and they are told again next turn.
    fn tell_time(&mut self, step: &mut StepContext<'_>) -> Result<Option<Flow>> {
        if self.chain.wake_at().is_none_or(|at| at > step.now) {
            return Ok(None);
        }
        self.end.begin_slice(step.now, step.now);
        let flow = self.chain.signal(Signal::Clock(step.now), &mut self.end);
        self.end.end_slice(step)?;
        Ok(Some(flow))
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
        if is_open && self.phase == Phase::Running {
            let told = self.tell_time(step)?;
            progressed |= told.is_some();
            if told != Some(Flow::More) {
                taken = self.run(step)?;
            }
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
            wake_at: [self.input_wake_at, self.end.wake_at(), self.chain.wake_at()]
                .into_iter()
                .flatten()
                .min(),
        })
    }

    fn drain(&mut self) {
        self.input.drain();
    }
}
