//! What the built-in policy remembers from one view to the next: little, and written to the log.

use serde::{Deserialize, Serialize};

use crate::supervisor::decision::{Decision, Rule, Verdict};
use crate::supervisor::load::{DEMAND_MAX, LoadView, Unit};
use crate::supervisor::policy::cooling::Cooling;
use crate::supervisor::policy::ranges::RangeMemory;
use crate::supervisor::policy::watch::Watched;
use crate::time::Nanos;

/// How long the same "no" is not said again.
const SILENCE_NS: Nanos = 10_000_000_000;

/// Counts and times of a memory are below this, so that a little can be added.
const COUNT_MAX: u64 = 1 << 62;

/// What the policy knows beyond the view.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Memory {
    /// Decisions so far.
    pub(super) decisions: u64,
    /// `uneven_ticks[i]` is for how many ticks partition *i* has had too much.
    pub(super) uneven_ticks: Vec<u32>,
    /// `tilted_ticks[i]` is for how many it has had slightly too much.
    pub(super) tilted_ticks: Vec<u32>,
    /// Recent peaks of keys, by (domain, hash).
    pub(super) peaks: Vec<Peak>,
    /// Combined keys that have cooled.
    pub(super) cool: Vec<CoolKey>,
    /// Units that have just moved.
    pub(super) cooling: Vec<Cooling>,
    /// Decisions whose effect is still to be measured.
    pub(super) watched: Vec<Watched>,
    /// Of every domain whose keys lie in ranges, how that is; nothing of the others.
    #[serde(default)]
    pub(super) ranges: Vec<RangeMemory>,
    /// What was said lately.
    said: Vec<Said>,
}

/// A key that was hotter a moment ago.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Peak {
    pub(super) domain: usize,
    pub(super) hash: u64,
    /// The highest demand lately.
    pub(super) demand: u64,
    /// When it was seen.
    pub(super) at: Nanos,
}

/// A combined key that need not be, and since when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CoolKey {
    pub(super) domain: usize,
    pub(super) hash: u64,
    pub(super) since: Nanos,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    rule: Rule,
    topic: u64,
    at: Nanos,
}

impl Memory {
    /// Says what cannot be of a job that shows `view`.
    pub(super) fn check(&self, view: &LoadView) -> Result<(), String> {
        let partitions = view.partitions.len();
        let is_whole = self.decisions < COUNT_MAX
            && view.at < COUNT_MAX
            && self.peaks.iter().all(|peak| peak.demand <= DEMAND_MAX)
            && self.cooling.iter().all(Cooling::is_plausible)
            && self.watched.iter().all(|watched| watched.is_plausible(partitions));
        is_whole.then_some(()).ok_or_else(|| "a memory of what there was not".to_owned())
    }

    /// A decision of the next number.
    pub(super) fn decide(&mut self, rule: Rule, seen: String, verdict: Verdict) -> Decision {
        self.decisions += 1;
        Decision { number: self.decisions, rule, seen, verdict }
    }

    /// Whether to say "no" under `rule` about `topic`: not if it was said within 10 s.
    pub(super) fn may_say(&mut self, rule: Rule, topic: u64, at: Nanos) -> bool {
        self.said.retain(|said| at.saturating_sub(said.at) < SILENCE_NS);
        let is_new = !self.said.iter().any(|said| said.rule == rule && said.topic == topic);
        if is_new {
            self.said.push(Said { rule, topic, at });
        }
        is_new
    }

    /// When `unit` may move again, if it may not now.
    pub(super) fn cooling(&self, domain: usize, unit: Unit, at: Nanos) -> Option<&Cooling> {
        let place = self.cooling.binary_search_by_key(&(domain, unit), |c| (c.domain, c.unit));
        let cooling = &self.cooling[place.ok()?];
        (cooling.until > at).then_some(cooling)
    }
}
