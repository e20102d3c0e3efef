//! Those who wait for room or for records: a list of wakers, and a way to block a thread on one.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

/// Wakers in the order in which they are to be woken. Costs the waking side a fence and a load
/// while nobody waits.
#[derive(Debug, Default)]
pub(super) struct WaitList {
    waiting: AtomicUsize,
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    wakers: VecDeque<(u64, Waker)>,
    last_ticket: u64,
}

/// One waiting side's place in a [`WaitList`]: none, or the number it waits under.
#[derive(Debug, Default)]
pub(super) struct Ticket(Option<u64>);

impl WaitList {
    fn lock(&self) -> MutexGuard<'_, Entries> {
        // Nothing that can panic happens while it is held.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters the list, or renews the waker of a ticket that is in it. A ticket that was woken goes
    /// to the front again. The caller then tries once more what it waits for.
    pub(super) fn enter(&self, ticket: &mut Ticket, waker: &Waker) {
        let mut entries = self.lock();
        let known = ticket.0;
        let place = known.and_then(|id| entries.wakers.iter_mut().find(|entry| entry.0 == id));
        if let Some(entry) = place {
            entry.1.clone_from(waker);
        } else {
            entries.last_ticket += 1;
            let entry = (entries.last_ticket, waker.clone());
            ticket.0 = Some(entry.0);
            if known.is_some() {
                entries.wakers.push_front(entry);
            } else {
                entries.wakers.push_back(entry);
            }
            self.waiting.store(entries.wakers.len(), Ordering::Relaxed);
        }
        drop(entries);
        // SeqCst pairs with the fence in `wake`: list before queue here, queue before list there.
        fence(Ordering::SeqCst);
    }

    /// How many wait.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().wakers.len()
    }

    /// Leaves the list; `false` if the ticket was in it no more, since it was woken.
    pub(super) fn leave(&self, ticket: &mut Ticket) -> bool {
        let Some(id) = ticket.0.take() else {
            return true;
        };
        let mut entries = self.lock();
        let place = entries.wakers.iter().position(|entry| entry.0 == id);
        if let Some(place) = place {
            entries.wakers.remove(place);
            self.waiting.store(entries.wakers.len(), Ordering::Relaxed);
        }
        place.is_some()
    }

    /// Wakes up to `count` of those who wait, longest first. Called after what they wait for is
    /// there.
    #[inline]
    pub(super) fn wake(&self, count: usize) {
        // SeqCst pairs with the fence in `enter`.
        fence(Ordering::SeqCst);
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.wake_waiting(count);
        }
    }

    #[cold]
    fn wake_waiting(&self, count: usize) {
        let mut entries = self.lock();
        let count = count.min(entries.wakers.len());
        let woken: Vec<_> = entries.wakers.drain(..count).collect();
        self.waiting.store(entries.wakers.len(), Ordering::Relaxed);
        drop(entries);
        // Outside the lock: a waker may run the code of an executor.
        woken.into_iter().for_each(|(_, waker)| waker.wake());
    }
}

/// Blocks the thread until `future` is ready.
pub(in crate::connector) fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        // An unpark that came before makes this return at once.
        std::thread::park();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Flag(AtomicUsize);

    impl Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn flag() -> (Arc<Flag>, Waker) {
        let flag = Arc::new(Flag(AtomicUsize::new(0)));
        (Arc::clone(&flag), Waker::from(flag))
    }

    fn wakes(flag: &Flag) -> usize {
        flag.0.load(Ordering::Relaxed)
    }

    #[test]
    fn the_longest_waiting_is_woken_first_and_once() {
        let list = WaitList::default();
        let ((first, first_waker), (second, second_waker)) = (flag(), flag());
        let (mut first_ticket, mut second_ticket) = (Ticket::default(), Ticket::default());
        list.enter(&mut first_ticket, &first_waker);
        list.enter(&mut second_ticket, &second_waker);
        list.wake(1);
        assert_eq!((wakes(&first), wakes(&second)), (1, 0));
        list.enter(&mut first_ticket, &first_waker);
        list.wake(1);
        assert_eq!((wakes(&first), wakes(&second)), (2, 0), "back at the front");
        assert!(!list.leave(&mut first_ticket));
        assert!(list.leave(&mut second_ticket));
        list.wake(9);
        assert_eq!((wakes(&first), wakes(&second)), (2, 0));
    }

    #[test]
    fn entering_again_renews_the_waker_and_keeps_the_place() {
        let list = WaitList::default();
        let ((old, old_waker), (new, new_waker)) = (flag(), flag());
        let mut ticket = Ticket::default();
        list.enter(&mut ticket, &old_waker);
        list.enter(&mut ticket, &new_waker);
        list.wake(9);
        assert_eq!((wakes(&old), wakes(&new)), (0, 1));
    }
}
