//! Fires a window: what goes out, in which order, and what is kept of it for the next time.

use crate::operator::window::slots::{Emitted, Progress, Slot, Slots};
use crate::operator::window::{Change, Firing, Mode, Trigger, Window, WindowContext, Windowed};
use crate::state::aggregate::Aggregate;
use crate::time::Timestamp;

/// A trigger with the aggregate whose values it lets out.
#[derive(Clone)]
pub(super) struct Firings<A> {
    pub(super) trigger: Trigger,
    pub(super) aggregate: A,
}

impl<A> Firings<A> {
    pub(super) fn new(trigger: Trigger, aggregate: A) -> Self {
        Firings { trigger, aggregate }
    }

    /// When the state of `window` goes.
    #[inline]
    pub(super) fn gone_at(&self, window: Window) -> Timestamp {
        window.last().plus_millis(self.trigger.lateness_ms())
    }

    /// Whether no record is taken into `window` any more.
    #[inline]
    pub(super) fn is_gone(&self, window: Window, watermark: Timestamp) -> bool {
        self.gone_at(window) <= watermark
    }

    /// Emits the only result of a window of which nothing has come out.
    #[inline]
    pub(super) fn emit_only<T, C>(
        &self,
        accumulator: &A::Accumulator,
        window: Window,
        context: &mut C,
    ) where
        A: Aggregate<T>,
        C: WindowContext<A::Output>,
    {
        context.emit(Windowed {
            key: (),
            window,
            firing: Firing::OnTime,
            index: 0,
            change: Change::Insert,
            value: self.aggregate.finish(accumulator),
        });
    }

    /// Notes that `slot` has taken `record_count` records, and fires it if that is due.
    pub(super) fn note<T, I, C>(
        &self,
        slot: &mut Slot<I, A::Accumulator>,
        window: Window,
        record_count: u64,
        context: &mut C,
    ) where
        A: Aggregate<T>,
        A::Accumulator: Clone,
        C: WindowContext<A::Output>,
    {
        let progress = slot.progress.get_or_insert_default();
        progress.pending += record_count;
        if window.last() <= context.watermark() {
            self.fire(slot, window, Firing::Late, context);
        } else if self.trigger.is_full(progress.pending) {
            self.fire(slot, window, Firing::Early, context);
        } else if progress.early_at.is_none() {
            progress.early_at = self.trigger.early_at(context.now());
            if let Some(at) = progress.early_at {
                context.set_processing_timer(at);
            }
        }
    }

    /// Fires `slot` early if it waits for the clock to reach `at` or an earlier time.
    pub(super) fn on_clock<T, I, C>(
        &self,
        slot: &mut Slot<I, A::Accumulator>,
        window: Window,
        at: Timestamp,
        context: &mut C,
    ) where
        A: Aggregate<T>,
        A::Accumulator: Clone,
        C: WindowContext<A::Output>,
    {
        let is_due = |progress: &Progress<_>| progress.early_at.is_some_and(|early| early <= at);
        if slot.progress.as_deref().is_some_and(is_due) {
            self.fire(slot, window, Firing::Early, context);
        }
    }

    /// The first time behind `after` at which a window fires or goes.
    pub(super) fn next_event<I: Copy + Ord, S>(
        &self,
        state: &Slots<I, S>,
        window_of: impl Fn(I) -> Window,
        after: Timestamp,
    ) -> Option<Timestamp> {
        let mut next: Option<Timestamp> = None;
        state.each_id(|id| {
            let window = window_of(id);
            let events = [window.last(), self.gone_at(window)];
            let event = events.into_iter().find(|event| *event > after);
            next = [next, event].into_iter().flatten().min();
        });
        next
    }

    /// Fires the windows that end with `at`, and drops those that are kept no longer than that.
    pub(super) fn on_watermark<T, I, C>(
        &self,
        state: &mut Slots<I, A::Accumulator>,
        window_of: impl Fn(I) -> Window,
        at: Timestamp,
        context: &mut C,
    ) where
        I: Copy + Ord,
        A: Aggregate<T>,
        A::Accumulator: Clone,
        C: WindowContext<A::Output>,
    {
        let is_last = self.trigger.lateness_ms() == 0;
        // Whether what comes out now has to be known when a late record comes.
        let is_noted = !is_last && self.trigger.mode_of_results() != Mode::Accumulating;
        if let Slots::One(id, accumulator) = state
            && !is_noted
        {
            let window = window_of(*id);
            if window.last() == at {
                self.emit_only(accumulator, window, context);
                self.keep_until_gone(window, context);
            }
            if self.is_gone(window, at) {
                *state = Slots::Empty;
            }
            return;
        }
        if state.is_empty() {
            return;
        }
        let slots = state.many();
        for slot in slots.iter_mut() {
            let window = window_of(slot.id);
            if window.last() != at {
                continue;
            }
            if slot.progress.is_none() && !is_noted {
                self.emit_only(&slot.accumulator, window, context);
            } else {
                self.fire(slot, window, Firing::OnTime, context);
            }
            self.keep_until_gone(window, context);
        }
        slots.retain(|slot| !self.is_gone(window_of(slot.id), at));
        state.settle();
    }

    /// Sets the timer at which a window goes that has fired, where it does not go at once.
    fn keep_until_gone<V>(&self, window: Window, context: &mut impl WindowContext<V>) {
        if self.trigger.lateness_ms() > 0 {
            context.set_event_timer(self.gone_at(window));
        }
    }

    /// Lets a result out: first the retractions of those that it stands for, if asked.
    pub(super) fn fire<T, I, C>(
        &self,
        slot: &mut Slot<I, A::Accumulator>,
        window: Window,
        firing: Firing,
        context: &mut C,
    ) where
        A: Aggregate<T>,
        A::Accumulator: Clone,
        C: WindowContext<A::Output>,
    {
        let mode = self.trigger.mode_of_results();
        let progress = slot.progress.get_or_insert_with(|| {
            Box::new(Progress { pending: 1, ..Progress::default() }) // Not noted one by one.
        });
        progress.early_at = None;
        if mode == Mode::Discarding && progress.pending == 0 {
            return;
        }
        for old in progress.emitted.drain(..) {
            context.emit(Windowed {
                key: (),
                window: old.window,
                firing: old.firing,
                index: old.index,
                change: Change::Retract,
                value: self.aggregate.finish(&old.accumulator),
            });
        }
        let index = progress.index;
        context.emit(Windowed {
            key: (),
            window,
            firing,
            index,
            change: Change::Insert,
            value: self.aggregate.finish(&slot.accumulator),
        });
        progress.pending = 0;
        progress.index += 1;
        match mode {
            Mode::Accumulating => {}
            Mode::Discarding => slot.accumulator = A::Accumulator::default(),
            Mode::Retracting => {
                let accumulator = slot.accumulator.clone();
                progress.emitted.push(Emitted { window, firing, index, accumulator });
            }
        }
    }
}
