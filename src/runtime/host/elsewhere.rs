//! Elsewhere: the cores that the pinning library knows, no names, no timer slack.

pub(super) fn allowed_cores() -> Option<Vec<usize>> {
    Some(core_affinity::get_core_ids()?.into_iter().map(|core| core.id).collect())
}

pub(super) fn may_pin() -> bool {
    allowed_cores().is_some_and(|cores| !cores.is_empty())
}

pub(super) fn name_current_thread(_name: &str) -> bool {
    false
}

pub(super) fn set_timer_slack(_ns: u64) -> bool {
    false
}
