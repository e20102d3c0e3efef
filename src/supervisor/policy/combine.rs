//! Combine and fold: a key that is too hot for one core is aggregated by its feeders, until it
//! has cooled.

use crate::config::Rebalance;
use crate::routing::OVERRIDES_MAX;
use crate::supervisor::decision::{Action, Decision, Rule, Verdict};
use crate::supervisor::load::{CORE, KeyLoad, KeyRoute, LoadView, Unit};
use crate::supervisor::policy::balance::{GAIN_PER_COST, HORIZON_S};
use crate::supervisor::policy::memory::{CoolKey, Memory};
use crate::time::Nanos;

/// A key with more than an eighth of a partition's mean load is too hot for an owner without spare
/// time: on two partitions that is 1/16 of all. Combining is cheap, and a key that grows is
/// combined before it is what makes its owner the fullest.
const TOO_HOT_PART: u64 = 8;
/// A key below 1/16 of the mean load fits somehow: then it is moving that is wanted.
const FITS_SOMEHOW_PART: u64 = 16;
/// An owner that is less busy than this copes.
const OWNER_DEMAND_MIN: u64 = CORE / 10 * 9;
/// A key is folded back when it has been below half of the threshold for 5 s.
const COOL_FOR_NS: Nanos = 5_000_000_000;
/// What a feeder's partials of one key cost the owner in a second: 2,000 flushes (a linger of
/// 500 µs), some 15 ns each for the lane and the merge.
const PARTIALS_NS_PER_FEEDER: u64 = 2_000 * 15;

/// The demand from which a key is combined.
///
/// Work that cannot move, such as combining, may leave less room than that beside it.
fn too_hot(view: &LoadView, demands: &[u64]) -> u64 {
    let mean = demands.iter().sum::<u64>() / demands.len().max(1) as u64;
    let fixed = view.partitions.iter().map(|partition| partition.rest_demand).min().unwrap_or(0);
    let room = mean.saturating_sub(fixed).max(mean / FITS_SOMEHOW_PART);
    room.min(mean / TOO_HOT_PART)
}

/// What to combine and what to fold.
pub(super) fn combine(
    view: &LoadView,
    level: Rebalance,
    demands: &[u64],
    memory: &mut Memory,
) -> Vec<Decision> {
    let limit = too_hot(view, demands);
    let mut decisions = Vec::new();
    let mut cool = Vec::new();
    for (index, domain) in view.domains.iter().enumerate() {
        for key in &domain.keys {
            let has_no_time = demands[usize::from(key.owner)] > OWNER_DEMAND_MIN;
            if key.route == KeyRoute::Combined && key.demand < limit / 2 {
                cool.push(since(memory, (index, key.hash), view.at));
            } else if key.route != KeyRoute::Combined && key.demand > limit && has_no_time {
                decisions.extend(relieve(view, level, (index, key), memory));
            }
        }
    }
    let is_cold = |key: &&CoolKey| view.at.saturating_sub(key.since) >= COOL_FOR_NS;
    for key in cool.iter().filter(is_cold) {
        let load = view.domains[key.domain].key(key.hash);
        decisions.extend(load.map(|load| fold(view, key.domain, load, memory)));
    }
    memory.cool = cool;
    decisions
}

/// Combines the key, or says why that cannot be.
fn relieve(
    view: &LoadView,
    level: Rebalance,
    (index, key): (usize, &KeyLoad),
    memory: &mut Memory,
) -> Option<Decision> {
    let domain = &view.domains[index];
    let share = key.demand as f64 / domain.demand().max(1) as f64;
    let seen = format!(
        "key {} takes {:.1} % of `{}`, and partition {} has no core to spare",
        key.shown(),
        share * 100.0,
        domain.name,
        key.owner
    );
    let feeders = view.partitions.len() as u64;
    let spread = key.demand / feeders * (feeders - 1);
    let (gain_ns, cost_ns) = (spread * HORIZON_S, feeders * PARTIALS_NS_PER_FEEDER * HORIZON_S);
    let has_no_route = key.route == KeyRoute::Group && domain.override_count() >= OVERRIDES_MAX;
    let why_not = match &domain.unmergeable {
        _ if level < Rebalance::Combine => Some("combining is off".to_owned()),
        Some(why) => Some(format!("`{}` does not merge: {why}", domain.name)),
        None if has_no_route => Some(format!("{OVERRIDES_MAX} keys have a route of their own")),
        None if gain_ns < cost_ns * GAIN_PER_COST => Some("the partials would cost more".into()),
        None => None,
    };
    if let Some(why) = why_not {
        let moves = level >= Rebalance::Keys && domain.has_free_units();
        let fate = if moves { "the key gets a partition of its own" } else { "the key stays" };
        let why = format!(
            "{why}; {fate}, and {:.2} times what one core does is the ceiling of `{}`",
            1.0 / share,
            domain.name
        );
        let may = memory.may_say(Rule::Combine, key.hash, view.at);
        return may.then(|| memory.decide(Rule::Combine, seen, Verdict::No { why }));
    }
    if is_moving(view, index, key.hash) {
        return None;
    }
    let action = Action::Combine { domain: index, key: key.hash };
    Some(memory.decide(Rule::Combine, seen, Verdict::Act { action, gain_ns, cost_ns }))
}

fn fold(view: &LoadView, domain: usize, key: &KeyLoad, memory: &mut Memory) -> Decision {
    let seen = format!(
        "combined key {} has taken less than half of what is worth it for {} s",
        key.shown(),
        COOL_FOR_NS / 1_000_000_000
    );
    let gain_ns = view.partitions.len() as u64 * PARTIALS_NS_PER_FEEDER * HORIZON_S;
    let action = Action::Fold { domain, key: key.hash };
    memory.decide(Rule::Fold, seen, Verdict::Act { action, gain_ns, cost_ns: 0 })
}

fn is_moving(view: &LoadView, domain: usize, hash: u64) -> bool {
    let group = Unit::Key(hash).group();
    let open = view.open_moves.iter().filter(|open| open.domain == domain);
    open.flat_map(|open| &open.units).any(|unit| unit.group() == group)
}

fn since(memory: &Memory, (domain, hash): (usize, u64), at: Nanos) -> CoolKey {
    let known = memory.cool.iter().find(|key| (key.domain, key.hash) == (domain, hash));
    CoolKey { domain, hash, since: known.map_or(at, |key| key.since) }
}
