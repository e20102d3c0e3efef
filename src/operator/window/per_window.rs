//! One accumulator per window: tumbling and global windows, windows of one's own, and sliding
//! ones whose early or late results cannot share panes.

use crate::operator::window::firing::Firings;
use crate::operator::window::slots::{Progress, Slots};
use crate::operator::window::{
    Input, Taken, WINDOWS_PER_RECORD_MAX, WindowAssigner, WindowContext, WindowLogic, WindowPartial,
};
use crate::state::aggregate::Aggregate;
use crate::time::Timestamp;

/// The logic of windows that do not merge, with one accumulator each.
#[derive(Clone)]
pub struct PerWindow<W, A> {
    assigner: W,
    firings: Firings<A>,
}

impl<W, A> PerWindow<W, A> {
    pub(super) fn new(assigner: W, firings: Firings<A>) -> Self {
        PerWindow { assigner, firings }
    }

    /// Takes `input` into window `id`.
    #[inline(never)]
    pub(super) fn put<T, C>(
        &self,
        id: W::Id,
        input: &Input<'_, T, A::Accumulator>,
        state: &mut Slots<W::Id, A::Accumulator>,
        context: &mut C,
    ) -> Taken
    where
        W: WindowAssigner<T>,
        A: Aggregate<T>,
        A::Accumulator: Clone,
        C: WindowContext<A::Output>,
    {
        let Firings { trigger, aggregate } = &self.firings;
        let window = self.assigner.window(id);
        assert!(window.start < window.end, "a window ends after its start: {window:?} does not");
        let watermark = context.watermark();
        if self.firings.is_gone(window, watermark) {
            return Taken::Late;
        }
        let is_past = window.last() <= watermark;
        if !is_past && !trigger.is_early() {
            let (accumulator, is_new) = state.accumulator(id);
            input.add_to(aggregate, accumulator);
            if is_new {
                context.set_event_timer(window.last());
            }
            return Taken::Applied;
        }
        let (slot, is_new) = state.slot(id);
        input.add_to(aggregate, &mut slot.accumulator);
        if is_new {
            context.set_event_timer(match is_past {
                true => self.firings.gone_at(window),
                false => window.last(),
            });
        } else if is_past && slot.progress.is_none() {
            // It fired on time, when nothing of that was to be kept.
            slot.progress = Some(Box::new(Progress { index: 1, ..Progress::default() }));
        }
        self.firings.note(slot, window, input.record_count(), context);
        Taken::Applied
    }
}

impl<W, A> PerWindow<W, A> {
    /// Takes `record` into each of its windows.
    #[inline(never)]
    fn assign<T, C>(
        &self,
        record: &T,
        time: Timestamp,
        state: &mut Slots<W::Id, A::Accumulator>,
        context: &mut C,
    ) -> Taken
    where
        W: WindowAssigner<T>,
        A: Aggregate<T>,
        A::Accumulator: Clone,
        C: WindowContext<A::Output>,
    {
        let (mut window_count, mut is_applied) = (0, false);
        self.assigner.assign(record, time, |id| {
            window_count += 1;
            assert!(
                window_count <= WINDOWS_PER_RECORD_MAX,
                "a record is in at most {WINDOWS_PER_RECORD_MAX} windows"
            );
            is_applied |= self.put(id, &Input::Record(record), state, context) == Taken::Applied;
        });
        if is_applied || window_count == 0 { Taken::Applied } else { Taken::Late }
    }
}

impl<T, W, A> WindowLogic<T> for PerWindow<W, A>
where
    W: WindowAssigner<T>,
    A: Aggregate<T>,
    A::Accumulator: Clone,
{
    type State = Slots<W::Id, A::Accumulator>;
    type Partial = WindowPartial<W::Id, A::Accumulator>;
    type Value = A::Output;

    #[inline(always)]
    fn on_record<C: WindowContext<A::Output>>(
        &self,
        record: &T,
        time: Timestamp,
        state: &mut Self::State,
        context: &mut C,
    ) -> Taken {
        // Most records are of the window that the one before was of.
        if let Slots::One(id, accumulator) = state
            && self.assigner.is_only(*id, time)
            && self.assigner.window(*id).last() > context.watermark()
            && !self.firings.trigger.is_early()
        {
            self.firings.aggregate.add(accumulator, record);
            return Taken::Applied;
        }
        self.assign(record, time, state, context)
    }

    fn record_count(partial: &Self::Partial) -> u64 {
        partial.record_count
    }

    fn on_partial<C: WindowContext<A::Output>>(
        &self,
        partial: Self::Partial,
        state: &mut Self::State,
        context: &mut C,
    ) -> Taken {
        let WindowPartial { id, record_count, accumulator } = partial;
        let input = Input::Folded { record_count, accumulator: &accumulator };
        self.put::<T, C>(id, &input, state, context)
    }

    fn next_event(&self, state: &Self::State, after: Timestamp) -> Option<Timestamp> {
        self.firings.next_event(state, |id| self.assigner.window(id), after)
    }

    fn on_event<C: WindowContext<A::Output>>(
        &self,
        at: Timestamp,
        state: &mut Self::State,
        context: &mut C,
    ) {
        self.firings.on_watermark(state, |id| self.assigner.window(id), at, context);
    }

    fn on_clock<C: WindowContext<A::Output>>(
        &self,
        at: Timestamp,
        state: &mut Self::State,
        context: &mut C,
    ) {
        if let Slots::Many(slots) = state {
            for slot in slots {
                self.firings.on_clock(slot, self.assigner.window(slot.id), at, context);
            }
        }
    }

    fn is_empty(state: &Self::State) -> bool {
        state.is_empty()
    }

    fn folds(&self) -> bool {
        A::MERGES && W::ONE_EACH && !self.firings.trigger.counts()
    }

    #[inline]
    fn fold(
        &self,
        held: &mut Option<Self::Partial>,
        record: &T,
        time: Timestamp,
    ) -> Option<Self::Partial> {
        let mut displaced = None;
        self.assigner.assign(record, time, |id| {
            displaced = WindowPartial::fold(held, id, &self.firings.aggregate, record);
        });
        displaced
    }
}
