//! Windows of one key without an engine: a watermark, a clock, and timers in two sets.

use std::collections::BTreeSet;

use crate::operator::window::{Taken, WindowContext, WindowLogic, Windowed};
use crate::time::Timestamp;

/// One key's windows, and what has come out of them.
pub(super) struct Rig<T, L: WindowLogic<T>> {
    logic: L,
    state: L::State,
    engine: Engine<L::Value>,
}

struct Engine<V> {
    watermark: Timestamp,
    now: Timestamp,
    event_timers: BTreeSet<Timestamp>,
    processing_timers: BTreeSet<Timestamp>,
    results: Vec<Windowed<(), V>>,
}

impl<V> WindowContext<V> for Engine<V> {
    fn watermark(&self) -> Timestamp {
        self.watermark
    }

    fn now(&self) -> Timestamp {
        self.now
    }

    fn set_event_timer(&mut self, at: Timestamp) {
        self.event_timers.insert(at);
    }

    fn set_processing_timer(&mut self, at: Timestamp) {
        self.processing_timers.insert(at);
    }

    fn emit(&mut self, result: Windowed<(), V>) {
        self.results.push(result);
    }
}

impl<T, L: WindowLogic<T>> Rig<T, L> {
    pub(super) fn new(logic: L) -> Self {
        let engine = Engine {
            watermark: Timestamp::MIN,
            now: Timestamp::from_millis(0),
            event_timers: BTreeSet::new(),
            processing_timers: BTreeSet::new(),
            results: Vec::new(),
        };
        Rig { logic, state: L::State::default(), engine }
    }

    pub(super) fn logic(&self) -> &L {
        &self.logic
    }

    pub(super) fn record(&mut self, record: &T, time: Timestamp) -> Taken {
        self.snapshot();
        self.logic.on_record(record, time, &mut self.state, &mut self.engine)
    }

    pub(super) fn partial(&mut self, partial: L::Partial) -> Taken {
        self.snapshot();
        self.logic.on_partial(partial, &mut self.state, &mut self.engine)
    }

    pub(super) fn advance_watermark(&mut self, to: Timestamp) {
        let mut after = self.engine.watermark;
        self.engine.watermark = to.max(self.engine.watermark);
        while let Some(timer) = self.engine.event_timers.first().copied()
            && timer <= self.engine.watermark
        {
            self.engine.event_timers.remove(&timer);
            self.snapshot();
            while let Some(at) = self.logic.next_event(&self.state, after)
                && at <= self.engine.watermark
            {
                self.logic.on_event(at, &mut self.state, &mut self.engine);
                after = at;
            }
            self.logic.renew_timer(timer, &self.state, &mut self.engine);
        }
    }

    pub(super) fn advance_clock(&mut self, to: Timestamp) {
        self.engine.now = to.max(self.engine.now);
        while let Some(at) = self.engine.processing_timers.first().copied()
            && at <= self.engine.now
        {
            self.engine.processing_timers.remove(&at);
            self.logic.on_clock(at, &mut self.state, &mut self.engine);
        }
    }

    pub(super) fn watermark(&self) -> Timestamp {
        self.engine.watermark
    }

    pub(super) fn take_results(&mut self) -> Vec<Windowed<(), L::Value>> {
        std::mem::take(&mut self.engine.results)
    }

    /// Whether neither state nor an event timer is left.
    pub(super) fn is_empty(&self) -> bool {
        L::is_empty(&self.state) && self.engine.event_timers.is_empty()
    }

    pub(super) fn event_timer_count(&self) -> usize {
        self.engine.event_timers.len()
    }

    /// Writes the state down and reads it back, and drops an empty one as an engine does.
    fn snapshot(&mut self) {
        if L::is_empty(&self.state) {
            self.state = L::State::default();
            return;
        }
        let bytes = serde_json::to_vec(&self.state).expect("it can be written");
        self.state = serde_json::from_slice(&bytes).expect("it can be read back");
    }
}
