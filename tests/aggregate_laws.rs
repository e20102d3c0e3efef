//! The law that `state::aggregate` promises, on every aggregate there is: identity, associativity,
//! any split equal to one by one, a free order where it is claimed, and storing in between.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::Path;

use millstream::state::aggregate::{
    Aggregate, Collect, Count, First, Last, arg_max, arg_min, count_distinct, distinct_sketch,
    first_by, known, last_by, max, mean, median, min, quantile_sketch, quantiles, std_dev, sum,
    top_k, variance,
};
use millstream::testing::Random;
use serde::{Deserialize, Serialize};

const SEED: u64 = 20_260_301;
const ROUNDS: u64 = 200;
const RECORDS_MAX: u64 = 2_000;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Record {
    /// Any.
    number: i64,
    /// Few different ones.
    kind: u8,
    /// Within ±1,000,000, with hundredths.
    amount: f64,
    /// No two records have the same.
    id: u64,
}

impl Record {
    fn draw(random: &mut Random, index: usize) -> Record {
        Record {
            number: random.draw() as i64,
            kind: random.below(20) as u8,
            amount: (random.below(200_000_001) as f64 - 1e8) / 100.0,
            id: random.draw() << 16 | index as u64,
        }
    }

    /// The amount, or NaN for some.
    fn gap(&self) -> f64 {
        if self.kind == 0 { f64::NAN } else { self.amount }
    }
}

/// What the aggregates of a round are run on, and which have been.
struct Round {
    seed: u64,
    random: Random,
    records: Vec<Record>,
    seen: BTreeSet<String>,
}

/// All aggregates. One that is missing here is found by `no_aggregate_is_left_out`.
fn check_all(round: &mut Round) {
    round.check(Count, equal);
    round.check(sum(|r: &Record| r.number), equal);
    round.check(sum(|r: &Record| r.number as u8), equal);
    round.check(sum(|r: &Record| r.amount), |a, b| close(&Some(*a), &Some(*b)));
    round.check(min(|r: &Record| r.number), equal);
    round.check(max(|r: &Record| r.number), equal);
    round.check(min(Record::gap), equal);
    round.check(max(Record::gap), equal);
    round.check(known(max(|r: &Record| r.number)), equal);
    round.check(arg_min(|r: &Record| (r.kind, r.id)), equal);
    round.check(arg_max(|r: &Record| (r.kind, r.id)), equal);
    // Among equals any is right.
    round.check(arg_min(|r: &Record| r.kind), |a, b| kinds(a) == kinds(b));
    round.check(arg_max(|r: &Record| r.kind), |a, b| kinds(a) == kinds(b));
    round.check(first_by(|r: &Record| r.id), equal);
    round.check(last_by(|r: &Record| r.id), equal);
    round.check(top_k(1, |r: &Record| r.id), equal);
    round.check(top_k(10, |r: &Record| Reverse((r.kind, r.id))), equal);
    round.check(top_k(10, |r: &Record| r.kind), |a, b| kinds(a) == kinds(b));
    round.check(top_k(10, |r: &Record| (r.gap(), r.id)), equal);
    round.check(mean(|r: &Record| r.amount), close);
    round.check(variance(|r: &Record| r.amount), close);
    round.check(std_dev(|r: &Record| (r.kind > 3).then_some(r.amount)), close);
    round.check(median(|r: &Record| r.gap()), equal);
    round.check(quantiles([0.0, 0.3, 0.99], |r: &Record| r.amount), equal);
    round.check(quantile_sketch([0.0, 0.3, 0.99], |r: &Record| r.gap()), all_close);
    // A span that is cut off at the lower end.
    round.check(quantile_sketch([0.01, 0.5], |r: &Record| r.amount.powi(9)), all_close);
    round.check(count_distinct(|r: &Record| r.kind), equal);
    round.check(distinct_sketch(|r: &Record| r.id), equal);
    round.check(distinct_sketch(|r: &Record| (r.kind, r.number % 9)).precision(10), equal);
    round.check(First, equal);
    round.check(Last, equal);
    round.check(Collect, equal);
    round.check((Count, sum(|r: &Record| r.number)), equal);
    let (number, kind) = (|r: &Record| r.number, |r: &Record| r.kind);
    round.check((Count, sum(number), min(number), max(kind), (Count, Count), Last), equal);
}

fn equal<O: PartialEq>(a: &O, b: &O) -> bool {
    a == b
}

fn close(a: &Option<f64>, b: &Option<f64>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0),
        _ => a == b,
    }
}

/// As far as JSON keeps the last digit of what it stores.
fn all_close<const N: usize>(a: &Option<[f64; N]>, b: &Option<[f64; N]>) -> bool {
    let near = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-12 * a.abs().max(b.abs());
    match (a, b) {
        (Some(a), Some(b)) => a.iter().zip(b).all(near),
        _ => a == b,
    }
}

fn kinds<'a>(records: impl IntoIterator<Item = &'a Record>) -> Vec<u8> {
    records.into_iter().map(|record| record.kind).collect()
}

impl Round {
    /// Records in number and content as `seed` says.
    fn new(seed: u64) -> Round {
        let mut random = Random::seeded(seed);
        // Mostly few, so that parts are empty and windows of arrival small.
        let most = if random.one_in(8) { RECORDS_MAX } else { 30 };
        let count = random.within(1..=most) as usize;
        let records = (0..count).map(|index| Record::draw(&mut random, index)).collect();
        Round { seed, random, records, seen: BTreeSet::new() }
    }

    /// The law, on one split of the records into three, each of which may be empty.
    fn check<A>(&mut self, aggregate: A, same: fn(&A::Output, &A::Output) -> bool)
    where
        A: Aggregate<Record>,
        A::Output: Debug,
    {
        let name = std::any::type_name::<A>();
        self.seen.extend(base_names(name));
        aggregate.check().expect("it is set up well");
        let places = self.records.len() + 1;
        let (first, second) = (self.random.index(places), self.random.index(places));
        let (low, high) = (first.min(second), first.max(second));
        let [a, b, c] = [&self.records[..low], &self.records[low..high], &self.records[high..]];
        let on = |records: &[Record]| added(&aggregate, A::Accumulator::default(), records);
        let merged = |mut into: A::Accumulator, from: A::Accumulator| {
            aggregate.merge(&mut into, from);
            into
        };
        let mut ways = vec![
            ("associative to the left", merged(merged(on(a), on(b)), on(c))),
            ("associative to the right", merged(on(a), merged(on(b), on(c)))),
            ("identity on the left", merged(on(&[]), on(&self.records))),
            ("identity on the right", merged(on(&self.records), on(&[]))),
            ("added to what was merged", added(&aggregate, merged(on(a), on(b)), c)),
            ("stored and read back", added(&aggregate, stored(&on(a)), &[b, c].concat())),
            ("stored before it is merged", merged(stored(&on(a)), stored(&on(&[b, c].concat())))),
        ];
        if A::MERGES {
            let mut shuffled = self.records.clone();
            shuffle(&mut self.random, &mut shuffled);
            ways.push(("commutative", merged(merged(on(c), on(a)), on(b))));
            ways.push(("in any order", on(&shuffled)));
        }
        let whole = aggregate.finish(&on(&self.records));
        for (way, accumulator) in ways {
            let other = aggregate.finish(&accumulator);
            let seed = self.seed;
            assert!(same(&whole, &other), "{name}, seed {seed}, {way}: {whole:?}, not {other:?}");
        }
    }
}

fn added<A: Aggregate<Record>>(
    aggregate: &A,
    mut accumulator: A::Accumulator,
    records: &[Record],
) -> A::Accumulator {
    records.iter().for_each(|record| aggregate.add(&mut accumulator, record));
    accumulator
}

fn stored<S: Serialize + for<'de> Deserialize<'de>>(state: &S) -> S {
    let text = serde_json::to_string(state).expect("state is storable");
    serde_json::from_str(&text).expect("what was stored can be read")
}

fn shuffle(random: &mut Random, records: &mut [Record]) {
    for last in (1..records.len()).rev() {
        records.swap(last, random.index(last + 1));
    }
}

/// The names of the types of aggregates in a full type name, without paths and parameters.
fn base_names(full: &str) -> impl Iterator<Item = String> + '_ {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    full.split(move |c: char| !is_word(c) && c != ':')
        .filter_map(|path| path.rsplit_once("::"))
        .filter(|(module, _)| module.contains("::state::aggregate::"))
        .map(|(_, name)| name.to_owned())
}

#[test]
fn every_aggregate_obeys_the_law() {
    println!("seeds {SEED}..{}", SEED + ROUNDS);
    for seed in SEED..SEED + ROUNDS {
        check_all(&mut Round::new(seed));
    }
}

#[test]
fn no_aggregate_is_left_out() {
    let mut round = Round::new(SEED);
    check_all(&mut round);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/state/aggregate");
    let mut found = 0;
    for file in std::fs::read_dir(folder).expect("the folder of aggregates") {
        let text = std::fs::read_to_string(file.expect("a file").path()).expect("it is text");
        for (_, rest) in
            text.match_indices("Aggregate<T> for ").map(|(at, m)| text.split_at(at + m.len()))
        {
            let name: String = rest.chars().take_while(|c| c.is_alphanumeric()).collect();
            // A tuple has none.
            assert!(name.is_empty() || round.seen.contains(&name), "{name} is not in `check_all`");
            found += 1;
        }
    }
    assert!(found >= 18, "only {found} aggregates found in the source");
}

#[test]
fn those_that_do_not_merge_depend_on_the_order() {
    fn changes<A: Aggregate<u64>>(aggregate: A) -> bool
    where
        A::Output: PartialEq,
    {
        let on = |records: [u64; 2]| {
            let mut accumulator = A::Accumulator::default();
            records.iter().for_each(|record| aggregate.add(&mut accumulator, record));
            aggregate.finish(&accumulator)
        };
        on([1, 2]) != on([2, 1])
    }
    assert!(changes(First) && changes(Last) && changes(Collect));
}

#[test]
fn sketched_quantiles_are_within_their_error_however_they_are_split() {
    let at = [0.0, 0.001, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 1.0];
    type Shape = fn(f64) -> f64;
    let shapes: [(&str, Shape); 5] = [
        ("even", |x| x),
        ("around 0", |x| (x - 0.4) * 1e6),
        ("negative", |x| -1.0 / (x + 1e-9)),
        ("exponential", |x| -(1.0 - x).ln()),
        ("heavy tail", |x| (1.0 - x).powf(-2.0)),
    ];
    for seed in SEED..SEED + 20 {
        for (name, shape) in shapes {
            let mut random = Random::seeded(seed);
            let mut values: Vec<f64> = (0..random.within(1..=5_000))
                .map(|_| shape(random.below(1 << 53) as f64 / (1u64 << 53) as f64))
                .collect();
            let sketch = quantile_sketch(at, |value: &f64| *value);
            let mut whole = Default::default();
            for part in values.chunks(random.within(1..=1_000) as usize) {
                let mut accumulator = Default::default();
                part.iter().for_each(|value| sketch.add(&mut accumulator, value));
                Aggregate::<f64>::merge(&sketch, &mut whole, accumulator);
            }
            values.sort_unstable_by(f64::total_cmp);
            let sketched = Aggregate::<f64>::finish(&sketch, &whole).expect("there are values");
            for (quantile, sketched) in at.into_iter().zip(sketched) {
                let exact = values[(quantile * (values.len() - 1) as f64) as usize];
                let off = (sketched - exact).abs() / exact.abs();
                // At 1 % to the bit, a value at a bin's edge may round to the next.
                let case = format!("{name}, seed {seed}, {quantile}: {sketched}, not {exact}");
                assert!(sketched == exact || off <= 0.01 + 1e-9, "{case}");
            }
        }
    }
}

#[test]
fn sketched_distinct_counts_are_within_five_standard_errors() {
    for seed in SEED..SEED + 40 {
        let mut random = Random::seeded(seed);
        let size = random.within(1..=200_000);
        let sketch = distinct_sketch(|value: &u64| *value);
        let (mut left, mut right) = Default::default();
        for value in 0..size {
            // Overlapping halves.
            let value = (value << 32) | seed;
            sketch.add(if random.one_in(2) { &mut left } else { &mut right }, &value);
            sketch.add(&mut left, &value);
        }
        Aggregate::<u64>::merge(&sketch, &mut left, right);
        let about = Aggregate::<u64>::finish(&sketch, &left);
        let off = (about as f64 / size as f64 - 1.0).abs();
        assert!(off <= 5.0 * 0.01625, "seed {seed}: {about}, not {size}");
        assert!(size > 256 || about == size, "seed {seed}: {about}, not {size}");
    }
}
