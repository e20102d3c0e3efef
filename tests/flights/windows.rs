//! The example `flights_windows` beside a loop over the same rows.

use std::collections::BTreeMap;

use millstream::connector::csv_bytes;
use millstream::metrics::Report;
use millstream::operator::window::{Change, Firing};
use millstream::prelude::*;
use millstream::time::Timestamp;

#[allow(dead_code)] // Its `main`, and what only that calls.
#[path = "../../examples/flights_windows.rs"]
mod flights_windows;

use flights_windows::{AIRPORTS, Flight, Results};

/// By airport and start: how many flights, the sum or the worst of their delays, and the city.
type Rows = BTreeMap<(String, i64), (u64, i64, String)>;

fn read(rows: &[u8]) -> Vec<Flight> {
    csv::Reader::from_reader(rows).deserialize().map(|row| row.unwrap()).collect()
}

/// Minutes since the first day of 2001 began.
fn minute_of(flight: &Flight) -> i64 {
    let number = |at: usize| flight.date[at..at + 2].parse::<i64>().unwrap();
    (number(8) - 1) * 1_440 + number(11) * 60 + number(14)
}

fn minutes(time: Timestamp) -> i64 {
    (time.as_millis() - 978_307_200_000) / 60_000
}

fn cities() -> BTreeMap<String, String> {
    let rows = csv::Reader::from_reader(AIRPORTS).into_records().map(|row| row.unwrap());
    rows.map(|row| (row[0].to_owned(), row[2].to_owned())).collect()
}

fn naive_hours(flights: &[Flight]) -> Rows {
    let (cities, mut rows) = (cities(), Rows::new());
    for flight in flights {
        let place = (flight.origin.clone(), minute_of(flight) / 60 * 60);
        let row = rows.entry(place).or_insert((0, 0, cities[&flight.origin].clone()));
        (row.0, row.1) = (row.0 + 1, row.1 + i64::from(flight.delay.unwrap()));
    }
    rows
}

/// The flights are in the order of their departure.
fn naive_runs(flights: &[Flight]) -> Rows {
    let (cities, mut rows, mut last) = (cities(), Rows::new(), BTreeMap::new());
    for flight in flights {
        let (minute, delay) = (minute_of(flight), i64::from(flight.delay.unwrap()));
        if delay < 15 {
            continue;
        }
        let (start, end) = last.entry(&flight.origin).or_insert((minute, minute));
        if minute >= *end + 30 {
            *start = minute;
        }
        *end = minute;
        let place = (flight.origin.clone(), *start);
        let row = rows.entry(place).or_insert((0, delay, cities[&flight.origin].clone()));
        (row.0, row.1) = (row.0 + 1, row.1.max(delay));
    }
    rows
}

fn run(rows: &[u8], partitions: usize) -> (Results, Report) {
    let pipeline = Pipeline::new("flights by the hour");
    // Splits of 64 KiB, so that every partition reads some.
    let rows = csv_bytes(rows.to_vec()).split_bytes(1 << 16);
    let results = flights_windows::build(&pipeline, rows, csv_bytes(AIRPORTS));
    let config = Config::builder().partitions(partitions).build().unwrap();
    let report = Engine::new(config).unwrap().run(pipeline).unwrap();
    (results, report)
}

fn hours_of(results: &Results) -> Rows {
    let hours = results.hours.take();
    let count = hours.len();
    let rows: Rows = hours
        .into_iter()
        .map(|(hour, airport)| {
            assert_eq!((hour.firing, hour.change), (Firing::OnTime, Change::Insert));
            assert_eq!(minutes(hour.window.end) - minutes(hour.window.start), 60);
            let (flights, mean) = hour.value;
            // Sums of whole minutes are exact, so the mean is that sum rounded once.
            let sum = (mean.unwrap() * flights as f64).round() as i64;
            assert_eq!(mean, Some(sum as f64 / flights as f64));
            ((hour.key, minutes(hour.window.start)), (flights, sum, airport.unwrap().city))
        })
        .collect();
    assert_eq!(rows.len(), count, "each hour comes once");
    rows
}

fn runs_of(results: &Results) -> Rows {
    let runs = results.runs.take();
    let count = runs.len();
    let rows: Rows = runs
        .into_iter()
        .map(|(run, airport)| {
            let (flights, worst) = run.value;
            let place = (run.key, minutes(run.window.start));
            (place, (flights, i64::from(worst), airport.unwrap().city))
        })
        .collect();
    assert_eq!(rows.len(), count, "each run comes once");
    rows
}

#[test]
fn hours_and_runs_are_those_of_a_loop_for_any_partition_count() {
    let rows = super::flights();
    let flights = read(&rows);
    let (hours, runs) = (naive_hours(&flights), naive_runs(&flights));
    for partitions in [1, 2, 3] {
        let (results, report) = run(&rows, partitions);
        assert!(hours_of(&results) == hours, "{partitions} partitions");
        assert!(runs_of(&results) == runs, "{partitions} partitions");
        // The file is in order, so no split of it is late, whoever reads it.
        assert_eq!((results.late.take().len(), report.late, report.dead_letter), (0, 0, 0));
        assert_eq!(report.conservation.imbalances, []);
    }
}

#[test]
fn row_of_an_hour_that_is_over_comes_out_late_and_one_without_a_date_not_at_all() {
    let mut rows = super::flights();
    rows.extend(b"2001-01-01T00:30:00,90,100,ATL,SAV\nyesterday,90,100,ATL,SAV\n");
    let flights = read(&rows);
    let (late, good) = (flights[100_000].clone(), &flights[..100_000]);
    // One partition, since with more the others may be behind.
    let (results, report) = run(&rows, 1);
    assert!(hours_of(&results) == naive_hours(good));
    assert!(runs_of(&results) == naive_runs(good));
    assert_eq!(results.late.take(), [late]);
    assert_eq!((report.late, report.dead_letter), (2, 1));
}
