//! All lanes of one edge: from every partition to every partition.

use crate::exchange::lane::{LaneReceiver, LaneSender, lane};
use crate::exchange::wake::Wake;
use crate::record::Never;
use crate::time::Nanos;

/// How the lanes and outboxes of a job's edges are laid out.
#[derive(Clone, Debug)]
pub struct EdgeConfig {
    /// Data batches a lane holds, at least 1.
    pub lane_batches: usize,
    /// Records in a full batch; `None` chooses by the record's size.
    pub batch_records: Option<usize>,
    /// How long an open batch may wait for more records, in nanoseconds.
    pub linger: Nanos,
    /// Messages that may wait from one partition to another while keyed state moves, at least 1.
    pub parcels: usize,
    /// Records that may wait in front of an outbox before nothing more is let in; what one record
    /// makes may go beyond it.
    pub staged: usize,
}

/// Twice the largest automatic batch, so that a chain that makes one record of each is never cut
/// short.
pub const STAGED_RECORDS: usize = 2_048;

/// Bytes of records that fill a batch, where its size is chosen by the record's.
const AUTO_BATCH_BYTES: usize = 16 * 1024;

impl EdgeConfig {
    /// Records in a full batch of `T`.
    ///
    /// Chosen by size: about 16 KiB, but 64 to 1,024 records, so that eight batches of a lane stay
    /// in a core's second-level cache.
    pub fn batch_records_for<T>(&self) -> usize {
        self.batch_records_of(size_of::<T>())
    }

    /// Records in a full batch of records of `record_bytes`.
    pub fn batch_records_of(&self, record_bytes: usize) -> usize {
        self.batch_records
            .unwrap_or_else(|| (AUTO_BATCH_BYTES / record_bytes.max(1)).clamp(64, 1_024))
            .max(1)
    }
}

/// Where one instance of a task runs.
#[derive(Clone, Debug)]
pub struct Seat {
    /// Index of the partition.
    pub host: usize,
    /// Wakes it.
    pub wake: Wake,
}

/// The lanes of one edge that nobody has taken yet.
pub struct LaneMatrix<T, P = Never> {
    /// `senders[p][q]` leads from the feeder's instance `p` to the reader's instance `q`.
    senders: Vec<Option<Vec<LaneSender<T, P>>>>,
    /// `receivers[q][p]` is its other end.
    receivers: Vec<Option<Vec<LaneReceiver<T, P>>>>,
}

impl<T, P> LaneMatrix<T, P> {
    /// Lanes from each instance of one task to each instance of another.
    pub fn between(from: &[Seat], to: &[Seat], config: &EdgeConfig) -> Self {
        let mut senders: Vec<Vec<_>> = from.iter().map(|_| Vec::new()).collect();
        let mut receivers: Vec<Vec<_>> = to.iter().map(|_| Vec::new()).collect();
        for (from, row) in from.iter().zip(&mut senders) {
            for (to, column) in to.iter().zip(&mut receivers) {
                let is_local = from.host == to.host;
                let producer = (!is_local).then(|| from.wake.clone());
                let consumer = (!is_local).then(|| to.wake.clone());
                let (sender, receiver) = lane(config.lane_batches, producer, consumer);
                row.push(sender);
                column.push(receiver);
            }
        }
        Self::of(senders, receivers)
    }

    /// One lane per pair of instances that run side by side: a local edge.
    pub fn within_each(instances: usize, config: &EdgeConfig) -> Self {
        let (senders, receivers) = (0..instances)
            .map(|_| {
                let (sender, receiver) = lane(config.lane_batches, None, None);
                (vec![sender], vec![receiver])
            })
            .unzip();
        Self::of(senders, receivers)
    }

    fn of(senders: Vec<Vec<LaneSender<T, P>>>, receivers: Vec<Vec<LaneReceiver<T, P>>>) -> Self {
        LaneMatrix {
            senders: senders.into_iter().map(Some).collect(),
            receivers: receivers.into_iter().map(Some).collect(),
        }
    }

    /// The sending ends of one instance, in order of their targets. Each is taken once.
    pub fn take_senders(&mut self, instance: usize) -> Vec<LaneSender<T, P>> {
        self.senders[instance].take().expect("an edge is fed by one task")
    }

    /// The receiving ends of one instance, in order of their origins. Each is taken once.
    pub fn take_receivers(&mut self, instance: usize) -> Vec<LaneReceiver<T, P>> {
        self.receivers[instance].take().expect("an edge is read by one task")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::lane::Message;
    use crate::exchange::wake::wake_pair;
    use crate::record::Batch;

    #[test]
    fn sender_p_to_q_meets_receiver_q_from_p() {
        let seats: Vec<Seat> = (0..3).map(|host| Seat { host, wake: wake_pair().1 }).collect();
        let config =
            EdgeConfig { lane_batches: 1, batch_records: None, linger: 0, parcels: 1, staged: 8 };
        let mut matrix = LaneMatrix::<usize>::between(&seats[..2], &seats, &config);
        for from in 0..2 {
            for (to, sender) in matrix.take_senders(from).iter_mut().enumerate() {
                let mut batch = Batch::new();
                batch.push(from * 10 + to);
                sender.try_send(batch).expect("an empty lane has room");
            }
        }
        for to in 0..3 {
            for (from, receiver) in matrix.take_receivers(to).iter_mut().enumerate() {
                let message = receiver.try_recv();
                assert!(
                    matches!(message, Some(Message::Batch(b)) if b.records == [from * 10 + to])
                );
            }
        }
    }

    #[test]
    fn automatic_batches_are_larger_for_smaller_records() {
        let config =
            EdgeConfig { lane_batches: 8, batch_records: None, linger: 0, parcels: 1, staged: 8 };
        assert_eq!(config.batch_records_for::<[u64; 2]>(), 1_024);
        assert_eq!(config.batch_records_for::<[u64; 8]>(), 256);
        assert_eq!(config.batch_records_for::<[u64; 1024]>(), 64);
        assert_eq!(config.batch_records_for::<()>(), 1_024);
    }
}
