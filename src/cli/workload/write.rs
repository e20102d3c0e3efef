//! The files that `--dump` and `--output` name.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use crate::config::wording::shown;
use crate::connector::generator::BLOCK;
use crate::error::{Error, ErrorKind, Result};

/// Makes sure that `path` can be written, before anything runs for minutes to fail at its end.
///
/// # Errors
/// [`ErrorKind::CannotCreate`].
pub(crate) fn create(path: &Path) -> Result<File> {
    File::create(path).map_err(|error| {
        let context = format!("cannot create file at {}", place(path));
        Error::new(ErrorKind::CannotCreate, context).with_source(error)
    })
}

/// Writes `lines`, each with a line end, into `file`, which stands at `path`.
///
/// # Errors
/// [`ErrorKind::Io`].
pub(crate) fn lines<L>(file: File, path: &Path, lines: impl Iterator<Item = L>) -> Result<()>
where
    L: std::fmt::Display,
{
    let mut writer = BufWriter::with_capacity(1 << 20, file);
    let mut write = || {
        for line in lines {
            writeln!(writer, "{line}")?;
        }
        writer.flush()
    };
    write().map_err(|error| {
        let context = format!("write failed at {}", place(path));
        Error::new(ErrorKind::Io, context).with_source(error)
    })
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
