//! `csv_file`: rows of CSV files as a source, typed by serde.

mod fields;
mod row;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::connector::dead_letter::{DeadLetterReason, Rejected};
use crate::connector::file::csv::fields::{Fields, is_open};
use crate::connector::file::csv::row::{Columns, Row, RowError};
use crate::connector::file::{FileConnector, Format, Paths};
use crate::error::{Error, ErrorKind, Result};

/// A source of the rows of CSV files, as `T`. The first row of every file names the columns.
///
/// `T` is a struct whose fields are named like columns (others are skipped), a map, or a tuple of
/// all columns in order. A field in quotes may contain commas and doubled quotes, and newlines
/// after [`multiline(true)`](FileConnector::multiline). An empty field is `None` for an `Option`.
/// Numbers are decimal and must fit exactly where they are integers.
///
/// A dead letter is a row that is empty, longer than 1 MiB or not UTF-8; that has more or fewer
/// fields than the header; whose quotes do not close; or whose values `T` does not take. How files
/// are read in parallel: [`FileConnector`].
pub fn csv_file<T>(paths: impl Into<Paths>) -> FileConnector<Csv<T>>
where
    T: DeserializeOwned + Send + 'static,
{
    FileConnector::of_paths(Csv::new(), paths)
}

/// Like [`csv_file`], of bytes in memory.
pub fn csv_bytes<T>(bytes: impl Into<Arc<[u8]>>) -> FileConnector<Csv<T>>
where
    T: DeserializeOwned + Send + 'static,
{
    FileConnector::of_bytes(Csv::new(), bytes)
}

impl<T: DeserializeOwned + Send + 'static, M> FileConnector<Csv<T>, M> {
    /// Whether quoted fields may contain newlines. Then a file is one split, since only its
    /// beginning tells which quotes open; several files are still read in parallel.
    ///
    /// A quote that does not close within 1 MiB makes a dead letter of its line alone, and reading
    /// goes on behind that line.
    pub fn multiline(mut self, multiline: bool) -> Self {
        self.format.multiline = multiline;
        self
    }

    /// What stands between fields instead of a comma: an ASCII character, no quote and no line
    /// end.
    pub fn delimiter(mut self, delimiter: u8) -> Self {
        self.format.delimiter = delimiter;
        self
    }
}

/// The format of [`csv_file`].
pub struct Csv<T> {
    delimiter: u8,
    multiline: bool,
    /// `header[i]` - name of column `i` of the current file.
    header: Arc<[String]>,
    /// Where the fields of the current row are.
    fields: Fields,
    /// How the fields of `T` are found in a row of the current file.
    columns: Columns,
    _record: PhantomData<fn() -> T>,
}

impl<T> Csv<T> {
    fn new() -> Csv<T> {
        Csv {
            delimiter: b',',
            multiline: false,
            header: Arc::default(),
            fields: Fields::default(),
            columns: Columns::Unknown,
            _record: PhantomData,
        }
    }
}

impl<T> Clone for Csv<T> {
    fn clone(&self) -> Self {
        Csv { delimiter: self.delimiter, multiline: self.multiline, ..Csv::new() }
    }
}

impl<T> fmt::Debug for Csv<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Csv")
            .field("delimiter", &char::from(self.delimiter))
            .field("multiline", &self.multiline)
            .finish_non_exhaustive()
    }
}

impl<T: DeserializeOwned + Send + 'static> Format for Csv<T> {
    type Record = T;

    const NAME: &'static str = "csv";

    const HAS_HEADER: bool = true;

    fn check(&self) -> Result<()> {
        if self.delimiter.is_ascii() && !b"\"\n\r".contains(&self.delimiter) {
            return Ok(());
        }
        let text = format!(
            "delimiter of csv is {:?}; allowed: an ASCII character, no quote, no line end",
            char::from(self.delimiter)
        );
        Err(Error::new(ErrorKind::InvalidConfig, text))
    }

    fn is_multiline(&self) -> bool {
        self.multiline
    }

    fn is_open(&mut self, record: &[u8], known: usize) -> bool {
        is_open(record, known, self.delimiter)
    }

    fn take_header(&mut self, header: &[u8]) -> Result<(), Rejected> {
        let text = self.split(header)?;
        self.header = self.fields.iter(text).map(str::to_string).collect();
        self.columns = Columns::Unknown;
        Ok(())
    }

    #[inline]
    fn parse(&mut self, line: &[u8]) -> Result<T, Rejected> {
        let text = self.split(line)?;
        if self.fields.count() != self.header.len() {
            return Err(self.column_count());
        }
        let row =
            Row { text, fields: &self.fields, header: &self.header, columns: &mut self.columns };
        match T::deserialize(row) {
            Ok(record) => Ok(record),
            Err(error) if self.columns.are_positions() => self.parse_by_name(text, &error),
            Err(error) => Err(error.rejected(&self.header)),
        }
    }
}

impl<T: DeserializeOwned + Send + 'static> Csv<T> {
    /// Finds the fields of a row and returns its text.
    #[inline]
    fn split<'a>(&mut self, line: &'a [u8]) -> Result<&'a str, Rejected> {
        let Ok(text) = std::str::from_utf8(line) else {
            return Err(Rejected::quoting(DeadLetterReason::InvalidUtf8, line));
        };
        if self.fields.split(text, self.delimiter).is_err() {
            return Err(Rejected::quoting(DeadLetterReason::UnclosedQuote, line));
        }
        Ok(text)
    }

    #[cold]
    fn column_count(&self) -> Rejected {
        let (seen, allowed) = (self.fields.count(), self.header.len());
        let text = format!("{seen} fields; allowed: {allowed}, as in the header");
        Rejected::new(DeadLetterReason::ColumnCount, &text)
    }

    /// Reads a row once more where reading it by position failed. What fails by name as well is a
    /// bad row. What does not shows that `T` does not read its fields in the order that it names
    /// them, so positions are no use for this file.
    #[cold]
    fn parse_by_name(&mut self, text: &str, error: &RowError) -> Result<T, Rejected> {
        let mut columns = Columns::ByName;
        let (fields, header) = (&self.fields, &*self.header);
        let Ok(record) = T::deserialize(Row { text, fields, header, columns: &mut columns }) else {
            return Err(error.rejected(header));
        };
        self.columns = Columns::ByName;
        Ok(record)
    }
}

#[cfg(test)]
mod tests;
