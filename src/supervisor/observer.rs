//! From what partitions say about themselves to the view that a policy decides by.

use std::collections::BTreeMap;

use crate::dataflow::TaskLook;
use crate::metrics::COUNTERS;
use crate::routing::{KEY_GROUPS, Override, RoutingTable, key_group};
use crate::runtime::Look;
use crate::supervisor::average::Average;
use crate::supervisor::between::{folds, shares, since};
use crate::supervisor::grants::Grants;
use crate::supervisor::load::{
    CORE, DEMAND_MAX, DomainLoad, KeyLoad, KeyRoute, LoadView, Occasion, PartitionLoad,
};
use crate::supervisor::regroup::regroup;
use crate::time::Nanos;

/// A key is worth a look from 1/128 of what a partition has on average: half of the least that may
/// get a route of its own.
const KEY_SHARE_MIN: f64 = 128.0;
/// It stays in sight until it has a fifth of that.
const KEPT_BELOW: f64 = 5.0;

/// A partition that had work for half of the time may have too much by now: whoever waits for the
/// next tick to see it waits for 50 ms on average, in which a queue grows.
const BUSY_PPM: u32 = 500_000;

/// Keeps what was seen of every partition, and makes views of it.
///
/// How busy a partition is with a keyed task is measured; its samples only say with which keys.
/// What waits longer and longer counts as wanted too.
pub struct Observer {
    partitions: Vec<Seen>,
    domains: Vec<DomainSeen>,
}

/// One partition, between its last two looks with samples.
#[derive(Clone, Debug, Default)]
struct Seen {
    /// The last look with samples; what is cumulative is counted from here.
    last: Look,
    load: PartitionLoad,
    /// How much each keyed task wants, by domain.
    tasks: BTreeMap<usize, TaskSeen>,
    /// Records a second that its tasks fold for others, by domain and key.
    folds: BTreeMap<(usize, u64), f64>,
    has_ended: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct TaskSeen {
    demand: f64,
    /// Demand that one record in its last sample stands for.
    grain: f64,
    service_ns: f64,
    bytes_per_key: u64,
    bytes: u64,
}

#[derive(Debug)]
struct DomainSeen {
    groups: Vec<Average>,
    /// Keys that some sketch reports, and those with a route of their own.
    keys: BTreeMap<u64, KeySeen>,
    /// The table when it was looked at last.
    routes: Vec<Override>,
    /// Its ranges then, in the order of their keys; none where groups are no ranges.
    ranges: Vec<u16>,
}

#[derive(Clone, Debug, Default)]
struct KeySeen {
    demand: Average,
    error: f64,
    name: Option<String>,
}

/// What the samples of one tick say about the keys of a domain, as demand.
#[derive(Debug)]
struct Sampled {
    groups: Vec<f64>,
    /// All that a sketch has a counter for.
    keys: BTreeMap<u64, SampledKey>,
    /// Partitions whose task was busy, but of which there is no sample.
    is_unknown: Vec<bool>,
}

#[derive(Clone, Copy, Debug, Default)]
struct SampledKey {
    /// The middle of what it may be.
    demand: f64,
    /// The demand is overestimated by at most this much.
    error: f64,
    /// It is surely so much.
    sure: f64,
    /// With less it would be known by chance.
    least: f64,
}

impl Observer {
    /// Has seen nothing of a job of so many partitions and domains.
    pub fn new(partitions: usize, domains: usize) -> Observer {
        let domain = || DomainSeen {
            groups: vec![Average::default(); KEY_GROUPS],
            keys: BTreeMap::new(),
            routes: Vec::new(),
            ranges: Vec::new(),
        };
        Observer {
            partitions: vec![Seen::default(); partitions],
            domains: (0..domains).map(|_| domain()).collect(),
        }
    }

    /// Takes in how all partitions fare, in order; `None` for one that has ended.
    pub fn observe(&mut self, looks: Vec<Option<Look>>, grants: &Grants) {
        let samples: Vec<_> = self.partitions.iter_mut().zip(looks).map(Seen::catch_up).collect();
        for (index, domain) in self.domains.iter_mut().enumerate() {
            let table = grants.domains()[index].domain.table();
            domain.follow(&table);
            let tasks = |partition: usize| {
                let task = samples[partition].iter().find(|task| task.domain == index)?;
                Some((task, self.partitions[partition].task(index)))
            };
            let tasks: Vec<_> = (0..self.partitions.len()).map(tasks).collect();
            domain.observe(&table, &tasks);
            domain.count_folded(index, &self.partitions);
        }
    }

    /// Takes in what has come since, without samples: only what waits is looked at.
    pub fn glance(&mut self, looks: &[Option<Look>]) {
        for (seen, look) in self.partitions.iter_mut().zip(looks) {
            if let Some(look) = look {
                seen.count_backlog(&look.tasks);
            }
        }
    }

    /// Whether another partition than `thief` had much to do lately.
    pub fn has_busy(&self, thief: usize) -> bool {
        let others = self.partitions.iter().enumerate().filter(|(index, _)| *index != thief);
        others.map(|(_, seen)| &seen.load).any(|load| load.busy_ppm + load.stalled_ppm > BUSY_PPM)
    }

    /// How every partition fares now.
    pub fn partitions(&self) -> Vec<PartitionLoad> {
        let load = |seen: &Seen| PartitionLoad {
            refuses: seen.has_ended.then(|| "it has ended".to_owned()),
            ..seen.load.clone()
        };
        self.partitions.iter().map(load).collect()
    }

    /// The view now.
    pub fn view(&self, at: Nanos, occasion: Occasion, grants: &Grants) -> LoadView {
        let domains = self.domains.iter().enumerate();
        LoadView {
            at,
            occasion,
            partitions: self.partitions(),
            domains: domains.map(|(index, domain)| self.domain(index, domain, grants)).collect(),
            open_moves: grants.open_moves(),
        }
    }

    fn domain(&self, index: usize, domain: &DomainSeen, grants: &Grants) -> DomainLoad {
        let movable = &grants.domains()[index];
        let table = movable.domain.table();
        let owners = (0..KEY_GROUPS).map(|group| table.owner_of_group(group) as u16).collect();
        let tasks: Vec<TaskSeen> = self.partitions.iter().map(|seen| seen.task(index)).collect();
        let mut owned = vec![0; tasks.len()];
        (0..KEY_GROUPS).for_each(|group| owned[table.owner_of_group(group)] += 1);
        // State is not measured by group: an even share is near enough to what a move costs.
        let bytes = |group: usize| {
            let owner = table.owner_of_group(group);
            tasks[owner].bytes / owned[owner]
        };
        let key = |(hash, key): (&u64, &KeySeen)| {
            let owner = table.owner(*hash);
            KeyLoad {
                hash: *hash,
                name: key.name.clone(),
                owner: owner as u16,
                route: route(&table, *hash),
                demand: whole(key.demand.value()),
                error: whole(key.error),
                state_bytes: tasks[owner].bytes_per_key,
            }
        };
        DomainLoad {
            name: movable.name.clone(),
            unmovable: movable.unmovable.map(str::to_owned),
            unmergeable: movable.unmergeable.map(str::to_owned),
            owners,
            ranges: table.ranges().map(|ranges| ranges.groups().to_vec()).unwrap_or_default(),
            demands: domain.group_demands(&table, &tasks).into_iter().map(whole).collect(),
            state_bytes: (0..KEY_GROUPS).map(bytes).collect(),
            keys: domain.keys.iter().map(key).collect(),
        }
    }
}

impl Seen {
    /// Goes on to `look`; returns its keyed tasks, with their samples.
    fn catch_up((seen, look): (&mut Seen, Option<Look>)) -> Vec<TaskLook> {
        let Some(look) = look else {
            *seen = Seen { has_ended: true, ..Seen::default() };
            return Vec::new();
        };
        let last = std::mem::replace(&mut seen.last, look);
        let elapsed = seen.last.at.saturating_sub(last.at).max(1) as f64;
        let mut received = 0;
        let mut keyed = 0.0;
        let tasks = std::mem::take(&mut seen.last.tasks);
        for task in &tasks {
            let before = last.tasks.iter().find(|before| before.domain == task.domain);
            let none = TaskLook::default();
            let (busy, count, backlog) = since(before.unwrap_or(&none), task);
            let known = seen.tasks.entry(task.domain).or_default();
            if count > 0 {
                known.service_ns = busy as f64 / count as f64;
            }
            known.demand = (busy as f64 + backlog as f64 * known.service_ns) / elapsed;
            if let Some(sample) = task.sample.as_ref().filter(|sample| sample.records > 0) {
                known.grain = known.demand / sample.records as f64;
            }
            known.bytes = task.state_bytes as u64;
            known.bytes_per_key = known.bytes / task.keys.max(1) as u64;
            received += count;
            keyed += busy as f64 / elapsed;
        }
        seen.last.tasks.clone_from(&tasks);
        seen.last.tasks.iter_mut().for_each(|task| task.sample = None);
        seen.folds = folds(&last.folded, &seen.last.folded, elapsed);
        let [busy, idle, stalled] = shares(&last.time_ns, &seen.last.time_ns);
        seen.load = PartitionLoad {
            busy_ppm: busy,
            idle_ppm: idle,
            stalled_ppm: stalled,
            arrivals: (received as f64 * 1e9 / elapsed) as u64,
            rest_demand: whole((f64::from(busy) / 1e6 - keyed).max(0.0)),
            ..PartitionLoad::default()
        };
        seen.count_backlog(&tasks);
        tasks
    }

    /// Notes what waits for its keyed tasks.
    fn count_backlog(&mut self, tasks: &[TaskLook]) {
        let (mut records, mut cost) = (0, 0.0);
        for task in tasks {
            records += task.backlog;
            cost += task.backlog as f64 * self.task(task.domain).service_ns;
        }
        self.load.backlog_records = records;
        self.load.backlog_ns = cost as Nanos;
        self.load.service_ns = (cost / records.max(1) as f64) as Nanos;
        // Little's law: what waits, over what comes in a second.
        let wait = u128::from(records) * 1_000_000_000 / u128::from(self.load.arrivals.max(1));
        self.load.queue_wait_ns = Nanos::try_from(wait).unwrap_or(Nanos::MAX);
    }

    fn task(&self, domain: usize) -> TaskSeen {
        self.tasks.get(&domain).copied().unwrap_or_default()
    }
}

impl DomainSeen {
    /// Goes over to the table that holds now. The demand of a key that has got a route of its own
    /// leaves its group's at once; else the group would look hot for several ticks.
    fn follow(&mut self, table: &RoutingTable) {
        if let Some(ranges) = table.ranges() {
            let before = std::mem::replace(&mut self.ranges, ranges.groups().to_vec());
            regroup(&mut self.groups, &before, &self.ranges);
        }
        let before = std::mem::take(&mut self.routes);
        self.routes = table.overrides().collect();
        let demand = |keys: &BTreeMap<u64, KeySeen>, hash| {
            keys.get(&hash).map_or(0.0, |key: &KeySeen| key.demand.value())
        };
        for begun in self.routes.iter().filter(|route| !has_route(&before, route.hash)) {
            let group = &mut self.groups[key_group(begun.hash)];
            group.shift(-demand(&self.keys, begun.hash));
        }
        for ended in before.iter().filter(|route| !has_route(&self.routes, route.hash)) {
            self.groups[key_group(ended.hash)].shift(demand(&self.keys, ended.hash));
        }
    }

    /// Takes in the samples of one tick: `tasks[p]` has what partition *p* has seen, and how many
    /// cores it wants for it.
    fn observe(&mut self, table: &RoutingTable, tasks: &[Option<(&TaskLook, TaskSeen)>]) {
        let mut sampled = Sampled::of(table, tasks);
        let grain = |partition: usize| tasks[partition].map_or(0.0, |(_, seen)| seen.grain);
        let mean = tasks.iter().flatten().map(|(_, seen)| seen.demand).sum::<f64>()
            / tasks.len().max(1) as f64;
        let worth_it = mean / KEY_SHARE_MIN;
        // A key that was worth it stays until it has cooled: one that flickers in and out of the
        // samples would look like one that has gone.
        let is_known = |hash: &u64| {
            let known = self.keys.get(hash);
            known.is_some_and(|key| key.demand.value() * KEPT_BELOW > worth_it)
        };
        sampled.keys.retain(|hash, seen| {
            seen.sure >= worth_it.max(seen.least)
                || is_known(hash)
                || has_route(&self.routes, *hash)
        });
        let kept = self.keys.keys().filter(|hash| is_known(hash));
        for hash in kept.copied().chain(self.routes.iter().map(|route| route.hash)) {
            sampled.keys.entry(hash).or_default();
        }
        for (group, average) in self.groups.iter_mut().enumerate() {
            let owner = table.owner_of_group(group);
            if !sampled.is_unknown[owner] {
                average.observe_sample(sampled.groups[group], grain(owner));
            }
        }
        let mut known = std::mem::take(&mut self.keys);
        for (hash, seen) in sampled.keys {
            let mut key = known.remove(&hash).unwrap_or_default();
            let owner = table.owner(hash);
            let is_combined = route(table, hash) == KeyRoute::Combined;
            if !sampled.is_unknown[owner] && !is_combined {
                key.demand.observe_sample(seen.demand, grain(owner));
                key.error = seen.error;
            }
            self.keys.insert(hash, key);
        }
        for (hash, name) in tasks.iter().flatten().flat_map(|(task, _)| &task.names) {
            if let Some(key) = self.keys.get_mut(hash) {
                key.name.get_or_insert_with(|| name.clone());
            }
        }
    }

    /// Notes what combined keys would want of their owners if nobody folded their records.
    fn count_folded(&mut self, index: usize, partitions: &[Seen]) {
        let tasks = || partitions.iter().map(|seen| seen.task(index));
        let busiest = tasks().max_by(|one, other| one.demand.total_cmp(&other.demand));
        let record_s = busiest.unwrap_or_default().service_ns / 1e9;
        for route in self.routes.iter().filter(|route| route.is_combined) {
            let folds = partitions.iter().filter_map(|seen| seen.folds.get(&(index, route.hash)));
            if let Some(key) = self.keys.get_mut(&route.hash) {
                key.demand.observe(folds.sum::<f64>() * record_s);
                key.error = 0.0;
            }
        }
    }

    /// What each group wants, jitter taken out.
    ///
    /// A group has few records in a sample, and whoever picks the largest of many estimates picks
    /// those that are too high. So what is left without the known keys is drawn towards its mean,
    /// by as much as its spread is that of sampling (James and Stein, 1961).
    fn group_demands(&self, table: &RoutingTable, tasks: &[TaskSeen]) -> Vec<f64> {
        if !self.ranges.is_empty() {
            // No two ranges are alike.
            return self.groups.iter().map(Average::value).collect();
        }
        let mut known = vec![0.0; KEY_GROUPS];
        for (hash, key) in self.keys.iter().filter(|(hash, _)| !has_route(&self.routes, **hash)) {
            known[key_group(*hash)] += key.demand.value();
        }
        let rest = |group: usize| (self.groups[group].value() - known[group]).max(0.0);
        let mut spreads = vec![Spread::default(); tasks.len()];
        (0..KEY_GROUPS).for_each(|group| spreads[table.owner_of_group(group)].add(rest(group)));
        let drawn = |group: usize| {
            let owner = table.owner_of_group(group);
            known[group] + spreads[owner].drawn(rest(group), tasks[owner].grain)
        };
        (0..KEY_GROUPS).map(drawn).collect()
    }
}

/// Mean and variance of some figures.
#[derive(Clone, Copy, Debug, Default)]
struct Spread {
    count: f64,
    sum: f64,
    squares: f64,
}

impl Spread {
    fn add(&mut self, figure: f64) {
        self.count += 1.0;
        self.sum += figure;
        self.squares += figure * figure;
    }

    /// One of the figures, drawn towards the mean; each sampled record stands for `grain`.
    fn drawn(&self, figure: f64, grain: f64) -> f64 {
        let mean = self.sum / self.count;
        let variance = self.squares / self.count - mean * mean;
        let by_chance = Average::VARIANCE * grain * mean;
        if variance <= by_chance {
            return mean;
        }
        mean + (figure - mean) * (1.0 - by_chance / variance)
    }
}

impl Sampled {
    fn of(table: &RoutingTable, tasks: &[Option<(&TaskLook, TaskSeen)>]) -> Sampled {
        let mut sampled = Sampled {
            groups: vec![0.0; KEY_GROUPS],
            keys: BTreeMap::new(),
            is_unknown: vec![false; tasks.len()],
        };
        for (partition, task) in tasks.iter().enumerate() {
            let Some((look, seen)) = task else { continue };
            sampled.add(table, partition, look, seen.demand);
        }
        sampled
    }

    /// Adds what one partition has seen: only of what belongs to it now, so that it adds up to what
    /// the partition does.
    fn add(&mut self, table: &RoutingTable, partition: usize, look: &TaskLook, demand: f64) {
        let sample = look.sample.as_ref().filter(|sample| sample.total > 0);
        let Some(sample) = sample else {
            self.is_unknown[partition] = demand > 0.0;
            return;
        };
        let is_own = |hash: &u64| table.owner(*hash) == partition;
        let own_keys = sample.keys.iter().filter(|key| is_own(&key.hash));
        let routed = |hash: u64| table.override_of(hash).is_some();
        let mut groups: BTreeMap<usize, u64> = sample
            .groups
            .iter()
            .map(|(group, weight)| (usize::from(*group), *weight))
            .filter(|(group, _)| table.owner_of_group(*group) == partition)
            .collect();
        let mut whole: u64 = groups.values().sum();
        for key in own_keys.clone().filter(|key| routed(key.hash)) {
            match groups.get_mut(&key_group(key.hash)) {
                Some(weight) => *weight = weight.saturating_sub(key.weight),
                None => whole += key.weight,
            }
        }
        let scale = demand / whole.max(1) as f64;
        for (group, weight) in groups {
            self.groups[group] = weight as f64 * scale;
        }
        for key in own_keys {
            let (weight, error) = (key.weight as f64 * scale, key.error as f64 * scale);
            let seen = SampledKey {
                demand: weight - error / 2.0,
                error: error / 2.0,
                sure: weight - error,
                least: demand / (2 * COUNTERS) as f64,
            };
            self.keys.insert(key.hash, seen);
        }
    }
}

fn has_route(routes: &[Override], hash: u64) -> bool {
    routes.binary_search_by_key(&hash, |route| route.hash).is_ok()
}

fn route(table: &RoutingTable, hash: u64) -> KeyRoute {
    match table.override_of(hash) {
        None => KeyRoute::Group,
        Some(route) if route.is_combined => KeyRoute::Combined,
        Some(_) => KeyRoute::Override,
    }
}

/// Cores as demand.
fn whole(cores: f64) -> u64 {
    ((cores * CORE as f64) as u64).min(DEMAND_MAX)
}
