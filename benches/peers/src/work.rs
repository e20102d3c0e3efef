//! What a contender is given and what it gives back.

use millstream::connector::generator::BenchInput;

use crate::case::Case;
use crate::latency::{Latencies, Offer};
use crate::options::Options;
use crate::{hot, nexmark, ours, plain, renoir_peer, timely_latency, timely_peer};

/// One pass over the records of a case.
#[derive(Clone, Copy, Debug)]
pub struct Work<'a> {
    /// Which records, and whether they are preceded by a warm-up.
    pub case: &'a Case,
    /// Where they come from.
    pub input: &'a BenchInput,
    /// One worker on each of these.
    pub cores: &'a [usize],
    /// Of the contender.
    pub options: Options<'a>,
}

/// What one pass took and found.
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    /// From the first record that counts to the last result, without start-up and warm-up.
    pub seconds: f64,
    /// As `millstream::connector::generator::keyed_count_checksum` defines it; of a NEXMark query
    /// the wrapping sum of its rows' hashes.
    pub checksum: u64,
}

/// One who takes part.
#[derive(Clone, Copy, Debug)]
pub struct Contender {
    /// Name in the report, one of [`NAMES`].
    pub name: &'static str,
    /// The shapes it is run in; the best of them counts.
    pub shapes: &'static [&'static str],
    /// Runs one pass.
    pub run: fn(&Work<'_>) -> Pass,
    /// Runs the open loop, if it takes part in that.
    pub latency: Option<fn(&Offer<'_>) -> Latencies>,
    /// Runs the NEXMark queries, if it takes part in those.
    pub nexmark: Option<nexmark::Entry>,
    /// Runs the work on hot keys, if it takes part in that.
    pub hot: Option<hot::Entry>,
}

impl Contender {
    /// The shapes it is run in, none where it takes no part.
    pub fn shapes_of(&self, case: &Case) -> &'static [&'static str] {
        match (case.query, case.hot) {
            (None, None) => self.shapes,
            (Some(query), _) => self.nexmark.map_or(&[], |entry| (entry.shapes)(query)),
            (None, Some(_)) => self.hot.map_or(&[], |entry| entry.shapes),
        }
    }
}

/// Names of all contenders in the report, whether they are in this build or not.
pub const NAMES: [&str; 7] = [
    "ours",
    "ours_pre_aggregated",
    "timely",
    "timely_preagg",
    "renoir",
    "renoir_preagg",
    "plain_loop",
];

/// Name of the one that says what all must answer to a NEXMark query; it is not measured.
pub const ORACLE: &str = "oracle";

/// Name of the latency measurement among the cases.
pub const LATENCY: &str = "latency";

const PEERS: [Contender; 5] = [
    Contender {
        name: "timely",
        shapes: &["epoch=16384", "epoch=16384 route=hash", "epoch=65536"],
        run: timely_peer::run,
        latency: Some(timely_latency::run),
        nexmark: Some(nexmark::timely::ENTRY),
        hot: Some(hot::timely::ENTRY),
    },
    Contender {
        name: "timely_preagg",
        shapes: &["epoch=65536"],
        run: timely_peer::run_pre_aggregating,
        latency: None,
        nexmark: None,
        hot: None,
    },
    Contender {
        name: "renoir",
        shapes: &[""],
        run: renoir_peer::run,
        latency: None,
        nexmark: Some(nexmark::renoir::ENTRY),
        hot: None,
    },
    Contender {
        name: "renoir_preagg",
        shapes: &[""],
        run: renoir_peer::run_pre_aggregating,
        latency: None,
        nexmark: None,
        hot: None,
    },
    Contender {
        name: "plain_loop",
        shapes: &[""],
        run: plain::run,
        latency: None,
        nexmark: None,
        hot: None,
    },
];

/// All contenders, in the order in which they are interleaved.
pub fn contenders() -> impl Iterator<Item = Contender> {
    ours::CONTENDERS.iter().copied().chain(PEERS)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use millstream::connector::generator::keyed_count_checksum;

    use super::*;
    use crate::cores;

    /// What a naive loop answers, with the warm-up of `workers` workers.
    fn expected(case: &Case, input: &BenchInput, workers: u64) -> u64 {
        let mut states: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
        if case.warm {
            states.extend((0..input.keys()).map(|key| (key, (workers, 0))));
        }
        for (key, value) in (0..case.records).map(|index| input.record(index)) {
            let state = states.entry(key).or_default();
            *state = (state.0 + 1, state.1 + value);
        }
        keyed_count_checksum(states.into_iter().map(|(key, (count, sum))| (key, count, sum)))
    }

    #[test]
    fn every_contender_in_every_shape_answers_as_a_naive_loop_does() {
        let cores: Vec<usize> = cores::allowed().unwrap().into_iter().take(2).collect();
        for case in [Case::small(false), Case::small(true)] {
            let input = case.input(7).unwrap();
            let expected = expected(&case, &input, cores.len() as u64);
            for contender in contenders() {
                for shape in contender.shapes.iter().copied().chain(["shape=group hash=fold"]) {
                    let options = Options(shape);
                    let work = Work { case: &case, input: &input, cores: &cores, options };
                    // A thread of its own, since some contenders pin the one that they run on.
                    let pass = std::thread::scope(|scope| {
                        scope.spawn(|| (contender.run)(&work)).join().unwrap()
                    });
                    assert_eq!(pass.checksum, expected, "{} {shape} {case:?}", contender.name);
                }
            }
        }
    }
}
