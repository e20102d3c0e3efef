//! Records that could not be read: where they stand and why.

use std::fmt;
use std::sync::Arc;

/// How much of a dead letter's text is kept, in characters.
const DETAIL_CHARS_MAX: usize = 80;

/// A record of an input that could not be read. The stream goes on without it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The path of the file, or the name of the bytes, that it stands in.
    pub source: Arc<str>,
    /// Bytes of the source before its first byte.
    pub offset: u64,
    /// The line that it begins on; the first line of a file is 1.
    pub line: u64,
    /// Why it could not be read.
    pub reason: DeadLetterReason,
    /// What was seen and what was allowed: escaped, at most 80 characters.
    pub detail: String,
}

impl fmt::Display for DeadLetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DeadLetter { source, offset, line, reason, detail } = self;
        write!(f, "{reason} at {source}:{line} (byte {offset}): {detail}")
    }
}

/// Why a record could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeadLetterReason {
    /// Its bytes are not UTF-8.
    InvalidUtf8,
    /// It is longer than 1 MiB.
    TooLong,
    /// The line is empty.
    EmptyLine,
    /// A quoted field does not end: on its line, or in multiline files within 1 MiB.
    UnclosedQuote,
    /// It has more or fewer fields than the header.
    ColumnCount,
    /// It is not of its format.
    Syntax,
    /// Something follows the value on its line.
    TrailingData,
    /// It is nested deeper than 128 levels.
    TooDeep,
    /// A key stands in it twice.
    DuplicateKey,
    /// A field that the type needs is missing.
    MissingField,
    /// A number does not fit the type of its field.
    OutOfRange,
    /// A value is of another type, or is none that the type allows.
    BadValue,
}

impl DeadLetterReason {
    /// The reason as one word in snake case, as in metrics and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            DeadLetterReason::InvalidUtf8 => "invalid_utf8",
            DeadLetterReason::TooLong => "too_long",
            DeadLetterReason::EmptyLine => "empty_line",
            DeadLetterReason::UnclosedQuote => "unclosed_quote",
            DeadLetterReason::ColumnCount => "column_count",
            DeadLetterReason::Syntax => "syntax",
            DeadLetterReason::TrailingData => "trailing_data",
            DeadLetterReason::TooDeep => "too_deep",
            DeadLetterReason::DuplicateKey => "duplicate_key",
            DeadLetterReason::MissingField => "missing_field",
            DeadLetterReason::OutOfRange => "out_of_range",
            DeadLetterReason::BadValue => "bad_value",
        }
    }
}

impl fmt::Display for DeadLetterReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a format did not take a line; becomes a [`DeadLetter`] where its place is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    pub(super) reason: DeadLetterReason,
    pub(super) detail: String,
}

impl Rejected {
    /// A rejection that says in `detail` what was seen and what is allowed; it is escaped and cut
    /// to 80 characters here.
    pub fn new(reason: DeadLetterReason, detail: &str) -> Rejected {
        Rejected { reason, detail: escaped(detail) }
    }

    /// A rejection whose text is the beginning of the record itself.
    pub fn quoting(reason: DeadLetterReason, record: &[u8]) -> Rejected {
        // Four bytes are the longest character, and a cut one is only a replacement character.
        let beginning = &record[..record.len().min(DETAIL_CHARS_MAX * 4)];
        Rejected::new(reason, &String::from_utf8_lossy(beginning))
    }
}

/// `text` with control characters, quotes and backslashes escaped, cut to 80 characters.
fn escaped(text: &str) -> String {
    let mut short = String::new();
    let mut chars = 0;
    for char in text.chars() {
        let escape = char.escape_debug();
        if chars + escape.len() > DETAIL_CHARS_MAX - 1 {
            short.push('…');
            break;
        }
        chars += escape.len();
        short.extend(escape);
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detail_is_escaped_and_short() {
        assert_eq!(escaped("a\u{1b}[1m\n\"é"), "a\\u{1b}[1m\\n\\\"é");
        let cut = escaped(&"\u{0}".repeat(100));
        assert!(cut.ends_with("\\0…") && cut.chars().count() <= 80, "{cut}");
        assert_eq!(escaped(&"x".repeat(100)).chars().count(), 80);
        let quoted = Rejected::quoting(DeadLetterReason::InvalidUtf8, b"ab\xff\xfe");
        assert_eq!(quoted.detail, "ab\u{fffd}\u{fffd}");
    }

    #[test]
    fn a_dead_letter_says_where_and_why_in_one_line() {
        let letter = DeadLetter {
            source: "in.csv".into(),
            offset: 70,
            line: 3,
            reason: DeadLetterReason::OutOfRange,
            detail: "delay: 1e9".to_string(),
        };
        assert_eq!(letter.to_string(), "out_of_range at in.csv:3 (byte 70): delay: 1e9");
    }
}
