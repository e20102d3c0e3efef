//! One layer of settings, as text, before it is checked: flags, environment, file or code.

use std::ffi::OsString;
use std::fmt;

use crate::config::knob::Knob;
use crate::config::parse::Refusal;
use crate::config::wording::{closest, shown};
use crate::error::{Error, ErrorKind};

/// What every variable of the environment that is ours begins with.
const PREFIX: &str = "MILLSTREAM_";

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A flag of the command line, as in `--linger`.
    Flag(String),
    /// A variable of the environment, as in `MILLSTREAM_LINGER`.
    Variable(String),
    /// A key of a configuration file.
    File {
        /// The file, printable.
        path: String,
        /// Counted from 1.
        line: usize,
        /// In characters, counted from 1.
        column: usize,
        /// The key path, as in `linger`.
        key: String,
    },
    /// A method of [`ConfigBuilder`](crate::config::ConfigBuilder).
    Code(&'static str),
}

/// Settings from one origin, not yet checked. Reading a layer never fails: what is wrong with it
/// is told by [`Config::resolve`](crate::config::Config::resolve), with the wrongs of all others.
#[derive(Debug, Default)]
pub struct Layer {
    pub(in crate::config) settings: Vec<Setting>,
    pub(in crate::config) problems: Vec<Error>,
}

/// A knob, the text that was written for it, and where.
#[derive(Debug)]
pub(in crate::config) struct Setting {
    pub(in crate::config) knob: &'static Knob,
    pub(in crate::config) text: String,
    pub(in crate::config) origin: Origin,
}

impl Layer {
    /// Reads the variables that begin with `MILLSTREAM_`.
    ///
    /// A name that is no knob but nearly one is a problem; any other is left alone, since
    /// orchestrators set names such as `MILLSTREAM_SERVICE_HOST` after a service called
    /// `millstream`.
    ///
    /// * `variables` - names and values, as `std::env::vars_os` gives them.
    pub fn from_variables<I>(variables: I) -> Layer
    where
        I: IntoIterator<Item = (OsString, OsString)>,
    {
        let mut layer = Layer::default();
        for (name, value) in variables {
            let Ok(name) = name.into_string() else { continue };
            if name.starts_with(PREFIX) {
                layer.set_variable(name, value);
            }
        }
        layer
    }

    /// Adds a value for `knob` as it was written at `origin`.
    pub fn set(&mut self, knob: &'static Knob, text: impl Into<String>, origin: Origin) {
        self.settings.push(Setting { knob, text: text.into(), origin });
    }

    /// Adds a problem that was met while the layer was read.
    pub fn refuse(&mut self, problem: Error) {
        self.problems.push(problem);
    }

    fn set_variable(&mut self, name: String, value: OsString) {
        let variables: Vec<String> = Knob::all().iter().map(Knob::variable).collect();
        if let Some(index) = variables.iter().position(|variable| *variable == name) {
            let origin = Origin::Variable(name);
            match value.into_string() {
                Ok(text) => self.set(&Knob::all()[index], text, origin),
                Err(value) => self.problems.push(origin.not_utf8(&value)),
            }
            return;
        }
        let knobs = variables.iter().map(|variable| &variable[PREFIX.len()..]);
        if let Some(meant) = closest(&name[PREFIX.len()..], knobs) {
            let line = format!(
                "unknown variable at environment: {}; did you mean {PREFIX}{meant}",
                shown(&name)
            );
            self.problems.push(Error::new(ErrorKind::Usage, line));
        }
    }
}

impl Origin {
    /// The error for a value that was refused here.
    pub(crate) fn refuse(&self, value: &str, refusal: &Refusal) -> Error {
        let Refusal { what, allowed } = refusal;
        Error::new(self.kind(), format!("{what} at {self}: {}; {allowed}", shown(value)))
    }

    /// The error for a value that is not UTF-8.
    pub(crate) fn not_utf8(&self, value: &OsString) -> Error {
        self.refuse(&value.to_string_lossy(), &Refusal::new("not UTF-8", "UTF-8 text"))
    }

    /// What the caller can do about a wrong value here.
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Origin::Flag(_) | Origin::Variable(_) => ErrorKind::Usage,
            Origin::File { .. } | Origin::Code(_) => ErrorKind::InvalidConfig,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Flag(flag) => f.write_str(flag),
            Origin::Variable(name) => f.write_str(name),
            Origin::File { path, line, column, key } => {
                write!(f, "{path}:{line}:{column} ({key})")
            }
            Origin::Code(method) => f.write_str(method),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> Layer {
        Layer::from_variables(pairs.iter().map(|(name, value)| (name.into(), value.into())))
    }

    #[test]
    fn variables_of_knobs_are_read_and_others_left_alone() {
        let layer = variables(&[
            ("PATH", "/bin"),
            ("MILLSTREAM_LINGER", "10ms"),
            ("MILLSTREAM_SERVICE_HOST", "10.0.0.1"),
            ("MILLSTREAM_PORT", "tcp://10.0.0.1:80"),
        ]);
        assert!(layer.problems.is_empty());
        let settings: Vec<_> =
            layer.settings.iter().map(|s| (s.knob.key(), s.text.as_str())).collect();
        assert_eq!(settings, [("linger", "10ms")]);
    }

    #[test]
    fn variable_that_is_nearly_a_knob_is_a_problem() {
        let layer = variables(&[("MILLSTREAM_PARTITONS", "4")]);
        assert_eq!(
            layer.problems[0].to_string(),
            "unknown variable at environment: MILLSTREAM_PARTITONS; \
             did you mean MILLSTREAM_PARTITIONS"
        );
        assert_eq!(layer.problems[0].kind(), ErrorKind::Usage);
    }

    #[cfg(unix)]
    #[test]
    fn variable_that_is_not_utf8_is_a_problem() {
        use std::os::unix::ffi::OsStringExt;
        let value = OsString::from_vec(vec![b'1', 0xff]);
        let layer = Layer::from_variables([("MILLSTREAM_PARTITIONS".into(), value)]);
        assert_eq!(
            layer.problems[0].to_string(),
            "not UTF-8 at MILLSTREAM_PARTITIONS: 1\u{fffd}; allowed UTF-8 text"
        );
    }

    #[test]
    fn origin_decides_the_kind() {
        let refusal = Refusal::new("out of range", "1..=1024");
        let file =
            Origin::File { path: "a.toml".into(), line: 3, column: 14, key: "partitions".into() };
        let error = file.refuse("0", &refusal);
        assert_eq!(
            error.to_string(),
            "out of range at a.toml:3:14 (partitions): 0; allowed 1..=1024"
        );
        assert_eq!(error.kind().exit_code(), 78);
        let error = Origin::Flag("--partitions".to_owned()).refuse("0", &refusal);
        assert_eq!(error.to_string(), "out of range at --partitions: 0; allowed 1..=1024");
        assert_eq!(error.kind().exit_code(), 64);
    }
}
