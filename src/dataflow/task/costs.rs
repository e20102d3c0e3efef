//! What the keys of a task cost, from a sample of its batches.

use std::sync::Arc;

use crate::metrics::{Heavy, Sampling, SpaceSaving};
use crate::routing::{KEY_GROUPS, key_group};
use crate::time::Nanos;

/// A record that took so many times as long as the average one was interrupted: what took the core
/// away says nothing about its key.
const INTERRUPTED: u64 = 8;
/// Weights are sixteenths of a nanosecond, so that a record of a few nanoseconds has one.
const WEIGHT_PER_NS: u64 = 16;

/// Told of every batch that a keyed task works off: when it was taken, and the hashes of its keys.
pub type KeyTap = Arc<dyn Fn(Nanos, &[u64]) + Send + Sync>;

/// Where the time of a sample went. Weights are in a unit of their own: their parts of the total
/// count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeySample {
    /// Weight of everything in the sample.
    pub total: u64,
    /// Records in it.
    pub records: u64,
    /// (key group, weight) of every group in the sample, ascending.
    pub groups: Vec<(u16, u64)>,
    /// The heaviest keys, as a sketch of 64 counters knows them; part of their groups too.
    pub keys: Vec<Heavy>,
}

/// Books the time of some batches on key groups and keys.
pub(super) struct KeyCosts {
    sampling: Sampling,
    sketch: SpaceSaving,
    /// `weights[g]` is the weight of key group *g* since the last sample was taken.
    weights: Box<[u64]>,
    total: u64,
    records: u64,
    /// Hashes of the batch in hand.
    hashes: Vec<u64>,
    /// Time spent on looking since the last sample was taken.
    looked_ns: Nanos,
    /// What the task had worked when the last sample was taken.
    busy_ns: Nanos,
    /// Told of all batches, if somebody listens: then all are looked into.
    tap: Option<KeyTap>,
}

impl KeyCosts {
    /// Has looked at nothing; the task has worked for `busy_ns` so far.
    pub(super) fn new(busy_ns: Nanos) -> Self {
        KeyCosts {
            sampling: Sampling::new(),
            sketch: SpaceSaving::new(),
            weights: vec![0; KEY_GROUPS].into(),
            total: 0,
            records: 0,
            hashes: Vec::new(),
            looked_ns: 0,
            busy_ns,
            tap: None,
        }
    }

    /// Tells `tap` of all batches from now on.
    pub(super) fn listen(&mut self, tap: &KeyTap) {
        self.tap = Some(Arc::clone(tap));
    }

    /// Whether to look into the batch at hand. Asked once a batch.
    #[inline]
    pub(super) fn takes_next(&mut self) -> bool {
        self.sampling.takes_next() || self.tap.is_some()
    }

    /// Where the hashes of the batch go, in the order in which it is worked off.
    pub(super) fn hashes(&mut self) -> &mut Vec<u64> {
        self.hashes.clear();
        &mut self.hashes
    }

    /// The first `records` of the batch, which was taken at `taken`, took `elapsed` together.
    pub(super) fn book(&mut self, records: usize, taken: Nanos, elapsed: Nanos) {
        if records == 0 {
            return;
        }
        if let Some(tap) = &self.tap {
            tap(taken, &self.hashes[..records]);
        }
        let mut each = (elapsed * WEIGHT_PER_NS / records as u64).max(1);
        if let Some(average) = self.total.checked_div(self.records) {
            each = each.min(average.max(1) * INTERRUPTED);
        }
        for hash in &self.hashes[..records] {
            self.sketch.add(*hash, each);
            self.weights[key_group(*hash)] += each;
        }
        self.records += records as u64;
        self.total += each * records as u64;
    }

    /// Forgets what was seen since the last sample: it was booked on groups that are others now.
    pub(super) fn forget(&mut self) {
        self.weights.fill(0);
        self.sketch.clear();
        (self.total, self.records) = (0, 0);
    }

    /// Counts time that looking took.
    pub(super) fn looked(&mut self, elapsed: Nanos) {
        self.looked_ns += elapsed;
    }

    /// What was seen since the last call, by a task that has worked for `busy_ns` in all.
    pub(super) fn take(&mut self, busy_ns: Nanos) -> KeySample {
        let worked = busy_ns.saturating_sub(std::mem::replace(&mut self.busy_ns, busy_ns));
        self.sampling.adapt(worked, std::mem::take(&mut self.looked_ns));
        let weighed = self.weights.iter_mut().enumerate().filter(|(_, weight)| **weight > 0);
        let groups = weighed.map(|(group, weight)| (group as u16, std::mem::take(weight)));
        let sample = KeySample {
            total: std::mem::take(&mut self.total),
            records: std::mem::take(&mut self.records),
            groups: groups.collect(),
            keys: self.sketch.heaviest(),
        };
        self.sketch.clear();
        sample
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::routing::with_group;

    fn book(costs: &mut KeyCosts, hashes: &[u64], worked_off: usize, elapsed: Nanos) {
        costs.hashes().extend(hashes);
        costs.book(worked_off, 0, elapsed);
    }

    #[test]
    fn time_is_booked_on_what_was_worked_off() {
        let [one, other] = [with_group(5, 3), with_group(7, 9)];
        let mut costs = KeyCosts::new(0);
        book(&mut costs, &[one, one, other, other], 3, 300);
        let sample = costs.take(1_000);
        assert_eq!(sample.total, 300 * WEIGHT_PER_NS);
        assert_eq!(sample.groups, [(3, 200 * WEIGHT_PER_NS), (9, 100 * WEIGHT_PER_NS)]);
        let keys: Vec<_> = sample.keys.iter().map(|key| (key.hash, key.weight)).collect();
        assert_eq!(keys, [(one, 200 * WEIGHT_PER_NS), (other, 100 * WEIGHT_PER_NS)]);
        assert_eq!(costs.take(2_000), KeySample::default(), "it begins anew");
    }

    #[test]
    fn batch_that_was_interrupted_does_not_outweigh_all_others() {
        let [one, other] = [with_group(5, 3), with_group(7, 9)];
        let mut costs = KeyCosts::new(0);
        (0..9).for_each(|_| book(&mut costs, &[one], 1, 100));
        book(&mut costs, &[other], 1, 4_000_000);
        let sample = costs.take(1_000);
        assert_eq!(sample.groups, [(3, 900 * WEIGHT_PER_NS), (9, 800 * WEIGHT_PER_NS)]);
    }

    #[test]
    fn listener_hears_of_what_was_worked_off_of_every_batch() {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let ear = Arc::clone(&heard);
        let tap: KeyTap =
            Arc::new(move |taken, hashes| ear.lock().unwrap().push((taken, hashes.to_vec())));
        let mut costs = KeyCosts::new(0);
        costs.listen(&tap);
        assert!((0..1_000).all(|_| costs.takes_next()));
        costs.hashes().extend([4, 5, 6]);
        costs.book(2, 77, 10);
        costs.book(0, 78, 10);
        assert_eq!(*heard.lock().unwrap(), [(77, vec![4, 5])]);
    }

    #[test]
    fn nothing_worked_off_is_nothing_booked() {
        let mut costs = KeyCosts::new(0);
        book(&mut costs, &[1], 0, 50);
        assert_eq!(costs.take(100), KeySample::default());
    }
}
