//! Which CPUs share what, from `/sys/devices`.

use crate::runtime::host::files::Files;
use crate::runtime::placement::{CoreKind, Cpu, Topology};

/// A core with less than this share of the fastest core's capacity or clock is a small one. Cores
/// that a vendor favours run a few percent faster, small ones of known hybrids below 75 %.
const SMALL_CORE_PERCENT: u64 = 80;
/// The most threads that a physical core of any maker has is 8; twice that is absurd.
const SIBLINGS_MAX: usize = 16;
/// As many as Linux can be built for.
const NODES_MAX: usize = 1_024;

const CPUS: &str = "sys/devices/system/cpu";

impl Files {
    /// What is known about the `allowed` CPUs.
    pub(super) fn topology(&self, allowed: &[usize]) -> Topology {
        let nodes = self.numa_nodes();
        let siblings = self.agreed_siblings(allowed);
        let speeds = self.speeds(allowed);
        let fastest = speeds.iter().copied().max().unwrap_or(0);
        let small = self.cores("sys/devices/cpu_atom/cpus", "cores are told apart by their speed");
        let mut caches: Vec<Vec<usize>> = Vec::new();
        let mut cpus = Vec::with_capacity(allowed.len());
        for ((&id, siblings), speed) in allowed.iter().zip(siblings).zip(speeds) {
            let is_small = match &small {
                Some(small) => small.contains(&id),
                None => speed * 100 < fastest * SMALL_CORE_PERCENT,
            };
            cpus.push(Cpu {
                id,
                package: self.package(id),
                // The kernel's core_id repeats across dies; the first sibling's number does not.
                core: siblings.and_then(|list| list.first().copied()).unwrap_or(id),
                node: nodes.iter().find(|(_, cpus)| cpus.contains(&id)).map_or(0, |(n, _)| *n),
                cache: self.cache(id, &mut caches),
                kind: if is_small { CoreKind::Efficiency } else { CoreKind::Performance },
            });
        }
        Topology { cpus }
    }

    /// Whether it is told which CPUs share a core.
    pub(super) fn tells_topology(&self, allowed: &[usize]) -> bool {
        let mut files = allowed.iter().flat_map(|id| sibling_files(*id));
        files.any(|path| self.read(&path).is_some())
    }

    /// The SMT siblings of each CPU, itself among them, as far as they agree about it.
    fn agreed_siblings(&self, allowed: &[usize]) -> Vec<Option<Vec<usize>>> {
        let lists: Vec<_> = allowed.iter().map(|id| self.siblings(*id)).collect();
        let of = |id: usize| {
            let index = allowed.binary_search(&id).ok()?;
            lists[index].as_ref().map(|(_, list)| list)
        };
        let agreed = |(path, list): &(String, Vec<usize>)| {
            let other = list.iter().find(|id| of(**id).is_some_and(|others| others != list));
            let Some(other) = other else { return Some(list.clone()) };
            let seen = format!("core {other} says otherwise");
            self.odd(path, &seen, "they count as physical cores of their own");
            None
        };
        lists.iter().map(|list| list.as_ref().and_then(agreed)).collect()
    }

    /// The file that tells the siblings of `id`, and whom it names.
    fn siblings(&self, id: usize) -> Option<(String, Vec<usize>)> {
        let path = sibling_files(id).into_iter().find(|path| self.read(path).is_some())?;
        let instead = format!("core {id} counts as a physical core of its own");
        let list = self.cores(&path, &instead)?;
        if !list.contains(&id) || list.len() > SIBLINGS_MAX {
            self.odd(&path, &self.read(&path)?, &instead);
            return None;
        }
        Some((path, list))
    }

    fn package(&self, id: usize) -> usize {
        let path = format!("{CPUS}/cpu{id}/topology/physical_package_id");
        // Some say -1 where there is no notion of it.
        if self.line(&path).as_deref() == Some("-1") {
            return 0;
        }
        let package = self.number(&path, "it counts as socket 0");
        package.and_then(|package| package.try_into().ok()).unwrap_or(0)
    }

    /// The first of the CPUs that share a last-level cache with `id`; `caches` are those that are
    /// known already.
    fn cache(&self, id: usize, caches: &mut Vec<Vec<usize>>) -> Option<usize> {
        if let Some(known) = caches.iter().find(|cpus| cpus.contains(&id)) {
            return known.first().copied();
        }
        let path = format!("{CPUS}/cpu{id}/cache/index3/shared_cpu_list");
        let instead = "its cache counts as one with those of its NUMA node";
        let list = self.cores(&path, instead)?;
        if !list.contains(&id) {
            self.odd(&path, &self.read(&path)?, instead);
            return None;
        }
        let first = list.first().copied();
        caches.push(list);
        first
    }

    /// The NUMA nodes, each with its CPUs.
    fn numa_nodes(&self) -> Vec<(usize, Vec<usize>)> {
        let folder = "sys/devices/system/node";
        let path = format!("{folder}/online");
        let instead = "all cores count as of one NUMA node";
        let online = self.cores(&path, instead).unwrap_or_default();
        if online.len() > NODES_MAX {
            self.odd(&path, &format!("{} nodes", online.len()), instead);
            return Vec::new();
        }
        let cpus = |node| {
            let path = format!("{folder}/node{node}/cpulist");
            Some((node, self.cores(&path, "its cores count as of node 0")?))
        };
        online.into_iter().filter_map(cpus).collect()
    }

    /// Relative capacity of each core, else its highest clock, else 0 for all.
    fn speeds(&self, allowed: &[usize]) -> Vec<u64> {
        for file in ["cpu_capacity", "cpufreq/cpuinfo_max_freq"] {
            let speed = |id: &usize| {
                let path = format!("{CPUS}/cpu{id}/{file}");
                let speed = self.number(&path, "all cores count as equally fast")?;
                // Far above any clock in kHz, and far below what a percentage overflows.
                let plausible = (1..1 << 40).contains(&speed);
                if !plausible {
                    self.odd(&path, &speed.to_string(), "all cores count as equally fast");
                }
                plausible.then_some(speed)
            };
            // A machine either has the file for all cores or for none.
            if let Some(speeds) = allowed.iter().map(speed).collect() {
                return speeds;
            }
        }
        vec![0; allowed.len()]
    }
}

/// Where the siblings of `id` are told; kernels before 5.0 have only the second.
fn sibling_files(id: usize) -> [String; 2] {
    ["core_cpus_list", "thread_siblings_list"].map(|file| format!("{CPUS}/cpu{id}/topology/{file}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::host::files::tests::files;

    #[test]
    fn siblings_nodes_and_packages_are_read_from_sysfs() {
        let (_folder, machine) = files(&[
            ("sys/devices/system/node/online", "0-1\n"),
            ("sys/devices/system/node/node0/cpulist", "0,2\n"),
            ("sys/devices/system/node/node1/cpulist", "1,3\n"),
            ("sys/devices/system/cpu/cpu1/topology/thread_siblings_list", "1,3\n"),
            ("sys/devices/system/cpu/cpu3/topology/core_cpus_list", "1,3\n"),
            ("sys/devices/system/cpu/cpu3/topology/physical_package_id", "1\n"),
            ("sys/devices/system/cpu/cpu0/cache/index3/shared_cpu_list", "0-1\n"),
            ("sys/devices/system/cpu/cpu3/cache/index3/shared_cpu_list", "2-3\n"),
        ]);
        let cpus = machine.topology(&[0, 1, 3]).cpus;
        let seen: Vec<_> = cpus.iter().map(|cpu| (cpu.id, cpu.core, cpu.node)).collect();
        assert_eq!(seen, [(0, 0, 0), (1, 1, 1), (3, 1, 1)]);
        assert_eq!((cpus[0].package, cpus[2].package), (0, 1));
        let caches: Vec<_> = cpus.iter().map(|cpu| cpu.cache).collect();
        assert_eq!(caches, [Some(0), Some(0), Some(2)]);
        assert!(cpus.iter().all(|cpu| cpu.kind == CoreKind::Performance));
        assert_eq!(machine.oddities(), [""; 0]);
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
    fn absurd_files_leave_a_row_of_equal_cores_and_are_told() {
        let siblings = "sys/devices/system/cpu/cpu0/topology/core_cpus_list";
        let nodes = "sys/devices/system/node/online";
        let speed = "sys/devices/system/cpu/cpu0/cpu_capacity";
        let cache = "sys/devices/system/cpu/cpu0/cache/index3/shared_cpu_list";
        let package = "sys/devices/system/cpu/cpu0/topology/physical_package_id";
        for (path, text) in [
            (siblings, "0,"),
            (siblings, ""),
            (siblings, "1-2"),
            (siblings, "0-4000"),
            (siblings, "\u{0}\u{0}"),
            (nodes, "0-65535"),
            (nodes, "0-1-2"),
            (speed, "0"),
            (speed, "18446744073709551615"),
            (speed, "fast"),
            (cache, "1"),
            (cache, "0-"),
            (package, "99999999999999999999"),
        ] {
            let (_folder, machine) = files(&[(path, text)]);
            let cpus = machine.topology(&[0, 1]).cpus;
            let equal = |cpu: &Cpu| (cpu.package, cpu.node, cpu.cache, cpu.kind);
            assert_eq!(equal(&cpus[0]), (0, 0, None, CoreKind::Performance), "{path}: {text}");
            assert_ne!(cpus[0].core, cpus[1].core);
            let oddities = machine.oddities();
            assert_eq!(oddities.len(), 1, "{path}: {text}: {oddities:?}");
            assert!(oddities[0].starts_with(&format!("file not as expected at /{path}: ")));
        }
    }

    #[test]
    fn siblings_that_do_not_agree_are_none() {
        let (_folder, machine) = files(&[
            ("sys/devices/system/cpu/cpu0/topology/core_cpus_list", "0-1\n"),
            ("sys/devices/system/cpu/cpu1/topology/core_cpus_list", "1\n"),
        ]);
        let cpus = machine.topology(&[0, 1]).cpus;
        assert_eq!((cpus[0].core, cpus[1].core), (0, 1));
        let oddities = machine.oddities();
        assert!(oddities[0].contains("core 1 says otherwise"), "{oddities:?}");
    }
}
