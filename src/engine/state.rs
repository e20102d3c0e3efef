//! What a running job's handle and its partitions share: how many still run, and what went wrong.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use crate::engine::rescale::Rescaler;
use crate::error::{Error, ErrorKind, Result};
use crate::runtime::{Control, OnExit, PartitionHandle};
use crate::time::{Clock, MonotonicClock, Nanos};

/// Shared by the handle and the partitions of one job. Touched when one of them begins or ends.
pub(crate) struct JobState {
    /// The name of the pipeline.
    name: String,
    inner: Mutex<Inner>,
    ended: Condvar,
}

struct Inner {
    running: usize,
    /// The first failure; those that follow are its consequences.
    error: Option<Error>,
    partitions: Vec<PartitionHandle>,
    /// What all partitions were told last, for those that can only be reached later.
    told: Option<Control>,
    wakers: Vec<Waker>,
    ended_at: Nanos,
    /// What it takes to lay the job out anew, unless somebody is at it.
    rescaler: Option<Box<Rescaler>>,
}

impl JobState {
    pub(crate) fn new(name: String, partitions: usize) -> Self {
        let inner = Inner {
            running: partitions,
            error: None,
            partitions: Vec::new(),
            told: None,
            wakers: Vec::new(),
            ended_at: 0,
            rescaler: None,
        };
        JobState { name, inner: Mutex::new(inner), ended: Condvar::new() }
    }

    /// The name of the job's pipeline.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What one partition calls when it has ended.
    pub(crate) fn on_exit(state: &Arc<JobState>) -> OnExit {
        let state = Arc::clone(state);
        Box::new(move |outcome| state.partition_ended(outcome))
    }

    /// Keeps what it takes to lay the job out anew, as long as it runs.
    pub(crate) fn put_rescaler(&self, rescaler: Box<Rescaler>) {
        let mut inner = self.lock();
        if inner.running > 0 {
            inner.rescaler = Some(rescaler);
            return;
        }
        drop(inner);
        drop(rescaler);
    }

    /// What it takes to lay the job out anew. It has to be put back.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] if the job is ending, or has failed; [`ErrorKind::TryAgain`] if
    /// somebody is at it.
    pub(crate) fn take_rescaler(&self) -> Result<Box<Rescaler>> {
        let mut inner = self.lock();
        if inner.error.is_some() || inner.told == Some(Control::Stop) {
            return Err(Error::new(ErrorKind::Closed, "the job has failed or was stopped"));
        }
        if inner.told.is_some() || inner.running < inner.partitions.len() {
            let text = "the job is ending: partitions have come to the end of their input";
            return Err(Error::new(ErrorKind::Closed, text));
        }
        inner
            .rescaler
            .take()
            .ok_or_else(|| Error::new(ErrorKind::TryAgain, "the job is being rescaled already"))
    }

    /// The partitions, by index.
    pub(crate) fn partitions(&self) -> Vec<PartitionHandle> {
        self.lock().partitions.clone()
    }

    /// So many partitions more run from now on, or will in a moment.
    pub(crate) fn expect(&self, more: usize) {
        self.lock().running += more;
    }

    /// So many of those that were expected do not run.
    pub(crate) fn expect_no(&self, more: usize) {
        self.lock().running -= more;
    }

    /// Fails the job.
    pub(crate) fn fail(&self, error: Error) {
        let mut inner = self.lock();
        inner.error.get_or_insert(error);
        inner.told = Some(Control::Stop);
        inner.tell(Control::Stop);
    }

    /// Makes the partitions known, so that they can be told things.
    pub(crate) fn set_partitions(&self, partitions: Vec<PartitionHandle>) {
        let mut inner = self.lock();
        inner.partitions = partitions;
        if let Some(control) = inner.told {
            inner.tell(control);
        }
    }

    /// Tells all partitions, once.
    pub(crate) fn tell(&self, control: Control) {
        let mut inner = self.lock();
        if inner.told != Some(control) && inner.told != Some(Control::Stop) {
            inner.told = Some(control);
            inner.tell(control);
        }
    }

    /// Wakes all partitions.
    #[cfg(test)]
    pub(crate) fn wake(&self) {
        self.lock().partitions.iter().for_each(PartitionHandle::wake);
    }

    /// Whether all partitions have ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.lock().running == 0
    }

    /// Blocks until all partitions have ended.
    pub(crate) fn wait(&self) {
        let mut inner = self.lock();
        while inner.running > 0 {
            inner = self.ended.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// As `wait`, for a future.
    pub(crate) fn poll_ended(&self, waker: &Waker) -> Poll<()> {
        let mut inner = self.lock();
        if inner.running == 0 {
            return Poll::Ready(());
        }
        if !inner.wakers.iter().any(|known| known.will_wake(waker)) {
            inner.wakers.push(waker.clone());
        }
        Poll::Pending
    }

    /// How it ended: the first failure, if there was one. Taken once.
    pub(crate) fn take_outcome(&self) -> Result<()> {
        self.lock().error.take().map_or(Ok(()), Err)
    }

    /// When the last partition ended; 0 while one runs.
    pub(crate) fn ended_at(&self) -> Nanos {
        self.lock().ended_at
    }

    fn partition_ended(&self, outcome: Result<()>) {
        // Before the lock is taken: a subscriber may ask the job something.
        #[cfg(feature = "tracing")]
        if let Err(error) = &outcome {
            tracing::error!(job = %self.name, %error, "job failed");
        }
        let mut inner = self.lock();
        inner.running -= 1;
        if let Err(error) = outcome
            && inner.error.is_none()
        {
            inner.error = Some(error);
            inner.told = Some(Control::Stop);
            inner.tell(Control::Stop);
        }
        if inner.running > 0 {
            return;
        }
        inner.ended_at = MonotonicClock.now();
        let rescaler = inner.rescaler.take();
        self.ended.notify_all();
        inner.wakers.drain(..).for_each(Waker::wake);
        drop(inner);
        // Clones of what the program's closures hold, which may panic as it is dropped: that says
        // nothing about the job.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(rescaler)));
    }

    /// A partition that panics while it holds the lock leaves it as it was.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn tell(&self, control: Control) {
        for partition in &self.partitions {
            let told = partition.tell(control);
            debug_assert!(told, "a job tells its partitions at most two things");
        }
    }
}
