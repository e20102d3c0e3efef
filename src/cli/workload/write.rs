//! The files that flags name.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::wording::shown;
use crate::connector::generator::{BLOCK, BenchInput};
use crate::error::{Error, ErrorKind, Result};

/// A file that a run writes at its end.
pub(crate) struct Target<'a> {
    path: &'a Path,
    file: File,
}

/// A file that is written while a run lasts, by somebody who can tell nobody that it failed.
#[derive(Clone)]
pub(crate) struct Journal {
    path: PathBuf,
    file: Arc<File>,
    failed: Arc<Mutex<Option<io::Error>>>,
}

impl Journal {
    /// Creates the file, or empties it.
    ///
    /// # Errors
    /// [`ErrorKind::CannotCreate`].
    pub(crate) fn create(path: &Path) -> Result<Journal> {
        let file = Arc::new(create(path)?);
        Ok(Journal { path: path.to_owned(), file, failed: Arc::default() })
    }

    /// Says whether everything was written.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] with the first write that failed.
    pub(crate) fn check(&self) -> Result<()> {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner).take();
        failed.map_or(Ok(()), |error| Err(write_failed(&self.path, error)))
    }
}

impl Write for Journal {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self.file).write(bytes).map_err(|error| {
            let kind = error.kind();
            let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            failed.get_or_insert(error);
            kind.into()
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn create(path: &Path) -> Result<File> {
    File::create(path).map_err(|error| {
        let context = format!("cannot create file at {}", place(path));
        Error::new(ErrorKind::CannotCreate, context).with_source(error)
    })
}

fn write_failed(path: &Path, error: io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("write failed at {}", place(path))).with_source(error)
}

impl<'a> Target<'a> {
    /// Creates the file, if one is asked for: before anything runs for minutes to fail at its end.
    ///
    /// # Errors
    /// [`ErrorKind::CannotCreate`].
    pub(crate) fn open(path: Option<&'a Path>) -> Result<Option<Target<'a>>> {
        path.map(|path| Ok(Target { path, file: create(path)? })).transpose()
    }

    /// Writes `lines`, each with a line end.
    ///
    /// # Errors
    /// [`ErrorKind::Io`].
    pub(crate) fn write<L: Display>(self, mut lines: impl Iterator<Item = L>) -> Result<()> {
        self.write_with(|out| lines.try_for_each(|line| writeln!(out, "{line}")))
    }

    /// Writes what `write` writes.
    ///
    /// # Errors
    /// [`ErrorKind::Io`].
    pub(crate) fn write_with(
        self,
        write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
    ) -> Result<()> {
        let mut out = BufWriter::with_capacity(1 << 20, self.file);
        write(&mut out).and_then(|()| out.flush()).map_err(|error| write_failed(self.path, error))
    }

    /// Writes the records that each partition `made` of `input`, as CSV.
    ///
    /// # Errors
    /// [`ErrorKind::Io`].
    pub(crate) fn write_pairs(self, input: &BenchInput, made: &[u64]) -> Result<()> {
        let rows = indexes(made).map(|index| input.record(index));
        let rows = rows.map(|(key, value)| format!("{key},{value}"));
        self.write(std::iter::once("key,value".to_owned()).chain(rows))
    }
}

/// The indexes of the records that each partition made (`made[p]` of them), block by block: in
/// rising order if all that came before the last one were made.
pub(crate) fn indexes(made: &[u64]) -> impl Iterator<Item = u64> + '_ {
    let partitions = made.len() as u64;
    let rounds = made.iter().max().map_or(0, |most| most.div_ceil(BLOCK));
    (0..rounds * partitions).flat_map(move |block| {
        let before = block / partitions * BLOCK;
        let own = made[(block % partitions) as usize];
        let count = own.saturating_sub(before).min(BLOCK);
        block * BLOCK..block * BLOCK + count
    })
}

fn place(path: &Path) -> String {
    shown(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_are_those_that_the_generator_deals_out() {
        let whole: Vec<u64> = indexes(&[BLOCK + 10, BLOCK]).collect();
        assert_eq!(whole, (0..2 * BLOCK + 10).collect::<Vec<_>>());
        let cut: Vec<u64> = indexes(&[3, 0, BLOCK + 1]).collect();
        let last = [5 * BLOCK];
        let expected: Vec<u64> = (0..3).chain(2 * BLOCK..3 * BLOCK).chain(last).collect();
        assert_eq!(cut, expected);
        assert_eq!(indexes(&[0, 0]).count(), 0);
    }
}
