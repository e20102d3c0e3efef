//! The cases: which records are counted, and whether their keys were seen before the clock starts.

use millstream::connector::generator::{BenchInput, Skew};

use crate::Fault;

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
}

const fn case(name: &'static str, keys: u64, skew: Skew, records: u64) -> Case {
    Case { name, keys, skew, records, warm: false }
}

/// All cases, in the order of the report.
pub const CASES: [Case; 6] = [
    case("keys-1k", 1_000, Skew::Uniform, 100_000_000),
    case("keys-100k", 100_000, Skew::Uniform, 100_000_000),
    case("keys-10m-cold", 10_000_000, Skew::Uniform, 20_000_000),
    Case { warm: true, ..case("keys-10m-warm", 10_000_000, Skew::Uniform, 60_000_000) },
    case("zipf-1.0", 100_000, Skew::Zipf(1.0), 100_000_000),
    case("zipf-1.4", 100_000, Skew::Zipf(1.4), 100_000_000),
];

impl Case {
    /// Small enough for a test, with several blocks and a last one that is not full.
    #[cfg(test)]
    pub fn small(warm: bool) -> Case {
        Case { warm, ..case("small", 500, Skew::Zipf(1.0), 100_001) }
    }

    /// The case called `name`.
    pub fn named(name: &str) -> Result<Case, Fault> {
        let found = CASES.into_iter().find(|case| case.name == name);
        found.ok_or_else(|| {
            let known: Vec<_> = CASES.iter().map(|case| case.name).collect();
            Fault::usage(format!("no case `{name}`; there are {}", known.join(", ")))
        })
    }

    /// Its input, with the table of a skewed one.
    pub fn input(&self, seed: u64) -> Result<BenchInput, Fault> {
        BenchInput::new(seed, self.keys, self.skew).map_err(|error| Fault::usage(error.to_string()))
    }
}
