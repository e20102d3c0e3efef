//! The supervisor as an actor: carries what the grants say to the partitions, and what these say
//! back. It decides nothing itself.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use actix::{Actor, ActorFutureExt, Addr, AsyncContext, Context, Handler, Message, WrapFuture};

use crate::dataflow::{Order, Reply};
use crate::metrics::Moves;
use crate::routing::{MoveId, PARTITIONS_MAX};
use crate::runtime::{OnDry, OnReply, PartitionHandle};
use crate::supervisor::account::Account;
use crate::supervisor::decision::Action;
use crate::supervisor::grants::{Denied, Grants, Next, Proposal};
use crate::supervisor::load::{Occasion, Unit};
use crate::supervisor::rebalancer::{Depth, Rebalancer};
use crate::time::{Clock, MonotonicClock};

/// Messages that may wait for the supervisor, far more than there are: of each partition one
/// question and its end, of each open move and each cut one reply.
const MAILBOX: usize = 8 * PARTITIONS_MAX;
/// How long it may take to say what is open: a policy may be in the middle of something long.
const HALT_MAX: Duration = Duration::from_secs(1);
/// Between two looks at the load while the first bounds of ranges are learned, and how many.
const FIRST_TICK: Duration = Duration::from_millis(5);
const FIRST_LOOKS: u32 = 100;
/// Between two looks at the load.
const TICK: Duration = Duration::from_millis(100);

/// Where it writes down what it sees and does, for others to read.
pub struct Books {
    /// What came of moves.
    pub ledger: Arc<Mutex<Moves>>,
    /// What was seen and decided last.
    pub account: Arc<Mutex<Account>>,
}

/// One job's supervisor.
pub struct Supervisor {
    grants: Grants,
    partitions: Vec<PartitionHandle>,
    books: Books,
    /// `None` if nothing is to move by itself.
    rebalancer: Option<Rebalancer>,
    /// How often all of that was renewed: what partitions of before say comes too late.
    renewed: u32,
    is_ticking: bool,
}

/// The way to a supervisor, for those who have something to say before it is there.
#[derive(Clone, Default)]
pub struct Address(Arc<OnceLock<Addr<Supervisor>>>);

impl Address {
    /// Tells it what tasks of a partition say; before there is a supervisor nobody asks them.
    pub fn on_reply(&self) -> OnReply {
        let address = self.clone();
        Box::new(move |_, reply| {
            // Whoever lets barriers in asks the partitions themselves.
            if let Some(supervisor) = address.0.get()
                && !matches!(reply, Reply::Passed(_))
            {
                // There is room: each reply answers an order, or ends a move that is open.
                let _ = supervisor.try_send(Said(reply));
            }
        })
    }

    /// Tells it when `partition` has nothing to do.
    pub fn on_dry(&self, partition: usize) -> OnDry {
        let address = self.clone();
        let is_waiting = Arc::new(AtomicBool::new(false));
        Box::new(move || {
            let Some(supervisor) = address.0.get() else { return };
            // One question waits at most, so that there is room for replies; the partition asks
            // again later. Relaxed: nothing else is told by it.
            if !is_waiting.swap(true, Ordering::Relaxed) {
                let is_waiting = Arc::clone(&is_waiting);
                let _ = supervisor.try_send(StealAsk { thief: partition, is_waiting });
            }
        })
    }

    /// Says that a partition has ended, and answers nothing any more.
    pub fn ended(&self, partition: usize) {
        if let Some(supervisor) = self.0.get() {
            let _ = supervisor.try_send(Ended(partition));
        }
    }

    /// Makes the supervisor known.
    pub fn set(&self, supervisor: Addr<Supervisor>) {
        let _ = self.0.set(supervisor);
    }

    /// Asks for a move; says whether it was begun. `None` if there is no supervisor any more.
    pub fn propose(&self, proposal: Proposal) -> Option<Result<MoveId, Denied>> {
        let (answer, answered) = std::sync::mpsc::sync_channel(1);
        self.0.get()?.try_send(Propose { proposal, answer }).ok()?;
        answered.recv().ok()
    }

    /// Has the key with this hash move to the next partition, if it may now; `false` if there is
    /// no supervisor any more. Does not wait.
    pub fn force(&self, domain: usize, hash: u64) -> bool {
        let Some(supervisor) = self.0.get() else { return false };
        // Where others wait already there is no hurry.
        let _ = supervisor.try_send(Force { domain, hash });
        supervisor.connected()
    }

    /// Lets no more moves begin; whether some are open, or may be since it is too busy to say.
    pub fn halt(&self) -> bool {
        let Some(supervisor) = self.0.get() else { return false };
        let (answer, answered) = std::sync::mpsc::sync_channel(1);
        match supervisor.try_send(Halt(answer)) {
            Ok(()) => match answered.recv_timeout(HALT_MAX) {
                Ok(open) => open > 0,
                Err(why) => why == RecvTimeoutError::Timeout,
            },
            Err(why) => matches!(why, actix::prelude::SendError::Full(_)),
        }
    }

    /// Lets moves begin again.
    pub fn resume(&self) {
        if let Some(supervisor) = self.0.get() {
            let _ = supervisor.try_send(Resume);
        }
    }

    /// Has the supervisor look after other partitions from now on. No move is open.
    pub fn renew(
        &self,
        grants: Grants,
        partitions: Vec<PartitionHandle>,
        rebalancer: Option<Rebalancer>,
    ) {
        if let Some(supervisor) = self.0.get() {
            // There is room: partitions that have stopped say nothing.
            let _ = supervisor.try_send(Renew { grants, partitions, rebalancer });
        }
    }

    /// Lets no more moves begin.
    pub fn drain(&self) {
        if let Some(supervisor) = self.0.get() {
            let _ = supervisor.try_send(Drain);
        }
    }
}

impl Supervisor {
    /// Grants moves of these partitions, and begins those that `rebalancer` decides on.
    pub fn new(
        grants: Grants,
        partitions: Vec<PartitionHandle>,
        books: Books,
        rebalancer: Option<Rebalancer>,
    ) -> Self {
        let mut supervisor =
            Supervisor { grants, partitions, books, rebalancer, renewed: 0, is_ticking: false };
        supervisor.open_account();
        supervisor
    }

    fn open_account(&mut self) {
        if let Some(rebalancer) = &mut self.rebalancer {
            rebalancer.report_to(&self.books.account);
        }
    }

    /// Looks at the load from now on, if anybody wants to know it.
    fn tick(&mut self, context: &mut Context<Self>) {
        if self.rebalancer.is_some() && !self.is_ticking {
            self.is_ticking = true;
            context.run_interval(TICK, |supervisor, context| {
                supervisor.look((Occasion::Tick, Depth::Sample), context);
            });
            let mut domains = self.grants.domains().iter();
            if domains.any(|movable| movable.domain.is_ranged()) {
                Self::learn(FIRST_LOOKS, context);
            }
        }
    }

    /// Looks so many times more in quick succession: first bounds of ranges are learned soon, since
    /// until then one partition works for all.
    fn learn(looks: u32, context: &mut Context<Self>) {
        context.run_later(FIRST_TICK, move |supervisor, context| {
            let learns = supervisor.rebalancer.as_ref().is_some_and(Rebalancer::learns);
            if looks > 0 && learns {
                supervisor.look((Occasion::Tick, Depth::Sample), context);
                Self::learn(looks - 1, context);
            }
        });
    }

    /// Asks all partitions how they fare, and then the policy what to do about it.
    fn look(&mut self, (occasion, depth): (Occasion, Depth), context: &mut Context<Self>) {
        let Some(rebalancer) = &mut self.rebalancer else { return };
        // A partition that is in the middle of something long answers later.
        if !rebalancer.begin(occasion, depth) {
            return;
        }
        for (index, partition) in self.partitions.iter().enumerate() {
            let look = partition.look(depth == Depth::Sample).into_actor(self);
            let asked = self.renewed;
            context.spawn(look.map(move |look, supervisor, context| {
                if asked != supervisor.renewed {
                    return;
                }
                let Some(rebalancer) = &mut supervisor.rebalancer else { return };
                if !rebalancer.take(index, look) {
                    return;
                }
                match rebalancer.decide(MonotonicClock.now(), &supervisor.grants) {
                    Some(occasion) => supervisor.look((occasion, Depth::Sample), context),
                    None => supervisor.act(),
                }
            }));
        }
    }

    /// Begins what was decided, as far as it may be now.
    fn act(&mut self) {
        while let Some(action) = self.rebalancer.as_ref().and_then(Rebalancer::next).cloned() {
            let begun = match action {
                Action::Move { domain, units, from, to } => {
                    self.begin(&proposal(domain, &units, from, to)).map(drop)
                }
                Action::Cut { domain, group, parts } => self.cut(domain, group, parts),
                Action::Merge { domain, group } => self.merge(domain, group),
                Action::Combine { domain, key } => self.combine(domain, key, true),
                Action::Fold { domain, key } => self.combine(domain, key, false),
            };
            let Some(rebalancer) = &mut self.rebalancer else { return };
            match begun {
                Ok(()) => rebalancer.advance(),
                // When a move that is open has come to its end, it is tried again.
                Err(Denied::TooManyMoves | Denied::PathBusy | Denied::UnderWay) => return,
                Err(why) => rebalancer.deny(MonotonicClock.now(), why),
            }
        }
    }

    fn combine(&mut self, domain: usize, key: u64, is_combined: bool) -> Result<(), Denied> {
        self.grants.combine(domain, key, is_combined)?;
        self.partitions.iter().for_each(PartitionHandle::wake);
        if is_combined {
            self.books.ledger.lock().unwrap_or_else(PoisonError::into_inner).combined_keys += 1;
        }
        Ok(())
    }

    fn cut(&mut self, domain: usize, group: u16, parts: usize) -> Result<(), Denied> {
        let (owner, order) = self.grants.cut(domain, group, parts)?;
        if self.partitions[owner].order(order) {
            return Ok(());
        }
        self.grants.on_reply(&Reply::Cut { domain, group, is_cut: false });
        Err(Denied::Unreached)
    }

    fn merge(&mut self, domain: usize, group: u16) -> Result<(), Denied> {
        self.grants.merge(domain, group)?;
        self.partitions.iter().for_each(PartitionHandle::wake);
        Ok(())
    }

    /// Begins a move, if it may be.
    fn begin(&mut self, proposal: &Proposal) -> Result<MoveId, Denied> {
        let moved = self.grants.propose(proposal)?;
        let (id, taker) = (moved.id, moved.taker);
        if self.partitions[taker].order(Order::Offer(moved)) {
            return Ok(id);
        }
        self.grants.on_reply(&Reply::Refused(id));
        Err(Denied::Unreached)
    }

    fn follow(&mut self, next: Next) {
        let mut ledger = self.books.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        match next {
            Next::Wake => self.partitions.iter().for_each(PartitionHandle::wake),
            Next::Cancel(moved) => {
                self.partitions[moved.taker].order(Order::Cancel(moved.id));
            }
            Next::Done(moved, report) => {
                let keys = moved.units.keys().len() as u64;
                ledger.keys += keys;
                ledger.groups += moved.units.len() as u64 - keys;
                ledger.stolen_records += report.stolen;
                ledger.pause.record(report.pause);
            }
            Next::Refused(_) | Next::Nothing => {}
        }
    }
}

fn proposal(domain: usize, units: &[Unit], donor: usize, taker: usize) -> Proposal {
    let mut proposal = Proposal { domain, donor, taker, ..Proposal::default() };
    for unit in units {
        match unit {
            Unit::Group(group) => proposal.groups.push(*group),
            Unit::Key(hash) => proposal.keys.push(*hash),
        }
    }
    proposal
}

impl Actor for Supervisor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(MAILBOX);
        self.tick(context);
    }
}

/// What a task said.
struct Said(Reply);

impl Message for Said {
    type Result = ();
}

impl Handler<Said> for Supervisor {
    type Result = ();

    fn handle(&mut self, Said(reply): Said, _: &mut Context<Self>) {
        let next = self.grants.on_reply(&reply);
        self.follow(next);
        self.act();
    }
}

/// A partition has ended.
struct Ended(usize);

impl Message for Ended {
    type Result = ();
}

impl Handler<Ended> for Supervisor {
    type Result = ();

    fn handle(&mut self, Ended(partition): Ended, _: &mut Context<Self>) {
        self.grants.on_end(partition);
        self.act();
    }
}

/// A partition has nothing to do.
struct StealAsk {
    thief: usize,
    /// Until it is read.
    is_waiting: Arc<AtomicBool>,
}

impl Message for StealAsk {
    type Result = ();
}

impl Handler<StealAsk> for Supervisor {
    type Result = ();

    fn handle(&mut self, ask: StealAsk, context: &mut Context<Self>) {
        let StealAsk { thief, is_waiting } = ask;
        is_waiting.store(false, Ordering::Relaxed);
        if self.rebalancer.as_ref().is_some_and(|rebalancer| rebalancer.may_help(thief)) {
            self.look((Occasion::Ask(thief), Depth::Glance), context);
        }
    }
}

/// A wish for a move.
struct Propose {
    proposal: Proposal,
    answer: SyncSender<Result<MoveId, Denied>>,
}

impl Message for Propose {
    type Result = ();
}

impl Handler<Propose> for Supervisor {
    type Result = ();

    fn handle(&mut self, Propose { proposal, answer }: Propose, _: &mut Context<Self>) {
        // Who asked may have gone.
        let _ = answer.try_send(self.begin(&proposal));
    }
}

/// A key is to move, wherever it is.
struct Force {
    domain: usize,
    hash: u64,
}

impl Message for Force {
    type Result = ();
}

impl Handler<Force> for Supervisor {
    type Result = ();

    fn handle(&mut self, Force { domain, hash }: Force, _: &mut Context<Self>) {
        let Some(movable) = self.grants.domains().get(domain) else { return };
        let donor = movable.domain.table().owner(hash);
        let taker = (donor + 1) % self.partitions.len();
        let proposal = Proposal { domain, keys: vec![hash], donor, taker, ..Proposal::default() };
        // One that comes while another is open is left out.
        let _ = self.begin(&proposal);
    }
}

/// Nothing is to begin any more.
struct Drain;

impl Message for Drain {
    type Result = ();
}

impl Handler<Drain> for Supervisor {
    type Result = ();

    fn handle(&mut self, _: Drain, _: &mut Context<Self>) {
        self.grants.drain();
    }
}

/// Nothing is to begin any more; the answer is what is open.
struct Halt(SyncSender<usize>);

impl Message for Halt {
    type Result = ();
}

impl Handler<Halt> for Supervisor {
    type Result = ();

    fn handle(&mut self, Halt(answer): Halt, _: &mut Context<Self>) {
        self.grants.drain();
        // Who asked may have gone.
        let _ = answer.try_send(self.grants.open());
    }
}

/// What had to be waited for is put off.
struct Resume;

impl Message for Resume {
    type Result = ();
}

impl Handler<Resume> for Supervisor {
    type Result = ();

    fn handle(&mut self, _: Resume, _: &mut Context<Self>) {
        self.grants.resume();
    }
}

/// The job has been laid out anew.
struct Renew {
    grants: Grants,
    partitions: Vec<PartitionHandle>,
    rebalancer: Option<Rebalancer>,
}

impl Message for Renew {
    type Result = ();
}

impl Handler<Renew> for Supervisor {
    type Result = ();

    fn handle(&mut self, renew: Renew, context: &mut Context<Self>) {
        self.renewed += 1;
        (self.grants, self.partitions) = (renew.grants, renew.partitions);
        self.rebalancer = renew.rebalancer;
        self.open_account();
        self.tick(context);
    }
}
