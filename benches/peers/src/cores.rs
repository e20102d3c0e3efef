//! Which cores the workers run on, by the same means for every contender.

use core_affinity::CoreId;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::Fault;

/// Cores that this process may use, in order.
pub fn allowed() -> Result<Vec<usize>, Fault> {
    let set = sched_getaffinity(None).map_err(|error| Fault::failed(error.to_string()))?;
    Ok((0..CpuSet::MAX_CPU).filter(|&core| set.is_set(core)).collect())
}

/// Restricts this thread, and those that it starts, to `cores`.
pub fn restrict(cores: &[usize]) -> Result<(), Fault> {
    let mut set = CpuSet::new();
    cores.iter().for_each(|&core| set.set(core));
    sched_setaffinity(None, &set)
        .map_err(|error| Fault::failed(format!("cannot run on cores {cores:?}: {error}")))
}

/// Pins this thread to `core`.
///
/// # Panics
/// If that is not permitted: a run that is not pinned as the others are compares nothing.
pub fn pin(core: usize) {
    assert!(core_affinity::set_for_current(CoreId { id: core }), "cannot pin to core {core}");
}
