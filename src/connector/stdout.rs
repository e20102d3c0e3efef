//! `stdout`: a sink that prints every record as a line.

use std::fmt::Display;
use std::io::{self, Write};
use std::marker::PhantomData;

use crate::dataflow::{Sink, SinkConnector, TaskContext};
use crate::error::{Error, ErrorKind, Result};
use crate::record::Batch;
use crate::time::Nanos;

/// A sink that prints every record with its `Display` and a newline. The lines of one batch stay
/// together; the batches of several partitions come in any order.
///
/// A reader that went away (a closed pipe) fails the job with [`ErrorKind::Io`].
pub fn stdout<T: Display + Send + 'static>() -> Stdout<T> {
    Stdout { lines: Vec::new(), writer: io::stdout, _records: PhantomData }
}

/// Made by [`stdout`]; both the connector and one partition's end of it.
#[derive(Debug)]
pub struct Stdout<T, W = io::Stdout> {
    /// The lines of one batch, so that standard output is locked once for all of them.
    lines: Vec<u8>,
    writer: fn() -> W,
    _records: PhantomData<fn(T)>,
}

impl<T: Display + Send + 'static, W: Write + 'static> SinkConnector for Stdout<T, W> {
    type Item = T;
    type Sink = Stdout<T, W>;

    fn name(&self) -> String {
        "stdout".to_string()
    }

    fn open(&mut self, _context: &TaskContext) -> Result<Stdout<T, W>> {
        Ok(Stdout { lines: Vec::new(), writer: self.writer, _records: PhantomData })
    }
}

impl<T: Display + Send + 'static, W: Write> Sink for Stdout<T, W> {
    type Item = T;

    fn write(&mut self, batch: &mut Batch<T>, _now: Nanos) -> Result<()> {
        self.lines.clear();
        for record in batch.records.drain(..) {
            writeln!(self.lines, "{record}").map_err(failed)?;
        }
        (self.writer)().write_all(&self.lines).map_err(failed)
    }

    fn finish(&mut self, _now: Nanos) -> Result<bool> {
        (self.writer)().flush().map_err(failed)?;
        Ok(true)
    }
}

fn failed(cause: io::Error) -> Error {
    Error::new(ErrorKind::Io, "cannot write to standard output").with_source(cause)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::connector::test_context;

    thread_local! {
        static PRINTED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }

    struct Printer;

    impl Write for Printer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            PRINTED.with_borrow_mut(|printed| printed.write(bytes))
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct ClosedPipe;

    impl Write for ClosedPipe {
        fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }

    fn write_two<W: Write + 'static>(writer: fn() -> W) -> Result<bool> {
        let mut connector = Stdout { lines: Vec::new(), writer, _records: PhantomData };
        let mut sink = connector.open(&test_context(0, 1))?;
        for record in [1.5, 2.0] {
            let mut batch = Batch::new();
            batch.push(record);
            sink.write(&mut batch, 0)?;
            assert!(batch.is_empty());
        }
        sink.finish(0)
    }

    #[test]
    fn each_record_is_a_line() {
        assert!(write_two(|| Printer).unwrap());
        PRINTED.with_borrow(|printed| assert_eq!(printed, b"1.5\n2\n"));
    }

    #[test]
    fn closed_pipe_is_an_io_error() {
        let error = write_two(|| ClosedPipe).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        assert_eq!(error.kind().exit_code(), 74);
    }
}
