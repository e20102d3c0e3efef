//! The parent: starts each run in a process of its own, contenders taking turns.

use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::case::Case;
use crate::settings::{Mode, Settings};
use crate::work::{Contender, ORACLE};
use crate::{Fault, hot};

/// Word that starts a child process with one run of the throughput of one contender.
pub const RUN: &str = "run-one";
/// Word that starts a child process with one run of the work of one contender on hot keys.
pub const RUN_HOT: &str = "run-hot";
/// Word that starts a child process with one run of the latency of one contender.
pub const RUN_LATENCY: &str = "run-latency";
/// Word that starts a child process that keeps a core busy.
pub const SPIN: &str = "spin";

/// What was measured of one contender in one shape.
#[derive(Clone, Debug)]
pub struct Series {
    /// Of whom.
    pub contender: &'static str,
    /// In which shape.
    pub shape: String,
    /// One figure a repetition.
    pub figures: Vec<f64>,
}

impl Series {
    /// The middle figure.
    pub fn median(&self) -> f64 {
        median(&self.figures)
    }

    /// Difference of the largest and the smallest figure, as a share of the middle one.
    pub fn spread(&self) -> f64 {
        let largest = self.figures.iter().copied().fold(f64::MIN, f64::max);
        let smallest = self.figures.iter().copied().fold(f64::MAX, f64::min);
        (largest - smallest) / self.median()
    }
}

/// The middle of `figures`, or the mean of the two in the middle.
pub fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() % 2 {
        1 => sorted[middle],
        _ => (sorted[middle - 1] + sorted[middle]) / 2.0,
    }
}

/// What was measured in one case.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The case.
    pub case: Case,
    /// What all contenders answered.
    pub checksum: Option<u64>,
    /// Rounds of work on each record, with hot keys.
    pub rounds: Option<u32>,
    /// Records per second; of `--memory`, bytes.
    pub quiet: Vec<Series>,
    /// Records per second with a busy process on the first core.
    pub busy: Vec<Series>,
}

/// Measures all contenders in `case`.
///
/// # Errors
/// If a run fails or two contenders do not agree on the checksum.
pub fn measure(settings: &Settings, case: &Case) -> Result<Measured, Fault> {
    let series = lineup(settings, |contender| contender.shapes_of(case));
    let busy = if settings.mode == Mode::BusyCore { series.clone() } else { Vec::new() };
    let checksum = case.query.map(|_| expected(settings, case)).transpose()?.flatten();
    let rounds = case.hot.map(|_| hot::rounds_of(settings.work_ns));
    let mut measured = Measured { case: *case, checksum, rounds, quiet: series, busy };
    for repetition in 1..=settings.repetitions {
        eprintln!("{}: repetition {repetition} of {}", case.name, settings.repetitions);
        for series in &mut measured.quiet {
            let report = run(settings, case, rounds, series)?;
            agree(&mut measured.checksum, &report, series)?;
            series.figures.push(figure(settings, &report));
        }
        for series in &mut measured.busy {
            let _neighbour = Neighbour::start(settings.cores[0])?;
            let report = run(settings, case, rounds, series)?;
            agree(&mut measured.checksum, &report, series)?;
            series.figures.push(figure(settings, &report));
        }
    }
    Ok(measured)
}

/// What the oracle of a NEXMark query answers.
fn expected(settings: &Settings, case: &Case) -> Result<Option<u64>, Fault> {
    let oracle = Series { contender: ORACLE, shape: String::new(), figures: Vec::new() };
    eprintln!("{}: oracle", case.name);
    Ok(run(settings, case, None, &oracle)?["checksum"].as_u64())
}

/// A series for every contender and shape.
pub fn lineup(
    settings: &Settings,
    shapes: impl Fn(&Contender) -> &'static [&'static str],
) -> Vec<Series> {
    let mut lineup = Vec::new();
    for contender in &settings.contenders {
        let shapes: Vec<String> = match &settings.shape {
            Some(shape) if !shapes(contender).is_empty() => vec![shape.clone()],
            _ => shapes(contender).iter().map(|&shape| shape.to_owned()).collect(),
        };
        lineup.extend(shapes.into_iter().map(|shape| {
            let figures = Vec::new();
            Series { contender: contender.name, shape, figures }
        }));
    }
    lineup
}

fn figure(settings: &Settings, report: &Value) -> f64 {
    let number = |name: &str| report[name].as_f64().unwrap_or(f64::NAN);
    match settings.mode {
        Mode::Memory => number("rss_bytes_max"),
        Mode::Quiet | Mode::BusyCore => number("records") / number("seconds"),
    }
}

fn agree(checksum: &mut Option<u64>, report: &Value, series: &Series) -> Result<(), Fault> {
    let seen = report["checksum"].as_u64();
    match (*checksum, seen) {
        (None, Some(_)) => *checksum = seen,
        (Some(expected), Some(seen)) if expected == seen => {}
        _ => {
            let Series { contender, shape, .. } = series;
            return Err(Fault::failed(format!(
                "checksum of {contender} ({shape}) is {seen:?}, of those before {checksum:?}"
            )));
        }
    }
    Ok(())
}

fn run(
    settings: &Settings,
    case: &Case,
    rounds: Option<u32>,
    series: &Series,
) -> Result<Value, Fault> {
    // Without time to measure, a child does one pass: the oracle's, or that whose memory counts.
    let is_one_pass = settings.mode == Mode::Memory || series.contender == ORACLE;
    let seconds = if is_one_pass { 0.0 } else { settings.seconds };
    let (records, seconds) = (case.records.to_string(), seconds.to_string());
    match rounds {
        None => run_child(settings, series, &[RUN, case.name, &records, &seconds]),
        Some(rounds) => {
            let rounds = rounds.to_string();
            run_child(settings, series, &[RUN_HOT, &rounds, case.name, &records, &seconds])
        }
    }
}

/// Runs a child and returns the object that it prints.
pub fn run_child(settings: &Settings, series: &Series, words: &[&str]) -> Result<Value, Fault> {
    let cores: Vec<String> = settings.cores.iter().map(usize::to_string).collect();
    let mut command = own_command()?;
    command.args(words).args([series.contender, &series.shape]);
    command.args([&cores.join(","), &settings.seed.to_string()]);
    if settings.mode != Mode::Memory {
        // Freed memory stays with the process: to fetch it again costs more than the work.
        command.env("MIMALLOC_PURGE_DELAY", "-1");
    }
    let output = command.stderr(Stdio::inherit()).output().map_err(failed)?;
    if !output.status.success() {
        return Err(Fault::failed(format!("{} ended with {}", series.contender, output.status)));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| Fault::failed(error.to_string()))
}

/// A process that keeps a core busy until this is dropped.
struct Neighbour {
    process: Child,
}

impl Neighbour {
    fn start(core: usize) -> Result<Neighbour, Fault> {
        let mut command = own_command()?;
        command.args([SPIN, &core.to_string()]).stdin(Stdio::piped()).stdout(Stdio::null());
        Ok(Neighbour { process: command.spawn().map_err(failed)? })
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        // Waiting closes its input, and then it ends by itself.
        let _ = self.process.wait();
    }
}

fn own_command() -> Result<Command, Fault> {
    Ok(Command::new(std::env::current_exe().map_err(failed)?))
}

fn failed(error: std::io::Error) -> Fault {
    Fault::failed(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_and_spread_of_known_figures() {
        let series = |figures: &[f64]| Series {
            contender: "timely",
            shape: String::new(),
            figures: figures.to_vec(),
        };
        assert_eq!(series(&[5.0, 1.0, 4.0]).median(), 4.0);
        assert_eq!(series(&[5.0, 1.0, 4.0]).spread(), 1.0);
        assert_eq!(series(&[4.0, 1.0, 2.0, 9.0]).median(), 3.0);
    }
}
