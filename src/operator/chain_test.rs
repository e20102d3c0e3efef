//! Runs one operator as a chain of its own, for the tests beside the operators.

use crate::dataflow::{Chain, Emit, Identity, Meta, Operator, Passed, Signal, Then};
use crate::record::Batch;

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

/// What `operator` makes of `records`, and of their end, when its output is full after each record
/// that it emits.
pub(super) fn emitted<I, Op>(operator: Op, records: Vec<I>) -> Vec<Op::Out>
where
    I: Send + 'static,
    Op: Operator<I>,
{
    let mut chain = Then::new(Identity::<I>::new(), operator);
    let mut names = Vec::new();
    chain.describe(&mut names);
    assert_eq!(names, [Op::NAME]);
    let mut out = Gathered { records: Vec::new(), is_open: true };
    let mut batch = Batch::new();
    batch.records = records;
    while !batch.is_empty() {
        let before = batch.len();
        chain.push_batch(&mut batch, &mut out);
        assert!(batch.len() < before, "an open output takes at least one record");
        out.is_open = true;
    }
    while chain.signal(Signal::End, &mut out) == Passed::More {
        out.is_open = true;
    }
    out.records
}
