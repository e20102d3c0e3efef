//! The hiccup probe: what the machine does to a pinned loop that only reads the clock.
//!
//! It answers what `latency` would be with no work at all: records that are due every microsecond
//! wait until the loop runs again. No engine can be better than that.

use std::time::Duration;

use crate::metrics::Histogram;
use crate::runtime::host;
use crate::time::{Clock, MonotonicClock, Nanos};

const PROBE_NS_MAX: Nanos = 500_000_000;
/// Between two records of the imagined load.
const STEP_NS: Nanos = 1_000;
/// Gaps that are kept, by far more than a probe of half a second can have.
const GAPS_MAX: usize = 500_000;

/// Probes all `cores` at once, before or after a run that takes `lasting`: a quarter of that, at
/// most half a second.
pub(crate) fn probe(cores: &[Option<usize>], lasting: Option<Duration>) -> Histogram {
    let ns = lasting.map_or(Nanos::MAX, |lasting| (lasting / 4).as_nanos() as Nanos);
    let ns = ns.min(PROBE_NS_MAX);
    let mut all = Histogram::new();
    // Pinned threads of their own: the caller must stay unpinned.
    #[allow(clippy::disallowed_methods)]
    std::thread::scope(|scope| {
        let probes: Vec<_> = cores.iter().map(|core| scope.spawn(|| on_core(*core, ns))).collect();
        for probe in probes {
            // A probe has nothing that could panic.
            all.merge(&probe.join().unwrap_or_default());
        }
    });
    all
}

fn on_core(core: Option<usize>, ns: Nanos) -> Histogram {
    if let Some(core) = core {
        host::pin_current_thread(core);
    }
    let mut gaps = Vec::with_capacity(GAPS_MAX);
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
    waits(&gaps, last - started, reads)
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
    fn a_probe_fills_its_time() {
        let seen = probe(&[None, None], Some(Duration::from_millis(8)));
        assert!((3_000..).contains(&seen.count()), "{}", seen.count());
    }
}
