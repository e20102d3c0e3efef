//! Requests and replies: questions enter a job as records, and the answers go back to who asked.
//!
//! A question is an [`Asked`] record. It carries the right to reply, which the program keeps in its
//! own records until an operator turns it into an [`Answer`]; the sink [`replies`] delivers those.
//! The right exists once: a record that is dropped takes it along, and whoever asked is told so.

mod asker;
mod replies;
mod slot;

use std::fmt;

use crate::connector::channel::input::{Channel, channel};
use crate::connector::request::slot::Token;

pub use asker::{Alarm, Asker, Ring};
pub use replies::{Replies, replies};

/// A source called `name` of questions `Q` that are answered with an `A`, with room for `capacity`
/// questions per partition, `1..=16,777,216`. It is a [`channel`](channel()) of [`Asked`] records.
///
/// The running job gives handles out that ask (`job.asker::<Q, A>(name)`, see [`Asker`]). The
/// source ends when all of them are dropped.
pub fn requests<Q, A>(name: impl Into<String>, capacity: usize) -> Channel<Asked<Q, A>>
where
    Q: Send + 'static,
    A: Send + 'static,
{
    channel(name, capacity)
}

/// A question and the right to answer it.
pub struct Asked<Q, A> {
    /// What is asked.
    pub question: Q,
    token: Token<A>,
}

impl<Q, A> Asked<Q, A> {
    /// The same right to answer, beside what `change` makes of the question.
    pub fn map<R>(self, change: impl FnOnce(Q) -> R) -> Asked<R, A> {
        Asked { question: change(self.question), token: self.token }
    }

    /// The answer, for the sink [`replies`].
    pub fn reply(self, reply: A) -> Answer<A> {
        Answer { reply, token: self.token }
    }
}

impl<Q: fmt::Debug, A> fmt::Debug for Asked<Q, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").field("question", &self.question).finish_non_exhaustive()
    }
}

/// A reply and who gets it.
pub struct Answer<A> {
    /// What is replied.
    pub reply: A,
    token: Token<A>,
}

impl<A> Answer<A> {
    /// Gives the reply to who asked; to nobody, if they did not wait for it.
    fn deliver(self) {
        self.token.fill(self.reply);
    }
}

impl<A: fmt::Debug> fmt::Debug for Answer<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("reply", &self.reply).finish_non_exhaustive()
    }
}
