//! What views show of partitions that tell of themselves.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::dataflow::{Folded, KeySample, TaskLook};
use crate::metrics::Heavy;
use crate::routing::{Domain, Move, Units, key_group, with_group};
use crate::runtime::Look;
use crate::supervisor::grants::{Grants, Movable};
use crate::supervisor::load::{CORE, KeyRoute, LoadView, Occasion, Unit};
use crate::supervisor::observer::Observer;
use crate::time::Nanos;

const TICK_NS: Nanos = 100_000_000;
/// Group 3 belongs to the first of two partitions, group 4,000 to the second.
const GROUPS: [u16; 2] = [3, 4_000];

struct Job {
    grants: Grants,
    observer: Observer,
    at: Nanos,
    /// What each partition has worked, in all and for its keys.
    worked_ns: [[Nanos; 2]; 2],
}

/// What one partition does in a tick: shares of the time, and what the sample says of its keys.
struct Tick<'a> {
    busy: f64,
    keyed: f64,
    /// (hash, weight).
    keys: &'a [(u64, u64)],
    /// Weight of the rest of its group in [`GROUPS`].
    others: u64,
    backlog: u64,
    /// Records for each weight of 1.
    grain: u64,
    /// Records of this key that it folds in a tick.
    folded: Option<(u64, u64)>,
}

/// A partition that does nothing.
const IDLE: Tick<'_> =
    Tick { busy: 0.0, keyed: 0.0, keys: &[], others: 0, backlog: 0, grain: 1_000, folded: None };

impl Job {
    fn new() -> Job {
        let movable = Movable {
            domain: Arc::new(Domain::new(0, 2)),
            name: "count".into(),
            unmovable: None,
            unmergeable: None,
            related: Vec::new(),
        };
        let grants = Grants::new(vec![movable], 2, 1);
        let observer = Observer::new(2, 1);
        Job { grants, observer, at: 0, worked_ns: [[0; 2]; 2] }
    }

    fn tick(&mut self, ticks: [Option<Tick<'_>>; 2]) -> LoadView {
        self.at += TICK_NS;
        let looks = ticks.into_iter().enumerate().map(|(partition, tick)| {
            let tick = tick?;
            for (worked, share) in self.worked_ns[partition].iter_mut().zip([tick.busy, tick.keyed])
            {
                *worked += (share * TICK_NS as f64) as Nanos;
            }
            Some(self.look(partition, &tick))
        });
        let looks = looks.collect::<Vec<_>>();
        self.observer.observe(looks, &self.grants);
        self.observer.view(self.at, Occasion::Tick, &self.grants)
    }

    fn look(&self, partition: usize, tick: &Tick<'_>) -> Look {
        let of_keys: u64 = tick.keys.iter().map(|(_, weight)| weight).sum();
        let total = of_keys + tick.others;
        let keys =
            tick.keys.iter().map(|(hash, weight)| Heavy { hash: *hash, weight: *weight, error: 0 });
        let mut groups = BTreeMap::from([(GROUPS[partition], tick.others)]);
        for (hash, weight) in tick.keys {
            *groups.entry(key_group(*hash) as u16).or_default() += weight;
        }
        let sample = KeySample {
            total,
            records: total * tick.grain,
            groups: groups.into_iter().filter(|(_, weight)| *weight > 0).collect(),
            keys: keys.collect(),
        };
        let [busy, keyed] = self.worked_ns[partition];
        Look {
            at: self.at,
            time_ns: [busy, self.at - busy, 0],
            folded: tick.folded.map_or(Vec::new(), |(hash, each)| {
                let records = each * self.at / TICK_NS;
                vec![Folded { domain: 0, hash, records }]
            }),
            tasks: vec![TaskLook {
                domain: 0,
                busy_ns: keyed,
                received: self.at / 100,
                backlog: tick.backlog,
                sample: Some(sample),
                names: tick.keys.iter().map(|(hash, _)| (*hash, format!("k{hash:x}"))).collect(),
                ..TaskLook::default()
            }],
        }
    }
}

fn hash(group: u16) -> u64 {
    with_group(77, usize::from(group))
}

fn busy(keyed: f64, keys: &[(u64, u64)], others: u64) -> Option<Tick<'_>> {
    Some(Tick { busy: keyed + 0.1, keyed, keys, others, ..IDLE })
}

fn cores(demand: u64) -> f64 {
    (demand as f64 / CORE as f64 * 100.0).round() / 100.0
}

fn demands(view: &LoadView) -> Vec<f64> {
    view.demands().into_iter().map(cores).collect()
}

#[test]
fn demands_add_up_to_what_partitions_are_measured_to_do() {
    let mut job = Job::new();
    let key = hash(GROUPS[0]);
    let hot = [(key, 75)];
    let ticks = || [busy(0.8, &hot, 25), busy(0.2, &[], 5)];
    job.tick(ticks());
    let view = job.tick(ticks());
    assert_eq!(view.check(), Ok(()));
    assert_eq!(demands(&view), [0.9, 0.3]);
    assert_eq!(view.partitions[0].busy_ppm / 10_000, 90);
    let [hot] = &view.domains[0].keys[..] else { panic!("{:?}", view.domains[0].keys) };
    assert_eq!((hot.hash, cores(hot.demand), hot.route), (key, 0.6, KeyRoute::Group));
    assert_eq!(hot.name.as_deref(), Some(&*format!("k{key:x}")));
    let groups = &view.domains[0].demands;
    assert_eq!(GROUPS.map(|group| cores(groups[usize::from(group)])), [0.8, 0.2]);
}

#[test]
fn key_that_gets_a_route_leaves_its_group_at_once() {
    let mut job = Job::new();
    let key = hash(GROUPS[0]);
    job.tick([busy(0.8, &[(key, 75)], 25), busy(0.0, &[], 0)]);
    let table = job.grants.domains()[0].domain.table();
    let units = Units::of(&table, &[], &[key]);
    let moved = Move { id: 1, domain: 0, units, donor: 0, taker: 1 };
    assert!(job.grants.domains()[0].domain.publish(Arc::new(moved)));
    let view = job.tick([busy(0.2, &[], 25), busy(0.6, &[(key, 75)], 0)]);
    let domain = &view.domains[0];
    assert_eq!(cores(domain.demands[usize::from(GROUPS[0])]), 0.2);
    let routed = domain.routed_key(key).expect("it has a route");
    assert_eq!((routed.route, routed.owner, cores(routed.demand)), (KeyRoute::Override, 1, 0.6));
    assert_eq!(demands(&view), [0.3, 0.7]);
    assert_eq!(domain.owner(Unit::Group(GROUPS[0])), Some(0));
}

#[test]
fn key_stays_in_sight_while_it_cools_and_one_that_never_was_hot_does_not_come() {
    let mut job = Job::new();
    let [key, cold] = [hash(GROUPS[0]), hash(GROUPS[1])];
    job.tick([busy(0.5, &[(key, 50)], 50), busy(0.001, &[(cold, 1)], 1)]);
    let view = job.tick([busy(0.5, &[], 100), busy(0.001, &[(cold, 1)], 1)]);
    let [cooling] = &view.domains[0].keys[..] else { panic!("{:?}", view.domains[0].keys) };
    assert!(cooling.hash == key && cooling.demand > 0 && cooling.demand < CORE / 4, "{cooling:?}");
    let mut last = view;
    for _ in 0..9 {
        last = job.tick([busy(0.5, &[], 100), busy(0.001, &[], 2)]);
    }
    assert_eq!(last.domains[0].keys, []);
}

#[test]
fn tick_without_a_sample_says_nothing_about_keys() {
    let mut job = Job::new();
    let key = hash(GROUPS[0]);
    job.tick([busy(0.8, &[(key, 75)], 25), busy(0.0, &[], 0)]);
    let view = job.tick([busy(0.8, &[], 0), busy(0.0, &[], 0)]);
    assert_eq!(cores(view.domains[0].keys[0].demand), 0.6);
    assert_eq!(cores(view.domains[0].demands[usize::from(GROUPS[0])]), 0.8);
}

#[test]
fn what_waits_longer_and_longer_is_wanted_too() {
    let mut job = Job::new();
    let ticks = |backlog| {
        let tick = Tick { busy: 1.0, keyed: 0.5, others: 9, backlog, ..IDLE };
        [Some(tick), busy(0.0, &[], 0)]
    };
    job.tick(ticks(0));
    // 1,000,000 records came and took 0.05 s; as many wait as would take half of that again.
    let view = job.tick(ticks(500_000));
    assert_eq!(view.partitions[0].backlog_records, 500_000);
    assert_eq!(view.partitions[0].backlog_ns / 1_000_000, 25);
    let wanted = cores(view.domains[0].demands[usize::from(GROUPS[0])]);
    // The average of 0.5 and 0.75, the new one counting 0.4.
    assert_eq!(wanted, 0.6);
}

#[test]
fn partition_that_has_ended_takes_nothing() {
    let mut job = Job::new();
    job.tick([busy(0.5, &[], 1), busy(0.5, &[], 1)]);
    let view = job.tick([busy(0.5, &[], 1), None]);
    let refuses: Vec<_> = view.partitions.iter().map(|one| one.refuses.as_deref()).collect();
    assert_eq!(refuses, [None, Some("it has ended")]);
}

#[test]
fn groups_that_differ_by_chance_alone_are_alike_in_the_view() {
    let mut job = Job::new();
    let mut random = 5_u64;
    let mut draw = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (hash((random >> 53) as u16), 1)
    };
    let mut view = None;
    for _ in 0..40 {
        // 10,000 records of 2,048 groups: 5 each, give or take 2.
        let keys: Vec<_> = (0..10_000).map(|_| draw()).collect();
        let tick = Tick { busy: 0.9, keyed: 0.8, keys: &keys, grain: 1, ..IDLE };
        view = Some(job.tick([Some(tick), busy(0.0, &[], 0)]));
    }
    let demands = &view.expect("it ticked").domains[0].demands[..2_048];
    let mean = demands.iter().sum::<u64>() / 2_048;
    let highest = demands.iter().max().expect("there are some");
    assert_eq!(cores(mean * 2_048), 0.8);
    assert!(*highest < mean / 10 * 13, "{highest} is far above {mean}");
}

#[test]
fn combined_key_wants_what_its_records_would_cost_their_owner() {
    let mut job = Job::new();
    let key = hash(GROUPS[0]);
    assert_eq!(job.grants.combine(0, key, true), Ok(()));
    let ticks = || {
        let owner = Tick { busy: 0.6, keyed: 0.5, others: 9, folded: Some((key, 400_000)), ..IDLE };
        [Some(owner), Some(Tick { busy: 0.2, folded: Some((key, 200_000)), ..IDLE })]
    };
    job.tick(ticks());
    // The owner works 0.05 s on 1,000,000 records; of the key alone 600,000 come in that time.
    let view = job.tick(ticks());
    let combined = view.domains[0].routed_key(key).expect("it has a route");
    assert_eq!((combined.route, cores(combined.demand)), (KeyRoute::Combined, 0.3));
    assert_eq!(demands(&view), [0.6, 0.2], "what feeders do for it is theirs");
}
