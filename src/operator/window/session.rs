//! `session`: windows that last as long as records come, and merge where a record joins them.

use std::time::Duration;

use crate::error::Result;
use crate::operator::window::assigner::{check_length, invalid};
use crate::operator::window::firing::Firings;
use crate::operator::window::slots::{Progress, Slot, Slots};
use crate::operator::window::{
    Input, Taken, Trigger, Window, WindowContext, WindowLogic, WindowPartial, Windows,
};
use crate::state::aggregate::Aggregate;
use crate::time::{Timestamp, millis};

/// Windows that end when a key has had no record for `gap`: from the time of the first record to
/// `gap` after the last. Two records that are just `gap` apart are in two sessions, as in Beam.
///
/// Flink makes them one unless the first has fired before the second record comes, which it may
/// without that being late: the result would depend on how far apart partitions run.
pub fn session(gap: Duration) -> Session {
    Session { gap_ms: millis(gap) }
}

/// See [`session`].
#[derive(Clone, Copy, Debug)]
pub struct Session {
    gap_ms: i64,
}

impl<T, A> Windows<T, A> for Session
where
    A: Aggregate<T>,
    A::Accumulator: Clone,
{
    type Logic = SessionLogic<A>;

    fn check(&self, trigger: Trigger) -> Result<()> {
        check_length("gap", self.gap_ms)?;
        if !A::MERGES {
            return Err(invalid("session windows merge; the aggregate does not".into()));
        }
        trigger.check()
    }

    fn logic(self, trigger: Trigger, aggregate: A) -> SessionLogic<A> {
        SessionLogic { gap_ms: self.gap_ms, firings: Firings::new(trigger, aggregate) }
    }
}

/// The logic of session windows.
///
/// Timers are lazy: a session that has not fired has one at its end or before. One that goes off
/// too early is set again at the end of that time, so that a record that prolongs its session
/// sets none.
#[derive(Clone)]
pub struct SessionLogic<A> {
    gap_ms: i64,
    firings: Firings<A>,
}

fn overlap(one: Window, other: Window) -> bool {
    one.start < other.end && other.start < one.end
}

fn union(one: Window, other: Window) -> Window {
    Window { start: one.start.min(other.start), end: one.end.max(other.end) }
}

impl<A> SessionLogic<A> {
    /// Takes `input`, which alone would be the session `new`.
    #[inline]
    fn put<T, C>(
        &self,
        new: Window,
        input: &Input<'_, T, A::Accumulator>,
        state: &mut Slots<Window, A::Accumulator>,
        context: &mut C,
    ) -> Taken
    where
        A: Aggregate<T>,
        A::Accumulator: Clone,
        C: WindowContext<A::Output>,
    {
        if let Slots::One(session, accumulator) = state
            && overlap(*session, new)
            && session.last() > context.watermark()
            && !self.firings.trigger.is_early()
        {
            *session = union(*session, new);
            input.add_to(&self.firings.aggregate, accumulator);
            return Taken::Applied;
        }
        self.join(new, input, state, context)
    }

    /// As [`put`](Self::put), of any number of sessions.
    fn join<T, C>(
        &self,
        new: Window,
        input: &Input<'_, T, A::Accumulator>,
        state: &mut Slots<Window, A::Accumulator>,
        context: &mut C,
    ) -> Taken
    where
        A: Aggregate<T>,
        A::Accumulator: Clone,
        C: WindowContext<A::Output>,
    {
        let watermark = context.watermark();
        let slots = state.many();
        let from = slots.partition_point(|slot| slot.id.end <= new.start);
        let count = slots[from..].iter().take_while(|slot| slot.id.start < new.end).count();
        if count == 0 && self.firings.is_gone(new, watermark) {
            state.settle();
            return Taken::Late;
        }
        let before = (count > 0).then(|| slots[from].id);
        let has_timer = slots[from..from + count].iter().any(|slot| slot.id.last() > watermark);
        if count == 0 {
            let accumulator = A::Accumulator::default();
            slots.insert(from, Slot { id: new, accumulator, progress: None });
        } else {
            self.merge::<T>(slots, from..from + count, new, watermark);
        }
        let slot = &mut slots[from];
        let window = slot.id;
        input.add_to(&self.firings.aggregate, &mut slot.accumulator);
        let is_past = window.last() <= watermark;
        if is_past && before != Some(window) {
            context.set_event_timer(self.firings.gone_at(window));
        } else if !is_past && !has_timer {
            context.set_event_timer(window.last());
        }
        if is_past || self.firings.trigger.is_early() || slot.progress.is_some() {
            self.firings.note(slot, window, input.record_count(), context);
        }
        state.settle();
        Taken::Applied
    }

    /// Merges the sessions `met`, of which there is one at least, with the window `new`.
    fn merge<T>(
        &self,
        slots: &mut Vec<Slot<Window, A::Accumulator>>,
        met: std::ops::Range<usize>,
        new: Window,
        watermark: Timestamp,
    ) where
        A: Aggregate<T>,
    {
        let first = met.start;
        for slot in &mut slots[met.clone()] {
            if slot.id.last() <= watermark && slot.progress.is_none() {
                // It fired on time, when nothing of that was to be kept.
                slot.progress = Some(Box::new(Progress { index: 1, ..Progress::default() }));
            }
        }
        let before = slots[first].id;
        let others: Vec<_> = slots.drain(first + 1..met.end).collect();
        let slot = &mut slots[first];
        slot.id = union(before, new);
        for other in others {
            slot.id = union(slot.id, other.id);
            self.firings.aggregate.merge(&mut slot.accumulator, other.accumulator);
            if let Some(other) = other.progress {
                absorb(slot.progress.get_or_insert_default(), *other);
            }
        }
        if slot.id != before
            && let Some(progress) = &mut slot.progress
        {
            progress.index = 0;
        }
    }
}

/// Lets `into` be the progress of a session that `from` has become a part of.
fn absorb<S>(into: &mut Progress<S>, from: Progress<S>) {
    into.pending += from.pending;
    into.early_at = match (into.early_at, from.early_at) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    };
    into.emitted.extend(from.emitted);
}

impl<T, A> WindowLogic<T> for SessionLogic<A>
where
    A: Aggregate<T>,
    A::Accumulator: Clone,
{
    type State = Slots<Window, A::Accumulator>;
    /// Its id is the session of the folded records alone: from the earliest to the gap after the
    /// latest.
    type Partial = WindowPartial<Window, A::Accumulator>;
    type Value = A::Output;

    #[inline]
    fn on_record<C: WindowContext<A::Output>>(
        &self,
        record: &T,
        time: Timestamp,
        state: &mut Self::State,
        context: &mut C,
    ) -> Taken {
        let new = Window::from_start(time, self.gap_ms);
        self.put(new, &Input::Record(record), state, context)
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
        self.firings.next_event(state, |window| window, after)
    }

    fn on_event<C: WindowContext<A::Output>>(
        &self,
        at: Timestamp,
        state: &mut Self::State,
        context: &mut C,
    ) {
        self.firings.on_watermark(state, |window| window, at, context);
    }

    fn renew_timer<C: WindowContext<A::Output>>(
        &self,
        at: Timestamp,
        state: &Self::State,
        context: &mut C,
    ) {
        state.each_id(|window| {
            if window.start <= at && at < window.last() && window.last() > context.watermark() {
                context.set_event_timer(window.last());
            }
        });
    }

    fn on_clock<C: WindowContext<A::Output>>(
        &self,
        at: Timestamp,
        state: &mut Self::State,
        context: &mut C,
    ) {
        if let Slots::Many(slots) = state {
            for slot in slots {
                self.firings.on_clock(slot, slot.id, at, context);
            }
        }
    }

    fn is_empty(state: &Self::State) -> bool {
        state.is_empty()
    }

    fn folds(&self) -> bool {
        !self.firings.trigger.counts()
    }

    #[inline]
    fn fold(
        &self,
        held: &mut Option<Self::Partial>,
        record: &T,
        time: Timestamp,
    ) -> Option<Self::Partial> {
        let new = Window::from_start(time, self.gap_ms);
        if let Some(partial) = held.as_mut().filter(|partial| overlap(partial.id, new)) {
            // Under the common id it is folded in, not displaced.
            partial.id = union(partial.id, new);
            partial.record_count += 1;
            self.firings.aggregate.add(&mut partial.accumulator, record);
            return None;
        }
        WindowPartial::fold(held, new, &self.firings.aggregate, record)
    }
}
