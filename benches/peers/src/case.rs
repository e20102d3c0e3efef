//! The cases: which records are counted, and whether their keys were seen before the clock starts.

use millstream::connector::generator::{BenchInput, Skew};

use crate::Fault;
use crate::hot::Hot;
use crate::nexmark::QUERIES;

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Name in the report.
    pub name: &'static str,
    keys: u64,
    skew: Skew,
    /// Records of one timed pass, all workers together.
    pub records: u64,
    /// Whether each key is counted by each worker before the clock starts.
    pub warm: bool,
    /// Number of the NEXMark query, if it is one: then the keys mean nothing.
    pub query: Option<usize>,
    /// What is hot, if there is work on each record.
    pub hot: Option<Hot>,
}

const fn case(name: &'static str, keys: u64, skew: Skew, records: u64) -> Case {
    Case { name, keys, skew, records, warm: false, query: None, hot: None }
}

const fn nexmark(name: &'static str, query: usize) -> Case {
    Case { query: Some(query), ..case(name, 1, Skew::Uniform, 10_000_000) }
}

/// All cases that count records per key, in the order of the report.
pub const CASES: [Case; 6] = [
    case("keys-1k", 1_000, Skew::Uniform, 100_000_000),
    case("keys-100k", 100_000, Skew::Uniform, 100_000_000),
    case("keys-10m-cold", 10_000_000, Skew::Uniform, 20_000_000),
    Case { warm: true, ..case("keys-10m-warm", 10_000_000, Skew::Uniform, 60_000_000) },
    case("zipf-1.0", 100_000, Skew::Zipf(1.0), 100_000_000),
    case("zipf-1.4", 100_000, Skew::Zipf(1.4), 100_000_000),
];

/// Those of `--nexmark`.
pub const NEXMARK: [Case; QUERIES] = [
    nexmark("nexmark-q0", 0),
    nexmark("nexmark-q1", 1),
    nexmark("nexmark-q2", 2),
    nexmark("nexmark-q3", 3),
    nexmark("nexmark-q4", 4),
    nexmark("nexmark-q5", 5),
    nexmark("nexmark-q6", 6),
    nexmark("nexmark-q7", 7),
    nexmark("nexmark-q8", 8),
];

const fn hot(name: &'static str, hot: Hot) -> Case {
    Case { hot: Some(hot), ..case(name, 100_000, Skew::Uniform, 10_000_000) }
}

/// Those of `--hot-keys`: 8 keys of one worker with 80 % of the records, and no key that is hot.
pub const HOT: [Case; 3] = [
    hot("hot-key", Hot { share: 0.8, keys: 8, shifts: false }),
    hot("hot-key-shift", Hot { share: 0.8, keys: 8, shifts: true }),
    hot("hot-key-twin", Hot { share: 0.0, keys: 8, shifts: false }),
];

impl Case {
    /// Small enough for a test, with several blocks and a last one that is not full.
    #[cfg(test)]
    pub fn small(warm: bool) -> Case {
        Case { warm, ..case("small", 500, Skew::Zipf(1.0), 100_001) }
    }

    /// The case called `name`.
    pub fn named(name: &str) -> Result<Case, Fault> {
        let all = || CASES.into_iter().chain(NEXMARK).chain(HOT);
        all().find(|case| case.name == name).ok_or_else(|| {
            let known: Vec<_> = all().map(|case| case.name).collect();
            Fault::usage(format!("no case `{name}`; there are {}", known.join(", ")))
        })
    }

    /// Its input, with the table of a skewed one.
    pub fn input(&self, seed: u64) -> Result<BenchInput, Fault> {
        BenchInput::new(seed, self.keys, self.skew).map_err(|error| Fault::usage(error.to_string()))
    }
}
