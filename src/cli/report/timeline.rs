//! What partitions did over time: from looks at what they have counted to rates and shares.

use serde::Serialize;

use crate::time::Nanos;

/// Figures of a [`Reading`].
const FIGURES: usize = 5;

/// What one partition had counted when it was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reading {
    /// How long the partition had run by then, by its own clock: its figures are up to 100 ms
    /// older than the look at them, and not those of its neighbours' time.
    pub(super) lived_ns: Nanos,
    /// Records let in, records processed; nanoseconds busy, idle and stalled.
    pub(super) counted: [u64; FIGURES],
}

/// What all partitions did, in equal steps of time; the last one may be shorter.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Timeline {
    /// Length of a step.
    step_seconds: f64,
    /// Length of the whole.
    seconds: f64,
    partitions: Vec<Series>,
}

/// One partition; a figure per step.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
struct Series {
    /// Records per second that its sources let in.
    let_in: Vec<f64>,
    /// Records per second that its tasks took in, sources included.
    processed: Vec<f64>,
    /// Shares of the step; less than 1 together where the partition had not begun or had ended.
    busy: Vec<f64>,
    idle: Vec<f64>,
    stalled: Vec<f64>,
}

impl Timeline {
    /// Deals what was counted out to steps of `step_ns`. What was counted between two looks is
    /// taken to have come evenly.
    ///
    /// * `looks[i][p]` - partition *p* at look *i*; figures only grow.
    pub(super) fn new(looks: &[&[Reading]], step_ns: Nanos) -> Timeline {
        let partitions = looks.last().map_or(0, |last| last.len());
        let end = looks.iter().flat_map(|look| look.iter()).map(|reading| reading.lived_ns).max();
        let end = end.unwrap_or(0);
        let step_ns = step_ns.min(end).max(1);
        let series = |partition| {
            let mut track = vec![Reading::default()];
            track.extend(looks.iter().map(|look| look[partition]));
            track.dedup_by_key(|reading| reading.lived_ns);
            Series::new(&track, step_ns, end)
        };
        Timeline {
            step_seconds: step_ns as f64 / 1e9,
            seconds: end as f64 / 1e9,
            partitions: (0..partitions).map(series).collect(),
        }
    }
}

impl Series {
    fn new(track: &[Reading], step_ns: Nanos, end: Nanos) -> Series {
        let mut series = Series::default();
        let mut before = counted_at(track, 0);
        for step in 0..end.div_ceil(step_ns) {
            let (from, to) = (step * step_ns, ((step + 1) * step_ns).min(end));
            let now = counted_at(track, to);
            let ns = (to - from) as f64;
            let [let_in, processed, busy, idle, stalled] =
                std::array::from_fn(|figure| (now[figure] - before[figure]) / ns);
            series.let_in.push((let_in * 1e9).round());
            series.processed.push((processed * 1e9).round());
            series.busy.push(thousandths(busy));
            series.idle.push(thousandths(idle));
            series.stalled.push(thousandths(stalled));
            before = now;
        }
        series
    }
}

/// What had been counted after `ns`, between the two readings around it.
fn counted_at(track: &[Reading], ns: Nanos) -> [f64; FIGURES] {
    let after = track.partition_point(|reading| reading.lived_ns < ns);
    let upper = track[after.min(track.len() - 1)];
    let lower = track[after.saturating_sub(1)];
    let span = upper.lived_ns.saturating_sub(lower.lived_ns);
    let part = if span == 0 {
        1.0
    } else {
        (ns.saturating_sub(lower.lived_ns) as f64 / span as f64).min(1.0)
    };
    std::array::from_fn(|figure| {
        let (low, high) = (lower.counted[figure] as f64, upper.counted[figure] as f64);
        low + (high - low) * part
    })
}

/// More digits say nothing on a plot, and make the page larger.
pub(super) fn thousandths(share: f64) -> f64 {
    (share * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Nanos = 1_000_000;

    fn reading(lived_ms: u64, records: u64, busy_ms: u64, stalled_ms: u64) -> Reading {
        let idle_ms = lived_ms - busy_ms - stalled_ms;
        let counted = [records, 2 * records, busy_ms * MS, idle_ms * MS, stalled_ms * MS];
        Reading { lived_ns: lived_ms * MS, counted }
    }

    fn timeline(looks: &[Vec<Reading>], step_ms: u64) -> Timeline {
        let looks: Vec<&[Reading]> = looks.iter().map(Vec::as_slice).collect();
        Timeline::new(&looks, step_ms * MS)
    }

    #[test]
    fn a_look_that_saw_nothing_new_does_not_show_as_a_pause() {
        let seen = timeline(
            &[
                vec![reading(100, 50, 100, 0)],
                vec![reading(100, 50, 100, 0)],
                vec![reading(300, 150, 200, 50)],
            ],
            100,
        );
        assert_eq!((seen.step_seconds, seen.seconds), (0.1, 0.3));
        let one = &seen.partitions[0];
        assert_eq!(one.let_in, [500.0, 500.0, 500.0]);
        assert_eq!(one.processed, [1_000.0; 3]);
        assert_eq!(one.busy, [1.0, 0.5, 0.5]);
        assert_eq!((&one.idle[1..], &one.stalled[1..]), (&[0.25; 2][..], &[0.25; 2][..]));
    }

    #[test]
    fn whatever_the_steps_all_records_are_in_them_and_shares_make_one() {
        let looks: Vec<Vec<Reading>> = (1..=20u64)
            .map(|look| vec![reading(97 * look, look * look * 1_000, 40 * look, 7 * look)])
            .collect();
        for step_ms in [13, 100, 700, 5_000] {
            let seen = timeline(&looks, step_ms);
            let one = &seen.partitions[0];
            let steps = one.let_in.len() as f64;
            let last = seen.seconds - seen.step_seconds * (steps - 1.0);
            let length =
                |step: usize| if step as f64 == steps - 1.0 { last } else { seen.step_seconds };
            let records: f64 =
                one.let_in.iter().enumerate().map(|(step, rate)| rate * length(step)).sum();
            assert!((records - 400_000.0).abs() < 20.0, "{records} in steps of {step_ms} ms");
            for step in 0..one.busy.len() {
                let sum = one.busy[step] + one.idle[step] + one.stalled[step];
                assert!((sum - 1.0).abs() < 0.002, "{sum}");
            }
        }
    }

    #[test]
    fn a_partition_that_ends_early_or_never_runs_has_empty_steps() {
        let seen = timeline(
            &[vec![reading(200, 20, 200, 0), reading(0, 0, 0, 0), reading(400, 0, 0, 0)]],
            100,
        );
        assert_eq!(seen.partitions[0].let_in, [100.0, 100.0, 0.0, 0.0]);
        assert_eq!(seen.partitions[0].busy, [1.0, 1.0, 0.0, 0.0]);
        assert_eq!(seen.partitions[1].idle, [0.0; 4]);
        assert_eq!(seen.partitions[2].idle, [1.0; 4]);
    }

    #[test]
    fn a_run_without_time_has_no_steps() {
        assert_eq!(timeline(&[], 100).partitions, []);
        let seen = timeline(&[vec![reading(0, 0, 0, 0)]], 100);
        assert_eq!(seen.partitions[0], Series::default());
        let short = timeline(&[vec![reading(2, 10, 1, 0)]], 100);
        assert_eq!((short.step_seconds, short.partitions[0].let_in.len()), (0.002, 1));
    }
}
