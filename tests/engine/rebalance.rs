//! Keys that move by a program's own policy while the job runs.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use millstream::config::PreAggregate;
use millstream::connector::iterator;
use millstream::prelude::*;
use millstream::supervisor::{Action, Decision, LoadView, RebalancePolicy, Rule, Unit, Verdict};

use crate::{engine, sorted};

const KEYS: u64 = 50;

/// What a policy answers: to a view, and how many came before it.
trait Plan: FnMut(&LoadView, usize) -> Vec<Action> + Clone + Send + Sync + 'static {}

impl<F: FnMut(&LoadView, usize) -> Vec<Action> + Clone + Send + Sync + 'static> Plan for F {}

/// Answers by a function, and counts the views.
struct Policy<F> {
    plan: F,
    views: Arc<AtomicU64>,
}

impl<F: Plan> RebalancePolicy for Policy<F> {
    fn name(&self) -> &str {
        "test"
    }

    fn plan(&mut self, view: &LoadView) -> Vec<Decision> {
        let decide = |action| Decision {
            number: 0,
            rule: Rule::Other,
            seen: "it is a test".into(),
            verdict: Verdict::Act { action, gain_ns: 1, cost_ns: 1 },
        };
        let before = self.views.fetch_add(1, Ordering::Relaxed) as usize;
        (self.plan)(view, before).into_iter().map(decide).collect()
    }
}

/// An engine of two partitions that asks a policy.
struct Advised {
    engine: Engine,
    /// Views that the policy has been shown.
    views: Arc<AtomicU64>,
    log: Shared,
}

impl Advised {
    fn by(plan: impl Plan) -> Advised {
        let (views, log) = (Arc::new(AtomicU64::new(0)), Shared::default());
        let shown = Arc::clone(&views);
        let policy = move || Policy { plan: plan.clone(), views: Arc::clone(&shown) };
        let engine = engine(2).rebalance_by(policy).log_decisions(log.clone());
        Advised { engine, views, log }
    }

    /// Counts records until so many views have been shown and so many lines logged.
    fn count(&self, views: u64, lines: usize) -> millstream::metrics::Report {
        let (shown, log) = (Arc::clone(&self.views), self.log.clone());
        count(&self.engine, move || {
            shown.load(Ordering::Relaxed) >= views && log.text().lines().count() >= lines
        })
    }
}

/// Counts records of [`KEYS`] keys by `engine` until `is_enough`; checks the counts, and returns
/// the report.
fn count(
    engine: &Engine,
    is_enough: impl Fn() -> bool + Send + Sync + 'static,
) -> millstream::metrics::Report {
    let made = Arc::new(AtomicU64::new(0));
    let making = Arc::clone(&made);
    let records = (0..2_000_000_000).take_while(move |_| !is_enough()).inspect(move |_| {
        making.fetch_add(1, Ordering::Relaxed);
    });
    let pipeline = Pipeline::new("moving");
    let counted = pipeline
        .source(iterator(records))
        .key_by(|record: &u64| record % KEYS)
        .pre_aggregate(PreAggregate::Off)
        .count()
        .collect();
    let report = engine.run(pipeline).expect("the job goes on whatever the policy does");
    let made = made.load(Ordering::Relaxed);
    let expected: Vec<_> =
        (0..KEYS).map(|key| (key, made / KEYS + u64::from(key < made % KEYS))).collect();
    assert_eq!(sorted(counted.take()), expected);
    report
}

/// What can be written to from another thread and read here.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("nobody panics").clone()).expect("JSON")
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("nobody panics").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn policy_of_ones_own_moves_groups_and_nothing_is_lost() {
    // Everything goes to the other side, 64 groups at a time.
    let advised = Advised::by(|view: &LoadView, before| {
        let domain = &view.domains[0];
        let groups = (0..domain.owners.len()).filter(|group| domain.owners[*group] == 0);
        let units: Vec<_> =
            groups.skip(before).take(64).map(|group| Unit::Group(group as u16)).collect();
        vec![Action::Move { domain: 0, units, from: 0, to: 1 }]
    });
    let report = advised.count(8, 6);
    assert!(report.moves.groups >= 64, "{:?}", report.moves);
    let text = advised.log.text();
    assert!(text.lines().all(|line| line.contains("\"policy\":null")), "a foreign one");
}

#[test]
fn nonsense_of_a_policy_is_refused_with_a_reason_and_the_job_goes_on() {
    let advised = Advised::by(|_: &LoadView, _| {
        let units = vec![Unit::Group(0)];
        vec![
            Action::Move { domain: 0, units: units.clone(), from: 0, to: 0 },
            Action::Move { domain: 0, units: units.clone(), from: 0, to: 7 },
            Action::Move { domain: 3, units: units.clone(), from: 0, to: 1 },
            Action::Move { domain: 0, units, from: 1, to: 0 },
            Action::Move { domain: 0, units: vec![Unit::Group(9_999)], from: 0, to: 1 },
            Action::Fold { domain: 0, key: 77 },
        ]
    });
    let report = advised.count(2, 1);
    assert_eq!((report.moves.groups, report.moves.keys), (0, 0));
    let text = advised.log.text();
    let line = text.lines().next().expect("a view");
    assert_eq!(line.matches("\"refused\"").count(), 6, "{line}");
}

#[test]
fn policy_that_panics_is_not_asked_again_and_the_job_goes_on() {
    let advised = Advised::by(|_: &LoadView, _| panic!("no idea"));
    let report = advised.count(1, 1);
    assert_eq!((report.moves.groups, advised.views.load(Ordering::Relaxed)), (0, 1));
    let text = advised.log.text();
    assert!(text.contains("it panicked: no idea; it is not asked again"), "{text}");
}
