//! Variables of the environment that mean something elsewhere and nothing here.

use std::ffi::OsString;

use crate::config::wording::shown;

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// One warning that names every odd value among `RUST_LOG`, the locale and the time zone, all of
/// which are ignored; `None` if none is odd.
///
/// Output is UTF-8 and times are UTC, whatever these say.
pub(crate) fn warning(variables: &[(OsString, OsString)]) -> Option<String> {
    let odd: Vec<String> = variables
        .iter()
        .filter_map(|(name, value)| {
            let name = name.to_str()?;
            is_odd(name, value).then(|| format!("{name}={}", shown(&value.to_string_lossy())))
        })
        .collect();
    if odd.is_empty() {
        return None;
    }
    Some(format!("odd value at environment: {}; ignored", odd.join(", ")))
}

fn is_odd(name: &str, value: &OsString) -> bool {
    let text = value.to_str();
    match name {
        "RUST_LOG" => !text.is_some_and(is_log_filter),
        "LANG" | "LANGUAGE" | "TZ" => !text.is_some_and(is_plain),
        _ if name.starts_with("LC_") => !text.is_some_and(is_plain),
        _ => false,
    }
}

/// Whether each directive is a level or `target=level`.
fn is_log_filter(filter: &str) -> bool {
    filter.split(',').map(str::trim).filter(|directive| !directive.is_empty()).all(|directive| {
        let level = directive.rsplit('=').next().unwrap_or_default().trim();
        LEVELS.contains(&level.to_ascii_lowercase().as_str())
    })
}

/// Whether `text` could name a locale or a time zone at all.
fn is_plain(text: &str) -> bool {
    text.chars().all(|character| character.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warn(pairs: &[(&str, &str)]) -> Option<String> {
        let variables: Vec<_> =
            pairs.iter().map(|(name, value)| (name.into(), value.into())).collect();
        warning(&variables)
    }

    #[test]
    fn usual_values_pass_in_silence() {
        assert_eq!(
            warn(&[
                ("RUST_LOG", "warn,millstream=debug"),
                ("LANG", "de_DE.UTF-8@euro"),
                ("LC_ALL", "C"),
                ("TZ", ":/etc/localtime"),
                ("OTHER", "\u{7}"),
            ]),
            None
        );
        assert_eq!(warn(&[("RUST_LOG", "")]), None);
    }

    #[test]
    fn all_odd_values_share_one_warning() {
        assert_eq!(
            warn(&[("RUST_LOG", "garbage"), ("LC_ALL", "\u{1b}[0m"), ("TZ", "Mars\n")]),
            Some(
                "odd value at environment: RUST_LOG=garbage, LC_ALL=\\u{1b}[0m, TZ=Mars\\n; \
                 ignored"
                    .to_owned()
            )
        );
    }

    #[cfg(unix)]
    #[test]
    fn value_that_is_not_utf8_is_odd() {
        use std::os::unix::ffi::OsStringExt;
        let variables = [("LANG".into(), OsString::from_vec(vec![0xff]))];
        assert!(warning(&variables).is_some());
    }
}
