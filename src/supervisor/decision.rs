//! What a policy answers: actions, and for each the reason, what it should bring, what it brought.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::supervisor::load::Unit;

/// What the supervisor is to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// Move units with their state and backlog from one partition to another.
    Move {
        /// Index of the domain.
        domain: usize,
        /// What moves: 1 to 64 units, all owned by the donor.
        units: Vec<Unit>,
        /// The donor.
        from: usize,
        /// The taker.
        to: usize,
    },
    /// Let every feeder aggregate the records of this key.
    Combine {
        /// Index of the domain.
        domain: usize,
        /// The key's hash.
        key: u64,
    },
    /// Have a range of keys cut by the partition that owns it, where keys lie in ranges.
    Cut {
        /// Index of the domain.
        domain: usize,
        /// The key group that the range is; it stays that of the lowest part.
        group: u16,
        /// Into about so many parts of equal weight, 2 to 4,096.
        parts: usize,
    },
    /// Make a range of keys and the one above it one; both are of one partition.
    Merge {
        /// Index of the domain.
        domain: usize,
        /// The key group that the lower range is.
        group: u16,
    },
    /// Let the feeders send the records of this key as they are again. At the owner of its group
    /// its route ends with that; elsewhere it keeps an override.
    Fold {
        /// Index of the domain.
        domain: usize,
        /// The key's hash.
        key: u64,
    },
}

/// Which rule a decision comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// A partition that ran dry takes work from one that is behind.
    Steal,
    /// Demand is to be alike everywhere.
    Balance,
    /// A key is too hot for its owner.
    Combine,
    /// A combined key has cooled.
    Fold,
    /// A key with a route of its own has cooled, and goes back to its group.
    Home,
    /// Ranges of keys follow the load, and stay in order.
    Range,
    /// A move did harm and is taken back.
    Undo,
    /// What an earlier decision brought.
    Measure,
    /// The rule of a policy that is not ours.
    Other,
}

/// One decision, with its reason. A line of the decision log has all of one view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// Counts the decisions of a job, from 1.
    pub number: u64,
    /// The rule.
    pub rule: Rule,
    /// What was seen, in words.
    pub seen: String,
    /// What follows from it.
    pub verdict: Verdict,
}

/// What follows from what was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Verdict {
    /// To be done.
    Act {
        /// What.
        action: Action,
        /// Predicted: core time that the fullest of those concerned saves within the horizon.
        gain_ns: u64,
        /// Predicted: core time that the action itself takes.
        cost_ns: u64,
    },
    /// Not to be done.
    No {
        /// Why not.
        why: String,
    },
    /// The policy wanted it, and it makes no sense.
    Refused {
        /// What it wanted.
        action: Action,
        /// Why it makes no sense.
        why: String,
    },
    /// What an earlier decision brought, in the units of its prediction; below 0 is harm.
    Measured {
        /// Number of that decision.
        decision: u64,
        /// What was predicted.
        predicted_ns: u64,
        /// What was measured.
        gain_ns: i64,
    },
}

impl Decision {
    /// What is to be done, if anything.
    pub fn action(&self) -> Option<&Action> {
        match &self.verdict {
            Verdict::Act { action, .. } => Some(action),
            Verdict::No { .. } | Verdict::Refused { .. } | Verdict::Measured { .. } => None,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Move { domain, units, from, to } => {
                let groups = units.iter().filter(|unit| matches!(unit, Unit::Group(_))).count();
                let keys = units.len() - groups;
                write!(f, "move {groups} groups and {keys} keys of domain {domain}")?;
                write!(f, " from partition {from} to {to}")
            }
            Action::Cut { domain, group, parts } => {
                write!(f, "cut range {group} of domain {domain} into {parts}")
            }
            Action::Merge { domain, group } => {
                write!(f, "merge range {group} of domain {domain} with the one above it")
            }
            Action::Combine { domain, key } => write!(f, "combine #{key:016x} of domain {domain}"),
            Action::Fold { domain, key } => write!(f, "fold #{key:016x} of domain {domain}"),
        }
    }
}

/// Writes it as a line for people.
impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Decision { number, rule, seen, verdict } = self;
        let rule = match rule {
            Rule::Steal => "steal",
            Rule::Balance => "balance",
            Rule::Combine => "combine",
            Rule::Fold => "fold",
            Rule::Home => "home",
            Rule::Range => "range",
            Rule::Undo => "undo",
            Rule::Measure => "measure",
            Rule::Other => "other",
        };
        write!(f, "{number} {rule}: {seen}: ")?;
        let ms = |ns: i128| ns as f64 / 1e6;
        match verdict {
            Verdict::Act { action, gain_ns, cost_ns } => {
                let (gain, cost) = (ms(i128::from(*gain_ns)), ms(i128::from(*cost_ns)));
                write!(f, "{action}; predicted gain {gain:.1} ms, cost {cost:.3} ms")
            }
            Verdict::No { why } => write!(f, "no: {why}"),
            Verdict::Refused { action, why } => write!(f, "refused to {action}: {why}"),
            Verdict::Measured { decision, predicted_ns, gain_ns } => {
                let (gain, predicted) = (ms(i128::from(*gain_ns)), ms(i128::from(*predicted_ns)));
                write!(f, "decision {decision} gained {gain:.1} ms, {predicted:.1} ms predicted")
            }
        }
    }
}
