//! What goes into a stage of windows and what comes out of it, written down on each partition.

use std::sync::{Arc, Mutex, PoisonError};

use crate::cli::simulate::job::Event;
use crate::connector::Collected;
use crate::dataflow::{Collector, Emit, Intake, Lanes, Operator, Polled, Stamped, TaskContext};
use crate::exchange::{Pull, Swept};
use crate::operator::window::{Change, Firing, Windowed};
use crate::record::{Batch, Either, Key};
use crate::routing::{Move, MoveId};
use crate::time::Timestamp;
use crate::time::watermark::Progress;

/// What was heard at one stage of windows.
pub(super) struct Tap {
    /// Whether the first result of a window comes before time has passed the window.
    is_prompt: bool,
    /// The name of the stage's task.
    pub(super) name: String,
    pub(super) heard: Log<Heard>,
    pub(super) said: Log<Said>,
    /// Late records, where they come out.
    pub(super) late: Option<Collected<Event>>,
}

impl Tap {
    pub(super) fn new(partitions: usize, name: String, is_prompt: bool) -> Tap {
        let (heard, said) = (Log::new(partitions), Log::new(partitions));
        Tap { is_prompt, name, heard, said, late: None }
    }

    /// A result as a record of the next stage.
    pub(super) fn event_of(&self, result: &Windowed<u64, i64>) -> Event {
        event_of(result, self.is_prompt)
    }
}

/// What a task takes in, as its gate gives it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Heard {
    Record(Event, Timestamp),
    /// Records that were folded before they travelled.
    Folded,
    Watermark(Timestamp),
    Idle,
    /// The input is over.
    End,
}

/// A result, with its time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Said {
    pub(super) result: Windowed<u64, i64>,
    pub(super) time: Timestamp,
}

/// What is written down on each partition.
pub(super) struct Log<T> {
    partitions: Vec<Arc<Mutex<Vec<T>>>>,
}

impl<T> Clone for Log<T> {
    fn clone(&self) -> Self {
        Log { partitions: self.partitions.clone() }
    }
}

impl<T> Log<T> {
    fn new(partitions: usize) -> Self {
        Log { partitions: (0..partitions).map(|_| Arc::default()).collect() }
    }

    fn note(&self, partition: usize, what: T) {
        let mut notes = self.partitions[partition].lock().unwrap_or_else(PoisonError::into_inner);
        notes.push(what);
    }

    /// What was written down so far, by partition.
    pub(super) fn take(&self) -> Vec<Vec<T>> {
        let take = |notes: &Arc<Mutex<Vec<T>>>| {
            std::mem::take(&mut *notes.lock().unwrap_or_else(PoisonError::into_inner))
        };
        self.partitions.iter().map(take).collect()
    }
}

/// Lanes that write down what the lanes within them give.
pub(super) struct Listening<P> {
    lanes: Box<dyn Lanes<Stamped<Event>, P>>,
    heard: Log<Heard>,
    partition: usize,
}

impl<P> Listening<P> {
    pub(super) fn new(
        lanes: Box<dyn Lanes<Stamped<Event>, P>>,
        heard: Log<Heard>,
        partition: usize,
    ) -> Self {
        Listening { lanes, heard, partition }
    }
}

impl<P: Send> Lanes<Stamped<Event>, P> for Listening<P> {
    fn next(&mut self, batch: &mut Batch<Stamped<Event>, P>) -> Intake {
        let intake = self.lanes.next(batch);
        let note = |what| self.heard.note(self.partition, what);
        match intake {
            Intake::Batch => {
                batch.records.iter().for_each(|row| note(Heard::Record(row.record, row.time)));
                batch.partials.iter().for_each(|_| note(Heard::Folded));
            }
            Intake::Progress(Progress::Watermark(time)) => note(Heard::Watermark(time)),
            Intake::Progress(Progress::Idle) => note(Heard::Idle),
            Intake::Nothing(Polled::Done) => note(Heard::End),
            Intake::Nothing(_) | Intake::Barrier(_) | Intake::Mark(_) => {}
        }
        intake
    }

    fn count(&self) -> usize {
        self.lanes.count()
    }

    fn edge_in_hand(&self) -> usize {
        self.lanes.edge_in_hand()
    }

    fn lane_in_hand(&self) -> Option<usize> {
        self.lanes.lane_in_hand()
    }

    fn edge_of(&self, lane: usize) -> usize {
        self.lanes.edge_of(lane)
    }

    fn waiting(&self) -> usize {
        self.lanes.waiting()
    }

    fn watermark(&self) -> Timestamp {
        self.lanes.watermark()
    }

    fn hold_back(&mut self, id: MoveId, batch: &mut Batch<Stamped<Event>, P>) {
        self.lanes.hold_back(id, batch);
    }

    fn free(&mut self, id: MoveId, lane: usize) {
        self.lanes.free(id, lane);
    }

    fn begin_sweep(&mut self, moved: Arc<Move>) {
        self.lanes.begin_sweep(moved);
    }

    fn sweep(
        &mut self,
        pull: Pull<'_, Stamped<Event>, P>,
        found: &mut dyn FnMut(Swept<Stamped<Event>, P>) -> bool,
    ) {
        self.lanes.sweep(pull, found);
    }
}

/// Writes down each result, and sends it on as an event.
#[derive(Clone)]
pub(super) struct Witness<K, F> {
    said: Log<Said>,
    is_prompt: bool,
    partition: usize,
    number_of: fn(&K) -> u64,
    /// Makes a number of what the windows come to.
    measure: F,
}

impl<K, F> Witness<K, F> {
    pub(super) fn new(tap: &Tap, number_of: fn(&K) -> u64, measure: F) -> Self {
        let (said, is_prompt) = (tap.said.clone(), tap.is_prompt);
        Witness { said, is_prompt, partition: 0, number_of, measure }
    }

    fn note<V>(&self, result: Windowed<K, V>, time: Timestamp) -> Event
    where
        F: Fn(&V) -> i64,
    {
        let Windowed { key, window, firing, index, change, value } = result;
        let (key, value) = ((self.number_of)(&key), (self.measure)(&value));
        let result = Windowed { key, window, firing, index, change, value };
        self.said.note(self.partition, Said { result, time });
        event_of(&result, self.is_prompt)
    }
}

fn event_of(result: &Windowed<u64, i64>, is_prompt: bool) -> Event {
    Event {
        key: result.key.wrapping_mul(7),
        value: result.value,
        time: result.window.last().as_millis(),
        // What is said of a window once more may come when time has passed it.
        is_timely: is_prompt && result.firing != Firing::Late && result.change == Change::Insert,
    }
}

impl<K, V, F> Operator<Windowed<K, V>> for Witness<K, F>
where
    K: Key,
    V: Send + 'static,
    F: Fn(&V) -> i64 + Clone + Send + 'static,
{
    type Out = Event;
    const NAME: &'static str = "witness";

    fn open(&mut self, context: &TaskContext) {
        self.partition = context.partition;
    }

    fn on_record<E: Emit<Event>>(&mut self, record: Windowed<K, V>, out: &mut Collector<'_, E>) {
        let event = self.note(record, out.time());
        out.emit(event);
    }
}

/// Results beside late records.
type ResultOrLate<K, V> = Either<Windowed<K, V>, Event>;

impl<K, V, F> Operator<ResultOrLate<K, V>> for Witness<K, F>
where
    K: Key,
    V: Send + 'static,
    F: Fn(&V) -> i64 + Clone + Send + 'static,
{
    type Out = Either<Event, Event>;
    const NAME: &'static str = "witness";

    fn open(&mut self, context: &TaskContext) {
        self.partition = context.partition;
    }

    fn on_record<E: Emit<Self::Out>>(
        &mut self,
        record: ResultOrLate<K, V>,
        out: &mut Collector<'_, E>,
    ) {
        match record {
            Either::Left(result) => {
                let event = self.note(result, out.time());
                out.emit(Either::Left(event));
            }
            Either::Right(late) => out.emit(Either::Right(late)),
        }
    }
}
