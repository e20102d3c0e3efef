//! Keys that move by a program's own policy while the job runs.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use millstream::config::PreAggregate;
use millstream::connector::{blackhole, iterator};
use millstream::dataflow::Emit;
use millstream::operator::{ProcessContext, ProcessFunction};
use millstream::prelude::*;
use millstream::routing::Modulo;
use millstream::supervisor::{Action, Decision, LoadView, RebalancePolicy, Rule, Unit, Verdict};
use millstream::time::watermark::Monotone;

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

/// Says which numbers of a key and a way do not follow on the one before.
#[derive(Clone)]
struct Gaps;

/// Key, by which of two ways it came, how-manieth of its key.
type Numbered = (u64, usize, u64);

impl ProcessFunction<u64, Numbered> for Gaps {
    type Out = Numbered;
    type State = [u64; 2];
    const NAME: &'static str = "gaps";

    fn on_record<E: Emit<Numbered>>(
        &mut self,
        (key, way, number): Numbered,
        last: &mut [u64; 2],
        context: &mut ProcessContext<'_, '_, u64, E>,
    ) {
        if number != last[way] + 1 {
            context.emit((key, way, number));
        }
        last[way] = number;
    }
}

#[test]
fn keys_in_front_of_forks_cuts_and_unions_go_to_and_fro_and_keep_their_order() {
    // The groups of all keys from side to side.
    let advised = Advised::by(|view: &LoadView, before| {
        let domain = &view.domains[0];
        let (from, to) = (before % 2, 1 - before % 2);
        // `Modulo` reverses the twelve bits of a key's group.
        let groups = (0..KEYS as u16).map(|key| key.reverse_bits() >> 4);
        let own = groups.filter(|group| usize::from(domain.owners[usize::from(*group)]) == from);
        let units = own.map(Unit::Group).collect();
        vec![Action::Move { domain: 0, units, from, to }]
    });
    let (made, views) = (Arc::new(AtomicU64::new(0)), Arc::clone(&advised.views));
    let making = Arc::clone(&made);
    let is_enough = move || views.load(Ordering::Relaxed) >= 8;
    let records = (0..2_000_000_000).take_while(move |_| !is_enough()).inspect(move |_| {
        making.fetch_add(1, Ordering::Relaxed);
    });
    let pipeline = Pipeline::new("branches");
    let keyed = pipeline.source(iterator(records)).key_by(|record: &u64| record % KEYS);
    let numbered = keyed.partition_by(Modulo).emit_at(EmitAt::EachRecord).count();
    let [one, other] = numbered.boxed().fork();
    let by_way = |way| move |(key, number): (u64, u64)| (key, way, number);
    let both = one.map(by_way(0)).union(other.boxed().map(by_way(1)));
    let [both, all] = both.fork();
    let gaps = both.key_by(|record| record.0).process(Gaps).collect();
    let counted = all.filter(|_| true).key_by(|record| (record.0, record.1)).count().collect();
    let report = advised.engine.run(pipeline).expect("the job goes on whatever the policy does");
    assert!(report.moves.groups >= KEYS, "{:?}: {}", report.moves, advised.log.text());
    let made = made.load(Ordering::Relaxed);
    let ways = (0..KEYS).flat_map(|key| [(key, 0), (key, 1)]);
    let of_key = |key: u64| made / KEYS + u64::from(key < made % KEYS);
    let expected: Vec<_> = ways.map(|(key, way)| ((key, way), of_key(key))).collect();
    assert_eq!(sorted(counted.take()), expected);
    assert_eq!(gaps.take(), [], "of {made} records");
}

#[test]
fn explain_says_of_keyed_tasks_that_do_not_move_why() {
    let pipeline = Pipeline::new("explained");
    let counts = || {
        let numbers = pipeline.source(iterator(0..3)).assign_timestamps(|n| *n, Monotone::new());
        numbers.key_by(|n| n % 2).emit_at(EmitAt::EachRecord).count()
    };
    let [one, other] = counts().fork();
    one.filter(|_| true).union(other.boxed()).sink(blackhole());
    let [sorted, rest] = counts().fork();
    sorted.sort_by_time().sink(blackhole());
    rest.sink(blackhole());
    counts().assign_timestamps(|one| one.0, Monotone::new()).sink(blackhole());
    counts().boxed().map(|one| one.0).rate_limit(5).sink(blackhole());
    counts().async_map(|one| async move { Ok::<_, String>(one) }).sink(blackhole());
    let explained = pipeline.explain();
    let whys =
        explained.lines().filter_map(|line| line.trim().strip_prefix("its keys do not move"));
    assert_eq!(
        whys.collect::<Vec<_>>(),
        [
            " between partitions: `sort_by_time` behind them compares times of records with the \
             watermark",
            " between partitions: `assign_timestamps` behind them makes time of the records of its \
             partition",
            " between partitions: `rate_limit` behind them lets what is under way wait for its \
             turn",
            " between partitions: `async_map` behind them lets what is under way wait for its \
             future",
        ],
        "{explained}"
    );
}
