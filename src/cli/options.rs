//! What flags that are no knobs set: the input of a run, and how its results are shown.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use crate::cli::inspect::KeyNames;
use crate::config::parse::{self, Choice};
use crate::testing::cores::Pattern;

/// Everything that flags other than knobs set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    /// What a workload runs on, and for how long.
    pub run: RunOptions,
    /// What `simulate` simulates.
    pub simulate: SimulateOptions,
    /// What `whatif` simulates.
    pub whatif: WhatIfOptions,
    /// What `doctor` examines.
    pub doctor: DoctorOptions,
    /// Whom `inspect` asks.
    pub inspect: InspectOptions,
    /// How results and progress are shown.
    pub show: ShowOptions,
    /// The form of the manual.
    pub manual: Manual,
    /// The configuration file.
    pub config: Option<PathBuf>,
    /// `bench` lists its workloads instead of running one.
    pub list: bool,
}

/// What a workload runs on, and for how long.
#[derive(Clone, Debug, PartialEq)]
pub struct RunOptions {
    /// How long to run; `None` leaves it to the workload.
    pub duration: Option<Duration>,
    /// Records to run; `None` leaves it to the workload.
    pub records: Option<u64>,
    /// Offered rate in records per second; `None` is as fast as it goes.
    pub rate: Option<u64>,
    /// Seed of the input.
    pub seed: u64,
    /// How long to run before the clock starts; `None` leaves it to the workload.
    pub warmup: Option<Duration>,
    /// How often to run; the report gives the median and the spread.
    pub repeat: u64,
    /// Distinct keys.
    pub keys: u64,
    /// How keys are distributed.
    pub skew: Skew,
    /// When running aggregates emit.
    pub emit: Emit,
    /// The windows of `window-sum`.
    pub windows: Windows,
    /// Records per second of event time; `None` leaves it to the workload.
    pub event_rate: Option<u64>,
    /// Whether what a workload is compared with is measured beside it.
    pub baseline: Baseline,
    /// What `hot-key` makes hot, and what it does about a record.
    pub hot: HotOptions,
    /// Where to write the input.
    pub dump: Option<PathBuf>,
    /// Where to write the results.
    pub output: Option<PathBuf>,
    /// Where what the supervisor decides goes.
    pub decisions: Option<PathBuf>,
    /// Where the keys of the first keyed task go, with their times.
    pub record_trace: Option<PathBuf>,
    /// Where the page with plots goes.
    pub report: Option<PathBuf>,
}

impl Default for RunOptions {
    fn default() -> RunOptions {
        RunOptions {
            duration: None,
            records: None,
            rate: None,
            seed: 1,
            warmup: None,
            repeat: 1,
            keys: 100_000,
            skew: Skew::Uniform,
            emit: Emit::End,
            windows: Windows::Tumbling(Duration::from_secs(1)),
            event_rate: None,
            baseline: Baseline::On,
            hot: HotOptions::default(),
            dump: None,
            output: None,
            decisions: None,
            record_trace: None,
            report: None,
        }
    }
}

/// What `hot-key` and `hot-key-shift` make hot, and what they do about a record.
#[derive(Clone, Debug, PartialEq)]
pub struct HotOptions {
    /// The share of the records on the hot keys, 0..=1.
    pub share: f64,
    /// How many keys are hot at once.
    pub keys: u64,
    /// Where the hot keys are at the start.
    pub placing: Placing,
    /// Work on each record, in nanoseconds.
    pub work_ns: u64,
    /// Work on each record, in rounds of its loop; `None` makes it as long as `work_ns` says.
    pub work_rounds: Option<u32>,
    /// Whether the operator merges.
    pub mergeable: Mergeable,
    /// From one shift to the next; `None` leaves it to the workload.
    pub period: Option<Period>,
    /// How many keyed stages there are; the second one watches the order.
    pub stages: Stages,
    /// Moves of the hottest units that are forced, per minute.
    pub force_moves: u64,
}

impl Default for HotOptions {
    fn default() -> HotOptions {
        HotOptions {
            share: 0.8,
            keys: 1,
            placing: Placing::Hashed,
            work_ns: 200,
            work_rounds: None,
            mergeable: Mergeable::Yes,
            period: None,
            stages: Stages::One,
            force_moves: 0,
        }
    }
}

/// Where hot keys are at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placing {
    /// Where their hash puts them.
    Hashed,
    /// On one partition.
    Colocated,
}

/// Whether an operator merges, so that its records can be combined on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mergeable {
    /// It is an aggregate.
    Yes,
    /// It takes records one by one.
    No,
}

/// From one shift of the hot keys to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// So many records.
    Records(u64),
    /// As many records as are offered in this time.
    Time(Duration),
}

/// How many keyed stages a job has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stages {
    /// The one that works.
    One,
    /// Another one behind it, with the same keys.
    Two,
}

/// What `simulate` simulates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimulateOptions {
    /// The seeds, one job each.
    pub seeds: Range<u64>,
    /// Where the result is kept.
    pub keep: Keep,
}

/// Where a result is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keep {
    /// In the project's own file, when run in its folder.
    Project,
    /// In this file.
    In(PathBuf),
    /// Nowhere.
    Off,
}

impl Default for SimulateOptions {
    fn default() -> SimulateOptions {
        SimulateOptions { seeds: 0..1_000, keep: Keep::Project }
    }
}

/// What `whatif` simulates.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WhatIfOptions {
    /// The trace to run on.
    pub trace: Option<PathBuf>,
    /// The built-in load to run on; `None` is all of them, unless there is a trace.
    pub load: Option<Pattern>,
    /// How many cores; `None` is 4, 16, 64 and 256.
    pub cores: Option<usize>,
}

/// What `doctor` examines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoctorOptions {
    /// How long cores are probed for hiccups.
    pub probe: Duration,
    /// The recorded host to examine instead of this one.
    pub host: Option<PathBuf>,
}

impl Default for DoctorOptions {
    fn default() -> DoctorOptions {
        DoctorOptions { probe: Duration::from_secs(2), host: None }
    }
}

/// Whom `inspect` asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InspectOptions {
    /// The socket of the job; `None` is that of the one running job.
    pub socket: Option<PathBuf>,
}

/// How results and progress are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShowOptions {
    /// The form of the report.
    pub format: Format,
    /// How much is said on the way.
    pub verbosity: Verbosity,
    /// Whether text is coloured; `Never` where `NO_COLOR` is set and no flag says otherwise.
    pub color: Color,
    /// Whether keys are shown by name.
    pub keys: KeyNames,
}

/// The form of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// A table for people.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

/// The form of the manual.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Manual {
    /// A page for `man`.
    #[default]
    Roff,
    /// A page of documentation.
    Markdown,
}

/// Whether text is coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Color {
    /// Where it goes to a terminal.
    #[default]
    Auto,
    /// Wherever it goes.
    Always,
    /// Nowhere.
    Never,
}

/// How much is said on stderr while a command runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verbosity {
    /// Errors and warnings only.
    Quiet,
    /// Progress, where stderr is a terminal.
    #[default]
    Usual,
    /// What the engine decides as well.
    Verbose,
}

/// How keys are distributed over records.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Skew {
    /// All alike.
    Uniform,
    /// Key k has weight `(k+1)^-S`, with this S, 0..=10.
    Zipf(f64),
    /// One key has this share of the records, 0..=1; the rest are alike.
    Hot(f64),
}

/// When a running aggregate emits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emit {
    /// Once per key, when the input ends.
    End,
    /// At each record.
    Each,
    /// Per key that changed, so often.
    Every(Duration),
}

/// Which windows records are cut into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Windows {
    /// Of this length, without gap or overlap.
    Tumbling(Duration),
    /// Of length `size`, one every `slide`.
    Sliding {
        /// Length.
        size: Duration,
        /// From the start of one to the start of the next.
        slide: Duration,
    },
    /// Until there is no record for so long.
    Session(Duration),
}

/// Whether what a workload is compared with is measured beside it: the plain loop of `chain`, the
/// copy of `exchange`, the hiccups of `latency`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Baseline {
    /// It is.
    #[default]
    On,
    /// It is not: the run is the workload's alone.
    Off,
}

/// Writes the value as its flag takes it.
impl fmt::Display for Skew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Skew::Uniform => f.write_str("uniform"),
            Skew::Zipf(exponent) => write!(f, "zipf:{exponent}"),
            Skew::Hot(share) => write!(f, "hot:{share}"),
        }
    }
}

/// Writes the value as its flag takes it.
impl fmt::Display for Emit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Emit::End => f.write_str("end"),
            Emit::Each => f.write_str("each"),
            Emit::Every(interval) => write!(f, "every:{}", parse::duration_text(*interval)),
        }
    }
}

/// Writes the value as its flag takes it.
impl fmt::Display for Windows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = parse::duration_text;
        match *self {
            Windows::Tumbling(size) => write!(f, "tumbling:{}", text(size)),
            Windows::Sliding { size, slide } => {
                write!(f, "sliding:{},{}", text(size), text(slide))
            }
            Windows::Session(gap) => write!(f, "session:{}", text(gap)),
        }
    }
}

/// Writes the value as its flag takes it.
impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Period::Records(records) => write!(f, "{records}"),
            Period::Time(time) => f.write_str(&parse::duration_text(*time)),
        }
    }
}

impl Choice for Mergeable {
    const NAMES: &'static [(&'static str, Mergeable)] =
        &[("yes", Mergeable::Yes), ("no", Mergeable::No)];
}

impl Choice for Stages {
    const NAMES: &'static [(&'static str, Stages)] = &[("1", Stages::One), ("2", Stages::Two)];
}

impl Choice for Baseline {
    const NAMES: &'static [(&'static str, Baseline)] =
        &[("on", Baseline::On), ("off", Baseline::Off)];
}

impl Choice for Format {
    const NAMES: &'static [(&'static str, Format)] =
        &[("text", Format::Text), ("json", Format::Json)];
}

impl Choice for Color {
    const NAMES: &'static [(&'static str, Color)] =
        &[("auto", Color::Auto), ("always", Color::Always), ("never", Color::Never)];
}
