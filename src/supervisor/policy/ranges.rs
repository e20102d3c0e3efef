//! Ranges: where keys lie in ranges, heavy ones are cut, light ones merged, and what borders on a
//! neighbour goes over to it, so that loads become even and keys stay in order.

use serde::{Deserialize, Serialize};

use crate::routing::{KEY_GROUPS, UNITS_MAX};
use crate::supervisor::decision::{Action, Decision, Rule, Verdict};
use crate::supervisor::load::{
    BACKLOG_MIN_NS, BACKLOG_RATIO, CORE, DomainLoad, LoadView, Occasion, Unit,
};
use crate::supervisor::policy::balance::cost_ns;
use crate::supervisor::policy::memory::Memory;
use crate::supervisor::policy::sight::Piece;
use crate::time::Nanos;

/// A range above an eighth of a partition's fair part is cut into sixteenths: loads are then even
/// within that, and most ranges never become heavy.
const CUT_ABOVE: u64 = 8;
const CUT_INTO: u64 = 16;
/// One that could not be cut, since it is one key, is left alone for so long.
const SOLID_NS: Nanos = 2_000_000_000;
/// Ranges of one partition, on average, from which neighbours are merged that make less than 1/32
/// of its fair part together; and those that are merged in one tick.
const RANGES_KEPT: usize = 64;
const MERGE_BELOW: u64 = 32;
const MERGES_MAX: usize = 32;
/// Ranges are shifted if the fullest partition has had 10 % too much for 3 ticks, and at most once
/// a second.
const UNEVEN_PERCENT: u64 = 110;
const UNEVEN_TICKS: u32 = 3;
const QUIET_NS: Nanos = 1_000_000_000;
/// The fullest must become emptier by a twentieth of the mean.
const GAIN_PER_MEAN: u64 = 20;
/// Less than a thousandth of a core is nothing to learn from.
const DEMAND_MIN: u64 = CORE / 1_000;
/// Shifts after which the first bounds count as learned, even or not.
const FIRST_SHIFTS: u32 = 4;
/// What an even load brings is counted for so many seconds.
const HORIZON_S: u64 = 10;

/// What is remembered of one domain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RangeMemory {
    /// Its bounds have been even once.
    is_learned: bool,
    /// How often ranges were shifted before.
    shifts: u32,
    /// For how many ticks some partition has had too much.
    uneven_ticks: u32,
    /// Nothing is shifted before this time.
    quiet_until: Nanos,
    /// Groups that were cut, or not, and until when they are left alone.
    solid: Vec<(u16, Nanos)>,
}

/// How much of the policy is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// The first bounds.
    First,
    /// All the time.
    Always,
}

/// What ranges need, of all domains that have any.
pub(super) fn follow_ranges(view: &LoadView, reach: Reach, memory: &mut Memory) -> Vec<Decision> {
    memory.ranges.resize(view.domains.len(), RangeMemory::default());
    let mut decisions = Vec::new();
    for index in 0..view.domains.len() {
        let Some(domain) = Ordered::of(view, index) else { continue };
        let mut known = std::mem::take(&mut memory.ranges[index]);
        known.solid.retain(|(_, until)| *until > view.at);
        let steps = match view.occasion {
            _ if reach == Reach::First && known.is_learned => Vec::new(),
            Occasion::Ask(_) if reach == Reach::First => Vec::new(),
            Occasion::Ask(thief) => domain.steal(thief).into_iter().collect(),
            Occasion::Tick => domain.tick(&mut known),
        };
        for (action, seen, [gain_ns, cost_ns]) in steps {
            let verdict = Verdict::Act { action, gain_ns, cost_ns };
            let decision = memory.decide(Rule::Range, seen, verdict);
            if let (Some(Action::Move { .. }), Reach::Always) = (decision.action(), reach) {
                memory.watch(&decision, &domain.loads, view);
            }
            decisions.push(decision);
        }
        memory.ranges[index] = known;
    }
    decisions
}

/// An action, what was seen, and its gain and cost.
type Planned = (Action, String, [u64; 2]);

/// A domain of ranges in which nothing moves now.
struct Ordered<'a> {
    view: &'a LoadView,
    index: usize,
    domain: &'a DomainLoad,
    /// Demand by partition.
    loads: Vec<u64>,
    /// Demand of all its ranges.
    total: u64,
}

impl<'a> Ordered<'a> {
    /// `None` if it has no ranges, or they stay where they are.
    fn of(view: &'a LoadView, index: usize) -> Option<Ordered<'a>> {
        let domain = &view.domains[index];
        let stays = domain.unmovable.is_some()
            || view.open_moves.iter().any(|open| open.domain == index)
            // Nothing gets past a partition that takes nothing.
            || view.partitions.iter().any(|partition| partition.refuses.is_some());
        if domain.ranges.is_empty() || stays {
            return None;
        }
        let total = domain.ranges.iter().map(|group| domain.demands[usize::from(*group)]).sum();
        Some(Ordered { view, index, domain, loads: view.demands(), total })
    }

    fn demand(&self, range: usize) -> u64 {
        self.domain.demands[usize::from(self.domain.ranges[range])]
    }

    fn owner(&self, range: usize) -> usize {
        usize::from(self.domain.owners[usize::from(self.domain.ranges[range])])
    }

    /// The ranges, by their index in the order of keys.
    fn ranges(&self) -> std::ops::Range<usize> {
        0..self.domain.ranges.len()
    }

    fn tick(&self, known: &mut RangeMemory) -> Vec<Planned> {
        if self.total < DEMAND_MIN {
            return Vec::new();
        }
        let cuts = self.cuts(known);
        if !cuts.is_empty() {
            return cuts;
        }
        let shift = self.shift(known);
        if shift.is_empty() { self.merges() } else { shift }
    }

    /// Heavy ranges, to be cut by whoever knows their keys.
    fn cuts(&self, known: &mut RangeMemory) -> Vec<Planned> {
        let fair = self.total / self.loads.len() as u64;
        let mut room = KEY_GROUPS / 2;
        room = room.saturating_sub(self.domain.ranges.len());
        let mut cuts = Vec::new();
        for range in self.ranges() {
            let (group, demand) = (self.domain.ranges[range], self.demand(range));
            let parts = (demand * CUT_INTO / fair.max(1)).max(2) as usize;
            let is_heavy = demand * CUT_ABOVE > fair && parts <= room;
            if !is_heavy || known.solid.iter().any(|(solid, _)| *solid == group) {
                continue;
            }
            room -= parts;
            // If it was cut it is light now, or is seen to be heavy again when this is over.
            known.solid.push((group, self.view.at + SOLID_NS));
            let seen = format!(
                "a range of `{}` on partition {} wants {} cores, a fair part is {}",
                self.domain.name,
                self.owner(range),
                cores(demand),
                cores(fair)
            );
            let action = Action::Cut { domain: self.index, group, parts };
            cuts.push((action, seen, [0, 0]));
        }
        cuts
    }

    /// The moves that make loads even, if they are not and that is worth it.
    fn shift(&self, known: &mut RangeMemory) -> Vec<Planned> {
        let (owners, level) = self.even();
        let mut after = self.loads.clone();
        for range in self.ranges() {
            after[self.owner(range)] -= self.demand(range).min(after[self.owner(range)]);
            after[owners[range]] += self.demand(range);
        }
        let highest = |loads: &[u64]| loads.iter().copied().max().unwrap_or(0);
        let (before, after) = (highest(&self.loads), highest(&after));
        let mean = self.loads.iter().sum::<u64>() / self.loads.len() as u64;
        let is_better = after + mean / GAIN_PER_MEAN < before;
        let is_uneven = before * 100 > level * UNEVEN_PERCENT && is_better;
        known.uneven_ticks = if is_uneven { known.uneven_ticks + 1 } else { 0 };
        if !known.is_learned {
            known.is_learned = !is_uneven || known.shifts >= FIRST_SHIFTS;
        } else if known.uneven_ticks < UNEVEN_TICKS || self.view.at < known.quiet_until {
            return Vec::new();
        }
        if !is_uneven {
            return Vec::new();
        }
        (known.uneven_ticks, known.shifts) = (0, known.shifts.saturating_add(1));
        known.quiet_until = self.view.at + QUIET_NS;
        let seen = format!(
            "the fullest partition wants {} cores, the mean is {}; ranges of `{}` can make it {}",
            cores(before),
            cores(mean),
            self.domain.name,
            cores(after)
        );
        self.moves(&owners, &seen, (before - after).saturating_mul(HORIZON_S))
    }

    /// By range, who would own it if loads were even; and the highest load there would be at least.
    fn even(&self) -> (Vec<usize>, u64) {
        let mut rest = self.loads.clone();
        for range in self.ranges() {
            let owner = self.owner(range);
            rest[owner] = rest[owner].saturating_sub(self.demand(range));
        }
        let level = level(&rest, self.total);
        let (mut owner, mut room) = (0, level.saturating_sub(rest[0]));
        let mut filled = 0;
        let owners = self.ranges().map(|range| {
            // To whoever has room for half of it.
            while filled + self.demand(range) / 2 >= room && owner + 1 < rest.len() {
                owner += 1;
                room += level.saturating_sub(rest[owner]);
            }
            filled += self.demand(range);
            owner
        });
        (owners.collect(), level)
    }

    /// Moves after which `owners[r]` owns range *r*. After each of them ranges are in order: what
    /// goes up goes first, the highest range before all others, then what goes down, from the
    /// lowest on.
    fn moves(&self, owners: &[usize], seen: &str, gain_ns: u64) -> Vec<Planned> {
        let ways = |range: usize| (self.owner(range), owners[range]);
        let up = self.ranges().rev().filter(|range| ways(*range).0 < ways(*range).1);
        let down = self.ranges().filter(|range| ways(*range).0 > ways(*range).1);
        let mut bundles: Vec<Vec<usize>> = Vec::new();
        for range in up.chain(down) {
            match bundles.last_mut() {
                Some(bundle) if ways(bundle[0]) == ways(range) && bundle.len() < UNITS_MAX => {
                    bundle.push(range);
                }
                _ => bundles.push(vec![range]),
            }
        }
        let planned =
            |bundle: Vec<usize>| self.planned(&bundle, ways(bundle[0]), seen.to_owned(), gain_ns);
        bundles.into_iter().map(planned).collect()
    }

    fn planned(
        &self,
        ranges: &[usize],
        (from, to): (usize, usize),
        seen: String,
        gain_ns: u64,
    ) -> Planned {
        let domain = self.index;
        let piece = |range: &usize| {
            let group = self.domain.ranges[*range];
            let state_bytes = self.domain.state_bytes[usize::from(group)];
            let demand = self.demand(*range);
            Piece { domain, unit: Unit::Group(group), demand, state_bytes }
        };
        let pieces: Vec<Piece> = ranges.iter().map(piece).collect();
        let units = pieces.iter().map(|piece| piece.unit).collect();
        (Action::Move { domain, units, from, to }, seen, [gain_ns, cost_ns(&pieces)])
    }

    /// Light neighbours of one owner, where there are many ranges.
    fn merges(&self) -> Vec<Planned> {
        let kept = (RANGES_KEPT * self.loads.len()).min(KEY_GROUPS / 4);
        let mut surplus = self.domain.ranges.len().saturating_sub(kept).min(MERGES_MAX);
        let light = self.total / self.loads.len() as u64 / MERGE_BELOW;
        let (mut merges, mut next) = (Vec::new(), 0);
        while surplus > 0 && next + 1 < self.domain.ranges.len() {
            let demand = self.demand(next) + self.demand(next + 1);
            if self.owner(next) != self.owner(next + 1) || demand >= light {
                next += 1;
                continue;
            }
            let action = Action::Merge { domain: self.index, group: self.domain.ranges[next] };
            let seen = format!("`{}` has {} ranges", self.domain.name, self.domain.ranges.len());
            merges.push((action, seen, [0, 0]));
            (surplus, next) = (surplus - 1, next + 2);
        }
        merges
    }

    /// What `thief` takes of the neighbour that is behind most: from their border on, until half of
    /// the difference in backlog is reached.
    fn steal(&self, thief: usize) -> Option<Planned> {
        let backlog = |partition: usize| self.view.partitions[partition].backlog_ns;
        let below = self.ranges().rev().find(|range| self.owner(*range) < thief);
        let above = self.ranges().find(|range| self.owner(*range) > thief);
        let neighbours = below.into_iter().chain(above).map(|range| self.owner(range));
        let donor = neighbours.max_by_key(|partition| backlog(*partition))?;
        let behind = backlog(donor);
        if behind < backlog(thief).saturating_mul(BACKLOG_RATIO).max(BACKLOG_MIN_NS) {
            return None;
        }
        let mut left = (behind - backlog(thief)) / 2;
        let mut own: Vec<usize> =
            self.ranges().filter(|range| self.owner(*range) == donor).collect();
        if donor < thief {
            own.reverse();
        }
        let fits = |range: &usize| {
            let waits = u128::from(behind) * u128::from(self.demand(*range));
            let waits = (waits / u128::from(self.loads[donor].max(1))) as u64;
            let fits = waits <= left;
            left = left.saturating_sub(waits);
            fits
        };
        let taken: Vec<usize> = own.into_iter().take_while(fits).take(UNITS_MAX).collect();
        let gain_ns = (behind - backlog(thief)) / 2 - left;
        let seen = format!(
            "partition {thief} is dry, partition {donor} has {:.1} ms of work waiting",
            behind as f64 / 1e6
        );
        let planned = self.planned(&taken, (donor, thief), seen, gain_ns);
        (!taken.is_empty() && gain_ns > BACKLOG_RATIO * planned.2[1]).then_some(planned)
    }
}

/// The load of every partition if so much were dealt out to those that are emptiest, but for those
/// that have more already.
fn level(rest: &[u64], total: u64) -> u64 {
    let mut sorted = rest.to_vec();
    sorted.sort_unstable();
    let (mut sum, mut level) = (total, u64::MAX);
    for (count, rest) in sorted.iter().enumerate() {
        if level <= *rest {
            break;
        }
        sum += rest;
        level = sum / (count as u64 + 1);
    }
    level
}

/// Demand in cores, for people.
fn cores(demand: u64) -> String {
    format!("{:.2}", demand as f64 / CORE as f64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::Rebalance;
    use crate::supervisor::check::checked;
    use crate::supervisor::policy::{Balanced, RebalancePolicy};
    use crate::supervisor::sample::{percent, view};

    /// A view of one range, which is partition 0's.
    fn one_range(partitions: usize, demand: u64) -> LoadView {
        let mut view = view(partitions, 0);
        let domain = &mut view.domains[0];
        domain.ranges = vec![0];
        domain.demands[0] = demand;
        domain.owners.fill(0);
        view
    }

    /// A view of ranges with these demands, dealt out in order.
    fn ranged(partitions: usize, demands: &[u64]) -> LoadView {
        let mut view = view(partitions, 0);
        let domain = &mut view.domains[0];
        domain.ranges = (0..demands.len() as u16).collect();
        for (range, demand) in demands.iter().enumerate() {
            domain.demands[range] = *demand;
            domain.owners[range] = (range * partitions / demands.len()) as u16;
        }
        view
    }

    /// Shows `view` to the policy for `ticks` ticks and does what it decides.
    fn run(policy: &mut Balanced, view: &mut LoadView, ticks: u32) -> Vec<Action> {
        let mut all = Vec::new();
        for _ in 0..ticks {
            view.pass();
            for decision in checked(view, policy.plan(view)) {
                assert!(!matches!(decision.verdict, Verdict::Refused { .. }), "{decision}");
                if let Some(action) = decision.action() {
                    view.apply(action);
                    assert!(is_ordered(view), "{decision}");
                    all.push(action.clone());
                }
            }
        }
        all
    }

    fn is_ordered(view: &LoadView) -> bool {
        let domain = &view.domains[0];
        domain.ranges.iter().is_sorted_by_key(|group| domain.owners[usize::from(*group)])
    }

    #[test]
    fn one_range_is_cut_and_dealt_out_whatever_the_level() {
        for level in [Rebalance::Off, Rebalance::Groups, Rebalance::Combine] {
            let mut policy = Balanced::new(level);
            let mut view = one_range(4, percent(200));
            run(&mut policy, &mut view, 3);
            assert!(view.ratio() < 1.05, "{level:?}: {}", view.ratio());
            assert_eq!(run(&mut policy, &mut view, 50), []);
        }
    }

    #[test]
    fn where_nothing_is_to_move_only_the_first_bounds_are_learned() {
        for (level, follows) in [(Rebalance::Off, false), (Rebalance::Groups, true)] {
            let mut policy = Balanced::new(level);
            let mut view = one_range(4, percent(200));
            run(&mut policy, &mut view, 5);
            let domain = &mut view.domains[0];
            for group in domain.ranges.iter().take(16) {
                domain.demands[usize::from(*group)] *= 4;
            }
            assert_eq!(!run(&mut policy, &mut view, 60).is_empty(), follows, "{level:?}");
            assert_eq!(view.ratio() < 1.1, follows, "{level:?}: {}", view.ratio());
        }
    }

    #[test]
    fn jitter_moves_nothing() {
        let mut policy = Balanced::new(Rebalance::Keys);
        let mut view = one_range(4, percent(200));
        run(&mut policy, &mut view, 20);
        for tick in 0..200u64 {
            let domain = &mut view.domains[0];
            for (range, group) in domain.ranges.iter().enumerate() {
                let jitter = (tick * 7 + range as u64 * 13) % 11;
                domain.demands[usize::from(*group)] = percent(30 + jitter) / 10;
            }
            assert_eq!(run(&mut policy, &mut view, 1), [], "tick {tick}");
        }
    }

    #[test]
    fn a_single_key_that_fills_its_range_is_not_cut_again_and_again() {
        let mut policy = Balanced::new(Rebalance::Keys);
        let mut view = ranged(2, &[percent(1), percent(90), percent(1), percent(1)]);
        let mut asked = 0;
        for _ in 0..100 {
            view.pass();
            // Its owner finds no reason to.
            let decisions = checked(&view, policy.plan(&view));
            let cuts = decisions.iter().filter_map(Decision::action);
            asked += cuts.filter(|action| matches!(action, Action::Cut { .. })).count();
        }
        assert!((1..=6).contains(&asked), "{asked}");
    }

    #[test]
    fn many_light_ranges_become_fewer() {
        let mut policy = Balanced::new(Rebalance::Keys);
        let mut view = ranged(2, &[percent(1) / 20; 400]);
        run(&mut policy, &mut view, 50);
        assert!(view.domains[0].ranges.len() <= 130, "{}", view.domains[0].ranges.len());
        assert!(view.ratio() < 1.05, "{}", view.ratio());
    }

    #[test]
    fn a_dry_partition_takes_from_its_neighbour_what_lies_at_their_border() {
        let mut view = ranged(3, &[percent(10); 30]);
        let mut policy = Balanced::new(Rebalance::Keys);
        run(&mut policy, &mut view, 5);
        view.occasion = Occasion::Ask(2);
        view.partitions[0].backlog_ns = 500_000_000;
        assert_eq!(run(&mut policy, &mut view, 1), [], "partition 0 is no neighbour");
        view.partitions[1].backlog_ns = 50_000_000;
        let [Action::Move { units, from: 1, to: 2, .. }] = &run(&mut policy, &mut view, 1)[..]
        else {
            panic!("it takes something")
        };
        let highest: Vec<_> = (15..20).rev().map(Unit::Group).collect();
        assert_eq!(*units, highest, "half of what waits");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        // `run` fails if an action is refused, or leaves ranges out of order.
        #[test]
        fn whatever_the_load_ranges_stay_in_order_and_become_even(
            partitions in 2usize..9,
            demands in prop::collection::vec(0u64..300, 1..200),
            rest in prop::collection::vec(0u64..100, 9),
        ) {
            let demands: Vec<u64> = demands.iter().map(|demand| percent(*demand) / 10).collect();
            let mut view = ranged(partitions, &demands);
            for (partition, rest) in view.partitions.iter_mut().zip(rest) {
                partition.rest_demand = percent(rest);
            }
            let mut policy = Balanced::new(Rebalance::Keys);
            run(&mut policy, &mut view, 60);
            let total: u64 = demands.iter().sum();
            let rests: Vec<u64> = view.partitions.iter().map(|p| p.rest_demand).collect();
            let best = level(&rests, total).max(rests.iter().copied().max().unwrap_or(0));
            let highest = view.demands().into_iter().max().unwrap_or(0);
            let allowed = best * 112 / 100 + total / partitions as u64 / 4;
            prop_assert!(highest <= allowed || total < DEMAND_MIN, "{highest} of {best}");
        }
    }
}
