//! Finds the fields of a CSV row without copying those that need no change.

/// Where the fields of one row are. Reused from row to row.
#[derive(Debug, Default)]
pub(super) struct Fields {
    places: Vec<Place>,
    /// The fields that are not in the row as they stand, one behind the other.
    unquoted: String,
}

/// `start..end` in the row, or in `Fields::unquoted`.
#[derive(Clone, Copy, Debug)]
struct Place {
    start: u32,
    end: u32,
    text: Text,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Text {
    Row,
    Unquoted,
}

/// A quote opens and none closes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UnclosedQuote;

impl Fields {
    /// Finds the fields of `row`, which has no newline outside quotes and at most 2^32 bytes.
    ///
    /// A field that begins with a quote ends with the next quote that is not doubled; what follows
    /// up to the delimiter belongs to it too. A quote elsewhere is a character like any other.
    #[inline]
    pub(super) fn split(&mut self, row: &str, delimiter: u8) -> Result<(), UnclosedQuote> {
        self.places.clear();
        if self.split_plain(row.as_bytes(), delimiter) {
            return Ok(());
        }
        self.split_with_quotes(row, delimiter)
    }

    /// Finds the fields of a row without quotes, eight bytes at a time, since fields are shorter
    /// than a search for one byte takes to get going. `false` if there is a quote.
    #[inline]
    fn split_plain(&mut self, bytes: &[u8], delimiter: u8) -> bool {
        let (delimiters, quotes) = (repeated(delimiter), repeated(b'"'));
        let mut start = 0;
        let mut chunk_start = 0;
        let (chunks, rest) = bytes.as_chunks::<8>();
        for &chunk in chunks {
            let word = u64::from_le_bytes(chunk);
            if zero_bytes(word ^ quotes) != 0 {
                return false;
            }
            let mut found = zero_bytes(word ^ delimiters);
            while found != 0 {
                let end = chunk_start + found.trailing_zeros() as usize / 8;
                self.push(start, end, Text::Row);
                start = end + 1;
                found &= found - 1;
            }
            chunk_start += 8;
        }
        for (index, &byte) in rest.iter().enumerate() {
            if byte == b'"' {
                return false;
            }
            if byte == delimiter {
                self.push(start, chunk_start + index, Text::Row);
                start = chunk_start + index + 1;
            }
        }
        self.push(start, bytes.len(), Text::Row);
        true
    }

    fn split_with_quotes(&mut self, row: &str, delimiter: u8) -> Result<(), UnclosedQuote> {
        self.places.clear();
        self.unquoted.clear();
        let bytes = row.as_bytes();
        let mut start = 0;
        loop {
            let end = if bytes.get(start) == Some(&b'"') {
                self.split_quoted(row, start, delimiter)?
            } else {
                let end = find(bytes, start, delimiter).unwrap_or(bytes.len());
                self.push(start, end, Text::Row);
                end
            };
            if end == bytes.len() {
                return Ok(());
            }
            start = end + 1;
        }
    }

    /// Finds the field whose quote opens at `open`; returns where it ends.
    fn split_quoted(
        &mut self,
        row: &str,
        open: usize,
        delimiter: u8,
    ) -> Result<usize, UnclosedQuote> {
        let bytes = row.as_bytes();
        let mut at = open + 1;
        let mut close = find(bytes, at, b'"').ok_or(UnclosedQuote)?;
        if bytes.get(close + 1).is_none_or(|&byte| byte == delimiter) {
            self.push(at, close, Text::Row);
            return Ok(close + 1);
        }
        let start = self.unquoted.len();
        while bytes.get(close + 1) == Some(&b'"') {
            // A doubled quote stands for one: the first is taken along.
            self.unquoted.push_str(&row[at..=close]);
            at = close + 2;
            close = find(bytes, at, b'"').ok_or(UnclosedQuote)?;
        }
        self.unquoted.push_str(&row[at..close]);
        let end = find(bytes, close + 1, delimiter).unwrap_or(bytes.len());
        self.unquoted.push_str(&row[close + 1..end]);
        self.push(start, self.unquoted.len(), Text::Unquoted);
        Ok(end)
    }

    #[inline]
    fn push(&mut self, start: usize, end: usize, text: Text) {
        self.places.push(Place { start: start as u32, end: end as u32, text });
    }

    /// How many fields the row has; at least one.
    #[inline]
    pub(super) fn count(&self) -> usize {
        self.places.len()
    }

    /// Field `index` of the row that was split.
    #[inline]
    pub(super) fn field<'a>(&'a self, row: &'a str, index: usize) -> &'a str {
        let Place { start, end, text } = self.places[index];
        let text = if text == Text::Row { row } else { &self.unquoted };
        &text[start as usize..end as usize]
    }

    /// All fields of the row that was split.
    pub(super) fn iter<'a>(&'a self, row: &'a str) -> impl Iterator<Item = &'a str> {
        (0..self.count()).map(move |index| self.field(row, index))
    }
}

/// `byte` in each of the eight bytes of a word.
#[inline]
fn repeated(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// The top bit of each byte that is zero, and no other bit. Exact: no byte's sum carries into the
/// next one.
#[inline]
fn zero_bytes(word: u64) -> u64 {
    const LOW_BITS: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    !(((word & LOW_BITS) + LOW_BITS) | word | LOW_BITS)
}

/// Where `wanted` stands first, from `start` on.
#[inline]
fn find(bytes: &[u8], start: usize, wanted: u8) -> Option<usize> {
    bytes[start..].iter().position(|&byte| byte == wanted).map(|found| start + found)
}

/// Whether a quote is open at the end of `record`, of which the first `known` bytes were seen
/// before, and ended in an open quote.
pub(super) fn is_open(record: &[u8], known: usize, delimiter: u8) -> bool {
    #[derive(PartialEq)]
    enum At {
        FieldStart,
        Field,
        Quoted,
        QuoteInQuoted,
    }
    let mut at = if known == 0 { At::FieldStart } else { At::Quoted };
    for &byte in &record[known..] {
        at = match (at, byte) {
            (At::Quoted, b'"') => At::QuoteInQuoted,
            (At::Quoted, _) | (At::FieldStart | At::QuoteInQuoted, b'"') => At::Quoted,
            (_, byte) if byte == delimiter => At::FieldStart,
            _ => At::Field,
        };
    }
    at == At::Quoted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fields(row: &str) -> Result<Vec<String>, UnclosedQuote> {
        let mut fields = Fields::default();
        fields.split(row, b',')?;
        Ok(fields.iter(row).map(str::to_string).collect())
    }

    #[test]
    fn fields_are_found() {
        for (row, expected) in [
            ("a,b", vec!["a", "b"]),
            ("a,", vec!["a", ""]),
            (",", vec!["", ""]),
            ("\"\"", vec![""]),
            ("\"a,b\",c", vec!["a,b", "c"]),
            ("\"a\"\"b\"", vec!["a\"b"]),
            ("\"\"\"\"", vec!["\""]),
            ("\"a\"b,c", vec!["ab", "c"]),
            ("a\"b\",c", vec!["a\"b\"", "c"]),
            ("\"é\"\"ü\",ö", vec!["é\"ü", "ö"]),
        ] {
            assert_eq!(fields(row).unwrap(), expected, "{row}");
        }
        for row in ["\"", "a,\"b", "\"a\"\"", "\"\"\""] {
            assert_eq!(fields(row), Err(UnclosedQuote), "{row}");
        }
    }

    proptest! {
        #[test]
        fn rows_are_split_as_the_csv_crate_splits_them(
            row in prop_oneof!["[ab,\"é ]{1,12}", "[a,é\u{2c}\u{ac}\u{80}+-]{1,40}"],
        ) {
            prop_assume!(!is_open(row.as_bytes(), 0, b','));
            let mut reader = csv::ReaderBuilder::new()
                .has_headers(false)
                .from_reader(row.as_bytes());
            let expected = reader.records().next().unwrap().unwrap();
            prop_assert_eq!(fields(&row).unwrap(), expected.iter().collect::<Vec<_>>());
        }

        #[test]
        fn open_is_what_cannot_be_split(row in "[ab,\"\n]{0,12}", cut in 0usize..12) {
            let whole = is_open(row.as_bytes(), 0, b',');
            prop_assert_eq!(whole, fields(&row).is_err());
            // A cut stands behind a newline, so never behind a quote.
            let known = &row.as_bytes()[..cut.min(row.len())];
            if known.last().is_some_and(|&last| last != b'"') && is_open(known, 0, b',') {
                prop_assert_eq!(is_open(row.as_bytes(), known.len(), b','), whole);
            }
        }
    }
}
