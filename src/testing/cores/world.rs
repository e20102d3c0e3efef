//! The simulated partitions: who owns which key, what arrives, what waits.

use std::collections::BTreeMap;

use crate::metrics::Histogram;
use crate::routing::{KEY_GROUPS, key_group};
use crate::supervisor::{Action, Unit};
use crate::testing::Random;
use crate::testing::cores::costs::{
    BATCH_RECORDS, MOVE_NS, PARTIAL_NS, PARTIALS_PER_S, RECORD_NS, STEP_NS,
};
use crate::testing::cores::random::poisson;
use crate::time::Nanos;

/// The route of a key that has one of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) owner: u16,
    pub(super) is_combined: bool,
}

/// Partitions, each a queue in front of a core, with fluid work in it.
#[derive(Debug)]
pub(super) struct World<'a> {
    hashes: &'a [u64],
    /// Key index by hash, for the keys that a policy may name.
    index: BTreeMap<u64, u32>,
    /// Cores that all records of an average tick keep busy.
    pub(super) volume: f64,
    /// Share of every key in this tick.
    pub(super) shares: Vec<f64>,
    /// Share of the keys of a group that have no route of their own.
    pub(super) groups: Vec<f64>,
    pub(super) owners: Vec<u16>,
    pub(super) routes: BTreeMap<u32, Route>,
    /// Demand by partition, in cores, and what of it cannot move.
    pub(super) demands: Vec<f64>,
    pub(super) rest: Vec<f64>,
    pub(super) backlog_ns: Vec<f64>,
    pub(super) waits: Histogram,
}

impl<'a> World<'a> {
    pub(super) fn new(hashes: &'a [u64], partitions: usize, volume: f64) -> World<'a> {
        World {
            hashes,
            index: (0..).zip(hashes).map(|(index, hash)| (*hash, index)).collect(),
            volume,
            shares: Vec::new(),
            groups: vec![0.0; KEY_GROUPS],
            owners: (0..KEY_GROUPS).map(|group| (group * partitions / KEY_GROUPS) as u16).collect(),
            routes: BTreeMap::new(),
            demands: vec![0.0; partitions],
            rest: vec![0.0; partitions],
            backlog_ns: vec![0.0; partitions],
            waits: Histogram::new(),
        }
    }

    pub(super) fn partitions(&self) -> usize {
        self.demands.len()
    }

    pub(super) fn hash(&self, key: u32) -> u64 {
        self.hashes[key as usize]
    }

    pub(super) fn group(&self, key: u32) -> usize {
        key_group(self.hash(key))
    }

    /// Takes the tick's `shares` over.
    pub(super) fn take_shares(&mut self) {
        self.groups.fill(0.0);
        for (share, hash) in self.shares.iter().zip(self.hashes) {
            self.groups[key_group(*hash)] += share;
        }
        for key in self.routes.keys() {
            self.groups[key_group(self.hashes[*key as usize])] -= self.shares[*key as usize];
        }
        self.settle();
    }

    /// Works the demands out anew.
    pub(super) fn settle(&mut self) {
        let count = self.partitions() as f64;
        self.rest.fill(0.0);
        self.demands.fill(0.0);
        for (owner, share) in self.owners.iter().zip(&self.groups) {
            self.demands[usize::from(*owner)] += share.max(0.0) * self.volume;
        }
        for (key, route) in &self.routes {
            let demand = self.shares[*key as usize] * self.volume;
            if !route.is_combined {
                self.demands[usize::from(route.owner)] += demand;
                continue;
            }
            self.rest.iter_mut().for_each(|rest| *rest += demand / count);
            let records = demand * 1e9 / RECORD_NS;
            let partials = records.min(count * PARTIALS_PER_S);
            self.rest[usize::from(route.owner)] += partials * PARTIAL_NS / 1e9;
        }
        for (demand, rest) in self.demands.iter_mut().zip(&self.rest) {
            *demand += rest;
        }
    }

    /// Replaces the demands by those of keys that somebody else has spread.
    pub(super) fn take_demands(&mut self, shares: &[f64], merging: f64) {
        let extra = merging / self.partitions() as f64;
        for (demand, share) in self.demands.iter_mut().zip(shares) {
            *demand = share * self.volume + extra;
        }
    }

    /// Lets a step's records arrive, and every core work for as long.
    pub(super) fn step(&mut self, random: &mut Random) {
        let batch_ns = BATCH_RECORDS * RECORD_NS;
        for (backlog, demand) in self.backlog_ns.iter_mut().zip(&self.demands) {
            let batches = poisson(random, demand * STEP_NS as f64 / batch_ns);
            self.waits.record_n(*backlog as Nanos, (batches * BATCH_RECORDS) as u64);
            *backlog = (*backlog + batches * batch_ns - STEP_NS as f64).max(0.0);
        }
    }

    /// Does what was decided, within one step.
    pub(super) fn apply(&mut self, action: &Action) {
        match action {
            Action::Move { units, from, to, .. } => {
                for unit in units {
                    self.give(*unit, *from, *to);
                }
                self.backlog_ns[*from] += MOVE_NS / 2.0;
                self.backlog_ns[*to] += MOVE_NS / 2.0;
            }
            Action::Cut { .. } | Action::Merge { .. } => unreachable!("its keys have no order"),
            Action::Combine { key, .. } => self.combine(*key),
            Action::Fold { key, .. } => self.fold(*key),
        }
        self.settle();
    }

    /// The owner of a key.
    pub(super) fn owner(&self, key: u32) -> u16 {
        let route = self.routes.get(&key).map(|route| route.owner);
        route.unwrap_or_else(|| self.owners[self.group(key)])
    }

    fn give(&mut self, unit: Unit, from: usize, to: usize) {
        let share = match unit {
            Unit::Group(group) => {
                self.owners[usize::from(group)] = to as u16;
                self.groups[usize::from(group)]
            }
            Unit::Key(hash) => {
                let key = self.index[&hash];
                let (group, share) = (self.group(key), self.shares[key as usize]);
                let had_route = self.routes.remove(&key).is_some();
                let is_home = usize::from(self.owners[group]) == to;
                if !is_home {
                    self.routes.insert(key, Route { owner: to as u16, is_combined: false });
                }
                match (had_route, is_home) {
                    (false, false) => self.groups[group] -= share,
                    (true, true) => self.groups[group] += share,
                    _ => {}
                }
                share
            }
        };
        // Its part of the queue goes with it.
        let part =
            (share * self.volume / self.demands[from].max(f64::MIN_POSITIVE)).clamp(0.0, 1.0);
        let waiting = self.backlog_ns[from] * part;
        self.backlog_ns[from] -= waiting;
        self.backlog_ns[to] += waiting;
    }

    fn combine(&mut self, hash: u64) {
        let key = self.index[&hash];
        let (owner, group) = (self.owner(key), self.group(key));
        if self.routes.insert(key, Route { owner, is_combined: true }).is_none() {
            self.groups[group] -= self.shares[key as usize];
        }
    }

    fn fold(&mut self, hash: u64) {
        let key = self.index[&hash];
        let (owner, group) = (self.owner(key), self.group(key));
        if self.owners[group] == owner {
            self.routes.remove(&key);
            self.groups[group] += self.shares[key as usize];
        } else {
            self.routes.insert(key, Route { owner, is_combined: false });
        }
    }
}
