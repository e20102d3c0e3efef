//! The pipeline of `flights`: delays by route, then by airport, in exact sums.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use millstream::connector::{Collected, DeadLetter};
use millstream::dataflow::SourceConnector;
use millstream::prelude::*;
use millstream::state::aggregate::Aggregate;
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// A destination with fewer known delays is no candidate for the worst.
const KNOWN_MIN: u64 = 10;

/// An airport's code: 1 to 4 ASCII letters or digits, packed so that codes compare by alphabet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Code(u32);

/// A row of the file; other columns are skipped.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Flight {
    pub(crate) origin: Code,
    pub(crate) destination: Code,
    /// In minutes; `None` is unknown, not zero.
    pub(crate) delay: Option<i32>,
}

/// From where to where.
pub(crate) type Route = (Code, Code);

/// Delays as exact sums, so that the order in which they are added up changes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Delays {
    flights: u64,
    /// Flights whose delay is known; the sums are over these.
    known: u64,
    sum: i64,
    squares: u128,
}

impl Delays {
    /// Takes one flight in.
    #[inline]
    pub(crate) fn add(&mut self, flight: &Flight) {
        self.flights += 1;
        if let Some(delay) = flight.delay {
            self.known += 1;
            self.sum += i64::from(delay);
            self.squares += u128::from(delay.unsigned_abs()).pow(2);
        }
    }

    fn merge(&mut self, from: Delays) {
        self.flights += from.flights;
        self.known += from.known;
        self.sum += from.sum;
        self.squares += from.squares;
    }

    fn mean(&self) -> Option<f64> {
        (self.known > 0).then(|| self.sum as f64 / self.known as f64)
    }

    /// Of the sample: divided by n - 1.
    fn std_dev(&self) -> Option<f64> {
        // Exact up to 2^32 flights, whatever their delays.
        let (known, sum) = (i128::from(self.known), i128::from(self.sum));
        let spread = known * self.squares as i128 - sum * sum;
        (known > 1).then(|| (spread as f64 / (known * (known - 1)) as f64).sqrt())
    }
}

/// The delays of each route.
#[derive(Clone, Copy, Debug)]
struct OfRoute;

impl Aggregate<Flight> for OfRoute {
    type Accumulator = Delays;
    type Output = Delays;

    #[inline]
    fn add(&self, delays: &mut Delays, flight: &Flight) {
        delays.add(flight);
    }

    #[inline]
    fn merge(&self, into: &mut Delays, from: Delays) {
        into.merge(from);
    }

    fn finish(&self, delays: &Delays) -> Delays {
        *delays
    }
}

/// Where flights from an airport are late the most, by mean.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Worst {
    destination: Code,
    delays: Delays,
}

impl Worst {
    fn is_worse_than(&self, other: &Worst) -> bool {
        // Means compare as fractions, without rounding: a / b > c / d where a * d > c * b.
        let fraction =
            |one: &Worst, by: &Worst| i128::from(one.delays.sum) * i128::from(by.delays.known);
        let (mine, others) = (fraction(self, other), fraction(other, self));
        mine > others || mine == others && self.destination < other.destination
    }
}

/// What the routes from one airport come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Total {
    delays: Delays,
    worst: Option<Worst>,
}

impl Total {
    fn merge(&mut self, delays: Delays, worst: Option<Worst>) {
        self.delays.merge(delays);
        if let Some(worst) = worst
            && self.worst.is_none_or(|known| worst.is_worse_than(&known))
        {
            self.worst = Some(worst);
        }
    }
}

/// The delays of each airport, from those of its routes.
#[derive(Clone, Copy, Debug)]
struct OfAirport;

impl Aggregate<(Route, Delays)> for OfAirport {
    type Accumulator = Total;
    type Output = Total;

    fn add(&self, total: &mut Total, ((_, destination), delays): &(Route, Delays)) {
        let worst = Worst { destination: *destination, delays: *delays };
        total.merge(*delays, (delays.known >= KNOWN_MIN).then_some(worst));
    }

    fn merge(&self, into: &mut Total, from: Total) {
        into.merge(from.delays, from.worst);
    }

    fn finish(&self, total: &Total) -> Total {
        *total
    }
}

/// A row of the result.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Airport {
    pub(crate) origin: Code,
    pub(crate) flights: u64,
    pub(crate) delayed_known: u64,
    pub(crate) mean_delay: Option<f64>,
    pub(crate) std_dev_delay: Option<f64>,
    pub(crate) worst_destination: Option<Code>,
    pub(crate) worst_mean_delay: Option<f64>,
}

impl Airport {
    fn new(origin: Code, Total { delays, worst }: Total) -> Airport {
        Airport {
            origin,
            flights: delays.flights,
            delayed_known: delays.known,
            mean_delay: delays.mean(),
            std_dev_delay: delays.std_dev(),
            worst_destination: worst.map(|worst| worst.destination),
            worst_mean_delay: worst.and_then(|worst| worst.delays.mean()),
        }
    }

    /// The airports that `routes` come to, in no order: what the second half of the pipeline does.
    #[allow(dead_code)] // For the loop that the engine is measured against.
    pub(crate) fn of_routes(routes: impl Iterator<Item = (Route, Delays)>) -> Vec<Airport> {
        let mut totals = std::collections::BTreeMap::<Code, Total>::new();
        for route in routes {
            OfAirport.add(totals.entry(route.0.0).or_default(), &route);
        }
        totals.into_iter().map(|(origin, total)| Airport::new(origin, total)).collect()
    }
}

/// Adds the whole job to `pipeline`: rows in, airports out. Rows that do not parse go to `bad`.
pub(crate) fn airports<S>(pipeline: &Pipeline, rows: S, bad: &BadRows) -> Collected<Airport>
where
    S: SourceConnector<Item = std::result::Result<Flight, DeadLetter>>,
{
    let bad = bad.clone();
    pipeline
        .source(rows)
        .filter_map(move |row| row.map_err(|letter| bad.note(letter)).ok())
        .key_by(|flight| (flight.origin, flight.destination))
        .aggregate(OfRoute)
        .key_by(|((origin, _), _)| *origin)
        .aggregate(OfAirport)
        .map(|(origin, total)| Airport::new(origin, total))
        .collect()
}

/// Sorts rows as they are printed: most flights first, then by code.
pub(crate) fn sort(airports: &mut [Airport]) {
    airports.sort_by_key(|airport| (std::cmp::Reverse(airport.flights), airport.origin));
}

/// The first rows of the file that do not parse. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct BadRows(Arc<Mutex<Vec<DeadLetter>>>);

impl BadRows {
    /// How many are kept; all are counted in the report.
    const KEPT: usize = 3;

    #[cold]
    fn note(&self, letter: DeadLetter) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = kept.partition_point(|known| known.offset < letter.offset);
        if place < Self::KEPT {
            kept.truncate(Self::KEPT - 1);
            kept.insert(place, letter);
        }
    }

    /// Them, in the order of the file.
    pub(crate) fn take(&self) -> Vec<DeadLetter> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Code {
    fn parse(text: &[u8]) -> Option<Code> {
        let allowed = matches!(text.len(), 1..=4) && text.iter().all(u8::is_ascii_alphanumeric);
        allowed.then(|| {
            let mut bytes = [0; 4];
            bytes[..text.len()].copy_from_slice(text);
            Code(u32::from_be_bytes(bytes))
        })
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0.to_be_bytes();
        f.pad(std::str::from_utf8(&bytes).expect("a code is ASCII").trim_end_matches('\0'))
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Code {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Code, D::Error> {
        deserializer.deserialize_bytes(CodeVisitor)
    }
}

/// Reads a code from a field's bytes.
struct CodeVisitor;

impl Visitor<'_> for CodeVisitor {
    type Value = Code;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an airport's code of 1 to 4 letters or digits")
    }

    #[inline]
    fn visit_bytes<E: de::Error>(self, text: &[u8]) -> Result<Code, E> {
        Code::parse(text).ok_or_else(|| E::invalid_value(de::Unexpected::Bytes(text), &self))
    }

    #[inline]
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Code, E> {
        Code::parse(text.as_bytes())
            .ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}
