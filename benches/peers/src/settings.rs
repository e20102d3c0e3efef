//! The command line.

use std::str::FromStr;

use lexopt::prelude::{Long, Short, Value, ValueExt};

use crate::Fault;
use crate::case::{CASES, Case, HOT, NEXMARK};
use crate::cores;
use crate::work::{Contender, LATENCY, NAMES, contenders};

/// What `--help` prints.
pub const HELP: &str = "\
Runs the same work on several engines, interleaved, and prints medians and ratios.

usage: millstream-peers [flags]
  --nexmark           NEXMark q0 to q8 instead of the counts per key and the latency
  --hot-keys          work on each record, most of them on hot keys, instead of these
  --cases A,B         of keys-1k keys-100k keys-10m-cold keys-10m-warm zipf-1.0 zipf-1.4 latency
                      nexmark-q0 ... nexmark-q8 hot-key hot-key-shift hot-key-twin
  --contenders A,B    of ours ours_pre_aggregated timely timely_preagg renoir renoir_preagg
                      plain_loop
  --repetitions N     runs of each, default 5
  --seconds S         least time measured in a run, default 2
  --records N         records of a pass, instead of the case's own number
  --cores A,B         one worker on each, default the first two allowed
  --seed N            default 1
  --work-ns W         nanoseconds of work on each record of a hot-key case, default 200
  --shape TEXT        options of the contenders instead of their best ones, as `epoch=4096 hash=fx`
  --busy-core         each run a second time with a busy process on the first core
  --memory            peak resident memory of one pass over keys-10m-cold instead of speed
  --format text|json  default text
";

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A table.
    Text,
    /// One object.
    Json,
}

/// What to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Speed and latency.
    Quiet,
    /// Speed, each run also beside a busy process on the first core.
    BusyCore,
    /// Peak memory.
    Memory,
}

/// The command line, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Cases to run.
    pub cases: Vec<Case>,
    /// Whether to measure latency too.
    pub latency: bool,
    /// Who takes part.
    pub contenders: Vec<Contender>,
    /// Runs of each.
    pub repetitions: usize,
    /// Least time measured in a run.
    pub seconds: f64,
    /// One worker on each.
    pub cores: Vec<usize>,
    /// Of the input.
    pub seed: u64,
    /// Work on each record of a hot-key case.
    pub work_ns: u64,
    /// Options instead of a contender's own shapes.
    pub shape: Option<String>,
    /// What to measure.
    pub mode: Mode,
    /// How to print.
    pub format: Format,
}

impl Settings {
    /// Reads the flags after the program's name; `None` if help is asked for.
    pub fn parse(args: Vec<String>) -> Result<Option<Settings>, Fault> {
        let mut settings = Settings {
            cases: CASES.to_vec(),
            latency: true,
            contenders: contenders().collect(),
            repetitions: 5,
            seconds: 2.0,
            cores: cores::allowed()?.into_iter().take(2).collect(),
            seed: 1,
            work_ns: 200,
            shape: None,
            mode: Mode::Quiet,
            format: Format::Text,
        };
        let mut records = None;
        let mut parser = lexopt::Parser::from_args(args);
        while let Some(flag) = parser.next().map_err(usage)? {
            match flag {
                Long("help") | Short('h') => return Ok(None),
                Long("busy-core") => settings.mode = Mode::BusyCore,
                Long("nexmark") => (settings.cases, settings.latency) = (NEXMARK.to_vec(), false),
                Long("hot-keys") => (settings.cases, settings.latency) = (HOT.to_vec(), false),
                Long("memory") => settings.mode = Mode::Memory,
                Long("records") => records = Some(number::<u64>(&mut parser)?),
                Long(name) => {
                    let name = name.to_owned();
                    let value = parser.value().map_err(usage)?.string().map_err(usage)?;
                    settings.set(&name, &value)?;
                }
                Value(_) | Short(_) => return Err(usage(flag.unexpected())),
            }
        }
        if let Some(records) = records {
            settings.cases.iter_mut().for_each(|case| case.records = records);
        }
        settings.checked().map(Some)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Fault> {
        match name {
            "cases" => {
                let names: Vec<_> = value.split(',').collect();
                self.latency = names.contains(&LATENCY);
                let cases = names.into_iter().filter(|name| *name != LATENCY).map(Case::named);
                self.cases = cases.collect::<Result<_, _>>()?;
            }
            "contenders" => {
                self.contenders = value.split(',').map(contender).collect::<Result<_, _>>()?;
            }
            "cores" => self.cores = value.split(',').map(parsed).collect::<Result<_, _>>()?,
            "repetitions" => self.repetitions = parsed(value)?,
            "seconds" => self.seconds = parsed(value)?,
            "seed" => self.seed = parsed(value)?,
            "work-ns" => self.work_ns = parsed(value)?,
            "shape" => self.shape = Some(value.to_owned()),
            "format" if value == "json" => self.format = Format::Json,
            "format" if value == "text" => self.format = Format::Text,
            _ => return Err(Fault::usage(format!("no flag --{name} with value `{value}`"))),
        }
        Ok(())
    }

    fn checked(self) -> Result<Settings, Fault> {
        if self.repetitions == 0 || !(self.seconds.is_finite() && self.seconds > 0.0) {
            return Err(Fault::usage("--repetitions and --seconds start above 0"));
        }
        let allowed = cores::allowed()?;
        if self.cores.is_empty() || !self.cores.iter().all(|core| allowed.contains(core)) {
            return Err(Fault::usage(format!("cores are {:?}, not of {allowed:?}", self.cores)));
        }
        Ok(self)
    }
}

/// The contender called `name`.
pub fn contender(name: &str) -> Result<Contender, Fault> {
    let found = contenders().find(|contender| contender.name == name);
    found.ok_or_else(|| {
        let why = if NAMES.contains(&name) { "this build has" } else { "there is" };
        Fault::usage(format!("{why} no contender `{name}`"))
    })
}

/// `text` as a number.
pub fn parsed<T: FromStr>(text: &str) -> Result<T, Fault> {
    text.parse().map_err(|_| Fault::usage(format!("`{text}` is no number that fits")))
}

fn number<T: FromStr>(parser: &mut lexopt::Parser) -> Result<T, Fault> {
    parsed(&parser.value().map_err(usage)?.string().map_err(usage)?)
}

fn usage(error: lexopt::Error) -> Fault {
    Fault::usage(error.to_string())
}
