//! Graphs as data: steps that take open streams by their index and open new ones, drawn at random,
//! and what the steps do to one record.

use serde::{Deserialize, Serialize};

use millstream::config::PreAggregate;
use millstream::testing::Random;

/// What flows. Records of one `path` come in ascending `sequence` where order is kept: a path is
/// the source split and every key and branch that the record went by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Item {
    pub(crate) path: u64,
    pub(crate) sequence: u64,
    pub(crate) key: u64,
    pub(crate) value: i64,
}

pub(crate) fn mix(path: u64, by: u64) -> u64 {
    let path = path.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
    (path ^ by).wrapping_mul(0xD6E8_FEB8_6659_FD93)
}

impl Item {
    /// The same record one key or branch further on its path.
    pub(crate) fn by(self, by: u64) -> Item {
        Item { path: mix(self.path, by), ..self }
    }
}

pub(crate) fn key_of(item: &Item) -> u64 {
    item.key
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Origin {
    /// So many splits that hesitate between records.
    Splits(u64),
    Iterator,
    Collection,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Each {
    Map(i64),
    Filter(u64),
    FlatMap(u64),
    FilterMap(u64),
    Inspect,
    Rekey(u64),
    Boxed,
    /// Map, filter and flat_map in one chain.
    Fused(i64, u64, u64),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Spread {
    Rebalance,
    RoundRobin,
    ByValue,
    Broadcast,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum What {
    /// Every record as it is, behind a keyed exchange.
    Pass,
    /// Counts after each record.
    CountEach,
    Count,
    Sum,
    Min,
    Max,
    Mean,
    StdDev,
    Pair,
    Reduce,
}

pub(crate) const WHATS: [What; 10] = [
    What::Pass,
    What::CountEach,
    What::Count,
    What::Sum,
    What::Min,
    What::Max,
    What::Mean,
    What::StdDev,
    What::Pair,
    What::Reduce,
];

#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    Hash,
    Modulo,
    Range,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Source(Origin, u64),
    Each(usize, Each),
    Spread(usize, Spread),
    Keyed(usize, What, Way, Option<PreAggregate>),
    Fork(usize),
    Route(usize, u64),
    Union(usize, usize),
}

pub(crate) fn each(random: &mut Random) -> Each {
    let number = random.within(1..=4);
    match random.below(8) {
        0 => Each::Map(number as i64),
        1 => Each::Filter(number + 1),
        2 => Each::FlatMap(number.min(3)),
        3 => Each::FilterMap(number + 1),
        4 => Each::Inspect,
        5 => Each::Rekey(number * 5),
        6 => Each::Boxed,
        _ => Each::Fused(number as i64, number + 1, 2),
    }
}

pub(crate) fn source(random: &mut Random) -> Step {
    let splits = random.within(1..=6);
    let origin = match random.below(4) {
        0 => Origin::Iterator,
        1 => Origin::Collection,
        _ => Origin::Splits(splits),
    };
    Step::Source(origin, random.draw())
}

/// A graph of one to three sources and a few steps; what is left open ends in a sink.
pub(crate) fn draw_graph(random: &mut Random) -> Vec<Step> {
    let mut steps: Vec<Step> = (0..random.within(1..=3)).map(|_| source(random)).collect();
    let mut open: Vec<usize> = (0..steps.len()).collect();
    let mut streams = open.len();
    for _ in 0..random.within(1..=8) {
        let at = open.swap_remove(random.index(open.len()));
        let (step, opens) = match random.below(11) {
            0..=3 => (Step::Each(at, each(random)), 1),
            4 => {
                let spreads =
                    [Spread::Rebalance, Spread::RoundRobin, Spread::ByValue, Spread::Broadcast];
                (Step::Spread(at, *random.one_of(&spreads)), 1)
            }
            5..=7 => {
                let modes = [
                    None,
                    Some(PreAggregate::Auto),
                    Some(PreAggregate::On),
                    Some(PreAggregate::Off),
                ];
                let what = *random.one_of(&WHATS);
                let way = *random.one_of(&[Way::Hash, Way::Modulo, Way::Range]);
                (Step::Keyed(at, what, way, *random.one_of(&modes)), 1)
            }
            8 => (Step::Fork(at), 2),
            9 => (Step::Route(at, random.within(2..=3)), 2),
            _ if open.is_empty() => (Step::Each(at, Each::Boxed), 1),
            _ => {
                let other = open.swap_remove(random.index(open.len()));
                (Step::Union(at, other), 1)
            }
        };
        steps.push(step);
        open.extend(streams..streams + opens);
        streams += opens;
    }
    steps
}

pub(crate) fn items(source: u64, origin: Origin, seed: u64) -> Vec<Vec<Item>> {
    let mut random = Random::seeded(seed);
    let (splits, count) = (
        match origin {
            Origin::Splits(splits) => splits,
            Origin::Iterator | Origin::Collection => 1,
        },
        random.below(60),
    );
    let keys = random.within(1..=30);
    let item = |split: u64, sequence: u64, random: &mut Random| Item {
        path: mix(source, split),
        sequence,
        key: random.below(keys),
        value: random.below(200) as i64 - 100,
    };
    (0..splits)
        .map(|split| (0..count).map(|sequence| item(split, sequence, &mut random)).collect())
        .collect()
}

// What the steps do to one record: the engine and the model call the same functions.

pub(crate) fn mapped(item: Item, add: i64) -> Item {
    Item { value: item.value + add, ..item }
}

pub(crate) fn kept(item: &Item, modulus: u64) -> bool {
    !item.value.unsigned_abs().is_multiple_of(modulus)
}

pub(crate) fn flattened(item: Item, copies: u64) -> Vec<Item> {
    let copy = |i| Item { sequence: item.sequence * 4 + i, ..item };
    (0..copies).map(copy).collect()
}

pub(crate) fn rekeyed(item: Item, modulus: u64) -> Item {
    Item { key: (item.key * 7 + 3) % modulus, ..item }
}

pub(crate) fn reduced(a: Item, b: Item) -> Item {
    Item {
        path: a.path,
        sequence: a.sequence.max(b.sequence),
        key: a.key,
        value: a.value + b.value,
    }
}

/// One value per key, from the step with this index.
pub(crate) fn result(step: usize, key: u64, value: i64) -> Item {
    Item { path: mix(step as u64 + 1_000, key), sequence: 0, key, value }
}

pub(crate) fn rounded(value: Option<f64>) -> i64 {
    value.map_or(-1, |value| (value * 1_000.0).round() as i64)
}
