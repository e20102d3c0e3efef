//! Many cores in simulation: the policy of the supervisor on 4 to 256 partitions, beside what
//! others do, under loads that stay, drift and jump; everything from a seed.
//!
//! Work is a fluid that arrives in batches, a core takes one second of it per second, and the
//! supervisor sees what samples tell. So it says what a policy is worth, not how fast a machine is.

mod costs;
mod eye;
mod load;
mod random;
mod rivals;
mod world;

use std::collections::VecDeque;
use std::fmt;

pub use load::Pattern;

use crate::config::Rebalance;
use crate::metrics::Histogram;
use crate::routing::KEY_GROUPS;
use crate::supervisor::{Action, Adviser, Balanced, Decision, Occasion, Rule, Trace};
use crate::testing::Random;
use crate::testing::cores::costs::{FULLNESS, RECORD_NS, STEP_NS};
use crate::testing::cores::eye::Eye;
use crate::testing::cores::load::{Load, TICKS_PER_S};
use crate::testing::cores::rivals::{Split, spread};
use crate::testing::cores::world::World;
use crate::time::{Clock, Nanos};

const STEPS_PER_TICK: u64 = 1_000_000_000 / TICKS_PER_S / STEP_NS;
/// The warm-up: 10 s, or half of a run that is shorter than twice that.
const WARM_UP_TICKS: u64 = 100;
/// Nobody has enough to steal from below this: the actor sees that without a view.
const BACKLOG_MIN_NS: f64 = 2e6;
/// A dry partition asks again after 1 ms, then after twice as long, up to 64 ms, until it gets
/// something. At 90 % load every partition is dry now and then, so that work alone is no reason
/// to ask often again.
const ASK_AFTER_STEPS_MAX: u64 = 64;

/// What decides where records go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// The supervisor, moving groups and keys.
    Keys,
    /// The supervisor, combining as well.
    Combine,
    /// A fixed hash.
    Hash,
    /// Partial key grouping: each key on two partitions, merged behind them.
    Pairs,
    /// D-Choices: hot keys on as many as it takes, merged behind them.
    Choices,
}

impl Scheme {
    /// All of them, ours first.
    pub const ALL: [Scheme; 5] =
        [Scheme::Keys, Scheme::Combine, Scheme::Hash, Scheme::Pairs, Scheme::Choices];

    /// Whether it needs an operator that merges.
    pub fn merges(self) -> bool {
        matches!(self, Scheme::Combine | Scheme::Pairs | Scheme::Choices)
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Scheme::Keys => "keys",
            Scheme::Combine => "combine",
            Scheme::Hash => "static hash",
            Scheme::Pairs => "partial key grouping",
            Scheme::Choices => "d-choices",
        })
    }
}

/// What a scheme came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// The fullest partition's demand over the mean one's, averaged over time. What splitting and
    /// merging take on top counts as demand, but not to the mean.
    pub fullest: f64,
    /// The same over the best that is possible: 1, or the hottest key alone on a partition if the
    /// scheme does not split it.
    pub over_optimum: f64,
    /// Moves, combines and folds in the warm-up, which put everything in its place.
    pub placing: u64,
    /// Those after it, a minute.
    pub actions_per_minute: f64,
    /// How many of all these were steals.
    pub steals: u64,
    /// 99 of 100 records wait at most this long.
    pub wait_p99_ns: Nanos,
    /// How long a plan for all partitions took, on this machine: the median.
    pub plan_ns: Nanos,
    /// The same, 99 of 100.
    pub plan_p99_ns: Nanos,
}

/// A load on so many cores.
#[derive(Debug)]
pub struct Cores {
    count: usize,
    load: Load,
    hottest: f64,
    seed: u64,
}

impl Cores {
    /// `count` cores under a built-in load for `seconds`.
    pub fn under_pattern(count: usize, pattern: Pattern, seed: u64, seconds: u64) -> Cores {
        Cores::new(count, Load::of_pattern(pattern, seed, seconds), seed)
    }

    /// `count` cores under the load of a trace.
    pub fn under_trace(count: usize, trace: Trace, seed: u64) -> Cores {
        Cores::new(count, Load::Trace(trace), seed)
    }

    fn new(count: usize, load: Load, seed: u64) -> Cores {
        let hottest = load.hottest();
        Cores { count, load, hottest, seed }
    }

    /// Runs `scheme`, and tells every decision with its time. Equal arguments give equal outcomes,
    /// but for the time of planning, which `clock` takes.
    pub fn run(
        &self,
        scheme: Scheme,
        clock: &dyn Clock,
        tell: &mut dyn FnMut(Nanos, &Decision),
    ) -> Outcome {
        // Cores are filled as far as the scheme's kind could carry.
        let best = if scheme.merges() { 1.0 } else { self.optimum(self.hottest) };
        let volume = FULLNESS * self.count as f64 / best;
        let policy = match scheme {
            Scheme::Keys => Rebalance::Keys,
            Scheme::Combine => Rebalance::Combine,
            Scheme::Hash | Scheme::Pairs | Scheme::Choices => Rebalance::Off,
        };
        let mut run = Run {
            world: World::new(self.load.hashes(), self.count, volume),
            eye: Eye::new(KEY_GROUPS),
            adviser: Adviser::new(Box::new(Balanced::new(policy))),
            random: Random::seeded(self.seed),
            todo: VecDeque::new(),
            asks: vec![(0, 1); self.count],
            figures: Figures::default(),
            clock,
            tell,
        };
        for tick in 0..self.load.ticks() {
            if tick == self.warm_up_ticks() {
                // What queued up before the first plan is not what a long run is about.
                run.world.backlog_ns.fill(0.0);
                run.world.waits = Histogram::new();
                run.figures.restart();
            }
            self.tick(scheme, tick, &mut run);
        }
        run.figures.outcome(&run.world.waits)
    }

    /// Ticks at the beginning that no figure counts.
    fn warm_up_ticks(&self) -> u64 {
        WARM_UP_TICKS.min(self.load.ticks() / 2)
    }

    fn tick(&self, scheme: Scheme, tick: u64, run: &mut Run<'_>) {
        let is_new = self.load.fill(tick, &mut run.world.shares);
        if is_new {
            self.take_load(scheme, run);
        }
        let plans = matches!(scheme, Scheme::Keys | Scheme::Combine);
        for step in 0..STEPS_PER_TICK {
            if plans {
                run.act();
                run.steal(tick * STEPS_PER_TICK + step);
            }
            run.world.step(&mut run.random);
        }
        let hottest = run.world.shares.iter().copied().fold(0.0, f64::max);
        let optimum = if scheme.merges() { 1.0 } else { self.optimum(hottest) };
        run.figures.note(&run.world, optimum);
        if plans {
            run.eye.observe(&run.world, &mut run.random);
            run.plan((tick + 1) * STEPS_PER_TICK * STEP_NS);
        }
    }

    fn take_load(&self, scheme: Scheme, run: &mut Run<'_>) {
        let split = match scheme {
            Scheme::Keys | Scheme::Combine | Scheme::Hash => {
                run.world.take_shares();
                run.eye.find_candidates(&run.world);
                return;
            }
            Scheme::Pairs => Split::Pairs,
            Scheme::Choices => Split::Choices,
        };
        let records_per_s = run.world.volume * 1e9 / RECORD_NS;
        let keys = (&run.world.shares[..], self.load.hashes());
        let spread = spread(split, keys, self.count, records_per_s);
        run.world.take_demands(&spread.shares, spread.merging);
    }

    /// The fullest partition over the mean if nothing but the hottest key were in the way.
    fn optimum(&self, hottest: f64) -> f64 {
        (hottest * self.count as f64).max(1.0)
    }
}

/// One run.
struct Run<'a> {
    world: World<'a>,
    eye: Eye,
    adviser: Adviser,
    random: Random,
    /// Decided and not begun.
    todo: VecDeque<Action>,
    /// By partition, the step at which it may ask again, and the pause after that.
    asks: Vec<(u64, u64)>,
    figures: Figures,
    clock: &'a dyn Clock,
    tell: &'a mut dyn FnMut(Nanos, &Decision),
}

impl Run<'_> {
    fn plan(&mut self, at: Nanos) {
        self.todo.clear();
        let view = self.eye.view(&self.world, at, Occasion::Tick);
        let start = self.clock.now();
        let decisions = self.adviser.plan(&view);
        if decisions.iter().any(|decision| decision.rule == Rule::Balance) {
            self.figures.plans.record(self.clock.now() - start);
        }
        decisions.iter().for_each(|decision| (self.tell)(at, decision));
        self.todo.extend(decisions.iter().filter_map(|decision| decision.action().cloned()));
    }

    /// One action a step.
    fn act(&mut self) {
        if let Some(action) = self.todo.pop_front() {
            self.apply(&action);
        }
    }

    fn apply(&mut self, action: &Action) {
        let had_routes: Vec<u32> = self.world.routes.keys().copied().collect();
        self.world.apply(action);
        self.figures.actions += 1;
        let is_new = |key: &&u32| had_routes.binary_search(key).is_err();
        for key in self.world.routes.keys().filter(is_new) {
            self.eye.reroute(*key, self.world.group(*key), true);
        }
        for key in had_routes.iter().filter(|key| !self.world.routes.contains_key(key)) {
            self.eye.reroute(*key, self.world.group(*key), false);
        }
    }

    /// Lets the dry partitions ask, half of all at most.
    fn steal(&mut self, step: u64) {
        let highest = self.world.backlog_ns.iter().copied().fold(0.0, f64::max);
        // The supervisor has one move open at a time, so it looks at one of them.
        let mut is_served = highest < BACKLOG_MIN_NS || !self.todo.is_empty();
        let mut asking = 0;
        for thief in 0..self.asks.len() {
            let (next, pause) = self.asks[thief];
            let is_dry = self.world.backlog_ns[thief] <= 0.0;
            if !is_dry || step < next || asking >= self.asks.len() / 2 {
                continue;
            }
            asking += 1;
            self.asks[thief] = (step + pause, (pause * 2).min(ASK_AFTER_STEPS_MAX));
            if !is_served {
                is_served = true;
                if self.ask(thief, step) {
                    self.asks[thief] = (step + 1, 1);
                }
            }
        }
    }

    /// Whether it got something.
    fn ask(&mut self, thief: usize, step: u64) -> bool {
        let actions = self.figures.actions;
        let at = step * STEP_NS;
        let view = self.eye.view(&self.world, at, Occasion::Ask(thief));
        for decision in self.adviser.plan(&view) {
            (self.tell)(at, &decision);
            if let Some(action) = decision.action() {
                self.figures.steals += u64::from(decision.rule == Rule::Steal);
                self.apply(action);
            }
        }
        self.figures.actions > actions
    }
}

/// What is summed up while a run goes on.
#[derive(Debug, Default)]
struct Figures {
    ticks: u64,
    /// Ticks in which anything came.
    busy_ticks: u64,
    fullest: f64,
    over_optimum: f64,
    placing: u64,
    actions: u64,
    steals: u64,
    plans: Histogram,
}

impl Figures {
    /// Begins anew where the warm-up ends; how long plans took stays counted.
    fn restart(&mut self) {
        self.placing = std::mem::take(&mut self.actions);
        (self.ticks, self.busy_ticks) = (0, 0);
        (self.fullest, self.over_optimum) = (0.0, 0.0);
    }

    fn note(&mut self, world: &World<'_>, optimum: f64) {
        self.ticks += 1;
        let whole: f64 = world.shares.iter().sum::<f64>() * world.volume;
        if whole <= 0.0 {
            return;
        }
        let highest = world.demands.iter().copied().fold(0.0, f64::max);
        let ratio = highest * world.partitions() as f64 / whole;
        self.busy_ticks += 1;
        self.fullest += ratio;
        self.over_optimum += ratio / optimum;
    }

    fn outcome(&self, waits: &Histogram) -> Outcome {
        let minutes = self.ticks.max(1) as f64 / TICKS_PER_S as f64 / 60.0;
        let ticks = self.busy_ticks.max(1) as f64;
        let plans = self.plans.percentiles();
        Outcome {
            fullest: self.fullest / ticks,
            over_optimum: self.over_optimum / ticks,
            placing: self.placing,
            actions_per_minute: self.actions as f64 / minutes,
            steals: self.steals,
            wait_p99_ns: waits.percentiles().p99,
            plan_ns: plans.p50,
            plan_p99_ns: plans.p99,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::ManualClock;

    fn run(count: usize, pattern: Pattern, scheme: Scheme, seconds: u64) -> Outcome {
        let cores = Cores::under_pattern(count, pattern, 1, seconds);
        cores.run(scheme, &ManualClock::default(), &mut |_, _| {})
    }

    #[test]
    fn equal_seeds_give_equal_runs() {
        let again = || run(8, Pattern::Drift, Scheme::Combine, 6);
        assert_eq!(again(), again());
    }

    #[test]
    fn a_static_load_ends_within_a_tenth_of_the_optimum() {
        for (count, exponent) in [(4, 0.8), (16, 1.2), (64, 2.0)] {
            let pattern = Pattern::Zipf(exponent);
            let keys = run(count, pattern, Scheme::Keys, 15);
            assert!(keys.over_optimum < 1.1, "{pattern} on {count}: {keys:?}");
            let combine = run(count, pattern, Scheme::Combine, 15);
            assert!(combine.over_optimum < 1.1, "{pattern} on {count}: {combine:?}");
            let hash = run(count, pattern, Scheme::Hash, 15);
            assert!(keys.over_optimum <= hash.over_optimum + 0.001, "{pattern} on {count}");
        }
    }

    #[test]
    fn a_load_that_flips_is_not_chased() {
        let moved = run(4, Pattern::FlipFlop, Scheme::Keys, 60);
        assert!(moved.actions_per_minute <= 60.0, "{moved:?}");
        assert!(moved.over_optimum < 1.25, "{moved:?}");
    }

    #[test]
    fn a_flash_crowd_is_over_soon() {
        let combine = run(16, Pattern::FlashCrowd, Scheme::Combine, 30);
        assert!(combine.over_optimum < 1.05, "{combine:?}");
        let keys = run(4, Pattern::FlashCrowd, Scheme::Keys, 30);
        assert!(keys.over_optimum < 1.25, "{keys:?}");
    }

    #[test]
    fn what_has_queued_up_is_stolen_where_hot_keys_change() {
        let outcome = run(4, Pattern::Drift, Scheme::Keys, 20);
        assert!(outcome.over_optimum < 1.25, "{outcome:?}");
        assert!(outcome.steals > 0, "{outcome:?}");
    }
}
