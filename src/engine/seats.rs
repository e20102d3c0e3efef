//! Takes the cores of a job before it starts, so that no other job pins them too.

use crate::config::{Config, Cores, Pin};
use crate::engine::{Engine, env};
use crate::error::Result;
use crate::runtime::lease::{LeaseDesk, Leases};
use crate::runtime::placement::{Machine, PlacementRequest, Plan, plan};

impl Engine {
    /// The same engine, planned anew for so many partitions now that a job starts; `leases` has the
    /// cores of the plan then, beside those that it had.
    pub(super) fn seated(&self, partitions: Option<usize>, leases: &mut Leases) -> Result<Engine> {
        let configured = placement_request(&self.config);
        let partitions = partitions.or(configured.partitions);
        let request = PlacementRequest { partitions, ..configured };
        let (machine, plan) = planned(self.machine.clone(), &request, Some(leases))?;
        Ok(Engine { machine, plan, ..self.clone() })
    }
}

/// Plans beside the jobs that run now, on `machine`, which comes back with what they have pinned.
/// What is planned is leased, if there is something to hold the leases.
///
/// Where no lease can be had the cores are pinned all the same, with a warning: a folder that
/// cannot be made must not keep a job from running, nor anybody who makes it first.
pub(super) fn planned(
    machine: Machine,
    request: &PlacementRequest,
    leases: Option<&mut Leases>,
) -> Result<(Machine, Plan)> {
    if request.pin == Pin::Off {
        let plan = plan(&machine, request)?;
        return Ok((machine, plan));
    }
    let desk = LeaseDesk::open(&env::user_folder());
    let none = Leases::default();
    let own = leases.as_deref().unwrap_or(&none);
    let leased = desk.as_ref().map(|desk| desk.leased(own)).unwrap_or_default();
    let machine = Machine { leased, ..machine };
    let mut plan = plan(&machine, request)?;
    let taken = desk.and_then(|desk| match leases {
        Some(leases) => desk.take(&pinned_cores(&plan), leases),
        None => Ok(()),
    });
    if let (true, Err(why)) = (plan.pinned, taken) {
        let text = format!("other jobs may pin the same cores, as there is no lease: {why}");
        plan.warnings.push(text);
    }
    Ok((machine, plan))
}

/// What `config` asks of placement.
pub(crate) fn placement_request(config: &Config) -> PlacementRequest {
    PlacementRequest {
        cores: match config.cores() {
            Cores::Auto => None,
            Cores::List(list) => Some(list.as_slice().to_vec()),
        },
        partitions: config.partitions(),
        pin: config.pin(),
    }
}

/// The cores that the partitions of `plan` are pinned to.
pub(super) fn pinned_cores(plan: &Plan) -> Vec<usize> {
    plan.partitions.iter().filter_map(|placed| placed.core).collect()
}
