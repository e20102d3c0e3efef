//! How a partition without work sleeps and how others wake it: an event count.

use std::sync::Arc;

/// Wakes one partition, from any thread. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Wake {
    _shared: Arc<()>,
}

impl Wake {
    /// Wakes the partition if it sleeps; otherwise costs one load.
    pub fn wake(&self) {}
}
