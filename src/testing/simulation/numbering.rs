//! Keyed tasks that number what they make and check the numbers of what comes, and such a sink.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};

use crate::dataflow::{
    Due, Emit, Flow, KeyContext, KeyedOperator, Sink, SinkConnector, TaskContext,
};
use crate::error::Result;
use crate::exchange::wake::Wake;
use crate::record::{Batch, Either, Never};
use crate::testing::simulation::events::Event;
use crate::time::Nanos;

/// Event time between a record and what its timer makes. All times are even.
const TIMER_MS: i64 = 6;

/// What went wrong, as the operators see it.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    /// The first of what went wrong, if anything did, and how much it was.
    pub(super) fn verdict(&self) -> std::result::Result<(), String> {
        let said = self.0.lock().expect("nobody panics");
        match said.first() {
            Some(first) => Err(format!("{} findings, first {first}", said.len())),
            None => Ok(()),
        }
    }

    fn note(&self, text: String) {
        self.0.lock().expect("nobody panics").push(text);
    }
}

/// Numbers what it sends on for each key, checks that what comes is numbered without a gap, and
/// sends each event once more when its timer fires.
#[derive(Clone)]
pub(super) struct Numbering {
    pub(super) name: &'static str,
    pub(super) log: Log,
}

#[derive(Default, Serialize, Deserialize)]
pub(super) struct Numbers {
    came: BTreeMap<u16, u32>,
    made: u32,
    timers: Vec<(i64, u8)>,
}

impl Numbering {
    fn take<E: Emit<Event>>(
        &mut self,
        event: Event,
        state: &mut Numbers,
        context: &mut KeyContext<'_, u8, E>,
    ) {
        let last = state.came.entry(event.maker).or_default();
        if event.number != *last + 1 {
            self.log.note(format!("{}: {event:?} after number {last}", self.name));
        }
        *last = event.number;
        if context.watermark().as_millis() >= event.time {
            self.log.note(format!("{}: {event:?} is late at {}", self.name, context.watermark()));
        }
        state.made += 1;
        let key = *context.key();
        let maker = 1_000 + u16::from(key);
        context.emit(Event { maker, number: state.made, ..event });
        let at = event.time + TIMER_MS;
        state.timers.push((at, event.key));
        context.wake_at(at.into());
    }

    fn fire<E: Emit<Event>>(
        &mut self,
        due: Due,
        state: &mut Numbers,
        context: &mut KeyContext<'_, u8, E>,
    ) {
        state.timers.sort_by_key(|timer| timer.0);
        while let Some((at, event_key)) = state.timers.first().copied() {
            if at > due.until.as_millis() {
                break;
            }
            state.timers.remove(0);
            state.made += 1;
            let maker = 1_000 + u16::from(*context.key());
            let event = Event { key: event_key, maker, number: state.made, time: at };
            context.emit_at(event, at.into());
        }
    }

    fn end(&mut self, key: u8, state: &Numbers) {
        if !state.timers.is_empty() {
            self.log.note(format!("{}: key {key} ends with {:?}", self.name, state.timers));
        }
    }
}

macro_rules! numbering_takes {
    ($record:ty, $event:expr) => {
        impl KeyedOperator<u8, $record> for Numbering {
            type Out = Event;
            type State = Numbers;
            type Partial = Never;
            const NAME: &'static str = "numbering";

            fn on_record<E: Emit<Event>>(
                &mut self,
                record: $record,
                state: &mut Numbers,
                context: &mut KeyContext<'_, u8, E>,
            ) {
                let event: fn($record) -> Event = $event;
                self.take(event(record), state, context);
            }

            fn on_partial<E: Emit<Event>>(
                &mut self,
                partial: Never,
                _: &mut Numbers,
                _: &mut KeyContext<'_, u8, E>,
            ) {
                match partial {}
            }

            fn on_event_time<E: Emit<Event>>(
                &mut self,
                due: Due,
                state: &mut Numbers,
                context: &mut KeyContext<'_, u8, E>,
            ) -> Flow {
                self.fire(due, state, context);
                Flow::Done
            }

            fn on_end<E: Emit<Event>>(
                &mut self,
                state: &mut Numbers,
                context: &mut KeyContext<'_, u8, E>,
            ) {
                self.end(*context.key(), state);
            }
        }
    };
}

numbering_takes!(Event, |event| event);
numbering_takes!(Either<Event, Event>, |either| match either {
    Either::Left(event) | Either::Right(event) => event,
});

/// A sink that takes few records at a time, and checks their numbers.
#[derive(Clone, Default)]
pub(super) struct Slow {
    seen: Arc<Mutex<BTreeMap<u16, u32>>>,
    log: Log,
    calls: u64,
    waker: Option<Wake>,
}

impl Slow {
    pub(super) fn new(log: Log) -> Slow {
        Slow { log, ..Slow::default() }
    }
}

impl SinkConnector for Slow {
    type Item = Event;
    type Sink = Slow;

    fn name(&self) -> String {
        "slow".to_owned()
    }

    fn open(&mut self, context: &TaskContext) -> Result<Slow> {
        Ok(Slow { waker: Some(context.waker.clone()), ..self.clone() })
    }
}

impl Sink for Slow {
    type Item = Event;

    fn write(&mut self, batch: &mut Batch<Event>, _: Nanos) -> Result<()> {
        self.calls += 1;
        if self.calls.is_multiple_of(3) {
            let event = batch.records.remove(0);
            let mut seen = self.seen.lock().expect("nobody panics");
            let last = seen.entry(event.maker).or_default();
            if event.number != *last + 1 {
                self.log.note(format!("sink: {event:?} after number {last}"));
            }
            *last = event.number;
        }
        if let (false, Some(waker)) = (batch.is_empty(), &self.waker) {
            waker.wake();
        }
        Ok(())
    }
}

/// Times of events, by key.
pub(super) type Times = BTreeMap<u8, Vec<i64>>;

/// Adds `others` to `times`.
pub(super) fn append(times: &mut Times, others: Times) {
    for (key, mut others) in others {
        times.entry(key).or_default().append(&mut others);
    }
}

/// What a stage makes of events: it sends each on, and once more when its timer fires.
pub(super) fn staged(times: Times) -> Times {
    let twice = |time: i64| [time, time + TIMER_MS];
    let both = |times: Vec<i64>| times.into_iter().flat_map(twice).collect();
    times.into_iter().map(|(key, times)| (key, both(times))).collect()
}
