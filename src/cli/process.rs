//! What the operating system knows about this process: processor time and memory.

use rustix::time::{ClockId, clock_gettime};

use crate::time::Nanos;

/// Processor time of all threads so far, user and system, in nanoseconds.
pub(crate) fn cpu_ns() -> Nanos {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let (seconds, nanos) = (u64::try_from(time.tv_sec), u64::try_from(time.tv_nsec));
    seconds.unwrap_or(0) * 1_000_000_000 + nanos.unwrap_or(0)
}

/// Most memory that was resident at one time, in bytes; `None` where the system does not tell.
pub(crate) fn rss_bytes_max() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_grows_with_work() {
        let before = cpu_ns();
        let mut sum = 0u64;
        while cpu_ns() == before {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(cpu_ns() > before && before > 0);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_peak_of_memory_is_at_least_what_is_held() {
        let held = vec![1u8; 8 << 20];
        assert!(rss_bytes_max().expect("Linux tells") > std::hint::black_box(held).len() as u64);
    }
}
