//! What every contender must answer: the rows of the crate's own oracle, one plain function a
//! query.

use std::hash::Hash;
use std::time::Instant;

use millstream::record::hash_key;

use crate::nexmark::Job;
use crate::work::Pass;

#[allow(dead_code, reason = "it has more queries than are run here")]
#[path = "../../../../tests/nexmark/oracle.rs"]
mod naive;

/// Computes the query from all events at once.
pub fn run(job: &Job<'_>) -> Pass {
    let started = Instant::now();
    let events = job.events.all();
    let checksum = match job.query {
        0 => sum(naive::q0(&events)),
        1 => sum(naive::q1(&events)),
        2 => sum(naive::q2(&events)),
        3 => sum(naive::q3(&events)),
        4 => sum(naive::q4(&events)),
        5 => sum(naive::q5(&events)),
        6 => sum(naive::q6(&events)),
        7 => sum(naive::q7(&events)),
        _ => sum(naive::q8(&events)),
    };
    Pass { seconds: started.elapsed().as_secs_f64(), checksum }
}

fn sum<R: Hash>(rows: Vec<R>) -> u64 {
    rows.iter().fold(0, |sum, row| sum.wrapping_add(hash_key(row)))
}
