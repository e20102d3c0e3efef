//! Panics of partitions stay off stderr: the job's error names operator, key and message.

use std::panic;
use std::thread;

/// From here on a panic on a partition's thread prints nothing, since the job fails with an error
/// that says it, in one line. Panics elsewhere print as before.
pub fn silence_partitions() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if !thread::current().name().is_some_and(is_partition) {
            usual(panic);
        }
    }));
}

/// Whether a thread of this name runs a partition. Its runtime names it at the start; the name
/// that the system shows later is not known here.
fn is_partition(name: &str) -> bool {
    name.starts_with("actix-") && name.contains("arbiter:")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::placement::SYSTEM_THREAD;

    #[test]
    fn only_partitions_are_silent() {
        assert!(is_partition("actix-rt|system:0|arbiter:3"));
        assert!(!is_partition("main") && !is_partition(SYSTEM_THREAD));
    }
}
