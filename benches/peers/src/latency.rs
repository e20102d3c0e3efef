//! Open-loop latency: what all contenders are offered, what they report, and what the machine
//! itself loses.

use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use millstream::connector::generator::{BenchInput, Skew};
use serde_json::{Value, json};

use crate::options::Options;
use crate::{Fault, cores};

/// Records offered per second, all workers together.
pub const RATE: u64 = 1_000_000;
/// Seconds at the start whose records are not counted.
pub const WARM_UP_SECONDS: f64 = 0.5;

const KEYS: u64 = 100_000;
/// Percentiles that are reported, by name.
pub const PERCENTILES: [(&str, f64); 4] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999)];

/// What is offered. Worker *p* of *P* sends its record *j* at `j * P / RATE` seconds, each with the
/// key and value that the worker's share of the input has at *j*.
#[derive(Clone, Copy, Debug)]
pub struct Offer<'a> {
    /// Where the records come from.
    pub input: &'a BenchInput,
    /// One worker on each.
    pub cores: &'a [usize],
    /// How long, after the warm-up.
    pub seconds: f64,
    /// Of the contender.
    pub options: Options<'a>,
}

impl Offer<'_> {
    /// Records of one worker, warm-up included.
    pub fn records_per_worker(&self) -> u64 {
        ((WARM_UP_SECONDS + self.seconds) * RATE as f64) as u64 / self.cores.len() as u64
    }

    /// Nanoseconds between two records of one worker.
    pub fn interval_ns(&self) -> u64 {
        1_000_000_000 * self.cores.len() as u64 / RATE
    }
}

/// What one contender took.
#[derive(Clone, Debug)]
pub struct Latencies {
    /// Nanoseconds from when a record should have been sent until it was counted and the new count
    /// emitted, without those of the warm-up.
    pub histogram: Histogram<u64>,
    /// From the first record's time until the last was counted.
    pub seconds: f64,
}

impl Latencies {
    /// Percentiles and whether the rate was held.
    pub fn report(&self, offer: &Offer<'_>) -> Value {
        let records = offer.records_per_worker() * offer.cores.len() as u64;
        let achieved = records as f64 / self.seconds;
        let mut report = percentiles(&self.histogram);
        report["rate_achieved"] = json!(achieved);
        report["is_rate_held"] = json!(achieved >= 0.99 * RATE as f64);
        report
    }
}

/// The input of the latency case.
pub fn input(seed: u64) -> Result<BenchInput, Fault> {
    BenchInput::new(seed, KEYS, Skew::Uniform).map_err(|error| Fault::usage(error.to_string()))
}

/// An empty histogram of latencies, 1 ns to 1,000 s.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 1_000_000_000_000, 3).expect("these bounds are legal")
}

fn percentiles(histogram: &Histogram<u64>) -> Value {
    let mut report = json!({});
    for (name, quantile) in PERCENTILES {
        report[name] = json!(histogram.value_at_quantile(quantile));
    }
    report["max"] = json!(histogram.max());
    report["count"] = json!(histogram.len());
    report
}

/// What a loop that only reads the clock would take to answer an offer of one request a
/// microsecond, on every core at once: the share of a contender's latency that is the machine's.
pub fn hiccups(cores: &[usize]) -> Value {
    let probes: Vec<_> = cores.iter().map(|&core| thread::spawn(move || probe(core))).collect();
    let mut all = histogram();
    for probe in probes {
        let one = probe.join().expect("the probe does not panic");
        all.add(one).expect("the histograms are alike");
    }
    percentiles(&all)
}

fn probe(core: usize) -> Histogram<u64> {
    const TICK_NS: u64 = 1_000;
    cores::pin(core);
    let mut waits = histogram();
    let start = Instant::now();
    let mut due_ns = TICK_NS;
    while start.elapsed() < Duration::from_millis(500) {
        let now_ns = start.elapsed().as_nanos() as u64;
        while due_ns <= now_ns {
            waits.saturating_record((now_ns - due_ns).max(1));
            due_ns += TICK_NS;
        }
    }
    waits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offer_spreads_the_rate_over_the_workers() {
        let input = input(1).unwrap();
        let offer = Offer { input: &input, cores: &[0, 1], seconds: 1.5, options: Options("") };
        assert_eq!(offer.records_per_worker(), 1_000_000);
        assert_eq!(offer.interval_ns(), 2_000);
    }
}
