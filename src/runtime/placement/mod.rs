//! Which partition runs on which core, and why: a pure function of the machine and the request.

mod seat;
mod why;

use serde::Serialize;

use crate::config::Pin;
use crate::error::{Error, ErrorKind, Result};
use crate::runtime::placement::seat::{Seat, named_seats, ranked_seats};
use crate::runtime::placement::why::{Explained, slow_seats};

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
    /// Cores that jobs have pinned which run already; see [`crate::runtime::lease`].
    pub leased: Vec<Leased>,
    /// Files that were cut or absurd, a line each: where, what, and what is taken instead.
    pub oddities: Vec<String>,
}

/// A core that a running job has pinned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Leased {
    /// The core.
    pub core: usize,
    /// The process of the job, where it is known.
    pub pid: Option<u32>,
    /// Whether that is this process.
    pub is_ours: bool,
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
    /// The first of the CPUs that it shares a last-level cache with; `None` where it is not told.
    pub cache: Option<usize>,
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
        // An unknown core is in a package of its own, so that it collides with no known one.
        known.copied().unwrap_or(Cpu {
            id,
            package: usize::MAX,
            core: id,
            node: 0,
            cache: None,
            kind: CoreKind::Performance,
        })
    }
}

/// Plans where the partitions of a job run.
///
/// SMT siblings are avoided first, then small cores, then a second NUMA node, then a second
/// last-level cache; within those the first core comes last, since it serves most interrupts. With
/// more than two allowed cores one at least is left for housekeeping, unless `request` wants them
/// all. Cores that another job has pinned are left to it; how many partitions there are does not
/// depend on them.
///
/// # Errors
/// [`ErrorKind::Usage`] if a core is asked for that this process may not use, or none;
/// [`ErrorKind::Permission`] if pinning is demanded and impossible.
pub fn plan(machine: &Machine, request: &PlacementRequest) -> Result<Plan> {
    check(machine, request)?;
    let all = match &request.cores {
        Some(cores) => named_seats(machine, cores),
        None => ranked_seats(machine, &[], request.partitions),
    };
    let count = request.partitions.unwrap_or_else(|| default_count(machine, request, &all));
    let avoided = avoided(machine, request);
    let seats = match &request.cores {
        Some(_) => all.into_iter().filter(|seat| !is_in(&avoided, seat.cpu.id)).collect(),
        None if avoided.is_empty() => all,
        None => ranked_seats(machine, &avoided, Some(count)),
    };
    let mut warnings = Vec::new();
    warnings.extend(odd_files(&machine.oddities));
    let short = shortage(machine, request, (seats.len(), count));
    warnings.extend(short.as_ref().map(|short| short.text.clone()));
    let unpinned = why_unpinned(machine, request.pin, short.as_ref())?;
    if let Some(Unpinned::NotPermitted) = unpinned {
        warnings.push("the system does not let threads choose a core: not pinned".to_owned());
    }
    if let Some(unpinned) = unpinned {
        let place = Placed { core: None, why: unpinned.text().to_owned() };
        return Ok(Plan {
            partitions: vec![place; count],
            housekeeping: Vec::new(),
            warnings,
            pinned: false,
            overcommitted: short.is_some(),
        });
    }
    let mut taken = seats[..count].to_vec();
    if request.cores.is_none() {
        // Neighbours exchange most at little cost, so partitions follow the machine's order.
        taken.sort_by_key(|seat| (seat.cpu.node, seat.cpu.cache, seat.cpu.id));
    }
    let shared = shared_with_ours(machine, &taken);
    warnings.extend(shared.clone());
    warnings.extend(slow_seats(&taken));
    let leased: Vec<usize> = avoided.iter().map(|one| one.core).collect();
    let leased = named_seats(machine, &leased);
    let named = request.cores.is_some();
    let explained = Explained { seats: &seats, taken: &taken, leased: &leased, named };
    let place = |seat: &Seat| Placed { core: Some(seat.cpu.id), why: explained.why(seat) };
    let is_free =
        |id: &&usize| taken.iter().all(|seat| seat.cpu.id != **id) && !is_in(&machine.leased, **id);
    Ok(Plan {
        partitions: taken.iter().map(place).collect(),
        housekeeping: machine.allowed.iter().filter(is_free).copied().collect(),
        warnings,
        pinned: true,
        overcommitted: short.is_some() || shared.is_some(),
    })
}

/// The leased cores that the plan stays away from: all, but for those of this process's other jobs
/// that are asked for by number.
fn avoided(machine: &Machine, request: &PlacementRequest) -> Vec<Leased> {
    let named = request.cores.is_some();
    let leased = machine.leased.iter().filter(|one| machine.allowed.contains(&one.core));
    leased.filter(|one| request.pin != Pin::Off && !(named && one.is_ours)).cloned().collect()
}

fn is_in(leased: &[Leased], core: usize) -> bool {
    leased.iter().any(|one| one.core == core)
}

fn odd_files(oddities: &[String]) -> Option<String> {
    let first = oddities.first()?;
    Some(match oddities.len() - 1 {
        0 => first.clone(),
        more => format!("{first} (and {more} more, see millstream doctor)"),
    })
}

/// Cores that were named although another job of this process has pinned them.
fn shared_with_ours(machine: &Machine, taken: &[Seat]) -> Option<String> {
    let shared = taken.iter().map(|seat| seat.cpu.id).filter(|id| is_in(&machine.leased, *id));
    let shared: Vec<usize> = shared.collect();
    (!shared.is_empty()).then(|| {
        let cores = core_list(&shared);
        format!(
            "another job of this process has pinned {cores} too: a partition without work parks"
        )
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

#[derive(PartialEq, Eq)]
enum ShortageKind {
    Cores,
    /// Who has pinned them.
    Leases(String),
    Quota,
}

/// * `free` - cores that a partition may get.
/// * `count` - partitions.
fn shortage(
    machine: &Machine,
    request: &PlacementRequest,
    (free, count): (usize, usize),
) -> Option<Shortage> {
    let cores = request.cores.as_ref().map_or(machine.allowed.len(), Vec::len);
    if count > cores {
        let text = format!(
            "{count} partitions on {cores} allowed cores: not pinned, a partition without work \
             parks"
        );
        return Some(Shortage { kind: ShortageKind::Cores, text });
    }
    if count > free {
        let holders = holders(machine, request);
        let text = format!(
            "{count} partitions and {free} free cores, as {holders}: not pinned, a partition \
             without work parks"
        );
        return Some(Shortage { kind: ShortageKind::Leases(holders), text });
    }
    let quota = machine.quota_cores.filter(|quota| *quota < cores as f64)?;
    let text = format!(
        "the cgroup quota of {quota} cores is below the {cores} allowed cores: {count} partitions \
         share it, and a partition without work parks"
    );
    Some(Shortage { kind: ShortageKind::Quota, text })
}

/// Who has pinned the cores that are asked for, in words.
fn holders(machine: &Machine, request: &PlacementRequest) -> String {
    let is_wanted = |core: usize| request.cores.as_ref().is_none_or(|cores| cores.contains(&core));
    let leased = avoided(machine, request).into_iter().filter(|one| is_wanted(one.core));
    let mut by_holder: Vec<(Leased, Vec<usize>)> = Vec::new();
    for one in leased {
        match by_holder.iter_mut().find(|(known, _)| known.pid == one.pid) {
            Some((_, cores)) => cores.push(one.core),
            None => by_holder.push((one.clone(), vec![one.core])),
        }
    }
    let said = by_holder.iter().map(|(holder, cores)| {
        let who = match (holder.is_ours, holder.pid) {
            (true, _) => "another job of this process".to_owned(),
            (false, Some(pid)) => format!("process {pid}"),
            (false, None) => "another process".to_owned(),
        };
        format!("{who} has pinned {}", core_list(cores))
    });
    said.collect::<Vec<_>>().join(" and ")
}

/// Why the operating system chooses the cores.
#[derive(Clone, Copy)]
enum Unpinned {
    Off,
    TooFewCores,
    Leased,
    Quota,
    NotPermitted,
}

impl Unpinned {
    fn text(self) -> &'static str {
        match self {
            Unpinned::Off => "not pinned: --pin off",
            Unpinned::TooFewCores => "not pinned: there are fewer cores than partitions",
            Unpinned::Leased => "not pinned: other jobs have pinned cores that it takes",
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
    let short = short.map(|short| &short.kind);
    match (pin, short) {
        (Pin::Off, _) => Ok(Some(Unpinned::Off)),
        (Pin::On, Some(ShortageKind::Cores)) => impossible("there are fewer cores than partitions"),
        // As with too few cores: it is this host, now, that does not allow it, not a wrong knob.
        (Pin::On, Some(ShortageKind::Leases(holders))) => impossible(holders),
        (Pin::On, _) if !machine.may_pin => {
            impossible("the system does not let threads choose a core")
        }
        (Pin::On, _) => Ok(None),
        (Pin::Auto, _) => Ok(match short {
            Some(ShortageKind::Cores) => Some(Unpinned::TooFewCores),
            Some(ShortageKind::Leases(_)) => Some(Unpinned::Leased),
            Some(ShortageKind::Quota) => Some(Unpinned::Quota),
            None if !machine.may_pin => Some(Unpinned::NotPermitted),
            None => None,
        }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn machine(cpus: impl IntoIterator<Item = Cpu>) -> Machine {
        let topology = Topology { cpus: cpus.into_iter().collect() };
        let allowed = topology.cpus.iter().map(|cpu| cpu.id).collect();
        Machine { allowed, topology, may_pin: true, ..Machine::default() }
    }

    fn cpu(id: usize) -> Cpu {
        let kind = CoreKind::Performance;
        Cpu { id, package: 0, core: id, node: 0, cache: None, kind }
    }

    /// 2 cores, no SMT, no limit.
    fn vm() -> Machine {
        machine((0..2).map(cpu))
    }

    /// 4 performance cores with two threads each (0-7), 4 efficiency cores (8-11).
    fn laptop() -> Machine {
        let small = |id| Cpu { kind: CoreKind::Efficiency, ..cpu(id) };
        machine((0..8).map(|id| Cpu { core: id / 2, ..cpu(id) }).chain((8..12).map(small)))
    }

    /// 2 sockets of 32 cores and SMT: siblings are 64 apart, one NUMA node a socket.
    fn server() -> Machine {
        let of = |id: usize| {
            let socket = id / 32 % 2;
            Cpu { package: socket, core: id % 64, node: socket, ..cpu(id) }
        };
        machine((0..128).map(of))
    }

    /// 2.5 cores' worth of the cores 4-7 of 8.
    fn container() -> Machine {
        let all = machine((0..8).map(cpu));
        Machine { allowed: vec![4, 5, 6, 7], quota_cores: Some(2.5), ..all }
    }

    fn leased(machine: Machine, cores: &[usize], is_ours: bool) -> Machine {
        let one = |core: &usize| Leased { core: *core, pid: Some(4_711), is_ours };
        Machine { leased: cores.iter().map(one).collect(), ..machine }
    }

    fn partitions(count: usize) -> PlacementRequest {
        PlacementRequest { partitions: Some(count), ..PlacementRequest::default() }
    }

    fn cores(plan: &Plan) -> Vec<usize> {
        plan.partitions.iter().filter_map(|placed| placed.core).collect()
    }

    fn planned(machine: Machine, request: &PlacementRequest) -> Plan {
        plan(&machine, request).expect("a plan")
    }

    #[test]
    fn two_cores_are_both_used_without_a_warning() {
        let plan = planned(vm(), &PlacementRequest::default());
        assert_eq!((cores(&plan), plan.pinned), (vec![0, 1], true));
        assert!(plan.housekeeping.is_empty() && plan.warnings.is_empty());
        assert_eq!(plan.partitions[1].why, "a physical core of its own");
    }

    #[test]
    fn more_partitions_than_cores_warn_with_both_numbers_and_run_unpinned() {
        let plan = planned(vm(), &partitions(5));
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
            let error = plan(&vm(), &request).expect_err("a refusal");
            assert_eq!(error.kind(), ErrorKind::Usage);
            assert!(error.context().starts_with(what), "{error}");
            assert!(error.context().ends_with(": 0-1"), "{error}");
        }
        let none = PlacementRequest { cores: Some(vec![]), ..PlacementRequest::default() };
        assert_eq!(plan(&vm(), &none).expect_err("none").kind(), ErrorKind::Usage);
        assert_eq!(plan(&vm(), &partitions(0)).expect_err("0").kind(), ErrorKind::Usage);
    }

    #[test]
    fn demanded_pins_that_are_impossible_are_a_permission_error() {
        let on = PlacementRequest { pin: Pin::On, ..partitions(3) };
        let error = plan(&vm(), &on).expect_err("3 on 2 cores");
        assert_eq!(error.kind().exit_code(), 77);
        let forbidden = Machine { may_pin: false, ..vm() };
        let on = PlacementRequest { pin: Pin::On, ..PlacementRequest::default() };
        assert_eq!(plan(&forbidden, &on).expect_err("forbidden").kind(), ErrorKind::Permission);
        let auto = plan(&forbidden, &PlacementRequest::default()).expect("auto goes on");
        assert_eq!((auto.pinned, auto.warnings.len(), auto.overcommitted), (false, 1, false));
    }

    #[test]
    fn pinning_that_is_off_is_no_warning() {
        let off = PlacementRequest { pin: Pin::Off, ..PlacementRequest::default() };
        let plan = planned(vm(), &off);
        assert_eq!((plan.pinned, plan.warnings.len(), plan.partitions.len()), (false, 0, 2));
        assert_eq!(plan.partitions[0].why, "not pinned: --pin off");
    }

    #[test]
    fn laptop_fills_performance_cores_then_small_ones_then_siblings() {
        let few = planned(laptop(), &partitions(3));
        assert_eq!(cores(&few), [2, 4, 6]);
        assert!(few.warnings.is_empty(), "{few:?}");
        let why = &few.partitions[0].why;
        assert_eq!(why, "performance core, a physical core whose SMT sibling 3 is free");
        let default = planned(laptop(), &PlacementRequest::default());
        assert_eq!(cores(&default), [0, 2, 4, 6, 8, 9, 10, 11]);
        assert_eq!(default.housekeeping, [1, 3, 5, 7]);
        assert!(default.warnings[0].contains("4 of 8 partitions run on efficiency cores"));
        let more = planned(laptop(), &partitions(9));
        assert_eq!(cores(&more), [0, 2, 3, 4, 6, 8, 9, 10, 11]);
        assert!(more.warnings[0].contains("2 of 9 partitions share a physical core"), "{more:?}");
    }

    #[test]
    fn server_keeps_to_one_numa_node_while_the_partitions_fit() {
        let fits = planned(server(), &partitions(32));
        assert_eq!(cores(&fits), (0..32).collect::<Vec<_>>());
        assert!(fits.partitions[7].why.ends_with("NUMA node 0 like all others"), "{fits:?}");
        let few = planned(server(), &partitions(4));
        assert_eq!(cores(&few), [1, 2, 3, 4], "the first core serves interrupts");
        let spread = planned(server(), &partitions(40));
        assert_eq!(cores(&spread), (0..40).collect::<Vec<_>>(), "a node before a sibling");
        assert!(spread.warnings.is_empty());
        let default = planned(server(), &PlacementRequest::default());
        assert_eq!(cores(&default), (0..64).collect::<Vec<_>>());
        assert_eq!(default.housekeeping, (64..128).collect::<Vec<_>>());
    }

    #[test]
    fn the_smaller_node_is_taken_when_everything_fits_there() {
        let mut machine = server();
        machine.allowed = (8..32).chain(32..40).collect();
        let plan = plan(&machine, &partitions(8)).expect("a plan");
        assert_eq!(cores(&plan), (32..40).collect::<Vec<_>>());
    }

    #[test]
    fn quota_below_the_cores_warns_with_both_numbers_and_runs_unpinned() {
        let default = planned(container(), &PlacementRequest::default());
        assert_eq!((default.partitions.len(), default.pinned), (2, false));
        assert!(default.overcommitted);
        let warning = &default.warnings[0];
        assert!(warning.contains("2.5 cores") && warning.contains("4 allowed cores"), "{warning}");
        let on = PlacementRequest { pin: Pin::On, ..PlacementRequest::default() };
        let pinned = planned(container(), &on);
        assert_eq!((cores(&pinned), pinned.warnings.len()), (vec![5, 6], 1));
        let mut machine = container();
        machine.quota_cores = Some(0.5);
        let starved = plan(&machine, &PlacementRequest::default()).expect("a plan");
        assert_eq!(starved.partitions.len(), 1);
    }

    #[test]
    fn one_core_is_left_for_housekeeping_when_there_are_more_than_two() {
        let mut machine = container();
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
        let plan = planned(laptop(), &request);
        assert_eq!(cores(&plan), [3, 8, 2]);
        let why = "named by --cores, performance core, shares its physical core with 2";
        assert_eq!(plan.partitions[0].why, why);
        assert_eq!(plan.housekeeping, [0, 1, 4, 5, 6, 7, 9, 10, 11]);
    }

    #[test]
    fn partitions_stay_within_one_cache_while_they_fit_and_away_from_the_first_core() {
        // Two nodes of two caches of four cores each.
        let of = |id: usize| Cpu { node: id / 8, cache: Some(id / 4 * 4), ..cpu(id) };
        let chiplets = machine((0..16).map(of));
        let four = planned(chiplets.clone(), &partitions(4));
        assert_eq!(cores(&four), [4, 5, 6, 7]);
        let why = "last-level cache of core 4 like all others";
        assert!(four.partitions[0].why.ends_with(why), "{four:?}");
        let six = planned(chiplets.clone(), &partitions(6));
        assert_eq!(cores(&six), [1, 2, 4, 5, 6, 7], "one node, and the first core comes last");
        let shrunk = Machine { allowed: vec![0, 1, 2, 8, 9, 10, 11, 12, 13], ..chiplets };
        let two = planned(shrunk, &partitions(2));
        assert_eq!(cores(&two), [1, 2], "the smallest node that fits");
    }

    #[test]
    fn cores_of_other_jobs_are_avoided_and_so_are_their_siblings() {
        let one = planned(leased(vm(), &[1], false), &partitions(1));
        assert_eq!((cores(&one), one.warnings.len(), one.housekeeping.len()), (vec![0], 0, 0));
        let three = planned(leased(laptop(), &[2, 9], true), &partitions(3));
        assert_eq!(cores(&three), [0, 4, 6], "3 has a busy sibling");
        assert_eq!(three.housekeeping, [1, 3, 5, 7, 8, 10, 11]);
        let seven = planned(leased(laptop(), &[2, 9], false), &partitions(7));
        assert_eq!(cores(&seven), [0, 3, 4, 6, 8, 10, 11]);
        assert!(seven.partitions[1].why.contains("with 2, which another job has pinned"));
    }

    #[test]
    fn too_few_free_cores_warn_with_who_has_them_and_run_unpinned() {
        let machine = leased(vm(), &[0], false);
        let plan = planned(machine.clone(), &PlacementRequest::default());
        assert_eq!((plan.partitions.len(), plan.pinned, plan.overcommitted), (2, false, true));
        let warning = "2 partitions and 1 free cores, as process 4711 has pinned 0: not pinned, a \
                       partition without work parks";
        assert_eq!(plan.warnings, [warning]);
        let on = PlacementRequest { pin: Pin::On, ..PlacementRequest::default() };
        let error = super::plan(&machine, &on).expect_err("a refusal");
        assert_eq!(error.kind().exit_code(), 77);
        let text = "cannot pin partitions at --pin: on; process 4711 has pinned 0";
        assert_eq!(error.context(), text);
        let off = PlacementRequest { pin: Pin::Off, ..PlacementRequest::default() };
        assert_eq!(planned(machine, &off).warnings, [""; 0]);
    }

    #[test]
    fn a_named_core_is_shared_with_this_process_and_with_no_other() {
        let named = |pin| PlacementRequest { cores: Some(vec![1, 0]), partitions: None, pin };
        for pin in [Pin::Auto, Pin::On] {
            let ours = planned(leased(vm(), &[1], true), &named(pin));
            assert_eq!((cores(&ours), ours.overcommitted), (vec![1, 0], true));
            let warning = "another job of this process has pinned 1 too: a partition without \
                           work parks";
            assert_eq!(ours.warnings, [warning]);
        }
        let theirs = leased(vm(), &[1], false);
        assert!(!planned(theirs.clone(), &named(Pin::Auto)).pinned);
        let error = plan(&theirs, &named(Pin::On)).expect_err("a refusal");
        assert_eq!(error.kind(), ErrorKind::Permission);
        let other = PlacementRequest { cores: Some(vec![0]), ..named(Pin::On) };
        assert_eq!(cores(&planned(theirs, &other)), [0]);
    }

    #[test]
    fn odd_files_are_one_warning() {
        let odd = |count: usize| {
            let oddities = (0..count).map(|n| format!("file {n} is odd")).collect();
            planned(Machine { oddities, ..vm() }, &PlacementRequest::default()).warnings
        };
        assert_eq!(odd(0), [""; 0]);
        assert_eq!(odd(1), ["file 0 is odd"]);
        assert_eq!(odd(3), ["file 0 is odd (and 2 more, see millstream doctor)"]);
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
            leased in proptest::collection::btree_map(0usize..24, any::<bool>(), 0..6),
        ) -> Machine {
            let cpu = |(id, &(small, core, node)): (usize, &(bool, usize, usize))| Cpu {
                id,
                package: node,
                core,
                node,
                cache: (core < 4).then_some(core / 2),
                kind: if small { CoreKind::Efficiency } else { CoreKind::Performance },
            };
            Machine {
                // Every third CPU is hidden from us.
                allowed: (0..cpus.len()).filter(|id| id % 3 != 1).collect(),
                topology: Topology { cpus: cpus.iter().enumerate().map(cpu).collect() },
                quota_cores: quota.map(|percent| f64::from(percent) / 100.0),
                may_pin,
                leased: leased
                    .into_iter()
                    .map(|(core, is_ours)| Leased { core, pid: None, is_ours })
                    .collect(),
                oddities: Vec::new(),
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
            let is_free = |core: &usize| machine.leased.iter().all(|one| one.core != *core);
            if plan.pinned {
                let free: Vec<usize> = machine.allowed.iter().copied().filter(is_free).collect();
                prop_assert_eq!(together, free);
                prop_assert!(machine.may_pin);
            } else if pin == Pin::Auto {
                prop_assert!(!plan.warnings.is_empty(), "an unpinned run says why");
            }
        }
    }
}
