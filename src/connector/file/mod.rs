//! Files as sources, read by all partitions in splits: the connector, and what a format implements.

#[cfg(feature = "csv")]
pub mod csv;
mod input;
#[cfg(feature = "json")]
pub mod json;
pub mod lines;
mod reader;
mod source;
mod split;

pub use input::Paths;
pub use source::FileSource;

use std::marker::PhantomData;
use std::sync::Arc;

use crate::connector::dead_letter::{DeadLetter, Rejected};
use crate::connector::file::input::{Input, Origin};
use crate::connector::file::split::Splits;
use crate::dataflow::{SourceConnector, TaskContext};
use crate::error::Result;

/// Makes records of lines. Every partition has its own clone, on its own thread.
pub trait Format: Clone + Send + 'static {
    /// What a line becomes.
    type Record: Send + 'static;

    /// The name of the format.
    const NAME: &'static str;

    /// Whether the first record of every file is a header.
    const HAS_HEADER: bool = false;

    /// Whether an empty line is a record; else it is a dead letter.
    const TAKES_EMPTY: bool = false;

    /// Checks how the format was set up.
    ///
    /// # Errors
    /// The job does not start.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// Takes the header of the file whose lines come next. Called only where there is one.
    ///
    /// # Errors
    /// The header is none; the job fails.
    fn take_header(&mut self, header: &[u8]) -> Result<(), Rejected> {
        let _ = header;
        Ok(())
    }

    /// Whether records may contain newlines. Then a file is one split.
    fn is_multiline(&self) -> bool {
        false
    }

    /// Whether `record` goes on behind its last newline. Called only for a multiline format: first
    /// with one line, then with one more each time; the first `known` bytes are those of the call
    /// before.
    fn is_open(&mut self, record: &[u8], known: usize) -> bool {
        let _ = (record, known);
        false
    }

    /// Makes a record of a line, which comes without its newline (and a carriage return before
    /// it).
    ///
    /// # Errors
    /// The line becomes a dead letter.
    fn parse(&mut self, line: &[u8]) -> Result<Self::Record, Rejected>;
}

/// What becomes of records that cannot be read.
pub trait DeadLetters<T>: Send + 'static {
    /// What the source makes.
    type Item: Send + 'static;

    /// Whether a dead letter is an item.
    const REPORTED: bool;

    /// A record that could be read.
    fn record(record: T) -> Self::Item;

    /// A record that could not be read; `None` where it is only counted.
    fn dead(letter: DeadLetter) -> Option<Self::Item>;
}

/// Dead letters are counted (`TaskContext::dead_letters`) and dropped.
#[derive(Debug)]
pub struct Counted;

impl<T: Send + 'static> DeadLetters<T> for Counted {
    type Item = T;

    const REPORTED: bool = false;

    #[inline]
    fn record(record: T) -> T {
        record
    }

    fn dead(_letter: DeadLetter) -> Option<T> {
        None
    }
}

/// Dead letters are counted, and stand between the records as `Err`.
#[derive(Debug)]
pub struct Reported;

impl<T: Send + 'static> DeadLetters<T> for Reported {
    type Item = Result<T, DeadLetter>;

    const REPORTED: bool = true;

    #[inline]
    fn record(record: T) -> Self::Item {
        Ok(record)
    }

    fn dead(letter: DeadLetter) -> Option<Self::Item> {
        Some(Err(letter))
    }
}

/// Files (or bytes in memory) as a source. Made by the constructors of the formats:
/// [`text_lines`](lines::text_lines), `csv_file`, `json_lines`.
///
/// A file is cut into splits of 64 KiB to 1 MiB at record boundaries. Of all splits, in the order
/// of the files, split `i` is read by partition `i % partitions`, which keeps the order within its
/// splits and reads them one after the other. A record that cannot be read, or that is longer than
/// 1 MiB, is a dead letter, and the stream goes on. A file that is missing, no regular file or not
/// readable is refused before any thread starts.
pub struct FileConnector<F, M = Counted> {
    format: F,
    origin: Origin,
    split_bytes: Option<u64>,
    /// The files, from the first `open` on.
    inputs: Option<Arc<[Input]>>,
    _dead_letters: PhantomData<fn(M)>,
}

impl<F: Format> FileConnector<F> {
    fn of_paths(format: F, paths: impl Into<Paths>) -> Self {
        FileConnector::of(format, Origin::Paths(paths.into()))
    }

    fn of_bytes(format: F, bytes: impl Into<Arc<[u8]>>) -> Self {
        FileConnector::of(format, Origin::Bytes(bytes.into()))
    }

    fn of(format: F, origin: Origin) -> Self {
        FileConnector {
            format,
            origin,
            split_bytes: None,
            inputs: None,
            _dead_letters: PhantomData,
        }
    }

    /// The same source with dead letters between its records: it makes
    /// `Result<Record, DeadLetter>`. They are counted all the same.
    pub fn dead_letters(self) -> FileConnector<F, Reported> {
        FileConnector {
            format: self.format,
            origin: self.origin,
            split_bytes: self.split_bytes,
            inputs: None,
            _dead_letters: PhantomData,
        }
    }
}

impl<F: Format, M> FileConnector<F, M> {
    /// Cuts splits of `bytes` instead of a length that suits the file. For tests: results are the
    /// same for every length. 0 counts as 1.
    pub fn split_bytes(mut self, bytes: u64) -> Self {
        self.split_bytes = Some(bytes);
        self
    }

    fn resolve(&self) -> Result<Vec<Input>> {
        self.format.check()?;
        self.origin.resolve(|file_bytes| match self.split_bytes {
            _ if self.format.is_multiline() => Splits::whole(file_bytes),
            Some(split_bytes) => Splits::with_bytes(file_bytes, split_bytes),
            None => Splits::of(file_bytes),
        })
    }
}

impl<F: Format, M: DeadLetters<F::Record>> SourceConnector for FileConnector<F, M> {
    type Item = M::Item;
    type Source = FileSource<F, M>;

    fn name(&self) -> String {
        format!("{} {}", F::NAME, self.origin.describe())
    }

    fn check(&self) -> Result<()> {
        self.resolve().map(drop)
    }

    fn open(&mut self, context: &TaskContext) -> Result<FileSource<F, M>> {
        let inputs = match &self.inputs {
            Some(inputs) => Arc::clone(inputs),
            None => Arc::clone(self.inputs.insert(self.resolve()?.into())),
        };
        Ok(FileSource::new(self.format.clone(), inputs, context))
    }
}

#[cfg(test)]
mod tests;
