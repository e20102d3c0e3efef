//! Where a chain's records go: the end of a task that is not keyed.

use crate::dataflow::chain::feed;
use crate::dataflow::{Emit, Meta, Route, StepContext, TimeDomain};
use crate::error::Result;
use crate::exchange::Outbox;
use crate::metrics::Blocked;
use crate::record::Either;
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

    /// When [`settle`](Self::settle) has something to do at the latest, if nothing comes in.
    fn wake_at(&self) -> Option<Nanos>;

    /// Records and batches that went out since start.
    fn sent(&self) -> (u64, u64);

    /// Records that went over one of its outputs since start.
    fn sent_over(&self, output: usize) -> u64;

    /// What it waits for while it is not open.
    fn blocked(&self) -> Blocked;
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
    now: Nanos,
}

impl<T: Send + 'static, D: TimeDomain, R: Route<D::Row<T>>> OutboxEnd<T, D, R> {
    /// Feeds the lanes of `outbox` as `route` says.
    pub(super) fn new(outbox: Outbox<R::Item, R::Partial>, route: R) -> Self {
        OutboxEnd {
            outbox,
            route,
            staged: Vec::new(),
            spare: Vec::new(),
            told: Told::default(),
            pass_at: None,
            now: 0,
        }
    }

    /// Scatters what is staged; `true` if nothing is left.
    fn scatter(&mut self) -> bool {
        if !self.staged.is_empty() {
            self.route.scatter(&mut self.staged, &mut self.spare, &mut self.outbox);
        }
        self.staged.is_empty() && self.pass_on_told()
    }

    /// Lets the outbox know what was told of event time, behind all records that came before. What
    /// is folded goes first, so that none of it is late, but not each time that time moves: then it
    /// would hardly be folded. `false` if there is no room for it.
    fn pass_on_told(&mut self) -> bool {
        if !self.told.is_some() {
            return true;
        }
        if self.route.is_holding() {
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
            let room = STAGED_MAX.saturating_sub(before);
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
        if self.scatter() {
            self.route.scatter(rows, spare, &mut self.outbox);
        }
    }

    #[inline(always)]
    fn is_open(&self) -> bool {
        self.staged.len() < STAGED_MAX && self.outbox.is_open()
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

    fn retry(&mut self, step: &mut StepContext<'_>) -> Result<bool> {
        self.now = step.now;
        let is_open = self.outbox.retry(step.now) && self.scatter();
        self.outbox.end_slice();
        Ok(is_open)
    }

    fn settle(&mut self, now: Nanos) -> bool {
        self.now = now;
        self.route.settle(&mut self.outbox, now);
        if self.outbox.is_open() {
            self.pass_on_told();
        }
        self.outbox.settle(now)
    }

    fn finish(&mut self, step: &mut StepContext<'_>) -> Result<bool> {
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

    fn blocked(&self) -> Blocked {
        Blocked::Output(self.outbox.blocked_edge())
    }
}

/// What was said of event time and has not reached the outbox, since records before it have not.
#[derive(Clone, Default)]
struct Told {
    watermark: Option<Timestamp>,
    goes_idle: bool,
}

impl Told {
    fn note(&mut self, progress: Progress) {
        self.goes_idle = progress == Progress::Idle;
        if let Progress::Watermark(time) = progress {
            self.watermark = Some(time);
        }
    }

    fn is_some(&self) -> bool {
        self.goes_idle || self.watermark.is_some()
    }

    fn pass_on<T, P>(&mut self, outbox: &mut Outbox<T, P>) {
        if let Some(time) = self.watermark.take() {
            outbox.tell(Progress::Watermark(time));
        }
        if std::mem::take(&mut self.goes_idle) {
            outbox.tell(Progress::Idle);
        }
    }
}

/// Deals a chain's two outputs out to two edges.
pub(super) struct EitherEnd<L: Send + 'static, R: Send + 'static, D: TimeDomain> {
    left: Outbox<D::Row<L>>,
    right: Outbox<D::Row<R>>,
    staged: Vec<D::Row<Either<L, R>>>,
    spare: Vec<D::Row<Either<L, R>>>,
    told: Told,
}

impl<L: Send + 'static, R: Send + 'static, D: TimeDomain> EitherEnd<L, R, D> {
    /// `Left` records go to `left`, `Right` records to `right`; each has one target.
    pub(super) fn new(left: Outbox<D::Row<L>>, right: Outbox<D::Row<R>>) -> Self {
        let told = Told::default();
        EitherEnd { left, right, staged: Vec::new(), spare: Vec::new(), told }
    }

    /// Deals out what is staged; `true` if nothing is left.
    fn deal(&mut self) -> bool {
        let EitherEnd { left, right, staged, spare, .. } = self;
        let mut refused = None;
        feed(staged, spare, |row| {
            let meta = D::meta(&row);
            let back = match D::into_record(row) {
                Either::Left(record) => {
                    let refused = left.push(0, D::row(record, meta)).err();
                    refused.map(|row| Either::Left(D::into_record(row)))
                }
                Either::Right(record) => {
                    let refused = right.push(0, D::row(record, meta)).err();
                    refused.map(|row| Either::Right(D::into_record(row)))
                }
            };
            refused = back.map(|record| D::row(record, meta));
            refused.is_none()
        });
        if let Some(row) = refused {
            staged.insert(0, row);
        }
        left.end_slice();
        right.end_slice();
        if !self.staged.is_empty() {
            return false;
        }
        self.told.clone().pass_on(&mut self.left);
        std::mem::take(&mut self.told).pass_on(&mut self.right);
        true
    }
}

impl<L, R, D> Emit<Either<L, R>> for EitherEnd<L, R, D>
where
    L: Send + 'static,
    R: Send + 'static,
    D: TimeDomain,
{
    #[inline]
    fn push(&mut self, record: Either<L, R>, meta: Meta) {
        self.staged.push(D::row(record, meta));
    }

    #[inline]
    fn is_open(&self) -> bool {
        self.staged.len() < STAGED_MAX && self.left.is_open() && self.right.is_open()
    }
}

impl<L, R, D> End<Either<L, R>> for EitherEnd<L, R, D>
where
    L: Send + 'static,
    R: Send + 'static,
    D: TimeDomain,
{
    fn begin_slice(&mut self, intake: Nanos, now: Nanos) {
        self.left.begin_slice(intake, now);
        self.right.begin_slice(intake, now);
    }

    fn end_slice(&mut self, _: &mut StepContext<'_>) -> Result<()> {
        self.deal();
        Ok(())
    }

    fn tell(&mut self, progress: Progress) {
        self.told.note(progress);
        self.deal();
    }

    fn retry(&mut self, step: &mut StepContext<'_>) -> Result<bool> {
        let left = self.left.retry(step.now);
        Ok(self.right.retry(step.now) && left && self.deal())
    }

    fn settle(&mut self, now: Nanos) -> bool {
        let left = self.left.settle(now);
        self.right.settle(now) || left
    }

    fn finish(&mut self, step: &mut StepContext<'_>) -> Result<bool> {
        if !self.deal() {
            return Ok(false);
        }
        let left = self.left.finish(step.now);
        Ok(self.right.finish(step.now) && left)
    }

    fn wake_at(&self) -> Option<Nanos> {
        [self.left.wake_at(), self.right.wake_at()].into_iter().flatten().min()
    }

    fn sent(&self) -> (u64, u64) {
        let (left, right) = (self.left.sent(), self.right.sent());
        (left.0 + right.0, left.1 + right.1)
    }

    fn sent_over(&self, output: usize) -> u64 {
        let side = if output == 0 { self.left.sent() } else { self.right.sent() };
        side.0
    }

    fn blocked(&self) -> Blocked {
        Blocked::Output(usize::from(self.left.is_open()))
    }
}

/// How long event time may wait while records are folded.
const FOLD_NS: Nanos = 500_000;

/// Records that operators may have emitted and that are not scattered yet: twice the largest
/// automatic batch, so that a chain that makes one record of each is never cut short. What one
/// record makes may go beyond it.
const STAGED_MAX: usize = 2_048;
