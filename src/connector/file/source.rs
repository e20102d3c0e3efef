//! One partition's share of files: its splits, one after the other.

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::connector::dead_letter::{DeadLetter, DeadLetterReason, Rejected};
use crate::connector::file::input::Input;
use crate::connector::file::reader::{SplitReader, Step};
use crate::connector::file::split::Deal;
use crate::connector::file::{DeadLetters, Format};
use crate::dataflow::{Collector, Emit, Polled, Source, TaskContext};
use crate::error::{Error, ErrorKind, Result};
use crate::metrics::Tally;
use crate::time::Nanos;

/// One partition's share of a [`FileConnector`](super::FileConnector).
pub struct FileSource<F, M> {
    format: F,
    inputs: Arc<[Input]>,
    deal: Deal,
    /// Where it reads; `None` before the first split and behind the last.
    reading: Option<Reading>,
    dead_letters: Arc<AtomicU64>,
    /// Records that were found, dead or alive.
    found: u64,
    /// Those that were dead and did not go out as letters.
    unread: u64,
    _dead_letters: PhantomData<fn(M)>,
}

/// A place in a file.
struct Reading {
    file: usize,
    split: usize,
    reader: SplitReader,
    /// Lines that begin in this split and have been read.
    lines: u64,
    /// Which of these lines the current record begins on, from 1.
    record_line: u64,
    /// Lines of the file before split `counted.0`: what line numbers are counted from.
    counted: (usize, u64),
}

/// What the next record is.
enum Found {
    /// A record, in the reader's line.
    Record,
    Dead(DeadLetterReason),
    EndOfSplit,
}

impl<F: Format, M: DeadLetters<F::Record>> FileSource<F, M> {
    pub(super) fn new(format: F, inputs: Arc<[Input]>, context: &TaskContext) -> Self {
        FileSource {
            format,
            inputs,
            deal: Deal::to(context.partition, context.partitions),
            reading: None,
            dead_letters: Arc::clone(&context.dead_letters),
            found: 0,
            unread: 0,
            _dead_letters: PhantomData,
        }
    }

    /// Goes to the next split of this partition; `false` where there is none.
    fn next_split(&mut self) -> Result<bool> {
        let before = self.reading.take();
        if let Some(reading) = &before {
            self.inputs[reading.file].note_lines(reading.split, reading.lines);
        }
        let inputs = &self.inputs;
        let count_of = |file: usize| inputs.get(file).map(|input| input.splits.count());
        let Some((file, split)) = self.deal.next(count_of) else {
            return Ok(false);
        };
        let mut reading = match before {
            Some(reading) if reading.file == file => reading,
            _ => self.open_file(file)?,
        };
        reading.reader.begin(self.inputs[file].splits.range(split));
        reading.split = split;
        reading.lines = 0;
        if split == 0 && F::HAS_HEADER {
            next_record(&mut self.format, &mut reading)?;
        }
        self.reading = Some(reading);
        Ok(true)
    }

    /// Opens a file and gives its header to the format, where it has one.
    fn open_file(&mut self, file: usize) -> Result<Reading> {
        let input = &self.inputs[file];
        let reader = SplitReader::new(input.open()?, input.splits.file_bytes(), 0..1);
        let mut reading =
            Reading { file, split: 0, reader, lines: 0, record_line: 0, counted: (0, 0) };
        if F::HAS_HEADER {
            let rejected = match next_record(&mut self.format, &mut reading)? {
                Found::Dead(reason) => Err(Rejected::quoting(reason, reading.reader.line())),
                _ => self.format.take_header(reading.reader.line()),
            };
            rejected.map_err(|Rejected { reason, detail }| {
                let text = format!("{reason} at {}:1: {detail}; allowed: a header row", input.name);
                Error::new(ErrorKind::BadData, text)
            })?;
        }
        Ok(reading)
    }

    /// Reads at most `left` records, dead or alive, of the current split, as far as there is room;
    /// `false` at its end.
    #[inline]
    fn read_split<E: Emit<M::Item>>(
        &mut self,
        left: &mut usize,
        out: &mut Collector<'_, E>,
    ) -> Result<bool> {
        let Some(reading) = &mut self.reading else {
            return Ok(false);
        };
        while *left > 0 && out.is_open() {
            let found = next_record(&mut self.format, reading)?;
            *left -= 1;
            self.found += u64::from(!matches!(found, Found::EndOfSplit));
            let rejected = match found {
                Found::EndOfSplit => return Ok(false),
                Found::Record => match self.format.parse(reading.reader.line()) {
                    Ok(record) => {
                        out.emit(M::record(record));
                        continue;
                    }
                    Err(rejected) => rejected,
                },
                Found::Dead(reason) => Rejected::quoting(reason, reading.reader.line()),
            };
            // Relaxed: a count that publishes nothing else.
            self.dead_letters.fetch_add(1, Ordering::Relaxed);
            if M::REPORTED {
                let letter = reading.dead_letter(&self.inputs[reading.file], rejected)?;
                out.emit_all(M::dead(letter));
            } else {
                self.unread += 1;
            }
        }
        Ok(true)
    }
}

impl<F: Format, M: DeadLetters<F::Record>> Source for FileSource<F, M> {
    type Item = M::Item;

    fn poll<E: Emit<M::Item>>(
        &mut self,
        max: usize,
        _: Nanos,
        out: &mut Collector<'_, E>,
    ) -> Result<Polled> {
        let mut left = max;
        loop {
            if self.read_split(&mut left, out)? {
                return Ok(Polled::Ready);
            }
            if !self.next_split()? {
                return Ok(Polled::Done);
            }
        }
    }

    fn count(&self, _: u64, tally: &mut Tally) {
        tally.read += self.found;
        tally.unread += self.unread;
    }
}

/// Finds the next record: one line, or several where the format says so.
#[inline]
fn next_record<F: Format>(format: &mut F, reading: &mut Reading) -> Result<Found> {
    let step = reading.reader.next_line()?;
    if step == Step::End {
        return Ok(Found::EndOfSplit);
    }
    reading.lines += 1;
    reading.record_line = reading.lines;
    if step == Step::TooLong {
        return Ok(Found::Dead(DeadLetterReason::TooLong));
    }
    if format.is_multiline() {
        return join_lines(format, reading);
    }
    reading.reader.trim_carriage_return();
    if !F::TAKES_EMPTY && reading.reader.line().is_empty() {
        return Ok(Found::Dead(DeadLetterReason::EmptyLine));
    }
    Ok(Found::Record)
}

/// Joins lines to the current one until the format takes them as a record. Where that does not come
/// to an end, the first line alone is dead and the next record begins behind it.
#[cold]
fn join_lines<F: Format>(format: &mut F, reading: &mut Reading) -> Result<Found> {
    let first_bytes = reading.reader.line().len();
    let mut known = 0;
    while format.is_open(reading.reader.line(), known) {
        known = reading.reader.line().len();
        if reading.reader.extend_line()? != Step::Line {
            reading.reader.cut_line(first_bytes);
            reading.lines = reading.record_line;
            return Ok(Found::Dead(DeadLetterReason::UnclosedQuote));
        }
        reading.lines += 1;
    }
    reading.reader.trim_carriage_return();
    if !F::TAKES_EMPTY && reading.reader.line().is_empty() {
        return Ok(Found::Dead(DeadLetterReason::EmptyLine));
    }
    Ok(Found::Record)
}

impl Reading {
    /// The current record as a dead letter.
    #[cold]
    fn dead_letter(&mut self, input: &Input, rejected: Rejected) -> Result<DeadLetter> {
        // The lines of the splits before are known where their readers have been there; the others
        // are counted now, once, so that the number is exact.
        while self.counted.0 < self.split {
            self.counted.1 += input.lines_in(self.counted.0, self.reader.opened())?;
            self.counted.0 += 1;
        }
        Ok(DeadLetter {
            source: Arc::clone(&input.name),
            offset: self.reader.offset(),
            line: self.counted.1 + self.record_line,
            reason: rejected.reason,
            detail: rejected.detail,
        })
    }
}
