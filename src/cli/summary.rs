//! What `bench` prints: one JSON object with the fields that scripts read, or text for people.

use std::fmt::Write;
use std::path::PathBuf;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::cli::args::Workload;
use crate::cli::report::{Recording, Shown};
use crate::cli::workload::{self, Bench, Limits, Outcome, Run, median, median_index};
use crate::config::parse::{Choice, bytes_text, duration_text};
use crate::config::{Config, Form};
use crate::metrics::report_text::{duration, grouped, rate};
use crate::metrics::{EdgeReport, MovesReport, PartitionReport, Percentiles, Report, TaskReport};
use crate::runtime::host::{self, Host};
use crate::runtime::placement::core_list;

/// A rate is held if so much of it was achieved.
const HELD: f64 = 0.99;

/// Everything that `bench` reports, in the shape of its JSON. With several repetitions the figures
/// are those of the one with the median throughput.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    workload: &'static str,
    parameters: Map<String, Value>,
    host: HostSummary,
    cores: Vec<usize>,
    pinned: bool,
    partitions: Vec<PartitionReport>,
    tasks: Vec<TaskReport>,
    edges: Vec<EdgeReport>,
    records: u64,
    seconds: f64,
    records_per_second: f64,
    /// (max - min) / median of the repetitions' throughput.
    spread: f64,
    repetitions: usize,
    latency_ns: Percentiles,
    queue_wait_ns: Percentiles,
    service_ns: Percentiles,
    stall_ns: Percentiles,
    moves: MovesReport,
    samples: Vec<f64>,
    rate_offered: Option<u64>,
    rate_achieved: Option<f64>,
    /// Whether the figures mean what they say: the rate was held, the warm-up was cut.
    valid: bool,
    hiccup_ns: Option<Percentiles>,
    late: u64,
    dead_letter: u64,
    overflow_total: u64,
    rss_bytes_max: Option<u64>,
    result: Map<String, Value>,
    debug_build: bool,
    interrupted: bool,
    warnings: Vec<String>,
    #[serde(skip)]
    report: Report,
    #[serde(skip)]
    doubts: Vec<String>,
    /// Which repetition it is of, from 1.
    #[serde(skip)]
    repetition: usize,
    #[serde(skip)]
    recording: Option<Recording>,
}

#[derive(Debug, Serialize)]
struct HostSummary {
    model: String,
    cores_allowed: usize,
    version: &'static str,
    kernel: String,
}

impl Summary {
    /// Sums `outcome` up.
    ///
    /// # Panics
    /// If it has no run.
    pub(crate) fn new(workload: Workload, bench: &Bench<'_>, mut outcome: Outcome) -> Summary {
        let Host { model, kernel, machine, .. } = host::host();
        let rates: Vec<f64> = outcome.runs.iter().map(Run::records_per_second).collect();
        let index = median_index(&rates);
        let run = outcome.runs.swap_remove(index);
        let offered = bench.limits.rate;
        let achieved = offered.map(|_| run.rate_achieved);
        let doubts = doubts(&run, offered);
        let plan = bench.engine.plan();
        let report = run.report.clone();
        Summary {
            workload: workload.name(),
            parameters: parameters(workload, bench),
            host: HostSummary {
                model,
                kernel,
                cores_allowed: machine.allowed.len(),
                version: env!("CARGO_PKG_VERSION"),
            },
            cores: plan.partitions.iter().filter_map(|placed| placed.core).collect(),
            pinned: report.pinned,
            partitions: report.partitions.clone(),
            tasks: report.tasks.clone(),
            edges: report.edges.clone(),
            records: run.records,
            seconds: run.seconds,
            records_per_second: run.records_per_second(),
            spread: spread(&rates),
            repetitions: rates.len(),
            latency_ns: outcome.latency.unwrap_or(report.latency_ns),
            queue_wait_ns: report.queue_wait_ns,
            service_ns: report.service_ns,
            stall_ns: report.stall_ns,
            moves: report.moves,
            samples: if rates.len() > 1 { rates } else { run.samples },
            rate_offered: offered,
            rate_achieved: achieved,
            valid: doubts.is_empty(),
            hiccup_ns: outcome.hiccup,
            late: report.late,
            dead_letter: report.dead_letter,
            overflow_total: report.overflow_total,
            rss_bytes_max: run.rss_bytes_max,
            result: outcome.result,
            debug_build: cfg!(debug_assertions),
            interrupted: bench.interrupt.is_asked(),
            warnings: report.warnings.clone(),
            report,
            doubts,
            repetition: index + 1,
            recording: run.recording,
        }
    }

    /// What the page of `--report` shows, if there is to be one.
    pub(crate) fn shown(&self) -> Option<Shown<'_>> {
        let recording = self.recording.as_ref()?;
        Some(Shown { summary: self, doubts: &self.doubts, repetition: self.repetition, recording })
    }

    /// Why the figures do not mean what they say, if they do not.
    pub(crate) fn doubts(&self) -> &[String] {
        &self.doubts
    }

    /// One object and a line end.
    pub(crate) fn json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self)
            .expect("a summary has string keys and finite numbers only");
        text.push('\n');
        text
    }

    /// For people.
    pub(crate) fn text(&self, is_colored: bool) -> String {
        let (bold, plain) = if is_colored { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
        let build = if self.debug_build { ", debug build: not for measuring" } else { "" };
        let cut = if self.interrupted { ", interrupted" } else { "" };
        let mut text = format!("{bold}{}{build}{cut}{plain}\n", self.workload);
        let mut rows = vec![("seconds".to_owned(), format!("{:.3}", self.seconds))];
        if self.records > 0 {
            rows.push(("records".to_owned(), grouped(self.records)));
            rows.push(("throughput".to_owned(), self.throughput()));
        }
        if let (Some(offered), Some(achieved)) = (self.rate_offered, self.rate_achieved) {
            let rates = format!("{} of {} records/s", rate(achieved), rate(offered as f64));
            rows.push(("rate achieved".to_owned(), rates));
        }
        if self.latency_ns.count > 0 {
            rows.push(("latency".to_owned(), distribution(&self.latency_ns)));
        }
        rows.extend(self.hiccup_ns.iter().map(|one| ("hiccups".to_owned(), distribution(one))));
        rows.extend(self.rss_bytes_max.map(|peak| ("memory, most".to_owned(), mebibytes(peak))));
        // Lists are for programs.
        let result = self.result.iter().filter(|(_, value)| !value.is_array());
        rows.extend(result.map(|(name, value)| (name.replace('_', " "), shown(value))));
        let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        for (name, value) in rows {
            writeln!(text, "  {name:<width$}  {value}").expect("a string takes everything");
        }
        write!(text, "\n{}", self.report).expect("a string takes everything");
        text
    }

    fn throughput(&self) -> String {
        let median = format!("{} records/s", rate(self.records_per_second));
        match self.repetitions {
            1 => median,
            count => format!("{median}, median of {count}, spread {:.1} %", self.spread * 100.0),
        }
    }
}

fn doubts(run: &Run, offered: Option<u64>) -> Vec<String> {
    let mut doubts = Vec::new();
    if let Some(offered) = offered
        && run.rate_achieved < HELD * offered as f64
    {
        let achieved = rate(run.rate_achieved);
        let offered = rate(offered as f64);
        doubts.push(format!(
            "invalid run: {achieved} records/s achieved of the {offered} offered by --rate"
        ));
    }
    if run.ended_early {
        doubts.push("invalid run: it ended before its warm-up, of which nothing is cut".to_owned());
    }
    doubts
}

/// Every flag that has a say in a run, resolved; `null` where it does not apply.
fn parameters(workload: Workload, bench: &Bench<'_>) -> Map<String, Value> {
    let Limits { records, duration, rate, warmup } = bench.limits;
    let options = bench.options;
    let mut parameters = knobs(bench.engine.config());
    let plan = bench.engine.plan();
    let cores: Vec<usize> = plan.partitions.iter().filter_map(|placed| placed.core).collect();
    parameters.insert("partitions".to_owned(), plan.partitions.len().into());
    if plan.pinned {
        parameters.insert("cores".to_owned(), core_list(&cores).into());
    }
    let event_rate = workload::event_rate(workload);
    let event_rate = event_rate.map(|preset| options.event_rate.unwrap_or(preset));
    let shown =
        |path: &Option<PathBuf>| json!(path.as_ref().map(|path| path.display().to_string()));
    let own = [
        ("records", json!(records)),
        ("duration", json!(duration.map(duration_text))),
        ("rate", json!(rate)),
        ("warmup", json!(duration_text(warmup))),
        ("repeat", json!(options.repeat)),
        ("seed", json!(options.seed)),
        ("keys", json!(options.keys)),
        ("skew", json!(options.skew.to_string())),
        ("emit", json!(options.emit.to_string())),
        ("window", json!(options.windows.to_string())),
        ("event-rate", json!(event_rate)),
        ("baseline", json!(options.baseline.name())),
        ("dump", shown(&options.dump)),
        ("output", shown(&options.output)),
        ("decisions", shown(&options.decisions)),
        ("record-trace", shown(&options.record_trace)),
        ("report", shown(&options.report)),
    ];
    let own = own.into_iter().chain(workload::hot_key::parameters(&options.hot));
    parameters.extend(own.map(|(name, value)| (name.to_owned(), value)));
    parameters
}

fn knobs(config: &Config) -> Map<String, Value> {
    let resolved = config.entries().map(|(knob, text)| {
        let text = text.or_else(|| match knob.key() {
            "memory-limit" => Some(bytes_text(host::memory_bytes())),
            _ => None,
        });
        let number = |text: &str| text.parse::<u64>().ok().filter(|_| knob.form() != Form::Text);
        let value = text.map(|text| number(&text).map_or_else(|| text.clone().into(), Value::from));
        (knob.key().to_owned(), value.unwrap_or_default())
    });
    resolved.collect()
}

fn spread(rates: &[f64]) -> f64 {
    let median = median(rates);
    let most = rates.iter().copied().fold(f64::MIN, f64::max);
    let least = rates.iter().copied().fold(f64::MAX, f64::min);
    if median > 0.0 { (most - least) / median } else { 0.0 }
}

/// The percentiles, in one line.
pub(crate) fn distribution(seen: &Percentiles) -> String {
    let [p50, p90, p99, p999, max] =
        [seen.p50, seen.p90, seen.p99, seen.p999, seen.max].map(duration);
    format!("p50 {p50}, p90 {p90}, p99 {p99}, p99.9 {p999}, max {max}")
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

fn shown(value: &Value) -> String {
    match (value.as_u64(), value.as_f64()) {
        (Some(number), _) => number.to_string(),
        (None, Some(large)) if large >= 1e6 => grouped(large as u64),
        (None, Some(number)) => format!("{number:.4}"),
        (None, None) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_is_relative_to_the_median() {
        assert_eq!(spread(&[5.0, 1.0, 4.0]), 1.0);
        assert_eq!(spread(&[0.0]), 0.0);
    }

    #[test]
    fn parameters_are_numbers_where_the_flag_takes_one() {
        let config = Config::builder().partitions(3).memory_limit_bytes(1 << 30).build();
        let knobs = knobs(&config.expect("valid"));
        assert_eq!(knobs["partitions"], 3);
        assert_eq!(knobs["batch-size"], "auto");
        assert_eq!(knobs["memory-limit"], "1GiB");
        assert_eq!(knobs["linger"], "500us");
    }
}
