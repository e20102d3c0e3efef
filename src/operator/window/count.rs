//! `count` windows: so many records of a key, whatever their times.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::operator::window::assigner::{check_slide, invalid};
use crate::operator::window::panes::Panes;
use crate::operator::window::{
    Change, Firing, Taken, Trigger, Window, WindowContext, WindowLogic, Windowed, Windows,
};
use crate::record::Never;
use crate::state::aggregate::Aggregate;
use crate::time::Timestamp;

/// A window for each `size` records of a key, one after the other. It fires with its last record;
/// one that is not full when the input is over never does.
pub fn count(size: u64) -> Count {
    count_sliding(size, size)
}

/// After each `slide` records of a key, a window of the last `size`, or of all while there are
/// fewer.
pub fn count_sliding(size: u64, slide: u64) -> Count {
    let number = |count| i64::try_from(count).unwrap_or(i64::MAX);
    Count { size: number(size), slide: number(slide) }
}

/// See [`count`](count()) and [`count_sliding`].
#[derive(Clone, Copy, Debug)]
pub struct Count {
    size: i64,
    slide: i64,
}

impl<T, A> Windows<T, A> for Count
where
    A: Aggregate<T>,
    A::Accumulator: Clone,
{
    type Logic = CountLogic<A>;

    fn check(&self, trigger: Trigger) -> Result<()> {
        if self.size < 1 {
            return Err(invalid("window size: 0 records; allowed is 1 or more".into()));
        }
        check_slide(self.size, self.slide, " records")?;
        if trigger.is_early() || trigger.lateness_ms() > 0 {
            return Err(invalid(
                "count windows fire when they are full; early firings and allowed lateness are \
                 for windows of time"
                    .into(),
            ));
        }
        if !A::MERGES && self.size != self.slide {
            return Err(invalid("sliding count windows merge; the aggregate does not".into()));
        }
        Ok(())
    }

    fn logic(self, _trigger: Trigger, aggregate: A) -> CountLogic<A> {
        CountLogic { windows: self, aggregate }
    }
}

/// The logic of count windows.
#[derive(Clone)]
pub struct CountLogic<A> {
    windows: Count,
    aggregate: A,
}

/// The count windows of a key.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct CountState<S> {
    /// Records so far. A pane begins at the number of its first record.
    taken: i64,
    panes: Panes<Spanned<S>>,
}

/// An accumulator with the times of its records.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Spanned<S> {
    earliest: Timestamp,
    latest: Timestamp,
    accumulator: S,
}

impl<S: Default> Default for Spanned<S> {
    fn default() -> Self {
        let (earliest, latest) = (Timestamp::MAX, Timestamp::MIN);
        Spanned { earliest, latest, accumulator: S::default() }
    }
}

impl<S> Spanned<S> {
    fn widen(&mut self, earliest: Timestamp, latest: Timestamp) {
        self.earliest = self.earliest.min(earliest);
        self.latest = self.latest.max(latest);
    }
}

impl Count {
    /// The first number of the pane of record `number`: panes are cut where windows begin and end.
    #[inline]
    fn pane(&self, number: i64) -> i64 {
        let place = number % self.slide;
        let cut = self.slide - self.size % self.slide;
        if place < cut { number - place } else { number - place + cut }
    }
}

impl<T, A> WindowLogic<T> for CountLogic<A>
where
    A: Aggregate<T>,
    A::Accumulator: Clone,
{
    type State = CountState<A::Accumulator>;
    /// Which window a record is in is known only where all of its key come together.
    type Partial = Never;
    type Value = A::Output;

    #[inline]
    fn on_record<C: WindowContext<A::Output>>(
        &self,
        record: &T,
        time: Timestamp,
        state: &mut Self::State,
        context: &mut C,
    ) -> Taken {
        let Count { size, slide } = self.windows;
        state.panes.add(self.windows.pane(state.taken), |into| {
            into.widen(time, time);
            self.aggregate.add(&mut into.accumulator, record);
        });
        state.taken += 1;
        if state.taken % slide != 0 {
            return Taken::Applied;
        }
        let all = state.panes.merged(state.taken, |into, from| {
            into.widen(from.earliest, from.latest);
            self.aggregate.merge(&mut into.accumulator, from.accumulator);
        });
        let Spanned { earliest, latest, accumulator } = all.expect("a record has come");
        context.emit(Windowed {
            key: (),
            window: Window { start: earliest, end: latest.plus_millis(1) },
            firing: Firing::OnTime,
            index: 0,
            change: Change::Insert,
            value: self.aggregate.finish(&accumulator),
        });
        let next_start = state.taken + slide - size;
        state.panes.drop_while(|pane| pane < next_start);
        if size == slide {
            state.taken = 0;
        }
        Taken::Applied
    }

    fn record_count(partial: &Never) -> u64 {
        match *partial {}
    }

    fn on_partial<C: WindowContext<A::Output>>(
        &self,
        partial: Never,
        _state: &mut Self::State,
        _context: &mut C,
    ) -> Taken {
        match partial {}
    }

    fn next_event(&self, _state: &Self::State, _after: Timestamp) -> Option<Timestamp> {
        None
    }

    fn on_event<C: WindowContext<A::Output>>(
        &self,
        _at: Timestamp,
        _state: &mut Self::State,
        _context: &mut C,
    ) {
    }

    fn on_clock<C: WindowContext<A::Output>>(
        &self,
        _at: Timestamp,
        _state: &mut Self::State,
        _context: &mut C,
    ) {
    }

    fn is_empty(state: &Self::State) -> bool {
        state.panes.is_empty()
    }

    fn folds(&self) -> bool {
        false
    }

    fn fold(&self, _held: &mut Option<Never>, _record: &T, _time: Timestamp) -> Option<Never> {
        unreachable!("count windows fold nothing")
    }
}
