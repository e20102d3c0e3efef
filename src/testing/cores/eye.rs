//! What the supervisor sees of the simulated partitions: sampled, averaged, late by a tick.

use std::collections::{BTreeMap, BTreeSet};

use crate::metrics::COUNTERS;
use crate::supervisor::{
    Average, CORE, DomainLoad, KeyLoad, KeyRoute, LoadView, Occasion, PartitionLoad,
};
use crate::testing::Random;
use crate::testing::cores::costs::{RECORD_NS, SAMPLES};
use crate::testing::cores::random::poisson;
use crate::testing::cores::world::World;
use crate::time::Nanos;

/// The averages from which views are made.
#[derive(Debug)]
pub(super) struct Eye {
    groups: Vec<Average>,
    keys: BTreeMap<u32, Average>,
    /// Keys that may be hot for some partition, in this tick.
    candidates: Vec<u32>,
}

impl Eye {
    pub(super) fn new(groups: usize) -> Eye {
        Eye {
            groups: vec![Average::default(); groups],
            keys: BTreeMap::new(),
            candidates: Vec::new(),
        }
    }

    /// Finds the keys that a sketch could report: 1/64 of the load of a partition that has at
    /// least half of the mean.
    pub(super) fn find_candidates(&mut self, world: &World<'_>) {
        let least = 0.5 / (COUNTERS * world.partitions()) as f64;
        let keys = 0..world.shares.len() as u32;
        self.candidates = keys.filter(|key| world.shares[*key as usize] >= least).collect();
    }

    /// Notes that a key's route has begun or ended: its demand leaves its group's at once, or
    /// comes back.
    pub(super) fn reroute(&mut self, key: u32, group: usize, has_route: bool) {
        let demand = self.keys.get(&key).map_or(0.0, |average| average.value());
        self.groups[group].shift(if has_route { -demand } else { demand });
    }

    /// Takes in what was sampled in the tick that ends now.
    pub(super) fn observe(&mut self, world: &World<'_>, random: &mut Random) {
        let seen_keys = self.observe_keys(world, random);
        let mut in_group = vec![(0.0, 0.0); world.groups.len()];
        for (key, seen) in seen_keys.iter().filter(|(key, _)| !world.routes.contains_key(key)) {
            let (all, known) = &mut in_group[world.group(*key)];
            *all += seen;
            *known += world.shares[*key as usize] * world.volume;
        }
        let mut seen = vec![0.0; world.groups.len()];
        let mut by_owner = vec![(0.0, 0.0); world.partitions()];
        for (group, owner) in world.owners.iter().enumerate() {
            let (of_keys, known) = in_group[group];
            let whole = world.groups[group] * world.volume;
            let others = (whole - known).max(0.0);
            seen[group] = of_keys + sampled(others, world.demands[usize::from(*owner)], random);
            let (seen_sum, sum) = &mut by_owner[usize::from(*owner)];
            *seen_sum += seen[group];
            *sum += whole;
        }
        // How busy a partition is in all is measured; samples only say with what.
        for (group, average) in self.groups.iter_mut().enumerate() {
            let (seen_sum, sum) = by_owner[usize::from(world.owners[group])];
            average.observe(seen[group] * if seen_sum > 0.0 { sum / seen_sum } else { 0.0 });
        }
    }

    /// The demand seen of every key that a sketch reports, and of those with a route.
    fn observe_keys(&mut self, world: &World<'_>, random: &mut Random) -> Vec<(u32, f64)> {
        let routed = world.routes.keys().copied();
        let keys: BTreeSet<u32> = self.candidates.iter().copied().chain(routed).collect();
        let mut seen = Vec::new();
        let mut averages = BTreeMap::new();
        for key in keys {
            let demand = world.shares[key as usize] * world.volume;
            let whole = world.demands[usize::from(world.owner(key))];
            let is_routed = world.routes.contains_key(&key);
            if is_routed || demand * COUNTERS as f64 >= whole {
                let observed = sampled(demand, whole.max(demand), random);
                let mut average = self.keys.get(&key).copied().unwrap_or_default();
                average.observe(observed);
                averages.insert(key, average);
                seen.push((key, observed));
            }
        }
        self.keys = averages;
        seen
    }

    /// The view that the supervisor would make now.
    pub(super) fn view(&self, world: &World<'_>, at: Nanos, occasion: Occasion) -> LoadView {
        let whole = |cores: f64| (cores * CORE as f64) as u64;
        let mut keys: Vec<KeyLoad> =
            self.keys.iter().map(|(key, average)| self.key(world, *key, *average)).collect();
        keys.sort_unstable_by_key(|key| key.hash);
        let domain = DomainLoad {
            name: "simulated".into(),
            unmovable: None,
            unmergeable: None,
            owners: world.owners.clone(),
            ranges: Vec::new(),
            demands: self.groups.iter().map(|average| whole(average.value())).collect(),
            state_bytes: vec![0; world.owners.len()],
            keys,
        };
        let partition = |index: usize| {
            let (demand, backlog) = (world.demands[index], world.backlog_ns[index]);
            let busy_ppm = (demand.min(1.0) * 1e6) as u32;
            PartitionLoad {
                busy_ppm,
                idle_ppm: 1_000_000 - busy_ppm,
                stalled_ppm: 0,
                queue_wait_ns: backlog as Nanos,
                arrivals: (demand * 1e9 / RECORD_NS) as u64,
                service_ns: RECORD_NS as Nanos,
                backlog_records: (backlog / RECORD_NS) as u64,
                backlog_ns: backlog as Nanos,
                rest_demand: whole(world.rest[index]),
                refuses: None,
            }
        };
        LoadView {
            at,
            occasion,
            partitions: (0..world.partitions()).map(partition).collect(),
            domains: vec![domain],
            open_moves: Vec::new(),
        }
    }

    fn key(&self, world: &World<'_>, key: u32, average: Average) -> KeyLoad {
        let route = match world.routes.get(&key) {
            None => KeyRoute::Group,
            Some(route) if route.is_combined => KeyRoute::Combined,
            Some(_) => KeyRoute::Override,
        };
        KeyLoad {
            hash: world.hash(key),
            name: Some(key.to_string()),
            owner: world.owner(key),
            route,
            demand: (average.value() * CORE as f64) as u64,
            error: 0,
            state_bytes: 0,
        }
    }
}

/// What a partition with the demand `whole` finds `part` to be by sampling.
fn sampled(part: f64, whole: f64, random: &mut Random) -> f64 {
    if part <= 0.0 || whole <= 0.0 {
        return 0.0;
    }
    poisson(random, SAMPLES * part / whole) / SAMPLES * whole
}
