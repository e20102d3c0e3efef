//! `text_lines`: lines of text as a source.

use std::sync::Arc;

use crate::connector::dead_letter::{DeadLetterReason, Rejected};
use crate::connector::file::{FileConnector, Format, Paths};

/// A source of the lines of text files, without their line ends (`\n` or `\r\n`).
///
/// An empty line is a record; a line that is not UTF-8 or longer than 1 MiB is a dead letter. How
/// files are read in parallel: [`FileConnector`].
pub fn text_lines(paths: impl Into<Paths>) -> FileConnector<Lines> {
    FileConnector::of_paths(Lines, paths)
}

/// Like [`text_lines`], of bytes in memory.
pub fn text_bytes(bytes: impl Into<Arc<[u8]>>) -> FileConnector<Lines> {
    FileConnector::of_bytes(Lines, bytes)
}

/// The format of [`text_lines`]: a line is a `String`.
#[derive(Clone, Copy, Debug)]
pub struct Lines;

impl Format for Lines {
    type Record = String;

    const NAME: &'static str = "text";

    const TAKES_EMPTY: bool = true;

    #[inline]
    fn parse(&mut self, line: &[u8]) -> Result<String, Rejected> {
        match std::str::from_utf8(line) {
            Ok(text) => Ok(text.to_string()),
            Err(_) => Err(Rejected::quoting(DeadLetterReason::InvalidUtf8, line)),
        }
    }
}
