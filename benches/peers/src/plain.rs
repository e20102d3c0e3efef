//! The plain loop: one thread, one table, no exchange.

use std::hash::BuildHasher;
use std::time::Instant;

use foldhash::fast::FixedState;
use rustc_hash::FxBuildHasher;

use crate::cores;
use crate::feed::{Feed, Line};
use crate::options::{Options, Table, checksum, count};
use crate::work::{Pass, Work};

/// Counts the records in a loop on the first core.
pub fn run(work: &Work<'_>) -> Pass {
    cores::pin(work.cores[0]);
    match work.options {
        options if options.is("hash", "fold") => run_with::<FixedState>(work, options),
        options => run_with::<FxBuildHasher>(work, options),
    }
}

fn run_with<S: BuildHasher + Default>(work: &Work<'_>, options: Options<'_>) -> Pass {
    let block = options.number("block", 1024);
    let line = Line::new(1);
    let mut table = Table::with_hasher(S::default());
    let mut buffer = Vec::with_capacity(block);
    let mut feed = Feed::new(work.case, work.input, 0, 1);
    for _ in 0..work.cores.len() {
        // The workers of the others warm up each on their own, so that the counts agree.
        let mut feed = feed.clone();
        while feed.fill_warm(block, &mut buffer) > 0 {
            buffer.drain(..).for_each(|(key, value)| count(&mut table, key, value));
        }
    }
    line.wait();
    while feed.fill(block, &mut buffer) > 0 {
        buffer.drain(..).for_each(|(key, value)| count(&mut table, key, value));
    }
    let checksum = checksum(&table);
    Pass { seconds: line.seconds_until(Instant::now()), checksum }
}
