//! The actor around a partition: runs its turns, serves its mailbox between them, and sleeps when
//! there is nothing to do.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use actix::clock::{Sleep, sleep};
use actix::fut::ActorFuture;
use actix::{Actor, ActorContext, AsyncContext, Context, Handler, MessageResult};

use crate::dataflow::blame::said;
use crate::dataflow::{Order, Reply};
use crate::error::{Error, ErrorKind, Result};
use crate::exchange::wake::{Sleeper, wake_pair};
use crate::runtime::control::{Ask, Control, Settle, Summons, Vacated};
use crate::runtime::hunger::Hunger;
use crate::runtime::idle::{Ladder, Rest};
use crate::runtime::partition::{Partition, Progress};
use crate::runtime::{host, idle};
use crate::time::Nanos;

/// Time between two looks at the mailbox while there is work.
const MAILBOX_EVERY_NS: Nanos = 200_000;
/// Sleeps up to this long block the thread: a runtime's timer ticks in milliseconds, and whoever
/// sends control wakes the thread as well.
const THREAD_SLEEP_NS_MAX: Nanos = 2_000_000;

/// How long a partition without tasks sleeps, unless it is told something.
const VACANT_NS: Nanos = 100_000_000;

/// Called once when the partition has ended, with how.
pub type OnExit = Box<dyn FnOnce(Result<()>) + Send>;

/// Called with what a task of the partition has to say, and the task's index.
pub type OnReply = Box<dyn FnMut(usize, Reply) + Send>;

/// Called when the partition has had nothing to do for a while, and asks for work.
pub type OnDry = Box<dyn FnMut() + Send>;

/// One partition as an actor on its own arbiter.
pub(crate) struct PartitionActor {
    /// `None` once it has ended.
    running: Option<Running>,
}

struct Running {
    partition: Partition,
    sleeper: Sleeper,
    ladder: Ladder,
    hunger: Hunger,
    on_exit: OnExit,
    on_reply: OnReply,
    on_dry: OnDry,
    /// What is to be answered once the tasks are that far.
    summons: Option<Summons>,
    /// It has given its tasks up, and waits for others.
    is_vacant: bool,
}

impl PartitionActor {
    /// Made on the partition's own thread.
    pub(crate) fn new(
        partition: Partition,
        mut sleeper: Sleeper,
        ladder: Ladder,
        (on_exit, on_reply, on_dry): (OnExit, OnReply, OnDry),
    ) -> Self {
        sleeper.bind_to_current_thread();
        // Also where a partition begins while the job runs: its tasks are still to come.
        let (summons, is_vacant) = (None, partition.is_vacant());
        let hunger = Hunger::new();
        let running = Running {
            partition,
            sleeper,
            ladder,
            hunger,
            on_exit,
            on_reply,
            on_dry,
            summons,
            is_vacant,
        };
        PartitionActor { running: Some(running) }
    }

    fn exit(&mut self, outcome: Result<()>, context: &mut Context<Self>) {
        if let Some(Running { mut partition, on_exit, .. }) = self.running.take() {
            let switches = host::thread_switches();
            partition.metrics().set_scheduling(switches.involuntary, switches.migrations);
            // What the program's closures hold may panic as it is dropped, and those who wait for
            // the job would then wait for ever.
            let finished = catch_unwind(AssertUnwindSafe(|| partition.finish()));
            on_exit(outcome.and(finished.map_err(|panic| {
                let text = format!("a drop at the end of the job panicked: {}", said(&*panic));
                Error::new(ErrorKind::JobFailed, text)
            })));
        }
        context.stop();
    }
}

impl Actor for PartitionActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.spawn(Drive { timer: None });
    }
}

impl Handler<Control> for PartitionActor {
    type Result = ();

    fn handle(&mut self, control: Control, context: &mut Self::Context) {
        match control {
            Control::Drain => {
                if let Some(running) = &mut self.running {
                    running.partition.drain();
                }
            }
            Control::Stop => self.exit(Ok(()), context),
        }
    }
}

impl Handler<Order> for PartitionActor {
    type Result = ();

    fn handle(&mut self, order: Order, _: &mut Context<Self>) {
        if let Some(running) = &mut self.running {
            running.partition.tell(&order);
            running.pass_replies_on();
        }
    }
}

impl Handler<Ask> for PartitionActor {
    type Result = MessageResult<Ask>;

    fn handle(&mut self, Ask { with_sample }: Ask, _: &mut Context<Self>) -> Self::Result {
        let running = self.running.as_mut();
        MessageResult(running.map(|running| running.partition.look(with_sample)))
    }
}

impl Handler<Summons> for PartitionActor {
    type Result = ();

    fn handle(&mut self, summons: Summons, _: &mut Context<Self>) {
        if let Some(running) = &mut self.running {
            // Dropped by one that has ended, which says as much.
            running.summons = Some(summons);
        }
    }
}

impl Handler<Settle> for PartitionActor {
    type Result = ();

    fn handle(&mut self, settle: Settle, _: &mut Context<Self>) {
        if let Some(running) = &mut self.running {
            running.partition.seat(settle.instances);
            settle.adopted.into_iter().for_each(|sleeper| running.sleeper.adopt(sleeper));
            running.ladder = settle.ladder;
            if let Some(core) = settle.core {
                // Where it may not be pinned it runs where the system puts it, as at the start.
                host::pin_current_thread(core);
            }
            running.is_vacant = false;
        }
    }
}

/// Runs turns whenever it is polled.
struct Drive {
    /// Set anew for each sleep; made once, since making one allocates.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Drive {
    /// Wakes `task` after `wait`.
    fn wake_after(&mut self, wait: Duration, task: &mut TaskContext<'_>) {
        let timer = match &mut self.timer {
            Some(timer) => {
                timer.set(sleep(wait));
                timer
            }
            none => none.insert(Box::pin(sleep(wait))),
        };
        // Polled once so that it knows whom to wake.
        if timer.as_mut().poll(task).is_ready() {
            task.waker().wake_by_ref();
        }
    }
}

/// How a stretch of turns ended.
enum Stretch {
    /// The mailbox is due; come back at once.
    Yield,
    /// Nothing to do before this time, unless woken.
    Sleep(Nanos),
    Done,
}

impl Running {
    /// Runs turns until the mailbox is due or there is nothing to do.
    fn stretch(&mut self, task: &TaskContext<'_>) -> Result<Stretch> {
        self.sleeper.withdraw();
        let mut now = self.partition.rested();
        if self.is_vacant {
            return Ok(Stretch::Sleep(now + VACANT_NS));
        }
        let mailbox_due = now + MAILBOX_EVERY_NS;
        while now < mailbox_due {
            let progress = self.partition.turn()?;
            self.pass_replies_on();
            if self.summons.is_some() && self.answer()? {
                return Ok(Stretch::Yield);
            }
            if progress.done {
                return Ok(Stretch::Done);
            }
            now = self.partition.now();
            if progress.progressed {
                self.ladder.worked(now);
                self.hunger.worked();
                continue;
            }
            if self.hunger.asks(now) {
                (self.on_dry)();
            }
            match self.ladder.rest(now) {
                Rest::Spin => std::hint::spin_loop(),
                Rest::Yield => idle::give_way(),
                Rest::Nap => {
                    idle::nap();
                    now = self.partition.rested();
                }
                Rest::Park => {
                    if let Some(stretch) = self.park(task)? {
                        return Ok(stretch);
                    }
                    now = self.partition.rested();
                }
            }
        }
        Ok(Stretch::Yield)
    }

    /// Answers what was asked of it, if its tasks are that far; `true` if it has given them up.
    #[cold]
    fn answer(&mut self) -> Result<bool> {
        // Who asked may have gone.
        match self.summons.take() {
            Some(Summons::Rest(answer)) if self.partition.is_at_rest() => {
                let _ = answer.send(());
            }
            Some(Summons::Vacate { leaves, answer }) if self.partition.retire(&leaves)? => {
                let adopted = self.sleeper.release();
                let own = if leaves.is_empty() { None } else { Some(self.leave()) };
                let (index, instances) = (self.partition.index(), self.partition.vacate());
                let _ = answer.send(Vacated { index, instances, adopted, own });
                self.is_vacant = true;
            }
            waits => self.summons = waits,
        }
        Ok(self.is_vacant)
    }

    /// Gives up what it sleeps with: its partition will be no more.
    fn leave(&mut self) -> Sleeper {
        let (mut other, _) = wake_pair();
        other.bind_to_current_thread();
        std::mem::replace(&mut self.sleeper, other)
    }

    fn pass_replies_on(&mut self) {
        for (task, reply) in self.partition.replies() {
            if matches!(reply, Reply::Moved(_)) {
                self.hunger.fed();
            }
            (self.on_reply)(task, reply);
        }
    }

    /// Sleeps on the thread, or says how the runtime is to sleep. `None`: look again.
    fn park(&mut self, task: &TaskContext<'_>) -> Result<Option<Stretch>> {
        self.sleeper.register(task.waker());
        self.sleeper.announce();
        // The look between announcing and sleeping; see `exchange::wake`.
        let Progress { progressed, done, wake_at, .. } = self.partition.turn()?;
        self.pass_replies_on();
        if progressed || done {
            self.sleeper.withdraw();
            return Ok(if done { Some(Stretch::Done) } else { None });
        }
        // Ten times a second at least, so that reports are up to date while nothing happens.
        let due_at = self.partition.metrics().due_at();
        let wake_at = wake_at.map_or(due_at, |at| at.min(due_at));
        match wake_at.saturating_sub(self.partition.now()) {
            0 => {
                self.sleeper.withdraw();
                Ok(None)
            }
            wait if wait <= THREAD_SLEEP_NS_MAX => {
                self.sleeper.sleep_thread(Duration::from_nanos(wait));
                Ok(None)
            }
            _ => Ok(Some(Stretch::Sleep(wake_at))),
        }
    }
}

impl ActorFuture<PartitionActor> for Drive {
    type Output = ();

    fn poll(
        mut self: Pin<&mut Self>,
        actor: &mut PartitionActor,
        context: &mut Context<PartitionActor>,
        task: &mut TaskContext<'_>,
    ) -> Poll<()> {
        let Some(running) = &mut actor.running else { return Poll::Ready(()) };
        match running.stretch(task) {
            Ok(Stretch::Yield) => {
                task.waker().wake_by_ref();
                Poll::Pending
            }
            Ok(Stretch::Sleep(wake_at)) => {
                let wait = wake_at.saturating_sub(running.partition.now());
                self.wake_after(Duration::from_nanos(wait), task);
                Poll::Pending
            }
            Ok(Stretch::Done) => {
                actor.exit(Ok(()), context);
                Poll::Ready(())
            }
            Err(error) => {
                actor.exit(Err(error), context);
                Poll::Ready(())
            }
        }
    }
}
