//! Views for tests: even groups, keys put on top of them, actions applied as if they were done.

use crate::routing::{KEY_GROUPS, key_group, with_group};
use crate::supervisor::decision::Action;
use crate::supervisor::load::{
    CORE, DomainLoad, KeyLoad, KeyRoute, LoadView, Occasion, PartitionLoad, Unit,
};
use crate::time::Nanos;

/// Time between two ticks.
pub(crate) const TICK_NS: Nanos = 100_000_000;

/// One domain whose groups, dealt out evenly, make `demand` together.
pub(crate) fn view(partitions: usize, demand: u64) -> LoadView {
    let domain = DomainLoad {
        name: "sum".into(),
        owners: (0..KEY_GROUPS).map(|group| (group * partitions / KEY_GROUPS) as u16).collect(),
        demands: vec![demand / KEY_GROUPS as u64; KEY_GROUPS],
        state_bytes: vec![1_000; KEY_GROUPS],
        ..DomainLoad::default()
    };
    LoadView {
        at: TICK_NS,
        occasion: Occasion::Tick,
        partitions: vec![PartitionLoad::default(); partitions],
        domains: vec![domain],
        open_moves: Vec::new(),
    }
}

/// A hash of group `group`.
pub(crate) fn hash(group: usize) -> u64 {
    with_group(0x0012_3456_789a_bcdf, group)
}

impl LoadView {
    /// Adds a key with this demand to `group`, and returns its hash.
    pub(crate) fn add_key(&mut self, group: usize, demand: u64) -> u64 {
        let domain = &mut self.domains[0];
        domain.demands[group] += demand;
        let key = KeyLoad {
            hash: hash(group),
            name: Some(format!("\"key of {group}\"")),
            owner: domain.owners[group],
            route: KeyRoute::Group,
            demand,
            error: 0,
            state_bytes: 100,
        };
        let place = domain.keys.partition_point(|other| other.hash < key.hash);
        domain.keys.insert(place, key);
        hash(group)
    }

    /// The view of the next tick, if nothing happens.
    pub(crate) fn pass(&mut self) {
        self.at += TICK_NS;
    }

    /// Shows the action as done.
    pub(crate) fn apply(&mut self, action: &Action) {
        match action {
            Action::Move { domain, units, to, .. } => {
                units.iter().for_each(|unit| self.give(*domain, *unit, *to as u16));
            }
            Action::Cut { domain, group, parts } => {
                let domain = &mut self.domains[*domain];
                let index = domain.ranges.iter().position(|other| other == group).expect("it is");
                let free = (0..KEY_GROUPS as u16).filter(|group| !domain.ranges.contains(group));
                let new: Vec<u16> = free.take(parts - 1).collect();
                let demand = domain.demands[usize::from(*group)] / *parts as u64;
                let owner = domain.owners[usize::from(*group)];
                for part in new.iter().chain([group]) {
                    domain.demands[usize::from(*part)] = demand;
                    domain.owners[usize::from(*part)] = owner;
                }
                domain.ranges.splice(index + 1..index + 1, new);
            }
            Action::Merge { domain, group } => {
                let domain = &mut self.domains[*domain];
                let index = domain.ranges.iter().position(|other| other == group).expect("it is");
                let above = domain.ranges.remove(index + 1);
                let demand = std::mem::take(&mut domain.demands[usize::from(above)]);
                domain.demands[usize::from(*group)] += demand;
            }
            Action::Combine { domain, key } => {
                let owner = self.domains[*domain].owner(Unit::Key(*key)).expect("a group");
                self.give(*domain, Unit::Key(*key), owner as u16);
                let found = self.key(*domain, *key);
                found.route = KeyRoute::Combined;
                let part = found.demand / self.partitions.len() as u64;
                self.partitions.iter_mut().for_each(|p| p.rest_demand += part);
            }
            Action::Fold { domain, key } => {
                let owner = self.domains[*domain].owner(Unit::Key(*key)).expect("a group");
                let found = self.key(*domain, *key);
                found.route = KeyRoute::Override;
                let part = found.demand / self.partitions.len() as u64;
                self.partitions.iter_mut().for_each(|p| p.rest_demand -= part);
                if self.domains[*domain].owners[key_group(*key)] == owner as u16 {
                    self.give(*domain, Unit::Key(*key), owner as u16);
                }
            }
        }
    }

    /// The fullest partition's demand over the mean.
    pub(crate) fn ratio(&self) -> f64 {
        let demands = self.demands();
        let highest = demands.iter().copied().max().unwrap_or(0) as f64;
        highest * demands.len() as f64 / demands.iter().sum::<u64>() as f64
    }

    fn key(&mut self, domain: usize, hash: u64) -> &mut KeyLoad {
        let keys = &mut self.domains[domain].keys;
        keys.iter_mut().find(|key| key.hash == hash).expect("the view has the key")
    }

    fn give(&mut self, domain: usize, unit: Unit, to: u16) {
        let domain = &mut self.domains[domain];
        match unit {
            Unit::Group(group) => {
                domain.owners[usize::from(group)] = to;
                for key in &mut domain.keys {
                    if key.route == KeyRoute::Group && key_group(key.hash) == usize::from(group) {
                        key.owner = to;
                    }
                }
            }
            Unit::Key(hash) => {
                let key = domain.keys.iter_mut().find(|key| key.hash == hash).expect("known");
                let group = key_group(hash);
                if key.route == KeyRoute::Group {
                    domain.demands[group] -= key.demand;
                }
                let is_home = domain.owners[group] == to && key.route == KeyRoute::Override;
                (key.owner, key.route) = (to, KeyRoute::Override);
                if is_home {
                    key.route = KeyRoute::Group;
                    domain.demands[group] += key.demand;
                }
            }
        }
    }
}

/// The parts of a core, in demand.
pub(crate) fn percent(percent: u64) -> u64 {
    CORE / 100 * percent
}
