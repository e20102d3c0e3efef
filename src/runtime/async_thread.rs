//! The thread that runs the futures of a job: not pinned, started only for jobs that have some.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::thread::JoinHandle;

use atomic_waker::AtomicWaker;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::dataflow::{Errand, Executor};
use crate::error::{Error, ErrorKind, Result};
use crate::runtime::placement::ASYNC_THREAD;

/// A running tokio runtime on a thread of its own. Dropping it drops its futures and waits for the
/// thread.
pub struct AsyncThread {
    thread: Option<JoinHandle<()>>,
    runtime: Handle,
    end: Arc<End>,
}

impl AsyncThread {
    /// Starts the thread. Call it on a thread that is not pinned: it inherits where it may run.
    ///
    /// # Errors
    /// [`ErrorKind::TryAgain`] if the operating system has no thread to give.
    pub fn start() -> Result<AsyncThread> {
        let refused = |error| {
            let text = "cannot start the thread for futures";
            Error::new(ErrorKind::TryAgain, text).with_source(error)
        };
        let runtime = Builder::new_current_thread().enable_all().build().map_err(refused)?;
        let (handle, end) = (runtime.handle().clone(), Arc::new(End::default()));
        let awaited = Arc::clone(&end);
        let thread = std::thread::Builder::new()
            .name(ASYNC_THREAD.to_owned())
            .spawn(move || run(&runtime, &awaited))
            .map_err(refused)?;
        Ok(AsyncThread { thread: Some(thread), runtime: handle, end })
    }

    /// What gives it futures to run. Those that it is given after its end are dropped.
    pub fn executor(&self) -> Arc<dyn Executor> {
        Arc::new(Remote(self.runtime.clone()))
    }
}

impl Drop for AsyncThread {
    fn drop(&mut self) {
        self.end.come();
        if let Some(thread) = self.thread.take() {
            // What a future panics with as it is dropped has nowhere to go.
            let _ = thread.join();
        }
    }
}

fn run(runtime: &Runtime, end: &End) {
    runtime.block_on(end.reached());
}

/// What the thread waits for.
#[derive(Default)]
struct End {
    has_come: AtomicBool,
    waker: AtomicWaker,
}

impl End {
    fn come(&self) {
        // Release pairs with the Acquire in `reached`.
        self.has_come.store(true, Ordering::Release);
        self.waker.wake();
    }

    fn reached(&self) -> impl Future<Output = ()> + '_ {
        poll_fn(|context: &mut Context<'_>| {
            self.waker.register(context.waker());
            if self.has_come.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
        })
    }
}

/// The way to the runtime from other threads.
#[derive(Debug)]
struct Remote(Handle);

impl Executor for Remote {
    fn spawn(&self, errand: Errand) {
        // Whoever wants to stop it recalls it.
        drop(self.0.spawn(errand));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn futures_run_on_the_thread_and_those_under_way_are_dropped_at_its_end() {
        struct Told(mpsc::Sender<&'static str>);
        impl Drop for Told {
            fn drop(&mut self) {
                self.0.send("dropped").unwrap();
            }
        }
        let (tell, told) = mpsc::channel();
        let thread = AsyncThread::start().unwrap();
        let executor = thread.executor();
        let name = tell.clone();
        executor.spawn(Box::pin(async move {
            let own = std::thread::current();
            name.send(if own.name() == Some(ASYNC_THREAD) { "own" } else { "other" }).unwrap();
        }));
        let guard = Told(tell);
        executor.spawn(Box::pin(async move {
            guard.0.send("waits").unwrap();
            std::future::pending::<()>().await;
            drop(guard);
        }));
        assert_eq!([told.recv(), told.recv()], [Ok("own"), Ok("waits")]);
        drop(thread);
        assert_eq!(told.try_recv(), Ok("dropped"));
        executor.spawn(Box::pin(async { unreachable!("the thread has ended") }));
    }
}
