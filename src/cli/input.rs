//! Opens the file that an argument names: a regular one, so that nothing waits for a FIFO.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use crate::config::wording::shown;
use crate::error::{Error, ErrorKind, Result};

/// The file at `path`, and how errors call it.
///
/// # Errors
/// [`ErrorKind::NoInput`] for what is missing or no regular file, [`ErrorKind::Permission`] for
/// what may not be read.
pub(crate) fn open(path: &Path) -> Result<(BufReader<File>, String)> {
    let name = shown(&path.to_string_lossy());
    let refuse = |kind, what: &str| {
        let allowed = "allowed a readable regular file";
        Error::new(kind, format!("{what} at command line: {name}; {allowed}"))
    };
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => refuse(ErrorKind::NoInput, "no such file"),
        io::ErrorKind::PermissionDenied => refuse(ErrorKind::Permission, "file not readable"),
        _ => refuse(ErrorKind::NoInput, "file cannot be opened").with_source(error),
    };
    if !path.metadata().map_err(failed)?.is_file() {
        return Err(refuse(ErrorKind::NoInput, "not a regular file"));
    }
    let file = File::open(path).map_err(failed)?;
    Ok((BufReader::new(file), name))
}
