//! Windows: the records of a key cut into pieces of time or number, each aggregated to a value.
//!
//! What is here is the logic of one key, without an engine: it is told of records and timers
//! through [`WindowLogic`] and sets timers and emits results through [`WindowContext`]. The
//! meaning of all of it is in the folder's `README.md`.

mod assigner;
mod count;
#[cfg(test)]
mod dataflow_test;
mod firing;
#[cfg(test)]
mod fixture;
#[cfg(any(test, feature = "cli"))]
pub(crate) mod model;
#[cfg(test)]
mod model_test;
mod operator;
mod panes;
mod per_window;
mod result;
mod session;
mod sliding;
mod slots;
mod stream;
mod trigger;

pub use assigner::{Custom, Global, Tumbling, Window, WindowAssigner, WindowId, global, tumbling};
pub use count::{Count, CountLogic, count, count_sliding};
pub use operator::{
    DropLate, EmitLate, EventTime, LateRecords, ProcessingTime, WindowTime, Windowing,
};
pub use per_window::PerWindow;
pub use result::{Change, Firing, Windowed};
pub use session::{Session, SessionLogic, session};
pub use sliding::{Sliding, SlidingLogic, sliding};
pub use stream::{WindowOutput, WindowOutputs, WindowedStream};
pub use trigger::{Early, Mode, Trigger};

use crate::error::Result;
use crate::state::Storable;
use crate::state::aggregate::Aggregate;
use crate::time::Timestamp;

/// Windows that may cover one record, and panes that a window may have. More is refused: a record
/// or a firing would cost that many steps.
pub const WINDOWS_PER_RECORD_MAX: i64 = 10_000;

/// A kind of windows, as the user writes it down: [`tumbling`], [`sliding`], [`session`],
/// [`count`](count()), [`count_sliding`], [`global`], or [`Custom`] around an assigner.
pub trait Windows<T, A: Aggregate<T>> {
    /// What works for each key.
    type Logic: WindowLogic<T, Value = A::Output>;

    /// What is wrong with them under `trigger`, if anything is.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`](crate::error::ErrorKind::InvalidConfig) if a length is zero,
    /// windows leave gaps, a record would be in more than [`WINDOWS_PER_RECORD_MAX`], or trigger
    /// or aggregate do not fit the windows.
    fn check(&self, trigger: Trigger) -> Result<()>;

    /// Whether no result comes before the input is over.
    fn waits_for_end(&self, trigger: Trigger) -> bool {
        let _ = trigger;
        false
    }

    /// How the windows are kept under `trigger`, for
    /// [`explain`](crate::dataflow::Pipeline::explain), where that is not the same for all.
    fn explain(&self, trigger: Trigger) -> Option<String> {
        let _ = trigger;
        None
    }

    /// Joins the windows with when they emit and what they aggregate; to be used only where
    /// [`check`](Self::check) finds nothing wrong.
    fn logic(self, trigger: Trigger, aggregate: A) -> Self::Logic;
}

/// The windows of one key as a state machine. It owns no state: the engine hands it in.
///
/// Called on the partition that owns the key, one call at a time. A state that
/// [is empty](Self::is_empty) after a call may be dropped.
///
/// What is due follows from the state: when the watermark has moved from one time to another, each
/// [`next_event`](Self::next_event) between the two is dealt with in its order. A timer only sees
/// to it that somebody looks, so a key needs no list of its timers.
pub trait WindowLogic<T>: Clone + Send + 'static {
    /// What is kept per key.
    type State: Default + Storable;
    /// What a feeder makes of several records of a key that lie in one window or pane.
    type Partial: Send + 'static;
    /// What comes out per window.
    type Value: Send + 'static;

    /// Takes one record of `time`; the caller keeps it, and has it back if it is late.
    fn on_record<C: WindowContext<Self::Value>>(
        &self,
        record: &T,
        time: Timestamp,
        state: &mut Self::State,
        context: &mut C,
    ) -> Taken;

    /// How many records a feeder made `partial` of.
    fn record_count(partial: &Self::Partial) -> u64;

    /// Takes what a feeder made of several records. If it is late, all of them are.
    fn on_partial<C: WindowContext<Self::Value>>(
        &self,
        partial: Self::Partial,
        state: &mut Self::State,
        context: &mut C,
    ) -> Taken;

    /// The first time behind `after` at which a window fires or goes, if there is one.
    fn next_event(&self, state: &Self::State, after: Timestamp) -> Option<Timestamp>;

    /// The watermark has reached `at`, which was the [`next_event`](Self::next_event).
    fn on_event<C: WindowContext<Self::Value>>(
        &self,
        at: Timestamp,
        state: &mut Self::State,
        context: &mut C,
    );

    /// The timer of `at` is spent, and everything up to the watermark dealt with: sets another one
    /// where the window that it was set for ends later by now.
    fn renew_timer<C: WindowContext<Self::Value>>(
        &self,
        at: Timestamp,
        state: &Self::State,
        context: &mut C,
    ) {
        let _ = (at, state, context);
    }

    /// The clock has reached `at`: fires what is to fire early by then.
    fn on_clock<C: WindowContext<Self::Value>>(
        &self,
        at: Timestamp,
        state: &mut Self::State,
        context: &mut C,
    );

    /// Whether nothing is held, so that the key's entry may go.
    fn is_empty(state: &Self::State) -> bool;

    /// Whether feeders may [`fold`](Self::fold) records before they travel.
    fn folds(&self) -> bool;

    /// Folds a record into what a feeder holds of its key, and returns the partial that has to go
    /// for it, because it is of another window or pane. Only where [`folds`](Self::folds).
    fn fold(
        &self,
        held: &mut Option<Self::Partial>,
        record: &T,
        time: Timestamp,
    ) -> Option<Self::Partial>;
}

/// What the windows of a key see of the engine: time, timers, and where results go.
///
/// In processing-time windows the record's time is the clock, the watermark is the clock minus
/// 1 ms, and event timers are the clock's; then nothing is late.
pub trait WindowContext<V> {
    /// No more records with this time or an earlier one are expected.
    fn watermark(&self) -> Timestamp;

    /// The clock.
    fn now(&self) -> Timestamp;

    /// Asks for somebody to look for events once the watermark is at `at`.
    fn set_event_timer(&mut self, at: Timestamp);

    /// Asks for [`on_clock`](WindowLogic::on_clock) once the clock is at `at`.
    fn set_processing_timer(&mut self, at: Timestamp);

    /// Sends a result on. Its time is [`Window::last`] of its window.
    fn emit(&mut self, result: Windowed<(), V>);
}

/// What became of a record.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is in every window that was still open for it.
    Applied,
    /// All its windows are gone: it goes to the late output and is counted.
    Late,
}

/// What a feeder made of several records of a key.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowPartial<I, S> {
    /// The window or pane that all of them are in.
    pub id: I,
    /// How many they are.
    pub record_count: u64,
    /// What they came to.
    pub accumulator: S,
}

/// Something to be taken into an accumulator: a record, or what several came to.
enum Input<'a, T, S> {
    Record(&'a T),
    Folded { record_count: u64, accumulator: &'a S },
}

impl<T, S: Clone> Input<'_, T, S> {
    #[inline]
    fn record_count(&self) -> u64 {
        match self {
            Input::Record(_) => 1,
            Input::Folded { record_count, .. } => *record_count,
        }
    }

    #[inline]
    fn add_to<A: Aggregate<T, Accumulator = S>>(&self, aggregate: &A, into: &mut S) {
        match self {
            Input::Record(record) => aggregate.add(into, record),
            Input::Folded { accumulator, .. } => aggregate.merge(into, (*accumulator).clone()),
        }
    }
}

impl<I: PartialEq, S: Default> WindowPartial<I, S> {
    /// Folds a record of window `id` into `held`; returns what was held of another window.
    fn fold<T, A: Aggregate<T, Accumulator = S>>(
        held: &mut Option<Self>,
        id: I,
        aggregate: &A,
        record: &T,
    ) -> Option<Self> {
        if let Some(partial) = held.as_mut().filter(|partial| partial.id == id) {
            partial.record_count += 1;
            aggregate.add(&mut partial.accumulator, record);
            return None;
        }
        let mut fresh = WindowPartial { id, record_count: 1, accumulator: S::default() };
        aggregate.add(&mut fresh.accumulator, record);
        held.replace(fresh)
    }
}
