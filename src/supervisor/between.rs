//! What lies between two looks at one partition.

use std::collections::BTreeMap;

use crate::dataflow::{Folded, TaskLook};

/// Time worked, records received and growth of what waits between two looks.
pub(super) fn since(before: &TaskLook, now: &TaskLook) -> (u64, u64, u64) {
    (
        now.busy_ns.saturating_sub(before.busy_ns),
        now.received.saturating_sub(before.received),
        now.backlog.saturating_sub(before.backlog),
    )
}

/// Records a second that were folded between two looks, by domain and key.
pub(super) fn folds(
    before: &[Folded],
    now: &[Folded],
    elapsed: f64,
) -> BTreeMap<(usize, u64), f64> {
    let known: BTreeMap<_, _> =
        before.iter().map(|one| ((one.domain, one.hash), one.records)).collect();
    let one = |one: &Folded| {
        let key = (one.domain, one.hash);
        let records = one.records.saturating_sub(known.get(&key).copied().unwrap_or(0));
        (key, records as f64 * 1e9 / elapsed)
    };
    now.iter().map(one).collect()
}

/// Parts of the time between two looks, in millionths that make a whole together.
pub(super) fn shares(before: &[u64; 3], now: &[u64; 3]) -> [u32; 3] {
    let [busy, idle, stalled] =
        std::array::from_fn(|part| now[part].saturating_sub(before[part]) as f64);
    let total = busy + idle + stalled;
    if total == 0.0 {
        return [0, 1_000_000, 0];
    }
    let [busy, stalled] = [busy, stalled].map(|part| (part / total * 1e6) as u32);
    [busy, 1_000_000 - busy - stalled, stalled]
}
