//! What instances of one layout leave to those of the next: event time, and state by key.

use std::sync::Arc;

use crate::dataflow::Task;
use crate::engine::build::Blueprint;
use crate::hand_over::Parcel;
use crate::routing::{Domain, KEY_GROUPS, Move, MoveId, RoutingTable, Units};
use crate::runtime::Instance;
use crate::time::Timestamp;

/// What is under way from one layout to the next.
pub(super) struct Transfer {
    /// `watermarks[t][i]` is how far event time has come for instance *i* of task *t*.
    watermarks: Vec<Vec<Timestamp>>,
    /// Whether all instances of a task had come to their end, if there were any.
    is_over: Vec<bool>,
    /// State by key, with the task and the instance that it goes to.
    parcels: Vec<(usize, usize, Arc<Move>, Parcel)>,
}

impl Transfer {
    /// Takes from the instances `before` what others keep with so many partitions.
    ///
    /// * `domains` - who owns which key with these.
    pub(super) fn of(
        plan: &Blueprint,
        domains: &[Arc<Domain>],
        partitions: usize,
        before: &mut [Instance],
    ) -> Transfer {
        let tasks = before.iter().map(|instance| instance.task + 1).max().unwrap_or(0);
        let mut transfer = Transfer {
            watermarks: vec![Vec::new(); tasks],
            is_over: vec![!before.is_empty(); tasks],
            parcels: Vec::new(),
        };
        for Instance { task, index, running, is_done, .. } in before.iter() {
            let row = &mut transfer.watermarks[*task];
            row.resize(row.len().max(index + 1), Timestamp::MIN);
            row[*index] = running.watermark();
            transfer.is_over[*task] &= is_done;
        }
        for (task, row) in transfer.watermarks.iter_mut().enumerate() {
            if plan.is_rooted(task) {
                continue;
            }
            // Lanes of all partitions feed each of them, so what one has been told holds for all.
            let latest = row.iter().copied().max().unwrap_or(Timestamp::MIN);
            *row = vec![latest; partitions];
        }
        let owned = |domain: &Arc<Domain>| -> Vec<Units> {
            let table = domain.table();
            (0..partitions).map(|owner| units_of(&table, owner)).collect()
        };
        let theirs: Vec<Vec<Units>> = domains.iter().map(owned).collect();
        for instance in before.iter_mut().filter(|instance| !instance.is_done) {
            if let Some(domain) = plan.domain_of(instance.task) {
                transfer.take(instance, domain, &theirs[domain]);
            }
        }
        transfer
    }

    /// Takes out of `instance` what it keeps for units that are not its own any more.
    fn take(&mut self, instance: &mut Instance, domain: usize, theirs: &[Units]) {
        let donor = instance.index;
        for (taker, units) in theirs.iter().enumerate().filter(|(taker, _)| *taker != donor) {
            let Some(parcel) = instance.running.give_all(units) else { return };
            let id = self.parcels.len() as MoveId + 1;
            let moved = Move { id, domain, units: units.clone(), donor, taker };
            self.parcels.push((instance.task, taker, Arc::new(moved), parcel));
        }
    }

    /// How far event time had come for an instance, or for those that it joins.
    pub(super) fn watermark(&self, task: usize, index: usize) -> Timestamp {
        let row = self.watermarks.get(task);
        row.and_then(|row| row.get(index)).copied().unwrap_or(Timestamp::MIN)
    }

    /// Gives an instance what it has to keep.
    pub(super) fn hand_to(&mut self, task: usize, index: usize, is_new: bool, to: &mut dyn Task) {
        if is_new && self.is_over.get(task).is_some_and(|is_over| *is_over) {
            to.end_at_once();
        }
        let is_theirs =
            |parcel: &mut (usize, usize, Arc<Move>, Parcel)| (parcel.0, parcel.1) == (task, index);
        for (_, _, moved, parcel) in self.parcels.extract_if(.., is_theirs) {
            to.get_all(moved, parcel);
        }
    }
}

/// All key groups of one owner.
fn units_of(table: &RoutingTable, owner: usize) -> Units {
    let groups = 0..KEY_GROUPS as u16;
    let own: Vec<u16> =
        groups.filter(|group| table.owner_of_group(usize::from(*group)) == owner).collect();
    Units::of(table, &own, &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_group_has_one_owner_and_owners_have_as_many_but_for_one() {
        for partitions in 1..=64 {
            let table = RoutingTable::even(partitions);
            let owners: Vec<Units> = (0..partitions).map(|one| units_of(&table, one)).collect();
            for group in 0..KEY_GROUPS {
                let theirs = (0..partitions).filter(|one| owners[*one].has_group(group));
                assert_eq!(theirs.collect::<Vec<_>>(), [group * partitions / KEY_GROUPS]);
            }
            let sizes = owners.iter().map(Units::len);
            let (most, least) = (sizes.clone().max(), sizes.min());
            assert!(most <= least.map(|least| least + 1), "{partitions} partitions");
        }
    }
}
