//! `millstream doctor`: what the host is, what costs latency on it and what to do about that, and
//! where the partitions would run and why.

mod finding;
mod probe;

use std::fmt::Write;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use crate::cli::args::DoctorArgs;
use crate::cli::doctor::finding::{Finding, findings};
use crate::cli::doctor::probe::Probe;
use crate::cli::flag::{Flag, Scope, path, text};
use crate::cli::options::Format;
use crate::cli::summary::distribution;
use crate::config::Pin;
use crate::config::parse;
use crate::config::wording::shown;
use crate::engine::placement_request;
use crate::error::{Error, ErrorKind, Result};
use crate::runtime::UserFolder;
use crate::runtime::host::{self, Calls, Host};
use crate::runtime::lease::{LeaseDesk, Leases};
use crate::runtime::placement::{
    self, CoreKind, Cpu, Leased, PlacementRequest, Plan, SYSTEM_THREAD, core_list,
};
use crate::time::{Clock, MonotonicClock, Nanos};

const PROBE: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(60);

/// The flags that only this command takes.
pub(crate) static FLAGS: [Flag; 2] = [
    Flag {
        name: "probe",
        short: None,
        value: Some(("D", "0..=60s, with a unit")),
        default: "2s",
        help: "probe the cores for hiccups so long; 0 for not at all",
        scope: Scope::Doctor,
        set: |options, value| {
            options.doctor.probe = parse::duration(text(value)?, PROBE)?;
            Ok(())
        },
    },
    Flag {
        name: "host",
        short: None,
        value: Some(("FOLDER", "a path")),
        default: "this one",
        help: "examine the host whose proc and sys are in FOLDER; it is not probed",
        scope: Scope::Doctor,
        set: |options, value| {
            options.doctor.host = Some(path(value)?);
            Ok(())
        },
    },
];

/// Examines the host and plans for the given flags; returns what is to be printed, with its last
/// newline. Findings and warnings are part of it and no error.
///
/// # Errors
/// Those of [`placement::plan`]: a core that this process may not use, or pinning demanded where it
/// is impossible; [`ErrorKind::NoInput`] if the recorded host is no folder.
pub fn run(args: &DoctorArgs) -> Result<String> {
    let request = placement_request(&args.config);
    let (host, probe_ns) = match &args.doctor.host {
        Some(folder) => (recorded(folder)?, 0),
        None => {
            let mut host = host::host();
            host.machine.leased = leased(&args.folder);
            (host, args.doctor.probe.as_nanos() as Nanos)
        }
    };
    let plan = placement::plan(&host.machine, &request)?;
    let clock = ClockCost::measure(&MonotonicClock);
    let probe = probe::run(&host.machine, &plan, probe_ns);
    let diagnosis = Diagnosis::new(host, &request, plan, (clock, probe));
    Ok(match args.show.format {
        Format::Text => diagnosis.text(),
        Format::Json => diagnosis.json(),
    })
}

fn recorded(folder: &Path) -> Result<Host> {
    if folder.join("proc").is_dir() || folder.join("sys").is_dir() {
        return Ok(host::host_at(folder, Calls::recorded()));
    }
    let seen = shown(&folder.to_string_lossy());
    let text = format!("no host at --host: {seen}; allowed a folder with proc or sys in it");
    Err(Error::new(ErrorKind::NoInput, text))
}

/// The cores of running jobs; none where there is no folder in which they could say so.
fn leased(folder: &UserFolder) -> Vec<Leased> {
    if !folder.path().exists() {
        return Vec::new();
    }
    LeaseDesk::open(folder).map(|desk| desk.leased(&Leases::default())).unwrap_or_default()
}

/// Everything that `doctor` found, in the shape of its JSON.
#[derive(Debug, Serialize)]
struct Diagnosis {
    version: &'static str,
    host: Host,
    smt: bool,
    physical_cores: usize,
    numa_nodes: Vec<Node>,
    clock: ClockCost,
    request: PlacementRequest,
    plan: Plan,
    threads: Vec<Thread>,
    probe: Probe,
    findings: Vec<Finding>,
}

#[derive(Debug, PartialEq, Serialize)]
struct Node {
    node: usize,
    cores: Vec<usize>,
}

/// What a look at the clock costs, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct ClockCost {
    read_ns: f64,
    resolution_ns: u64,
}

#[derive(Debug, PartialEq, Serialize)]
struct Thread {
    name: String,
    core: Option<usize>,
    does: &'static str,
}

impl ClockCost {
    /// Reads the clock 10,000 times, which takes a fraction of a millisecond. The quickest tenth
    /// counts, since anything that interrupts the loop only makes a tenth slower.
    fn measure(clock: &impl Clock) -> ClockCost {
        const ROUNDS: usize = 10;
        const READS: u32 = 1_000;
        let mut cost = ClockCost { read_ns: f64::INFINITY, resolution_ns: u64::MAX };
        for _ in 0..ROUNDS {
            let first = clock.now();
            let mut last = first;
            for _ in 0..READS {
                let now = clock.now();
                if now > last {
                    cost.resolution_ns = cost.resolution_ns.min(now - last);
                    last = now;
                }
            }
            cost.read_ns = cost.read_ns.min((last - first) as f64 / f64::from(READS));
        }
        if cost.resolution_ns == u64::MAX {
            cost.resolution_ns = 0;
        }
        cost
    }
}

impl Diagnosis {
    fn new(
        host: Host,
        request: &PlacementRequest,
        plan: Plan,
        (clock, probe): (ClockCost, Probe),
    ) -> Diagnosis {
        let cpus = allowed_cpus(&host);
        let mut physical: Vec<(usize, usize)> =
            cpus.iter().map(|cpu| (cpu.package, cpu.core)).collect();
        physical.sort_unstable();
        physical.dedup();
        let mut numa_nodes: Vec<Node> = Vec::new();
        for cpu in &cpus {
            match numa_nodes.iter_mut().find(|known| known.node == cpu.node) {
                Some(known) => known.cores.push(cpu.id),
                None => numa_nodes.push(Node { node: cpu.node, cores: vec![cpu.id] }),
            }
        }
        numa_nodes.sort_by_key(|node| node.node);
        Diagnosis {
            version: env!("CARGO_PKG_VERSION"),
            smt: physical.len() < cpus.len(),
            physical_cores: physical.len(),
            numa_nodes,
            clock,
            request: request.clone(),
            threads: threads(&plan),
            findings: findings(&host, &plan, &probe),
            probe,
            host,
            plan,
        }
    }

    fn json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self)
            .expect("a diagnosis has string keys and finite numbers only");
        text.push('\n');
        text
    }

    fn text(&self) -> String {
        let mut text = format!("millstream {}\n", self.version);
        section(&mut text, "host", &self.host_rows());
        section(&mut text, "cores", &self.core_rows());
        let clock = [
            ("one read", format!("{:.1} ns", self.clock.read_ns)),
            ("smallest step", format!("{} ns", self.clock.resolution_ns)),
        ];
        section(&mut text, "clock", &clock);
        let title = format!("plan for {}", flags(&self.request));
        section(&mut text, &title, &self.plan_rows());
        section(&mut text, "threads", &self.thread_rows());
        if !self.probe.cores.is_empty() {
            let title = format!("hiccups of {} s", self.probe.seconds);
            section(&mut text, &title, &self.probe_rows());
        }
        section(&mut text, "what costs latency here", &self.finding_rows());
        for warning in &self.plan.warnings {
            line(&mut text, &format!("\nwarning: {warning}"));
        }
        text
    }

    fn host_rows(&self) -> Vec<(&'static str, String)> {
        let host = &self.host;
        let told = |fact: &Option<String>| fact.clone().unwrap_or_else(|| "not told".into());
        let gib = |bytes: u64| format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30));
        vec![
            ("processor", host.model.clone()),
            ("kernel", host.kernel.clone()),
            ("memory", told(&host.memory_bytes.map(gib))),
            ("huge pages", told(&host.huge_pages)),
            ("clock governor", told(&host.governor)),
        ]
    }

    fn core_rows(&self) -> Vec<(&'static str, String)> {
        let machine = &self.host.machine;
        let count = machine.allowed.len();
        let nodes = self.numa_nodes.iter().map(|one| (one.node, core_list(&one.cores)));
        let nodes: Vec<String> = nodes.map(|(node, cores)| format!("{node}: {cores}")).collect();
        let physical = match self.smt {
            true => format!("{}; SMT: {count} threads on them", self.physical_cores),
            false => format!("{}; no SMT siblings among the allowed", self.physical_cores),
        };
        let quota = match machine.quota_cores {
            Some(cores) => format!("{cores} cores"),
            None => "none".to_owned(),
        };
        let parallelism = match self.host.available_parallelism {
            Some(count) => format!("{count} (standard library)"),
            None => "not told".to_owned(),
        };
        let mut rows = vec![
            ("allowed", format!("{} ({count} in all)", core_list(&machine.allowed))),
            ("physical", physical),
            ("NUMA nodes", nodes.join("; ")),
            ("cgroup quota", quota),
            ("parallelism", parallelism),
            ("pinning", if machine.may_pin { "permitted" } else { "not permitted" }.to_owned()),
        ];
        let small = allowed_cpus(&self.host);
        let small = small.iter().filter(|cpu| cpu.kind == CoreKind::Efficiency);
        let small: Vec<usize> = small.map(|cpu| cpu.id).collect();
        if !small.is_empty() {
            rows.push(("efficiency", core_list(&small)));
        }
        rows
    }

    fn plan_rows(&self) -> Vec<(String, String)> {
        let core = |core: Option<usize>| core.map_or("any core".into(), |id| format!("core {id}"));
        let places = self.plan.partitions.iter().enumerate();
        let mut rows: Vec<(String, String)> = places
            .map(|(index, placed)| {
                (format!("partition {index}"), format!("{}: {}", core(placed.core), placed.why))
            })
            .collect();
        let housekeeping = match (self.plan.pinned, self.plan.housekeeping.as_slice()) {
            (false, _) => "any core".to_owned(),
            (true, []) => "no core is left, so it shares those of the partitions".to_owned(),
            (true, free) => format!("cores {}", core_list(free)),
        };
        rows.push(("housekeeping".to_owned(), housekeeping));
        rows
    }

    fn probe_rows(&self) -> Vec<(String, String)> {
        let probed = self.probe.cores.iter();
        let name = |core: Option<usize>| core.map_or("any core".into(), |id| format!("core {id}"));
        probed.map(|one| (name(one.core), distribution(&one.waits_ns))).collect()
    }

    fn finding_rows(&self) -> Vec<(&'static str, String)> {
        if self.findings.is_empty() {
            return vec![("nothing", "was found".to_owned())];
        }
        let rows = |one: &Finding| {
            let costs = format!("costs: {}", one.costs);
            [(one.about, one.seen.clone()), ("", costs), ("", format!("do: {}", one.mend))]
        };
        self.findings.iter().flat_map(rows).collect()
    }

    fn thread_rows(&self) -> Vec<(String, String)> {
        self.threads.iter().map(|one| (one.name.clone(), one.does.to_owned())).collect()
    }
}

fn allowed_cpus(host: &Host) -> Vec<Cpu> {
    let machine = &host.machine;
    machine.allowed.iter().map(|id| machine.topology.cpu(*id)).collect()
}

/// The threads that an engine with this plan starts; blocking sources bring one each, and
/// `async_map` one a job.
fn threads(plan: &Plan) -> Vec<Thread> {
    let system = Thread {
        name: SYSTEM_THREAD.to_owned(),
        core: None,
        does: "starts the partitions and gathers their answers; not pinned",
    };
    let partitions = plan.partitions.iter().enumerate().map(|(index, placed)| Thread {
        name: placement::thread_name(index),
        core: placed.core,
        does: "runs one instance of every task",
    });
    [system].into_iter().chain(partitions).collect()
}

/// The request as it is written on a command line.
fn flags(request: &PlacementRequest) -> String {
    let cores = request.cores.as_deref().map_or("auto".to_owned(), core_list);
    let partitions = request.partitions.map_or("one per core".to_owned(), |n| n.to_string());
    let pin = match request.pin {
        Pin::Auto => "auto",
        Pin::On => "on",
        Pin::Off => "off",
    };
    format!("--cores {cores}, --partitions {partitions}, --pin {pin}")
}

fn section(text: &mut String, title: &str, rows: &[(impl AsRef<str>, String)]) {
    line(text, &format!("\n{title}"));
    let width = rows.iter().map(|(name, _)| name.as_ref().chars().count()).max().unwrap_or(0);
    for (name, value) in rows {
        line(text, &format!("  {:<width$}  {value}", name.as_ref()));
    }
}

fn line(text: &mut String, content: &str) {
    writeln!(text, "{content}").expect("a string takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::placement::{Machine, Topology};
    use crate::time::ManualClock;

    fn laptop() -> Host {
        let cpu = |id: usize| Cpu {
            id,
            package: 0,
            core: id % 2,
            node: id % 2,
            cache: None,
            kind: if id == 1 { CoreKind::Efficiency } else { CoreKind::Performance },
        };
        Host {
            model: "Testium".into(),
            kernel: "Linux 6".into(),
            machine: Machine {
                allowed: vec![0, 1, 2],
                topology: Topology { cpus: (0..3).map(cpu).collect() },
                quota_cores: Some(1.5),
                may_pin: true,
                ..Machine::default()
            },
            available_parallelism: Some(1),
            huge_pages: Some("madvise".into()),
            governor: None,
            memory_bytes: Some(3 << 30),
            swapped_bytes: None,
            clock_source: None,
            wake_up_us: None,
            numa_balancing: false,
            offline: Vec::new(),
            tells_topology: true,
            quota: None,
        }
    }

    fn diagnosed(request: &PlacementRequest) -> Diagnosis {
        let host = laptop();
        let plan = placement::plan(&host.machine, request).expect("a plan");
        let clock = ClockCost { read_ns: 21.5, resolution_ns: 10 };
        Diagnosis::new(host, request, plan, (clock, Probe::default()))
    }

    #[test]
    fn text_says_everything_that_the_plan_depends_on() {
        let request = PlacementRequest { pin: Pin::On, partitions: Some(3), cores: None };
        let text = diagnosed(&request).text();
        for wanted in [
            "Testium",
            "3.0 GiB",
            "not told",
            "0-2 (3 in all)",
            "2; SMT: 3 threads on them",
            "0: 0,2; 1: 1",
            "1.5 cores",
            "permitted",
            "21.5 ns",
            "plan for --cores auto, --partitions 3, --pin on",
            "core 2: performance core, shares its physical core with 0",
            "mill-p2",
            "costs: with hashed keys the slowest",
            "do: --cores 0,2",
            "warning: the cgroup quota of 1.5 cores is below the 3 allowed cores",
        ] {
            assert!(text.contains(wanted), "{wanted:?} is missing in\n{text}");
        }
        assert!(text.ends_with('\n') && text.lines().all(|line| line == line.trim_end()));
    }

    #[test]
    fn json_has_the_same_facts() {
        let request = PlacementRequest { pin: Pin::On, ..PlacementRequest::default() };
        let json: serde_json::Value =
            serde_json::from_str(&diagnosed(&request).json()).expect("JSON");
        assert_eq!(json["host"]["machine"]["quota_cores"], 1.5);
        assert_eq!(json["physical_cores"], 2);
        assert_eq!(json["request"]["pin"], "on");
        assert_eq!(json["plan"]["partitions"][0]["core"], 0);
        assert!(json["plan"]["partitions"][0]["why"].is_string());
        assert_eq!(json["numa_nodes"][1]["cores"][0], 1);
        assert_eq!(json["threads"][0]["name"], "mill-system");
        assert_eq!(json["plan"]["warnings"].as_array().map(Vec::len), Some(1));
        let about = |index: usize| json["findings"][index]["about"].as_str().map(str::to_owned);
        assert_eq!((about(0).as_deref(), about(1).as_deref()), (Some("SMT"), Some("hybrid")));
        assert_eq!(json["probe"]["cores"].as_array().map(Vec::len), Some(0));
    }

    #[test]
    fn a_clock_that_stands_still_is_measured_all_the_same() {
        let cost = ClockCost::measure(&ManualClock::default());
        assert_eq!(cost, ClockCost { read_ns: 0.0, resolution_ns: 0 });
    }

    #[test]
    fn the_clock_of_this_host_moves() {
        let cost = ClockCost::measure(&MonotonicClock);
        assert!(cost.read_ns > 0.0 && cost.resolution_ns > 0, "{cost:?}");
    }
}
