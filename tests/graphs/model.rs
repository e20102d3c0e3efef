//! A graph read by a naive model: every stream is a vector, every step a loop over it.

use std::collections::BTreeMap;

use crate::graph::{
    Each, Item, Origin, Spread, Step, What, flattened, items, kept, mapped, reduced, rekeyed,
    result, rounded,
};

/// A stream in the model: its records, and whether order along paths is kept.
#[derive(Clone)]
pub(crate) struct Stream {
    pub(crate) items: Vec<Item>,
    pub(crate) is_ordered: bool,
}

pub(crate) fn model(steps: &[Step], partitions: usize) -> Vec<Stream> {
    let mut open: Vec<Option<Stream>> = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        let made = match *step {
            Step::Source(origin, seed) => vec![Stream {
                items: items(index as u64, origin, seed).concat(),
                // A collection is cut where the number of partitions says.
                is_ordered: !matches!(origin, Origin::Collection) || partitions == 1,
            }],
            Step::Each(at, each) => {
                let Stream { items, is_ordered } = taken(&mut open, at);
                let items = items.into_iter().flat_map(|item| model_each(item, each)).collect();
                vec![Stream { items, is_ordered }]
            }
            Step::Spread(at, spread) => {
                let items = taken(&mut open, at).items;
                let copies = if matches!(spread, Spread::Broadcast) { partitions } else { 1 };
                vec![Stream { items: items.repeat(copies), is_ordered: false }]
            }
            Step::Keyed(at, what, ..) => {
                let Stream { items, is_ordered } = taken(&mut open, at);
                let is_ordered = is_ordered || what != What::Pass;
                vec![Stream { items: model_keyed(items, what, index), is_ordered }]
            }
            Step::Fork(at) => {
                let stream = taken(&mut open, at);
                [1, 2].map(|branch| branch_of(&stream, branch, |_| true)).to_vec()
            }
            Step::Route(at, modulus) => {
                let stream = taken(&mut open, at);
                let right = branch_of(&stream, 2, |item| !kept(item, modulus));
                vec![branch_of(&stream, 1, |item| kept(item, modulus)), right]
            }
            Step::Union(a, b) => {
                let (a, b) = (taken(&mut open, a), taken(&mut open, b));
                let items = [a.items, b.items].concat();
                vec![Stream { items, is_ordered: a.is_ordered && b.is_ordered }]
            }
        };
        open.extend(made.into_iter().map(Some));
    }
    open.into_iter().flatten().collect()
}

pub(crate) fn taken<T>(open: &mut [Option<T>], at: usize) -> T {
    open[at].take().expect("a graph uses a stream once")
}

pub(crate) fn branch_of(stream: &Stream, branch: u64, keep: impl Fn(&Item) -> bool) -> Stream {
    let items = stream.items.iter().filter(|item| keep(item)).copied();
    Stream { items: items.map(|item| item.by(branch)).collect(), is_ordered: stream.is_ordered }
}

pub(crate) fn model_each(item: Item, each: Each) -> Vec<Item> {
    match each {
        Each::Map(add) => vec![mapped(item, add)],
        Each::Filter(modulus) | Each::FilterMap(modulus) => {
            if kept(&item, modulus) {
                vec![item]
            } else {
                Vec::new()
            }
        }
        Each::FlatMap(copies) => flattened(item, copies),
        Each::Inspect | Each::Boxed => vec![item],
        Each::Rekey(modulus) => vec![rekeyed(item, modulus)],
        Each::Fused(add, modulus, copies) => {
            let item = mapped(item, add);
            if kept(&item, modulus) { flattened(item, copies) } else { Vec::new() }
        }
    }
}

pub(crate) fn model_keyed(items: Vec<Item>, what: What, step: usize) -> Vec<Item> {
    if what == What::Pass {
        return items
            .into_iter()
            .map(|item| {
                let key = item.key;
                item.by(key)
            })
            .collect();
    }
    let mut by_key: BTreeMap<u64, Vec<Item>> = BTreeMap::new();
    for item in items {
        by_key.entry(item.key).or_default().push(item);
    }
    let made = by_key.into_iter().flat_map(|(key, items)| {
        let values: Vec<i64> = items.iter().map(|item| item.value).collect();
        let count = values.len() as i64;
        let total: i64 = values.iter().sum();
        let mean = total as f64 / count as f64;
        let value = match what {
            What::CountEach => {
                let nth = |n| Item { sequence: n as u64, ..result(step, key, n) };
                return (1..=count).map(nth).collect();
            }
            What::Reduce => {
                let one = items.into_iter().reduce(reduced).expect("a key has records");
                return vec![Item { path: result(step, key, 0).path, ..one }];
            }
            What::Pass => unreachable!("dealt with above"),
            What::Count => count,
            What::Sum => total,
            What::Min => values.iter().copied().min().expect("a key has records"),
            What::Max => values.iter().copied().max().expect("a key has records"),
            What::Mean => rounded(Some(mean)),
            What::StdDev => rounded((count > 1).then(|| {
                let squares = values.iter().map(|value| (*value as f64 - mean).powi(2));
                (squares.sum::<f64>() / (count - 1) as f64).sqrt()
            })),
            What::Pair => count * 1_000_000 + total,
        };
        vec![result(step, key, value)]
    });
    made.collect()
}
