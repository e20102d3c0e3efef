//! Reads what the host is and lets us do. What cannot be read is left out, never an error.

use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::runtime::placement::{CoreKind, Cpu, Machine, Topology};

/// A core with less than this share of the fastest core's capacity or clock is a small one. Cores
/// that a vendor favours run a few percent faster, small ones of known hybrids below 75 %.
const SMALL_CORE_PERCENT: u64 = 80;

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
    /// masks and quotas.
    pub available_parallelism: usize,
    /// Transparent huge pages: `always`, `madvise` or `never`.
    pub huge_pages: Option<String>,
    /// How the first allowed core chooses its clock, such as `performance`.
    pub governor: Option<String>,
    /// Memory in all, in bytes.
    pub memory_bytes: Option<u64>,
}

/// What the operating system did to a thread since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ThreadSwitches {
    /// How often it took the core away although the thread wanted to go on.
    pub involuntary: u64,
    /// How often it moved the thread to another core; 0 where it does not tell.
    pub migrations: u64,
}

/// Reads everything that `doctor` shows. Call it on a thread that nobody has pinned.
pub fn host() -> Host {
    let files = Files { root: PathBuf::from("/") };
    let machine = machine();
    let cpu_facts = files.read("proc/cpuinfo").unwrap_or_default();
    let system =
        files.line("proc/sys/kernel/ostype").unwrap_or_else(|| std::env::consts::OS.into());
    let version = files.line("proc/sys/kernel/osrelease").unwrap_or_default();
    let first = machine.allowed.first().copied().unwrap_or(0);
    Host {
        model: parse_cpu_model(&cpu_facts).unwrap_or(std::env::consts::ARCH).to_owned(),
        kernel: format!("{system} {version}").trim_end().to_owned(),
        available_parallelism: available_parallelism(),
        huge_pages: files
            .read("sys/kernel/mm/transparent_hugepage/enabled")
            .and_then(|text| parse_choice(&text).map(str::to_owned)),
        governor: files
            .line(&format!("sys/devices/system/cpu/cpu{first}/cpufreq/scaling_governor")),
        memory_bytes: files.read("proc/meminfo").and_then(|text| parse_memory_bytes(&text)),
        machine,
    }
}

/// Reads what placement depends on. Call it on a thread that nobody has pinned: a thread sees the
/// mask it inherited.
pub fn machine() -> Machine {
    let files = Files { root: PathBuf::from("/") };
    let allowed = allowed_cores(&files);
    Machine {
        topology: files.topology(&allowed),
        quota_cores: files.quota_cores(),
        may_pin: os::may_pin(),
        allowed,
    }
}

/// Bytes of memory that the machine has; a guess of 1 GiB where it does not tell.
pub fn memory_bytes() -> u64 {
    let files = Files { root: PathBuf::from("/") };
    files.read("proc/meminfo").and_then(|text| parse_memory_bytes(&text)).unwrap_or(1 << 30)
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

/// Reads `0-3,8` as the kernel writes it; what is no number is skipped, and so is what lies beyond
/// any machine.
pub fn parse_core_list(text: &str) -> Vec<usize> {
    const CORE_MAX: usize = 65_535;
    let mut cores = Vec::new();
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.trim().parse(), last.trim().parse::<usize>()) {
            cores.extend(first..=last.min(CORE_MAX));
        }
    }
    cores.sort_unstable();
    cores.dedup();
    cores
}

fn available_parallelism() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn allowed_cores(files: &Files) -> Vec<usize> {
    let cores = os::allowed_cores().unwrap_or_default();
    if !cores.is_empty() {
        return cores;
    }
    // A mask too long for the call, or a sandbox that denies it.
    let status = files.read("proc/self/status").unwrap_or_default();
    let listed = field(&status, "Cpus_allowed_list").map(parse_core_list).unwrap_or_default();
    if listed.is_empty() { (0..available_parallelism()).collect() } else { listed }
}

/// Files below a root, so that tests can bring their own machine.
struct Files {
    root: PathBuf,
}

impl Files {
    fn read(&self, path: impl AsRef<Path>) -> Option<String> {
        std::fs::read_to_string(self.root.join(path)).ok()
    }

    fn line(&self, path: &str) -> Option<String> {
        let text = self.read(path)?;
        let line = text.trim();
        (!line.is_empty()).then(|| line.to_owned())
    }

    fn number(&self, path: &str) -> Option<u64> {
        self.line(path)?.parse().ok()
    }

    fn topology(&self, allowed: &[usize]) -> Topology {
        let nodes = self.numa_nodes();
        let speeds = self.speeds(allowed);
        let small = self.read("sys/devices/cpu_atom/cpus").map(|text| parse_core_list(&text));
        let fastest = speeds.iter().copied().max().unwrap_or(0);
        let cpu = |(&id, &speed): (&usize, &u64)| {
            let folder = format!("sys/devices/system/cpu/cpu{id}/topology");
            let siblings = self
                .read(format!("{folder}/core_cpus_list"))
                .or_else(|| self.read(format!("{folder}/thread_siblings_list")))
                .map(|text| parse_core_list(&text));
            let is_small = match &small {
                Some(small) => small.contains(&id),
                None => speed * 100 < fastest * SMALL_CORE_PERCENT,
            };
            let package = self.number(&format!("{folder}/physical_package_id"));
            Cpu {
                id,
                package: package.and_then(|package| package.try_into().ok()).unwrap_or(0),
                // The kernel's core_id repeats across dies; the first sibling's number does not.
                core: siblings.and_then(|list| list.first().copied()).unwrap_or(id),
                node: nodes.iter().find(|(_, cpus)| cpus.contains(&id)).map_or(0, |(n, _)| *n),
                kind: if is_small { CoreKind::Efficiency } else { CoreKind::Performance },
            }
        };
        Topology { cpus: allowed.iter().zip(&speeds).map(cpu).collect() }
    }

    fn numa_nodes(&self) -> Vec<(usize, Vec<usize>)> {
        let folder = "sys/devices/system/node";
        let online = self.read(format!("{folder}/online")).unwrap_or_default();
        let cpus = |node| {
            let list = self.read(format!("{folder}/node{node}/cpulist"))?;
            Some((node, parse_core_list(&list)))
        };
        parse_core_list(&online).into_iter().filter_map(cpus).collect()
    }

    /// Relative capacity of each core, else its highest clock, else 0 for all.
    fn speeds(&self, allowed: &[usize]) -> Vec<u64> {
        for file in ["cpu_capacity", "cpufreq/cpuinfo_max_freq"] {
            let speed = |id: &usize| self.number(&format!("sys/devices/system/cpu/cpu{id}/{file}"));
            // A machine either has the file for all cores or for none.
            if let Some(speeds) = allowed.iter().map(speed).collect() {
                return speeds;
            }
        }
        vec![0; allowed.len()]
    }

    /// The tightest quota of our cgroup and those above it, version 1 or 2.
    fn quota_cores(&self) -> Option<f64> {
        let groups = self.read("proc/self/cgroup")?;
        let quotas = groups.lines().filter_map(parse_cgroup).flat_map(|group| match group {
            Cgroup::Unified(path) => {
                self.quotas(&["sys/fs/cgroup", "sys/fs/cgroup/unified"], path, |files, folder| {
                    parse_cpu_max(&files.line(&format!("{folder}/cpu.max"))?)
                })
            }
            Cgroup::Cpu(path) => {
                self.quotas(&["sys/fs/cgroup/cpu", "sys/fs/cgroup/cpu,cpuacct"], path, cfs_quota)
            }
        });
        quotas.min_by(f64::total_cmp)
    }

    /// What `quota` says for every folder from `path` up to each mount.
    fn quotas(
        &self,
        mounts: &[&str],
        path: &str,
        quota: fn(&Files, &str) -> Option<f64>,
    ) -> Vec<f64> {
        // A path with `..` lies outside of what this container sees.
        let path = if path.split('/').any(|part| part == "..") { "/" } else { path };
        let folders = Path::new(path).ancestors().filter_map(Path::to_str);
        let all = folders.flat_map(|folder| mounts.iter().map(move |mount| (mount, folder)));
        all.filter_map(|(mount, folder)| {
            quota(self, format!("{mount}{folder}").trim_end_matches('/'))
        })
        .collect()
    }
}

enum Cgroup<'a> {
    Unified(&'a str),
    Cpu(&'a str),
}

/// Reads a line of `/proc/self/cgroup`, if it is about the cpu controller.
fn parse_cgroup(line: &str) -> Option<Cgroup<'_>> {
    let mut fields = line.splitn(3, ':').skip(1);
    let (controllers, path) = (fields.next()?, fields.next()?);
    if controllers.is_empty() {
        return Some(Cgroup::Unified(path));
    }
    controllers.split(',').any(|one| one == "cpu").then_some(Cgroup::Cpu(path))
}

/// Reads `250000 100000` as 2.5 cores, `max 100000` as no limit.
fn parse_cpu_max(text: &str) -> Option<f64> {
    let (quota, period) = text.trim().split_once(' ')?;
    cores(quota.parse().ok()?, period.parse().ok()?)
}

fn cfs_quota(files: &Files, folder: &str) -> Option<f64> {
    let quota: i64 = files.line(&format!("{folder}/cpu.cfs_quota_us"))?.parse().ok()?;
    // -1 is no limit.
    let quota = u64::try_from(quota).ok()?;
    cores(quota, files.number(&format!("{folder}/cpu.cfs_period_us"))?)
}

/// Two decimals are as exact as anybody sets it, and print well.
fn cores(quota_us: u64, period_us: u64) -> Option<f64> {
    (period_us > 0).then(|| (quota_us as f64 / period_us as f64 * 100.0).round() / 100.0)
}

/// The value of `name: value` in a text of such lines.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let pair = |line: &'a str| line.split_once(':').map(|(key, value)| (key.trim(), value.trim()));
    text.lines().filter_map(pair).find(|(key, _)| *key == name).map(|(_, value)| value)
}

fn figure(text: &str, name: &str) -> Option<u64> {
    field(text, name)?.parse().ok()
}

/// Intel and AMD say `model name`; of ARM some say `Model` or `Hardware`.
fn parse_cpu_model(text: &str) -> Option<&str> {
    ["model name", "Model", "Hardware"].into_iter().find_map(|name| field(text, name))
}

fn parse_memory_bytes(text: &str) -> Option<u64> {
    let kib: u64 = field(text, "MemTotal")?.strip_suffix("kB")?.trim().parse().ok()?;
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

#[cfg(target_os = "linux")]
mod os {
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
}

#[cfg(not(target_os = "linux"))]
mod os {
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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(of: &[(&str, &str)]) -> (tempfile::TempDir, Files) {
        let folder = tempfile::tempdir().expect("a folder");
        for (path, text) in of {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            std::fs::write(path, text).expect("a file");
        }
        let root = folder.path().to_owned();
        (folder, Files { root })
    }

    #[test]
    fn core_lists_of_the_kernel_are_read() {
        assert_eq!(parse_core_list("0-3,8\n"), [0, 1, 2, 3, 8]);
        assert_eq!(parse_core_list("5"), [5]);
        assert_eq!(parse_core_list(""), [0; 0]);
        assert_eq!(parse_core_list("3-1,x,2"), [2]);
        assert_eq!(parse_core_list("65534-99999999999"), [65_534, 65_535]);
    }

    #[test]
    fn the_tightest_quota_of_all_levels_counts() {
        let (_folder, v2) = files(&[
            ("proc/self/cgroup", "0::/pod/app\n"),
            ("sys/fs/cgroup/pod/app/cpu.max", "max 100000\n"),
            ("sys/fs/cgroup/pod/cpu.max", "250000 100000\n"),
        ]);
        assert_eq!(v2.quota_cores(), Some(2.5));
        let (_folder, v1) = files(&[
            ("proc/self/cgroup", "4:memory:/a\n3:cpu,cpuacct:/docker/x\n0::/\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "150000\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
        ]);
        assert_eq!(v1.quota_cores(), Some(1.5));
    }

    #[test]
    fn no_quota_is_no_quota() {
        let (_folder, unlimited) = files(&[
            ("proc/self/cgroup", "2:cpu:/\n0::/../..\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
            ("sys/fs/cgroup/cpu.max", "max 100000\n"),
        ]);
        assert_eq!(unlimited.quota_cores(), None);
        let (_folder, nothing) = files(&[]);
        assert_eq!(nothing.quota_cores(), None);
        assert_eq!(parse_cpu_max("100000 0"), None);
        assert_eq!(parse_cpu_max("garbage"), None);
    }

    #[test]
    fn siblings_nodes_and_packages_are_read_from_sysfs() {
        let (_folder, machine) = files(&[
            ("sys/devices/system/node/online", "0-1\n"),
            ("sys/devices/system/node/node0/cpulist", "0,2\n"),
            ("sys/devices/system/node/node1/cpulist", "1,3\n"),
            ("sys/devices/system/cpu/cpu1/topology/thread_siblings_list", "1,3\n"),
            ("sys/devices/system/cpu/cpu3/topology/core_cpus_list", "1,3\n"),
            ("sys/devices/system/cpu/cpu3/topology/physical_package_id", "1\n"),
        ]);
        let cpus = machine.topology(&[0, 1, 3]).cpus;
        let seen: Vec<_> = cpus.iter().map(|cpu| (cpu.id, cpu.core, cpu.node)).collect();
        assert_eq!(seen, [(0, 0, 0), (1, 1, 1), (3, 1, 1)]);
        assert_eq!((cpus[0].package, cpus[2].package), (0, 1));
        assert!(cpus.iter().all(|cpu| cpu.kind == CoreKind::Performance));
    }

    #[test]
    fn small_cores_are_told_by_list_or_by_speed() {
        let (_folder, intel) = files(&[("sys/devices/cpu_atom/cpus", "2-3\n")]);
        let kinds = |files: &Files| -> Vec<CoreKind> {
            files.topology(&[1, 2]).cpus.iter().map(|cpu| cpu.kind).collect()
        };
        assert_eq!(kinds(&intel), [CoreKind::Performance, CoreKind::Efficiency]);
        let (_folder, arm) = files(&[
            ("sys/devices/system/cpu/cpu1/cpu_capacity", "446\n"),
            ("sys/devices/system/cpu/cpu2/cpu_capacity", "1024\n"),
        ]);
        assert_eq!(kinds(&arm), [CoreKind::Efficiency, CoreKind::Performance]);
        let (_folder, favoured) = files(&[
            ("sys/devices/system/cpu/cpu1/cpufreq/cpuinfo_max_freq", "4900000\n"),
            ("sys/devices/system/cpu/cpu2/cpufreq/cpuinfo_max_freq", "5100000\n"),
        ]);
        assert_eq!(kinds(&favoured), [CoreKind::Performance; 2]);
    }

    #[test]
    fn facts_for_people_are_read() {
        let text = "processor\t: 0\nmodel name\t: AMD EPYC: 9\nmodel name\t: other\n";
        assert_eq!(parse_cpu_model(text), Some("AMD EPYC: 9"));
        assert_eq!(parse_cpu_model("processor : 0\n"), None);
        assert_eq!(parse_choice("always [madvise] never\n"), Some("madvise"));
        assert_eq!(parse_choice("always"), None);
        assert_eq!(parse_memory_bytes("MemTotal:    2048 kB\n"), Some(2_097_152));
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
        assert!(host.kernel.starts_with("Linux "), "{}", host.kernel);
        assert!(set_timer_slack(1_000));
    }
}
