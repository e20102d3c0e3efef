//! `json_lines`: lines of JSON as a source, typed by serde.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::connector::dead_letter::{DeadLetterReason, Rejected};
use crate::connector::file::{FileConnector, Format, Paths};

/// A source of files with one JSON value on each line, as `T`.
///
/// A dead letter is a line that is empty, longer than 1 MiB, not UTF-8 or not exactly one JSON
/// value; a value that `T` does not take (a field is missing or stands there twice, a number does
/// not fit, `"12"` where a number belongs); and what is nested deeper than 128 levels. How files
/// are read in parallel: [`FileConnector`].
pub fn json_lines<T>(paths: impl Into<Paths>) -> FileConnector<Json<T>>
where
    T: DeserializeOwned + Send + 'static,
{
    FileConnector::of_paths(Json(PhantomData), paths)
}

/// Like [`json_lines`], of bytes in memory.
pub fn json_bytes<T>(bytes: impl Into<Arc<[u8]>>) -> FileConnector<Json<T>>
where
    T: DeserializeOwned + Send + 'static,
{
    FileConnector::of_bytes(Json(PhantomData), bytes)
}

/// The format of [`json_lines`].
pub struct Json<T>(PhantomData<fn() -> T>);

impl<T> Clone for Json<T> {
    fn clone(&self) -> Self {
        Json(PhantomData)
    }
}

impl<T> fmt::Debug for Json<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Json")
    }
}

impl<T: DeserializeOwned + Send + 'static> Format for Json<T> {
    type Record = T;

    const NAME: &'static str = "json";

    #[inline]
    fn parse(&mut self, line: &[u8]) -> Result<T, Rejected> {
        // Checked as a whole: serde_json looks only at the strings that `T` takes.
        let text = std::str::from_utf8(line)
            .map_err(|_| Rejected::quoting(DeadLetterReason::InvalidUtf8, line))?;
        serde_json::from_str(text).map_err(|error| rejected(line, &error))
    }
}

/// The reason is read off serde_json's message, since its error has no more to tell; the tests
/// below hold every message that is looked for.
#[cold]
fn rejected(line: &[u8], error: &serde_json::Error) -> Rejected {
    let message = error.to_string();
    let reason = match error.classify() {
        Category::Data if message.starts_with("duplicate field") => DeadLetterReason::DuplicateKey,
        Category::Data if message.starts_with("missing field") => DeadLetterReason::MissingField,
        Category::Data if is_out_of_range(line, error, &message) => DeadLetterReason::OutOfRange,
        Category::Data => DeadLetterReason::BadValue,
        _ if message.starts_with("number out of range") => DeadLetterReason::OutOfRange,
        _ if message.starts_with("recursion limit") => DeadLetterReason::TooDeep,
        _ if message.starts_with("trailing characters") => DeadLetterReason::TrailingData,
        _ => DeadLetterReason::Syntax,
    };
    Rejected::new(reason, &message)
}

/// Whether a number was refused for its size: an integer that `T` has no room for, or one beyond 64
/// bits, which serde_json reads as a floating-point number before `T` refuses it.
fn is_out_of_range(line: &[u8], error: &serde_json::Error, message: &str) -> bool {
    if message.starts_with("invalid value: integer") {
        return true;
    }
    if !message.starts_with("invalid type: floating point") {
        return false;
    }
    // The column is that of the number's last byte, counted from 1.
    let before = &line[..error.column().min(line.len())];
    let digits = before.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let leading = before[..before.len() - digits].last();
    digits > 0 && !matches!(leading, Some(b'.' | b'e' | b'E' | b'+'))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Order {
        id: i64,
        #[serde(default)]
        price: f64,
    }

    fn reason<T: DeserializeOwned + Send + 'static>(line: &str) -> DeadLetterReason {
        match Json::<T>(PhantomData).parse(line.as_bytes()) {
            Ok(_) => panic!("{line} was taken"),
            Err(rejected) => rejected.reason,
        }
    }

    #[test]
    fn bad_lines_are_refused_with_their_reason() {
        use DeadLetterReason::*;
        for (line, expected) in [
            ("{", Syntax),
            ("{\"id\":1", Syntax),
            ("\0", Syntax),
            ("{\"id\":1}\0", TrailingData),
            ("{\"id\":1} x", TrailingData),
            ("{\"id\":1}{\"id\":2}", TrailingData),
            ("{\"id\":NaN}", Syntax),
            ("{\"id\":1,\"price\":Infinity}", Syntax),
            ("{\"id\":1,\"id\":2}", DuplicateKey),
            ("{\"price\":1.0}", MissingField),
            ("{\"id\":\"12\"}", BadValue),
            ("{\"id\":1.5}", BadValue),
            ("{\"id\":1e3}", BadValue),
            ("{\"id\":1e+3}", BadValue),
            ("{\"id\":9223372036854775808}", OutOfRange),
            ("{\"id\":-9223372036854775809}", OutOfRange),
            ("{\"id\":18446744073709551616 }", OutOfRange),
            ("{\"id\":1,\"price\":1e400}", OutOfRange),
            ("{\"id\":1,\"price\":-1e400}", OutOfRange),
        ] {
            assert_eq!(reason::<Order>(line), expected, "{line}");
        }
        assert_eq!(reason::<i8>("128"), OutOfRange);
        assert_eq!(reason::<u64>("-1"), OutOfRange);
        assert_eq!(reason::<u64>("99999999999999999999"), OutOfRange);
        assert_eq!(reason::<serde_json::Value>(&"[".repeat(100_000)), TooDeep);
        assert_eq!(reason::<HashMap<String, i32>>("{\"a\":{}}"), BadValue);
    }

    #[test]
    fn invalid_utf8_is_refused_even_where_nobody_looks() {
        let rejected = Json::<Order>(PhantomData).parse(b"{\"id\":1,\"x\":\"\xff\"}").unwrap_err();
        assert_eq!(rejected.reason, DeadLetterReason::InvalidUtf8);
    }

    #[test]
    fn deep_values_that_nobody_wants_are_skipped_without_recursion() {
        let deep = format!("{{\"id\":1,\"x\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        match Json::<Order>(PhantomData).parse(deep.as_bytes()) {
            Ok(order) => assert_eq!(order.id, 1),
            Err(rejected) => assert_eq!(rejected.reason, DeadLetterReason::TooDeep),
        }
    }

    #[test]
    fn minus_zero_and_the_largest_integers_are_kept() {
        let order = Json::<Order>(PhantomData)
            .parse(b" {\"id\":9223372036854775807,\"price\":-0.0}\t")
            .unwrap();
        assert_eq!(order.id, i64::MAX);
        assert!(order.price == 0.0 && order.price.is_sign_negative());
    }
}
