//! The same work on timely, Renoir, a plain loop and Millstream: interleaved runs, medians, ratios.

mod case;
mod child;
mod cores;
mod feed;
mod hot;
mod latency;
mod nexmark;
mod options;
mod ours;
mod ours_latency;
mod ours_nexmark;
mod plain;
mod renoir_peer;
mod report;
mod settings;
mod suite;
mod timely_latency;
mod timely_peer;
mod work;

use std::process::ExitCode;

use serde_json::{Value, json};

use crate::case::Case;
use crate::settings::{Format, HELP, Mode, Settings};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Why there is no result, and the exit code that says so.
#[derive(Debug)]
pub struct Fault {
    text: String,
    code: u8,
}

impl Fault {
    /// The command line is wrong.
    pub fn usage(text: impl Into<String>) -> Fault {
        Fault { text: text.into(), code: 64 }
    }

    /// A run failed, or two disagree.
    pub fn failed(text: impl Into<String>) -> Fault {
        Fault { text: text.into(), code: 70 }
    }
}

fn main() -> ExitCode {
    match run(std::env::args().skip(1).collect()) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(fault) => {
            eprintln!("millstream-peers: {}", fault.text);
            ExitCode::from(fault.code)
        }
    }
}

fn run(args: Vec<String>) -> Result<String, Fault> {
    if let Some(report) = child::obey(&args) {
        return report.map(|report| report.to_string());
    }
    let Some(settings) = Settings::parse(args)? else { return Ok(HELP.to_owned()) };
    let report = match settings.mode {
        Mode::Memory => {
            let measured = suite::measure(&settings, &Case::named("keys-10m-cold")?)?;
            json!({ "memory": report::memory(&measured) })
        }
        Mode::Quiet | Mode::BusyCore => speed(&settings)?,
    };
    Ok(match settings.format {
        Format::Json => format!("{report}\n"),
        Format::Text => report::text(&report),
    })
}

fn speed(settings: &Settings) -> Result<Value, Fault> {
    let (mut cases, mut busy) = (Vec::new(), Vec::new());
    for case in &settings.cases {
        let measured = suite::measure(settings, case)?;
        cases.push(report::case(&measured, &measured.quiet));
        if settings.mode == Mode::BusyCore {
            busy.push(report::case(&measured, &measured.busy));
        }
    }
    let mut report = json!({ "cases": cases });
    if settings.mode == Mode::BusyCore {
        report["busy_core"] = json!(busy);
    }
    report["latency"] = if settings.latency { open_loop(settings)? } else { Value::Null };
    report["parameters"] = json!({
        "cores": settings.cores,
        "repetitions": settings.repetitions,
        "seconds": settings.seconds,
        "seed": settings.seed,
    });
    Ok(report)
}

fn open_loop(settings: &Settings) -> Result<Value, Fault> {
    let lineup = suite::lineup(settings, |contender| match contender.latency {
        Some(_) => &[""],
        None => &[],
    });
    let mut runs: Vec<_> = lineup.into_iter().map(|series| (series, Vec::new())).collect();
    let before = latency::hiccups(&settings.cores);
    for repetition in 1..=settings.repetitions {
        eprintln!("latency: repetition {repetition} of {}", settings.repetitions);
        for (series, reports) in &mut runs {
            reports.push(held(settings, series)?);
        }
    }
    Ok(report::latency(&runs, (before, latency::hiccups(&settings.cores))))
}

/// Runs of which one must hold the rate: the machine may stop any of them for a while.
const ATTEMPTS: usize = 3;

/// One run of the open loop that holds the rate; others say nothing.
fn held(settings: &Settings, series: &suite::Series) -> Result<Value, Fault> {
    let seconds = settings.seconds.to_string();
    let mut achieved = Vec::new();
    while achieved.len() < ATTEMPTS {
        let report = suite::run_child(settings, series, &[suite::RUN_LATENCY, &seconds])?;
        if report["is_rate_held"] == true {
            return Ok(report);
        }
        achieved.push(report["rate_achieved"].as_f64().unwrap_or(f64::NAN) as u64);
    }
    let (name, rate) = (series.contender, latency::RATE);
    Err(Fault::failed(format!("{name} does not hold {rate} records/s: it takes {achieved:?}")))
}
