//! Delays of real flights by airport: mean, deviation, worst destination, and the engine's report.
//!
//! `cargo run --release --example flights -- [FILE] [--partitions N] [--format text|json]`

// Arguments, files and the environment belong to the program, not to the engine.
#![allow(clippy::disallowed_methods)]

#[path = "flights/arguments.rs"]
mod arguments;
#[path = "flights/pipeline.rs"]
mod pipeline;

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::ExitCode;

use flate2::read::MultiGzDecoder;
use millstream::config::Layer;
use millstream::connector::file::{FileConnector, Reported, csv::Csv};
use millstream::connector::{csv_bytes, csv_file};
use millstream::metrics::Report;
use millstream::prelude::*;

use arguments::{Arguments, Format};
use pipeline::{Airport, BadRows, Flight};

// With the feature `mimalloc` the library sets it already.
#[cfg(not(feature = "mimalloc"))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// 100,000 flights of the first week of 2001, from the U.S. Bureau of Transportation Statistics
/// (public) by way of `vega-datasets` 3.2.1.
const FLIGHTS: &[u8] = include_bytes!("data/flights.csv.gz");

fn main() -> ExitCode {
    let environment = Layer::from_variables(std::env::vars_os());
    let arguments = Arguments::parse(std::env::args_os().skip(1), environment);
    match arguments.and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A reader that closed our stdout has seen enough.
            if !is_broken_pipe(&error) {
                error.to_string().lines().for_each(|line| say("error", line));
            }
            ExitCode::from(error.kind().exit_code())
        }
    }
}

fn run(arguments: Arguments) -> Result<()> {
    if arguments.wants_help {
        return print(arguments::HELP);
    }
    let engine = Engine::new(arguments.config)?;
    let (job, bad) = (Pipeline::new("flights"), BadRows::default());
    let airports = pipeline::airports(&job, rows(arguments.file.as_deref())?, &bad);
    let report = engine.run(job)?;
    let (mut airports, bad) = (airports.take(), bad.take());
    pipeline::sort(&mut airports);
    for letter in &bad {
        say("warning", &letter.to_string());
    }
    let unsaid = report.dead_letter - bad.len() as u64;
    if unsaid > 0 {
        say("warning", &format!("{unsaid} more rows that could not be read"));
    }
    if airports.is_empty() && !bad.is_empty() {
        return Err(Error::new(ErrorKind::BadData, "not one row could be read"));
    }
    print(&match arguments.format {
        Format::Text => table(&airports, &report),
        Format::Json => json(&airports, &report),
    })
}

/// The rows of `file`; what is packed is unpacked into memory, anything else read in splits.
fn rows(file: Option<&Path>) -> Result<FileConnector<Csv<Flight>, Reported>> {
    let connector = match file {
        None => csv_bytes(unpack(FLIGHTS, "the flights of the example")?),
        Some(path) if path.extension() == Some(OsStr::new("gz")) => {
            let name = path.display().to_string();
            let opened = File::open(path).map_err(|cause| {
                let kind = match cause.kind() {
                    io::ErrorKind::PermissionDenied => ErrorKind::Permission,
                    _ => ErrorKind::NoInput,
                };
                Error::new(kind, format!("cannot open {name}")).with_source(cause)
            })?;
            csv_bytes(unpack(opened, &name)?)
        }
        Some(path) => csv_file(path),
    };
    Ok(connector.dead_letters())
}

fn unpack(packed: impl Read, name: &str) -> Result<Vec<u8>> {
    let mut rows = Vec::new();
    match MultiGzDecoder::new(packed).read_to_end(&mut rows) {
        Ok(_) => Ok(rows),
        Err(cause) => {
            Err(Error::new(ErrorKind::BadData, format!("cannot unpack {name}")).with_source(cause))
        }
    }
}

fn table(airports: &[Airport], report: &Report) -> String {
    let mut text = String::from("origin  flights    known   mean  std dev  worst to   mean\n");
    for airport in airports {
        let number = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.1}"));
        text += &format!(
            "{:6} {:8} {:8} {:>6} {:>8}  {:8} {:>6}\n",
            airport.origin,
            airport.flights,
            airport.delayed_known,
            number(airport.mean_delay),
            number(airport.std_dev_delay),
            airport.worst_destination.map_or("-".into(), |code| code.to_string()),
            number(airport.worst_mean_delay),
        );
    }
    text + &format!("\n{report}\n")
}

fn json(airports: &[Airport], report: &Report) -> String {
    let result = serde_json::json!({ "airports": airports, "report": report.to_json() });
    format!("{result:#}\n")
}

fn print(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    written.map_err(|cause| Error::new(ErrorKind::Io, "cannot write to stdout").with_source(cause))
}

fn is_broken_pipe(error: &Error) -> bool {
    std::error::Error::source(error)
        .and_then(|cause| cause.downcast_ref::<io::Error>())
        .is_some_and(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

fn say(label: &str, text: &str) {
    // With stderr closed there is nobody left to tell; the exit code still says it.
    let _ = writeln!(io::stderr().lock(), "{label}: {text}");
}
