//! Who had the cores' time, from `/proc`: for finding out who disturbs.

use std::collections::BTreeMap;
use std::path::Path;

use crate::runtime::host::files::Files;

/// More processes than are looked at; those with higher numbers are left out.
const PROCESSES_MAX: usize = 20_000;

/// What became of the time of every core, and of every process that we may see, since they started.
/// In ticks, which are some milliseconds long.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// By number.
    pub cores: BTreeMap<usize, CoreTimes>,
    /// By process: its name, and its time on any core.
    pub processes: BTreeMap<u32, (String, u64)>,
}

/// What became of the time of a core, in ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CoreTimes {
    /// All of it.
    pub total: u64,
    /// Went to other virtual machines.
    pub stolen: u64,
    /// Went to interrupts.
    pub interrupts: u64,
}

/// Reads what became of the time so far; what cannot be read is left out.
pub fn times() -> Times {
    let root = Path::new("/");
    Times { cores: core_times(&Files::below(root)), processes: processes(root) }
}

fn core_times(files: &Files) -> BTreeMap<usize, CoreTimes> {
    let text = files.read("proc/stat").unwrap_or_default();
    let core = |line: &str| {
        let mut words = line.strip_prefix("cpu")?.split_ascii_whitespace();
        // The first line, of all cores together, has no number.
        let id = line.as_bytes().get(3).filter(|byte| byte.is_ascii_digit()).and(words.next())?;
        // User, nice, system, idle, waiting, interrupts hard and soft, stolen.
        let ticks: Vec<u64> = words.take(8).map_while(|word| word.parse().ok()).collect();
        let at = |index: usize| ticks.get(index).copied().unwrap_or(0);
        let times = CoreTimes {
            total: ticks.iter().fold(0, |sum, ticks| sum.saturating_add(*ticks)),
            stolen: at(7),
            interrupts: at(5).saturating_add(at(6)),
        };
        Some((id.parse().ok()?, times))
    };
    text.lines().filter_map(core).collect()
}

fn processes(root: &Path) -> BTreeMap<u32, (String, u64)> {
    let entries = std::fs::read_dir(root.join("proc")).into_iter().flatten().flatten();
    let process = |entry: std::fs::DirEntry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let text = std::fs::read(entry.path().join("stat")).ok()?;
        Some((pid, parse_process(&String::from_utf8_lossy(&text))?))
    };
    entries.take(PROCESSES_MAX).filter_map(process).collect()
}

/// Reads `7 (name) S …`: the name may have blanks and brackets of its own.
fn parse_process(text: &str) -> Option<(String, u64)> {
    let (head, rest) = text.rsplit_once(')')?;
    let (_, name) = head.split_once('(')?;
    let ticks = rest.split_ascii_whitespace().skip(11).take(2).map(|word| word.parse::<u64>());
    let ticks = ticks.collect::<Result<Vec<_>, _>>().ok()?;
    let [user, system] = ticks[..] else { return None };
    Some((name.to_owned(), user.saturating_add(system)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::host::files::tests::files;

    #[test]
    fn times_of_cores_are_read() {
        let text =
            "cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 1 2 3 4 5 6 7 8 100 0\ncpu12 1 x\ncpux 1\nctxt 7\n";
        let (_folder, host) = files(&[("proc/stat", text)]);
        let times = core_times(&host);
        let first = CoreTimes { total: 36, stolen: 8, interrupts: 13 };
        assert_eq!(times.get(&0), Some(&first));
        assert_eq!(times.get(&12).map(|core| core.total), Some(1));
        assert_eq!(times.len(), 2);
        let (_folder, nothing) = files(&[]);
        assert!(core_times(&nothing).is_empty());
    }

    #[test]
    fn times_of_processes_are_read() {
        let text = "7 (a (b) c) S 1 7 7 0 -1 4 0 0 0 0 30 12 0 0 20 0 1 0 5 0 0\n";
        assert_eq!(parse_process(text), Some(("a (b) c".to_owned(), 42)));
        for cut in 0..text.find("30 12").expect("the ticks") {
            assert_eq!(parse_process(&text[..cut]), None, "{cut}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_is_among_all() {
        let times = times();
        assert!(times.processes.contains_key(&std::process::id()));
        assert!(times.cores.values().any(|core| core.total > 0));
    }
}
