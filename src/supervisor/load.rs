//! What a policy sees: the load of partitions, key groups and hot keys at one moment, as numbers.
//!
//! All numbers are whole, so that a view that was written down and read again is the same view.

use serde::{Deserialize, Serialize};

use crate::routing::{KEY_GROUPS, PARTITIONS_MAX, key_group};
use crate::time::Nanos;

/// Demand of one whole core. Demand is core time wanted per second of the clock, in nanoseconds:
/// arriving records times what each costs, so that it can be more than a core has.
pub const CORE: u64 = 1_000_000_000;

/// A thousand cores for one unit, in demand: more is no measurement, and sums of less fit a word.
pub(crate) const DEMAND_MAX: u64 = 1_000 * CORE;
/// A backlog below 2 ms is gone before a move is over.
pub(crate) const BACKLOG_MIN_NS: Nanos = 2_000_000;
/// The donor must be eight times as far behind as the thief, or they would soon change roles.
pub(crate) const BACKLOG_RATIO: u64 = 8;
/// Domains and keys that a view may have, far more than any job has.
const DOMAINS_MAX: usize = 1 << 10;
const KEYS_MAX: usize = 1 << 16;

/// Everything a policy decides by. Made every 100 ms, and when a partition that ran dry asks for
/// work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadView {
    /// When it was taken, by the job's monotonic clock.
    pub at: Nanos,
    /// Why it was taken.
    pub occasion: Occasion,
    /// `partitions[i]` is partition *i*.
    pub partitions: Vec<PartitionLoad>,
    /// Every domain of the job: all exchange edges that feed one keyed chain.
    pub domains: Vec<DomainLoad>,
    /// Moves that have begun and are not over.
    pub open_moves: Vec<OpenMove>,
}

/// Why a view was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Occasion {
    /// 100 ms have passed.
    Tick,
    /// This partition has nothing to do and asks for work, and another is
    /// [far enough behind](LoadView::may_relieve).
    Ask(usize),
}

/// How one partition fares. Shares are parts per million of the time since the last tick, and
/// make 1,000,000 together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartitionLoad {
    /// Time in steps.
    pub busy_ppm: u32,
    /// Time without work.
    pub idle_ppm: u32,
    /// Time with work that a full lane kept it from.
    pub stalled_ppm: u32,
    /// How long a record waits in its lane, on average.
    pub queue_wait_ns: Nanos,
    /// Records that arrive per second.
    pub arrivals: u64,
    /// What a record costs, on average.
    pub service_ns: Nanos,
    /// Records that wait in its lanes.
    pub backlog_records: u64,
    /// What they will cost: the time until the lanes are empty if nothing came after them.
    pub backlog_ns: Nanos,
    /// Demand of what cannot move: sources, unkeyed operators, combining for others.
    pub rest_demand: u64,
    /// Why it takes no state now (it drains, has ended, has no memory left); `None` if it does.
    pub refuses: Option<String>,
}

/// The keys of one keyed chain: who owns them and what they cost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DomainLoad {
    /// Name of the keyed operator.
    pub name: String,
    /// Why its keys cannot move; `None` if they can.
    pub unmovable: Option<String>,
    /// Why its keys cannot be combined by their feeders; `None` if they can.
    pub unmergeable: Option<String>,
    /// `owners[g]` is the partition that owns key group *g*.
    pub owners: Vec<u16>,
    /// Where groups are ranges of keys that are cut and merged while the job runs: these groups, in
    /// the order of their keys. Their owners never descend; the other groups have no keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ranges: Vec<u16>,
    /// `demands[g]` is the demand of the keys of group *g* that have no route of their own.
    pub demands: Vec<u64>,
    /// `state_bytes[g]` is what these keys keep.
    pub state_bytes: Vec<u64>,
    /// The hottest keys, and every key that has a route of its own, hot or not; by hash,
    /// ascending.
    pub keys: Vec<KeyLoad>,
}

/// What one key costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyLoad {
    /// The carried hash, whose top bits are the key group.
    pub hash: u64,
    /// The key as `Debug` shows it, once a record has told it.
    pub name: Option<String>,
    /// The partition that owns it.
    pub owner: u16,
    /// How it is routed.
    pub route: KeyRoute,
    /// Its demand. For a combined key: what its owner would have to do if nobody combined it.
    pub demand: u64,
    /// The demand is overestimated by at most this much.
    pub error: u64,
    /// What it keeps.
    pub state_bytes: u64,
}

/// How the records of a key find their owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyRoute {
    /// With its key group, in whose demand it is included.
    Group,
    /// By an override of its own.
    Override,
    /// By an override, after every feeder has aggregated its records into partials. The work is
    /// part of the feeders' `rest_demand`.
    Combined,
}

/// What moves: a key group, or one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A key group, without its keys that have an override.
    Group(u16),
    /// The key with this hash. At the owner of its group its override ends.
    Key(u64),
}

/// A move that has begun and is not over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenMove {
    /// Index of the domain.
    pub domain: usize,
    /// What moves.
    pub units: Vec<Unit>,
    /// The donor.
    pub from: usize,
    /// The taker.
    pub to: usize,
}

impl LoadView {
    /// Says what makes the view one that no job could show: a policy may index by what stands in
    /// it, and add up its demands.
    pub(crate) fn check(&self) -> Result<(), String> {
        let count = self.partitions.len();
        if count == 0 || count > PARTITIONS_MAX {
            return Err(format!("{count} partitions, allowed 1..={PARTITIONS_MAX}"));
        }
        if let Occasion::Ask(thief) = self.occasion
            && thief >= count
        {
            return Err(format!("partition {thief} of {count} asks"));
        }
        if self.partitions.iter().any(|partition| partition.rest_demand > DEMAND_MAX) {
            return Err(format!("a demand above {DEMAND_MAX}"));
        }
        if self.domains.len() > DOMAINS_MAX {
            return Err(format!("{} domains, allowed up to {DOMAINS_MAX}", self.domains.len()));
        }
        self.domains.iter().try_for_each(|domain| domain.check(count))?;
        self.open_moves.iter().try_for_each(|open| {
            let is_known = open.domain < self.domains.len()
                && open.from.max(open.to) < count
                && open.units.iter().all(|unit| unit.group() < KEY_GROUPS);
            is_known.then_some(()).ok_or_else(|| "an open move of what there is not".to_owned())
        })
    }

    /// Whether `thief` may relieve somebody, by the backlogs alone: one of 2 ms at least, and eight
    /// times its own.
    pub fn may_relieve(&self, thief: usize) -> bool {
        may_relieve(&self.partitions, thief)
    }

    /// The demand of every partition: what it owns, and what cannot move.
    pub fn demands(&self) -> Vec<u64> {
        let mut demands: Vec<u64> = self.partitions.iter().map(|p| p.rest_demand).collect();
        for domain in &self.domains {
            for (owner, demand) in domain.owners.iter().zip(&domain.demands) {
                demands[usize::from(*owner)] += demand;
            }
            let overridden = domain.keys.iter().filter(|key| key.route == KeyRoute::Override);
            overridden.for_each(|key| demands[usize::from(key.owner)] += key.demand);
        }
        demands
    }
}

/// As [`LoadView::may_relieve`], where there is no view yet.
pub(crate) fn may_relieve(partitions: &[PartitionLoad], thief: usize) -> bool {
    let asking = partitions.get(thief).filter(|partition| partition.refuses.is_none());
    let Some(own) = asking.map(|partition| partition.backlog_ns) else { return false };
    let enough = own.saturating_mul(BACKLOG_RATIO).max(BACKLOG_MIN_NS);
    partitions.iter().any(|partition| partition.backlog_ns >= enough)
}

impl DomainLoad {
    fn check(&self, partitions: usize) -> Result<(), String> {
        let lists = [
            (self.owners.len(), "owners"),
            (self.demands.len(), "demands"),
            (self.state_bytes.len(), "sizes"),
        ];
        if let Some((seen, what)) = lists.into_iter().find(|(len, _)| *len != KEY_GROUPS) {
            return Err(format!("{seen} {what} of key groups, allowed {KEY_GROUPS}"));
        }
        let of_groups = self.owners.iter().enumerate();
        if let Some((group, owner)) =
            of_groups.clone().find(|(_, o)| usize::from(**o) >= partitions)
        {
            return Err(format!("key group {group} belongs to partition {owner} of {partitions}"));
        }
        let mut ranges = self.ranges.clone();
        ranges.sort_unstable();
        let is_known = |group: &u16| usize::from(*group) < KEY_GROUPS;
        if !ranges.is_sorted_by(|one, next| one < next) || !ranges.iter().all(is_known) {
            return Err("ranges of one key group, or of one that there is not".into());
        }
        if !self.keys.is_sorted_by(|one, next| one.hash < next.hash) {
            return Err("keys that do not ascend by hash".into());
        }
        if let Some(key) = self.keys.iter().find(|key| usize::from(key.owner) >= partitions) {
            let (hash, owner) = (key.hash, key.owner);
            return Err(format!("key #{hash:016x} belongs to partition {owner} of {partitions}"));
        }
        let of_keys = self.keys.iter().map(|key| key.demand);
        let highest = self.demands.iter().copied().chain(of_keys).max().unwrap_or(0);
        if highest > DEMAND_MAX || self.keys.len() > KEYS_MAX {
            return Err(format!("a demand above {DEMAND_MAX} or more than {KEYS_MAX} keys"));
        }
        Ok(())
    }

    /// Whether groups and keys can move, each by itself.
    pub(crate) fn has_free_units(&self) -> bool {
        self.unmovable.is_none() && self.ranges.is_empty()
    }

    /// The demand of all its keys, combined ones as if they were not.
    pub fn demand(&self) -> u64 {
        let routed = self.keys.iter().filter(|key| key.route != KeyRoute::Group);
        self.demands.iter().sum::<u64>() + routed.map(|key| key.demand).sum::<u64>()
    }

    /// The partition that owns `unit`; `None` for a group that does not exist.
    pub fn owner(&self, unit: Unit) -> Option<usize> {
        let of_group = |group: usize| self.owners.get(group).map(|owner| usize::from(*owner));
        match unit {
            Unit::Group(group) => of_group(usize::from(group)),
            Unit::Key(hash) => match self.routed_key(hash) {
                Some(key) => Some(usize::from(key.owner)),
                None => of_group(key_group(hash)),
            },
        }
    }

    /// The key with this hash, if it has a route of its own.
    pub fn routed_key(&self, hash: u64) -> Option<&KeyLoad> {
        self.key(hash).filter(|key| key.route != KeyRoute::Group)
    }

    /// The key with this hash, if the view has it.
    pub fn key(&self, hash: u64) -> Option<&KeyLoad> {
        let index = self.keys.binary_search_by_key(&hash, |key| key.hash).ok()?;
        Some(&self.keys[index])
    }

    /// Keys that have a route of their own.
    pub fn override_count(&self) -> usize {
        self.keys.iter().filter(|key| key.route != KeyRoute::Group).count()
    }
}

impl KeyLoad {
    /// The key's name, or its hash while nobody has told the name.
    pub fn shown(&self) -> String {
        match &self.name {
            Some(name) => name.clone(),
            None => format!("#{:016x}", self.hash),
        }
    }
}

impl Unit {
    /// The key group that the unit is, or belongs to.
    pub fn group(self) -> usize {
        match self {
            Unit::Group(group) => usize::from(group),
            Unit::Key(hash) => key_group(hash),
        }
    }
}
