//! A source at the head of its task's chain.

use std::marker::PhantomData;

use crate::dataflow::{
    Chain, Collector, Emit, Meta, Passed, Polled, Signal, Source, TaskContext, Untimed,
};
use crate::error::Result;
use crate::metrics::Tally;
use crate::record::{Batch, Never};
use crate::time::Nanos;

/// The source of a chain that reads lanes: there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoSource {}

impl Source for NoSource {
    type Item = Never;

    fn poll<E: Emit<Never>>(
        &mut self,
        _: usize,
        _: Nanos,
        _: &mut Collector<'_, E>,
    ) -> Result<Polled> {
        match *self {}
    }
}

/// A source with what its task keeps beside it.
pub struct SourceHead<S> {
    source: S,
    /// Records per poll.
    max: usize,
    /// Records that it gave.
    given: u64,
    draining: bool,
}

impl<S: Source> SourceHead<S> {
    /// Polls `source` for at most `max` records at a time.
    pub(super) fn new(source: S, max: usize) -> Self {
        SourceHead { source, max, given: 0, draining: false }
    }

    /// Lets it emit into `out` as far as there is room.
    #[inline]
    pub(super) fn poll<E: Emit<S::Item>>(&mut self, now: Nanos, out: &mut E) -> Result<Polled> {
        if self.draining {
            return Ok(Polled::Done);
        }
        let mut out = Collector::new(out, Meta::default());
        let polled = self.source.poll(self.max, now, &mut out);
        self.given += out.emitted();
        polled
    }

    /// Records that it gave since the start.
    pub(crate) fn given(&self) -> u64 {
        self.given
    }

    /// Adds what it has read since the start to `tally`.
    pub(super) fn count(&self, tally: &mut Tally) {
        self.source.count(self.given, tally);
    }

    /// Ends it at its next poll.
    pub(super) fn drain(&mut self) {
        self.draining = true;
    }
}

impl SourceHead<NoSource> {
    /// Shows that there is none of this type.
    pub(crate) fn never(&self) -> ! {
        match self.source {}
    }
}

/// The empty chain behind a source: what it emits leaves.
pub struct FromSource<S>(PhantomData<fn() -> S>);

impl<S> FromSource<S> {
    pub(super) fn new() -> Self {
        FromSource(PhantomData)
    }
}

impl<S> Clone for FromSource<S> {
    fn clone(&self) -> Self {
        FromSource::new()
    }
}

impl<S: Source + 'static> Chain for FromSource<S> {
    type In = Never;
    type Partial = Never;
    type Out = S::Item;
    type Time = Untimed;
    type Source = S;

    fn open(&mut self, _: &TaskContext) {}

    fn push_batch<E: Emit<S::Item>>(&mut self, batch: &mut Batch<Never, Never>, _: &mut E) {
        debug_assert!(batch.is_empty(), "nothing of this type can be made");
    }

    #[inline]
    fn poll<E: Emit<S::Item>>(
        &mut self,
        source: &mut SourceHead<S>,
        now: Nanos,
        out: &mut E,
    ) -> Result<Polled> {
        source.poll(now, out)
    }

    fn signal<E: Emit<S::Item>>(&mut self, signal: Signal, _: &mut E) -> Passed {
        Passed::Done(Some(signal))
    }

    fn wake_at(&self) -> Option<Nanos> {
        None
    }

    fn describe(&self, _: &mut Vec<&'static str>) {}
}
