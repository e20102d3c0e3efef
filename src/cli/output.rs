//! The only file of the command line that writes: results on stdout, everything else on stderr.

use std::io::{self, IsTerminal, Write};

use crate::error::{Error, ErrorKind, Result};

/// Writes `text` to stdout, to the last byte.
///
/// # Errors
/// [`ErrorKind::Io`] if stdout is closed or full. `println!` would panic there.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(|error| Error::new(ErrorKind::Io, "write failed at stdout").with_source(error))
}

/// Whether `error` says that the reader of a pipe is gone.
pub(crate) fn is_broken_pipe(error: &Error) -> bool {
    std::error::Error::source(error)
        .and_then(|source| source.downcast_ref::<io::Error>())
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Writes a line `error: …` to stderr for each problem that `error` tells.
pub(crate) fn fail(error: &Error) {
    for problem in error.to_string().lines() {
        line("error", problem);
    }
}

/// Writes a line `warning: …` to stderr.
pub(crate) fn warn(warning: &str) {
    line("warning", warning);
}

/// Writes a line that says what the engine decided to stderr.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Whether stderr is read by a person.
pub(crate) fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Whether stdout is read by a person.
pub(crate) fn stdout_is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Writes `text` over the line of the terminal that stderr is.
pub(crate) fn rewrite(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = write!(stderr, "\r\x1b[K{text}").and_then(|()| stderr.flush());
}

fn line(label: &str, text: &str) {
    // With stderr closed there is nobody left to tell; the exit code still says it.
    let _ = writeln!(io::stderr().lock(), "{label}: {text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_reader_that_is_gone_is_a_broken_pipe() {
        let failed = |kind: io::ErrorKind| {
            Error::new(ErrorKind::Io, "write failed at stdout").with_source(io::Error::from(kind))
        };
        assert!(is_broken_pipe(&failed(io::ErrorKind::BrokenPipe)));
        assert!(!is_broken_pipe(&failed(io::ErrorKind::StorageFull)));
        assert!(!is_broken_pipe(&Error::new(ErrorKind::Io, "no cause")));
    }
}
