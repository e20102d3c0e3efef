//! Progress of a run on a terminal: records so far and their rate, five times a second.

use crate::cli::options::Verbosity;
use crate::cli::output;
use crate::metrics::report_text::{grouped, rate};
use crate::time::Nanos;

/// Between two updates: five a second.
const INTERVAL_NS: Nanos = 200_000_000;

/// A line on stderr that is written over and over; silent where stderr is no terminal.
pub(crate) struct Progress {
    shows: bool,
    due: Nanos,
    last: Option<(Nanos, u64)>,
}

impl Progress {
    /// The progress of one run.
    pub(crate) fn new(verbosity: Verbosity) -> Progress {
        let shows = verbosity != Verbosity::Quiet && output::stderr_is_terminal();
        Progress { shows, due: 0, last: None }
    }

    /// Shows `records` if it is time to.
    pub(crate) fn update(&mut self, now: Nanos, records: u64) {
        if let Some(line) = self.line(now, records) {
            output::rewrite(&line);
        }
    }

    /// Takes the line away.
    pub(crate) fn clear(&mut self) {
        if self.shows && self.last.take().is_some() {
            output::rewrite("");
        }
    }

    fn line(&mut self, now: Nanos, records: u64) -> Option<String> {
        if !self.shows || now < self.due {
            return None;
        }
        self.due = now.saturating_add(INTERVAL_NS);
        let (then, before) = self.last.replace((now, records))?;
        let seconds = now.saturating_sub(then) as f64 / 1e9;
        let per_second = if seconds > 0.0 { (records - before) as f64 / seconds } else { 0.0 };
        Some(format!("{} records, {} records/s", grouped(records), rate(per_second)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_lines_a_second_with_the_rate_since_the_line_before() {
        let mut progress = Progress { shows: true, due: 0, last: None };
        assert_eq!(progress.line(0, 0), None);
        assert_eq!(progress.line(100_000_000, 500), None);
        let line = progress.line(200_000_000, 1_000);
        assert_eq!(line.as_deref(), Some("1,000 records, 5000.0 records/s"));
        assert_eq!(progress.line(399_999_999, 2_000), None);
        assert!(progress.line(400_000_000, 2_000).is_some());
    }

    #[test]
    fn nothing_is_shown_where_nobody_looks() {
        let mut progress = Progress { shows: false, due: 0, last: None };
        assert_eq!((progress.line(0, 0), progress.line(1_000_000_000, 9)), (None, None));
    }
}
