//! Values of knobs from text: counts, byte sizes, durations, names; pure, with units and bounds.

use std::ops::RangeInclusive;
use std::time::Duration;

const BYTE_UNITS: [(&str, u64); 11] = [
    ("PiB", 1 << 50),
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("KB", 1_000),
    ("B", 1),
];

const DURATION_UNITS: [(&str, u64); 6] = [
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Why a value was refused, before anybody said where it stood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// What is wrong, as in `out of range`.
    pub(crate) what: &'static str,
    /// What is allowed, as in `allowed 1..=1024`.
    pub(crate) allowed: String,
}

impl Refusal {
    /// Makes a refusal; `allowed` is the rest of the sentence "allowed …".
    pub(crate) fn new(what: &'static str, allowed: impl std::fmt::Display) -> Refusal {
        Refusal { what, allowed: format!("allowed {allowed}") }
    }
}

/// A type whose every value has a name: one of the words that a knob allows.
pub(crate) trait Choice: Copy + PartialEq + 'static {
    /// Every value with its name, in the order in which help lists them.
    const NAMES: &'static [(&'static str, Self)];

    /// The name of this value.
    fn name(self) -> &'static str {
        Self::NAMES
            .iter()
            .find(|(_, value)| *value == self)
            .map(|(name, _)| *name)
            .expect("NAMES lists every value")
    }
}

/// Reads one of the names of `T`.
pub(crate) fn choice<T: Choice>(text: &str) -> Result<T, Refusal> {
    T::NAMES
        .iter()
        .find(|(name, _)| *name == text)
        .map(|(_, value)| *value)
        .ok_or_else(|| Refusal::new("unknown value", names::<T>()))
}

/// The names of `T` with `|` between them, as help shows them.
pub(crate) fn names<T: Choice>() -> String {
    T::NAMES.iter().map(|(name, _)| *name).collect::<Vec<_>>().join("|")
}

/// Reads a whole number in decimal digits: no sign, no exponent, no separators.
pub(crate) fn count(text: &str, range: RangeInclusive<u64>) -> Result<u64, Refusal> {
    let refused = |what| Refusal::new(what, format!("{}..={}", range.start(), range.end()));
    if text.is_empty() {
        return Err(refused("empty value"));
    }
    if !is_digits(text.strip_prefix('-').unwrap_or(text)) {
        return Err(refused("not a whole number"));
    }
    // Digits that do not fit are as far out of range as a negative number.
    let number = text.parse().map_err(|_| refused("out of range"))?;
    if range.contains(&number) { Ok(number) } else { Err(refused("out of range")) }
}

/// Reads a size in bytes: `64KiB`, `1MB`, or a plain number of bytes.
pub(crate) fn bytes(text: &str, range: RangeInclusive<u64>) -> Result<u64, Refusal> {
    let refused = |what| {
        let (least, most) = (bytes_text(*range.start()), bytes_text(*range.end()));
        Refusal::new(
            what,
            format!(
                "{least}..={most}, bytes or with a unit of KiB, MiB, GiB, TiB, PiB, kB, MB, GB, TB"
            ),
        )
    };
    let (number, unit) = number_and_unit(text).map_err(refused)?;
    let scale = match unit {
        "" => 1,
        _ => scale_of(unit, &BYTE_UNITS).ok_or_else(|| refused("unknown unit"))?,
    };
    let size = number.and_then(|number| number.checked_mul(scale));
    size.filter(|size| range.contains(size)).ok_or_else(|| refused("out of range"))
}

/// Reads a duration: a whole number with a unit, or `0`.
pub(crate) fn duration(text: &str, range: RangeInclusive<Duration>) -> Result<Duration, Refusal> {
    let refused = |what| {
        let (least, most) = (duration_text(*range.start()), duration_text(*range.end()));
        Refusal::new(
            what,
            format!("{least}..={most}, a whole number with a unit of ns, us, ms, s, m, h"),
        )
    };
    let (number, unit) = number_and_unit(text).map_err(refused)?;
    let scale = match unit {
        "" if number == Some(0) => 1,
        "" => return Err(refused("number without a unit")),
        _ => scale_of(unit, &DURATION_UNITS).ok_or_else(|| refused("unknown unit"))?,
    };
    let duration = number.and_then(|number| number.checked_mul(scale)).map(Duration::from_nanos);
    duration.filter(|duration| range.contains(duration)).ok_or_else(|| refused("out of range"))
}

/// Writes a size so that [`bytes`] reads it back: in the largest binary unit that divides it.
pub(crate) fn bytes_text(size: u64) -> String {
    let binary =
        BYTE_UNITS.iter().take(5).find(|(_, scale)| size >= *scale && size.is_multiple_of(*scale));
    match binary {
        Some((unit, scale)) => format!("{}{unit}", size / scale),
        None => format!("{size}B"),
    }
}

/// Writes a duration so that [`duration`] reads it back: in the largest unit that divides it.
pub(crate) fn duration_text(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let exact = DURATION_UNITS.iter().find(|(_, scale)| nanos.is_multiple_of(u128::from(*scale)));
    match exact {
        Some((unit, scale)) if nanos > 0 => format!("{}{unit}", nanos / u128::from(*scale)),
        _ => "0".to_owned(),
    }
}

/// Splits digits from the unit behind them. The number is `None` where it does not fit or is
/// negative, which every range refuses.
fn number_and_unit(text: &str) -> Result<(Option<u64>, &str), &'static str> {
    if text.is_empty() {
        return Err("empty value");
    }
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let unit_start = unsigned.find(|c: char| !c.is_ascii_digit()).unwrap_or(unsigned.len());
    let (digits, unit) = unsigned.split_at(unit_start);
    if digits.is_empty() || unit.starts_with(['.', ',', '_', '+', '-']) {
        return Err("not a whole number");
    }
    let number = if unsigned.len() == text.len() { digits.parse().ok() } else { None };
    Ok((number, unit))
}

fn scale_of(unit: &str, units: &[(&str, u64)]) -> Option<u64> {
    units.iter().find(|(name, _)| *name == unit).map(|(_, scale)| *scale)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECONDS: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(10);

    fn what<T: std::fmt::Debug>(outcome: Result<T, Refusal>) -> &'static str {
        outcome.expect_err("refused").what
    }

    #[test]
    fn count_takes_digits_within_its_bounds() {
        assert_eq!(count("1", 1..=1024), Ok(1));
        assert_eq!(count("1024", 1..=1024), Ok(1024));
        assert_eq!(count("18446744073709551615", 0..=u64::MAX), Ok(u64::MAX));
        for (text, problem) in [
            ("0", "out of range"),
            ("-1", "out of range"),
            ("1025", "out of range"),
            ("99999999999", "out of range"),
            ("99999999999999999999999", "out of range"),
            ("1e3", "not a whole number"),
            ("+1", "not a whole number"),
            ("1_0", "not a whole number"),
            ("--1", "not a whole number"),
            ("-", "not a whole number"),
            (" 1", "not a whole number"),
            ("٣", "not a whole number"),
            ("", "empty value"),
        ] {
            let refusal = count(text, 1..=1024).expect_err(text);
            assert_eq!(refusal.what, problem, "{text}");
            assert_eq!(refusal.allowed, "allowed 1..=1024");
        }
    }

    #[test]
    fn bytes_know_binary_and_decimal_units() {
        let range = 1..=u64::MAX;
        assert_eq!(bytes("64KiB", range.clone()), Ok(65_536));
        assert_eq!(bytes("1MB", range.clone()), Ok(1_000_000));
        assert_eq!(bytes("2TiB", range.clone()), Ok(2 << 40));
        assert_eq!(bytes("512", range.clone()), Ok(512));
        assert_eq!(bytes("7B", range.clone()), Ok(7));
        assert_eq!(what(bytes("1mb", range.clone())), "unknown unit");
        assert_eq!(what(bytes("1 MB", range.clone())), "unknown unit");
        assert_eq!(what(bytes("1.5MB", range.clone())), "not a whole number");
        assert_eq!(what(bytes("MB", range.clone())), "not a whole number");
        assert_eq!(what(bytes("-1MB", range.clone())), "out of range");
        assert_eq!(what(bytes("99999999TiB", range.clone())), "out of range");
        assert_eq!(what(bytes("0", range)), "out of range");
    }

    #[test]
    fn duration_needs_a_unit_unless_it_is_zero() {
        assert_eq!(duration("10ms", SECONDS), Ok(Duration::from_millis(10)));
        assert_eq!(duration("500us", SECONDS), Ok(Duration::from_micros(500)));
        assert_eq!(duration("2s", SECONDS), Ok(Duration::from_secs(2)));
        assert_eq!(duration("0", SECONDS), Ok(Duration::ZERO));
        assert_eq!(duration("0s", SECONDS), Ok(Duration::ZERO));
        assert_eq!(what(duration("5", SECONDS)), "number without a unit");
        assert_eq!(what(duration("5y", SECONDS)), "unknown unit");
        assert_eq!(what(duration("5 s", SECONDS)), "unknown unit");
        assert_eq!(what(duration("-5s", SECONDS)), "out of range");
        assert_eq!(what(duration("1m", SECONDS)), "out of range");
        assert_eq!(what(duration("99999999999999999h", SECONDS)), "out of range");
        assert_eq!(what(duration("1.5s", SECONDS)), "not a whole number");
        assert_eq!(what(duration("soon", SECONDS)), "not a whole number");
        let refusal = duration("5", SECONDS).expect_err("no unit");
        assert_eq!(
            refusal.allowed,
            "allowed 0..=10s, a whole number with a unit of ns, us, ms, s, m, h"
        );
    }

    #[test]
    fn positive_range_refuses_zero_in_any_unit() {
        let range = Duration::from_nanos(1)..=Duration::from_secs(3600);
        assert_eq!(what(duration("0", range.clone())), "out of range");
        assert_eq!(what(duration("0s", range.clone())), "out of range");
        assert_eq!(duration("1h", range), Ok(Duration::from_secs(3600)));
    }

    proptest! {
        #[test]
        fn sizes_and_durations_are_read_back_as_written(number in any::<u64>()) {
            prop_assert_eq!(bytes(&bytes_text(number), 0..=u64::MAX), Ok(number));
            let span = Duration::from_nanos(number);
            prop_assert_eq!(duration(&duration_text(span), Duration::ZERO..=span), Ok(span));
        }

        #[test]
        fn no_text_makes_a_parser_panic(text in any::<String>()) {
            let _ = count(&text, 1..=9);
            let _ = bytes(&text, 1..=9);
            let _ = duration(&text, SECONDS);
        }
    }
}
