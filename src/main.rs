//! The `millstream` command: parses the arguments, runs the command, returns its exit code.

use std::process::ExitCode;

use millstream::cli;

// With the feature `mimalloc` the library sets it already.
#[cfg(not(feature = "mimalloc"))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[allow(clippy::disallowed_methods)] // The one place that reads the process's own environment.
fn main() -> ExitCode {
    cli::silence_partitions();
    match cli::start(std::env::args_os().skip(1), std::env::vars_os()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => cli::report(&error),
    }
}
