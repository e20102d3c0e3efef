//! `millstream bench`: runs a workload and prints what it came to.

use crate::cli::args::{BenchArgs, Workload};
use crate::cli::interrupt::Interrupt;
use crate::cli::options::{Color, Format, Skew, Verbosity};
use crate::cli::output;
use crate::cli::report::{self, PageFile};
use crate::cli::scan::usage;
use crate::cli::summary::Summary;
use crate::cli::workload::write::Journal;
use crate::cli::workload::{self, Bench, Limits};
use crate::config::parse::Choice;
use crate::connector::generator::SKEWED_KEYS_MAX;
use crate::engine::Engine;
use crate::error::Result;
use crate::runtime::host;

/// Runs the workload that `args` name, and prints the report.
///
/// # Errors
/// Those of the engine, of files that the flags name, and of stdout.
pub(crate) fn run(args: &BenchArgs) -> Result<()> {
    check(args)?;
    let page = args.run.report.as_deref().map(PageFile::check).transpose()?;
    let mut engine = Engine::new(args.config.clone())?;
    let mut journals = Vec::new();
    if let Some(path) = &args.run.decisions {
        let journal = Journal::create(path)?;
        engine = engine.log_decisions(journal.clone());
        journals.push(journal);
    }
    if let Some(path) = &args.run.record_trace {
        let journal = Journal::create(path)?;
        engine = engine.record_trace(journal.clone());
        journals.push(journal);
    }
    let plan = engine.plan();
    plan.warnings.iter().for_each(|warning| output::warn(warning));
    if args.show.verbosity == Verbosity::Verbose {
        for (index, placed) in plan.partitions.iter().enumerate() {
            let core = placed.core.map_or("any core".to_owned(), |core| format!("core {core}"));
            output::note(&format!("partition {index} on {core}: {}", placed.why));
        }
    }
    let bench = Bench {
        options: &args.run,
        limits: Limits::new(args.workload, &args.run),
        engine,
        interrupt: Interrupt::listen()?,
        verbosity: args.show.verbosity,
        folder: &args.folder,
        keys: args.show.keys,
    };
    let outcome = workload::run(args.workload, &bench)?;
    journals.iter().try_for_each(Journal::check)?;
    let summary = Summary::new(args.workload, &bench, outcome);
    summary.doubts().iter().for_each(|doubt| output::warn(doubt));
    if let (Some(file), Some(shown)) = (page, summary.shown()) {
        file.write(&report::page(&shown))?;
    }
    match args.show.format {
        Format::Json => output::print(&summary.json()),
        Format::Text => output::print(&summary.text(is_colored(args.show.color))),
    }
}

/// Refuses files that the workload would leave empty, and more skewed keys than there is room for.
fn check(args: &BenchArgs) -> Result<()> {
    check_keys(args)?;
    let (input, results) = match args.workload {
        Workload::KeyedCount
        | Workload::WindowSum
        | Workload::Nexmark(_)
        | Workload::HotKey
        | Workload::HotKeyShift => (true, true),
        Workload::Chain | Workload::Lane | Workload::Exchange | Workload::Latency => (true, false),
        Workload::Idle | Workload::Startup => (false, false),
    };
    let flags = [("--dump", &args.run.dump, input), ("--output", &args.run.output, results)];
    for (flag, path, has) in flags {
        if let (Some(path), false) = (path, has) {
            let hint =
                format!("allowed with workloads that have any, not {}", args.workload.name());
            return Err(usage("nothing to write", flag, &path.to_string_lossy(), &hint));
        }
    }
    check_report(args)
}

/// Refuses a page that cannot be drawn.
fn check_report(args: &BenchArgs) -> Result<()> {
    let Some(path) = &args.run.report else { return Ok(()) };
    let path = path.to_string_lossy();
    if !report::can_draw() {
        return Err(usage("not built in", "--report", &path, "allowed with the feature `report`"));
    }
    if matches!(args.workload, Workload::Idle | Workload::Startup) {
        let name = args.workload.name();
        let hint = format!("allowed with workloads that last and have records, not {name}");
        return Err(usage("nothing to plot", "--report", &path, &hint));
    }
    Ok(())
}

/// A skewed input is drawn with a table of all its keys, and picks them with 32 bits.
fn check_keys(args: &BenchArgs) -> Result<()> {
    const KEY_BYTES: u64 = size_of::<f64>() as u64;
    let memory = args.config.memory_limit_bytes().unwrap_or_else(host::memory_bytes);
    let most = (memory / KEY_BYTES).min(SKEWED_KEYS_MAX);
    if args.run.skew == Skew::Uniform || args.run.keys <= most {
        return Ok(());
    }
    let hint = format!("allowed 1..={most} with --skew {}, by the memory", args.run.skew);
    Err(usage("out of range", "--keys", &args.run.keys.to_string(), &hint))
}

fn is_colored(color: Color) -> bool {
    match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => output::stdout_is_terminal(),
    }
}
