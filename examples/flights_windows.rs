//! Real flights in event time: each airport's worst hours, and its longest runs of late flights:
//! `cargo run --release --example flights_windows`.
//!
//! The file gives the local time of departure without a zone, and is in its order. It is taken as
//! it stands, so an hour of an airport is an hour by the clock on its wall, and the same hour of
//! two airports may be hours apart. To compare instants, subtract each airport's offset first, and
//! allow for as much disorder as the zones are apart.

use std::cmp::Reverse;
use std::io::Read;
use std::time::Duration;

use flate2::read::GzDecoder;
use millstream::connector::file::{Counted, FileConnector, csv::Csv};
use millstream::connector::{Collected, csv_bytes};
use millstream::operator::window::{Windowed, session, tumbling};
use millstream::prelude::*;
use millstream::state::aggregate::{Count, known, max, mean};
use millstream::time::Timestamp;
use millstream::time::watermark::Monotone;
use serde::{Deserialize, Serialize};

/// 100,000 flights of the first week of 2001, from the U.S. Bureau of Transportation Statistics
/// (public) by way of `vega-datasets` 3.2.1.
pub(crate) const FLIGHTS: &[u8] = include_bytes!("data/flights.csv.gz");

/// The airports of these flights, from Data.gov (public) by way of `vega-datasets` 3.2.1.
pub(crate) const AIRPORTS: &[u8] = include_bytes!("data/airports.csv");

/// From so many minutes on a flight is late, as the Bureau counts.
const LATE_MINUTES: i32 = 15;

/// Late departures of an airport that are closer together are one run.
const RUN_GAP: Duration = Duration::from_secs(30 * 60);

/// One departure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Flight {
    /// Local, to the minute: `2001-01-01T00:01:00`.
    pub(crate) date: String,
    /// At arrival, in minutes; `None` is unknown.
    pub(crate) delay: Option<i32>,
    /// The airport's code.
    pub(crate) origin: String,
}

/// A row of the table of airports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Airport {
    /// Three letters.
    pub(crate) code: String,
    /// What it is called.
    pub(crate) name: String,
    /// Where it is.
    pub(crate) city: String,
    /// In two letters.
    pub(crate) state: String,
}

/// A window's flights and their mean delay, and the airport.
pub(crate) type Hour = (Windowed<String, (u64, Option<f64>)>, Option<Airport>);

/// The late flights of a run and the longest delay among them, and the airport.
pub(crate) type Run = (Windowed<String, (u64, i32)>, Option<Airport>);

/// What comes out.
pub(crate) struct Results {
    /// One row per airport and hour with departures.
    pub(crate) hours: Collected<Hour>,
    /// One row per run of late departures.
    pub(crate) runs: Collected<Run>,
    /// Rows that came after their hour was over.
    pub(crate) late: Collected<Flight>,
}

/// Adds the whole job to `pipeline`.
pub(crate) fn build(
    pipeline: &Pipeline,
    flights: FileConnector<Csv<Flight>, Counted>,
    airports: FileConnector<Csv<Airport>, Counted>,
) -> Results {
    // A row whose date cannot be read is a dead letter.
    let departures = pipeline
        .source(flights)
        .assign_timestamps(|flight| flight.date.parse::<Timestamp>(), Monotone::new());
    let [by_hour, by_run] = departures.fork();
    let (hours, late) = by_hour
        .key_by(|flight| flight.origin.clone())
        .window(tumbling(Duration::from_secs(3_600)))
        .late_output()
        .aggregate((Count, mean(|flight: &Flight| flight.delay.map(f64::from))));
    let runs = by_run
        .filter_map(|flight| Some((flight.origin, flight.delay?)))
        .filter(|(_, delay)| *delay >= LATE_MINUTES)
        .key_by(|(origin, _)| origin.clone())
        .window(session(RUN_GAP))
        .aggregate((Count, known(max(|late: &(String, i32)| late.1))));
    // Names hold from the beginning of time on.
    let names = pipeline.source(airports).assign_timestamps(|_| 0, Monotone::new());
    let [names, same_names] = names.fork();
    let names = names.key_by(|airport| airport.code.clone());
    let same_names = same_names.key_by(|airport| airport.code.clone());
    Results {
        hours: hours.key_by(|hour| hour.key.clone()).join_table(names).collect(),
        runs: runs.key_by(|run| run.key.clone()).join_table(same_names).collect(),
        late: late.collect(),
    }
}

fn main() -> Result<()> {
    let mut rows = Vec::new();
    GzDecoder::new(FLIGHTS).read_to_end(&mut rows).map_err(|cause| {
        Error::new(ErrorKind::BadData, "cannot unpack the flights").with_source(cause)
    })?;
    let pipeline = Pipeline::new("flights by the hour");
    let results = build(&pipeline, csv_bytes(rows), csv_bytes(AIRPORTS));
    Engine::new(Config::from_env()?)?.run(pipeline)?;
    print(results);
    Ok(())
}

/// Prints the worst hours of at least ten flights, and the longest runs.
fn print(results: Results) {
    let (mut hours, mut runs) = (results.hours.take(), results.runs.take());
    println!("{} hours of airports; the worst, by mean delay:", hours.len());
    hours.retain(|(hour, _)| hour.value.0 >= 10);
    let mean = |hour: &Hour| hour.0.value.1.unwrap_or_default();
    let place = |hour: &Hour| (hour.0.key.clone(), hour.0.window);
    hours.sort_by(|a, b| mean(b).total_cmp(&mean(a)).then_with(|| place(a).cmp(&place(b))));
    for (hour, airport) in &hours[..hours.len().min(5)] {
        let (flights, mean) = (hour.value.0, hour.value.1.unwrap_or_default());
        let (start, name) = (local(hour.window.start), name(airport));
        println!("  {start}  {} {name:35} {flights:4} flights {mean:6.1} min", hour.key);
    }
    println!("{} runs of late flights; the longest:", runs.len());
    runs.sort_by_key(|(run, _)| (Reverse(run.value.0), run.key.clone(), run.window));
    for (run, airport) in &runs[..runs.len().min(5)] {
        let ((flights, worst), name) = (run.value, name(airport));
        let start = local(run.window.start);
        println!("  {start}  {} {name:35} {flights:4} flights, up to {worst} min", run.key);
    }
    println!("{} rows came too late for their hour", results.late.take().len());
}

fn name(airport: &Option<Airport>) -> String {
    airport.as_ref().map_or("?".to_owned(), |known| format!("{}, {}", known.city, known.state))
}

/// Day and minute of January 2001, which is all that the file has.
fn local(time: Timestamp) -> String {
    const NEW_YEAR_MS: i64 = 978_307_200_000;
    let minutes = (time.as_millis() - NEW_YEAR_MS) / 60_000;
    format!("Jan {} {:02}:{:02}", 1 + minutes / 1_440, minutes / 60 % 24, minutes % 60)
}
