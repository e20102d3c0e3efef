//! The calls that only Linux has.

use std::num::NonZeroU64;

use std::ffi::CString;

use rustix::thread::{
    CpuSet, sched_getaffinity, sched_setaffinity, set_current_timer_slack, set_name,
};

pub(super) fn allowed_cores() -> Option<Vec<usize>> {
    let set = sched_getaffinity(None).ok()?;
    Some((0..CpuSet::MAX_CPU).filter(|id| set.is_set(*id)).collect())
}

/// Sets the mask that the thread has already, which changes nothing.
pub(super) fn may_pin() -> bool {
    sched_getaffinity(None).is_ok_and(|set| sched_setaffinity(None, &set).is_ok())
}

pub(super) fn name_current_thread(name: &str) -> bool {
    CString::new(name).is_ok_and(|name| set_name(&name).is_ok())
}

pub(super) fn set_timer_slack(ns: u64) -> bool {
    // 0 would mean the inherited value.
    set_current_timer_slack(NonZeroU64::new(ns.max(1))).is_ok()
}
