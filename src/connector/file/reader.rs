//! Reads the lines of one split through a window of its file.

use std::io::BufRead;
use std::ops::Range;

use crate::connector::file::input::Opened;
use crate::error::Result;

/// The longest record, in bytes; what is longer is a dead letter.
pub(super) const RECORD_BYTES_MAX: usize = 1_024 * 1_024;

/// How much is read at most at one time.
const READ_BYTES_MAX: u64 = 256 * 1_024;

/// How much is read behind the end of a split at first: its last record ends there.
const TAIL_BYTES: u64 = 4 * 1_024;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What a step of the reader found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A line, see [`SplitReader::line`].
    Line,
    /// A line longer than [`RECORD_BYTES_MAX`]; its beginning is in [`SplitReader::line`].
    TooLong,
    /// Nothing more in this split.
    End,
}

/// The lines of one split, one at a time. A line ends with a newline or with the file.
#[derive(Debug)]
pub(super) struct SplitReader {
    opened: Opened,
    /// Length of the file, in bytes.
    file_bytes: u64,
    /// Lines that begin here or later belong to the next split.
    end: u64,
    /// The window: `buffer[..filled]` are the bytes of the file from `base` on.
    buffer: Vec<u8>,
    filled: usize,
    base: u64,
    /// The current line is `buffer[start..line_end]`; `next` is the first byte not looked at.
    start: usize,
    line_end: usize,
    next: usize,
    /// Whether what stands before the next newline belongs to a record that is not read here.
    inside_other: bool,
}

impl SplitReader {
    /// A reader at the beginning of the split `range` of a file of `file_bytes`.
    pub(super) fn new(opened: Opened, file_bytes: u64, range: Range<u64>) -> SplitReader {
        let mut reader = SplitReader {
            opened,
            file_bytes,
            end: 0,
            buffer: Vec::new(),
            filled: 0,
            base: 0,
            start: 0,
            line_end: 0,
            next: 0,
            inside_other: false,
        };
        reader.begin(range);
        reader
    }

    /// Goes to the beginning of another split of the file.
    pub(super) fn begin(&mut self, range: Range<u64>) {
        self.end = range.end;
        self.base = range.start.saturating_sub(1);
        self.inside_other = range.start > 0;
        (self.start, self.line_end, self.next, self.filled) = (0, 0, 0, 0);
    }

    /// The file that is read.
    pub(super) fn opened(&self) -> &Opened {
        &self.opened
    }

    /// The current line, without its newline.
    #[inline]
    pub(super) fn line(&self) -> &[u8] {
        &self.buffer[self.start..self.line_end]
    }

    /// Takes a carriage return at the end of the current line off it.
    #[inline]
    pub(super) fn trim_carriage_return(&mut self) {
        if self.line().last() == Some(&b'\r') {
            self.line_end -= 1;
        }
    }

    /// Bytes of the file before the current line.
    pub(super) fn offset(&self) -> u64 {
        self.base + self.start as u64
    }

    /// Goes to the next line. The byte order mark of a file is not part of its first line.
    #[inline]
    pub(super) fn next_line(&mut self) -> Result<Step> {
        if self.inside_other && !self.skip_other()? {
            return Ok(Step::End);
        }
        self.start = self.next;
        if self.offset() >= self.end.min(self.file_bytes) {
            return Ok(Step::End);
        }
        let step = self.find_end()?;
        if self.start == 0 && self.base == 0 && self.line().starts_with(BYTE_ORDER_MARK) {
            self.start = BYTE_ORDER_MARK.len();
        }
        Ok(step)
    }

    /// Joins the next line to the current one, with the newline between them. `End` where the file
    /// ends; then the line stays as it is.
    pub(super) fn extend_line(&mut self) -> Result<Step> {
        if self.base + self.next as u64 >= self.file_bytes {
            return Ok(Step::End);
        }
        self.find_end()
    }

    /// Cuts the current line back to its first `bytes`, which a newline followed.
    pub(super) fn cut_line(&mut self, bytes: usize) {
        self.line_end = self.start + bytes;
        self.next = (self.line_end + 1).min(self.filled);
        self.inside_other = false;
    }

    /// Looks for the end of the current line from `next` on.
    #[inline]
    fn find_end(&mut self) -> Result<Step> {
        loop {
            if let Some(bytes) = bytes_before_newline(&self.buffer[self.next..self.filled]) {
                self.line_end = self.next + bytes;
                self.next = self.line_end + 1;
                let too_long = self.line_end - self.start > RECORD_BYTES_MAX;
                return Ok(if too_long { Step::TooLong } else { Step::Line });
            }
            self.next = self.filled;
            self.line_end = self.filled;
            if self.filled - self.start > RECORD_BYTES_MAX {
                self.inside_other = true;
                return Ok(Step::TooLong);
            }
            if !self.fill()? {
                return Ok(Step::Line);
            }
        }
    }

    /// Goes behind the next newline; `false` where no line of this split begins any more.
    #[cold]
    fn skip_other(&mut self) -> Result<bool> {
        loop {
            let unread = &self.buffer[self.next..self.filled];
            if let Some(bytes) = bytes_before_newline(unread) {
                self.next += bytes + 1;
                self.inside_other = false;
                return Ok(true);
            }
            self.next = self.filled;
            self.start = self.filled;
            if self.base + self.next as u64 >= self.end || !self.fill()? {
                return Ok(false);
            }
        }
    }

    /// Reads more behind the window, after dropping what stands before the current line. `false` at
    /// the end of the file.
    #[cold]
    fn fill(&mut self) -> Result<bool> {
        self.buffer.copy_within(self.start..self.filled, 0);
        self.base += self.start as u64;
        self.filled -= self.start;
        self.next -= self.start;
        self.line_end = self.line_end.saturating_sub(self.start);
        self.start = 0;

        let offset = self.base + self.filled as u64;
        let to_end = self.end.saturating_sub(offset) + TAIL_BYTES;
        // Behind the end of the split a long record doubles what is read each time.
        let wanted = to_end.max(self.filled as u64).min(READ_BYTES_MAX);
        let bytes = wanted.min(self.file_bytes - offset) as usize;
        if bytes == 0 {
            return Ok(false);
        }
        if self.buffer.len() < self.filled + bytes {
            self.buffer.resize(self.filled + bytes, 0);
        }
        self.opened.read(&mut self.buffer[self.filled..self.filled + bytes], offset)?;
        self.filled += bytes;
        Ok(true)
    }
}

/// How many bytes stand before the first newline, if there is one.
#[inline]
fn bytes_before_newline(bytes: &[u8]) -> Option<usize> {
    // The library's own search for a byte is not public; this is the door to it.
    let skipped = { bytes }.skip_until(b'\n').expect("reading from a slice cannot fail");
    (skipped > 0 && bytes[skipped - 1] == b'\n').then(|| skipped - 1)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::connector::file::split::Splits;

    fn lines_of(bytes: &[u8], splits: Splits) -> Vec<(u64, Vec<u8>)> {
        let shared: Arc<[u8]> = bytes.into();
        let mut lines = Vec::new();
        for index in 0..splits.count() {
            let opened = Opened::Memory(Arc::clone(&shared));
            let range = splits.range(index);
            let mut reader = SplitReader::new(opened, bytes.len() as u64, range);
            while reader.next_line().unwrap() == Step::Line {
                lines.push((reader.offset(), reader.line().to_vec()));
            }
            assert_eq!(reader.next_line().unwrap(), Step::End);
        }
        lines
    }

    fn lines_by_hand(bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
        let mut lines = Vec::new();
        let mut offset = 0;
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            lines.push((offset, line.strip_suffix(b"\n").unwrap_or(line).to_vec()));
            offset += line.len() as u64;
        }
        lines
    }

    proptest! {
        #[test]
        fn splits_of_any_length_give_the_lines_of_the_file(
            bytes in prop::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..300),
            split_bytes in 1u64..64,
        ) {
            prop_assume!(!bytes.starts_with(BYTE_ORDER_MARK));
            let splits = Splits::with_bytes(bytes.len() as u64, split_bytes);
            prop_assert_eq!(lines_of(&bytes, splits), lines_by_hand(&bytes));
        }

        #[test]
        fn long_lines_cross_the_window(
            lengths in prop::collection::vec(0usize..20_000, 1..40),
            split_bytes in 1_000u64..100_000,
        ) {
            let mut bytes = Vec::new();
            for (index, length) in lengths.into_iter().enumerate() {
                bytes.resize(bytes.len() + length, b'a' + (index % 26) as u8);
                bytes.push(b'\n');
            }
            let splits = Splits::with_bytes(bytes.len() as u64, split_bytes);
            prop_assert_eq!(lines_of(&bytes, splits), lines_by_hand(&bytes));
        }
    }

    #[test]
    fn a_line_beyond_the_limit_is_found_once_and_the_next_one_is_whole() {
        let mut bytes = b"first\n".to_vec();
        bytes.resize(bytes.len() + 2 * RECORD_BYTES_MAX, b'x');
        bytes.extend(b"\nlast");
        let len = bytes.len() as u64;
        for split_bytes in [65_536, 1 << 20, len] {
            let splits = Splits::with_bytes(len, split_bytes);
            let shared: Arc<[u8]> = bytes.as_slice().into();
            let mut found = Vec::new();
            for index in 0..splits.count() {
                let opened = Opened::Memory(Arc::clone(&shared));
                let mut reader = SplitReader::new(opened, len, splits.range(index));
                loop {
                    match reader.next_line().unwrap() {
                        Step::End => break,
                        step => found.push((step, reader.offset())),
                    }
                }
            }
            let long = (Step::TooLong, 6);
            assert_eq!(found, [(Step::Line, 0), long, (Step::Line, len - 4)], "{split_bytes}");
        }
    }

    #[test]
    fn a_line_of_exactly_the_limit_is_a_line() {
        for (bytes, step) in [(RECORD_BYTES_MAX, Step::Line), (RECORD_BYTES_MAX + 1, Step::TooLong)]
        {
            let mut line = vec![b'x'; bytes];
            for ending in [&b""[..], b"\n"] {
                line.extend(ending);
                let len = line.len() as u64;
                let opened = Opened::Memory(line.as_slice().into());
                let mut reader = SplitReader::new(opened, len, 0..len);
                assert_eq!(reader.next_line().unwrap(), step);
                assert_eq!(reader.next_line().unwrap(), Step::End);
            }
        }
    }

    #[test]
    fn byte_order_mark_is_skipped_at_the_beginning_only() {
        let bytes = b"\xef\xbb\xbfa\n\xef\xbb\xbfb";
        for split_bytes in 1..10 {
            let lines = lines_of(bytes, Splits::with_bytes(bytes.len() as u64, split_bytes));
            assert_eq!(lines, [(3, b"a".to_vec()), (5, b"\xef\xbb\xbfb".to_vec())]);
        }
    }

    #[test]
    fn lines_are_joined_and_cut_back() {
        let opened = Opened::Memory(b"ab\ncd\nef".as_slice().into());
        let mut reader = SplitReader::new(opened, 8, 0..8);
        assert_eq!(reader.next_line().unwrap(), Step::Line);
        assert_eq!(reader.extend_line().unwrap(), Step::Line);
        assert_eq!(reader.line(), b"ab\ncd");
        assert_eq!(reader.extend_line().unwrap(), Step::Line);
        assert_eq!(reader.extend_line().unwrap(), Step::End);
        assert_eq!(reader.line(), b"ab\ncd\nef");
        reader.cut_line(2);
        assert_eq!(reader.line(), b"ab");
        assert_eq!(reader.next_line().unwrap(), Step::Line);
        assert_eq!(reader.line(), b"cd");
    }
}
