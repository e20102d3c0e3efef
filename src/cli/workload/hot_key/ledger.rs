//! The sink: totals, the order that a second stage has seen, and latency where there is a rate.

use std::sync::{Arc, Mutex, PoisonError};

use crate::cli::workload::hot_key::timeline::Timeline;
use crate::cli::workload::hot_key::toil::Row;
use crate::cli::workload::tally::Totals;
use crate::connector::LEAD_NS;
use crate::dataflow::{Sink, SinkConnector, TaskContext};
use crate::error::Result;
use crate::metrics::Histogram;
use crate::record::Batch;
use crate::time::{Clock, MonotonicClock, Nanos};

/// What is kept of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keep {
    /// How long a run at a rate lasts; `None` without one, when no latency is taken.
    pub(super) lasting_ns: Option<Nanos>,
    pub(super) warmup_ns: Nanos,
    /// Whether the results themselves are kept.
    pub(super) results: bool,
}

/// How long records took from when they were due until they were applied.
#[derive(Clone)]
pub(super) struct Delays {
    /// After the warm-up.
    pub(super) all: Histogram,
    /// Those that are not of the hot share.
    pub(super) others: Histogram,
    pub(super) timeline: Timeline,
}

/// What the second stage has seen, of all keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) inversions: u64,
    pub(super) repeats: u64,
    pub(super) count: u64,
    /// The wrapping sum of `mix64` of the records' indexes.
    pub(super) digest: u64,
}

/// What one run came to.
#[derive(Clone, Default)]
pub(super) struct Found {
    pub(super) totals: Totals,
    pub(super) order: Order,
    pub(super) delays: Option<Delays>,
}

impl Found {
    fn new(keep: Keep) -> Found {
        let delays = keep.lasting_ns.map(|lasting| Delays {
            all: Histogram::new(),
            others: Histogram::new(),
            timeline: Timeline::new(lasting),
        });
        Found { delays, ..Found::default() }
    }

    fn merge(&mut self, other: Found) {
        self.totals.merge(other.totals);
        self.order.inversions += other.order.inversions;
        self.order.repeats += other.order.repeats;
        self.order.count += other.order.count;
        self.order.digest = self.order.digest.wrapping_add(other.order.digest);
        match (&mut self.delays, other.delays) {
            (Some(own), Some(other)) => {
                own.all.merge(&other.all);
                own.others.merge(&other.others);
                own.timeline.merge(&other.timeline);
            }
            (own, other) => *own = own.take().or(other),
        }
    }
}

/// The connector of the sinks of one run; clones share what is found.
#[derive(Clone)]
pub(super) struct Ledger {
    keep: Keep,
    found: Arc<Mutex<Found>>,
}

impl Ledger {
    pub(super) fn new(keep: Keep) -> Ledger {
        Ledger { keep, found: Arc::default() }
    }

    /// What all partitions that have finished found.
    pub(super) fn take(&self) -> Found {
        // A panic elsewhere cannot leave it half merged.
        std::mem::take(&mut *self.found.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl SinkConnector for Ledger {
    type Item = Row;
    type Sink = LedgerSink;

    fn name(&self) -> String {
        "ledger".to_owned()
    }

    fn open(&mut self, context: &TaskContext) -> Result<LedgerSink> {
        Ok(LedgerSink {
            keep: self.keep,
            start: context.now.saturating_add(LEAD_NS),
            own: Found::new(self.keep),
            found: Arc::clone(&self.found),
        })
    }
}

/// One partition's end of a [`Ledger`].
pub(super) struct LedgerSink {
    keep: Keep,
    /// When the first record was due.
    start: Nanos,
    own: Found,
    found: Arc<Mutex<Found>>,
}

impl LedgerSink {
    #[inline]
    fn enter(&mut self, row: Row, now: Nanos) {
        match row {
            Row::Applied { due, count, is_hot, .. } => {
                let Some(delays) = &mut self.own.delays else { return };
                let (due, took) = (due.saturating_sub(self.start), now.saturating_sub(due));
                delays.timeline.record(due, took, count);
                if due >= self.keep.warmup_ns {
                    delays.all.record_n(took, count);
                    delays.others.record_n(took, if is_hot { 0 } else { count });
                }
            }
            Row::Total { key, count, sum } => {
                self.own.totals.add((key, (count, sum)));
                if self.keep.results {
                    self.own.totals.results.push((key, (count, sum)));
                }
            }
            Row::Order { inversions, repeats, count, digest, .. } => {
                let order = &mut self.own.order;
                order.inversions += inversions;
                order.repeats += repeats;
                order.count += count;
                order.digest = order.digest.wrapping_add(digest);
            }
        }
    }
}

impl Sink for LedgerSink {
    type Item = Row;

    fn write(&mut self, batch: &mut Batch<Row>, _: Nanos) -> Result<()> {
        // The clock is read after everything was applied, once a batch.
        let now = MonotonicClock.now();
        batch.records.drain(..).for_each(|row| self.enter(row, now));
        Ok(())
    }

    fn finish(&mut self, _: Nanos) -> Result<bool> {
        let own = std::mem::take(&mut self.own);
        self.found.lock().unwrap_or_else(PoisonError::into_inner).merge(own);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::generator::keyed_count_checksum;
    use crate::exchange::wake::wake_pair;

    const KEEP: Keep = Keep { lasting_ns: Some(1_000_000_000), warmup_ns: 500, results: true };

    fn found(keep: Keep, parts: [&[Row]; 2]) -> Found {
        let mut ledger = Ledger::new(keep);
        for (partition, part) in parts.into_iter().enumerate() {
            let context = TaskContext::new(partition, 2, wake_pair().1);
            let mut sink = ledger.open(&context).expect("opens");
            part.iter().for_each(|row| sink.enter(*row, LEAD_NS + 10_000));
            assert!(sink.finish(0).expect("finishes"));
        }
        ledger.take()
    }

    fn applied(due: Nanos, count: u64, is_hot: bool) -> Row {
        Row::Applied { key: 1, index: 0, due: LEAD_NS + due, count, is_hot }
    }

    #[test]
    fn partitions_add_up_and_the_warm_up_is_left_out_of_the_whole() {
        let order = |digest| Row::Order { key: 2, inversions: 1, repeats: 2, count: 9, digest };
        let total = |key, count, sum| Row::Total { key, count, sum };
        let one = [applied(100, 1, true), applied(600, 3, true), total(1, 4, 8), order(u64::MAX)];
        let other = [applied(9_000, 2, false), total(2, 1, 7), order(2)];
        let found = found(KEEP, [&one, &other]);
        let checksum = keyed_count_checksum([(1, 4, 8), (2, 1, 7)]);
        assert_eq!((found.totals.total_count, found.totals.checksum), (5, checksum));
        assert_eq!(found.totals.results.len(), 2);
        let expected = Order { inversions: 2, repeats: 4, count: 18, digest: 1 };
        assert_eq!(found.order, expected);
        let delays = found.delays.expect("a rate");
        assert_eq!((delays.all.count(), delays.others.count()), (5, 2));
        assert_eq!((delays.all.percentiles().max, delays.others.percentiles().max), (9_400, 1_000));
        assert_eq!(delays.timeline.windows().len(), 1);
    }

    #[test]
    fn without_a_rate_there_are_no_latencies() {
        let keep = Keep { lasting_ns: None, results: false, ..KEEP };
        let found =
            found(keep, [&[applied(600, 1, true)], &[Row::Total { key: 1, count: 1, sum: 1 }]]);
        assert!(found.delays.is_none() && found.totals.results.is_empty());
    }
}
