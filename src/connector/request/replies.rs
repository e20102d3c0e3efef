//! `replies`: the sink that gives answers to who asked.

use std::marker::PhantomData;

use crate::connector::request::Answer;
use crate::dataflow::{Sink, SinkConnector, TaskContext};
use crate::error::Result;
use crate::record::Batch;
use crate::time::Nanos;

/// A sink that gives each [`Answer`] to who asked. A job may have any number of them, for questions
/// of one source or of several.
pub fn replies<A: Send + 'static>() -> Replies<A> {
    Replies(PhantomData)
}

/// Made by [`replies`]; both the connector and one partition's end of it.
pub struct Replies<A>(PhantomData<fn(A)>);

impl<A: Send + 'static> SinkConnector for Replies<A> {
    type Item = Answer<A>;
    type Sink = Replies<A>;

    fn name(&self) -> String {
        "replies".to_string()
    }

    fn open(&mut self, _: &TaskContext) -> Result<Replies<A>> {
        Ok(replies())
    }
}

impl<A: Send + 'static> Sink for Replies<A> {
    type Item = Answer<A>;

    #[inline(always)]
    fn try_take(&mut self, answer: Answer<A>) -> std::result::Result<(), Answer<A>> {
        answer.deliver();
        Ok(())
    }

    fn write(&mut self, batch: &mut Batch<Answer<A>>, _: Nanos) -> Result<()> {
        batch.records.drain(..).for_each(Answer::deliver);
        Ok(())
    }
}
