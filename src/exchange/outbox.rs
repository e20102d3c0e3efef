//! An outbox: gathers the records of one task into a batch per lane of an edge.
//!
//! One open batch per target. A target is flushed when its batch is full, when its linger has
//! passed, when its consumer has run dry, and before every control message. An outbox never
//! grows: where a batch and its lane are full there is no room, and the records stay with whoever
//! brought them.

use crate::exchange::lane::LaneSender;
use crate::exchange::mark::Mark;
use crate::exchange::matrix::EdgeConfig;
use crate::exchange::planted::{Fault, is_planted};
use crate::exchange::pool::Pool;
use crate::record::{Batch, Never};
use crate::time::watermark::Progress;
use crate::time::{Nanos, Timestamp};

/// How long event time may wait for a batch to travel with.
const TELL_NS: Nanos = 500_000;

/// The producer's side of an edge on one partition, or of several that carry the same records.
pub struct Outbox<T, P = Never> {
    /// `open[i]` is the batch that gathers records for `lanes[i]`.
    open: Vec<Batch<T, P>>,
    lanes: Vec<LaneSender<T, P>>,
    /// Buffers for lanes that cross.
    pool: Pool<T, P>,
    batch_records: usize,
    /// Records that may wait in front of it.
    staged: usize,
    linger: Nanos,
    /// The intake stamp of the records that are being worked off.
    intake: Nanos,
    now: Nanos,
    /// When the oldest record of each open batch came in; 0 where the batch is empty.
    opened: Vec<Nanos>,
    /// The target that had no room when it was last asked for.
    refused: Option<usize>,
    /// How far event time has come, and whether nothing comes for now.
    watermark: Timestamp,
    is_idle: bool,
    /// Whether each target knows.
    is_told: Vec<bool>,
    /// When all of them have to know it.
    tell_by: Nanos,
    /// When the first batch that waits has to go.
    wake_at: Option<Nanos>,
    /// Lanes that have the mark which is being put on all of them.
    marked: usize,
    /// Lanes that still owe their `End`.
    unfinished: usize,
    /// Lanes of each edge; the lanes of one edge lie together.
    lanes_per_edge: usize,
    /// What went over each edge.
    records: Vec<u64>,
    batches: u64,
}

impl<T, P> Outbox<T, P> {
    /// An outbox over the lanes of one edge, where `lanes[i]` leads to target `i`.
    pub fn new(lanes: Vec<LaneSender<T, P>>, config: &EdgeConfig) -> Self {
        Outbox::over(vec![lanes], config)
    }

    /// An outbox over several edges, each with equally many lanes; targets are counted through.
    pub fn over(edges: Vec<Vec<LaneSender<T, P>>>, config: &EdgeConfig) -> Self {
        let (lanes_per_edge, edge_count) = (edges.first().map_or(1, Vec::len), edges.len());
        let lanes: Vec<_> = edges.into_iter().flatten().collect();
        let targets = lanes.len();
        let batch_records = config.batch_records_for::<T>();
        Outbox {
            open: (0..targets).map(|_| Batch::new()).collect(),
            marked: 0,
            unfinished: targets,
            lanes,
            pool: Pool::new(batch_records),
            refused: None,
            watermark: Timestamp::MIN,
            is_idle: false,
            is_told: vec![true; targets],
            tell_by: 0,
            wake_at: None,
            batch_records,
            staged: config.staged,
            linger: config.linger,
            intake: 0,
            now: 0,
            opened: vec![0; targets],
            lanes_per_edge,
            records: vec![0; edge_count],
            batches: 0,
        }
    }

    /// Records that may wait in front of it before nothing more is let in.
    #[inline(always)]
    pub fn staged_max(&self) -> usize {
        self.staged
    }

    /// How many lanes it feeds.
    #[inline(always)]
    pub fn targets(&self) -> usize {
        self.open.len()
    }

    /// The open batches, by target. What is pushed must fit into their capacity: see
    /// [`make_room`](Self::make_room).
    #[inline(always)]
    pub fn open(&mut self) -> &mut [Batch<T, P>] {
        &mut self.open
    }

    /// Makes room for at least one more record in the open batch of `target`, sending it if it is
    /// full; `false` if its lane is full too. Out of line: it is needed once a batch.
    #[inline(never)]
    pub fn make_room(&mut self, target: usize) -> bool {
        if self.is_full(target) && !self.flush(target) {
            self.refused = Some(target);
            return false;
        }
        let records = &mut self.open[target].records;
        if records.len() == records.capacity() {
            // A new buffer, or one that came home smaller than it went.
            records.reserve_exact((self.batch_records - records.len()).max(1));
        }
        true
    }

    /// Whether the open batch of `target` has room for one more record; makes it if it can.
    #[inline]
    pub fn has_room(&mut self, target: usize) -> bool {
        let records = &self.open[target].records;
        (size_of::<T>() != 0 && records.len() < records.capacity()) || self.make_room(target)
    }

    /// Adds a record to what goes to `target`, or gives it back if there is no room.
    #[inline(always)]
    pub fn push(&mut self, target: usize, record: T) -> Result<(), T> {
        if !self.has_room(target) {
            return Err(record);
        }
        self.open[target].records.push(record);
        Ok(())
    }

    /// Adds a partial aggregate to what goes to `target`, or gives it back if there is no room.
    #[inline]
    pub fn push_partial(&mut self, target: usize, partial: P) -> Result<(), P> {
        if self.open[target].partials.len() >= self.batch_records && !self.make_room(target) {
            return Err(partial);
        }
        self.open[target].partials.push(partial);
        Ok(())
    }

    /// Whether every target had room when it was last asked for.
    #[inline(always)]
    pub fn is_open(&self) -> bool {
        self.refused.is_none()
    }

    /// Says which records come now: those of a batch with this intake stamp, at this time.
    #[inline]
    pub fn begin_slice(&mut self, intake: Nanos, now: Nanos) {
        self.intake = intake;
        self.now = now;
    }

    /// When it was last told what time it is.
    pub fn now(&self) -> Nanos {
        self.now
    }

    /// Stamps what the slice left in open batches.
    #[inline]
    pub fn end_slice(&mut self) {
        for (batch, opened) in self.open.iter_mut().zip(&mut self.opened) {
            if *opened == 0 && !batch.is_empty() {
                *opened = self.now.max(1);
                batch.intake = self.intake;
            }
        }
    }

    /// Says what is true of event time once everything pushed so far has been worked off. It goes
    /// to each target with the next batch that goes there, or by itself when that takes too long.
    pub fn tell(&mut self, progress: Progress) {
        let is_urgent = progress == Progress::Idle;
        if is_urgent || self.is_told.iter().all(|is_told| *is_told) {
            self.tell_by = self.now.saturating_add(if is_urgent { 0 } else { TELL_NS });
        }
        self.is_idle = is_urgent;
        if let Progress::Watermark(time) = progress {
            self.watermark = time;
        }
        self.is_told.fill(false);
    }

    /// Takes the place of `before`, over other lanes: tells all of them what that has told of event
    /// time.
    pub fn go_on_from(&mut self, before: &Outbox<T, P>) {
        (self.watermark, self.is_idle) = (before.watermark, before.is_idle);
        if self.is_idle || self.watermark > Timestamp::MIN {
            self.is_told.fill(false);
        }
    }

    /// Asks again for the room that was refused; `true` if the outbox is open.
    pub fn retry(&mut self, now: Nanos) -> bool {
        self.now = now;
        match self.refused.take() {
            Some(target) => self.make_room(target),
            None => true,
        }
    }

    /// Sends open batches whose time has come; `true` if one went out.
    pub fn settle(&mut self, now: Nanos) -> bool {
        self.now = now;
        self.wake_at = None;
        let mut sent = false;
        for target in 0..self.open.len() {
            let Some(due_at) = self.due_at(target) else { continue };
            let is_dry = !self.open[target].is_empty() && self.lanes[target].is_dry();
            if now >= due_at || is_dry || self.is_full(target) {
                // With a full lane it is the consumer that wakes this partition.
                sent |= self.flush(target);
            } else {
                self.wake_at = Some(self.wake_at.map_or(due_at, |at| at.min(due_at)));
            }
        }
        sent
    }

    /// When what waits for `target` has to go; `None` if nothing does.
    fn due_at(&self, target: usize) -> Option<Nanos> {
        let records_at = self.opened[target].saturating_add(self.linger);
        match (self.open[target].is_empty(), self.is_told[target]) {
            (true, true) => None,
            (true, false) => Some(self.tell_by),
            (false, true) => Some(records_at),
            (false, false) => Some(records_at.min(self.tell_by)),
        }
    }

    /// When [`settle`](Self::settle) has something to do, as of the last one.
    pub fn wake_at(&self) -> Option<Nanos> {
        self.wake_at
    }

    /// Puts `mark` on every lane, behind everything that was pushed and told; `false` asks to be
    /// called again with the same mark, and nothing may be pushed meanwhile.
    pub fn mark_all(&mut self, mark: Mark) -> bool {
        let mark = match mark {
            Mark::Hold { id, domain, .. } => Mark::Hold { id, domain, watermark: self.watermark },
            other => other,
        };
        if is_planted(Fault::NoHold) && matches!(mark, Mark::Hold { .. }) {
            return true;
        }
        while self.marked < self.lanes.len() {
            let target = self.marked;
            let is_news = !self.is_told[target];
            if (is_news && !self.flush(target)) || !self.mark(target, mark) {
                return false;
            }
            self.marked += 1;
        }
        self.marked = 0;
        true
    }

    /// Puts `mark` on the lane to `target`, behind everything that was pushed for it; `false` if
    /// there is no room.
    pub fn mark(&mut self, target: usize, mark: Mark) -> bool {
        // One lane to an edge: both its ends are on this partition.
        let is_inside = self.lanes_per_edge == 1 && mark.through_stage().is_some();
        let overtakes = (is_planted(Fault::MarkerBeforeOpenBatch)
            && matches!(mark, Mark::Reroute { .. }))
            || (is_planted(Fault::OpenBatchNotUnderWay) && is_inside);
        if !self.open[target].is_empty() && !overtakes && !self.flush(target) {
            return false;
        }
        let is_sent = self.lanes[target].try_mark(mark);
        self.batches += u64::from(is_sent);
        is_sent
    }

    /// Flushes everything and ends every lane; `false` asks to be called again.
    pub fn finish(&mut self, now: Nanos) -> bool {
        if !self.retry(now) {
            return false;
        }
        for target in 0..self.open.len() {
            if !self.open[target].is_empty() && !self.flush(target) {
                return false;
            }
        }
        // The end says as much, and nothing may follow it.
        self.is_told.fill(true);
        while self.unfinished > 0 {
            let lane = &mut self.lanes[self.unfinished - 1];
            if !lane.try_end() {
                return false;
            }
            self.unfinished -= 1;
        }
        true
    }

    /// Index of the edge that has no room; 0 if all have.
    pub fn blocked_edge(&self) -> usize {
        self.refused.unwrap_or(0) / self.lanes_per_edge
    }

    /// Records and messages sent since start; partials count as records, batches and marks as
    /// messages.
    pub fn sent(&self) -> (u64, u64) {
        (self.records.iter().sum(), self.batches)
    }

    /// Records sent over one edge since start.
    pub fn sent_over(&self, edge: usize) -> u64 {
        self.records[edge]
    }

    fn is_full(&self, target: usize) -> bool {
        let batch = &self.open[target];
        batch.records.len() >= self.batch_records || batch.partials.len() >= self.batch_records
    }

    /// Sends the open batch of `target`; `false` if its lane is full.
    fn flush(&mut self, target: usize) -> bool {
        let lane = &mut self.lanes[target];
        let mut batch = std::mem::take(&mut self.open[target]);
        if self.opened[target] == 0 {
            batch.intake = self.intake;
        }
        batch.sent = self.now;
        let is_news = !self.is_told[target];
        batch.watermark = is_news.then_some(self.watermark);
        batch.goes_idle = is_news && self.is_idle;
        let count = batch.len() as u64;
        if let Err(batch) = lane.try_send(batch) {
            self.open[target] = batch;
            return false;
        }
        self.is_told[target] = true;
        self.records[target / self.lanes_per_edge] += count;
        self.batches += 1;
        self.opened[target] = 0;
        self.open[target] = self.next_buffer(target);
        true
    }

    /// An empty buffer for what goes to `target`.
    fn next_buffer(&mut self, target: usize) -> Batch<T, P> {
        let lane = &mut self.lanes[target];
        if !lane.crosses() {
            return lane.take_spare().unwrap_or_default();
        }
        while let Some(buffer) = lane.take_spare() {
            self.pool.put(buffer);
        }
        self.pool.take().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::gate::{Arrival, Gate};
    use crate::exchange::lane::{LaneReceiver, lane};

    fn outbox(targets: usize, batch: usize) -> (Outbox<u32>, Vec<LaneReceiver<u32>>) {
        let (senders, receivers) = (0..targets).map(|_| lane(1, None, None)).unzip();
        let config = EdgeConfig {
            batch_records: Some(batch),
            linger: 1_000,
            lane_batches: 1,
            parcels: 1,
            staged: 8,
        };
        (Outbox::new(senders, &config), receivers)
    }

    fn push_all<const N: usize>(outbox: &mut Outbox<u32>, records: [u32; N]) {
        for record in records {
            outbox.push(0, record).expect("there is room");
        }
    }

    #[test]
    fn full_batch_goes_out_with_the_next_record() {
        let (mut outbox, receivers) = outbox(1, 2);
        push_all(&mut outbox, [1, 2]);
        assert!(receivers[0].is_empty());
        push_all(&mut outbox, [3]);
        assert!(!receivers[0].is_empty());
        assert_eq!(outbox.sent(), (2, 1));
    }

    #[test]
    fn full_lane_gives_the_record_back_until_there_is_room() {
        let (mut outbox, receivers) = outbox(1, 2);
        push_all(&mut outbox, [0, 1, 2, 3]);
        assert_eq!(outbox.push(0, 4), Err(4));
        assert!(!outbox.is_open());
        assert!(!outbox.retry(1));
        let mut gate = Gate::new(receivers);
        let (mut batch, mut seen) = (Batch::new(), Vec::new());
        assert!(matches!(gate.next(&mut batch), Arrival::Batch));
        seen.append(&mut batch.records);
        assert!(outbox.retry(1));
        push_all(&mut outbox, [4]);
        while !outbox.finish(1) {
            if let Arrival::Batch = gate.next(&mut batch) {
                seen.append(&mut batch.records);
            }
        }
        while let Arrival::Batch = gate.next(&mut batch) {
            seen.append(&mut batch.records);
        }
        assert_eq!(seen, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn open_batch_waits_for_its_linger_unless_the_consumer_is_dry() {
        let (mut outbox, receivers) = outbox(1, 4);
        outbox.begin_slice(5, 5);
        push_all(&mut outbox, [1]);
        outbox.end_slice();
        assert!(outbox.settle(6), "the lane is empty, so the consumer is dry");
        push_all(&mut outbox, [2]);
        outbox.end_slice();
        assert!(!outbox.settle(7), "the consumer still has a batch");
        assert_eq!(outbox.wake_at(), Some(1_006));
        drop(receivers);
    }

    fn arrivals(gate: &mut Gate<u32>, batch: &mut Batch<u32>) -> Vec<String> {
        let mut seen = Vec::new();
        loop {
            match gate.next(batch) {
                Arrival::Batch => seen.push(format!("{:?}", batch.records)),
                Arrival::Progress(progress) => seen.push(format!("{progress:?}")),
                Arrival::Barrier(barrier) => seen.push(format!("barrier {barrier}")),
                Arrival::Mark(mark) => seen.push(format!("{mark:?}")),
                Arrival::Nothing | Arrival::Ended => return seen,
            }
            batch.records.clear();
        }
    }

    #[test]
    fn event_time_travels_behind_the_records_before_it() {
        let (mut outbox, receivers) = outbox(1, 4);
        let (mut gate, mut batch) = (Gate::new(receivers), Batch::new());
        outbox.begin_slice(1, 1);
        push_all(&mut outbox, [1]);
        outbox.tell(Progress::Watermark(7.into()));
        push_all(&mut outbox, [2]);
        outbox.end_slice();
        assert!(outbox.settle(2));
        assert_eq!(arrivals(&mut gate, &mut batch), ["[1, 2]", "Watermark(Timestamp(7))"]);
    }

    #[test]
    fn event_time_without_records_waits_a_while_and_idleness_does_not() {
        let (mut outbox, receivers) = outbox(1, 4);
        let (mut gate, mut batch) = (Gate::new(receivers), Batch::new());
        outbox.begin_slice(1, 1);
        outbox.tell(Progress::Watermark(7.into()));
        assert!(!outbox.settle(2));
        assert_eq!(outbox.wake_at(), Some(1 + TELL_NS));
        outbox.tell(Progress::Watermark(8.into()));
        assert!(outbox.settle(1 + TELL_NS), "the first of both has waited long enough");
        assert_eq!(arrivals(&mut gate, &mut batch), ["[]", "Watermark(Timestamp(8))"]);
        outbox.tell(Progress::Watermark(9.into()));
        outbox.tell(Progress::Idle);
        assert!(outbox.settle(2 + TELL_NS));
        let told = ["[]", "Watermark(Timestamp(9))", "Idle"];
        assert_eq!(arrivals(&mut gate, &mut batch), told);
        push_all(&mut outbox, [3]);
        assert!(outbox.settle(3 + TELL_NS));
        let told = ["Watermark(Timestamp(9))", "[3]"];
        assert_eq!(arrivals(&mut gate, &mut batch), told, "records end idleness");
    }

    #[test]
    fn event_time_that_was_not_told_before_the_end_is_not_told_after_it() {
        let (mut outbox, receivers) = outbox(1, 4);
        let (mut gate, mut batch) = (Gate::new(receivers), Batch::new());
        outbox.begin_slice(1, 1);
        outbox.tell(Progress::Watermark(7.into()));
        assert!(outbox.finish(2));
        // Another outbox of the same task may not be done yet, and both are settled.
        assert!(!outbox.settle(2 + TELL_NS));
        assert_eq!(arrivals(&mut gate, &mut batch), [""; 0]);
    }

    #[test]
    fn mark_comes_behind_everything_that_was_pushed_and_told() {
        let (mut outbox, receivers) = outbox(1, 4);
        let (mut gate, mut batch) = (Gate::new(receivers), Batch::new());
        outbox.begin_slice(1, 1);
        push_all(&mut outbox, [1]);
        outbox.tell(Progress::Watermark(7.into()));
        assert!(outbox.mark_all(Mark::hold(1, 0)));
        outbox.tell(Progress::Watermark(9.into()));
        push_all(&mut outbox, [2]);
        assert!(!outbox.mark_all(Mark::Barrier(3)), "there is no room for the second batch");
        let told = ["[1]", "Watermark(Timestamp(7))"];
        assert_eq!(arrivals(&mut gate, &mut batch), told);
        assert!(outbox.mark_all(Mark::Barrier(3)));
        assert_eq!(arrivals(&mut gate, &mut batch), ["[2]", "barrier 3"], "it holds time at 7");
    }

    #[test]
    fn intake_stamp_is_that_of_the_oldest_record() {
        let (mut outbox, mut receivers) = outbox(1, 8);
        for intake in [40, 50] {
            outbox.begin_slice(intake, intake + 1);
            push_all(&mut outbox, [1]);
            outbox.end_slice();
        }
        assert!(outbox.finish(60));
        let Some(crate::exchange::lane::Message::Batch(batch)) = receivers[0].try_recv() else {
            panic!("a batch was sent");
        };
        assert_eq!((batch.intake, batch.sent), (40, 60));
    }
}
