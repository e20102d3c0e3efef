//! The one error of the crate: what the caller can do about it, what was seen, what was allowed.

use std::fmt;

/// `std::result::Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Source = Box<dyn std::error::Error + Send + Sync + 'static>;

/// What went wrong, in one line: lower case, no full stop, names and units of the knobs in it.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    context: String,
    source: Option<Source>,
}

/// What the caller can do about an [`Error`]. Match on this, never on the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The command line is wrong: an unknown flag or a value out of its range. Exit code 64.
    Usage,
    /// Input bytes or a file's content are wrong; the same input gives the same answer. Exit 65.
    BadData,
    /// An input file is missing or is no file. Exit code 66.
    NoInput,
    /// Nobody answers at the other end of a socket. Exit code 69.
    Unavailable,
    /// The job failed while running: an operator panicked or a partition died. Exit code 70.
    JobFailed,
    /// A file cannot be created. Exit code 73.
    CannotCreate,
    /// Reading or writing failed. Exit code 74.
    Io,
    /// Time ran out, the job goes on or may be tried again. Exit code 75.
    TryAgain,
    /// The operating system does not permit it. Exit code 77.
    Permission,
    /// A knob or the graph is wrong. Fix it and start again; a retry gives the same answer.
    /// Exit code 78.
    InvalidConfig,
    /// The job dropped the record of a question without a reply; asked again, it likely does so
    /// again. Exit code 70.
    NoReply,
    /// The job has ended or is draining, so it takes nothing any more. Exit code 75.
    Closed,
}

impl ErrorKind {
    /// The process exit code for this kind, after sysexits.
    pub fn exit_code(self) -> u8 {
        match self {
            ErrorKind::Usage => 64,
            ErrorKind::BadData => 65,
            ErrorKind::NoInput => 66,
            ErrorKind::Unavailable => 69,
            ErrorKind::JobFailed | ErrorKind::NoReply => 70,
            ErrorKind::CannotCreate => 73,
            ErrorKind::Io => 74,
            ErrorKind::TryAgain | ErrorKind::Closed => 75,
            ErrorKind::Permission => 77,
            ErrorKind::InvalidConfig => 78,
        }
    }
}

impl Error {
    /// Makes an error of `kind` that says `context`.
    pub fn new(kind: ErrorKind, context: impl Into<String>) -> Error {
        Error { kind, context: context.into(), source: None }
    }

    /// The same error with the error that caused it.
    pub fn with_source(mut self, source: impl Into<Source>) -> Error {
        self.source = Some(source.into());
        self
    }

    /// What the caller can do.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What was seen and what was allowed, without the cause.
    pub fn context(&self) -> &str {
        &self.context
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(source) => write!(f, "{}: {source}", self.context),
            None => f.write_str(&self.context),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| &**source as &(dyn std::error::Error + 'static))
    }
}
