//! Runs one operator as a chain of its own, for the tests beside the operators.

use crate::dataflow::{
    Chain, Emit, Identity, Keyed, KeyedOperator, Meta, Operator, Passed, Signal, Stamped,
    TaskContext, Then, Timed,
};
use crate::exchange::wake::wake_pair;
use crate::metrics::Tally;
use crate::record::{Batch, Key};
use crate::routing::Hashed;

/// Takes everything, and asks for a pause after every record.
struct Gathered<T> {
    records: Vec<T>,
    is_open: bool,
}

impl<T> Emit<T> for Gathered<T> {
    fn push(&mut self, record: T, _: Meta) {
        self.records.push(record);
        self.is_open = false;
    }

    fn is_open(&self) -> bool {
        self.is_open
    }
}

/// A chain whose output is full after each record that it emits.
pub(super) struct Driven<C: Chain> {
    chain: C,
    out: Gathered<C::Out>,
}

impl<C: Chain> Driven<C> {
    fn new(chain: C) -> Self {
        Driven { chain, out: Gathered { records: Vec::new(), is_open: true } }
    }

    /// What it makes of `records`.
    pub(super) fn feed(&mut self, records: Vec<C::In>) -> Vec<C::Out> {
        let mut batch = Batch::new();
        batch.records = records;
        self.feed_batch(batch)
    }

    /// What it makes of records and partials.
    pub(super) fn feed_batch(&mut self, mut batch: Batch<C::In, C::Partial>) -> Vec<C::Out> {
        while !batch.is_empty() {
            let before = batch.len();
            self.out.is_open = true;
            self.chain.push_batch(&mut batch, &mut self.out);
            assert!(batch.len() < before, "an open output takes at least one record");
        }
        std::mem::take(&mut self.out.records)
    }

    /// What it makes of `signal`.
    pub(super) fn signal(&mut self, signal: Signal) -> Vec<C::Out> {
        self.out.is_open = true;
        while self.chain.signal(signal, &mut self.out) == Passed::More {
            self.out.is_open = true;
        }
        std::mem::take(&mut self.out.records)
    }
}

/// `operator` as it heads the task of a keyed stream, on the only partition of a job.
pub(super) fn keyed<I, K, F, Op>(operator: Op, key_of: F) -> Driven<Keyed<I, K, F, Hashed, Op>>
where
    I: Send + 'static,
    K: Key,
    F: Fn(&I) -> K + Clone + Send + 'static,
    Op: KeyedOperator<K, I>,
{
    let mut chain = Keyed::new(operator, key_of, Hashed);
    chain.open(&TaskContext::new(0, 1, wake_pair().1));
    Driven::new(chain)
}

/// As [`keyed`], of a stream with event time.
pub(super) fn keyed_timed<I, K, F, Op>(
    operator: Op,
    key_of: F,
) -> Driven<Keyed<I, K, F, Hashed, Op, Timed>>
where
    I: Send + 'static,
    K: Key,
    F: Fn(&I) -> K + Clone + Send + 'static,
    Op: KeyedOperator<K, I>,
{
    let mut chain = Keyed::new(operator, key_of, Hashed);
    chain.open(&TaskContext::new(0, 1, wake_pair().1));
    Driven::new(chain)
}

impl<I, K, F, Op> Driven<Keyed<I, K, F, Hashed, Op, Timed>>
where
    I: Send + 'static,
    K: Key,
    F: Fn(&I) -> K + Clone + Send + 'static,
    Op: KeyedOperator<K, I>,
{
    /// How many keys have state.
    pub(super) fn keys(&mut self) -> usize {
        self.chain.keys()
    }
}

/// `operator` on a stream with event time.
pub(super) fn timed<I, Op>(operator: Op) -> Driven<Then<Identity<I, Timed>, Op>>
where
    I: Send + 'static,
    Op: Operator<I>,
{
    Driven::new(Then::new(Identity::new(), operator))
}

impl<C: Chain> Driven<C> {
    /// What it makes of records and their times.
    pub(super) fn feed_at<I>(&mut self, records: Vec<(I, i64)>) -> Vec<C::Out>
    where
        C: Chain<In = Stamped<I>>,
    {
        let row = |(record, time): (I, i64)| Stamped { record, time: time.into() };
        self.feed(records.into_iter().map(row).collect())
    }

    pub(super) fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        self.chain.count(&mut tally);
        tally
    }
}

/// What `operator` makes of `records`, and of their end, when its output is full after each record
/// that it emits.
pub(super) fn emitted<I, Op>(operator: Op, records: Vec<I>) -> Vec<Op::Out>
where
    I: Send + 'static,
    Op: Operator<I>,
{
    // Not opened: that would replace what a test gave it by the bounds of a job.
    let chain = Then::new(Identity::<I>::new(), operator);
    let mut names = Vec::new();
    chain.describe(&mut names);
    assert_eq!(names, [Op::NAME]);
    let mut driven = Driven::new(chain);
    let mut emitted = driven.feed(records);
    emitted.extend(driven.signal(Signal::End));
    emitted
}
