//! The `millstream` command: arguments in, text on stdout, `error: …` lines on stderr.

pub mod args;
mod bench;
pub mod command;
pub mod completions;
pub mod doctor;
mod environment;
mod flag;
mod help;
mod hiccup;
mod input;
pub mod inspect;
mod interrupt;
mod knobs;
mod man;
pub mod options;
mod output;
mod panics;
mod process;
mod progress;
mod reference;
mod replay;
mod report;
mod scan;
mod simulate;
mod summary;
mod whatif;
mod workload;

pub use panics::silence_partitions;

use std::ffi::OsString;
use std::process::ExitCode;

use crate::cli::args::{Command, Environment};
use crate::cli::options::Manual;
use crate::error::{Error, Result};
use crate::runtime::host;

/// Parses `arguments` and runs the command that they name.
///
/// * `arguments` - without the name of the program.
/// * `variables` - the environment, as `std::env::vars_os` gives it.
///
/// # Errors
/// Every problem of arguments, environment and configuration file in one error, a line each; else
/// what the command returns. [`report`] prints it.
pub fn start<A, V>(arguments: A, variables: V) -> Result<()>
where
    A: IntoIterator<Item = OsString>,
    V: IntoIterator<Item = (OsString, OsString)>,
{
    let variables: Vec<_> = variables.into_iter().collect();
    if let Some(warning) = environment::warning(&variables) {
        output::warn(&warning);
    }
    let allowed_cores = Some(host::machine().allowed.into_iter().collect());
    let environment = Environment { variables, allowed_cores };
    run(args::parse(arguments, environment)?)
}

/// Prints `error` on stderr, `error: …` for each of its lines, and gives the exit code.
///
/// A reader that closed our stdout has seen enough, so that one stays unsaid.
pub fn report(error: &Error) -> ExitCode {
    if !output::is_broken_pipe(error) {
        output::fail(error);
    }
    ExitCode::from(error.kind().exit_code())
}

/// Runs one command: each has its file, and writes through [`output`].
fn run(command: Command) -> Result<()> {
    match command {
        Command::Bench(args) => bench::run(&args),
        Command::Doctor(args) => output::print(&doctor::run(&args)?),
        Command::WhatIf(args) => whatif::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::ReplayDecisions(args) => replay::run(&args),
        Command::BenchList => output::print(&help::workloads()),
        Command::Help(topic) => output::print(&help::page(topic)),
        Command::Knobs(knob, format) => output::print(&knobs::page(knob, format)),
        Command::Completions(shell) => output::print(&completions::script(shell)),
        Command::Man(Manual::Roff) => output::print(&man::page()),
        Command::Man(Manual::Markdown) => output::print(&reference::page()),
        Command::Simulate(options) => simulate::run(&options),
        Command::Version => output::print(concat!("millstream ", env!("CARGO_PKG_VERSION"), "\n")),
    }
}
