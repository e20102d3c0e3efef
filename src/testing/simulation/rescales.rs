//! Rescales at random: what the engine does to a running job, at moments that a seed picks.

use crate::dataflow::Order;
use crate::engine::build::{Blueprint, Layout};
use crate::error::Result;
use crate::exchange::STOPS;
use crate::exchange::wake::{Sleeper, wake_pair};
use crate::runtime::Partition;
use crate::testing::simulation::Simulated;
use crate::testing::simulation::parts::{Bed, Rest};

/// The most partitions that a job is rescaled to.
const PARTITIONS_MAX: u64 = 6;

/// Lays the job out anew now and then.
pub(super) struct Rescales {
    blueprint: Blueprint,
    /// One step in so many begins a rescale, if none is under way and no move is open.
    one_in: u64,
    /// The stop that is under way.
    stop: Option<u64>,
    stops: u64,
    /// To how many partitions the next one goes, if that has been said.
    wanted: Option<usize>,
    /// How many have been done.
    done: u64,
}

impl Rescales {
    pub(super) fn new(blueprint: Blueprint, one_in: u64) -> Rescales {
        Rescales { blueprint, one_in, stop: None, stops: 0, wanted: None, done: 0 }
    }
}

impl Simulated {
    /// Rescales that have been done.
    #[cfg(test)]
    pub(crate) fn rescaled(&self) -> u64 {
        self.job.rescales.as_ref().map_or(0, |rescales| rescales.done)
    }

    /// Goes on until the job has so many partitions, or a partition comes to its end.
    #[cfg(any(test, feature = "cli"))]
    pub(crate) fn rescale_to(&mut self, to: usize) -> Result<()> {
        if let Some(rescales) = &mut self.job.rescales {
            rescales.wanted = Some(to);
        }
        while self.job.rescales.as_ref().is_some_and(|rescales| rescales.wanted.is_some())
            && !self.job.partitions.iter().any(Partition::is_done)
        {
            self.step()?;
        }
        Ok(())
    }

    /// Begins a rescale, or does what there is to do once everything has stopped; `false` if
    /// nothing was done.
    pub(super) fn run_rescale(&mut self) -> Result<bool> {
        let (Some(rescales), Some(mover)) = (&mut self.job.rescales, &mut self.job.mover) else {
            return Ok(false);
        };
        let partitions = &mut self.job.partitions;
        let Some(stop) = rescales.stop else {
            let is_ending = partitions.iter().any(Partition::is_done);
            let is_due = rescales.wanted.is_some() || self.runs.random.one_in(rescales.one_in);
            let begins = is_due && !is_ending;
            if begins && mover.stop(STOPS + rescales.stops) {
                rescales.stop = Some(STOPS + rescales.stops);
                rescales.stops += 1;
            }
            // Where a move is open others have to go on first.
            return Ok(rescales.stop.is_some());
        };
        if mover.has_orders() || !partitions.iter().all(Partition::is_at_rest) {
            return Ok(false);
        }
        rescales.stop = None;
        mover.went_on();
        self.job.beds.iter_mut().filter(|bed| bed.rest != Rest::Done).for_each(|bed| {
            bed.sleeper.withdraw();
            bed.rest = Rest::None;
        });
        let drawn = self.runs.random.within(1..=PARTITIONS_MAX) as usize;
        let to = rescales.wanted.take().unwrap_or(drawn);
        if partitions.iter().any(Partition::is_done) || to == partitions.len() {
            partitions.iter_mut().for_each(|partition| partition.tell(&Order::GoOn(stop)));
            return Ok(true);
        }
        self.go_over(to)?;
        Ok(true)
    }

    /// Goes over to so many partitions. Nothing is under way.
    fn go_over(&mut self, to: usize) -> Result<()> {
        let job = &mut self.job;
        let Some(rescales) = &mut job.rescales else { return Ok(()) };
        let (from, mut before) = (job.partitions.len(), Vec::new());
        let mut sleepers: Vec<Option<Sleeper>> = job.wakes.iter().map(|_| None).collect();
        for (index, (partition, bed)) in job.partitions.iter_mut().zip(&mut job.beds).enumerate() {
            while index >= to && !partition.retire(&rescales.blueprint.unrooted())? {}
            before.extend(partition.vacate());
            let theirs = (from..sleepers.len()).filter(|other| other % from == index);
            let theirs: Vec<usize> = theirs.collect();
            for (other, sleeper) in theirs.into_iter().zip(bed.sleeper.release()) {
                sleepers[other] = Some(sleeper);
            }
        }
        job.partitions.drain(to.min(from)..).for_each(Partition::finish);
        for (index, bed) in (to.min(from)..).zip(job.beds.drain(to.min(from)..)) {
            sleepers[index] = Some(bed.sleeper);
        }
        while job.wakes.len() < to {
            let (sleeper, wake) = wake_pair();
            job.wakes.push(wake);
            sleepers.push(Some(sleeper));
        }
        let Layout { partitions, domains } = rescales.blueprint.lay_out(to, &job.wakes, before)?;
        for (index, sleeper) in sleepers.iter_mut().enumerate().take(to).skip(from) {
            let (metrics, clock) = (job.registry.open(index), Box::new(self.clock.clone()));
            job.partitions.push(Partition::vacant(index, metrics, clock));
            let sleeper = sleeper.take().expect("a partition that was removed left it");
            job.beds.push(Bed { sleeper, rest: Rest::None });
        }
        for (partition, instances) in job.partitions.iter_mut().zip(partitions) {
            partition.seat(instances);
        }
        let roots = rescales.blueprint.roots();
        for (index, sleeper) in sleepers.iter_mut().enumerate().take(roots).skip(to) {
            job.beds[index % to].sleeper.adopt(sleeper.take().expect("it was released"));
        }
        job.wakes.truncate(to.max(roots));
        rescales.done += 1;
        if let Some(mover) = &mut job.mover {
            mover.renew(domains, to);
        }
        Ok(())
    }
}
