//! Reads points in time from text.

use std::str::FromStr;

use crate::error::{Error, ErrorKind, Result};
use crate::time::Timestamp;

/// Reads RFC 3339 and its shorter forms: `2001-01-31`, `2001-01-31T23:59`,
/// `2001-01-31 23:59:59.123456Z`, `2001-01-31T23:59:59+01:00`.
///
/// Without a zone it is UTC. What is finer than a millisecond is cut off. A leap second, `:60`, is
/// the first second of the next minute, as in POSIX time.
///
/// # Errors
/// [`ErrorKind::BadData`] with the text, and what is wrong with it.
///
/// # Examples
/// ```
/// use millstream::time::Timestamp;
///
/// let time: Timestamp = "2001-01-01T01:00:00.5+01:00".parse()?;
/// assert_eq!(time.as_millis(), 978_307_200_500);
/// assert!("2026-02-30".parse::<Timestamp>().is_err());
/// # Ok::<(), millstream::Error>(())
/// ```
impl FromStr for Timestamp {
    type Err = Error;

    fn from_str(text: &str) -> Result<Timestamp> {
        let mut rest = Rest { text, bytes: text.as_bytes() };
        let days = rest.date()?;
        let mut millis = days * 86_400_000;
        if let Some(b'T' | b't' | b' ') = rest.bytes.first() {
            rest.bytes = &rest.bytes[1..];
            millis += rest.time_of_day()?;
            millis -= rest.zone()?;
        }
        if !rest.bytes.is_empty() {
            return Err(rest.wrong("something follows the time"));
        }
        Ok(Timestamp::from_millis(millis))
    }
}

/// What has not been read.
struct Rest<'a> {
    text: &'a str,
    bytes: &'a [u8],
}

impl Rest<'_> {
    fn wrong(&self, what: &str) -> Error {
        let text: String = self.text.chars().take(40).collect();
        let context = format!("time `{}`: {what}", text.escape_debug());
        Error::new(ErrorKind::BadData, context)
    }

    /// Exactly `digits` digits, as a number of `allowed`.
    fn number(&mut self, digits: usize, allowed: std::ops::RangeInclusive<i64>) -> Result<i64> {
        let Some((number, rest)) = self.bytes.split_at_checked(digits) else {
            return Err(self.wrong("it ends too early"));
        };
        if !number.iter().all(u8::is_ascii_digit) {
            return Err(self.wrong("a digit is missing"));
        }
        let number = number.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
        if !allowed.contains(&number) {
            let (low, high) = (allowed.start(), allowed.end());
            return Err(self.wrong(&format!("{number} is not within {low} to {high}")));
        }
        self.bytes = rest;
        Ok(number)
    }

    /// Whether `byte` is next; if so it is read.
    fn takes(&mut self, byte: u8) -> bool {
        let is_next = self.bytes.first() == Some(&byte);
        self.bytes = &self.bytes[usize::from(is_next)..];
        is_next
    }

    fn expect(&mut self, byte: u8) -> Result<()> {
        if self.takes(byte) {
            return Ok(());
        }
        Err(self.wrong(&format!("`{}` is missing", byte as char)))
    }

    /// Days since the epoch.
    fn date(&mut self) -> Result<i64> {
        let year = self.number(4, 0..=9999)?;
        self.expect(b'-')?;
        let month = self.number(2, 1..=12)?;
        self.expect(b'-')?;
        let day = self.number(2, 1..=days_of_month(year, month))?;
        Ok(days_since_epoch(year, month, day))
    }

    fn time_of_day(&mut self) -> Result<i64> {
        let hours = self.number(2, 0..=23)?;
        self.expect(b':')?;
        let minutes = self.number(2, 0..=59)?;
        let mut millis = (hours * 60 + minutes) * 60_000;
        if self.takes(b':') {
            millis += self.number(2, 0..=60)? * 1_000;
            if self.takes(b'.') {
                millis += self.fraction()?;
            }
        }
        Ok(millis)
    }

    /// Milliseconds of a fraction of a second.
    fn fraction(&mut self) -> Result<i64> {
        let digits = self.bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return Err(self.wrong("a digit is missing"));
        }
        let (fraction, rest) = self.bytes.split_at(digits);
        self.bytes = rest;
        let digit = |place: usize| fraction.get(place).map_or(0, |digit| i64::from(digit - b'0'));
        Ok(digit(0) * 100 + digit(1) * 10 + digit(2))
    }

    /// How far the zone is ahead of UTC, in milliseconds.
    fn zone(&mut self) -> Result<i64> {
        let sign = match self.bytes.first() {
            Some(b'Z' | b'z') => {
                self.bytes = &self.bytes[1..];
                return Ok(0);
            }
            Some(b'+') => 1,
            Some(b'-') => -1,
            _ => return Ok(0),
        };
        self.bytes = &self.bytes[1..];
        let hours = self.number(2, 0..=23)?;
        self.expect(b':')?;
        let minutes = self.number(2, 0..=59)?;
        Ok(sign * (hours * 60 + minutes) * 60_000)
    }
}

fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days of the proleptic Gregorian calendar since 1970-01-01. Years are taken to begin in March, so
/// that the leap day is the last (Howard Hinnant, *chrono-compatible low-level date algorithms*).
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(text: &str) -> i64 {
        text.parse::<Timestamp>().expect(text).as_millis()
    }

    #[test]
    fn all_forms_are_read() {
        assert_eq!(millis("1970-01-01"), 0);
        assert_eq!(millis("2000-02-29T12:34"), 951_827_640_000);
        assert_eq!(millis("2001-01-01 00:01:00"), 978_307_260_000);
        assert_eq!(millis("1969-12-31T23:59:59.9999Z"), -1);
        assert_eq!(millis("2016-12-31T23:59:60Z"), millis("2017-01-01"));
        assert_eq!(millis("2001-01-01T05:30+05:30"), millis("2001-01-01"));
        assert_eq!(millis("2000-12-31T16:00-08:00"), millis("2001-01-01"));
        assert_eq!(millis("0000-03-01"), -62_162_035_200_000);
        assert_eq!(millis("9999-12-31T23:59:59.999"), 253_402_300_799_999);
    }

    #[test]
    fn what_is_no_time_says_why() {
        for (text, why) in [
            ("", "it ends too early"),
            ("2026-02-30", "30 is not within 1 to 28"),
            ("2026-13-01", "13 is not within 1 to 12"),
            ("2026-1-01", "a digit is missing"),
            ("2026/01/01", "`-` is missing"),
            ("2026-01-01T24:00", "24 is not within 0 to 23"),
            ("2026-01-01T00:00:00.", "a digit is missing"),
            ("2026-01-01T00:00+1", "it ends too early"),
            ("2026-01-01T00:00 Z", "something follows the time"),
            ("9223372036854775807", "`-` is missing"),
        ] {
            let error = text.parse::<Timestamp>().expect_err(text);
            assert_eq!(error.kind(), ErrorKind::BadData);
            assert_eq!(error.to_string(), format!("time `{text}`: {why}"));
        }
    }
}
