//! Watch: what a decision brought, measured three ticks after it was done; harm is taken back.

use serde::{Deserialize, Serialize};

use crate::supervisor::decision::{Action, Decision, Rule, Verdict};
use crate::supervisor::load::{KeyRoute, LoadView, Unit};
use crate::supervisor::policy::balance::HORIZON_S;
use crate::supervisor::policy::memory::Memory;
use crate::time::Nanos;

/// Averages need three ticks to show nine tenths of a jump.
const MEASURED_AFTER_TICKS: u32 = 3;
/// An action that has not begun by then was dropped.
const DROPPED_AFTER_TICKS: u32 = 10;
/// A maximum that is 5 % higher is no jitter: three of them would be more than a partition's fair
/// part differs between two ticks.
const HARM_PERCENT: u64 = 105;
/// Units of a move that was taken back stay for 10 s.
const FREEZE_NS: Nanos = 10_000_000_000;

/// A decision whose effect is to be measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Watched {
    decision: u64,
    rule: Rule,
    action: Action,
    /// The highest demand of those concerned, and of all others together, when it was decided.
    before: u64,
    others_before: u64,
    predicted_ns: u64,
    /// Ticks since it was decided, or since it was done.
    ticks: u32,
    is_done: bool,
}

impl Watched {
    pub(super) fn is_plausible(&self, partitions: usize) -> bool {
        let exists = match &self.action {
            Action::Move { from, to, .. } => (*from).max(*to) < partitions && from != to,
            Action::Combine { .. } | Action::Fold { .. } => true,
            // What moves after it is measured.
            Action::Cut { .. } | Action::Merge { .. } => false,
        };
        exists && self.ticks <= DROPPED_AFTER_TICKS
    }
}

impl Memory {
    /// Remembers to measure what `decision`, just made on `view`, brings.
    pub(super) fn watch(&mut self, decision: &Decision, demands: &[u64], view: &LoadView) {
        if let Verdict::Act { action, gain_ns, .. } = &decision.verdict {
            self.watched.push(Watched {
                decision: decision.number,
                rule: decision.rule,
                before: highest(action, demands, view),
                others_before: others(action, demands),
                action: action.clone(),
                predicted_ns: *gain_ns,
                ticks: 0,
                is_done: false,
            });
        }
    }

    /// Measures what was decided some ticks ago, and takes back what did harm.
    pub(super) fn measure(&mut self, view: &LoadView, demands: &[u64]) -> Vec<Decision> {
        let mut decisions = Vec::new();
        for mut watched in std::mem::take(&mut self.watched) {
            watched.ticks += 1;
            if !watched.is_done && is_done(&watched.action, view) {
                watched.is_done = true;
                watched.ticks = 1;
            }
            match (watched.is_done, watched.ticks) {
                (true, MEASURED_AFTER_TICKS..) => {
                    self.judge(&watched, view, demands, &mut decisions)
                }
                (false, DROPPED_AFTER_TICKS..) => {}
                _ => self.watched.push(watched),
            }
        }
        decisions
    }

    fn judge(
        &mut self,
        watched: &Watched,
        view: &LoadView,
        demands: &[u64],
        decisions: &mut Vec<Decision>,
    ) {
        // The load as a whole may have changed; that of the partitions beside tells.
        let (then, now) = (watched.others_before, others(&watched.action, demands));
        let expected = match then {
            0 => watched.before,
            _ => (u128::from(watched.before) * u128::from(now) / u128::from(then)) as u64,
        };
        let after = highest(&watched.action, demands, view);
        let saved = i128::from(expected) - i128::from(after);
        let gain_ns = i64::try_from(saved * i128::from(HORIZON_S)).unwrap_or(i64::MAX);
        let seen = format!("{} is done", watched.action);
        let (decision, predicted_ns) = (watched.decision, watched.predicted_ns);
        let verdict = Verdict::Measured { decision, predicted_ns, gain_ns };
        decisions.push(self.decide(Rule::Measure, seen, verdict));
        let is_harm = after.saturating_mul(100) > expected.saturating_mul(HARM_PERCENT);
        // A key that is not combined any more would be combined again at once.
        if is_harm && matches!(watched.rule, Rule::Balance | Rule::Steal) {
            decisions.extend(self.undo(watched, view, demands));
        }
    }

    /// The move back, if the taker is the fuller one and still has everything.
    fn undo(&mut self, watched: &Watched, view: &LoadView, demands: &[u64]) -> Option<Decision> {
        let Action::Move { domain, units, from, to } = &watched.action else { return None };
        let owner = |unit: &Unit| view.domains.get(*domain).and_then(|d| d.owner(*unit));
        let (given, got) = (demands[*from], demands[*to]);
        let is_its_doing = got.saturating_mul(100) > given.saturating_mul(HARM_PERCENT);
        let takes = view.partitions[*from].refuses.is_none();
        if !is_its_doing || !takes || !units.iter().all(|unit| owner(unit) == Some(*to)) {
            return None;
        }
        self.cool(*domain, units, view.at, FREEZE_NS);
        let action = Action::Move { domain: *domain, units: units.clone(), from: *to, to: *from };
        let gain_ns = (got - given) / 2 * HORIZON_S;
        let seen = format!("decision {} made the fuller of the two fuller", watched.decision);
        Some(self.decide(Rule::Undo, seen, Verdict::Act { action, gain_ns, cost_ns: 0 }))
    }
}

/// The demand of the partitions that the action does not name.
fn others(action: &Action, demands: &[u64]) -> u64 {
    let whole: u64 = demands.iter().sum();
    match action {
        Action::Move { from, to, .. } => whole - demands[*from] - demands[*to],
        // Every partition is a feeder.
        Action::Combine { .. } | Action::Fold { .. } => whole,
        Action::Cut { .. } | Action::Merge { .. } => whole,
    }
}

/// The demand of the fullest partition that the action is about.
fn highest(action: &Action, demands: &[u64], view: &LoadView) -> u64 {
    match action {
        Action::Move { from, to, .. } => demands[*from].max(demands[*to]),
        Action::Combine { domain, key } | Action::Fold { domain, key } => {
            let owner = view.domains.get(*domain).and_then(|d| d.owner(Unit::Key(*key)));
            owner.map_or(0, |owner| demands[owner])
        }
        Action::Cut { .. } | Action::Merge { .. } => 0,
    }
}

/// Whether the view shows the action's effect.
fn is_done(action: &Action, view: &LoadView) -> bool {
    let (Action::Move { domain, .. }
    | Action::Cut { domain, .. }
    | Action::Merge { domain, .. }
    | Action::Combine { domain, .. }
    | Action::Fold { domain, .. }) = action;
    let Some(domain) = view.domains.get(*domain) else { return false };
    match action {
        Action::Move { units, to, .. } => {
            units.iter().all(|unit| domain.owner(*unit) == Some(*to))
                && !view.open_moves.iter().any(|open| open.units == *units)
        }
        Action::Cut { .. } | Action::Merge { .. } => false,
        Action::Combine { key, .. } => {
            domain.routed_key(*key).is_some_and(|key| key.route == KeyRoute::Combined)
        }
        Action::Fold { key, .. } => {
            domain.routed_key(*key).is_none_or(|key| key.route != KeyRoute::Combined)
        }
    }
}
