//! One contender in a process of its own: passes over a case until enough time was measured.

use std::sync::Arc;
use std::{fs, io, thread};

use serde_json::{Value, json};

use crate::case::Case;
use crate::nexmark::events::Events;
use crate::nexmark::{EVENT_RATE, Job};
use crate::options::Options;
use crate::settings::{contender, parsed};
use crate::suite::{RUN, RUN_HOT, RUN_LATENCY, SPIN};
use crate::work::{ORACLE, Pass, Work};
use crate::{Fault, cores, hot, latency, nexmark};

/// Does what `words` say, if they are a parent's to its child, and returns the report.
pub fn obey(words: &[String]) -> Option<Result<Value, Fault>> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        [SPIN, core] => Some(spin(core)),
        [RUN, case, records, seconds, name, shape, cores, seed] => {
            let order = Order::parse(name, shape, cores, seed);
            Some(order.and_then(|order| order.run(case, parsed(records)?, parsed(seconds)?)))
        }
        [RUN_HOT, rounds, case, records, seconds, name, shape, cores, seed] => {
            let order = Order::parse(name, shape, cores, seed);
            Some(order.and_then(|order| {
                order.run_hot((case, parsed(records)?, parsed(rounds)?), parsed(seconds)?)
            }))
        }
        [RUN_LATENCY, seconds, name, shape, cores, seed] => {
            let order = Order::parse(name, shape, cores, seed);
            Some(order.and_then(|order| order.run_latency(parsed(seconds)?)))
        }
        _ => None,
    }
}

struct Order<'a> {
    name: &'a str,
    shape: &'a str,
    cores: Vec<usize>,
    seed: u64,
}

impl<'a> Order<'a> {
    fn parse(name: &'a str, shape: &'a str, cores: &str, seed: &str) -> Result<Order<'a>, Fault> {
        let cores: Vec<usize> = cores.split(',').map(parsed).collect::<Result<_, _>>()?;
        cores::restrict(&cores)?;
        Ok(Order { name, shape, cores, seed: parsed(seed)? })
    }

    /// Passes over the case until `seconds` were measured, and tells what it took in all.
    ///
    /// The first pass is not counted: it takes the memory from the system that later ones find in
    /// the allocator, for all contenders alike. With no time to measure, it is the only one.
    fn run(&self, case: &str, records: u64, seconds: f64) -> Result<Value, Fault> {
        let mut case = Case::named(case)?;
        case.records = records;
        match case.query {
            None => {
                let contender = contender(self.name)?;
                let input = case.input(self.seed)?;
                let options = Options(self.shape);
                let work = Work { case: &case, input: &input, cores: &self.cores, options };
                self.measure(records, seconds, || (contender.run)(&work))
            }
            Some(query) => {
                let run = nexmark_of(self.name)?;
                let events = Events::new(self.seed, EVENT_RATE, records, self.cores.len())?;
                let (events, options) = (&Arc::new(events), Options(self.shape));
                let job = Job { query, events, cores: &self.cores, options };
                self.measure(records, seconds, || run(&job))
            }
        }
    }

    /// As [`run`](Self::run), of `(case, records, rounds)` with hot keys.
    fn run_hot(&self, what: (&str, u64, u32), seconds: f64) -> Result<Value, Fault> {
        let (case, records, rounds) = what;
        let case = Case::named(case)?;
        let (hot, run) = match (case.hot, contender(self.name)?.hot) {
            (Some(hot), Some(entry)) => (hot, entry.run),
            _ => return Err(Fault::usage(format!("no {} of {}", case.name, self.name))),
        };
        let (input, cores) =
            (hot.input(case.input(self.seed)?, records, self.cores.len())?, &self.cores);
        let job = hot::Job { records, input: &input, rounds, cores, options: Options(self.shape) };
        self.measure(records, seconds, || run(&job))
    }

    fn measure(&self, records: u64, seconds: f64, run: impl Fn() -> Pass) -> Result<Value, Fault> {
        let first = run();
        let (mut passes, mut measured) = match seconds {
            0.0 => (1, first.seconds),
            _ => (0, 0.0),
        };
        while measured < seconds {
            let pass = run();
            if pass.checksum != first.checksum {
                let seen = format!("{:#x}, then {:#x}", first.checksum, pass.checksum);
                return Err(Fault::failed(format!("{} answers {seen}", self.name)));
            }
            passes += 1;
            measured += pass.seconds;
        }
        Ok(json!({
            "records": records * passes,
            "seconds": measured,
            "checksum": first.checksum,
            "rss_bytes_max": rss_bytes_max()?,
        }))
    }

    fn run_latency(&self, seconds: f64) -> Result<Value, Fault> {
        let contender = contender(self.name)?;
        let run = contender.latency;
        let run = run.ok_or_else(|| Fault::usage(format!("no latency of {}", self.name)))?;
        let input = latency::input(self.seed)?;
        let options = Options(self.shape);
        let offer = latency::Offer { input: &input, cores: &self.cores, seconds, options };
        Ok(run(&offer).report(&offer))
    }
}

/// How the contender called `name`, or the oracle, runs a NEXMark query.
fn nexmark_of(name: &str) -> Result<fn(&Job<'_>) -> Pass, Fault> {
    if name == ORACLE {
        return Ok(nexmark::oracle::run);
    }
    let entry = contender(name)?.nexmark;
    entry.map(|entry| entry.run).ok_or_else(|| Fault::usage(format!("no NEXMark of {name}")))
}

/// Keeps `core` busy until the input is closed.
fn spin(core: &str) -> Result<Value, Fault> {
    let core = parsed(core)?;
    let reader = thread::spawn(|| io::copy(&mut io::stdin(), &mut io::sink()).is_ok());
    cores::pin(core);
    while !reader.is_finished() {
        std::hint::spin_loop();
    }
    Ok(Value::Null)
}

/// The most memory that this process had resident so far.
fn rss_bytes_max() -> Result<u64, Fault> {
    let status = fs::read_to_string("/proc/self/status")
        .map_err(|error| Fault::failed(format!("/proc/self/status: {error}")))?;
    let kib = status.lines().find_map(|line| {
        line.strip_prefix("VmHWM:")?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
    });
    kib.map(|kib| kib * 1024).ok_or_else(|| Fault::failed("no VmHWM in /proc/self/status"))
}
