//! The moves of a run, from the decisions that led to them.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::supervisor::{Action, Decision, Rule, Unit, Verdict};
use crate::time::Nanos;

/// Moves that a page shows; more can neither be told apart nor read.
const MARKS_MAX: usize = 2_000;
/// Keys that a mark names; a move has 64 units at most.
const KEYS_MAX: usize = 8;

/// Something that the supervisor had done.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Mark {
    /// When it was decided, since the start of the job.
    seconds: f64,
    /// Number of the decision.
    number: u64,
    rule: Rule,
    /// `move`, `combine` or `fold`.
    kind: &'static str,
    /// What was seen.
    seen: String,
    /// Index of the domain.
    domain: usize,
    from: Option<usize>,
    to: Option<usize>,
    /// How many key groups moved.
    groups: usize,
    /// How many keys it was about by themselves.
    key_count: usize,
    /// The first of them, by their hashes.
    keys: Vec<String>,
    /// Predicted.
    gain_ns: u64,
    cost_ns: u64,
    /// What it brought, once that was measured.
    measured_ns: Option<i64>,
    /// Why it could not begin.
    refused: Option<String>,
}

/// Collects marks. Being told of a decision again does no harm.
#[derive(Debug, Default)]
pub(super) struct Marks {
    by_number: BTreeMap<u64, Mark>,
    /// Number of the last action that was told.
    last: u64,
    left_out: u64,
}

impl Marks {
    /// Takes what was decided `since_start`.
    pub(super) fn note(&mut self, since_start: Nanos, decision: &Decision) {
        match &decision.verdict {
            Verdict::Act { action, gain_ns, cost_ns } => {
                if decision.number <= self.last {
                    return;
                }
                self.last = decision.number;
                if self.by_number.len() == MARKS_MAX {
                    self.left_out += 1;
                    return;
                }
                let mark = Mark {
                    seconds: since_start as f64 / 1e9,
                    number: decision.number,
                    rule: decision.rule,
                    seen: decision.seen.clone(),
                    gain_ns: *gain_ns,
                    cost_ns: *cost_ns,
                    ..Mark::of(action)
                };
                self.by_number.insert(decision.number, mark);
            }
            Verdict::Refused { why, .. } => {
                if let Some(mark) = self.by_number.get_mut(&decision.number) {
                    mark.refused = Some(why.clone());
                }
            }
            Verdict::Measured { decision, gain_ns, .. } => {
                if let Some(mark) = self.by_number.get_mut(decision) {
                    mark.measured_ns = Some(*gain_ns);
                }
            }
            Verdict::No { .. } => {}
        }
    }

    /// The marks, oldest first, and how many there was no room for.
    pub(super) fn close(self) -> (Vec<Mark>, u64) {
        (self.by_number.into_values().collect(), self.left_out)
    }
}

impl Mark {
    /// What `action` says, and nothing of when and why.
    fn of(action: &Action) -> Mark {
        let (kind, domain, keys) = match action {
            Action::Move { domain, units, .. } => {
                let keys = units.iter().filter_map(|unit| match unit {
                    Unit::Key(hash) => Some(*hash),
                    Unit::Group(_) => None,
                });
                ("move", *domain, keys.collect())
            }
            Action::Cut { domain, .. } => ("cut", *domain, Vec::new()),
            Action::Merge { domain, .. } => ("merge", *domain, Vec::new()),
            Action::Combine { domain, key } => ("combine", *domain, vec![*key]),
            Action::Fold { domain, key } => ("fold", *domain, vec![*key]),
        };
        let (from, to, units) = match action {
            Action::Move { from, to, units, .. } => (Some(*from), Some(*to), units.len()),
            Action::Cut { .. } => (None, None, 1),
            Action::Merge { .. } => (None, None, 2),
            Action::Combine { .. } | Action::Fold { .. } => (None, None, keys.len()),
        };
        Mark {
            seconds: 0.0,
            number: 0,
            rule: Rule::Other,
            kind,
            seen: String::new(),
            domain,
            from,
            to,
            groups: units - keys.len(),
            key_count: keys.len(),
            keys: keys.iter().take(KEYS_MAX).map(|hash| format!("#{hash:016x}")).collect(),
            gain_ns: 0,
            cost_ns: 0,
            measured_ns: None,
            refused: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision(number: u64, verdict: Verdict) -> Decision {
        Decision { number, rule: Rule::Balance, seen: "uneven".into(), verdict }
    }

    fn act(action: Action) -> Verdict {
        Verdict::Act { action, gain_ns: 7_000, cost_ns: 5 }
    }

    fn moved() -> Action {
        let units = vec![Unit::Group(3), Unit::Key(0xAB), Unit::Group(4)];
        Action::Move { domain: 1, units, from: 2, to: 0 }
    }

    #[test]
    fn a_move_says_when_what_from_where_to_where_and_what_it_brought() {
        let mut marks = Marks::default();
        let told = [
            (1_500_000_000, decision(4, act(moved()))),
            (1_600_000_000, decision(5, act(Action::Combine { domain: 0, key: 9 }))),
            (1_600_000_000, decision(6, Verdict::No { why: "it costs more".into() })),
            (1_700_000_000, {
                let why = "the job is about to end".into();
                decision(5, Verdict::Refused { action: Action::Combine { domain: 0, key: 9 }, why })
            }),
            (3_500_000_000, {
                decision(7, Verdict::Measured { decision: 4, predicted_ns: 7_000, gain_ns: -3 })
            }),
        ];
        // The last thousand decisions are told each time.
        (0..3).for_each(|_| told.iter().for_each(|(at, decision)| marks.note(*at, decision)));
        let (kept, left_out) = marks.close();
        let [one, other] = &kept[..] else { panic!("two marks, not {kept:?}") };
        assert_eq!((one.seconds, one.kind, one.from, one.to), (1.5, "move", Some(2), Some(0)));
        assert_eq!((one.domain, one.groups, one.key_count), (1, 2, 1));
        assert_eq!(one.keys, ["#00000000000000ab"]);
        assert_eq!((one.measured_ns, &one.refused), (Some(-3), &None));
        assert_eq!((other.kind, other.from, other.key_count), ("combine", None, 1));
        assert_eq!(other.refused.as_deref(), Some("the job is about to end"));
        assert_eq!(left_out, 0);
    }

    #[test]
    fn what_there_is_no_room_for_is_counted_once() {
        let mut marks = Marks::default();
        let told: Vec<Decision> = (1..=2_010).map(|n| decision(n, act(moved()))).collect();
        (0..2).for_each(|_| told.iter().for_each(|decision| marks.note(0, decision)));
        let (kept, left_out) = marks.close();
        assert_eq!((kept.len(), left_out), (MARKS_MAX, 10));
    }
}
