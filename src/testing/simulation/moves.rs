//! Moves at random: the grants of the real supervisor, asked for what a seed picks.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::dataflow::{Order, Reply};
use crate::exchange::planted::{Fault, is_planted};
use crate::exchange::wake::Wake;
use crate::routing::{Move, key_group};
use crate::runtime::Partition;
use crate::supervisor::{Grants, Movable, Next, Proposal};
use crate::testing::Random;
use crate::testing::simulation::Simulated;
use crate::testing::simulation::parts::Rest;

/// What a simulation moves, and how often.
#[derive(Clone, Debug)]
pub(crate) struct RandomMoves {
    /// Hashes of keys that the job has: they and their groups move.
    pub(crate) hashes: Vec<u64>,
    /// One step in so many is the mover's.
    pub(crate) one_in: u64,
    /// Moves that may be open at once.
    pub(crate) open_max: usize,
    /// Whether barriers are let in now and then.
    pub(crate) barriers: bool,
    /// Whether keys are combined at their feeders now and then.
    pub(crate) combines: bool,
    /// Whether keys lie in ranges that are cut and merged now and then, and move as such.
    pub(crate) ranges: bool,
}

/// Asks for moves, and carries orders and replies, each as late as the seed says.
pub(super) struct Mover {
    asked: RandomMoves,
    grants: Grants,
    partitions: usize,
    /// Orders that are under way, by partition, in order.
    mail: Vec<VecDeque<Order>>,
    /// Replies that are under way, in order.
    said: VecDeque<(usize, usize, Reply)>,
    /// The barrier that is under way, and the tasks that it has not come through.
    barrier: Option<(u64, Vec<(usize, usize)>)>,
    barriers: u64,
    pub(super) moved: u64,
    /// Ranges that were cut or merged.
    pub(super) regrouped: u64,
    /// The move that was done last, if nothing has followed it.
    last: Option<Arc<Move>>,
}

impl Mover {
    pub(super) fn new(asked: RandomMoves, domains: Vec<Movable>, partitions: usize) -> Mover {
        Mover {
            grants: Grants::new(domains, partitions, asked.open_max),
            asked,
            partitions,
            mail: (0..partitions).map(|_| VecDeque::new()).collect(),
            said: VecDeque::new(),
            barrier: None,
            barriers: 0,
            moved: 0,
            regrouped: 0,
            last: None,
        }
    }

    /// What grants the moves.
    #[cfg(test)]
    pub(super) fn grants(&mut self) -> &mut Grants {
        &mut self.grants
    }

    /// Takes note of what a partition says.
    pub(super) fn hear(&mut self, index: usize, partition: &mut Partition) {
        self.said.extend(partition.replies().map(|(task, reply)| (index, task, reply)));
    }

    fn has_mail(&self) -> bool {
        !self.said.is_empty() || self.mail.iter().any(|mail| !mail.is_empty())
    }

    /// Does one thing: asks for a move or a barrier, reads a reply, or has an order delivered,
    /// which is returned.
    fn act(&mut self, random: &mut Random, wakes: &[Wake]) -> Option<(usize, Order)> {
        if let Some(last) = self.last.take()
            && random.one_in(2)
        {
            // While what it sent is still in the lanes to the task behind it.
            self.propose(random, (last.domain + 1) % self.grants.domains().len());
            return None;
        }
        match random.index(7) {
            6 if self.asked.combines => self.combine(random, wakes),
            5 | 6 if self.asked.ranges => self.regroup(random, wakes),
            0 if self.asked.barriers => self.let_barrier_in(),
            0 | 1 => {
                let domain = random.index(self.grants.domains().len());
                self.propose(random, domain);
            }
            2 | 3 => self.read(wakes),
            _ => {
                let waiting: Vec<usize> =
                    (0..self.mail.len()).filter(|index| !self.mail[*index].is_empty()).collect();
                if !waiting.is_empty() {
                    let index = *random.one_of(&waiting);
                    return self.mail[index].pop_front().map(|order| (index, order));
                }
                self.read(wakes);
            }
        }
        None
    }

    /// Some units of one owner go to somebody: a few of these wishes are refused.
    fn propose(&mut self, random: &mut Random, domain: usize) {
        let table = self.grants.domains()[domain].domain.table();
        if let Some(ranges) = table.ranges() {
            return self.propose_ranges(random, domain, ranges.groups());
        }
        let first = *random.one_of(&self.asked.hashes);
        let donor = table.owner(first);
        let taker = if random.one_in(3) {
            table.owner_of_group(key_group(first))
        } else {
            random.index(self.partitions)
        };
        let mut proposal = Proposal { domain, donor, taker, ..Proposal::default() };
        let moves_keys = random.one_in(2);
        for _ in 0..random.within(1..=3) {
            let hash = *random.one_of(&self.asked.hashes);
            let group = key_group(hash);
            if moves_keys && table.owner(hash) == donor {
                proposal.keys.push(hash);
            }
            if !moves_keys && table.owner_of_group(group) == donor {
                proposal.groups.push(group as u16);
            }
        }
        if let Ok(moved) = self.grants.propose(&proposal) {
            self.mail[moved.taker].push_back(Order::Offer(moved));
        }
    }

    /// Some ranges of one owner that lie at an end of its ranges go to somebody on that side: some
    /// of these wishes are refused, and others are of any ranges.
    fn propose_ranges(&mut self, random: &mut Random, domain: usize, groups: &[u16]) {
        let table = self.grants.domains()[domain].domain.table();
        let owner = |group: &u16| table.owner_of_group(usize::from(*group));
        let donor = owner(random.one_of(groups));
        let mut own: Vec<u16> =
            groups.iter().copied().filter(|group| owner(group) == donor).collect();
        let taker = match random.index(4) {
            0 => random.index(self.partitions),
            1 => donor.saturating_sub(1),
            _ => (donor + 1).min(self.partitions - 1),
        };
        let count = random.within(1..=3).min(own.len() as u64) as usize;
        if random.one_in(8) {
            let any = random.index(own.len());
            own.swap(0, any);
        }
        let first = if taker > donor { own.len() - count } else { 0 };
        let groups = own[first..first + count].to_vec();
        let proposal = Proposal { domain, groups, keys: Vec::new(), donor, taker };
        if let Ok(moved) = self.grants.propose(&proposal) {
            self.mail[moved.taker].push_back(Order::Offer(moved));
        }
    }

    /// Has a range cut by its owner, or merged with the one above it: some of these wishes are
    /// refused.
    fn regroup(&mut self, random: &mut Random, wakes: &[Wake]) {
        let domain = random.index(self.grants.domains().len());
        let table = self.grants.domains()[domain].domain.table();
        let Some(ranges) = table.ranges() else { return };
        let group = *random.one_of(ranges.groups());
        // Many ranges become few again, so that groups are used again.
        if random.one_in(2) || ranges.groups().len() > 12 {
            if self.grants.merge(domain, group).is_ok() {
                self.regrouped += 1;
                wakes.iter().for_each(Wake::wake);
            }
        } else if let Ok((owner, order)) =
            self.grants.cut(domain, group, random.within(2..=4) as usize)
        {
            self.mail[owner].push_back(order);
        }
    }

    /// Has a key combined at its feeders, or no longer: some of these wishes are refused.
    fn combine(&mut self, random: &mut Random, wakes: &[Wake]) {
        let mergeable = |domain: &usize| self.grants.domains()[*domain].unmergeable.is_none();
        let domains: Vec<usize> = (0..self.grants.domains().len()).filter(mergeable).collect();
        if domains.is_empty() {
            return;
        }
        let (domain, hash) = (*random.one_of(&domains), *random.one_of(&self.asked.hashes));
        if self.grants.combine(domain, hash, !random.one_in(3)).is_ok() {
            wakes.iter().for_each(Wake::wake);
        }
    }

    fn let_barrier_in(&mut self) {
        if self.barrier.is_some() || !self.grants.begin_barrier() {
            return;
        }
        self.barriers += 1;
        self.barrier = Some((self.barriers, Vec::new()));
        for mail in &mut self.mail {
            mail.push_back(Order::Barrier(self.barriers));
        }
    }

    /// Has all partitions stop, if no move is open and no barrier under way.
    pub(super) fn stop(&mut self, stop: u64) -> bool {
        let may_begin = self.grants.begin_barrier();
        if may_begin {
            self.mail.iter_mut().for_each(|mail| mail.push_back(Order::Barrier(stop)));
        }
        may_begin
    }

    /// Whether orders are under way.
    pub(super) fn has_orders(&self) -> bool {
        self.mail.iter().any(|mail| !mail.is_empty())
    }

    /// The stop is over.
    pub(super) fn went_on(&mut self) {
        self.grants.end_barrier();
    }

    /// The job has been laid out anew.
    pub(super) fn renew(&mut self, domains: Vec<Movable>, partitions: usize) {
        self.grants = Grants::new(domains, partitions, self.asked.open_max);
        self.partitions = partitions;
        self.mail = (0..partitions).map(|_| VecDeque::new()).collect();
        (self.last, self.barrier) = (None, None);
        self.said.clear();
    }

    fn read(&mut self, wakes: &[Wake]) {
        let Some((partition, task, reply)) = self.said.pop_front() else { return };
        if let (Reply::Passed(barrier), Some((open, passed))) = (&reply, &mut self.barrier)
            && barrier == open
        {
            passed.push((partition, task));
        }
        self.regrouped += u64::from(matches!(reply, Reply::Cut { is_cut: true, .. }));
        match self.grants.on_reply(&reply) {
            Next::Wake if is_planted(Fault::PublishWithoutWake) => {}
            Next::Wake => wakes.iter().for_each(Wake::wake),
            Next::Cancel(moved) => self.cancel(&moved),
            Next::Done(moved, _) => {
                self.moved += 1;
                self.last = Some(moved);
            }
            Next::Refused(_) | Next::Nothing => {}
        }
    }

    fn cancel(&mut self, moved: &Arc<Move>) {
        self.mail[moved.taker].push_back(Order::Cancel(moved.id));
    }

    /// Ends the barrier once it is through all tasks but those that have ended.
    fn settle_barrier(&mut self, partitions: &[Partition]) {
        let Some((_, passed)) = &self.barrier else { return };
        let is_through = partitions.iter().enumerate().all(|(index, partition)| {
            (0..partition.task_count())
                .all(|task| passed.contains(&(index, task)) || partition.is_task_done(task))
        });
        if is_through {
            self.barrier = None;
            self.grants.end_barrier();
        }
    }
}

impl Simulated {
    /// Moves that have come to their end.
    #[cfg(any(test, feature = "cli"))]
    pub(crate) fn moved(&self) -> u64 {
        self.job.mover.as_ref().map_or(0, |mover| mover.moved)
    }

    /// Ranges that were cut or merged.
    #[cfg(test)]
    pub(crate) fn regrouped(&self) -> u64 {
        self.job.mover.as_ref().map_or(0, |mover| mover.regrouped)
    }

    pub(super) fn is_movers_turn(&mut self) -> bool {
        let one_in = self.job.mover.as_ref().map(|mover| mover.asked.one_in);
        one_in.is_some_and(|one_in| self.runs.random.one_in(one_in))
    }

    pub(super) fn has_mail(&self) -> bool {
        self.job.mover.as_ref().is_some_and(Mover::has_mail)
    }

    pub(super) fn run_mover(&mut self) {
        let Some(mover) = &mut self.job.mover else { return };
        if mover.asked.ranges && self.runs.random.one_in(4) {
            // Whoever is looked at takes note of its keys.
            let index = self.runs.random.index(self.job.partitions.len());
            self.job.partitions[index].look(true);
        }
        let delivered = mover.act(&mut self.runs.random, &self.job.wakes);
        if let Some((index, order)) = delivered {
            let partition = &mut self.job.partitions[index];
            partition.tell(&order);
            mover.hear(index, partition);
            if self.job.beds[index].rest != Rest::Done {
                self.job.beds[index].rest = Rest::None; // Whoever tells a partition wakes it.
            }
        }
        mover.settle_barrier(&self.job.partitions);
    }
}
