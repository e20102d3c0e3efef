//! When a workload stops, and what it is offered: the flags, and the workload's own defaults.

use std::time::Duration;

use crate::cli::args::Workload;
use crate::cli::options::RunOptions;

const RECORDS: u64 = 100_000_000;
/// Queries without a time limit keep something of every event.
const NEXMARK_RECORDS: u64 = 20_000_000;
/// Records on which the processor works take longer.
const WORK_RECORDS: u64 = 20_000_000;
const PACED_FOR: Duration = Duration::from_secs(5);
const LATENCY_RATE: u64 = 1_000_000;
const LATENCY_WARMUP: Duration = Duration::from_millis(500);
const LATENCY_FOR: Duration = Duration::from_secs(10);
const IDLE_FOR: Duration = Duration::from_secs(5);

/// What a workload runs with after its defaults have filled in what no flag says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// All records, those of the warm-up included.
    pub(crate) records: Option<u64>,
    /// How long, after the warm-up.
    pub(crate) duration: Option<Duration>,
    /// Offered rate in records per second; `None` is as fast as it goes.
    pub(crate) rate: Option<u64>,
    /// How long before the clock starts.
    pub(crate) warmup: Duration,
}

impl Limits {
    /// What `options` say, and for the rest the defaults of `workload`.
    pub(crate) fn new(workload: Workload, options: &RunOptions) -> Limits {
        let RunOptions { records, duration, rate, warmup, .. } = *options;
        let given = Limits { records, duration, rate, warmup: warmup.unwrap_or_default() };
        let ends = records.is_some() || duration.is_some();
        match workload {
            Workload::Latency => given.paced(warmup),
            // Records alone say when it shifts; a time does at a rate.
            Workload::HotKeyShift if records.is_none() || duration.is_some() => given.paced(warmup),
            // These two have no load.
            Workload::Idle => {
                Limits { records: None, duration: duration.or(Some(IDLE_FOR)), rate: None, ..given }
            }
            Workload::Startup => {
                Limits { records: None, duration: None, rate: None, warmup: Duration::ZERO }
            }
            _ if ends => given,
            _ if rate.is_some() => Limits { duration: Some(PACED_FOR), ..given },
            Workload::Nexmark(_) => Limits { records: Some(NEXMARK_RECORDS), ..given },
            Workload::HotKey | Workload::HotKeyShift => {
                Limits { records: Some(WORK_RECORDS), ..given }
            }
            _ => Limits { records: Some(RECORDS), ..given },
        }
    }

    /// With a rate, and a warm-up where `warmup` is none.
    fn paced(self, warmup: Option<Duration>) -> Limits {
        let ends = self.records.is_some() || self.duration.is_some();
        let duration = self.duration.or((!ends).then_some(LATENCY_FOR));
        // A short run is not all warm-up.
        let short = duration.map_or(Duration::ZERO, |duration| duration / 10);
        Limits {
            rate: self.rate.or(Some(LATENCY_RATE)),
            warmup: warmup.unwrap_or(LATENCY_WARMUP.min(short)),
            duration,
            ..self
        }
    }

    /// Warm-up and measured time together; `None` where records alone end the run.
    pub(crate) fn lasting(&self) -> Option<Duration> {
        self.duration.map(|duration| duration + self.warmup)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_workload_ends_by_default() {
        let options = RunOptions::default();
        for workload in [Workload::Chain, Workload::Lane, Workload::Exchange, Workload::KeyedCount]
        {
            let limits = Limits::new(workload, &options);
            assert_eq!((limits.records, limits.duration), (Some(RECORDS), None));
            let paced = RunOptions { rate: Some(5), ..RunOptions::default() };
            let limits = Limits::new(workload, &paced);
            assert_eq!((limits.records, limits.duration), (None, Some(PACED_FOR)));
        }
        let latency = Limits::new(Workload::Latency, &options);
        assert_eq!((latency.rate, latency.warmup), (Some(LATENCY_RATE), LATENCY_WARMUP));
        assert_eq!(latency.lasting(), Some(LATENCY_FOR + LATENCY_WARMUP));
        assert_eq!(Limits::new(Workload::HotKeyShift, &options), latency);
        assert_eq!(Limits::new(Workload::HotKey, &options).records, Some(WORK_RECORDS));
        assert_eq!(Limits::new(Workload::Idle, &options).duration, Some(IDLE_FOR));
    }

    #[test]
    fn flags_win() {
        let options = RunOptions {
            records: Some(7),
            warmup: Some(Duration::ZERO),
            rate: Some(9),
            ..RunOptions::default()
        };
        let expected =
            Limits { records: Some(7), duration: None, rate: Some(9), warmup: Duration::ZERO };
        assert_eq!(Limits::new(Workload::Latency, &options), expected);
        assert_eq!(Limits::new(Workload::KeyedCount, &options), expected);
    }

    #[test]
    fn a_shift_has_a_rate_unless_records_alone_end_it() {
        let limits = |records, duration| {
            let options = RunOptions { records, duration, ..RunOptions::default() };
            Limits::new(Workload::HotKeyShift, &options)
        };
        let second = Some(Duration::from_secs(1));
        assert_eq!(limits(Some(7), None).rate, None);
        assert_eq!(limits(Some(7), second).rate, Some(LATENCY_RATE));
        assert_eq!(limits(None, second).rate, Some(LATENCY_RATE));
    }
}
