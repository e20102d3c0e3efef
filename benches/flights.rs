//! Flights through the engine beside one core that reads the same file with the `csv` crate.
//!
//! Both read rows into the same struct, keep the same sums by route in tables with the same hash,
//! fold them to airports, and must come to the same result. They take turns; each turn reads the
//! file again until `--seconds` have passed. Prints medians, spreads and the ratio.
//!
//! `cargo bench --bench flights -- [--rows N] [--partitions N] [--repeat N] [--seconds N]
//! [--format text|json]`

#![allow(clippy::disallowed_methods, missing_docs)] // Clocks, files and threads of a benchmark.

#[path = "../examples/flights/pipeline.rs"]
mod pipeline;

use std::hash::BuildHasherDefault;
use std::io::{BufWriter, Read, Write};
use std::path::Path;
use std::time::Instant;

use hashbrown::HashMap;
use millstream::connector::csv_file;
use millstream::prelude::*;
use millstream::record::KeyHasher;

use pipeline::{Airport, BadRows, Delays, Flight, Route};

#[cfg(not(feature = "mimalloc"))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Options {
    rows: usize,
    partitions: usize,
    repeat: usize,
    seconds: f64,
    json: bool,
}

/// Rows per second of every turn.
type Turns = Vec<f64>;

fn main() -> Result<()> {
    let options = options();
    let file = tempfile::NamedTempFile::new().expect("a file for the rows");
    write_rows(file.path(), options.rows).expect("the rows fit on the disk");
    let engine = Engine::new(Config::builder().partitions(options.partitions).build()?)?;
    let core = engine.plan().partitions[0].core;
    let expected = in_a_loop(file.path(), core);
    let (mut ours, mut plain) = (Turns::new(), Turns::new());
    for _ in 0..options.repeat {
        ours.push(turn(&options, &expected, || in_the_engine(&engine, file.path())));
        plain.push(turn(&options, &expected, || in_a_loop(file.path(), core)));
    }
    show(&options, ours, plain);
    Ok(())
}

/// Reads the file until the time is up; returns rows per second.
fn turn(options: &Options, expected: &[Airport], read: impl Fn() -> Vec<Airport>) -> f64 {
    let (started, mut rows) = (Instant::now(), 0);
    while started.elapsed().as_secs_f64() < options.seconds || rows == 0 {
        assert_eq!(read(), expected, "both must come to the same airports");
        rows += options.rows;
    }
    rows as f64 / started.elapsed().as_secs_f64()
}

fn in_the_engine(engine: &Engine, path: &Path) -> Vec<Airport> {
    let (job, bad) = (Pipeline::new("flights"), BadRows::default());
    let airports = pipeline::airports(&job, csv_file(path).dead_letters(), &bad);
    engine.run(job).expect("the job runs to its end");
    assert!(bad.take().is_empty(), "every row parses");
    let mut airports = airports.take();
    pipeline::sort(&mut airports);
    airports
}

/// The loop on a thread of its own, on the core that the engine's first partition has.
fn in_a_loop(path: &Path, core: Option<usize>) -> Vec<Airport> {
    std::thread::scope(|scope| {
        let pinned = scope.spawn(|| {
            if let Some(id) = core {
                core_affinity::set_for_current(core_affinity::CoreId { id });
            }
            plain_loop(path).expect("every row parses")
        });
        pinned.join().expect("the loop ends")
    })
}

// The leanest of the crate's typed readers: one record reused, bytes that nobody checks for UTF-8,
// and a large buffer.
fn plain_loop(path: &Path) -> csv::Result<Vec<Airport>> {
    let mut reader = csv::ReaderBuilder::new().buffer_capacity(1 << 16).from_path(path)?;
    let (header, mut row) = (reader.byte_headers()?.clone(), csv::ByteRecord::new());
    let mut routes = HashMap::<Route, Delays, BuildHasherDefault<KeyHasher>>::default();
    while reader.read_byte_record(&mut row)? {
        let flight: Flight = row.deserialize(Some(&header))?;
        routes.entry((flight.origin, flight.destination)).or_default().add(&flight);
    }
    let mut airports = Airport::of_routes(routes.into_iter());
    pipeline::sort(&mut airports);
    Ok(airports)
}

/// Writes the header and the committed rows, again and again until there are `count`.
fn write_rows(path: &Path, count: usize) -> std::io::Result<()> {
    let packed = include_bytes!("../examples/data/flights.csv.gz");
    let mut text = String::new();
    flate2::read::GzDecoder::new(&packed[..]).read_to_string(&mut text)?;
    let (header, rows) = text.split_once('\n').expect("the file has a header");
    let mut file = BufWriter::new(std::fs::File::create(path)?);
    writeln!(file, "{header}")?;
    for row in rows.lines().cycle().take(count) {
        writeln!(file, "{row}")?;
    }
    file.flush()
}

fn show(options: &Options, ours: Turns, plain: Turns) {
    let ([ours, ours_spread], [plain, plain_spread]) = (median(ours), median(plain));
    let ratio = ours / plain;
    let Options { rows, partitions, repeat, .. } = options;
    if options.json {
        println!(
            "{{\"rows\":{rows},\"partitions\":{partitions},\"repeat\":{repeat},\
             \"ours\":{ours:.0},\"csv_loop\":{plain:.0},\"ratio\":{ratio:.3},\
             \"spread\":{{\"ours\":{ours_spread:.3},\"csv_loop\":{plain_spread:.3}}}}}"
        );
    } else {
        println!("{rows} rows, {partitions} partitions, medians of {repeat}, M rows/s (spread)");
        println!("millstream  {:6.2} ({ours_spread:.2})", ours / 1e6);
        println!("csv loop    {:6.2} ({plain_spread:.2})", plain / 1e6);
        println!("ratio       {ratio:6.2}");
    }
}

/// The median and the spread, (max - min) / median.
fn median(mut turns: Turns) -> [f64; 2] {
    turns.sort_by(f64::total_cmp);
    let median = turns[turns.len() / 2];
    [median, (turns[turns.len() - 1] - turns[0]) / median]
}

fn options() -> Options {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |flag: &str| {
        let place = arguments.iter().position(|argument| argument == flag)?;
        Some(arguments.get(place + 1).expect("a flag has a value").as_str())
    };
    let number = |flag: &str, default: usize| {
        value(flag).map_or(default, |text| text.parse().expect("a whole number, at least 1")).max(1)
    };
    Options {
        rows: number("--rows", 5_000_000),
        partitions: number("--partitions", 2),
        repeat: number("--repeat", 5),
        seconds: number("--seconds", 2) as f64,
        json: value("--format") == Some("json"),
    }
}
