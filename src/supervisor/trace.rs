//! Traces: which keys came when, as text, for what-if runs on another number of cores.
//!
//! # Format
//! ```text
//! millstream trace 1
//! 0 8fbc0b8ef8e8eaf7
//! 1200 9e8bf2e27c7b6019
//! ```
//! The first line is the format's name. Every other line is a record: nanoseconds since the record
//! before, in decimal, a space, and the carried hash of its key, in hex, not 0.

use std::collections::BTreeMap;
use std::io::{BufRead, Read, Write};

use crate::config::wording::shown;
use crate::error::{Error, ErrorKind, Result};
use crate::time::Nanos;

const HEADER: &str = "millstream trace 1";
/// A tick of the supervisor.
const TICK_NS: Nanos = 100_000_000;
/// A day in ticks: a longer trace is a mistake in its gaps.
const TICKS_MAX: u64 = 864_000;
/// No line of a trace is longer: 20 digits, a space, 16 digits, an end.
const LINE_BYTES_MAX: u64 = 40;

/// A trace, as counts of records by key and tick.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// Hashes of all keys, in the order in which they came first.
    hashes: Vec<u64>,
    /// `ticks[t]` has (index of a key, records) of every key that came in tick *t*.
    ticks: Vec<Vec<(u32, u32)>>,
    records: u64,
}

impl Trace {
    /// Reads a trace to its end.
    ///
    /// * `name` - how errors call it.
    ///
    /// # Errors
    /// [`ErrorKind::BadData`] with the line if it is no trace, has a line that is no record, is
    /// longer than a day, or has none; [`ErrorKind::Io`] if reading fails.
    pub fn read(name: &str, input: impl BufRead) -> Result<Trace> {
        let mut lines = Lines { name, input, number: 0, text: Vec::new() };
        if !lines.next()? {
            return Err(lines.wrong("empty trace", "allowed `millstream trace 1` first"));
        }
        if lines.text != HEADER.as_bytes() {
            return Err(lines.wrong("no trace", "allowed `millstream trace 1` first"));
        }
        let mut trace = Trace { hashes: Vec::new(), ticks: Vec::new(), records: 0 };
        let mut index: BTreeMap<u64, u32> = BTreeMap::new();
        let mut counts: BTreeMap<u32, u32> = BTreeMap::new();
        let mut at: Nanos = 0;
        while lines.next()? {
            let (gap, hash) = record(&lines.text).ok_or_else(|| {
                lines.wrong("wrong record", "allowed nanoseconds, a space, 1 to 16 hex digits")
            })?;
            at = at.saturating_add(gap);
            if at / TICK_NS >= TICKS_MAX {
                return Err(lines.wrong("trace too long", "allowed a day in all"));
            }
            while (trace.ticks.len() as u64) < at / TICK_NS {
                trace.ticks.push(std::mem::take(&mut counts).into_iter().collect());
            }
            let key = *index.entry(hash).or_insert_with(|| {
                trace.hashes.push(hash);
                (trace.hashes.len() - 1) as u32
            });
            *counts.entry(key).or_default() += 1;
            trace.records += 1;
        }
        if trace.records == 0 {
            return Err(lines.wrong("empty trace", "allowed a record or more"));
        }
        trace.ticks.push(counts.into_iter().collect());
        Ok(trace)
    }

    /// Hashes of all keys; other calls know a key by its index here.
    pub fn hashes(&self) -> &[u64] {
        &self.hashes
    }

    /// Ticks of 100 ms that it lasts, the last one begun.
    pub fn tick_count(&self) -> usize {
        self.ticks.len()
    }

    /// Records in it.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Writes what came of every key in `tick` into `shares`, 1 being all records of an average
    /// tick. `shares` is as long as there are keys.
    pub fn fill(&self, tick: usize, shares: &mut Vec<f64>) {
        shares.clear();
        shares.resize(self.hashes.len(), 0.0);
        let average = self.records as f64 / self.ticks.len() as f64;
        for (key, records) in &self.ticks[tick] {
            shares[*key as usize] = f64::from(*records) / average;
        }
    }
}

/// Makes the text of a trace, a piece at a time.
#[derive(Debug)]
pub struct TraceWriter {
    text: Vec<u8>,
    last: Option<Nanos>,
}

impl TraceWriter {
    /// Begins a trace.
    pub fn new() -> TraceWriter {
        TraceWriter { text: format!("{HEADER}\n").into(), last: None }
    }

    /// Adds a record that came at `at`; one that came before the last counts as coming with it.
    pub fn record(&mut self, at: Nanos, hash: u64) {
        let last = self.last.unwrap_or(at);
        let gap = at.saturating_sub(last);
        self.last = Some(last.max(at));
        writeln!(self.text, "{gap} {hash:016x}").expect("a vector takes everything");
    }

    /// What was added since it was [cleared](Self::clear) last.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Forgets the text, which is written, but not how far the trace has come.
    pub fn clear(&mut self) {
        self.text.clear();
    }
}

impl Default for TraceWriter {
    fn default() -> TraceWriter {
        TraceWriter::new()
    }
}

/// The input, a line at a time.
struct Lines<'a, R> {
    name: &'a str,
    input: R,
    number: u64,
    text: Vec<u8>,
}

impl<R: BufRead> Lines<'_, R> {
    /// Reads the next line into `text`, without its end; `false` at the end of the input.
    fn next(&mut self) -> Result<bool> {
        self.text.clear();
        let mut limited = self.input.by_ref().take(LINE_BYTES_MAX);
        let read = limited.read_until(b'\n', &mut self.text).map_err(|error| {
            Error::new(ErrorKind::Io, format!("read failed at {}", self.name)).with_source(error)
        })?;
        self.number += 1;
        if self.text.last() == Some(&b'\n') {
            self.text.pop();
        }
        Ok(read > 0)
    }

    fn wrong(&self, what: &str, allowed: &str) -> Error {
        let seen = shown(&String::from_utf8_lossy(&self.text));
        let context = format!("{what} at {} line {}: {seen}; {allowed}", self.name, self.number);
        Error::new(ErrorKind::BadData, context)
    }
}

/// Gap and hash of a line.
fn record(line: &[u8]) -> Option<(Nanos, u64)> {
    let (gap, hash) = std::str::from_utf8(line).ok()?.split_once(' ')?;
    let digits = |text: &str, is: fn(&u8) -> bool| !text.is_empty() && text.bytes().all(|b| is(&b));
    if !digits(gap, u8::is_ascii_digit) || !digits(hash, u8::is_ascii_hexdigit) {
        return None;
    }
    let hash = u64::from_str_radix(hash, 16).ok().filter(|hash| *hash != 0)?;
    Some((gap.parse().ok()?, hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Result<Trace> {
        Trace::read("t.trace", text)
    }

    #[test]
    fn what_is_written_is_read_as_counts_by_tick() {
        let (mut writer, mut text) = (TraceWriter::new(), Vec::new());
        for (at, hash) in [(5, 0xab), (7, 0xcd), (6, 0xab), (100_000_005, 0xab), (300_000_005, 1)] {
            writer.record(at, hash);
            text.extend(writer.text());
            writer.clear();
        }
        let trace = read(&text).expect("a trace");
        assert_eq!(trace.hashes(), [0xab, 0xcd, 1]);
        assert_eq!((trace.tick_count(), trace.records()), (4, 5));
        let mut shares = Vec::new();
        let average = 5.0 / 4.0;
        for (tick, counts) in
            [[2.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0; 3], [0.0, 0.0, 1.0]].into_iter().enumerate()
        {
            trace.fill(tick, &mut shares);
            assert_eq!(shares, counts.map(|count| count / average));
        }
    }

    #[test]
    fn what_is_no_trace_is_refused_with_its_line() {
        let cases: [(&[u8], &str); 11] = [
            (b"", "empty trace at t.trace line 1"),
            (b"millstream trace 1\n", "empty trace at t.trace line 2"),
            (b"millstream trace 2\n0 1\n", "no trace at t.trace line 1: millstream trace 2"),
            (b"\xff\xfe\x00\n", "no trace at t.trace line 1"),
            (b"millstream trace 1\n0 1\nx\n", "wrong record at t.trace line 3: x"),
            (b"millstream trace 1\n0 0\n", "wrong record at t.trace line 2: 0 0"),
            (b"millstream trace 1\n-1 1\n", "wrong record at t.trace line 2: -1 1"),
            (b"millstream trace 1\n1  1\n", "wrong record at t.trace line 2"),
            (b"millstream trace 1\n1 11111111111111111\n", "wrong record at t.trace line 2"),
            (b"millstream trace 1\n86400000000000 1\n", "trace too long at t.trace line 2"),
            (&[b'7'; 100_000], "no trace at t.trace line 1: 7777"),
        ];
        for (text, wanted) in cases {
            let error = read(text).expect_err(wanted);
            assert_eq!(error.kind(), ErrorKind::BadData);
            assert!(error.to_string().starts_with(wanted), "{error} is not {wanted}");
            assert!(!error.to_string().contains('\n'));
        }
    }

    #[test]
    fn a_last_line_without_an_end_is_a_record() {
        assert_eq!(read(b"millstream trace 1\n0 1").expect("a trace").records(), 1);
    }
}
