//! `sliding`: windows that overlap, of shared panes.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::operator::window::assigner::{check_length, check_slide, start_before, within};
use crate::operator::window::firing::Firings;
use crate::operator::window::panes::Panes;
use crate::operator::window::slots::Slots;
use crate::operator::window::{
    Change, Firing, Input, Mode, PerWindow, Taken, Trigger, Window, WindowAssigner, WindowContext,
    WindowLogic, WindowPartial, Windowed, Windows,
};
use crate::state::aggregate::Aggregate;
use crate::time::{Timestamp, millis};

/// Windows of length `size`, one beginning every `slide`, from the epoch on: each record is in
/// `size / slide` of them.
///
/// They share panes, so that a record costs the same however many windows it is in, unless they
/// fire early, or late with [`Mode::Discarding`], or the aggregate does not merge. Then every
/// window has its own accumulator; [`explain`](crate::dataflow::Pipeline::explain) says so.
pub fn sliding(size: Duration, slide: Duration) -> Sliding {
    let (size_ms, slide_ms) = (millis(size), millis(slide));
    let pane_ms_min = match size_ms.checked_rem(slide_ms) {
        None | Some(0) => slide_ms,
        Some(rest) => rest.min(slide_ms - rest),
    };
    Sliding { size_ms, slide_ms, offset_ms: 0, pane_ms_min }
}

/// See [`sliding`].
#[derive(Clone, Copy, Debug)]
pub struct Sliding {
    size_ms: i64,
    slide_ms: i64,
    offset_ms: i64,
    /// The shorter of the two panes that a slide is cut into.
    pane_ms_min: i64,
}

impl Sliding {
    /// Starts windows `offset_ms` milliseconds later, or earlier where it is negative.
    pub fn offset_ms(self, offset_ms: i64) -> Sliding {
        Sliding { offset_ms: within(offset_ms, self.slide_ms), ..self }
    }

    fn start_before(&self, time: Timestamp) -> Timestamp {
        start_before(time, self.slide_ms, self.offset_ms)
    }

    fn window_at(&self, start: Timestamp) -> Window {
        Window::from_start(start, self.size_ms)
    }

    /// The start of the pane of `time`. A slide is cut where windows begin and where they end.
    #[inline]
    fn pane(&self, time: Timestamp) -> Timestamp {
        let start = self.start_before(time);
        let cut = start.plus_millis(self.size_ms % self.slide_ms);
        if time < cut { start } else { cut }
    }

    /// Whether the pane that begins at `pane` is certain to be that of `time`.
    #[inline]
    fn is_in_pane(&self, time: Timestamp, pane: i64) -> bool {
        let since = time.as_millis().saturating_sub(pane);
        0 <= since && since < self.pane_ms_min
    }

    /// The first of the windows that `time` is in.
    #[inline]
    fn first_window(&self, time: Timestamp) -> Window {
        let before = self.start_before(time.plus_millis(-self.size_ms));
        self.window_at(before.plus_millis(self.slide_ms))
    }

    /// The last of the windows that `time` is in.
    #[inline]
    fn last_window(&self, time: Timestamp) -> Window {
        self.window_at(self.start_before(time))
    }

    fn next_window(&self, window: Window) -> Window {
        self.window_at(window.start.plus_millis(self.slide_ms))
    }

    /// The first window that a watermark has not passed.
    #[inline]
    fn first_open(&self, watermark: Timestamp) -> Window {
        self.first_window(watermark.plus_millis(1))
    }

    /// The windows from `first` to `last`.
    fn windows(self, first: Window, last: Window) -> impl Iterator<Item = Window> {
        let next = move |window: &Window| Some(self.next_window(*window));
        std::iter::successors(Some(first), next).take_while(move |window| *window <= last)
    }
}

/// For those that do not share panes.
impl<T> WindowAssigner<T> for Sliding {
    type Id = Timestamp;

    fn assign(&self, _record: &T, time: Timestamp, mut take: impl FnMut(Timestamp)) {
        for window in self.windows(self.first_window(time), self.last_window(time)) {
            take(window.start);
        }
    }

    fn window(&self, start: Timestamp) -> Window {
        self.window_at(start)
    }
}

impl<T, A> Windows<T, A> for Sliding
where
    A: Aggregate<T>,
    A::Accumulator: Clone,
{
    type Logic = SlidingLogic<A>;

    fn check(&self, trigger: Trigger) -> Result<()> {
        check_length("size", self.size_ms)?;
        check_slide(self.size_ms, self.slide_ms, " ms")?;
        trigger.check()
    }

    fn explain(&self, trigger: Trigger) -> Option<String> {
        let Some(why) = keeps_apart(trigger, A::MERGES) else {
            return Some("sliding windows: shared panes".into());
        };
        let windows = self.size_ms.unsigned_abs().div_ceil(self.slide_ms.unsigned_abs().max(1));
        Some(format!(
            "sliding windows: one accumulator for each of the {windows} windows of a record, since \
             {why}"
        ))
    }

    fn logic(self, trigger: Trigger, aggregate: A) -> SlidingLogic<A> {
        let shares_panes = keeps_apart(trigger, A::MERGES).is_none();
        let firings = Firings::new(trigger, aggregate);
        let per_window = PerWindow::new(self, firings.clone());
        SlidingLogic { sliding: self, firings, per_window, shares_panes }
    }
}

/// Why windows cannot share panes under `trigger`, if so.
fn keeps_apart(trigger: Trigger, merges: bool) -> Option<&'static str> {
    if !merges {
        Some("the aggregate does not merge")
    } else if trigger.is_early() {
        // Each counts its own records, or waits for itself.
        Some("they fire early")
    } else if trigger.lateness_ms() > 0 && trigger.mode_of_results() == Mode::Discarding {
        // What has been emitted differs from window to window.
        Some("late firings discard")
    } else {
        None
    }
}

/// The logic of sliding windows.
#[derive(Clone)]
pub struct SlidingLogic<A> {
    sliding: Sliding,
    firings: Firings<A>,
    per_window: PerWindow<Sliding, A>,
    /// Else a record is taken into each of its windows.
    shares_panes: bool,
}

/// The sliding windows of a key: panes, or one accumulator for each.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct SlidingState<S> {
    panes: Panes<S>,
    /// The first window that has a record and has not fired.
    next: Option<Window>,
    /// Results so far of windows that have fired late.
    late: Vec<(Window, u32)>,
    windows: Slots<Timestamp, S>,
}

/// A window that fires again for the record in hand.
struct Again<S> {
    window: Window,
    /// What its result so far was made of.
    before: Option<S>,
}

impl<A> SlidingLogic<A> {
    /// Takes `input` into the pane that begins at `pane`.
    #[inline]
    fn put<T, C>(
        &self,
        pane: Timestamp,
        input: &Input<'_, T, A::Accumulator>,
        state: &mut SlidingState<A::Accumulator>,
        context: &mut C,
    ) -> Taken
    where
        A: Aggregate<T>,
        A::Accumulator: Clone,
        C: WindowContext<A::Output>,
    {
        let (sliding, watermark) = (self.sliding, context.watermark());
        let (first, last) = (sliding.first_window(pane), sliding.last_window(pane));
        if self.firings.is_gone(last, watermark) {
            return Taken::Late;
        }
        let open = first.max(sliding.first_open(watermark));
        if open <= last && state.next.is_none_or(|next| open < next) {
            state.next = Some(open);
            context.set_event_timer(open.last());
        }
        let again = if first < open && self.firings.trigger.lateness_ms() > 0 {
            self.passed::<T>(first, open.min(last), state, watermark)
        } else {
            Vec::new()
        };
        let aggregate = &self.firings.aggregate;
        let is_new = state.panes.add(pane.as_millis(), |into| input.add_to(aggregate, into));
        if is_new && self.firings.trigger.lateness_ms() > 0 {
            context.set_event_timer(self.firings.gone_at(last));
        }
        for again in again {
            self.fire_again::<T, C>(again, state, context);
        }
        Taken::Applied
    }

    /// The windows from `first` to `last` that the watermark has passed and that are still kept.
    fn passed<T>(
        &self,
        first: Window,
        last: Window,
        state: &SlidingState<A::Accumulator>,
        watermark: Timestamp,
    ) -> Vec<Again<A::Accumulator>>
    where
        A: Aggregate<T>,
        A::Accumulator: Clone,
    {
        let windows = self.sliding.windows(first, last);
        let passed = windows.filter(|window| {
            window.last() <= watermark && !self.firings.is_gone(*window, watermark)
        });
        passed.map(|window| Again { window, before: self.value::<T>(window, state) }).collect()
    }

    /// When the pane that begins at `pane` is of no use any more.
    fn gone_at(&self, pane: i64) -> Timestamp {
        self.firings.gone_at(self.sliding.last_window(pane.into()))
    }

    fn value<T>(
        &self,
        window: Window,
        state: &SlidingState<A::Accumulator>,
    ) -> Option<A::Accumulator>
    where
        A: Aggregate<T>,
        A::Accumulator: Clone,
    {
        let (start, end) = (window.start.as_millis(), window.end.as_millis());
        state.panes.merged_between(start, end, |into, from| {
            self.firings.aggregate.merge(into, from);
        })
    }

    /// Emits the result of a window anew, for a late record that is in by now.
    fn fire_again<T, C>(
        &self,
        Again { window, before }: Again<A::Accumulator>,
        state: &mut SlidingState<A::Accumulator>,
        context: &mut C,
    ) where
        A: Aggregate<T>,
        A::Accumulator: Clone,
        C: WindowContext<A::Output>,
    {
        let after = self.value::<T>(window, state).expect("the record is in");
        let place = state.late.binary_search_by_key(&window, |(window, _)| *window);
        // Of a window that had records when the watermark passed, one result came out then.
        let index = place.map_or(u32::from(before.is_some()), |place| state.late[place].1);
        let mut emit = |firing, index, change, accumulator: &A::Accumulator| {
            let value = self.firings.aggregate.finish(accumulator);
            context.emit(Windowed { key: (), window, firing, index, change, value });
        };
        if let Some(before) = before
            && self.firings.trigger.mode_of_results() == Mode::Retracting
        {
            let firing = if place.is_ok() { Firing::Late } else { Firing::OnTime };
            emit(firing, index - 1, Change::Retract, &before);
        }
        emit(Firing::Late, index, Change::Insert, &after);
        match place {
            Ok(place) => state.late[place].1 += 1,
            Err(place) => state.late.insert(place, (window, index + 1)),
        }
    }

    /// Fires the next window.
    fn fire<T, C>(&self, window: Window, state: &mut SlidingState<A::Accumulator>, context: &mut C)
    where
        A: Aggregate<T>,
        A::Accumulator: Clone,
        C: WindowContext<A::Output>,
    {
        let (sliding, aggregate) = (self.sliding, &self.firings.aggregate);
        let ended = |pane: i64| sliding.last_window(pane.into()) <= window;
        let merged = if self.firings.trigger.lateness_ms() > 0 {
            self.value::<T>(window, state)
        } else {
            let end = window.end.as_millis();
            let merged = state.panes.merged(end, |into, from| aggregate.merge(into, from));
            state.panes.drop_while(ended);
            merged
        };
        if let Some(accumulator) = merged {
            self.firings.emit_only(&accumulator, window, context);
        }
        let oldest = state.panes.first_where(|pane| !ended(pane));
        state.next =
            oldest.map(|pane| sliding.next_window(window).max(sliding.first_window(pane.into())));
        if let Some(next) = state.next
            && next.last() > context.watermark()
        {
            context.set_event_timer(next.last());
        }
    }
}

impl<T, A> WindowLogic<T> for SlidingLogic<A>
where
    A: Aggregate<T>,
    A::Accumulator: Clone,
{
    type State = SlidingState<A::Accumulator>;
    /// Its id is the start of a pane.
    type Partial = WindowPartial<Timestamp, A::Accumulator>;
    type Value = A::Output;

    #[inline]
    fn on_record<C: WindowContext<A::Output>>(
        &self,
        record: &T,
        time: Timestamp,
        state: &mut Self::State,
        context: &mut C,
    ) -> Taken {
        if !self.shares_panes {
            return self.per_window.on_record(record, time, &mut state.windows, context);
        }
        // While a pane is the latest, none of its windows has fired and the next has its timer.
        if let Some(pane) = state.panes.latest()
            && self.sliding.is_in_pane(time, pane)
            && pane > context.watermark().as_millis()
        {
            state.panes.add(pane, |into| self.firings.aggregate.add(into, record));
            return Taken::Applied;
        }
        self.put(self.sliding.pane(time), &Input::Record(record), state, context)
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
        let WindowPartial { id: pane, record_count, accumulator } = partial;
        let input = Input::Folded { record_count, accumulator: &accumulator };
        if self.shares_panes {
            return self.put::<T, C>(pane, &input, state, context);
        }
        let (first, last) = (self.sliding.first_window(pane), self.sliding.last_window(pane));
        let mut taken = Taken::Late;
        for Window { start, .. } in self.sliding.windows(first, last) {
            let put = self.per_window.put::<T, C>(start, &input, &mut state.windows, context);
            if put == Taken::Applied {
                taken = put;
            }
        }
        taken
    }

    fn next_event(&self, state: &Self::State, after: Timestamp) -> Option<Timestamp> {
        if !self.shares_panes {
            let windows = &state.windows;
            return WindowLogic::<T>::next_event(&self.per_window, windows, after);
        }
        let fires = state.next.map(Window::last);
        let goes = (self.firings.trigger.lateness_ms() > 0)
            .then(|| state.panes.first_where(|pane| self.gone_at(pane) > after))
            .flatten()
            .map(|pane| self.gone_at(pane));
        [fires, goes].into_iter().flatten().min()
    }

    fn on_event<C: WindowContext<A::Output>>(
        &self,
        at: Timestamp,
        state: &mut Self::State,
        context: &mut C,
    ) {
        if !self.shares_panes {
            let windows = &mut state.windows;
            return WindowLogic::<T>::on_event(&self.per_window, at, windows, context);
        }
        if let Some(window) = state.next
            && window.last() <= at
        {
            self.fire::<T, C>(window, state, context);
        }
        if self.firings.trigger.lateness_ms() > 0 {
            let SlidingState { panes, late, .. } = state;
            let (sliding, firings) = (self.sliding, &self.firings);
            panes.drop_while(|pane| firings.is_gone(sliding.last_window(pane.into()), at));
            late.retain(|(window, _)| !firings.is_gone(*window, at));
        }
    }

    fn on_clock<C: WindowContext<A::Output>>(
        &self,
        at: Timestamp,
        state: &mut Self::State,
        context: &mut C,
    ) {
        let windows = &mut state.windows;
        WindowLogic::<T>::on_clock(&self.per_window, at, windows, context);
    }

    fn is_empty(state: &Self::State) -> bool {
        state.panes.is_empty() && state.windows.is_empty()
    }

    fn folds(&self) -> bool {
        A::MERGES && !self.firings.trigger.counts()
    }

    #[inline]
    fn fold(
        &self,
        held: &mut Option<Self::Partial>,
        record: &T,
        time: Timestamp,
    ) -> Option<Self::Partial> {
        WindowPartial::fold(held, self.sliding.pane(time), &self.firings.aggregate, record)
    }
}
