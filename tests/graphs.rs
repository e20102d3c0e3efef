//! Any graph of the built-ins gives what a naive model gives, on threads and in simulation, and
//! keeps order where all exchanges are keyed.
#![allow(clippy::disallowed_methods)]

use std::collections::BTreeMap;

use millstream::config::{BatchSize, Pin};
use millstream::prelude::*;
use millstream::testing::Random;
use millstream::testing::simulation::Simulation;

use graph::{Item, Step, draw_graph};
use model::model;
use pipeline::build;

#[path = "graphs/graph.rs"]
mod graph;
#[path = "graphs/model.rs"]
mod model;
#[path = "graphs/pipeline.rs"]
mod pipeline;

const SIMULATED_CASES: u64 = 500;
const THREADED_CASES: u64 = 150;
/// A graph that makes more records than this is drawn again.
const RECORDS_MAX: usize = 3_000;

struct Case {
    seed: u64,
    partitions: usize,
    batch: u32,
    lane: u64,
    steps: Vec<Step>,
}

fn draw_case(seed: u64) -> Case {
    let mut random = Random::seeded(seed);
    let partitions = random.within(1..=16) as usize;
    let batch = *random.one_of(&[1, 2, 3, 7, 64]);
    let lane = *random.one_of(&[1, 1, 2, 8]);
    loop {
        let steps = draw_graph(&mut random);
        let records: usize = model(&steps, partitions).iter().map(|s| s.items.len()).sum();
        if records <= RECORDS_MAX {
            return Case { seed, partitions, batch, lane, steps };
        }
    }
}

impl Case {
    fn check(&self, how: &str, run: impl FnOnce(Pipeline) -> Result<millstream::metrics::Report>) {
        let Case { seed, partitions, batch, lane, steps } = self;
        let case = || {
            let graph: Vec<String> = steps.iter().map(|step| format!("\n  {step:?}")).collect();
            format!(
                "seed {seed} {how}, {partitions} partitions, batch {batch}, lane {lane}:{}\n",
                graph.concat()
            )
        };
        let pipeline = Pipeline::new("graph");
        let sinks = build(steps, &pipeline);
        run(pipeline).unwrap_or_else(|error| panic!("{}{error}", case()));
        for (index, (sink, expected)) in sinks.iter().zip(model(steps, *partitions)).enumerate() {
            let mut items = sink.take();
            if expected.is_ordered {
                let broken = first_out_of_order(&items);
                assert!(broken.is_none(), "{}sink {index}: {broken:?}", case());
            }
            let mut expected = expected.items;
            items.sort();
            expected.sort();
            assert!(
                items == expected,
                "{}sink {index} has {} records, the model {}; first difference {:?}",
                case(),
                items.len(),
                expected.len(),
                items.iter().zip(&expected).find(|(a, b)| a != b)
            );
        }
    }
}

/// A record that comes behind a later one of its path.
fn first_out_of_order(items: &[Item]) -> Option<(u64, &Item)> {
    let mut last: BTreeMap<u64, u64> = BTreeMap::new();
    items.iter().find_map(|item| {
        let before = last.insert(item.path, item.sequence)?;
        (before > item.sequence).then_some((before, item))
    })
}

#[test]
fn simulated_graphs_equal_the_naive_model_and_keep_order() {
    for seed in 0..SIMULATED_CASES {
        let case = draw_case(seed);
        case.check("simulated", |pipeline| {
            let simulation = Simulation::seeded(seed).partitions(case.partitions);
            simulation.batch_size(case.batch).lane_capacity(case.lane).run(pipeline)
        });
    }
}

#[test]
fn threaded_graphs_equal_the_naive_model_and_keep_order() {
    for seed in 10_000..10_000 + THREADED_CASES {
        let case = draw_case(seed);
        case.check("on threads", |pipeline| {
            let config = Config::builder()
                .partitions(case.partitions)
                .batch_size(BatchSize::Records(case.batch))
                .lane_capacity(case.lane)
                .pin(Pin::Off)
                .build()?;
            Engine::new(config)?.run(pipeline)
        });
    }
}

#[test]
fn drawn_graphs_use_every_kind_of_step_and_order_is_checked_on_many() {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut ordered = 0;
    for seed in 0..SIMULATED_CASES {
        let case = draw_case(seed);
        for step in &case.steps {
            let text = format!("{step:?}");
            for word in text.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty()) {
                *seen.entry(word.to_owned()).or_default() += 1;
            }
        }
        let sinks = model(&case.steps, case.partitions);
        ordered += sinks.iter().filter(|s| s.is_ordered && s.items.len() > 20).count();
    }
    let words = "Splits Iterator Collection Map Filter FlatMap FilterMap Inspect Rekey Boxed Fused \
                 Rebalance RoundRobin ByValue Broadcast Pass CountEach Count Sum Min Max Mean \
                 StdDev Pair Reduce Hash Modulo Range Auto On Off Fork Route Union";
    for word in words.split_whitespace() {
        assert!(seen.get(word).is_some_and(|count| *count >= 10), "{word}: {:?}", seen.get(word));
    }
    assert!(ordered >= 200, "order was checked at {ordered} sinks only");
}
