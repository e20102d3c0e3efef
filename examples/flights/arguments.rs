//! The arguments of `flights`: a file, `--partitions`, `--format`; all problems at once.

use std::ffi::OsString;
use std::path::PathBuf;

use millstream::config::{Knob, Layer, Origin};
use millstream::prelude::*;

pub(crate) const HELP: &str = "\
Delays of flights by airport.

Usage: flights [FILE] [--partitions N] [--format text|json]

  FILE            rows of date,delay,distance,origin,destination with a header, plain or .gz;
                  default: the 100,000 flights that come with the example
  --partitions N  1..=1024; default one per core
  --format        text (default) or json
";

/// How the result is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    #[default]
    Text,
    Json,
}

/// What the arguments ask for.
#[derive(Debug, Default)]
pub(crate) struct Arguments {
    /// `None`: the rows that come with the example.
    pub(crate) file: Option<PathBuf>,
    pub(crate) format: Format,
    pub(crate) config: Config,
    pub(crate) wants_help: bool,
}

impl Arguments {
    /// Reads `arguments` (without the program's name) over `environment`.
    ///
    /// # Errors
    /// Everything that is wrong with both, a line each.
    pub(crate) fn parse(
        arguments: impl IntoIterator<Item = OsString>,
        environment: Layer,
    ) -> Result<Arguments> {
        let (mut parsed, mut flags) = (Arguments::default(), Layer::default());
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            match argument.to_str().filter(|text| text.starts_with('-')) {
                Some(flag) => parsed.read_flag(flag, &mut arguments, &mut flags),
                None if parsed.file.is_none() => parsed.file = Some(argument.into()),
                None => flags.refuse(usage("second file", "flights", &argument, "allowed one")),
            }
        }
        parsed.config = Config::resolve([flags, environment], None)?;
        Ok(parsed)
    }

    fn read_flag(
        &mut self,
        argument: &str,
        rest: &mut impl Iterator<Item = OsString>,
        flags: &mut Layer,
    ) {
        let (flag, value) = match argument.split_once('=') {
            Some((flag, value)) => (flag, Some(value.into())),
            None => (argument, None),
        };
        let mut value = || value.clone().or_else(|| rest.next()).unwrap_or_default();
        match flag {
            "--help" | "-h" => self.wants_help = true,
            "--partitions" => {
                let knob = Knob::named("partitions").expect("the engine has this knob");
                flags.set(knob, value().to_string_lossy(), Origin::Flag(flag.into()));
            }
            "--format" => match value() {
                name if name == "text" => self.format = Format::Text,
                name if name == "json" => self.format = Format::Json,
                name => {
                    flags.refuse(usage("not allowed", flag, &name, "allowed text, json"));
                }
            },
            _ => flags.refuse(usage("unknown flag", "flights", &flag.into(), &meant(flag))),
        }
    }
}

/// What to write instead of an unknown flag.
fn meant(flag: &str) -> String {
    let same = |known: &&str| known.bytes().zip(flag.bytes()).take_while(|(a, b)| a == b).count();
    match ["--partitions", "--format", "--help"].into_iter().find(|known| same(known) > 4) {
        Some(known) => format!("did you mean {known}"),
        None => "allowed --partitions, --format, --help".into(),
    }
}

fn usage(what: &str, place: &str, value: &OsString, allowed: &str) -> Error {
    let value: String = value.to_string_lossy().escape_debug().take(80).collect();
    Error::new(ErrorKind::Usage, format!("{what} at {place}: {value}; {allowed}"))
}
