//! What costs latency on a host, and what to do about each: a pure function of what was seen.

use serde::Serialize;

use crate::cli::doctor::probe::{Probe, Probed};
use crate::metrics::report_text::duration;
use crate::runtime::host::Host;
use crate::runtime::placement::{CoreKind, Cpu, Plan, core_list};
use crate::time::Nanos;

/// A core that sleeps more deeply is late by more than parking itself costs.
const WAKE_UP_US: u64 = 50;
/// A quiet core keeps one record of a hundred waiting for less.
const NOISY_P99_NS: Nanos = 20_000;
/// A quiet core has no pause as long.
const NOISY_MAX_NS: Nanos = 2_000_000;
/// Of the time of a core.
const NOTED_SHARE: f64 = 0.01;
/// Clocks that are read through a call into the kernel or the hypervisor, or a slow device.
const SLOW_CLOCKS: [&str; 5] = ["hpet", "acpi_pm", "jiffies", "refined-jiffies", "pit"];

const CPUS: &str = "/sys/devices/system/cpu";

/// Something that costs latency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// What it is about, in a word or two.
    pub(super) about: &'static str,
    /// What was seen.
    pub(super) seen: String,
    /// What it costs.
    pub(super) costs: &'static str,
    /// The command that mends it, or what else to do.
    pub(super) mend: String,
}

/// All that costs latency on `host` for `plan`; what costs most first.
pub(super) fn findings(host: &Host, plan: &Plan, probe: &Probe) -> Vec<Finding> {
    let about_host = [
        quota(host),
        permission(host),
        leases(host),
        noise(probe),
        governor(host),
        sleep(host),
        smt(host, plan),
        small_cores(host),
        huge_pages(host),
        numa(host),
        clock(host),
        swap(host),
        offline(host),
        topology(host),
    ];
    let odd = host.machine.oddities.iter().map(|seen| Finding {
        about: "odd file",
        seen: seen.clone(),
        costs: "cores may be chosen that are slower than others",
        mend: "look at that file; name the cores by --cores".to_owned(),
    });
    about_host.into_iter().flatten().chain(odd).collect()
}

fn quota(host: &Host) -> Option<Finding> {
    let quota = host.quota.as_ref()?;
    let unlimited = if quota.file.ends_with("cpu.max") { "max" } else { "-1" };
    Some(Finding {
        about: "quota",
        seen: format!(
            "{} cores for all threads together; used up in {} of {} periods",
            quota.cores, quota.throttled_periods, quota.periods
        ),
        costs: "once it is used up, every thread stands still to the end of the period, which is \
                100 ms mostly",
        mend: format!(
            "echo {unlimited} | sudo tee {}, or give the container cores instead of a quota \
             (docker: --cpuset-cpus without --cpus)",
            quota.file
        ),
    })
}

fn permission(host: &Host) -> Option<Finding> {
    (!host.machine.may_pin).then(|| Finding {
        about: "pinning",
        seen: "a thread may not choose its core".to_owned(),
        costs: "partitions move between cores, and lose their caches each time",
        mend: "permit sched_setaffinity in the sandbox (docker: without a --security-opt \
               seccomp=… that denies it)"
            .to_owned(),
    })
}

fn leases(host: &Host) -> Option<Finding> {
    let leased = &host.machine.leased;
    let cores: Vec<usize> = leased.iter().map(|one| one.core).collect();
    let free = host.machine.allowed.iter().filter(|core| !cores.contains(core)).count();
    (!leased.is_empty()).then(|| Finding {
        about: "other jobs",
        seen: format!("running jobs have pinned {}", core_list(&cores)),
        costs: "partitions get the cores that are left; with too few of them they are not pinned",
        mend: match free {
            0 => "wait for their end".to_owned(),
            _ => format!("--partitions {free}, or wait for their end"),
        },
    })
}

fn noise(probe: &Probe) -> Option<Finding> {
    let is_noisy =
        |one: &&Probed| one.waits_ns.p99 >= NOISY_P99_NS || one.waits_ns.max >= NOISY_MAX_NS;
    let noisy: Vec<&Probed> = probe.cores.iter().filter(is_noisy).collect();
    let worst = noisy.iter().max_by_key(|one| (one.waits_ns.p99, one.waits_ns.max))?;
    let place = worst.core.map_or("a core".to_owned(), |core| format!("core {core}"));
    let seen = format!(
        "{} of {} cores pause; {place} keeps a loop without work waiting for {} at p99, {} at most",
        noisy.len(),
        probe.cores.len(),
        duration(worst.waits_ns.p99),
        duration(worst.waits_ns.max)
    );
    let (why, mend) = cause(&noisy, probe);
    Some(Finding {
        about: "hiccups",
        seen: format!("{seen}: {why}"),
        costs: "no job can answer faster than that, whatever its flags",
        mend,
    })
}

/// Who takes the time of the noisy cores, as far as it can be told, and what to do about them.
fn cause(noisy: &[&Probed], probe: &Probe) -> (String, String) {
    let most = |of: fn(&Probed) -> f64| noisy.iter().map(|one| of(one)).fold(0.0, f64::max);
    let stolen = most(|one| one.stolen);
    if stolen >= NOTED_SHARE {
        let why = format!("other virtual machines have {:.0} % of its time", stolen * 100.0);
        let mend = "take a machine with cores of its own (dedicated, bare metal)".to_owned();
        return (why, mend);
    }
    let cores: Vec<usize> = noisy.iter().filter_map(|one| one.core).collect();
    let interrupts = most(|one| one.interrupts);
    if interrupts >= NOTED_SHARE {
        let why = format!("interrupts have {:.0} % of its time", interrupts * 100.0);
        let mend =
            "sudo systemctl stop irqbalance, and move them: cat /proc/interrupts, then echo \
                    0 | sudo tee /proc/irq/N/smp_affinity_list"
                .to_owned();
        return (why, mend);
    }
    let taken_away: u64 = noisy.iter().map(|one| one.taken_away).sum();
    if taken_away == 0 {
        let why = "neither threads nor interrupts of this system take it".to_owned();
        let mend = "look outside of it: the hypervisor's other machines, or the firmware (sudo \
                    hwlatdetect --duration=10)"
            .to_owned();
        return (why, mend);
    }
    let named: Vec<String> = probe
        .busy
        .iter()
        .map(|one| format!("{} ({}, {:.0} % of a core)", one.name, one.pid, one.cores * 100.0))
        .collect();
    let others = if named.is_empty() { String::new() } else { format!(": {}", named.join(", ")) };
    let why = format!("other threads were given it {taken_away} times{others}");
    let mend = match probe.busy.first() {
        Some(busiest) => format!(
            "sudo renice -n 19 -p {pid}, or keep it off {}: sudo taskset -acp OTHERS {pid}",
            core_list(&cores),
            pid = busiest.pid
        ),
        None => format!("keep others away: boot with isolcpus={}", core_list(&cores)),
    };
    (why, mend)
}

fn governor(host: &Host) -> Option<Finding> {
    let governor = host.governor.as_ref().filter(|governor| *governor != "performance")?;
    Some(Finding {
        about: "governor",
        seen: format!("the allowed cores choose their clock by {governor}"),
        costs: "a core that was idle begins at a low clock and reaches its full one late",
        mend: format!("echo performance | sudo tee {CPUS}/cpu*/cpufreq/scaling_governor"),
    })
}

fn sleep(host: &Host) -> Option<Finding> {
    let wake_up_us = host.wake_up_us.filter(|us| *us > WAKE_UP_US)?;
    Some(Finding {
        about: "deep sleep",
        seen: format!("a core takes up to {wake_up_us} us to wake up"),
        costs: "the first record after a pause waits for it",
        mend: format!("sudo cpupower idle-set -D {WAKE_UP_US}, or --idle spin on cores of its own"),
    })
}

fn smt(host: &Host, plan: &Plan) -> Option<Finding> {
    let cpus = allowed_cpus(host);
    let shared = |cpu: &Cpu| {
        let is_sibling = |other: &&Cpu| {
            other.id != cpu.id && (other.package, other.core) == (cpu.package, cpu.core)
        };
        cpus.iter().any(|other| is_sibling(&other))
    };
    let siblings: Vec<usize> = cpus.iter().filter(|cpu| shared(cpu)).map(|cpu| cpu.id).collect();
    (!siblings.is_empty()).then(|| Finding {
        about: "SMT",
        seen: format!("{} share physical cores in pairs or more", core_list(&siblings)),
        costs: "a partition whose sibling thread is busy has a part of the core only",
        mend: match plan.pinned && plan.warnings.iter().all(|warning| !warning.contains("(SMT)")) {
            true => format!(
                "this plan leaves siblings free; to keep others from them: echo off | sudo tee \
                 {CPUS}/smt/control"
            ),
            false => format!("echo off | sudo tee {CPUS}/smt/control, or take fewer --partitions"),
        },
    })
}

fn small_cores(host: &Host) -> Option<Finding> {
    let of = |kind: CoreKind| -> Vec<usize> {
        allowed_cpus(host).iter().filter(|cpu| cpu.kind == kind).map(|cpu| cpu.id).collect()
    };
    let (large, small) = (of(CoreKind::Performance), of(CoreKind::Efficiency));
    (!large.is_empty() && !small.is_empty()).then(|| Finding {
        about: "hybrid",
        seen: format!("{} are efficiency cores", core_list(&small)),
        costs: "with hashed keys the slowest partition sets the pace of all",
        mend: format!("--cores {}", core_list(&large)),
    })
}

fn huge_pages(host: &Host) -> Option<Finding> {
    (host.huge_pages.as_deref() == Some("always")).then(|| Finding {
        about: "huge pages",
        seen: "transparent huge pages are always on".to_owned(),
        costs: "a thread that touches new memory may wait until the kernel has made room for a \
                large page",
        mend: "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled".to_owned(),
    })
}

fn numa(host: &Host) -> Option<Finding> {
    let cpus = allowed_cpus(host);
    let is_spread = cpus.iter().any(|cpu| cpu.node != cpus[0].node);
    (host.numa_balancing && is_spread).then(|| Finding {
        about: "NUMA",
        seen: "the kernel moves memory between nodes by itself".to_owned(),
        costs: "it takes pages away to see who uses them, and each use faults then",
        mend: "sudo sysctl kernel.numa_balancing=0".to_owned(),
    })
}

fn clock(host: &Host) -> Option<Finding> {
    let source = host.clock_source.as_ref().filter(|of| SLOW_CLOCKS.contains(&of.as_str()))?;
    Some(Finding {
        about: "clock",
        seen: format!("the time is told by {source}"),
        costs: "each look at the clock is a call into the kernel; what it takes stands under clock",
        mend: "echo tsc | sudo tee \
               /sys/devices/system/clocksource/clocksource0/current_clocksource, or boot with \
               clocksource=tsc"
            .to_owned(),
    })
}

fn swap(host: &Host) -> Option<Finding> {
    let bytes = host.swapped_bytes.filter(|bytes| *bytes > 0)?;
    Some(Finding {
        about: "swap",
        seen: format!("{:.1} MiB are swapped out", bytes as f64 / f64::from(1 << 20)),
        costs: "state that is swapped out takes a read of the disk to come back",
        mend: "sudo swapoff -a, and a --memory-limit that fits".to_owned(),
    })
}

fn offline(host: &Host) -> Option<Finding> {
    let offline = &host.offline;
    let each = offline.iter().map(|core| format!("{CPUS}/cpu{core}/online"));
    (!offline.is_empty()).then(|| Finding {
        about: "offline",
        seen: format!("{} are switched off", core_list(offline)),
        costs: "fewer partitions have a core of their own",
        mend: format!("echo 1 | sudo tee {}", each.collect::<Vec<_>>().join(" ")),
    })
}

fn topology(host: &Host) -> Option<Finding> {
    (!host.tells_topology).then(|| Finding {
        about: "topology",
        seen: format!("{CPUS} does not tell which cores share what"),
        costs: "partitions may be put on threads of one physical core",
        mend: "show it to the sandbox (docker: -v /sys:/sys:ro), or name the cores by --cores"
            .to_owned(),
    })
}

fn allowed_cpus(host: &Host) -> Vec<Cpu> {
    let machine = &host.machine;
    machine.allowed.iter().map(|id| machine.topology.cpu(*id)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::probe::Busy;
    use crate::metrics::Percentiles;
    use crate::runtime::host::Quota;
    use crate::runtime::placement::{Leased, Machine, PlacementRequest, Topology, plan};

    /// A host of four cores of which nothing costs latency.
    fn quiet() -> Host {
        let kind = CoreKind::Performance;
        let cpu = |id: usize| Cpu { id, package: 0, core: id, node: 0, cache: Some(0), kind };
        let machine = Machine {
            allowed: (0..4).collect(),
            topology: Topology { cpus: (0..4).map(cpu).collect() },
            may_pin: true,
            ..Machine::default()
        };
        Host {
            model: "Testium".into(),
            kernel: "Linux 6".into(),
            machine,
            available_parallelism: Some(4),
            huge_pages: Some("madvise".into()),
            governor: Some("performance".into()),
            memory_bytes: None,
            swapped_bytes: Some(0),
            clock_source: Some("tsc".into()),
            wake_up_us: Some(2),
            numa_balancing: true,
            offline: Vec::new(),
            tells_topology: true,
            quota: None,
        }
    }

    fn found(host: &Host, probe: &Probe) -> Vec<Finding> {
        let plan = plan(&host.machine, &PlacementRequest::default()).expect("a plan");
        findings(host, &plan, probe)
    }

    /// A probe of one core that was given away so often.
    fn probed(p99: Nanos, taken_away: u64, stolen: f64, interrupts: f64) -> Probe {
        let waits_ns = Percentiles { p99, max: 2 * p99, ..Percentiles::default() };
        let core = Probed { core: Some(3), waits_ns, taken_away, stolen, interrupts };
        Probe { seconds: 2.0, cores: vec![core], busy: Vec::new() }
    }

    #[test]
    fn a_quiet_host_has_nothing_to_mend() {
        assert_eq!(found(&quiet(), &probed(900, 0, 0.0, 0.001)), []);
        assert_eq!(found(&quiet(), &Probe::default()), [], "not probed is not noisy");
    }

    #[test]
    fn each_cost_is_named_alone_with_its_command() {
        type Change = fn(&mut Host);
        let changes: [(&str, &str, Change); 13] = [
            ("quota", "echo max | sudo tee /sys/fs/cgroup/a/cpu.max, ", |host| {
                let file = "/sys/fs/cgroup/a/cpu.max".into();
                host.quota = Some(Quota { cores: 2.5, file, throttled_periods: 3, periods: 9 });
            }),
            ("quota", "echo -1 | sudo tee /sys/fs/cgroup/cpu/cpu.cfs_quota_us, ", |host| {
                let file = "/sys/fs/cgroup/cpu/cpu.cfs_quota_us".into();
                host.quota = Some(Quota { cores: 2.5, file, throttled_periods: 3, periods: 9 });
            }),
            ("pinning", "permit sched_setaffinity", |host| host.machine.may_pin = false),
            ("other jobs", "--partitions 3, ", |host| {
                host.machine.leased = vec![Leased { core: 1, pid: Some(7), is_ours: false }];
            }),
            ("governor", "echo performance | sudo tee ", |host| {
                host.governor = Some("powersave".into());
            }),
            ("deep sleep", "sudo cpupower idle-set -D 50", |host| host.wake_up_us = Some(133)),
            ("SMT", "this plan leaves siblings free; ", |host| {
                host.machine.topology.cpus[3].core = 2;
            }),
            ("hybrid", "--cores 0-2", |host| {
                host.machine.topology.cpus[3].kind = CoreKind::Efficiency;
            }),
            ("huge pages", "echo madvise | sudo tee ", |host| {
                host.huge_pages = Some("always".into());
            }),
            ("NUMA", "sudo sysctl kernel.numa_balancing=0", |host| {
                host.machine.topology.cpus[3].node = 1;
            }),
            ("clock", "echo tsc | sudo tee ", |host| host.clock_source = Some("hpet".into())),
            ("swap", "sudo swapoff -a", |host| host.swapped_bytes = Some(1 << 20)),
            ("offline", "echo 1 | sudo tee /sys/devices/system/cpu/cpu5/online", |host| {
                host.offline = vec![5];
            }),
        ];
        for (about, mend, change) in changes {
            let mut host = quiet();
            change(&mut host);
            let found = found(&host, &Probe::default());
            assert_eq!(found.iter().map(|one| one.about).collect::<Vec<_>>(), [about]);
            assert!(found[0].mend.starts_with(mend), "{about}: {}", found[0].mend);
            assert!(!found[0].seen.is_empty() && !found[0].costs.is_empty());
        }
    }

    #[test]
    fn what_is_not_told_or_odd_is_named() {
        let mut host = Host { tells_topology: false, ..quiet() };
        host.machine.oddities = vec!["file is odd".to_owned()];
        let found = found(&host, &Probe::default());
        let about: Vec<_> = found.iter().map(|one| (one.about, one.seen.as_str())).collect();
        assert_eq!(about[0].0, "topology");
        assert_eq!(about[1], ("odd file", "file is odd"));
    }

    #[test]
    fn smt_that_the_plan_does_not_avoid_is_to_be_switched_off() {
        let mut host = quiet();
        host.machine.topology.cpus[1].core = 0;
        let request = PlacementRequest { partitions: Some(4), ..PlacementRequest::default() };
        let plan = plan(&host.machine, &request).expect("a plan");
        let found = findings(&host, &plan, &Probe::default());
        assert!(found[0].seen.starts_with("0-1 share"), "{found:?}");
        assert!(found[0].mend.starts_with("echo off | sudo tee "), "{found:?}");
    }

    #[test]
    fn a_noisy_core_is_blamed_on_who_has_it() {
        let blamed = |probe: &Probe| {
            let found = found(&quiet(), probe);
            assert_eq!(found.iter().map(|one| one.about).collect::<Vec<_>>(), ["hiccups"]);
            (found[0].seen.clone(), found[0].mend.clone())
        };
        let (seen, mend) = blamed(&probed(400_000, 9, 0.25, 0.0));
        assert!(seen.starts_with("1 of 1 cores pause; core 3 keeps a loop"), "{seen}");
        assert!(seen.contains("400.0 us at p99, 800.0 us at most"), "{seen}");
        assert!(seen.ends_with("other virtual machines have 25 % of its time"), "{seen}");
        assert!(mend.starts_with("take a machine with cores of its own"), "{mend}");
        let (seen, mend) = blamed(&probed(30_000, 9, 0.0, 0.02));
        assert!(seen.ends_with("interrupts have 2 % of its time"), "{seen}");
        assert!(mend.contains("/proc/irq/N/smp_affinity_list"), "{mend}");
        let (seen, mend) = blamed(&probed(1_500_000, 0, 0.0, 0.0));
        assert!(seen.contains("neither threads nor interrupts"), "{seen}");
        assert!(mend.starts_with("look outside of it"), "{mend}");
        let mut beside = probed(4_000_000, 9, 0.0, 0.0);
        assert_eq!(blamed(&beside).1, "keep others away: boot with isolcpus=3");
        beside.busy = vec![Busy { pid: 77, name: "rustc".into(), cores: 0.5 }];
        let (seen, mend) = blamed(&beside);
        assert!(seen.ends_with("given it 9 times: rustc (77, 50 % of a core)"), "{seen}");
        assert!(mend.starts_with("sudo renice -n 19 -p 77, or keep it off 3: "), "{mend}");
    }
}
