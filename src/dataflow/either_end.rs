//! The end of a task with two outputs.

use std::collections::VecDeque;

use crate::dataflow::chain::feed;
use crate::dataflow::end::Told;
use crate::dataflow::{Emit, End, Meta, StepContext, TimeDomain};
use crate::error::Result;
use crate::exchange::{Mark, Outbox};
use crate::metrics::Blocked;
use crate::record::Either;
use crate::time::Nanos;
use crate::time::watermark::Progress;

/// Deals a chain's two outputs out to two edges.
pub(super) struct EitherEnd<L: Send + 'static, R: Send + 'static, D: TimeDomain> {
    left: Outbox<D::Row<L>>,
    right: Outbox<D::Row<R>>,
    staged: Vec<D::Row<Either<L, R>>>,
    spare: Vec<D::Row<Either<L, R>>>,
    told: Told,
    /// What is to be put on all lanes behind what is staged, in order.
    marks: VecDeque<Mark>,
    /// The left lanes have the first of them.
    is_left_marked: bool,
}

impl<L: Send + 'static, R: Send + 'static, D: TimeDomain> EitherEnd<L, R, D> {
    /// `Left` records go to `left`, `Right` records to `right`; each has one target.
    pub(super) fn new(left: Outbox<D::Row<L>>, right: Outbox<D::Row<R>>) -> Self {
        EitherEnd {
            left,
            right,
            staged: Vec::new(),
            spare: Vec::new(),
            told: Told::default(),
            marks: VecDeque::new(),
            is_left_marked: false,
        }
    }

    /// Takes the place of `before`, if there was one, over other lanes.
    pub(super) fn in_place_of(mut self, before: Option<Self>) -> Self {
        if let Some(before) = before {
            self.left.go_on_from(&before.left);
            self.right.go_on_from(&before.right);
        }
        self
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
        self.put_marks()
    }

    /// Puts marks on the lanes, each behind all that came before it; `true` if none is left.
    fn put_marks(&mut self) -> bool {
        while let Some(mark) = self.marks.front().copied() {
            self.is_left_marked = self.is_left_marked || self.left.mark_all(mark);
            if !self.is_left_marked || !self.right.mark_all(mark) {
                return false;
            }
            self.is_left_marked = false;
            self.marks.pop_front();
        }
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
        let has_room = self.left.is_open() && self.right.is_open();
        self.staged.len() < self.left.staged_max() && has_room && self.marks.is_empty()
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

    fn mark(&mut self, mark: Mark) {
        self.marks.push_back(mark);
    }

    fn is_marking(&self) -> bool {
        !self.marks.is_empty()
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
