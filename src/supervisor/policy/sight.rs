//! A view as the planner needs it: how full every partition is, how full it should be, and which
//! pieces of it could move.

use std::cmp::Reverse;

use crate::config::Rebalance;
use crate::routing::OVERRIDES_MAX;
use crate::routing::key_group;
use crate::supervisor::load::{DomainLoad, KeyLoad, KeyRoute, LoadView, Unit};
use crate::supervisor::policy::memory::Memory;

/// A key below 1/64 of a partition's fair demand is not worth a route of its own. The sketch does
/// not promise to find smaller ones either.
pub(super) const KEY_SHARE_MIN: u64 = 64;

/// Something that could move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) domain: usize,
    pub(super) unit: Unit,
    pub(super) demand: u64,
    pub(super) state_bytes: u64,
}

/// How full every partition is and should be.
#[derive(Debug)]
pub(super) struct Levels {
    /// Demand by partition, keys that were hotter a moment ago as hot as they were.
    pub(super) loads: Vec<u64>,
    /// What each partition should have at most: its fair part, or what it cannot give away.
    pub(super) targets: Vec<u64>,
    /// The fair part of a partition, after the hottest keys have got partitions of their own.
    pub(super) fair: u64,
}

/// What the planner works on.
#[derive(Debug)]
pub(super) struct Sight {
    pub(super) levels: Levels,
    /// By partition, what may move now, largest demand first.
    pub(super) pieces: Vec<Vec<Piece>>,
    /// Whether the partition takes anything.
    pub(super) takes: Vec<bool>,
    /// Routes that may still be added, by domain.
    pub(super) spare_routes: Vec<usize>,
}

impl Levels {
    /// What `partition` has too much.
    pub(super) fn excess(&self, partition: usize) -> u64 {
        self.loads[partition].saturating_sub(self.targets[partition])
    }

    /// The load from which a partition gives: half of the highest. What is emptier waits for
    /// nothing, and what it gave would make no difference to the fullest.
    pub(super) fn gives_from(&self) -> u64 {
        self.loads.iter().copied().max().unwrap_or(0) / 2
    }
}

/// By key group.
pub(super) struct Held {
    /// Something of it is in an open move: all that belongs to it waits.
    pub(super) moves: Vec<bool>,
    /// It has just moved.
    cools: Vec<bool>,
}

/// What makes a sight of a view.
pub(super) struct Look<'a> {
    pub(super) view: &'a LoadView,
    memory: &'a Memory,
    level: Rebalance,
    /// By domain.
    hot: Vec<HotKeys>,
}

/// The keys of a domain, as hot as they were a moment ago.
#[derive(Default)]
struct HotKeys {
    /// `peaks[i]` is the highest demand of the view's key *i* lately, at least its demand now.
    peaks: Vec<u64>,
    /// (hash, peak) of keys that are too cold now to be in the view.
    vanished: Vec<(u64, u64)>,
}

impl<'a> Look<'a> {
    pub(super) fn new(view: &'a LoadView, memory: &'a Memory, level: Rebalance) -> Look<'a> {
        let hot = |index: usize| hot_keys(view, memory, index);
        Look { view, memory, level, hot: (0..view.domains.len()).map(hot).collect() }
    }
}

/// Goes along keys and peaks, which both ascend by hash.
fn hot_keys(view: &LoadView, memory: &Memory, index: usize) -> HotKeys {
    let first = memory.peaks.partition_point(|peak| peak.domain < index);
    let of_domain = memory.peaks[first..].iter().take_while(|peak| peak.domain == index);
    let mut of_domain = of_domain.peekable();
    let mut hot = HotKeys::default();
    for key in &view.domains[index].keys {
        while let Some(peak) = of_domain.next_if(|peak| peak.hash < key.hash) {
            hot.vanished.push((peak.hash, peak.demand));
        }
        let peak = of_domain.next_if(|peak| peak.hash == key.hash);
        hot.peaks.push(peak.map_or(0, |peak| peak.demand).max(key.demand));
    }
    hot.vanished.extend(of_domain.map(|peak| (peak.hash, peak.demand)));
    hot
}

impl Look<'_> {
    pub(super) fn levels(&self) -> Levels {
        let loads = self.loads();
        let fixed = self.fixed();
        let keys = self.single_keys();
        let demands = keys.iter().map(|(_, demand)| *demand);
        let fair = fair_part(&loads, fixed.iter().copied().chain(demands).collect());
        let mut targets: Vec<u64> = fixed.iter().map(|fixed| fair.max(*fixed)).collect();
        for (owner, demand) in keys {
            targets[owner] = targets[owner].max(demand);
        }
        Levels { loads, targets, fair }
    }

    /// What may move now, by the partition that owns it, largest demand first.
    ///
    /// * `donor` - leaves out what others own, if it names one.
    pub(super) fn pieces(&self, levels: &Levels, donor: Option<usize>) -> Vec<Vec<Piece>> {
        let mut pieces = vec![Vec::new(); levels.loads.len()];
        let wanted = |piece: &(usize, Piece)| donor.is_none_or(|donor| donor == piece.0);
        for (index, domain) in self.view.domains.iter().enumerate() {
            if domain.has_free_units() {
                let held = self.held(index);
                let groups = self.groups(index, domain, &held);
                let keys = self.keys(index, levels.fair, &held);
                for (owner, piece) in groups.chain(keys).filter(wanted) {
                    pieces[owner].push(piece);
                }
            }
        }
        for pieces in &mut pieces {
            pieces.sort_unstable_by_key(|piece| (Reverse(piece.demand), piece.domain, piece.unit));
        }
        pieces
    }

    /// Adds to `levels` what may move.
    pub(super) fn sight(&self, levels: Levels) -> Sight {
        let view = self.view;
        let pieces = self.pieces(&levels, None);
        let spare = |domain: &DomainLoad| OVERRIDES_MAX.saturating_sub(domain.override_count());
        Sight {
            levels,
            pieces,
            takes: view.partitions.iter().map(|p| p.refuses.is_none()).collect(),
            spare_routes: view.domains.iter().map(spare).collect(),
        }
    }

    /// Demand by partition, with peaks.
    fn loads(&self) -> Vec<u64> {
        let mut loads = self.view.demands();
        for (index, domain) in self.view.domains.iter().enumerate() {
            for (key, peak) in self.single(index) {
                loads[usize::from(key.owner)] += peak - key.demand;
            }
            for (hash, peak) in &self.hot[index].vanished {
                loads[usize::from(domain.owners[key_group(*hash)])] += peak;
            }
        }
        loads
    }

    /// The keys of a domain that one partition works for, with their peaks.
    pub(super) fn single(&self, index: usize) -> impl Iterator<Item = (&KeyLoad, u64)> {
        let keys = self.view.domains[index].keys.iter().zip(self.hot[index].peaks.iter().copied());
        keys.filter(|(key, _)| key.route != KeyRoute::Combined)
    }

    /// What each partition keeps whatever is decided: work that is not keyed, and unmovable keys.
    fn fixed(&self) -> Vec<u64> {
        let mut fixed: Vec<u64> = self.view.partitions.iter().map(|p| p.rest_demand).collect();
        for domain in self.view.domains.iter().filter(|domain| !domain.has_free_units()) {
            for (owner, demand) in domain.owners.iter().zip(&domain.demands) {
                fixed[usize::from(*owner)] += demand;
            }
        }
        fixed
    }

    /// Owner and demand of what no move can make smaller: single keys, or groups where keys do
    /// not move.
    fn single_keys(&self) -> Vec<(usize, u64)> {
        let mut singles = Vec::new();
        for (index, domain) in self.view.domains.iter().enumerate() {
            if self.level < Rebalance::Keys {
                let groups = domain.owners.iter().zip(&domain.demands);
                singles.extend(groups.map(|(owner, demand)| (usize::from(*owner), *demand)));
            }
            let keys = self.single(index);
            singles.extend(keys.map(|(key, peak)| (usize::from(key.owner), peak)));
            let vanished = self.hot[index].vanished.iter();
            let owner = |hash: u64| usize::from(domain.owners[key_group(hash)]);
            singles.extend(vanished.map(|(hash, peak)| (owner(*hash), *peak)));
        }
        singles
    }

    fn groups<'s>(
        &'s self,
        index: usize,
        domain: &'s DomainLoad,
        held: &'s Held,
    ) -> impl Iterator<Item = (usize, Piece)> + 's {
        let mut extra = vec![0; domain.owners.len()];
        for (key, peak) in self.single(index).filter(|(key, _)| key.route == KeyRoute::Group) {
            extra[key_group(key.hash)] += peak - key.demand;
        }
        for (hash, peak) in &self.hot[index].vanished {
            extra[key_group(*hash)] += peak;
        }
        let piece = move |(group, owner): (usize, &u16)| {
            let unit = Unit::Group(group as u16);
            let demand = domain.demands[group] + extra[group];
            let is_free = demand > 0 && !held.moves[group] && !held.cools[group];
            let state_bytes = domain.state_bytes[group];
            is_free.then_some((
                usize::from(*owner),
                Piece { domain: index, unit, demand, state_bytes },
            ))
        };
        domain.owners.iter().enumerate().filter_map(piece)
    }

    fn keys<'s>(
        &'s self,
        index: usize,
        fair: u64,
        held: &'s Held,
    ) -> impl Iterator<Item = (usize, Piece)> + 's {
        let may_move = self.level >= Rebalance::Keys;
        let piece = move |(key, demand): (&KeyLoad, u64)| {
            let unit = Unit::Key(key.hash);
            let is_routed = key.route == KeyRoute::Override;
            let is_worth_it = is_routed || demand >= fair / KEY_SHARE_MIN;
            let group = unit.group();
            let is_free = demand > 0
                && !held.moves[group]
                && (is_routed || !held.cools[group])
                && self.is_free(index, unit);
            let state_bytes = key.state_bytes;
            let piece = Piece { domain: index, unit, demand, state_bytes };
            (is_worth_it && is_free).then_some((usize::from(key.owner), piece))
        };
        self.single(index).filter(move |_| may_move).filter_map(piece)
    }

    /// What keeps the groups of a domain where they are.
    pub(super) fn held(&self, index: usize) -> Held {
        let count = self.view.domains[index].owners.len();
        let mut held = Held { moves: vec![false; count], cools: vec![false; count] };
        for open in self.view.open_moves.iter().filter(|open| open.domain == index) {
            open.units.iter().for_each(|unit| held.moves[unit.group()] = true);
        }
        for cooling in self.memory.cooling.iter().filter(|cooling| cooling.domain == index) {
            if let Unit::Group(group) = cooling.unit {
                held.cools[usize::from(group)] |= cooling.until > self.view.at;
            }
        }
        held
    }

    pub(super) fn is_free(&self, domain: usize, unit: Unit) -> bool {
        self.memory.cooling(domain, unit, self.view.at).is_none()
    }
}

/// The demand per partition that is left when each of `singles`, largest first, that is more than
/// the others' part has got a partition of its own.
fn fair_part(loads: &[u64], mut singles: Vec<u64>) -> u64 {
    let (mut rest, mut count) = (loads.iter().sum::<u64>(), loads.len() as u64);
    let most = singles.len().min(loads.len());
    if most < singles.len() {
        singles.select_nth_unstable_by_key(most, |single| Reverse(*single));
    }
    singles.truncate(most);
    singles.sort_unstable_by_key(|single| Reverse(*single));
    for single in singles {
        if count < 2 || single <= rest / count {
            break;
        }
        rest = rest.saturating_sub(single);
        count -= 1;
    }
    rest / count.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fair_part_leaves_out_what_needs_a_partition_of_its_own() {
        assert_eq!(fair_part(&[40, 0, 0, 0], vec![]), 10);
        assert_eq!(fair_part(&[40, 0, 0, 0], vec![10, 1]), 10);
        assert_eq!(fair_part(&[40, 0, 0, 0], vec![1, 22, 1]), 6);
        assert_eq!(fair_part(&[100, 0], vec![90]), 10);
        assert_eq!(fair_part(&[100, 0], vec![60, 40, 0, 0]), 40);
    }
}
