//! What a contender is given and what it gives back.

use millstream::connector::generator::BenchInput;

use crate::case::Case;
use crate::options::Options;
use crate::{ours, plain, renoir_peer, timely_peer};

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
    /// As `millstream::connector::generator::keyed_count_checksum` defines it.
    pub checksum: u64,
}

/// One who takes part.
#[derive(Clone, Copy, Debug)]
pub struct Contender {
    /// Name in the report.
    pub name: &'static str,
    /// The shapes it is run in; the best of them counts.
    pub shapes: &'static [&'static str],
    /// Runs one pass.
    pub run: fn(&Work<'_>) -> Pass,
}

const PEERS: [Contender; 5] = [
    Contender {
        name: "timely",
        shapes: &["epoch=4096", "epoch=16384"],
        run: timely_peer::run,
    },
    Contender {
        name: "timely_preagg",
        shapes: &["epoch=4096", "epoch=16384"],
        run: timely_peer::run_pre_aggregating,
    },
    Contender { name: "renoir", shapes: &[""], run: renoir_peer::run },
    Contender { name: "renoir_preagg", shapes: &[""], run: renoir_peer::run_pre_aggregating },
    Contender { name: "plain_loop", shapes: &[""], run: plain::run },
];

/// All contenders, in the order in which they are interleaved.
pub fn contenders() -> impl Iterator<Item = Contender> {
    ours::CONTENDERS.iter().copied().chain(PEERS)
}
