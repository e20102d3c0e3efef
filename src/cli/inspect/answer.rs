//! What a running job answers: figures of its report, and what the supervisor saw and decided.

use std::cmp::Reverse;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::cli::inspect::question::{InspectTopic, KeyNames, Question};
use crate::engine::JobStatus;
use crate::supervisor::{Account, CORE, DomainLoad, KeyLoad, KeyRoute, LoadView};

/// Keys that an answer names.
const KEYS_MAX: usize = 100;
/// A longer name of a key is cut.
const NAME_BYTES_MAX: usize = 256;

/// A hot key, as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct HotKeyRow {
    /// Name of the keyed operator.
    pub(crate) domain: String,
    /// The key's name where it is known and may be shown, else its hash behind a `#`.
    pub(crate) key: String,
    /// The carried hash, in hexadecimal.
    pub(crate) hash: String,
    pub(crate) owner: u16,
    pub(crate) route: KeyRoute,
    /// Core time that it wants, as a share of one core; may be more than 1.
    pub(crate) share_of_core: f64,
    /// The same as a share of all that its owner has to do.
    pub(crate) share_of_partition: f64,
    pub(crate) state_bytes: u64,
}

/// A job, as far as it may be asked about.
pub(crate) struct Subject {
    pub(crate) status: JobStatus,
    pub(crate) account: Arc<Mutex<Account>>,
}

impl Subject {
    /// The answer to `question`: whose it is, and a field with the name of the topic.
    pub(crate) fn answer(&self, question: Question) -> Value {
        let name = question.topic.name();
        let about = match question.topic {
            InspectTopic::HotKeys => json!(hot_keys(self.account().view(), question.keys)),
            InspectTopic::Tasks => self.status.report().to_json()["tasks"].take(),
            InspectTopic::Lanes => self.status.report().to_json()["edges"].take(),
            // A job takes none.
            InspectTopic::Checkpoints => json!([]),
            InspectTopic::Decisions => decisions(&self.account(), self.status.started()),
            InspectTopic::Health => self.health(question.keys),
        };
        json!({
            "millstream": env!("CARGO_PKG_VERSION"),
            "pid": std::process::id(),
            "job": self.status.name(),
            name: about,
        })
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        // What was noted last stands, whatever happened to who noted it.
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn health(&self, names: KeyNames) -> Value {
        let mut report = self.status.report().to_json();
        if names == KeyNames::Hidden {
            report["back_pressure_key"] = Value::Null;
        }
        let is_well = report["warnings"].as_array().is_some_and(Vec::is_empty);
        let fields = [
            "seconds",
            "records",
            "records_per_second",
            "pinned",
            "partitions",
            "latency_ns",
            "back_pressure",
            "back_pressure_key",
            "dead_letter",
            "late",
            "moves",
            "warnings",
        ];
        let mut health: Map<String, Value> =
            fields.iter().map(|field| ((*field).to_owned(), report[field].take())).collect();
        health.insert("status".into(), if is_well { "ok" } else { "warning" }.into());
        Value::Object(health)
    }
}

/// The keys that take most, most first; empty while nothing was seen.
pub(crate) fn hot_keys(view: Option<&LoadView>, names: KeyNames) -> Vec<HotKeyRow> {
    let Some(view) = view else { return Vec::new() };
    let demands = view.demands();
    let domains = view.domains.iter();
    let mut rows: Vec<(&DomainLoad, &KeyLoad)> =
        domains.flat_map(|one| one.keys.iter().map(move |key| (one, key))).collect();
    rows.sort_by_key(|(_, key)| Reverse(key.demand));
    rows.truncate(KEYS_MAX);
    let row = |(domain, key): &(&DomainLoad, &KeyLoad)| {
        // What a combined key would take is not part of what its owner has to do.
        let apart = if key.route == KeyRoute::Combined { key.demand } else { 0 };
        let of_partition = demands[usize::from(key.owner)] + apart;
        HotKeyRow {
            domain: domain.name.clone(),
            key: key_name(key, names),
            hash: format!("{:016x}", key.hash),
            owner: key.owner,
            route: key.route,
            share_of_core: key.demand as f64 / CORE as f64,
            share_of_partition: key.demand as f64 / of_partition.max(1) as f64,
            state_bytes: key.state_bytes,
        }
    };
    rows.iter().map(row).collect()
}

fn key_name(key: &KeyLoad, names: KeyNames) -> String {
    let named = match names {
        KeyNames::Hidden => KeyLoad { name: None, ..key.clone() }.shown(),
        KeyNames::Shown => key.shown(),
    };
    let ends = named.char_indices().map(|(at, character)| at + character.len_utf8());
    let end = ends.take_while(|end| *end <= NAME_BYTES_MAX).last().unwrap_or(0);
    named[..end].to_owned()
}

/// The decisions, newest last, each with its time since the start of the job.
fn decisions(account: &Account, started: u64) -> Value {
    let decisions = account.decisions().map(|(at, decision)| {
        let seconds = at.saturating_sub(started) as f64 / 1e9;
        json!({ "seconds": seconds, "text": decision.to_string(), "decision": decision })
    });
    decisions.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::{Action, Occasion, PartitionLoad};
    use crate::supervisor::{Decision, Rule, Unit, Verdict};

    fn key(hash: u64, owner: u16, route: KeyRoute, demand: u64) -> KeyLoad {
        let name = Some(format!("\"{hash}{}\"", "x".repeat(300)));
        KeyLoad { hash, name, owner, route, demand, error: 0, state_bytes: 24 }
    }

    fn view() -> LoadView {
        let groups = 4_096;
        let mut demands = vec![0; groups];
        demands[0] = CORE / 2;
        let domain = DomainLoad {
            name: "count".into(),
            owners: vec![0; groups],
            demands,
            state_bytes: vec![0; groups],
            keys: vec![
                key(7, 0, KeyRoute::Group, CORE / 4),
                key(8, 1, KeyRoute::Override, CORE / 2),
                key(9, 1, KeyRoute::Combined, CORE / 2),
            ],
            ..DomainLoad::default()
        };
        LoadView {
            at: 5_000_000_000,
            occasion: Occasion::Tick,
            partitions: vec![PartitionLoad::default(); 2],
            domains: vec![domain],
            open_moves: Vec::new(),
        }
    }

    #[test]
    fn hot_keys_have_their_shares_and_are_named_only_where_asked_for() {
        assert_eq!(hot_keys(None, KeyNames::Shown), []);
        let rows = json!(hot_keys(Some(&view()), KeyNames::Hidden));
        let of = |field: &str| -> Vec<Value> {
            rows.as_array().expect("a list").iter().map(|row| row[field].clone()).collect()
        };
        let hashes = ["#0000000000000008", "#0000000000000009", "#0000000000000007"];
        assert_eq!(of("key"), hashes);
        assert_eq!(of("owner"), [1, 1, 0]);
        assert_eq!(of("route"), ["override", "combined", "group"]);
        assert_eq!(of("share_of_core"), [0.5, 0.5, 0.25]);
        assert_eq!(of("share_of_partition"), [1.0, 0.5, 0.5]);
        let named = hot_keys(Some(&view()), KeyNames::Shown);
        let name = &named[0].key;
        assert!(name.starts_with("\"8xxx") && name.len() == NAME_BYTES_MAX, "{name}");
    }

    #[test]
    fn decisions_have_their_time_since_the_start() {
        let mut account = Account::default();
        let action = Action::Move { domain: 0, units: vec![Unit::Group(3)], from: 0, to: 1 };
        let verdict = Verdict::Act { action, gain_ns: 2_000_000, cost_ns: 1_000 };
        let seen = "partition 0 is behind".to_owned();
        account.note(&view(), &[Decision { number: 1, rule: Rule::Balance, seen, verdict }]);
        let answer = decisions(&account, 3_500_000_000);
        assert_eq!(answer[0]["seconds"], 1.5);
        let text = answer[0]["text"].as_str().expect("a text");
        assert!(text.starts_with("1 balance: partition 0 is behind: move 1 groups"), "{text}");
        assert_eq!(answer[0]["decision"]["rule"], "balance");
    }
}
