//! What a range of seeds came to: the line that is printed, and the one that is kept.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::cli::options::Keep;
use crate::cli::simulate::job::{Disorder, Job};
use crate::config::wording::shown;
use crate::error::{Error, ErrorKind, Result};
use crate::metrics::Report;
use crate::metrics::report_text::grouped;
use crate::runtime::host;

/// What a range of seeds came to.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    /// `FIRST..END`, without the end.
    pub(super) seeds: String,
    pub(super) simulations: u64,
    /// Jobs that did not do what the model does.
    pub(super) wrong: u64,
    /// Jobs where nothing was late, which were compared end to end.
    pub(super) within_bound: u64,
    pub(super) records: u64,
    pub(super) late: u64,
    pub(super) future_skew: u64,
    /// Moves of keys and key groups, in jobs that are full of them.
    pub(super) moves: u64,
    pub(super) seconds: f64,
    version: &'static str,
    /// What `GIT_COMMIT` was when this was compiled.
    commit: Option<&'static str>,
    cores_allowed: usize,
    debug_build: bool,
    #[serde(skip)]
    first_seed: u64,
}

impl Summary {
    /// Of no seeds so far, the first of which is to be `first`.
    pub(super) fn from_seed(first: u64) -> Summary {
        Summary {
            seeds: format!("{first}..{first}"),
            simulations: 0,
            wrong: 0,
            within_bound: 0,
            records: 0,
            late: 0,
            future_skew: 0,
            moves: 0,
            seconds: 0.0,
            version: env!("CARGO_PKG_VERSION"),
            commit: option_env!("GIT_COMMIT"),
            cores_allowed: host::machine().allowed.len(),
            debug_build: cfg!(debug_assertions),
            first_seed: first,
        }
    }

    /// Counts what a job did.
    pub(super) fn add(&mut self, job: &Job, report: &Report) {
        self.within_bound += u64::from(job.disorder == Disorder::Within);
        self.records += report.records;
        self.late += report.late;
        self.future_skew += report.future_skew;
    }

    /// All seeds before `end` are done.
    pub(super) fn end_before(&mut self, end: u64) {
        self.seeds = format!("{}..{end}", self.first_seed);
        self.simulations = end - self.first_seed;
    }

    /// The line that is printed.
    pub(super) fn line(&self) -> String {
        let build = if self.debug_build { ", debug build" } else { "" };
        format!(
            "{} simulations, seeds {}: {} wrong ({} within the bound; {} records, {} late, {} far \
             ahead, {} moves; {:.1} s{build})\n",
            grouped(self.simulations),
            self.seeds,
            self.wrong,
            grouped(self.within_bound),
            grouped(self.records),
            grouped(self.late),
            grouped(self.future_skew),
            grouped(self.moves),
            self.seconds,
        )
    }
}

/// The project's own, seen from its folder.
const PROJECT_FILE: &str = "benches/runs/simulations.jsonl";

/// A file to whose end results go, a line of JSON each.
pub(super) struct KeptFile {
    file: File,
    path: PathBuf,
}

impl KeptFile {
    /// Opens what `keep` names; `None` if nothing is to be kept.
    ///
    /// # Errors
    /// [`ErrorKind::CannotCreate`] if there is no such file and none can be made.
    pub(super) fn open(keep: &Keep) -> Result<Option<KeptFile>> {
        let path = match keep {
            Keep::In(path) => path.clone(),
            Keep::Project if Path::new(PROJECT_FILE).parent().is_some_and(Path::is_dir) => {
                PROJECT_FILE.into()
            }
            Keep::Project | Keep::Off => return Ok(None),
        };
        match OpenOptions::new().create(true).append(true).open(&path) {
            Ok(file) => Ok(Some(KeptFile { file, path })),
            Err(error) => {
                let context = format!("cannot open file at {}", shown(&path.to_string_lossy()));
                Err(Error::new(ErrorKind::CannotCreate, context).with_source(error))
            }
        }
    }

    /// Appends `summary`.
    pub(super) fn append(&mut self, summary: &Summary) -> Result<()> {
        let mut line = serde_json::to_string(summary).expect("a summary has string keys");
        line.push('\n');
        self.file.write_all(line.as_bytes()).map_err(|error| {
            let place = shown(&self.path.to_string_lossy());
            Error::new(ErrorKind::Io, format!("write failed at {place}")).with_source(error)
        })
    }
}
