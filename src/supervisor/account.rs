//! What the supervisor last saw and decided, kept for whoever asks.

use std::collections::VecDeque;

use crate::supervisor::decision::{Decision, Verdict};
use crate::supervisor::load::LoadView;
use crate::time::Nanos;

/// Decisions that are kept.
const DECISIONS_MAX: usize = 1_000;

/// What the supervisor last saw and decided, for whoever asks.
///
/// Names of keys may be secrets, and decisions are shown to whoever reads along: they are kept with
/// the key's hash in place of its name. The view has both.
#[derive(Clone, Debug, Default)]
pub struct Account {
    view: Option<LoadView>,
    decisions: VecDeque<(Nanos, Decision)>,
}

impl Account {
    /// Keeps `view` instead of the one before, and what was decided on it.
    pub fn note(&mut self, view: &LoadView, decisions: &[Decision]) {
        for decision in decisions {
            self.keep(view.at, nameless(view, decision));
        }
        self.view = Some(view.clone());
    }

    /// Keeps that an action which was decided on the last view could not begin.
    pub fn note_refusal(&mut self, at: Nanos, decision: Decision) {
        let decision = self.view.as_ref().map(|view| nameless(view, &decision)).unwrap_or(decision);
        self.keep(at, decision);
    }

    fn keep(&mut self, at: Nanos, decision: Decision) {
        if self.decisions.len() == DECISIONS_MAX {
            self.decisions.pop_front();
        }
        self.decisions.push_back((at, decision));
    }

    /// What was seen last; `None` before the first look.
    pub fn view(&self) -> Option<&LoadView> {
        self.view.as_ref()
    }

    /// The last 1,000 decisions, each with its time by the job's monotonic clock; newest last.
    pub fn decisions(&self) -> impl Iterator<Item = &(Nanos, Decision)> {
        self.decisions.iter()
    }
}

fn nameless(view: &LoadView, decision: &Decision) -> Decision {
    let mut decision = decision.clone();
    hide_names(view, &mut decision.seen);
    if let Verdict::No { why } | Verdict::Refused { why, .. } = &mut decision.verdict {
        hide_names(view, why);
    }
    decision
}

/// Puts hashes in place of the names of keys, where `text` says ``key NAME``.
fn hide_names(view: &LoadView, text: &mut String) {
    let keys = view.domains.iter().flat_map(|domain| &domain.keys);
    for (hash, name) in keys.filter_map(|key| Some((key.hash, key.name.as_deref()?))) {
        let named = format!("key {name}");
        let mut from = 0;
        while let Some(at) = text[from..].find(&named).map(|at| from + at) {
            let end = at + named.len();
            // `key 1` is no part of `key 17`.
            let is_whole = !text[end..].starts_with(|next: char| next.is_alphanumeric());
            if is_whole {
                text.replace_range(at..end, &format!("key #{hash:016x}"));
            }
            from = at + "key ".len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::decision::Rule;
    use crate::supervisor::sample::{percent, view};

    fn decision(number: u64, seen: &str) -> Decision {
        let verdict = Verdict::No { why: "key 17 is hot".into() };
        Decision { number, rule: Rule::Other, seen: seen.into(), verdict }
    }

    #[test]
    fn the_last_view_and_the_last_thousand_decisions_are_kept() {
        let mut account = Account::default();
        assert!(account.view().is_none());
        let mut seen = view(2, percent(100));
        for number in 1..=700 {
            seen.pass();
            account.note(&seen, &[decision(2 * number, ""), decision(2 * number + 1, "")]);
        }
        assert_eq!(account.view(), Some(&seen));
        let numbers: Vec<u64> = account.decisions().map(|(_, one)| one.number).collect();
        assert_eq!(numbers, (402..=1_401).collect::<Vec<_>>());
        assert_eq!(account.decisions().last().map(|(at, _)| *at), Some(seen.at));
    }

    #[test]
    fn decisions_have_hashes_where_keys_are_named() {
        let mut seen = view(2, percent(100));
        let hash = seen.add_key(3, percent(50));
        seen.domains[0].keys[0].name = Some("1".into());
        let other = seen.add_key(4, percent(20));
        let mut account = Account::default();
        account.note(&seen, &[decision(1, "key 1 and key 17, key \"key of 4\": key 1")]);
        let kept = account.decisions().next().map(|(_, one)| one.clone()).expect("it was noted");
        let wanted = format!("key #{hash:016x} and key 17, key #{other:016x}: key #{hash:016x}");
        assert_eq!(kept.seen, wanted);
        assert_eq!(kept.verdict, Verdict::No { why: "key 17 is hot".into() });
    }
}
