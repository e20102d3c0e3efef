//! The built-in policy: steal, balance, combine and fold, with what keeps them from oscillating.

use serde::{Deserialize, Serialize};

use crate::config::Rebalance;
use crate::supervisor::decision::{Action, Decision, Rule, Verdict};
use crate::supervisor::load::{CORE, KeyRoute, LoadView, Occasion};
use crate::supervisor::policy::RebalancePolicy;
use crate::supervisor::policy::balance::{Bundle, bundles};
use crate::supervisor::policy::combine::combine;
use crate::supervisor::policy::home::cold_key;
use crate::supervisor::policy::memory::{Memory, Peak};
use crate::supervisor::policy::ranges::{Reach, follow_ranges};
use crate::supervisor::policy::sight::{Levels, Look};
use crate::supervisor::policy::steal::theft;
use crate::time::Nanos;

/// A partition 10 % above what it should have is worth acting on, after 3 ticks: no jitter then.
const UNEVEN_PERMILLE: u64 = 1_100;
const UNEVEN_TICKS: u32 = 3;
/// So is one that has been 3 % above for 2 s: what lasts is no jitter either.
const TILTED_PERMILLE: u64 = 1_030;
const TILTED_TICKS: u32 = 20;
/// Beside a key that fills a partition by itself, 1 %: what else is there is known exactly, and
/// each part of it is missing where the job has its bottleneck.
const BESIDE_GIANT_PERMILLE: u64 = 1_010;
/// Where nobody wants half a core nothing waits for another, so an uneven load is left alone.
const RELAXED_BELOW: u64 = CORE / 2;
/// A peak counts for 1.5 s, then it sinks by a fifth a tick: a key that is hot every other half
/// second counts as hot, and is not chased.
const PEAK_HELD_NS: Nanos = 1_500_000_000;
const PEAK_KEPT_PERCENT: u64 = 80;
const PEAK_AGAIN_PERCENT: u64 = 90;
/// A thousandth of a core is no peak.
const PEAK_MIN: u64 = CORE / 1_000;

/// The policy that Millstream comes with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Balanced {
    level: Rebalance,
    memory: Memory,
}

impl Balanced {
    /// A policy that goes as far as `level`, and has seen nothing yet.
    pub fn new(level: Rebalance) -> Balanced {
        Balanced { level, memory: Memory::default() }
    }

    /// Says what it cannot remember of a job that shows `view`.
    pub(crate) fn check(&self, view: &LoadView) -> Result<(), String> {
        self.memory.check(view)
    }

    fn tick(&mut self, view: &LoadView) -> Vec<Decision> {
        self.memory.forget_cooled(view.at);
        self.follow_peaks(view);
        let demands = view.demands();
        let mut decisions = self.memory.measure(view, &demands);
        if decisions.iter().any(|decision| decision.rule == Rule::Undo) {
            // What else there is to do is seen better when that is done.
            return decisions;
        }
        let first_new = decisions.len();
        decisions.extend(combine(view, self.level, &demands, &mut self.memory));
        let is_settled = decisions.iter().all(|decision| decision.action().is_none());
        let levels = Look::new(view, &self.memory, self.level).levels();
        // A key that is about to be combined would be planned around.
        if self.is_uneven(&levels) && is_settled {
            decisions.extend(self.balance(view, &demands, levels));
        } else if is_settled {
            let look = Look::new(view, &self.memory, self.level);
            let cold = cold_key(&look, &levels);
            decisions.extend(cold.map(|cold| cold.send_home(view, &mut self.memory)));
        }
        for decision in &decisions[first_new..] {
            self.memory.watch(decision, &demands, view);
        }
        decisions
    }

    /// Keeps the recent peak of every key that has just been hotter than it is.
    fn follow_peaks(&mut self, view: &LoadView) {
        let old = std::mem::take(&mut self.memory.peaks);
        let mut old = old.into_iter().peekable();
        let sunk = |mut peak: Peak| {
            if view.at.saturating_sub(peak.at) > PEAK_HELD_NS {
                peak.demand = peak.demand / 100 * PEAK_KEPT_PERCENT;
            }
            (peak.demand > PEAK_MIN).then_some(peak)
        };
        // Keys and peaks both ascend by domain and hash.
        let peaks = &mut self.memory.peaks;
        for (domain, load) in view.domains.iter().enumerate() {
            for key in &load.keys {
                let place = (domain, key.hash);
                while let Some(peak) = old.next_if(|peak| (peak.domain, peak.hash) < place) {
                    peaks.extend(sunk(peak));
                }
                let known = old.next_if(|peak| (peak.domain, peak.hash) == place).and_then(sunk);
                // As high again within jitter is a new peak: it begins to count anew.
                let is_higher = |peak: &Peak| peak.demand / 100 * PEAK_AGAIN_PERCENT > key.demand;
                let now = Peak { domain, hash: key.hash, demand: key.demand, at: view.at };
                if key.route != KeyRoute::Combined {
                    peaks.push(known.filter(is_higher).unwrap_or(now));
                }
            }
        }
        peaks.extend(old.filter_map(sunk));
    }

    /// Whether some partition has had too much for long enough. What it cannot give away (a hot
    /// key that is its own) does not count.
    fn is_uneven(&mut self, levels: &Levels) -> bool {
        let (least, count) = (levels.gives_from().max(RELAXED_BELOW), levels.loads.len());
        let Memory { uneven_ticks, tilted_ticks, .. } = &mut self.memory;
        uneven_ticks.resize(count, 0);
        tilted_ticks.resize(count, 0);
        let follow = |ticks: &mut u32, exceeds: bool| {
            *ticks = if exceeds { ticks.saturating_add(1) } else { ticks.saturating_sub(1) };
            *ticks
        };
        let mut is_uneven = false;
        for partition in 0..count {
            let (load, target) = (levels.loads[partition], levels.targets[partition]);
            let exceeds = |permille: u64| {
                load > least && load.saturating_mul(1_000) > target.saturating_mul(permille)
            };
            let has_giant = target > levels.fair;
            let tilted = if has_giant { BESIDE_GIANT_PERMILLE } else { TILTED_PERMILLE };
            let uneven = follow(&mut uneven_ticks[partition], exceeds(UNEVEN_PERMILLE));
            let tilted = follow(&mut tilted_ticks[partition], exceeds(tilted));
            is_uneven |= uneven >= UNEVEN_TICKS || tilted >= TILTED_TICKS;
        }
        is_uneven
    }

    fn balance(&mut self, view: &LoadView, demands: &[u64], levels: Levels) -> Vec<Decision> {
        let fair = levels.fair;
        let sight = Look::new(view, &self.memory, self.level).sight(levels);
        let plan = bundles(sight);
        let mean = demands.iter().sum::<u64>() / demands.len().max(1) as u64;
        if plan.is_empty() {
            return self.nothing_to_balance(view, demands, mean).into_iter().collect();
        }
        // What it brings shows after as many ticks.
        self.memory.uneven_ticks.clear();
        self.memory.tilted_ticks.clear();
        plan.into_iter().map(|bundle| self.act(bundle, view, demands, (mean, fair))).collect()
    }

    fn act(
        &mut self,
        bundle: Bundle,
        view: &LoadView,
        demands: &[u64],
        (mean, fair): (u64, u64),
    ) -> Decision {
        let Bundle { domain, from, to, units, demand, gain_ns, cost_ns } = bundle;
        let seen = format!(
            "partition {from} wants {} cores, partition {to} {}; the mean is {}, the fair part {}; \
             {} go over",
            cores(demands[from]),
            cores(demands[to]),
            cores(mean),
            cores(fair),
            cores(demand)
        );
        self.memory.cool(domain, &units, view.at, 0);
        let action = Action::Move { domain, units, from, to };
        self.memory.decide(Rule::Balance, seen, Verdict::Act { action, gain_ns, cost_ns })
    }

    fn nothing_to_balance(
        &mut self,
        view: &LoadView,
        demands: &[u64],
        mean: u64,
    ) -> Option<Decision> {
        let fullest = (0..demands.len()).max_by_key(|partition| demands[*partition])?;
        if !self.memory.may_say(Rule::Balance, fullest as u64, view.at) {
            return None;
        }
        let seen = format!(
            "partition {fullest} wants {} cores, the mean is {}",
            cores(demands[fullest]),
            cores(mean)
        );
        let why = "no bundle of what may move now makes the fullest emptier by ten times its cost";
        Some(self.memory.decide(Rule::Balance, seen, Verdict::No { why: why.into() }))
    }
}

impl RebalancePolicy for Balanced {
    fn name(&self) -> &str {
        "balanced"
    }

    fn plan(&mut self, view: &LoadView) -> Vec<Decision> {
        if view.partitions.len() < 2 {
            return Vec::new();
        }
        let mut decisions = Vec::new();
        if view.domains.iter().any(|domain| !domain.ranges.is_empty()) {
            let reach = if self.level == Rebalance::Off { Reach::First } else { Reach::Always };
            decisions = follow_ranges(view, reach, &mut self.memory);
        }
        if self.level != Rebalance::Off {
            decisions.extend(self.plan_units(view));
        }
        decisions
    }
}

impl Balanced {
    /// What is to be done about keys and groups that have no order.
    fn plan_units(&mut self, view: &LoadView) -> Vec<Decision> {
        match view.occasion {
            Occasion::Tick => self.tick(view),
            Occasion::Ask(thief) if !view.may_relieve(thief) => Vec::new(),
            Occasion::Ask(thief) => {
                let look = Look::new(view, &self.memory, self.level);
                let theft = theft(&look, thief);
                let stolen = theft.and_then(|theft| theft.decide(view, thief, &mut self.memory));
                if let Some(decision) = &stolen {
                    self.memory.watch(decision, &view.demands(), view);
                }
                stolen.into_iter().collect()
            }
        }
    }
}

/// Demand in cores, for people.
fn cores(demand: u64) -> String {
    format!("{:.2}", demand as f64 / CORE as f64)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::routing::KEY_GROUPS;
    use crate::supervisor::check::checked;
    use crate::supervisor::load::{OpenMove, Unit};
    use crate::supervisor::sample::{TICK_NS, hash, percent, view};

    /// Shows `view` to the policy for `ticks` ticks and does what it decides.
    fn run(policy: &mut Balanced, view: &mut LoadView, ticks: u32) -> Vec<Decision> {
        let mut all = Vec::new();
        for _ in 0..ticks {
            view.pass();
            let decisions = checked(view, policy.plan(view));
            for decision in &decisions {
                assert!(!matches!(decision.verdict, Verdict::Refused { .. }), "{decision}");
                decision.action().into_iter().for_each(|action| view.apply(action));
            }
            all.extend(decisions);
        }
        all
    }

    fn rules(decisions: &[Decision]) -> Vec<Rule> {
        let mut rules: Vec<_> = decisions.iter().map(|decision| decision.rule).collect();
        rules.dedup();
        rules
    }

    #[test]
    fn an_even_load_is_left_alone() {
        let mut policy = Balanced::default();
        let mut view = view(4, percent(300));
        view.domains[0].demands[7] += percent(3);
        assert_eq!(run(&mut policy, &mut view, 100), []);
    }

    #[test]
    fn an_uneven_load_that_leaves_time_everywhere_is_left_alone() {
        let mut policy = Balanced::default();
        let mut view = view(4, percent(40));
        view.add_key(7, percent(35));
        assert_eq!(run(&mut policy, &mut view, 100), []);
        view.add_key(8, percent(10));
        assert!(rules(&run(&mut policy, &mut view, 100)).contains(&Rule::Balance));
    }

    #[test]
    fn hot_groups_are_spread_after_three_ticks_and_the_gain_is_measured() {
        let mut policy = Balanced::new(Rebalance::Groups);
        let mut view = view(4, percent(100));
        (0..40).for_each(|group| view.domains[0].demands[group] += percent(3));
        assert_eq!(run(&mut policy, &mut view, 2), []);
        let decisions = run(&mut policy, &mut view, 1);
        assert_eq!(rules(&decisions), [Rule::Balance]);
        assert!(view.ratio() < 1.03, "{}", view.ratio());
        let measured = run(&mut policy, &mut view, 100);
        assert_eq!(rules(&measured), [Rule::Measure]);
        assert_eq!(measured.len(), decisions.len());
        for decision in measured {
            let Verdict::Measured { gain_ns, .. } = decision.verdict else { panic!("{decision}") };
            assert!(gain_ns > 0, "{decision}");
        }
    }

    #[test]
    fn a_key_too_big_for_its_place_moves_alone_and_everything_else_leaves_its_owner() {
        let mut policy = Balanced::new(Rebalance::Keys);
        let mut view = view(4, percent(100));
        let one = view.add_key(0, percent(90));
        let other = view.add_key(1, percent(80));
        run(&mut policy, &mut view, 20);
        let owner = |hash| view.domains[0].owner(Unit::Key(hash));
        assert_ne!(owner(one), owner(other));
        let highest = view.demands().into_iter().max().expect("four");
        assert!(highest < percent(93), "{:?} {view:?}", view.demands());
    }

    #[test]
    fn one_key_that_is_slightly_too_big_goes_rather_than_a_thousand_groups() {
        let mut policy = Balanced::new(Rebalance::Keys);
        let mut view = view(2, percent(50));
        (0..5).for_each(|group| _ = view.add_key(group, percent(15)));
        (0..3).for_each(|group| _ = view.add_key(KEY_GROUPS - 1 - group, percent(15)));
        let decisions = run(&mut policy, &mut view, 4);
        let units = decisions.iter().filter_map(Decision::action).map(|action| match action {
            Action::Move { units, .. } => units.len(),
            other => panic!("{other}"),
        });
        assert_eq!(units.collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn where_keys_may_not_move_only_groups_do() {
        let mut policy = Balanced::new(Rebalance::Groups);
        let mut view = view(2, percent(100));
        (0..2).for_each(|group| _ = view.add_key(group, percent(60)));
        run(&mut policy, &mut view, 20);
        assert!(view.domains[0].keys.iter().all(|key| key.route == KeyRoute::Group));
        assert!(view.ratio() < 1.03, "{}", view.ratio());
    }

    #[test]
    fn nothing_moves_when_it_is_off_or_there_is_nowhere_to_go() {
        let mut skewed = view(2, percent(10));
        skewed.add_key(0, percent(90));
        assert_eq!(run(&mut Balanced::new(Rebalance::Off), &mut skewed.clone(), 50), []);
        let mut single = view(1, percent(90));
        assert_eq!(run(&mut Balanced::default(), &mut single, 50), []);
        skewed.partitions[1].refuses = Some("it drains".into());
        let decisions = run(&mut Balanced::new(Rebalance::Keys), &mut skewed, 50);
        assert!(decisions.iter().all(|decision| decision.action().is_none()), "{decisions:?}");
    }

    #[test]
    fn a_key_hotter_than_a_core_is_combined_and_folded_when_it_has_cooled() {
        let mut policy = Balanced::default();
        let mut view = view(4, percent(100));
        let key = view.add_key(9, percent(250));
        let decisions = run(&mut policy, &mut view, 3);
        assert!(
            decisions.iter().any(|one| one.action() == Some(&Action::Combine { domain: 0, key }))
        );
        assert!(view.ratio() < 1.1, "{}", view.ratio());
        let warm = run(&mut policy, &mut view, 60);
        assert!(!rules(&warm).contains(&Rule::Fold), "{warm:?}");
        for partition in &mut view.partitions {
            partition.rest_demand = percent(1) / 4;
        }
        view.domains[0].keys[0].demand = percent(1);
        assert!(!rules(&run(&mut policy, &mut view, 50)).contains(&Rule::Fold));
        assert_eq!(rules(&run(&mut policy, &mut view, 1)), [Rule::Fold]);
        assert_eq!(view.domains[0].keys[0].route, KeyRoute::Group);
    }

    #[test]
    fn a_hot_key_that_does_not_merge_gets_its_own_partition_and_the_log_names_the_ceiling() {
        let mut policy = Balanced::default();
        let mut view = view(4, percent(100));
        view.domains[0].unmergeable = Some("`process` keeps a user's struct".into());
        let key = view.add_key(9, percent(100));
        let decisions = run(&mut policy, &mut view, 50);
        let told: Vec<_> = decisions.iter().filter(|one| one.rule == Rule::Combine).collect();
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(
            told[0].to_string().split_once(' ').expect("a number").1,
            "combine: key \"key of 9\" takes 50.0 % of `sum`, and partition 0 has no core to \
             spare: no: `sum` does not merge: `process` keeps a user's struct; the key gets a \
             partition of its own, and 2.00 times what one core does is the ceiling of `sum`"
        );
        let owner = view.domains[0].owner(Unit::Key(key)).expect("an owner");
        assert!(view.demands()[owner] < percent(102), "{:?}", view.demands());
    }

    #[test]
    fn a_move_that_made_it_worse_is_taken_back_once() {
        let mut policy = Balanced::new(Rebalance::Keys);
        let mut view = view(2, percent(100));
        let key = view.add_key(0, percent(60));
        let moved = run(&mut policy, &mut view, 3);
        assert!(rules(&moved).contains(&Rule::Balance), "{moved:?}");
        // What has gone over turns out to cost three times as much there.
        let taken: Vec<_> =
            (0..2_048).filter(|group| view.domains[0].owners[*group] == 1).collect();
        let is_key = view.domains[0].owner(Unit::Key(key)) == Some(1);
        taken.iter().for_each(|group| view.domains[0].demands[*group] *= 5);
        if is_key {
            view.domains[0].keys[0].demand *= 3;
        }
        // They stay for ten seconds then, so in nine nothing of them moves again.
        let after = run(&mut policy, &mut view, 90);
        let mut back = BTreeSet::new();
        for decision in after.iter().filter(|one| one.rule == Rule::Undo) {
            let Some(Action::Move { units, from: 1, to: 0, .. }) = decision.action() else {
                panic!("{decision} is no way back")
            };
            assert!(units.iter().all(|unit| back.insert(*unit)), "{decision} comes twice");
        }
        assert!(!back.is_empty(), "{after:?}");
        for decision in after.iter().filter(|one| one.rule != Rule::Undo) {
            if let Some(Action::Move { units, .. }) = decision.action() {
                assert!(units.iter().all(|unit| !back.contains(unit)), "{decision} is too soon");
            }
        }
    }

    #[test]
    fn a_steal_that_made_it_worse_is_taken_back_too() {
        let mut policy = Balanced::new(Rebalance::Groups);
        let mut view = view(2, percent(100));
        (0..40).for_each(|group| view.domains[0].demands[group] += percent(1));
        view.partitions[0].backlog_ns = 40_000_000;
        view.occasion = Occasion::Ask(1);
        let stolen = policy.plan(&view);
        assert_eq!(rules(&stolen), [Rule::Steal]);
        let Some(action @ Action::Move { units, .. }) = stolen[0].action() else {
            panic!("{stolen:?}")
        };
        view.apply(action);
        // What has gone over turns out to cost ten times as much there.
        units.iter().for_each(|unit| view.domains[0].demands[unit.group()] *= 10);
        (view.occasion, view.partitions[0].backlog_ns) = (Occasion::Tick, 0);
        let after = run(&mut policy, &mut view, 4);
        let undone = after.iter().find(|one| one.rule == Rule::Undo).expect("it did harm");
        let back = Action::Move { domain: 0, units: units.clone(), from: 1, to: 0 };
        assert_eq!(undone.action(), Some(&back));
    }

    #[test]
    fn a_dry_partition_takes_half_of_the_longest_backlog() {
        let mut policy = Balanced::default();
        let mut view = view(4, percent(300));
        (0..40).for_each(|group| view.domains[0].demands[group] += percent(2));
        view.partitions[0].backlog_ns = 40_000_000;
        view.occasion = Occasion::Ask(3);
        let decisions = policy.plan(&view);
        assert_eq!(rules(&decisions), [Rule::Steal]);
        let Some(Action::Move { units, from: 0, to: 3, .. }) = decisions[0].action() else {
            panic!("{decisions:?}")
        };
        assert!((20..=64).contains(&units.len()), "{units:?}");
    }

    #[test]
    fn a_steal_needs_a_backlog_that_is_worth_it() {
        let mut policy = Balanced::default();
        let mut view = view(4, percent(300));
        view.occasion = Occasion::Ask(3);
        for (donor, thief) in [(1_900_000, 0), (40_000_000, 6_000_000)] {
            view.partitions[0].backlog_ns = donor;
            view.partitions[3].backlog_ns = thief;
            assert_eq!(policy.plan(&view), [], "{donor} {thief}");
        }
        view.partitions[0].backlog_ns = 4_000_000;
        view.partitions[3].backlog_ns = 0;
        let refused = policy.plan(&view).remove(0).to_string();
        assert!(refused.contains("no: the move itself takes"), "{refused}");
    }

    #[test]
    fn units_in_an_open_move_wait() {
        let mut policy = Balanced::new(Rebalance::Groups);
        let mut view = view(2, percent(10));
        view.domains[0].demands[3] = percent(50);
        view.domains[0].demands[4] = percent(50);
        let units = vec![Unit::Group(3), Unit::Group(4)];
        view.open_moves.push(OpenMove { domain: 0, units, from: 0, to: 1 });
        for decision in run(&mut policy, &mut view, 10) {
            if let Some(Action::Move { units, .. }) = decision.action() {
                assert!(!units.contains(&Unit::Group(3)) && !units.contains(&Unit::Group(4)));
            }
        }
    }

    #[test]
    fn a_key_that_is_hot_every_other_half_second_is_not_chased() {
        let mut policy = Balanced::new(Rebalance::Keys);
        let mut view = view(2, percent(70));
        let (one, other) = (view.add_key(0, percent(20)), view.add_key(4_000, 0));
        let mut moves = 0;
        for round in 0..120 {
            for (hash, demand) in [(one, 20), (other, 0)] {
                let demand = if round % 2 == 0 { demand } else { 20 - demand };
                set(&mut view, hash, percent(demand));
            }
            let decisions = run(&mut policy, &mut view, 5);
            moves += decisions.iter().filter(|one| one.action().is_some()).count();
        }
        assert!(moves <= 60, "{moves} moves in a minute");
        assert_eq!(view.at, TICK_NS * 601);
    }

    fn set(view: &mut LoadView, wanted: u64, demand: u64) {
        let domain = &mut view.domains[0];
        let key = domain.keys.iter_mut().find(|key| key.hash == wanted).expect("known");
        if key.route == KeyRoute::Group {
            let group = (0..4_096).find(|group| hash(*group) == wanted).expect("a group");
            domain.demands[group] = domain.demands[group] - key.demand + demand;
        }
        key.demand = demand;
    }

    /// A view whose groups and keys have any demands, and somebody may ask or refuse.
    fn any_view() -> impl Strategy<Value = LoadView> {
        let demands = prop::collection::vec((0usize..4_096, 0u64..200), 0..60);
        let keys = prop::collection::btree_map(0usize..4_096, 0u64..300, 0..20);
        (2usize..9, demands, keys, any::<bool>(), any::<bool>()).prop_map(
            |(partitions, demands, keys, refuses, merges)| {
                let mut view = view(partitions, percent(100));
                for (group, demand) in demands {
                    view.domains[0].demands[group] += percent(demand) / 10;
                }
                for (group, demand) in keys {
                    view.add_key(group, percent(demand));
                }
                view.partitions[partitions - 1].refuses = refuses.then(|| "it drains".into());
                view.domains[0].unmergeable = (!merges).then(|| "it does not merge".into());
                view
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        // `run` fails if the check of actions refuses one.
        #[test]
        fn whatever_the_load_actions_make_sense_and_the_fullest_gets_no_fuller(
            mut view in any_view(), level in 0usize..4
        ) {
            use Rebalance::{Combine, Groups, Keys, Off};
            let mut policy = Balanced::new([Off, Groups, Keys, Combine][level]);
            let highest = |view: &LoadView| view.demands().into_iter().max().unwrap_or(0);
            let before = highest(&view);
            run(&mut policy, &mut view, 40);
            // Combining spreads a key evenly, also to where a group that fits nowhere is.
            let after = highest(&view);
            let combines = policy.level == Combine;
            prop_assert!(combines || after <= before + percent(2), "{after} > {before}");
            view.occasion = Occasion::Ask(0);
            view.partitions[1].backlog_ns = 50_000_000;
            run(&mut policy, &mut view, 1);
        }
    }
}
