//! Whether anything disturbs the cores that partitions would get: the hiccup probe on all of them.

use serde::Serialize;

use crate::cli::hiccup;
use crate::metrics::Percentiles;
use crate::runtime::host::{Times, times};
use crate::runtime::placement::{Machine, Plan};
use crate::time::Nanos;

/// A process that had less of a core is not named.
const BUSY_SHARE: f64 = 0.05;
const BUSY_MAX: usize = 3;

/// What a core did to a thread that wanted all of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Probed {
    /// The core; `None` where threads cannot be pinned.
    pub(super) core: Option<usize>,
    /// How long records that are due every microsecond waited, in nanoseconds.
    pub(super) waits_ns: Percentiles,
    /// How often another thread was given the core.
    pub(super) taken_away: u64,
    /// The share of the time that went to other virtual machines.
    pub(super) stolen: f64,
    /// The share of the time that went to interrupts.
    pub(super) interrupts: f64,
}

/// A process beside us.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Busy {
    pub(super) pid: u32,
    pub(super) name: String,
    /// How much of a core it had; above 1 if it had several.
    pub(super) cores: f64,
}

/// What was seen, and beside whom.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Probe {
    pub(super) seconds: f64,
    pub(super) cores: Vec<Probed>,
    /// The busiest first.
    pub(super) busy: Vec<Busy>,
}

/// Probes the cores of `plan` at once, for `ns`.
pub(super) fn run(machine: &Machine, plan: &Plan, ns: Nanos) -> Probe {
    let cores = to_probe(machine, plan);
    if ns == 0 || cores.is_empty() {
        return Probe::default();
    }
    let before = times();
    let seen = hiccup::probe(&cores, ns);
    let after = times();
    let probed = cores.iter().zip(seen).map(|(core, seen)| {
        let [stolen, interrupts] = core.map_or([0.0; 2], |core| shares(&before, &after, core));
        let (waits_ns, taken_away) = (seen.waits.percentiles(), seen.taken_away);
        Probed { core: *core, waits_ns, taken_away, stolen, interrupts }
    });
    Probe {
        seconds: ns as f64 / 1e9,
        cores: probed.collect(),
        busy: busy(&before, &after, std::process::id()),
    }
}

/// The cores that partitions would get, and no more than the quota feeds: the probe is not to eat
/// it up. Not those of running jobs, which it would disturb.
fn to_probe(machine: &Machine, plan: &Plan) -> Vec<Option<usize>> {
    let is_leased = |core: &usize| machine.leased.iter().any(|one| one.core == *core);
    let mut cores: Vec<Option<usize>> = match plan.pinned {
        true => plan.partitions.iter().map(|placed| placed.core).collect(),
        false if machine.may_pin => machine.allowed.iter().copied().map(Some).collect(),
        false => vec![None; machine.allowed.len()],
    };
    cores.retain(|core| core.as_ref().is_none_or(|core| !is_leased(core)));
    let fed = machine.quota_cores.map_or(usize::MAX, |quota| quota.floor() as usize);
    cores.truncate(fed.max(1));
    cores
}

/// The shares of the time of `core` that were stolen, and that went to interrupts.
fn shares(before: &Times, after: &Times, core: usize) -> [f64; 2] {
    let (Some(before), Some(after)) = (before.cores.get(&core), after.cores.get(&core)) else {
        return [0.0; 2];
    };
    let total = after.total.saturating_sub(before.total).max(1) as f64;
    [(before.stolen, after.stolen), (before.interrupts, after.interrupts)]
        .map(|(before, after)| after.saturating_sub(before) as f64 / total)
}

/// The busiest processes but `own`.
fn busy(before: &Times, after: &Times, own: u32) -> Vec<Busy> {
    let elapsed = |core: &usize| {
        let [before, after] = [before, after].map(|times| times.cores.get(core));
        Some(after?.total.saturating_sub(before?.total))
    };
    let Some(elapsed) = after.cores.keys().filter_map(elapsed).max().filter(|ticks| *ticks > 0)
    else {
        return Vec::new();
    };
    let share = |(pid, (name, ticks)): (&u32, &(String, u64))| {
        let (_, earlier) = before.processes.get(pid)?;
        let cores = ticks.saturating_sub(*earlier) as f64 / elapsed as f64;
        let name: String = name.chars().filter(|letter| !letter.is_control()).collect();
        (*pid != own && cores >= BUSY_SHARE).then_some(Busy { pid: *pid, name, cores })
    };
    let mut busy: Vec<Busy> = after.processes.iter().filter_map(share).collect();
    busy.sort_by(|one, other| other.cores.total_cmp(&one.cores));
    busy.truncate(BUSY_MAX);
    busy
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::host::CoreTimes;
    use crate::runtime::placement::{Leased, PlacementRequest, plan};

    fn cores(machine: &Machine) -> Vec<Option<usize>> {
        let plan = plan(machine, &PlacementRequest::default()).expect("a plan");
        to_probe(machine, &plan)
    }

    #[test]
    fn cores_of_the_plan_are_probed_and_no_others() {
        let machine = Machine { allowed: vec![0, 1, 2], may_pin: true, ..Machine::default() };
        assert_eq!(cores(&machine), [Some(1), Some(2)]);
        let quota = Machine { quota_cores: Some(1.5), ..machine.clone() };
        assert_eq!(cores(&quota), [Some(0)], "a second one would use the quota up");
        let lease = |core| Leased { core, pid: None, is_ours: false };
        let leased = Machine { leased: vec![lease(1), lease(0)], ..machine.clone() };
        assert_eq!(cores(&leased), [Some(2)], "the job on 1 is not disturbed");
        let denied = Machine { may_pin: false, ..machine };
        assert_eq!(cores(&denied), [None; 3]);
    }

    #[test]
    fn shares_and_neighbours_are_those_of_the_time_between() {
        let core = |total, stolen, interrupts| CoreTimes { total, stolen, interrupts };
        let of = |core, processes: &[(u32, u64)]| Times {
            cores: [(3, core)].into(),
            processes: processes.iter().map(|(pid, t)| (*pid, (format!("p{pid}"), *t))).collect(),
        };
        let before = of(core(1_000, 10, 5), &[(1, 0), (2, 90), (3, 7), (9, 0)]);
        let after = of(core(1_200, 30, 6), &[(1, 100), (2, 390), (3, 9), (4, 500), (9, 200)]);
        assert_eq!(shares(&before, &after, 3), [0.1, 0.005]);
        assert_eq!(shares(&before, &after, 4), [0.0, 0.0]);
        let busy: Vec<_> =
            busy(&before, &after, 9).iter().map(|one| (one.pid, one.cores)).collect();
        assert_eq!(busy, [(2, 1.5), (1, 0.5)]);
    }

    #[test]
    fn a_probe_of_no_time_is_none() {
        let machine = Machine { allowed: vec![0], ..Machine::default() };
        let plan = plan(&machine, &PlacementRequest::default()).expect("a plan");
        assert_eq!(run(&machine, &plan, 0), Probe::default());
    }
}
