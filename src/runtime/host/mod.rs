//! Reads what the host is and lets us do. What cannot be read is left out, never an error.

mod cgroup;
mod files;
#[cfg_attr(target_os = "linux", path = "linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "elsewhere.rs")]
mod os;
mod times;
mod topology;

use std::io::Read;
use std::path::Path;

use serde::Serialize;

use crate::runtime::host::files::{Files, field, parse_cores};
use crate::runtime::placement::Machine;

pub use cgroup::Quota;
pub use times::{CoreTimes, Times, times};

/// What `doctor` and reports say about the host.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Host {
    /// The processor's name.
    pub model: String,
    /// The operating system and its version.
    pub kernel: String,
    /// What placement depends on.
    pub machine: Machine,
    /// What the standard library takes for the number of threads that can run at once; it knows
    /// masks and quotas. `None` of a recorded host.
    pub available_parallelism: Option<usize>,
    /// Transparent huge pages: `always`, `madvise` or `never`.
    pub huge_pages: Option<String>,
    /// How the allowed cores choose their clock, such as `performance`, each way once.
    pub governor: Option<String>,
    /// Memory in all, in bytes.
    pub memory_bytes: Option<u64>,
    /// Memory that is swapped out, in bytes.
    pub swapped_bytes: Option<u64>,
    /// What the kernel tells the time by, such as `tsc`.
    pub clock_source: Option<String>,
    /// How long the first allowed core takes to wake up from the deepest sleep that is permitted,
    /// in microseconds.
    pub wake_up_us: Option<u64>,
    /// Whether the kernel moves memory between NUMA nodes by itself.
    pub numa_balancing: bool,
    /// Cores that are there and switched off, but for SMT siblings where SMT is off.
    pub offline: Vec<usize>,
    /// Whether it is told which CPUs share a physical core.
    pub tells_topology: bool,
    /// What the control groups grant; `None` without a limit.
    pub quota: Option<Quota>,
}

/// What the operating system did to a thread since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ThreadSwitches {
    /// How often it took the core away although the thread wanted to go on.
    pub involuntary: u64,
    /// How often it moved the thread to another core; 0 where it does not tell.
    pub migrations: u64,
}

/// What the operating system says when asked, and no file tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// The cores of the calling thread's mask, ascending; `None` leaves it to the files.
    pub allowed: Option<Vec<usize>>,
    /// Whether a thread may choose its core.
    pub may_pin: bool,
    /// What the standard library says about threads that can run at once.
    pub parallelism: Option<usize>,
}

impl Calls {
    /// Asks. Call it on a thread that nobody has pinned: a thread sees the mask it inherited.
    pub fn ask() -> Calls {
        Calls {
            allowed: os::allowed_cores().filter(|cores| !cores.is_empty()),
            may_pin: os::may_pin(),
            parallelism: std::thread::available_parallelism().map(usize::from).ok(),
        }
    }

    /// Those of a host of which there are only the files.
    pub fn recorded() -> Calls {
        Calls { allowed: None, may_pin: true, parallelism: None }
    }
}

/// Reads everything that `doctor` shows. Call it on a thread that nobody has pinned.
pub fn host() -> Host {
    host_at(Path::new("/"), Calls::ask())
}

/// Reads everything that `doctor` shows, from the files below `root`. Never fails: a file that is
/// missing is left out, one that is cut or absurd is told in [`Machine::oddities`].
pub fn host_at(root: &Path, calls: Calls) -> Host {
    let files = Files::below(root);
    let (parallelism, quota) = (calls.parallelism, files.quota());
    let machine = read_machine(&files, calls);
    let cpu_facts = files.read("proc/cpuinfo").unwrap_or_default();
    let memory = files.read("proc/meminfo").unwrap_or_default();
    let swap = |name| parse_bytes(&memory, name);
    let system =
        files.line("proc/sys/kernel/ostype").unwrap_or_else(|| std::env::consts::OS.into());
    let version = files.line("proc/sys/kernel/osrelease").unwrap_or_default();
    let huge_pages = files.read("sys/kernel/mm/transparent_hugepage/enabled");
    Host {
        model: parse_cpu_model(&cpu_facts).unwrap_or(std::env::consts::ARCH).to_owned(),
        kernel: format!("{system} {version}").trim_end().to_owned(),
        available_parallelism: parallelism,
        huge_pages: huge_pages.and_then(|text| parse_choice(&text).map(str::to_owned)),
        governor: governors(&files, &machine.allowed),
        memory_bytes: parse_bytes(&memory, "MemTotal"),
        swapped_bytes: swap("SwapTotal").zip(swap("SwapFree")).map(|(of, f)| of.saturating_sub(f)),
        clock_source: files.line("sys/devices/system/clocksource/clocksource0/current_clocksource"),
        wake_up_us: machine.allowed.first().and_then(|core| wake_up_us(&files, *core)),
        // Where there is one node there is no such file, or 0.
        numa_balancing: files
            .line("proc/sys/kernel/numa_balancing")
            .is_some_and(|level| level != "0"),
        offline: offline(&files),
        tells_topology: files.tells_topology(&machine.allowed),
        quota,
        machine: Machine { oddities: files.oddities(), ..machine },
    }
}

/// Reads what placement depends on, but for leases. Call it on a thread that nobody has pinned.
pub fn machine() -> Machine {
    machine_at(Path::new("/"), Calls::ask())
}

/// Reads what placement depends on from the files below `root`. Never fails, as [`host_at`].
pub fn machine_at(root: &Path, calls: Calls) -> Machine {
    read_machine(&Files::below(root), calls)
}

fn read_machine(files: &Files, calls: Calls) -> Machine {
    let quota_cores = files.quota().map(|quota| quota.cores);
    let allowed = calls.allowed.unwrap_or_else(|| listed_cores(files, calls.parallelism));
    Machine {
        topology: files.topology(&allowed),
        quota_cores,
        may_pin: calls.may_pin,
        allowed,
        leased: Vec::new(),
        oddities: files.oddities(),
    }
}

/// The allowed cores where the call that tells them is denied, or the mask too long for it.
fn listed_cores(files: &Files, parallelism: Option<usize>) -> Vec<usize> {
    const STATUS: &str = "proc/self/status";
    let online = files.cores("sys/devices/system/cpu/online", "it is not looked at");
    let status = files.read(STATUS).unwrap_or_default();
    let mask = field(&status, "Cpus_allowed_list");
    let listed = mask.and_then(parse_cores).filter(|cores| !cores.is_empty());
    if let (Some(mask), None) = (mask, &listed) {
        files.odd(STATUS, mask, "all cores that are online count as allowed");
    }
    let fallback = || (0..parallelism.unwrap_or(1)).collect();
    let all = online.clone().filter(|cores| !cores.is_empty()).unwrap_or_else(fallback);
    let mut allowed = listed.unwrap_or(all);
    // The mask has cores that are offline, and is wider than the cpuset before the kernel has
    // caught up.
    for (within, path) in [(online, "sys/devices/system/cpu/online"), (files.cpuset(), "cpuset")] {
        let Some(within) = within else { continue };
        let both: Vec<usize> =
            allowed.iter().filter(|core| within.contains(core)).copied().collect();
        if both.is_empty() {
            files.odd(path, "none of the allowed cores", "it is not looked at");
        } else {
            allowed = both;
        }
    }
    allowed
}

/// Bytes of memory that the machine has; a guess of 1 GiB where it does not tell.
pub fn memory_bytes() -> u64 {
    let text = Files::below(Path::new("/")).read("proc/meminfo").unwrap_or_default();
    parse_bytes(&text, "MemTotal").unwrap_or(1 << 30)
}

/// Pins the calling thread to `core` and says whether that worked. Refuses a core outside the
/// thread's present mask, which the pinning library would answer with an abort.
pub fn pin_current_thread(core: usize) -> bool {
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    cores.into_iter().find(|known| known.id == core).is_some_and(core_affinity::set_for_current)
}

/// Names the calling thread for the operating system, as `top -H` shows it, and says whether that
/// worked. Longer names than 15 bytes are cut.
pub fn name_current_thread(name: &str) -> bool {
    os::name_current_thread(name)
}

/// Asks for wake-ups of the calling thread that are late by at most `ns` (the usual is 50 µs), and
/// says whether that worked. At least 1 ns.
pub fn set_timer_slack(ns: u64) -> bool {
    os::set_timer_slack(ns)
}

/// What the operating system did to the calling thread; zero where it does not tell. Reads a file
/// or two, some 10 µs, without allocating.
pub fn thread_switches() -> ThreadSwitches {
    let mut buffer = [0; 8_192];
    let schedule = read_into("/proc/thread-self/sched", &mut buffer).unwrap_or_default();
    let involuntary = figure(schedule, "nr_involuntary_switches");
    let migrations = figure(schedule, "se.nr_migrations").unwrap_or(0);
    // Kernels without scheduler statistics have the switches elsewhere and no migrations.
    let involuntary = involuntary.or_else(|| {
        let status = read_into("/proc/thread-self/status", &mut buffer)?;
        figure(status, "nonvoluntary_ctxt_switches")
    });
    ThreadSwitches { involuntary: involuntary.unwrap_or(0), migrations }
}

/// How these cores choose their clocks, each way once.
fn governors(files: &Files, cores: &[usize]) -> Option<String> {
    let mut all: Vec<String> = Vec::new();
    for core in cores {
        let path = format!("sys/devices/system/cpu/cpu{core}/cpufreq/scaling_governor");
        all.extend(files.line(&path).filter(|governor| !all.contains(governor)));
    }
    (!all.is_empty()).then(|| all.join(", "))
}

/// From the deepest state of sleep of `core` that is not disabled.
fn wake_up_us(files: &Files, core: usize) -> Option<u64> {
    const STATES_MAX: usize = 16;
    let states = (0..STATES_MAX).map_while(|state| {
        let folder = format!("sys/devices/system/cpu/cpu{core}/cpuidle/state{state}");
        let latency = files.number(&format!("{folder}/latency"), "the state is left out")?;
        let is_off = files.line(&format!("{folder}/disable")).is_some_and(|off| off != "0");
        Some(if is_off { 0 } else { latency })
    });
    states.max()
}

fn offline(files: &Files) -> Vec<usize> {
    let folder = "sys/devices/system/cpu";
    let smt = files.line(&format!("{folder}/smt/control"));
    if smt.is_some_and(|control| control == "off" || control == "forceoff") {
        return Vec::new();
    }
    let cores = |file| files.cores(&format!("{folder}/{file}"), "it is not looked at");
    let (Some(mut present), Some(online)) = (cores("present"), cores("online")) else {
        return Vec::new();
    };
    present.retain(|core| !online.contains(core));
    present
}

fn figure(text: &str, name: &str) -> Option<u64> {
    field(text, name)?.parse().ok()
}

/// Intel and AMD say `model name`; of ARM some say `Model` or `Hardware`.
fn parse_cpu_model(text: &str) -> Option<&str> {
    ["model name", "Model", "Hardware"].into_iter().find_map(|name| field(text, name))
}

/// The bytes that `/proc/meminfo` says of `name`.
fn parse_bytes(text: &str, name: &str) -> Option<u64> {
    let kib: u64 = field(text, name)?.strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1_024)
}

/// The bracketed word in `always [madvise] never`.
fn parse_choice(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once('[')?;
    rest.split_once(']').map(|(choice, _)| choice)
}

fn read_into<'a>(path: &str, buffer: &'a mut [u8]) -> Option<&'a str> {
    let mut file = std::fs::File::open(path).ok()?;
    let mut length = 0;
    while length < buffer.len() {
        match file.read(&mut buffer[length..]).ok()? {
            0 => break,
            count => length += count,
        }
    }
    std::str::from_utf8(&buffer[..length]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::host::files::tests::files;

    #[test]
    fn without_the_call_the_mask_is_what_is_listed_online_and_in_the_cpuset() {
        let status = ("proc/self/status", "Name:\tx\nCpus_allowed_list:\t0-5\n");
        let online = ("sys/devices/system/cpu/online", "0-3,5\n");
        let group = ("proc/self/cgroup", "0::/a\n");
        let cpuset = ("sys/fs/cgroup/a/cpuset.cpus.effective", "2-5\n");
        let allowed = |of: &[(&str, &str)]| {
            let (folder, _) = files(of);
            let machine = machine_at(folder.path(), Calls::recorded());
            (machine.allowed, machine.oddities.len())
        };
        assert_eq!(allowed(&[status]), (vec![0, 1, 2, 3, 4, 5], 0));
        assert_eq!(allowed(&[status, online]), (vec![0, 1, 2, 3, 5], 0));
        assert_eq!(allowed(&[status, online, group, cpuset]), (vec![2, 3, 5], 0));
        assert_eq!(allowed(&[online]), (vec![0, 1, 2, 3, 5], 0));
        assert_eq!(allowed(&[]), (vec![0], 0));
        let cut = ("proc/self/status", "Cpus_allowed_list:\t0-\n");
        assert_eq!(allowed(&[cut, online]), (vec![0, 1, 2, 3, 5], 1));
        let elsewhere = ("sys/devices/system/cpu/online", "8-9\n");
        assert_eq!(allowed(&[status, elsewhere]), (vec![0, 1, 2, 3, 4, 5], 1));
        assert_eq!(allowed(&[status, ("sys/devices/system/cpu/online", "")]).0.len(), 6);
    }

    #[test]
    fn a_mask_that_the_system_told_is_left_as_it_is() {
        let (folder, _) = files(&[("sys/devices/system/cpu/online", "0-1\n")]);
        let calls = Calls { allowed: Some(vec![5, 7]), ..Calls::recorded() };
        assert_eq!(machine_at(folder.path(), calls).allowed, [5, 7]);
    }

    #[test]
    fn what_costs_latency_is_read() {
        let cpu = "sys/devices/system/cpu";
        let path = |rest: &str| format!("{cpu}/{rest}");
        let texts = [
            (path("online"), "0-2"),
            (path("present"), "0-3"),
            (path("cpu0/cpufreq/scaling_governor"), "powersave"),
            (path("cpu1/cpufreq/scaling_governor"), "performance"),
            (path("cpu2/cpufreq/scaling_governor"), "powersave"),
            (path("cpu0/cpuidle/state0/latency"), "0"),
            (path("cpu0/cpuidle/state1/latency"), "133"),
            (path("cpu0/cpuidle/state2/latency"), "600"),
            (path("cpu0/cpuidle/state2/disable"), "1"),
            ("sys/devices/system/clocksource/clocksource0/current_clocksource".into(), "hpet"),
            ("proc/sys/kernel/numa_balancing".into(), "1"),
            ("proc/meminfo".into(), "MemTotal: 9 kB\nSwapTotal: 8 kB\nSwapFree: 5 kB\n"),
        ];
        let texts: Vec<_> = texts.iter().map(|(path, text)| (path.as_str(), *text)).collect();
        let (folder, _) = files(&texts);
        let host = host_at(folder.path(), Calls::recorded());
        assert_eq!(host.governor.as_deref(), Some("powersave, performance"));
        assert_eq!((host.wake_up_us, host.swapped_bytes), (Some(133), Some(3_072)));
        assert_eq!((host.numa_balancing, host.tells_topology), (true, false));
        assert_eq!((host.clock_source.as_deref(), host.offline), (Some("hpet"), vec![3]));
        assert_eq!((host.machine.oddities, host.quota), (vec![], None));
    }

    #[test]
    fn facts_for_people_are_read() {
        let text = "processor\t: 0\nmodel name\t: AMD EPYC: 9\nmodel name\t: other\n";
        assert_eq!(parse_cpu_model(text), Some("AMD EPYC: 9"));
        assert_eq!(parse_cpu_model("processor : 0\n"), None);
        assert_eq!(parse_choice("always [madvise] never\n"), Some("madvise"));
        assert_eq!(parse_choice("always"), None);
        assert_eq!(parse_bytes("MemTotal:    2048 kB\n", "MemTotal"), Some(2_097_152));
        assert_eq!(
            figure("nonvoluntary_ctxt_switches:\t12\n", "nonvoluntary_ctxt_switches"),
            Some(12)
        );
    }

    #[test]
    fn a_core_beyond_every_machine_is_refused_without_an_abort() {
        assert!(!pin_current_thread(5_000));
        assert!(!pin_current_thread(usize::MAX));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_pinned_thread_sees_only_its_core() {
        let machine = machine();
        let Some(&core) = machine.allowed.last().filter(|_| machine.may_pin) else { return };
        let seen = std::thread::scope(|scope| {
            let pinned = scope.spawn(|| {
                assert!(pin_current_thread(core), "the mask allows it");
                super::machine().allowed
            });
            pinned.join().expect("the thread")
        });
        assert_eq!(seen, [core]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_host_is_read_and_plausible() {
        let host = host();
        assert!(!host.machine.allowed.is_empty() && !host.model.is_empty());
        assert_eq!(host.machine.topology.cpus.len(), host.machine.allowed.len());
        assert_eq!(host.machine.oddities, [""; 0]);
        assert!(host.kernel.starts_with("Linux "), "{}", host.kernel);
        assert!(set_timer_slack(1_000));
    }
}
