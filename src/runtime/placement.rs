//! Which partition runs on which core, and why: a pure function of the machine and the request.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::config::Pin;
use crate::error::{Error, ErrorKind, Result};

/// What a job asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PlacementRequest {
    /// These cores, partition 0 on the first; `None` lets the plan choose.
    pub cores: Option<Vec<usize>>,
    /// How many partitions; `None` means one per core.
    pub partitions: Option<usize>,
    /// Whether they are pinned.
    pub pin: Pin,
}

/// What the placement depends on. Read by [`crate::runtime::host::machine`].
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Machine {
    /// Logical CPUs that this process may use, ascending.
    pub allowed: Vec<usize>,
    /// What is known about them.
    pub topology: Topology,
    /// How many cores' worth of time the cgroup grants; `None` without a limit.
    pub quota_cores: Option<f64>,
    /// Whether the operating system lets a thread choose its core.
    pub may_pin: bool,
}

/// The logical CPUs of a machine; in a container those that are visible.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Topology {
    /// In no particular order; a CPU that is missing counts as a core of its own on node 0.
    pub cpus: Vec<Cpu>,
}

/// One logical CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Cpu {
    /// The operating system's number for it.
    pub id: usize,
    /// The socket.
    pub package: usize,
    /// The physical core: SMT siblings share it. Unique within a package.
    pub core: usize,
    /// The NUMA node.
    pub node: usize,
    /// Large or small, on a hybrid processor.
    pub kind: CoreKind,
}

/// The two classes of cores of a hybrid processor; elsewhere all are [`CoreKind::Performance`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CoreKind {
    /// A large core.
    Performance,
    /// A small core: slower, and with hashed keys it sets the pace of all.
    Efficiency,
}

/// Where everything runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// One entry per partition, in order.
    pub partitions: Vec<Placed>,
    /// Allowed cores without a partition: for the supervisor, blocking sources, the user's own
    /// threads. Empty if the partitions take them all.
    pub housekeeping: Vec<usize>,
    /// What is not as asked, or slower than it looks; for the user to read.
    pub warnings: Vec<String>,
    /// Whether the partitions are to be pinned.
    pub pinned: bool,
    /// Whether partitions have to share cores or a quota, so that whoever is idle must park.
    pub overcommitted: bool,
}

/// One partition's place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Placed {
    /// The core it is pinned to; `None` if the operating system chooses.
    pub core: Option<usize>,
    /// Why this one.
    pub why: String,
}

/// The name of the thread that partition `index` runs on, as `top -H` shows it: at most 15 bytes.
pub fn thread_name(index: usize) -> String {
    format!("mill-p{index}")
}

/// The name of the unpinned thread that starts the partitions and serves their system.
pub const SYSTEM_THREAD: &str = "mill-system";

/// The thread of a job that runs futures, if it has any; its name as `top -H` shows it.
pub const ASYNC_THREAD: &str = "mill-async";

impl Topology {
    /// What is known about the CPU `id`.
    pub fn cpu(&self, id: usize) -> Cpu {
        let known = self.cpus.iter().find(|cpu| cpu.id == id);
        // An unknown core number that collides with no known one.
        let alone = Cpu { id, package: usize::MAX, core: id, node: 0, kind: CoreKind::Performance };
        known.copied().unwrap_or(alone)
    }
}

/// Plans where the partitions of a job run.
///
/// SMT siblings are avoided first, then small cores, then a second NUMA node; within those the
/// first core comes last, since it serves most interrupts. With more than two allowed cores one at
/// least is left for housekeeping, unless `request` wants them all.
///
/// # Errors
/// [`ErrorKind::Usage`] if a core is asked for that this process may not use, or none;
/// [`ErrorKind::Permission`] if pinning is demanded and impossible.
pub fn plan(machine: &Machine, request: &PlacementRequest) -> Result<Plan> {
    check(machine, request)?;
    let seats = match &request.cores {
        Some(cores) => named_seats(machine, cores),
        None => ranked_seats(machine, request.partitions),
    };
    let count = request.partitions.unwrap_or_else(|| default_count(machine, request, &seats));
    let mut warnings = Vec::new();
    let short = shortage(machine, seats.len(), count);
    warnings.extend(short.as_ref().map(|short| short.text.clone()));
    let unpinned = why_unpinned(machine, request.pin, short.as_ref())?;
    if let Some(Unpinned::NotPermitted) = unpinned {
        warnings.push("the system does not let threads choose a core: not pinned".to_owned());
    }
    let overcommitted = short.is_some();
    if let Some(unpinned) = unpinned {
        let place = Placed { core: None, why: unpinned.text().to_owned() };
        return Ok(Plan {
            partitions: vec![place; count],
            housekeeping: Vec::new(),
            warnings,
            pinned: false,
            overcommitted,
        });
    }
    let mut taken = seats[..count].to_vec();
    if request.cores.is_none() {
        // Neighbours exchange most at little cost, so partitions follow the machine's order.
        taken.sort_by_key(|seat| (seat.cpu.node, seat.cpu.id));
    }
    warnings.extend(slow_seats(&taken));
    let explained = Explained { seats: &seats, taken: &taken, named: request.cores.is_some() };
    let place = |seat: &Seat| Placed { core: Some(seat.cpu.id), why: explained.why(seat) };
    let is_free = |id: &&usize| taken.iter().all(|seat| seat.cpu.id != **id);
    Ok(Plan {
        partitions: taken.iter().map(place).collect(),
        housekeeping: machine.allowed.iter().filter(is_free).copied().collect(),
        warnings,
        pinned: true,
        overcommitted,
    })
}

/// Writes ascending runs as ranges: `0-3,8`.
pub fn core_list(cores: &[usize]) -> String {
    let run = |run: &[usize]| match run {
        [first, .., last] => format!("{first}-{last}"),
        [only] => only.to_string(),
        [] => String::new(),
    };
    let runs = cores.chunk_by(|core, next| core.checked_add(1) == Some(*next));
    runs.map(run).collect::<Vec<_>>().join(",")
}

/// A CPU that a partition may get.
#[derive(Clone, Copy, Debug)]
struct Seat {
    cpu: Cpu,
    // How many CPUs of the same physical core come before it.
    sibling_rank: usize,
}

impl Seat {
    fn shares_core_with(&self, other: &Seat) -> bool {
        let core = |seat: &Seat| (seat.cpu.package, seat.cpu.core);
        self.cpu.id != other.cpu.id && core(self) == core(other)
    }
}

fn check(machine: &Machine, request: &PlacementRequest) -> Result<()> {
    let refuse = |what: &str, value: usize| {
        let allowed = core_list(&machine.allowed);
        let text = format!(
            "{what} at --cores: {value}; allowed are the cores of this process, each once: \
             {allowed}"
        );
        Err(Error::new(ErrorKind::Usage, text))
    };
    let cores = request.cores.as_deref().unwrap_or_default();
    for (index, core) in cores.iter().enumerate() {
        if !machine.allowed.contains(core) {
            return refuse("core not available", *core);
        }
        if cores[..index].contains(core) {
            return refuse("core named twice", *core);
        }
    }
    if request.cores.as_ref().is_some_and(Vec::is_empty) {
        return Err(Error::new(ErrorKind::Usage, "no core at --cores; name at least one"));
    }
    if request.partitions == Some(0) {
        return Err(Error::new(ErrorKind::Usage, "0 at --partitions; allowed is 1..=1024"));
    }
    Ok(())
}

fn named_seats(machine: &Machine, cores: &[usize]) -> Vec<Seat> {
    let mut seats: Vec<Seat> = Vec::with_capacity(cores.len());
    for core in cores {
        let mut seat = Seat { cpu: machine.topology.cpu(*core), sibling_rank: 0 };
        seat.sibling_rank = seats.iter().filter(|before| before.shares_core_with(&seat)).count();
        seats.push(seat);
    }
    seats
}

/// All allowed CPUs, the best first.
fn ranked_seats(machine: &Machine, partitions: Option<usize>) -> Vec<Seat> {
    let mut allowed = machine.allowed.clone();
    allowed.sort_unstable();
    let mut seats = named_seats(machine, &allowed);
    let first = seats.first().copied();
    let nodes = node_order(&seats, partitions.unwrap_or(usize::MAX));
    seats.sort_by_key(|seat| {
        let cpu = seat.cpu;
        let on_first = first
            .is_some_and(|first| (first.cpu.package, first.cpu.core) == (cpu.package, cpu.core));
        (seat.sibling_rank, cpu.kind, nodes[&cpu.node], on_first, cpu.id)
    });
    seats
}

/// The rank of each NUMA node: first the smallest one in which all partitions find a physical core
/// of the best kind, then the others by size.
fn node_order(seats: &[Seat], partitions: usize) -> BTreeMap<usize, usize> {
    let best = seats.iter().map(|seat| seat.cpu.kind).min();
    let mut sizes: BTreeMap<usize, usize> = BTreeMap::new();
    for seat in seats {
        let counts = seat.sibling_rank == 0 && Some(seat.cpu.kind) == best;
        *sizes.entry(seat.cpu.node).or_default() += usize::from(counts);
    }
    let mut order: Vec<(usize, usize)> = sizes.into_iter().collect();
    order.sort_by_key(|&(node, size)| match size >= partitions {
        true => (0, size, node),
        false => (1, usize::MAX - size, node),
    });
    order.into_iter().enumerate().map(|(rank, (node, _))| (node, rank)).collect()
}

/// One partition per core that was named; else one per physical core, at least one CPU left free
/// if there are more than two, and no more than the quota can feed.
fn default_count(machine: &Machine, request: &PlacementRequest, seats: &[Seat]) -> usize {
    if request.cores.is_some() {
        return seats.len();
    }
    let physical = seats.iter().filter(|seat| seat.sibling_rank == 0).count();
    let leaves_some_free = physical < seats.len() || seats.len() <= 2;
    let count = if leaves_some_free { physical } else { physical - 1 };
    let fed = machine.quota_cores.map_or(usize::MAX, |quota| quota.floor() as usize);
    count.min(fed).max(1)
}

/// Too little of something for every partition to have a core for itself.
struct Shortage {
    kind: ShortageKind,
    text: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ShortageKind {
    Cores,
    Quota,
}

fn shortage(machine: &Machine, cores: usize, count: usize) -> Option<Shortage> {
    if count > cores {
        let text = format!(
            "{count} partitions on {cores} allowed cores: not pinned, a partition without work \
             parks"
        );
        return Some(Shortage { kind: ShortageKind::Cores, text });
    }
    let quota = machine.quota_cores.filter(|quota| *quota < cores as f64)?;
    let text = format!(
        "the cgroup quota of {quota} cores is below the {cores} allowed cores: {count} partitions \
         share it, and a partition without work parks"
    );
    Some(Shortage { kind: ShortageKind::Quota, text })
}

/// Why the operating system chooses the cores.
#[derive(Clone, Copy)]
enum Unpinned {
    Off,
    TooFewCores,
    Quota,
    NotPermitted,
}

impl Unpinned {
    fn text(self) -> &'static str {
        match self {
            Unpinned::Off => "not pinned: --pin off",
            Unpinned::TooFewCores => "not pinned: there are fewer cores than partitions",
            // Others use the same cores, so the scheduler must be free to move us to an idle one.
            Unpinned::Quota => "not pinned: the cgroup quota grants only a share of the cores",
            Unpinned::NotPermitted => "not pinned: the system does not permit it",
        }
    }
}

fn why_unpinned(machine: &Machine, pin: Pin, short: Option<&Shortage>) -> Result<Option<Unpinned>> {
    let impossible = |what: &str| {
        let text = format!("cannot pin partitions at --pin: on; {what}");
        Err(Error::new(ErrorKind::Permission, text))
    };
    let short = short.map(|short| short.kind);
    match pin {
        Pin::Off => Ok(Some(Unpinned::Off)),
        Pin::On if short == Some(ShortageKind::Cores) => {
            impossible("there are fewer cores than partitions")
        }
        Pin::On if !machine.may_pin => impossible("the system does not let threads choose a core"),
        Pin::On => Ok(None),
        Pin::Auto => Ok(match short {
            Some(ShortageKind::Cores) => Some(Unpinned::TooFewCores),
            Some(ShortageKind::Quota) => Some(Unpinned::Quota),
            None if !machine.may_pin => Some(Unpinned::NotPermitted),
            None => None,
        }),
    }
}

fn slow_seats(taken: &[Seat]) -> Vec<String> {
    let mut warnings = Vec::new();
    let shared = taken.iter().filter(|seat| taken.iter().any(|other| seat.shares_core_with(other)));
    let shared = shared.count();
    if shared > 0 {
        warnings.push(format!(
            "{shared} of {} partitions share a physical core with another (SMT)",
            taken.len()
        ));
    }
    let small = taken.iter().filter(|seat| seat.cpu.kind == CoreKind::Efficiency).count();
    if small > 0 && small < taken.len() {
        warnings.push(format!(
            "{small} of {} partitions run on efficiency cores and may hold up the others",
            taken.len()
        ));
    }
    warnings
}

/// Puts the choice of a seat into words.
struct Explained<'a> {
    seats: &'a [Seat],
    taken: &'a [Seat],
    named: bool,
}

impl Explained<'_> {
    fn why(&self, seat: &Seat) -> String {
        let named = self.named.then(|| "named by --cores".to_owned());
        let parts = [named, self.about_kind(seat), Some(self.about_core(seat)), self.node(seat)];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    fn about_core(&self, seat: &Seat) -> String {
        let siblings = |seats: &[Seat]| -> Vec<usize> {
            seats.iter().filter(|other| other.shares_core_with(seat)).map(|s| s.cpu.id).collect()
        };
        let (taken, all) = (siblings(self.taken), siblings(self.seats));
        if !taken.is_empty() {
            return format!("shares its physical core with {}", core_list(&taken));
        }
        match all.is_empty() {
            true => "a physical core of its own".to_owned(),
            false => format!("a physical core whose SMT sibling {} is free", core_list(&all)),
        }
    }

    fn about_kind(&self, seat: &Seat) -> Option<String> {
        let kind = seat.cpu.kind;
        if self.seats.iter().all(|other| other.cpu.kind == kind) {
            return None;
        }
        Some(match kind {
            CoreKind::Performance => "performance core".to_owned(),
            CoreKind::Efficiency if self.named => "efficiency core".to_owned(),
            CoreKind::Efficiency => {
                "efficiency core, as the performance cores are taken".to_owned()
            }
        })
    }

    fn node(&self, seat: &Seat) -> Option<String> {
        let node = seat.cpu.node;
        if self.seats.iter().all(|other| other.cpu.node == node) {
            return None;
        }
        let together = self.taken.iter().all(|other| other.cpu.node == node);
        Some(match together {
            true => format!("NUMA node {node} like all others"),
            false => format!("NUMA node {node}, as they do not fit into one"),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::runtime::host::parse_core_list;

    const VM: &str = include_str!("../../tests/fixtures/topology/vm-2-cores.txt");
    const LAPTOP: &str = include_str!("../../tests/fixtures/topology/laptop-hybrid.txt");
    const SERVER: &str = include_str!("../../tests/fixtures/topology/server-2x32-numa.txt");
    const CONTAINER: &str = include_str!("../../tests/fixtures/topology/container-quota.txt");

    fn recorded(text: &str) -> Machine {
        let mut machine = Machine { may_pin: true, ..Machine::default() };
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let number = |text: &str| text.parse().expect("a number");
            match words[..] {
                ["cpu", id, "package", package, "core", core, "node", node, "kind", kind] => {
                    machine.topology.cpus.push(Cpu {
                        id: number(id),
                        package: number(package),
                        core: number(core),
                        node: number(node),
                        kind: match kind {
                            "performance" => CoreKind::Performance,
                            "efficiency" => CoreKind::Efficiency,
                            _ => panic!("unknown kind in {line}"),
                        },
                    });
                }
                ["allowed", list] => machine.allowed = parse_core_list(list),
                ["quota", cores] => machine.quota_cores = Some(cores.parse().expect("a number")),
                _ => panic!("unknown line {line}"),
            }
        }
        machine
    }

    fn partitions(count: usize) -> PlacementRequest {
        PlacementRequest { partitions: Some(count), ..PlacementRequest::default() }
    }

    fn cores(plan: &Plan) -> Vec<usize> {
        plan.partitions.iter().filter_map(|placed| placed.core).collect()
    }

    fn planned(text: &str, request: &PlacementRequest) -> Plan {
        plan(&recorded(text), request).expect("a plan")
    }

    #[test]
    fn two_cores_are_both_used_without_a_warning() {
        let plan = planned(VM, &PlacementRequest::default());
        assert_eq!((cores(&plan), plan.pinned), (vec![0, 1], true));
        assert!(plan.housekeeping.is_empty() && plan.warnings.is_empty());
        assert_eq!(plan.partitions[1].why, "a physical core of its own");
    }

    #[test]
    fn more_partitions_than_cores_warn_with_both_numbers_and_run_unpinned() {
        let plan = planned(VM, &partitions(5));
        assert_eq!((plan.partitions.len(), plan.pinned, plan.overcommitted), (5, false, true));
        assert!(cores(&plan).is_empty());
        assert!(plan.warnings[0].contains("5 partitions on 2 allowed cores"), "{plan:?}");
    }

    #[test]
    fn a_core_outside_the_allowed_set_is_a_usage_error_that_names_the_set() {
        for (wrong, what) in [
            (vec![5_000], "core not available at --cores: 5000"),
            (vec![0, 2], "core not available at --cores: 2"),
            (vec![0, 0], "core named twice at --cores: 0"),
        ] {
            let request = PlacementRequest { cores: Some(wrong), ..PlacementRequest::default() };
            let error = plan(&recorded(VM), &request).expect_err("a refusal");
            assert_eq!(error.kind(), ErrorKind::Usage);
            assert!(error.context().starts_with(what), "{error}");
            assert!(error.context().ends_with(": 0-1"), "{error}");
        }
        let none = PlacementRequest { cores: Some(vec![]), ..PlacementRequest::default() };
        assert_eq!(plan(&recorded(VM), &none).expect_err("none").kind(), ErrorKind::Usage);
        assert_eq!(plan(&recorded(VM), &partitions(0)).expect_err("0").kind(), ErrorKind::Usage);
    }

    #[test]
    fn demanded_pins_that_are_impossible_are_a_permission_error() {
        let on = PlacementRequest { pin: Pin::On, ..partitions(3) };
        let error = plan(&recorded(VM), &on).expect_err("3 on 2 cores");
        assert_eq!(error.kind().exit_code(), 77);
        let forbidden = Machine { may_pin: false, ..recorded(VM) };
        let on = PlacementRequest { pin: Pin::On, ..PlacementRequest::default() };
        assert_eq!(plan(&forbidden, &on).expect_err("forbidden").kind(), ErrorKind::Permission);
        let auto = plan(&forbidden, &PlacementRequest::default()).expect("auto goes on");
        assert_eq!((auto.pinned, auto.warnings.len(), auto.overcommitted), (false, 1, false));
    }

    #[test]
    fn pinning_that_is_off_is_no_warning() {
        let off = PlacementRequest { pin: Pin::Off, ..PlacementRequest::default() };
        let plan = planned(VM, &off);
        assert_eq!((plan.pinned, plan.warnings.len(), plan.partitions.len()), (false, 0, 2));
        assert_eq!(plan.partitions[0].why, "not pinned: --pin off");
    }

    #[test]
    fn laptop_fills_performance_cores_then_small_ones_then_siblings() {
        let few = planned(LAPTOP, &partitions(3));
        assert_eq!(cores(&few), [2, 4, 6]);
        assert!(few.warnings.is_empty(), "{few:?}");
        let why = &few.partitions[0].why;
        assert_eq!(why, "performance core, a physical core whose SMT sibling 3 is free");
        let default = planned(LAPTOP, &PlacementRequest::default());
        assert_eq!(cores(&default), [0, 2, 4, 6, 8, 9, 10, 11]);
        assert_eq!(default.housekeeping, [1, 3, 5, 7]);
        assert!(default.warnings[0].contains("4 of 8 partitions run on efficiency cores"));
        let more = planned(LAPTOP, &partitions(9));
        assert_eq!(cores(&more), [0, 2, 3, 4, 6, 8, 9, 10, 11]);
        assert!(more.warnings[0].contains("2 of 9 partitions share a physical core"), "{more:?}");
    }

    #[test]
    fn server_keeps_to_one_numa_node_while_the_partitions_fit() {
        let fits = planned(SERVER, &partitions(32));
        assert_eq!(cores(&fits), (0..32).collect::<Vec<_>>());
        assert!(fits.partitions[7].why.ends_with("NUMA node 0 like all others"), "{fits:?}");
        let few = planned(SERVER, &partitions(4));
        assert_eq!(cores(&few), [1, 2, 3, 4], "the first core serves interrupts");
        let spread = planned(SERVER, &partitions(40));
        assert_eq!(cores(&spread), (0..40).collect::<Vec<_>>(), "a node before a sibling");
        assert!(spread.warnings.is_empty());
        let default = planned(SERVER, &PlacementRequest::default());
        assert_eq!(cores(&default), (0..64).collect::<Vec<_>>());
        assert_eq!(default.housekeeping, (64..128).collect::<Vec<_>>());
    }

    #[test]
    fn the_smaller_node_is_taken_when_everything_fits_there() {
        let mut machine = recorded(SERVER);
        machine.allowed = (8..32).chain(32..40).collect();
        let plan = plan(&machine, &partitions(8)).expect("a plan");
        assert_eq!(cores(&plan), (32..40).collect::<Vec<_>>());
    }

    #[test]
    fn quota_below_the_cores_warns_with_both_numbers_and_runs_unpinned() {
        let default = planned(CONTAINER, &PlacementRequest::default());
        assert_eq!((default.partitions.len(), default.pinned), (2, false));
        assert!(default.overcommitted);
        let warning = &default.warnings[0];
        assert!(warning.contains("2.5 cores") && warning.contains("4 allowed cores"), "{warning}");
        let on = PlacementRequest { pin: Pin::On, ..PlacementRequest::default() };
        let pinned = planned(CONTAINER, &on);
        assert_eq!((cores(&pinned), pinned.warnings.len()), (vec![5, 6], 1));
        let mut machine = recorded(CONTAINER);
        machine.quota_cores = Some(0.5);
        let starved = plan(&machine, &PlacementRequest::default()).expect("a plan");
        assert_eq!(starved.partitions.len(), 1);
    }

    #[test]
    fn one_core_is_left_for_housekeeping_when_there_are_more_than_two() {
        let mut machine = recorded(CONTAINER);
        machine.quota_cores = None;
        let default = plan(&machine, &PlacementRequest::default()).expect("a plan");
        assert_eq!((cores(&default), default.housekeeping), (vec![5, 6, 7], vec![4]));
        let all = plan(&machine, &partitions(4)).expect("a plan");
        assert_eq!((cores(&all), all.housekeeping), (vec![4, 5, 6, 7], vec![]));
    }

    #[test]
    fn named_cores_keep_their_order_and_say_so() {
        let request =
            PlacementRequest { cores: Some(vec![3, 8, 2]), ..PlacementRequest::default() };
        let plan = planned(LAPTOP, &request);
        assert_eq!(cores(&plan), [3, 8, 2]);
        let why = "named by --cores, performance core, shares its physical core with 2";
        assert_eq!(plan.partitions[0].why, why);
        assert_eq!(plan.housekeeping, [0, 1, 4, 5, 6, 7, 9, 10, 11]);
    }

    #[test]
    fn unknown_topology_is_a_row_of_equal_cores() {
        let machine = Machine { allowed: vec![0, 1, 2], may_pin: true, ..Machine::default() };
        let plan = plan(&machine, &PlacementRequest::default()).expect("a plan");
        assert_eq!((cores(&plan), plan.housekeeping), (vec![1, 2], vec![0]));
    }

    #[test]
    fn thread_names_fit_the_kernel() {
        for name in [&*thread_name(1_023), SYSTEM_THREAD, ASYNC_THREAD] {
            assert!(name.len() <= 15);
        }
    }

    #[test]
    fn runs_are_written_as_ranges() {
        assert_eq!(core_list(&[0, 1, 2, 3, 8]), "0-3,8");
        assert_eq!(core_list(&[]), "");
    }

    prop_compose! {
        fn any_machine()(
            cpus in proptest::collection::vec((any::<bool>(), 0usize..6, 0usize..3), 1..24),
            quota in proptest::option::of(1u32..3_000),
            may_pin in any::<bool>(),
        ) -> Machine {
            let cpu = |(id, &(small, core, node)): (usize, &(bool, usize, usize))| Cpu {
                id,
                package: node,
                core,
                node,
                kind: if small { CoreKind::Efficiency } else { CoreKind::Performance },
            };
            Machine {
                // Every third CPU is hidden from us.
                allowed: (0..cpus.len()).filter(|id| id % 3 != 1).collect(),
                topology: Topology { cpus: cpus.iter().enumerate().map(cpu).collect() },
                quota_cores: quota.map(|percent| f64::from(percent) / 100.0),
                may_pin,
            }
        }
    }

    proptest! {
        #[test]
        fn every_plan_uses_allowed_cores_once_and_has_all_partitions(
            machine in any_machine(),
            partitions in proptest::option::of(1usize..40),
            pin in prop_oneof![Just(Pin::Auto), Just(Pin::Off), Just(Pin::On)],
        ) {
            let request = PlacementRequest { cores: None, partitions, pin };
            let plan = match plan(&machine, &request) {
                Ok(plan) => plan,
                Err(error) => {
                    prop_assert_eq!((error.kind(), pin), (ErrorKind::Permission, Pin::On));
                    return Ok(());
                }
            };
            prop_assert!(!plan.partitions.is_empty());
            if let Some(wanted) = partitions {
                prop_assert_eq!(plan.partitions.len(), wanted);
            }
            let taken = cores(&plan);
            prop_assert_eq!(taken.len(), if plan.pinned { plan.partitions.len() } else { 0 });
            let together = taken.iter().chain(&plan.housekeeping);
            let mut together: Vec<usize> = together.copied().collect();
            together.sort_unstable();
            if plan.pinned {
                prop_assert_eq!(together, machine.allowed.clone());
                prop_assert!(machine.may_pin);
            } else if pin == Pin::Auto {
                prop_assert!(!plan.warnings.is_empty(), "an unpinned run says why");
            }
        }
    }
}
