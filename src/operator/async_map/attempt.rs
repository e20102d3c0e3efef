//! One call of the user's function, as a future that can be recalled and that outlives a panic.

use std::fmt::Display;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use atomic_waker::AtomicWaker;

use crate::dataflow::Errand;
use crate::dataflow::blame::said;
use crate::exchange::wake::Wake;
use crate::operator::async_map::Failure;
use crate::operator::async_map::line::Attempt;

/// Where attempts leave their outcomes for the partition. Never holds more than were under way.
pub(super) struct Outcomes<R> {
    left: Mutex<Vec<(Attempt, Result<R, Failure>)>>,
    has_some: AtomicBool,
    partition: Wake,
}

impl<R> Outcomes<R> {
    /// For a partition that `wake` wakes.
    pub(super) fn new(partition: Wake) -> Self {
        Outcomes { left: Mutex::default(), has_some: AtomicBool::new(false), partition }
    }

    fn leave(&self, attempt: Attempt, outcome: Result<R, Failure>) {
        self.lock().push((attempt, outcome));
        // Release pairs with the Acquire in `take_into`.
        self.has_some.store(true, Ordering::Release);
        self.partition.wake();
    }

    /// Whether there are outcomes to be taken.
    pub(super) fn has_some(&self) -> bool {
        self.has_some.load(Ordering::Relaxed)
    }

    /// Takes all of them; `taken` is an empty buffer.
    pub(super) fn take_into(&self, taken: &mut Vec<(Attempt, Result<R, Failure>)>) {
        // Acquire pairs with the Release in `leave`. Before the lock: what comes after is seen
        // next time, and a flag without outcomes costs one look.
        if self.has_some.swap(false, Ordering::Acquire) {
            std::mem::swap(&mut *self.lock(), taken);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Attempt, Result<R, Failure>)>> {
        // Nothing that can panic happens while it is held.
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Shared by an attempt and its [`Recall`].
#[derive(Default)]
struct Leash {
    is_recalled: AtomicBool,
    waker: AtomicWaker,
}

/// Recalls an attempt when it is dropped: its future is dropped by whoever runs it, soon.
pub(super) struct Recall(Arc<Leash>);

impl Drop for Recall {
    fn drop(&mut self) {
        // Release pairs with the Acquire in `outcome_of`.
        self.0.is_recalled.store(true, Ordering::Release);
        self.0.waker.wake();
    }
}

/// The errand that makes `attempt`: awaits what `call` gives and leaves its outcome.
pub(super) fn errand<R, E, Fut>(
    attempt: Attempt,
    call: impl FnOnce() -> Fut + Send + 'static,
    outcomes: Arc<Outcomes<R>>,
) -> (Errand, Recall)
where
    R: Send + 'static,
    E: Display,
    Fut: Future<Output = Result<R, E>> + Send,
{
    let leash = Arc::new(Leash::default());
    let recall = Recall(Arc::clone(&leash));
    let errand = async move {
        // The call itself is a part of the future, so that all of it runs, and panics, in there.
        let said = async move { call().await.map_err(|error| Failure::Error(error.to_string())) };
        if let Some(outcome) = outcome_of(said, &leash).await {
            outcomes.leave(attempt, outcome);
        }
    };
    (Box::pin(errand), recall)
}

/// What `future` comes to; `None` if it is recalled before.
async fn outcome_of<R>(
    future: impl Future<Output = Result<R, Failure>>,
    leash: &Leash,
) -> Option<Result<R, Failure>> {
    let mut future = pin!(future);
    let poll = |context: &mut Context<'_>| {
        leash.waker.register(context.waker());
        // Acquire pairs with the Release in `Recall::drop`; registered before, so that a recall
        // that is not seen here wakes.
        if leash.is_recalled.load(Ordering::Acquire) {
            return Poll::Ready(None);
        }
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(polled) => polled.map(Some),
            Err(panic) => Poll::Ready(Some(Err(Failure::Panicked(said(&*panic).to_owned())))),
        }
    };
    poll_fn(poll).await
}
