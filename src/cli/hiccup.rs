//! The hiccup probe: what the machine does to a pinned loop that only reads the clock.
//!
//! It answers what `latency` would be with no work at all: records that are due every microsecond
//! wait until the loop runs again. No engine can be better than that.

use crate::metrics::Histogram;
use crate::runtime::host;
use crate::time::{Clock, MonotonicClock, Nanos};

/// Between two records of the imagined load.
const STEP_NS: Nanos = 1_000;
/// Gaps that are kept, by far more than there are in seconds: most are ticks of a timer.
const GAPS_MAX: usize = 500_000;

/// What a loop saw that only reads the clock.
pub(crate) struct Seen {
    /// How long records waited that are due every microsecond.
    pub(crate) waits: Histogram,
    /// How often another thread was given the core.
    pub(crate) taken_away: u64,
}

/// Probes all `cores` at once for `ns`; what each of them saw, in their order.
pub(crate) fn probe(cores: &[Option<usize>], ns: Nanos) -> Vec<Seen> {
    // Pinned threads of their own: the caller must stay unpinned.
    #[allow(clippy::disallowed_methods)]
    std::thread::scope(|scope| {
        let probes: Vec<_> = cores.iter().map(|core| scope.spawn(|| on_core(*core, ns))).collect();
        let nothing = || Seen { waits: Histogram::new(), taken_away: 0 };
        // A probe has nothing that could panic.
        probes.into_iter().map(|probe| probe.join().unwrap_or_else(|_| nothing())).collect()
    })
}

fn on_core(core: Option<usize>, ns: Nanos) -> Seen {
    if let Some(core) = core {
        host::pin_current_thread(core);
    }
    let mut gaps = Vec::with_capacity(GAPS_MAX);
    let before = host::thread_switches();
    let started = MonotonicClock.now();
    let (mut last, mut reads) = (started, 0);
    while last - started < ns {
        let now = MonotonicClock.now();
        reads += 1;
        if now - last >= STEP_NS && gaps.len() < GAPS_MAX {
            gaps.push(now - last);
        }
        last = now;
    }
    let taken_away = host::thread_switches().involuntary.saturating_sub(before.involuntary);
    Seen { waits: waits(&gaps, last - started, reads), taken_away }
}

/// How long records wait that are due every [`STEP_NS`] of `elapsed`, in which the loop came round
/// `reads` times, with these long `gaps`.
fn waits(gaps: &[Nanos], elapsed: Nanos, reads: u64) -> Histogram {
    let mut histogram = Histogram::new();
    for gap in gaps {
        (0..gap / STEP_NS).for_each(|step| histogram.record(gap - step * STEP_NS));
    }
    let quiet_ns = elapsed.saturating_sub(gaps.iter().sum());
    let usual_ns = quiet_ns / reads.saturating_sub(gaps.len() as u64).max(1);
    histogram.record_n(usual_ns, quiet_ns / STEP_NS);
    histogram
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_holds_up_every_record_that_is_due_in_it() {
        let seen = waits(&[100_000], 1_000_000, 36_001);
        let figures = seen.percentiles();
        assert_eq!((figures.count, figures.max), (1_000, 100_000));
        assert_eq!(figures.p50, 25, "900 records wait for the next look");
        assert!((88_000..=92_000).contains(&figures.p99), "{figures:?}");
    }

    #[test]
    fn a_probe_fills_its_time_on_every_core() {
        let seen = probe(&[None, None], 2_000_000);
        let counts: Vec<u64> = seen.iter().map(|one| one.waits.count()).collect();
        assert!(counts.len() == 2 && counts.iter().all(|count| *count >= 1_500), "{counts:?}");
    }
}
