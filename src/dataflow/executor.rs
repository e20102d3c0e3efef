//! Who runs the futures of operators, beside the partitions' threads.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

/// A future that brings its result home by itself.
pub type Errand = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs futures on a thread that is no partition's. The simulation brings one of its own, which
/// polls them on its own thread, in the order that its seed picks.
pub trait Executor: fmt::Debug + Send + Sync {
    /// Runs `errand` to its end. Never blocks; called on a partition's thread.
    fn spawn(&self, errand: Errand);
}
