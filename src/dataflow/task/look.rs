//! How a keyed task fares, for whoever looks after the load.

use crate::dataflow::input::Input;
use crate::dataflow::task::costs::{KeyCosts, KeySample, KeyTap};
use crate::dataflow::task::{ChainTask, StepContext};
use crate::dataflow::{Chain, End, Handling};
use crate::metrics::TaskMetrics;
use crate::time::Nanos;

/// Keys whose names are told at most: more are not acted on at once.
const NAMES_MAX: usize = 16;
/// Only of keys that take more than 1/64 of the sample is the name worth a look-up.
const NAMED_PART: u64 = 64;

/// How one keyed task on one partition fares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskLook {
    /// Index of its domain.
    pub domain: usize,
    /// Nanoseconds in its steps, since the start.
    pub busy_ns: Nanos,
    /// Records and partials that came over its lanes, since the start.
    pub received: u64,
    /// About as many wait in them.
    pub backlog: u64,
    /// Keys that it keeps something for; told with a sample.
    pub keys: usize,
    /// Bytes that this takes; told with a sample.
    pub state_bytes: usize,
    /// Where its time went since the last look that asked for it.
    pub sample: Option<KeySample>,
    /// Names of the heaviest keys by hash, of those that are here.
    pub names: Vec<(u64, String)>,
}

impl<C: Chain, E: End<C::Out>> ChainTask<C, E> {
    /// Works off the batch in hand, and notes what its keys cost.
    #[inline(never)]
    pub(super) fn push_watched(&mut self, step: &StepContext<'_>) {
        let Some(costs) = &mut self.costs else { return };
        let before = step.clock.now();
        let hash = Handling::Hash { batch: &self.batch, hashes: costs.hashes() };
        self.chain.handle(hash, &mut self.end);
        let (entered, started) = (self.batch.len(), step.clock.now());
        self.chain.push_batch(&mut self.batch, &mut self.end);
        let ended = step.clock.now();
        let worked_off = entered - self.batch.len();
        costs.book(worked_off, step.now, ended.saturating_sub(started));
        let after = step.clock.now();
        costs.looked(started.saturating_sub(before) + after.saturating_sub(ended));
    }

    /// How it fares, if it keeps state by key. What its keys cost is watched from the first look
    /// on that asks for it.
    pub(super) fn look_at(&mut self, metrics: &TaskMetrics, with_sample: bool) -> Option<TaskLook> {
        let Input::Lanes { lanes, moves: Some(moves) } = &self.input else { return None };
        let busy_ns = metrics.busy_ns();
        let received = metrics.received_in_all();
        let per_batch = received / metrics.received_batches().max(1);
        let mut look = TaskLook {
            domain: moves.domain(),
            busy_ns,
            received,
            backlog: lanes.waiting() as u64 * per_batch + self.batch.len() as u64,
            ..TaskLook::default()
        };
        if with_sample {
            let costs = self.costs.get_or_insert_with(|| Box::new(KeyCosts::new(busy_ns)));
            let sample = costs.take(busy_ns);
            self.describe(&sample, &mut look);
            look.sample = Some(sample);
        }
        Some(look)
    }

    /// Tells `tap` of all batches from now on, if it keeps the state of `domain`.
    pub(super) fn listen_to(&mut self, domain: usize, tap: &KeyTap) {
        if let Input::Lanes { moves: Some(moves), .. } = &self.input
            && moves.domain() == domain
        {
            self.costs.get_or_insert_with(|| Box::new(KeyCosts::new(0))).listen(tap);
        }
    }

    /// Adds what only the state knows.
    fn describe(&mut self, sample: &KeySample, look: &mut TaskLook) {
        let (chain, end) = (&mut self.chain, &mut self.end);
        let mut size = (0, 0);
        chain.handle(Handling::Size { size: &mut size }, end);
        (look.keys, look.state_bytes) = size;
        let heavy = sample.keys.iter().take(NAMES_MAX);
        for key in heavy.take_while(|key| key.weight * NAMED_PART > sample.total) {
            let mut name = None;
            chain.handle(Handling::Name { hash: key.hash, name: &mut name }, end);
            look.names.extend(name.map(|name| (key.hash, name)));
        }
    }
}
