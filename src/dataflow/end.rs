//! Where a chain's records go: the end of a task that is not keyed.

use std::collections::VecDeque;

use crate::dataflow::chain::feed;
use crate::dataflow::{Emit, Folded, Meta, Route, StepContext, TimeDomain};
use crate::error::Result;
use crate::exchange::planted::{Fault, is_planted};
use crate::exchange::{Mark, Outbox};
use crate::metrics::Blocked;
use crate::time::watermark::Progress;
use crate::time::{Nanos, Timestamp};

/// The end of a task. The loop calls it once a batch; records reach it through [`Emit`].
pub trait End<T>: Emit<T> + Send {
    /// A batch with this intake stamp is about to be worked off.
    fn begin_slice(&mut self, intake: Nanos, now: Nanos);

    /// The batch, or a part of it, has been worked off.
    ///
    /// # Errors
    /// What a sink reports.
    fn end_slice(&mut self, step: &mut StepContext<'_>) -> Result<()>;

    /// Takes note of what is true of event time once everything emitted so far is through.
    fn tell(&mut self, progress: Progress);

    /// Puts a mark behind everything emitted so far, on all lanes that it feeds; a sink has written
    /// all of that then. Until it is there the end is closed.
    fn mark(&mut self, mark: Mark);

    /// Whether a mark waits for room.
    fn is_marking(&self) -> bool;

    /// Tries to get rid of what waits for room; `true` if the end is open.
    ///
    /// # Errors
    /// What a sink reports.
    fn retry(&mut self, step: &mut StepContext<'_>) -> Result<bool>;

    /// Sends what has waited long enough; `true` if something went out.
    fn settle(&mut self, now: Nanos) -> bool;

    /// Sends everything and says that nothing follows; `false` asks to be called again.
    ///
    /// # Errors
    /// What a sink reports.
    fn finish(&mut self, step: &mut StepContext<'_>) -> Result<bool>;

    /// Whether it feeds lanes, which are others in another layout.
    fn feeds_lanes(&self) -> bool {
        true
    }

    /// When [`settle`](Self::settle) has something to do at the latest, if nothing comes in.
    fn wake_at(&self) -> Option<Nanos>;

    /// Records and batches that went out since start.
    fn sent(&self) -> (u64, u64);

    /// Records that went over one of its outputs since start.
    fn sent_over(&self, output: usize) -> u64;

    /// What it waits for while it is not open.
    fn blocked(&self) -> Blocked;

    /// Adds how many records of each combined key it has folded since the start.
    fn folded(&self, folded: &mut Vec<Folded>) {
        let _ = folded;
    }
}

/// The end of a task that feeds lanes: an outbox and the way to a lane.
///
/// Records that operators emit are staged and scattered together, so that the scattering loop is
/// one loop; a task without operators scatters its batch as it is. What the outbox has no room for
/// stays staged, and while it does the task takes nothing in.
pub(super) struct OutboxEnd<T: Send + 'static, D: TimeDomain, R: Route<D::Row<T>>> {
    outbox: Outbox<R::Item, R::Partial>,
    route: R,
    staged: Vec<D::Row<T>>,
    spare: Vec<D::Row<T>>,
    told: Told,
    /// When it is passed on, if it waits for what is folded.
    pass_at: Option<Nanos>,
    /// Rows that may be staged before nothing more is let in: none while a mark waits, so that what
    /// is asked once per record stays one comparison.
    room: usize,
    /// What is to be put on all lanes behind what is staged, in order.
    marks: VecDeque<Mark>,
    /// The lanes are being ended.
    is_finishing: bool,
    now: Nanos,
}

impl<T: Send + 'static, D: TimeDomain, R: Route<D::Row<T>>> OutboxEnd<T, D, R> {
    /// Feeds the lanes of `outbox` as `route` says.
    pub(super) fn new(outbox: Outbox<R::Item, R::Partial>, route: R) -> Self {
        OutboxEnd {
            room: outbox.staged_max(),
            outbox,
            route,
            staged: Vec::new(),
            spare: Vec::new(),
            told: Told::default(),
            pass_at: None,
            marks: VecDeque::new(),
            is_finishing: false,
            now: 0,
        }
    }

    /// Takes the place of `before`, if there was one, over other lanes.
    pub(super) fn in_place_of(mut self, before: Option<Self>) -> Self {
        if let Some(before) = before {
            self.outbox.go_on_from(&before.outbox);
        }
        self
    }

    /// Scatters what is staged; `true` if nothing is left.
    fn scatter(&mut self) -> bool {
        if !self.staged.is_empty() {
            // Where records go may change between two batches, and before the lanes are ended:
            // the end says as much as any mark.
            if !self.is_finishing && !self.route.follow(&mut self.outbox) {
                return false;
            }
            self.route.scatter(&mut self.staged, &mut self.spare, &mut self.outbox);
        }
        self.staged.is_empty() && self.pass_on_told() && self.put_marks()
    }

    /// Puts marks on the lanes, each behind all that came before it; `true` if none is left.
    fn put_marks(&mut self) -> bool {
        while let Some(mark) = self.marks.front().copied() {
            let overtakes = is_planted(Fault::MarkBeforePartials);
            if !overtakes && !self.route.empty_into(&mut self.outbox) {
                return false;
            }
            self.told.pass_on(&mut self.outbox);
            if !self.outbox.mark_all(mark) {
                return false;
            }
            self.marks.pop_front();
        }
        self.room = self.outbox.staged_max();
        true
    }

    /// Lets the outbox know what was told of event time, behind all records that came before. What
    /// is folded goes first, so that none of it is late, but not each time that time moves: then it
    /// would hardly be folded. `false` if there is no room for it.
    fn pass_on_told(&mut self) -> bool {
        if !self.told.is_some() {
            return true;
        }
        if self.route.is_holding() && !is_planted(Fault::TimeBeforePartials) {
            let pass_at = *self.pass_at.get_or_insert(self.now.saturating_add(FOLD_NS));
            if self.now < pass_at && !self.told.goes_idle {
                return true;
            }
            if !self.route.empty_into(&mut self.outbox) {
                return false;
            }
        }
        self.pass_at = None;
        self.told.pass_on(&mut self.outbox);
        true
    }
}

impl<T: Send + 'static, D: TimeDomain, R: Route<D::Row<T>>> Emit<T> for OutboxEnd<T, D, R> {
    #[inline(always)]
    fn push(&mut self, record: T, meta: Meta) {
        self.staged.push(D::row(record, meta));
    }

    #[inline(always)]
    fn push_iter(&mut self, records: impl Iterator<Item = T>, meta: Meta) -> u64 {
        let before = self.staged.len();
        if self.outbox.is_open() {
            let room = self.room.saturating_sub(before);
            self.staged.extend(records.take(room).map(|record| D::row(record, meta)));
        }
        (self.staged.len() - before) as u64
    }

    fn push_all(&mut self, records: &mut Vec<T>, spare: &mut Vec<T>) {
        let (Some(rows), Some(spare)) = (D::as_rows(records), D::as_rows(spare)) else {
            return feed(records, spare, |record| {
                self.push(record, Meta::default());
                self.is_open()
            });
        };
        // In order behind what is staged already.
        if self.scatter() && self.route.follow(&mut self.outbox) {
            self.route.scatter(rows, spare, &mut self.outbox);
        }
    }

    #[inline(always)]
    fn is_open(&self) -> bool {
        self.staged.len() < self.room && self.outbox.is_open()
    }
}

impl<T: Send + 'static, D: TimeDomain, R: Route<D::Row<T>>> End<T> for OutboxEnd<T, D, R> {
    fn begin_slice(&mut self, intake: Nanos, now: Nanos) {
        self.now = now;
        self.route.begin_slice();
        self.outbox.begin_slice(intake, now);
    }

    fn end_slice(&mut self, _: &mut StepContext<'_>) -> Result<()> {
        self.scatter();
        self.outbox.end_slice();
        Ok(())
    }

    fn tell(&mut self, progress: Progress) {
        self.told.note(progress);
        self.scatter();
    }

    fn mark(&mut self, mark: Mark) {
        self.room = 0;
        self.marks.push_back(mark);
    }

    fn is_marking(&self) -> bool {
        !self.marks.is_empty()
    }

    fn retry(&mut self, step: &mut StepContext<'_>) -> Result<bool> {
        self.now = step.now;
        let follows = self.is_finishing || self.route.follow(&mut self.outbox);
        let is_open = self.outbox.retry(step.now) && self.scatter() && follows;
        self.outbox.end_slice();
        Ok(is_open)
    }

    fn settle(&mut self, now: Nanos) -> bool {
        self.now = now;
        self.route.settle(&mut self.outbox, now);
        if self.outbox.is_open() && self.staged.is_empty() {
            self.pass_on_told();
        }
        self.outbox.settle(now)
    }

    fn finish(&mut self, step: &mut StepContext<'_>) -> Result<bool> {
        // Between two tables nothing may be routed, and behind the first end no mark may come.
        self.is_finishing = self.is_finishing || self.route.follow(&mut self.outbox);
        if !self.is_finishing {
            return Ok(false);
        }
        let is_empty = self.scatter() && self.route.empty_into(&mut self.outbox);
        self.outbox.end_slice();
        Ok(is_empty && self.outbox.finish(step.now))
    }

    fn wake_at(&self) -> Option<Nanos> {
        // Without room there is nowhere to put what the route has kept.
        let route = [self.route.wake_at(), self.pass_at].into_iter().flatten().min();
        let route = route.filter(|_| self.outbox.is_open());
        [self.outbox.wake_at(), route].into_iter().flatten().min()
    }

    fn sent(&self) -> (u64, u64) {
        self.outbox.sent()
    }

    fn sent_over(&self, output: usize) -> u64 {
        self.outbox.sent_over(output)
    }

    fn folded(&self, folded: &mut Vec<Folded>) {
        self.route.folded(folded);
    }

    fn blocked(&self) -> Blocked {
        Blocked::Output(self.outbox.blocked_edge())
    }
}

/// What was said of event time and has not reached the outbox, since records before it have not.
#[derive(Clone, Default)]
pub(super) struct Told {
    watermark: Option<Timestamp>,
    goes_idle: bool,
}

impl Told {
    pub(super) fn note(&mut self, progress: Progress) {
        self.goes_idle = progress == Progress::Idle;
        if let Progress::Watermark(time) = progress {
            self.watermark = Some(time);
        }
    }

    fn is_some(&self) -> bool {
        self.goes_idle || self.watermark.is_some()
    }

    pub(super) fn pass_on<T, P>(&mut self, outbox: &mut Outbox<T, P>) {
        if let Some(time) = self.watermark.take() {
            outbox.tell(Progress::Watermark(time));
        }
        if std::mem::take(&mut self.goes_idle) {
            outbox.tell(Progress::Idle);
        }
    }
}

/// How long event time may wait while records are folded.
const FOLD_NS: Nanos = 500_000;
