//! Work on each record, most of the records on a few keys that start on one worker.
//!
//! The input is `millstream::connector::hot_keys::HotInput`. All find the owner of a key by the
//! same hash, so that the hot keys meet on one worker everywhere.

pub mod ours;
pub mod timely;
mod toil;

use millstream::connector::generator::BenchInput;
use millstream::connector::hot_keys::{HotInput, HotKeys};

use crate::Fault;
use crate::options::Options;
use crate::work::Pass;

pub use toil::rounds_of;

/// What is hot in a case.
#[derive(Clone, Copy, Debug)]
pub struct Hot {
    /// The share of the records on the hot keys.
    pub share: f64,
    /// How many there are.
    pub keys: usize,
    /// Whether others, of the last worker, relieve them at half of the records.
    pub shifts: bool,
}

impl Hot {
    /// The input of `records` for so many workers, `base` but for what is hot.
    pub fn input(&self, base: BenchInput, records: u64, workers: usize) -> Result<HotInput, Fault> {
        let period = self.shifts.then(|| records.div_ceil(2));
        let input = HotKeys::colocated(self.keys, base.keys(), workers)
            .and_then(|keys| HotInput::new(base, keys, self.share, period));
        input.map_err(|error| Fault::usage(error.to_string()))
    }
}

/// What one pass is made of.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// Of all workers together.
    pub records: u64,
    /// Where they come from.
    pub input: &'a HotInput,
    /// Of work on each of them.
    pub rounds: u32,
    /// One worker on each of these.
    pub cores: &'a [usize],
    /// Of the contender.
    pub options: Options<'a>,
}

/// How a contender takes part.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The shapes it is run in, of which the best counts.
    pub shapes: &'static [&'static str],
    /// Runs one pass.
    pub run: fn(&Job<'_>) -> Pass,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use millstream::connector::generator::keyed_count_checksum;

    use super::*;
    use crate::case::HOT;
    use crate::cores;
    use crate::work::contenders;

    #[test]
    fn every_contender_answers_as_a_naive_loop_does() {
        const RECORDS: u64 = 50_001;
        let cores: Vec<usize> = cores::allowed().unwrap().into_iter().take(2).collect();
        for case in HOT {
            let hot = case.hot.unwrap();
            let input = hot.input(case.input(7).unwrap(), RECORDS, cores.len()).unwrap();
            let mut states: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
            for hit in input.records(0..RECORDS) {
                let state = states.entry(hit.key).or_default();
                *state = (state.0 + 1, state.1 + hit.value);
            }
            let expected =
                keyed_count_checksum(states.into_iter().map(|(key, (n, sum))| (key, n, sum)));
            for entry in contenders().filter_map(|contender| contender.hot) {
                for shape in entry.shapes.iter().copied().chain(["rebalance=off route=hash"]) {
                    let options = Options(shape);
                    let (input, cores) = (&input, &cores[..]);
                    let job = Job { records: RECORDS, input, rounds: 3, cores, options };
                    // A thread of its own, since some contenders pin the one that they run on.
                    let pass = std::thread::scope(|scope| {
                        scope.spawn(|| (entry.run)(&job)).join().unwrap()
                    });
                    assert_eq!(pass.checksum, expected, "{} {shape}", case.name);
                }
            }
        }
    }
}
