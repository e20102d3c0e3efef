//! The same work on timely, Renoir, a plain loop and Millstream: interleaved runs, medians, ratios.

mod case;
mod child;
mod cores;
mod feed;
mod latency;
mod options;
mod ours;
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
            let seconds = settings.seconds.to_string();
            reports.push(suite::run_child(settings, series, &[suite::RUN_LATENCY, &seconds])?);
        }
    }
    Ok(report::latency(&runs, (before, latency::hiccups(&settings.cores))))
}
