//! Where one reply arrives: a place for a value, the right to fill it, and who waits for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// How it went with a question.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply<A> {
    /// It was answered.
    Came(A),
    /// Whoever had the right to answer it has dropped it.
    Dropped,
    /// Time ran out.
    TimedOut,
}

/// The place. Filled once; what comes later goes nowhere.
pub(super) struct Slot<A> {
    state: Mutex<State<A>>,
}

enum State<A> {
    Empty(Option<Waker>),
    Filled(Reply<A>),
    /// The reply was taken.
    Taken,
}

/// The right to fill a slot. Dropping it says that there will be no reply.
pub(super) struct Token<A>(Arc<Slot<A>>);

/// A slot and the right to fill it.
pub(super) fn slot<A>() -> (Token<A>, Arc<Slot<A>>) {
    let slot = Arc::new(Slot { state: Mutex::new(State::Empty(None)) });
    (Token(Arc::clone(&slot)), slot)
}

impl<A> Slot<A> {
    /// Fills it, unless it is filled.
    pub(super) fn fill(&self, reply: Reply<A>) {
        let mut state = self.lock();
        let State::Empty(waker) = &mut *state else { return };
        let waker = waker.take();
        *state = State::Filled(reply);
        // Outside the lock: a waker may run the code of an executor.
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Takes the reply, or has `context` woken when there is one.
    pub(super) fn poll(&self, context: &Context<'_>) -> Poll<Reply<A>> {
        let mut state = self.lock();
        match std::mem::replace(&mut *state, State::Taken) {
            State::Filled(reply) => Poll::Ready(reply),
            State::Empty(_) => {
                *state = State::Empty(Some(context.waker().clone()));
                Poll::Pending
            }
            State::Taken => Poll::Pending,
        }
    }

    /// Whether it has been filled.
    pub(super) fn is_filled(&self) -> bool {
        !matches!(*self.lock(), State::Empty(_))
    }

    fn lock(&self) -> MutexGuard<'_, State<A>> {
        // Every change under the lock is complete before anything that could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A> Token<A> {
    /// Fills the slot with a reply.
    pub(super) fn fill(self, reply: A) {
        self.0.fill(Reply::Came(reply));
    }
}

impl<A> Drop for Token<A> {
    fn drop(&mut self) {
        self.0.fill(Reply::Dropped);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll<A>(slot: &Slot<A>) -> Poll<Reply<A>> {
        slot.poll(&Context::from_waker(Waker::noop()))
    }

    #[test]
    fn first_word_counts() {
        let (token, slot) = slot();
        assert_eq!(poll(&slot), Poll::Pending);
        token.fill(7);
        slot.fill(Reply::TimedOut);
        assert!(slot.is_filled());
        assert_eq!(poll(&slot), Poll::Ready(Reply::Came(7)));
    }

    #[test]
    fn dropped_right_is_told_and_a_late_reply_goes_nowhere() {
        let (token, dropped) = slot::<u8>();
        drop(token);
        assert_eq!(poll(&dropped), Poll::Ready(Reply::Dropped));
        let (token, late) = slot();
        late.fill(Reply::TimedOut);
        token.fill(7);
        assert_eq!(poll(&late), Poll::Ready(Reply::TimedOut));
    }
}
