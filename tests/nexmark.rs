//! NEXMark: the oracle of every query, tested by hand, and its files for another engine to check;
//! and the queries as pipelines beside it.

// The tests write files; in them an `unwrap` is a failure like any other.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

#[path = "nexmark/by_hand.rs"]
mod by_hand;
#[path = "nexmark/oracle.rs"]
mod oracle;
#[path = "nexmark/pipelines.rs"]
mod pipelines;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use millstream::connector::nexmark::dump::write_event;
use millstream::connector::nexmark::{Event, Nexmark};
use serde::Serialize;

fn write_rows<T: Serialize>(file: PathBuf, rows: Vec<T>) {
    let mut out = BufWriter::new(File::create(file).unwrap());
    for row in rows {
        serde_json::to_writer(&mut out, &row).unwrap();
        out.write_all(b"\n").unwrap();
    }
    out.flush().unwrap();
}

const COUNT: u64 = 1_000_000;

/// Writes `events.jsonl` and `qN.jsonl` into the folder `NEXMARK_DIR`, of `NEXMARK_SEED` (1), for
/// `benches/nexmark-duckdb`.
#[test]
#[ignore = "writes some 900 MB; run it for benches/nexmark-duckdb"]
fn oracle_writes_the_dump_and_the_rows_of_every_query() {
    let variable = |name: &str| std::env::var(name).ok();
    let folder = PathBuf::from(variable("NEXMARK_DIR").expect("NEXMARK_DIR names a folder"));
    let seed = variable("NEXMARK_SEED").map_or(1, |seed| seed.parse().unwrap());
    let input = Nexmark::new(seed, 10_000).unwrap();
    let events: Vec<Event> = (0..COUNT).map(|index| input.event(index)).collect();

    let mut dump = BufWriter::new(File::create(folder.join("events.jsonl")).unwrap());
    events.iter().for_each(|event| write_event(event, &mut dump).unwrap());
    dump.flush().unwrap();
    macro_rules! write_queries {
        ($($query:ident)*) => {$(
            let file = folder.join(concat!(stringify!($query), ".jsonl"));
            write_rows(file, oracle::$query(&events));
        )*};
    }
    write_queries!(q0 q1 q2 q3 q4 q5 q6 q7 q8 q9 q11);
    write_queries!(q12 q13 q14 q15 q16 q17 q18 q19 q20 q21 q22);
}
