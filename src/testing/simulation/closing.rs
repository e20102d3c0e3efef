//! How jobs end whose keys move: in aggregates that merge, and what these have to come to.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::dataflow::{Chain, DataStream, EmitAt, Sink, SinkConnector, TaskContext, Timed};
use crate::error::Result;
use crate::operator::window::{session, sliding, tumbling};
use crate::record::Batch;
use crate::routing::KeyedPartitioner;
use crate::testing::Random;
use crate::time::Nanos;

const WINDOW_MS: i64 = 20;
const SLIDE_MS: i64 = 10;
/// From so much event time on between two events they are in two sessions.
const GAP_MS: i64 = 4;
/// Processing time between two totals of a key.
const EVERY: Duration = Duration::from_micros(20);

/// The aggregate behind the last stage of a job: counts of events, by key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closing {
    Tumbling,
    /// Two panes each.
    Sliding,
    Sessions,
    /// Of all time.
    Totals(EmitAt),
}

/// By key and start of its window, how many events.
pub(super) type Counts = BTreeMap<(u8, i64), u64>;

/// A result of a [`Closing`]: key, start of the window, events.
type Count = (u8, i64, u64);

/// The results of a [`Closing`], each with the partition that made it; those of one partition in
/// the order in which it made them.
#[derive(Clone, Default)]
pub(super) struct Counted {
    counts: Arc<Mutex<Vec<(usize, Count)>>>,
    partition: usize,
}

impl SinkConnector for Counted {
    type Item = Count;
    type Sink = Counted;

    fn name(&self) -> String {
        "counted".to_owned()
    }

    fn open(&mut self, context: &TaskContext) -> Result<Counted> {
        Ok(Counted { partition: context.partition, ..self.clone() })
    }
}

impl Sink for Counted {
    type Item = Count;

    fn write(&mut self, batch: &mut Batch<Count>, _: Nanos) -> Result<()> {
        let counts = batch.records.drain(..).map(|count| (self.partition, count));
        self.counts.lock().expect("nobody panics").extend(counts);
        Ok(())
    }
}

impl Closing {
    pub(super) fn drawn(random: &mut Random) -> Closing {
        *random.one_of(&[
            Closing::Tumbling,
            Closing::Sliding,
            Closing::Sessions,
            Closing::Totals(EmitAt::End),
            Closing::Totals(EmitAt::Every(EVERY)),
        ])
    }

    /// Counts `records`.
    pub(super) fn count<T, C, Q>(
        self,
        records: DataStream<C>,
        key_of: fn(&T) -> u8,
        partitioner: Q,
    ) -> Counted
    where
        T: Send + 'static,
        C: Chain<Out = T, Time = Timed>,
        Q: KeyedPartitioner<u8>,
    {
        let millis = |millis: i64| Duration::from_millis(millis as u64);
        let keyed = records.key_by(key_of).partition_by(partitioner);
        let counted = Counted::default();
        macro_rules! count_windows {
            ($windows:expr) => {
                keyed
                    .window($windows)
                    .count()
                    .map(|one| (one.key, one.window.start.as_millis(), one.value))
                    .sink(counted.clone())
            };
        }
        match self {
            Closing::Tumbling => count_windows!(tumbling(millis(WINDOW_MS))),
            Closing::Sliding => count_windows!(sliding(millis(WINDOW_MS), millis(SLIDE_MS))),
            Closing::Sessions => count_windows!(session(millis(GAP_MS))),
            Closing::Totals(emit_at) => {
                let totals = keyed.emit_at(emit_at).count().map(|(key, count)| (key, 0, count));
                totals.sink(counted.clone());
            }
        }
        counted
    }

    /// Says what is out of order, if every partition was to emit in the order of keys at the end,
    /// and none a key that is not below those of the next.
    pub(super) fn check_order(self, counted: &Counted) -> std::result::Result<(), String> {
        if self != Closing::Totals(EmitAt::End) {
            return Ok(());
        }
        let mut counts = counted.counts.lock().expect("nobody panics").clone();
        counts.sort_by_key(|(partition, _)| *partition);
        match counts.windows(2).find(|pair| pair[0].1.0 >= pair[1].1.0) {
            Some(pair) => Err(format!("{:?} before {:?}", pair[0], pair[1])),
            None => Ok(()),
        }
    }

    /// What counting events of these times comes to.
    pub(super) fn expected(self, times: BTreeMap<u8, Vec<i64>>) -> Counts {
        let mut counts = Counts::new();
        for (key, mut times) in times {
            times.sort_unstable();
            let mut session: Option<(i64, i64)> = None;
            for time in times {
                let mut add = |start: i64| *counts.entry((key, start)).or_default() += 1;
                let floor = |unit: i64| time - time.rem_euclid(unit);
                match self {
                    Closing::Tumbling => add(floor(WINDOW_MS)),
                    Closing::Sliding => {
                        add(floor(SLIDE_MS));
                        add(floor(SLIDE_MS) - SLIDE_MS);
                    }
                    Closing::Sessions => {
                        let goes_on = session.filter(|(_, last)| time - last < GAP_MS);
                        let start = goes_on.map_or(time, |(start, _)| start);
                        session = Some((start, time));
                        add(start);
                    }
                    Closing::Totals(_) => add(0),
                }
            }
        }
        counts
    }

    /// What was collected; where there may be only one count of a key and window, what is wrong if
    /// there are more.
    pub(super) fn collected(self, counted: &Counted) -> std::result::Result<Counts, String> {
        let mut counts = Counts::new();
        let results = std::mem::take(&mut *counted.counts.lock().expect("nobody panics"));
        for (_, (key, start, count)) in results {
            match counts.entry((key, start)) {
                Entry::Vacant(entry) => drop(entry.insert(count)),
                Entry::Occupied(entry) if !matches!(self, Closing::Totals(EmitAt::Every(_))) => {
                    return Err(format!("{:?}: {} and {count}", entry.key(), entry.get()));
                }
                // A later total is a larger one.
                Entry::Occupied(mut entry) => *entry.get_mut() = count.max(*entry.get()),
            }
        }
        Ok(counts)
    }
}
