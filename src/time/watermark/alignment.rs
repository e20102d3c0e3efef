//! `Alignment`: splits that are too far ahead in event time wait for the slowest.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::time::{Timestamp, millis};

/// Lets the splits of one source, or of several, be at most a drift apart in event time.
///
/// What a fast split reads too early waits in windows and join buffers; pausing it keeps them
/// small. A split waits while its watermark is more than the drift ahead of the slowest. Those that
/// are idle, have ended or have not given a record yet hold nobody back, and the slowest never
/// waits, so alignment cannot bring a job to a stand. Clones are one alignment; it belongs to one
/// pipeline.
#[derive(Clone, Debug)]
pub struct Alignment {
    max_drift_ms: i64,
    splits: Arc<Mutex<Splits>>,
}

/// Where each split is.
type Splits = Vec<Arc<Place>>;

/// The watermark of a split, or [`NOWHERE`]. Two cores touch it, so it has its cache lines alone.
#[derive(Debug)]
#[repr(align(128))]
struct Place(AtomicI64);

/// Of a split that holds nobody back. No active split is there: it is the watermark of the end.
const NOWHERE: i64 = i64::MAX;

impl Alignment {
    /// Lets splits be `max_drift` ahead of the slowest, in whole milliseconds.
    pub fn within(max_drift: Duration) -> Self {
        Alignment { max_drift_ms: millis(max_drift), splits: Arc::default() }
    }

    /// Takes one more split in, before any of them starts.
    pub(crate) fn join(&self) -> Aligned {
        let own = Arc::new(Place(AtomicI64::new(NOWHERE)));
        let mut splits = self.splits.lock().unwrap_or_else(PoisonError::into_inner);
        splits.push(Arc::clone(&own));
        let all = Arc::clone(&self.splits);
        Aligned { max_drift_ms: self.max_drift_ms, own, all, others: None }
    }
}

/// One split under an [`Alignment`].
#[derive(Debug)]
pub(crate) struct Aligned {
    max_drift_ms: i64,
    own: Arc<Place>,
    all: Arc<Mutex<Splits>>,
    /// All others, from its first record on: by then all have joined.
    others: Option<Splits>,
}

impl Aligned {
    /// The split has come to `watermark`. Returns whether it waits; then it is to ask again.
    ///
    /// What another split says may be seen late, never for good: one that waits asks until it
    /// need not.
    pub(crate) fn advance(&mut self, watermark: Timestamp) -> bool {
        if watermark == Timestamp::MIN {
            return false;
        }
        // Relaxed, here and below: one number, which nothing else hangs on.
        self.own.0.store(watermark.as_millis(), Ordering::Relaxed);
        let (own, all) = (&self.own, &self.all);
        let others = self.others.get_or_insert_with(|| {
            let all = all.lock().unwrap_or_else(PoisonError::into_inner);
            all.iter().filter(|split| !Arc::ptr_eq(split, own)).cloned().collect()
        });
        let slowest = others.iter().map(|split| split.0.load(Ordering::Relaxed)).min();
        slowest.is_some_and(|at| watermark > Timestamp::from(at).plus_millis(self.max_drift_ms))
    }

    /// The split is idle or has ended: it holds nobody back.
    pub(crate) fn leave(&mut self) {
        self.own.0.store(NOWHERE, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Splits that may be 10 ms apart.
    fn splits<const N: usize>() -> [Aligned; N] {
        let alignment = Alignment::within(Duration::from_millis(10));
        std::array::from_fn(|_| alignment.join())
    }

    #[test]
    fn split_waits_beyond_the_drift_until_the_slowest_moves_and_the_slowest_never() {
        let [mut slow, mut middle, mut fast] = splits();
        assert!(!slow.advance(5.into()));
        assert!(!middle.advance(15.into()));
        assert!(fast.advance(16.into()));
        assert!(!slow.advance(6.into()));
        assert!(!fast.advance(16.into()));
    }

    #[test]
    fn idle_ended_and_silent_splits_hold_nobody_until_they_are_back() {
        let [mut one, mut other, mut silent] = splits();
        assert!(!silent.advance(Timestamp::MIN));
        assert!(!one.advance(50.into()));
        assert!(!other.advance(5.into()));
        assert!(one.advance(50.into()));
        other.leave();
        assert!(!one.advance(50.into()));
        assert!(!other.advance(7.into()));
        assert!(one.advance(50.into()));
    }

    #[test]
    fn drift_beyond_all_time_lets_nobody_wait() {
        let alignment = Alignment::within(Duration::MAX);
        let [mut slow, mut fast] = [alignment.join(), alignment.join()];
        assert!(!slow.advance(1.into()));
        assert!(!fast.advance((i64::MAX - 1).into()));
    }
}
