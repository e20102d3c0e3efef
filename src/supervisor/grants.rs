//! Which moves may be open at once: what the protocol needs of whoever starts moves.

use std::fmt;
use std::sync::Arc;

use crate::dataflow::{Order, Reply};
use crate::exchange::planted::{Fault, is_planted};
use crate::hand_over::MoveReport;
use crate::routing::{
    Domain, KEY_GROUPS, Move, MoveId, OVERRIDES_MAX, RoutingTable, UNITS_MAX, Units, key_group,
};
use crate::supervisor::load::{OpenMove, Unit};

/// One task that keeps state by key, as moves see it.
pub struct Movable {
    /// Who owns which of its keys.
    pub domain: Arc<Domain>,
    /// What its task is called.
    pub name: String,
    /// Why its state stays where it is, if it does.
    pub unmovable: Option<&'static str>,
    /// Why feeders may not fold records of a key for it, if they may not.
    pub unmergeable: Option<&'static str>,
    /// The domains before and behind it in the graph.
    pub related: Vec<usize>,
}

/// What is to move.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proposal {
    /// Index of the domain.
    pub domain: usize,
    /// Key groups, each with all its keys that have no owner of their own.
    pub groups: Vec<u16>,
    /// Keys, by hash, that get an owner of their own, or lose it by going home.
    pub keys: Vec<u64>,
    /// The partition that owns all of them.
    pub donor: usize,
    /// The partition that gets them.
    pub taker: usize,
}

/// Why a move is not begun, or a key not combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// There is no such domain, partition or key group.
    Unknown,
    /// Donor and taker are one.
    SamePartition,
    /// Nothing is to move, or too much.
    UnitCount(usize),
    /// One of the units belongs to another partition.
    NotOwned,
    /// More keys would have owners of their own than a table has room for.
    TooManyOverrides,
    /// Only whole ranges of keys move in this domain.
    KeyOfRange,
    /// Ranges would not lie in the order of their keys over the partitions any more.
    OutOfOrder,
    /// Key groups of this domain are no ranges, or there is no such range, or none above it.
    NoRange,
    /// A range is cut into so many parts.
    PartCount(usize),
    /// The state cannot be moved.
    Unmovable(&'static str),
    /// Records cannot be folded before they are sent.
    Unmergeable(&'static str),
    /// A unit is in another move, or its group is, or its key.
    UnderWay,
    /// As many moves as may be are open.
    TooManyMoves,
    /// A move is open in a domain before or behind this one, and results would overtake each other.
    PathBusy,
    /// A barrier is on its way.
    Barrier,
    /// The job is about to end.
    Draining,
    /// The partition has too many orders to follow already.
    Unreached,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Denied::Unknown => f.write_str("there is no such domain, partition or key group"),
            Denied::SamePartition => f.write_str("donor and taker are the same partition"),
            Denied::UnitCount(0) => f.write_str("nothing is to move"),
            Denied::UnitCount(count) => {
                write!(f, "{count} units are to move; {UNITS_MAX} may at once")
            }
            Denied::NotOwned => f.write_str("the donor does not own all units"),
            Denied::TooManyOverrides => {
                write!(f, "{OVERRIDES_MAX} keys have owners of their own already")
            }
            Denied::KeyOfRange => f.write_str("a key goes with its range; cut that"),
            Denied::OutOfOrder => f.write_str(
                "ranges would not be in order: a partition gives what borders on the taker's",
            ),
            Denied::NoRange => f.write_str("there is no such range of keys"),
            Denied::PartCount(parts) => {
                write!(f, "a range is to be cut into {parts} parts; 2..={PARTS_MAX} are allowed")
            }
            Denied::Unmovable(why) => write!(f, "the state stays where it is: {why}"),
            Denied::Unmergeable(why) => write!(f, "records cannot be folded: {why}"),
            Denied::UnderWay => f.write_str("a unit is in another move"),
            Denied::TooManyMoves => f.write_str("other moves are open"),
            Denied::PathBusy => f.write_str("a move is open before or behind this task"),
            Denied::Barrier => f.write_str("a checkpoint is under way"),
            Denied::Draining => f.write_str("the job is about to end"),
            Denied::Unreached => f.write_str("the partition has too many orders already"),
        }
    }
}

/// The most parts into which a range is cut at once.
pub(super) const PARTS_MAX: usize = KEY_GROUPS;

/// What follows from a partition's reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// The new table holds: wake all partitions, so that all feeders follow it.
    Wake,
    /// Tell the taker that the move will not be: its donor has ended.
    Cancel(Arc<Move>),
    /// The taker has ended; the move is off.
    Refused(Arc<Move>),
    /// The move is done.
    Done(Arc<Move>, MoveReport),
    /// Nothing.
    Nothing,
}

/// Grants moves, so that those which are open at once do not get into each other's way.
pub struct Grants {
    domains: Vec<Movable>,
    partitions: usize,
    /// How many may be open.
    open_max: usize,
    open: Vec<Arc<Move>>,
    /// (domain, group) of ranges that are being cut.
    cuts: Vec<(usize, u16)>,
    last_id: MoveId,
    barrier: BarrierPhase,
    is_draining: bool,
}

/// How far a barrier is that moves have to make way for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BarrierPhase {
    None,
    /// It waits for the moves that are open; no more begin, so that it does not wait for ever.
    Wanted,
    UnderWay,
}

impl Grants {
    /// No move is open; at most `open_max` may be.
    pub fn new(domains: Vec<Movable>, partitions: usize, open_max: usize) -> Grants {
        Grants {
            domains,
            partitions,
            open_max,
            open: Vec::new(),
            cuts: Vec::new(),
            last_id: 0,
            barrier: BarrierPhase::None,
            is_draining: false,
        }
    }

    /// Opens a move, which is to be offered to its taker.
    ///
    /// # Errors
    /// Why it may not be, now or ever.
    pub fn propose(&mut self, proposal: &Proposal) -> Result<Arc<Move>, Denied> {
        let units = self.check(proposal)?;
        self.last_id += 1;
        let Proposal { domain, donor, taker, .. } = *proposal;
        let moved = Arc::new(Move { id: self.last_id, domain, units, donor, taker });
        self.open.push(Arc::clone(&moved));
        Ok(moved)
    }

    fn check(&self, proposal: &Proposal) -> Result<Units, Denied> {
        let Proposal { domain, groups, keys, donor, taker } = proposal;
        let movable = self.domains.get(*domain).ok_or(Denied::Unknown)?;
        let is_known = |partition: &usize| *partition < self.partitions;
        if !is_known(donor) || !is_known(taker) {
            return Err(Denied::Unknown);
        }
        if groups.iter().any(|group| usize::from(*group) >= KEY_GROUPS) {
            return Err(Denied::Unknown);
        }
        if donor == taker {
            return Err(Denied::SamePartition);
        }
        if let Some(why) = movable.unmovable {
            return Err(Denied::Unmovable(why));
        }
        let table = movable.domain.table();
        let units = Units::of(&table, groups, keys);
        if !(1..=UNITS_MAX).contains(&units.len()) {
            return Err(Denied::UnitCount(units.len()));
        }
        self.check_open(*domain, &units)?;
        let owns_groups = units.groups().all(|group| table.owner_of_group(group) == *donor);
        if !owns_groups || keys.iter().any(|key| table.owner(*key) != *donor) {
            return Err(Denied::NotOwned);
        }
        if keys.iter().any(|key| units.has_group(key_group(*key))) {
            return Err(Denied::UnderWay);
        }
        if table.overrides().len() + keys.len() > OVERRIDES_MAX {
            return Err(Denied::TooManyOverrides);
        }
        if movable.domain.is_ranged() {
            self.check_ranges(proposal, &units, &table)?;
        }
        Ok(units)
    }

    /// What ranges say against a move: single keys stay in theirs, and all stay in order, whatever
    /// becomes of a move that is open.
    fn check_ranges(
        &self,
        proposal: &Proposal,
        units: &Units,
        table: &RoutingTable,
    ) -> Result<(), Denied> {
        if !proposal.keys.is_empty() {
            return Err(Denied::KeyOfRange);
        }
        let is_cut = |(domain, group): &(usize, u16)| {
            *domain == proposal.domain && units.has_group(usize::from(*group))
        };
        if self.cuts.iter().any(is_cut) && !is_planted(Fault::MoveWhileCut) {
            return Err(Denied::UnderWay);
        }
        if self.open.iter().any(|open| open.domain == proposal.domain) {
            return Err(Denied::TooManyMoves);
        }
        let keeps_order = table.keeps_order(units, proposal.taker);
        if !keeps_order && !is_planted(Fault::MovesOutOfOrder) {
            return Err(Denied::OutOfOrder);
        }
        Ok(())
    }

    /// Has the range that is `group` cut into about so many parts, by whoever keeps it: returns the
    /// partition, and the order that is to be given to it.
    ///
    /// # Errors
    /// Why it may not be, now or ever.
    pub fn cut(
        &mut self,
        domain: usize,
        group: u16,
        parts: usize,
    ) -> Result<(usize, Order), Denied> {
        let movable = self.domains.get(domain).ok_or(Denied::Unknown)?;
        if !(2..=PARTS_MAX).contains(&parts) {
            return Err(Denied::PartCount(parts));
        }
        let table = movable.domain.table();
        self.check_regroup(domain, &table, &[group])?;
        let owner = table.owner_of_group(usize::from(group));
        self.cuts.push((domain, group));
        Ok((owner, Order::Cut { domain, group, parts }))
    }

    /// Makes the range that is `group` and the one above it one. Whoever asked wakes all partitions
    /// then.
    ///
    /// # Errors
    /// Why it may not be, now or ever.
    pub fn merge(&self, domain: usize, group: u16) -> Result<(), Denied> {
        let movable = self.domains.get(domain).ok_or(Denied::Unknown)?;
        let table = movable.domain.table();
        let groups = table.ranges().map_or(&[][..], |ranges| ranges.groups());
        let index = groups.iter().position(|other| *other == group);
        let above = index.and_then(|index| groups.get(index + 1)).ok_or(Denied::NoRange)?;
        self.check_regroup(domain, &table, &[group, *above])?;
        if movable.domain.merge(group) { Ok(()) } else { Err(Denied::NotOwned) }
    }

    /// Whether these ranges may become others now.
    fn check_regroup(
        &self,
        domain: usize,
        table: &RoutingTable,
        groups: &[u16],
    ) -> Result<(), Denied> {
        let ranges = table.ranges().map_or(&[][..], |ranges| ranges.groups());
        if groups.iter().any(|group| !ranges.contains(group)) {
            return Err(Denied::NoRange);
        }
        if self.is_draining {
            return Err(Denied::Draining);
        }
        if self.barrier != BarrierPhase::None {
            return Err(Denied::Barrier);
        }
        if groups.iter().any(|group| self.cuts.contains(&(domain, *group))) {
            return Err(Denied::UnderWay);
        }
        if is_planted(Fault::CutWhileMoving) {
            return Ok(());
        }
        self.check_under_way(domain, &Units::of(table, groups, &[]))
    }

    /// What moves that are open, or a barrier, say against one more.
    fn check_open(&self, domain: usize, units: &Units) -> Result<(), Denied> {
        if self.is_draining {
            return Err(Denied::Draining);
        }
        if self.barrier != BarrierPhase::None && !is_planted(Fault::BarrierDuringMove) {
            return Err(Denied::Barrier);
        }
        if !is_planted(Fault::OverrideWhileGroupMoves) {
            self.check_under_way(domain, units)?;
        }
        let related = &self.domains[domain].related;
        if self.open.iter().any(|open| related.contains(&open.domain))
            && !is_planted(Fault::TwoDomainsAtOnce)
        {
            return Err(Denied::PathBusy);
        }
        if self.open.len() >= self.open_max { Err(Denied::TooManyMoves) } else { Ok(()) }
    }

    fn check_under_way(&self, domain: usize, units: &Units) -> Result<(), Denied> {
        let conflicts =
            |open: &Arc<Move>| open.domain == domain && open.units.conflicts_with(units);
        if self.open.iter().any(conflicts) { Err(Denied::UnderWay) } else { Ok(()) }
    }

    /// Has feeders fold the records of the key with this hash before they send them, or no longer.
    /// Whoever asked wakes all partitions then: one that is about to end looks at the table first.
    ///
    /// # Errors
    /// Why it may not be, now or ever.
    pub fn combine(&self, domain: usize, hash: u64, is_combined: bool) -> Result<(), Denied> {
        let movable = self.domains.get(domain).ok_or(Denied::Unknown)?;
        if let Some(why) = movable.unmergeable {
            return Err(Denied::Unmergeable(why));
        }
        if self.is_draining {
            return Err(Denied::Draining);
        }
        let table = movable.domain.table();
        // The key makes or loses an entry of its own, which its group must not miss on its way.
        if !is_planted(Fault::CombinedWhileGroupMoves) {
            self.check_under_way(domain, &Units::of(&table, &[], &[hash]))?;
        }
        if table.is_combined(hash) == is_combined {
            return Ok(());
        }
        if table.override_of(hash).is_none() && table.overrides().len() >= OVERRIDES_MAX {
            return Err(Denied::TooManyOverrides);
        }
        movable.domain.set_combined(hash, is_combined);
        Ok(())
    }

    /// What follows from what a partition says.
    pub fn on_reply(&mut self, reply: &Reply) -> Next {
        match reply {
            Reply::Accepted(id) => {
                let Some(moved) = self.find(*id) else { return Next::Nothing };
                if is_planted(Fault::RefusalAfterConsent) && moved.id % 4 == 0 {
                    self.close(*id);
                    return Next::Nothing;
                }
                if self.domains[moved.domain].domain.publish(Arc::clone(&moved)) {
                    return Next::Wake;
                }
                self.close(*id);
                Next::Cancel(moved)
            }
            Reply::Refused(id) => self.close(*id).map_or(Next::Nothing, Next::Refused),
            Reply::Moved(report) => match self.close(report.id) {
                Some(moved) => {
                    self.domains[moved.domain].domain.close(report.id);
                    Next::Done(moved, *report)
                }
                None => Next::Nothing,
            },
            Reply::Cut { domain, group, is_cut } => {
                self.cuts.retain(|cut| *cut != (*domain, *group));
                if *is_cut { Next::Wake } else { Next::Nothing }
            }
            Reply::Passed(_) => Next::Nothing,
        }
    }

    /// Forgets what a partition that has ended was asked and has not answered. One that has agreed
    /// to a move does not end before that is done.
    pub fn on_end(&mut self, partition: usize) {
        self.open.retain(|moved| moved.taker != partition);
        let owner = |(domain, group): &(usize, u16)| {
            self.domains[*domain].domain.table().owner_of_group(usize::from(*group))
        };
        self.cuts.retain(|cut| owner(cut) != partition);
    }

    fn find(&self, id: MoveId) -> Option<Arc<Move>> {
        self.open.iter().find(|open| open.id == id).map(Arc::clone)
    }

    fn close(&mut self, id: MoveId) -> Option<Arc<Move>> {
        let at = self.open.iter().position(|open| open.id == id)?;
        Some(self.open.swap_remove(at))
    }

    /// Begins a barrier, if no move is open and no other barrier under way; else it is to be asked
    /// for again. From the first such wish on nothing is granted until the barrier is
    /// [over](Self::end_barrier).
    pub fn begin_barrier(&mut self) -> bool {
        if self.barrier == BarrierPhase::UnderWay {
            return false;
        }
        let is_quiet = self.open.is_empty() && self.cuts.is_empty();
        let may_begin = is_quiet || is_planted(Fault::BarrierDuringMove);
        self.barrier = if may_begin { BarrierPhase::UnderWay } else { BarrierPhase::Wanted };
        may_begin
    }

    /// The barrier has come through all tasks.
    pub fn end_barrier(&mut self) {
        self.barrier = BarrierPhase::None;
    }

    /// Grants nothing any more; moves that are open come to their end.
    pub fn drain(&mut self) {
        self.is_draining = true;
    }

    /// Grants moves again: what they were to make way for has been put off.
    pub fn resume(&mut self) {
        self.is_draining = false;
    }

    /// Moves that are open, and ranges that are being cut.
    pub fn open(&self) -> usize {
        self.open.len() + self.cuts.len()
    }

    /// What moves are open.
    pub fn open_moves(&self) -> Vec<OpenMove> {
        let open = |moved: &Arc<Move>| {
            let groups = moved.units.groups().map(|group| Unit::Group(group as u16));
            let keys = moved.units.keys().iter().map(|hash| Unit::Key(*hash));
            let units = groups.chain(keys).collect();
            OpenMove { domain: moved.domain, units, from: moved.donor, to: moved.taker }
        };
        self.open.iter().map(open).collect()
    }

    /// The domains, by index.
    pub fn domains(&self) -> &[Movable] {
        &self.domains
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::{Ranges, Ranging, with_group};

    /// Two domains, one behind the other, and one by itself whose state stays, on three partitions;
    /// the first third of the groups is partition 0's.
    fn grants(open_max: usize) -> Grants {
        let movable = |index, related: &[usize], unmovable| Movable {
            domain: Arc::new(Domain::new(index, 3)),
            name: format!("task {index}"),
            unmovable,
            unmergeable: unmovable,
            related: related.to_vec(),
        };
        let domains =
            vec![movable(0, &[1], None), movable(1, &[0], None), movable(2, &[], Some("it is so"))];
        Grants::new(domains, 3, open_max)
    }

    fn groups(domain: usize, groups: &[u16], donor: usize, taker: usize) -> Proposal {
        Proposal { domain, groups: groups.to_vec(), keys: Vec::new(), donor, taker }
    }

    fn key(hash: u64, donor: usize, taker: usize) -> Proposal {
        Proposal { domain: 0, groups: Vec::new(), keys: vec![hash], donor, taker }
    }

    fn report(id: MoveId) -> Reply {
        Reply::Moved(MoveReport { id, pause: 0, stolen: 0 })
    }

    #[test]
    fn what_makes_no_sense_is_denied_with_a_reason() {
        let mut grants = grants(8);
        let many: Vec<u16> = (0..65).collect();
        let cases = [
            (groups(9, &[1], 0, 1), "there is no such domain, partition or key group"),
            (groups(0, &[1], 0, 3), "there is no such domain, partition or key group"),
            (groups(0, &[4_096], 0, 1), "there is no such domain, partition or key group"),
            (groups(0, &[1], 0, 0), "donor and taker are the same partition"),
            (groups(0, &[], 0, 1), "nothing is to move"),
            (groups(0, &many, 0, 1), "65 units are to move; 64 may at once"),
            (groups(0, &[1], 1, 2), "the donor does not own all units"),
            (groups(2, &[1], 0, 1), "the state stays where it is: it is so"),
        ];
        for (proposal, why) in cases {
            let denied = grants.propose(&proposal).expect_err("it makes no sense");
            assert_eq!(denied.to_string(), why);
        }
        assert_eq!(grants.open(), 0);
    }

    #[test]
    fn units_that_are_under_way_are_left_alone_until_they_are_there() {
        let mut grants = grants(8);
        let moved = grants.propose(&groups(0, &[5], 0, 1)).expect("nothing is open");
        let of_group = with_group(77, 5);
        assert_eq!(grants.propose(&groups(0, &[4, 5], 0, 2)), Err(Denied::UnderWay));
        assert_eq!(grants.propose(&key(of_group, 0, 2)), Err(Denied::UnderWay));
        assert_eq!(grants.propose(&groups(1, &[9], 0, 1)), Err(Denied::PathBusy));
        assert!(grants.propose(&groups(0, &[6], 0, 2)).is_ok());
        assert_eq!(grants.on_reply(&Reply::Accepted(moved.id)), Next::Wake);
        assert_eq!(grants.domains()[0].domain.table().owner_of_group(5), 1);
        let done = grants.on_reply(&report(moved.id));
        assert!(matches!(done, Next::Done(done, _) if done.id == moved.id));
        assert!(grants.propose(&key(of_group, 1, 2)).is_ok());
    }

    #[test]
    fn key_is_combined_where_records_merge_and_it_is_not_under_way() {
        let mut grants = grants(8);
        let hash = with_group(77, 5);
        assert_eq!(grants.combine(9, hash, true), Err(Denied::Unknown));
        let denied = grants.combine(2, hash, true).expect_err("it does not merge");
        assert_eq!(denied.to_string(), "records cannot be folded: it is so");
        let table = |grants: &Grants| grants.domains()[0].domain.table();
        assert_eq!(grants.combine(0, hash, false), Ok(()));
        assert_eq!(table(&grants).epoch(), 0, "it is not combined anyway");
        assert_eq!(grants.combine(0, hash, true), Ok(()));
        assert!(table(&grants).is_combined(hash));
        for proposal in [key(hash, 0, 1), groups(0, &[5], 0, 1)] {
            let moved = grants.propose(&proposal).expect("nothing is open");
            assert_eq!(grants.combine(0, hash, false), Err(Denied::UnderWay));
            grants.on_reply(&Reply::Refused(moved.id));
        }
        assert_eq!(grants.combine(0, hash, false), Ok(()));
        assert!(!table(&grants).has_combined());
        grants.drain();
        assert_eq!(grants.combine(0, hash, true), Err(Denied::Draining));
    }

    #[test]
    fn no_more_keys_are_combined_than_a_table_has_room_for() {
        let grants = grants(1);
        for number in 0..OVERRIDES_MAX {
            assert_eq!(grants.combine(0, with_group(2 * number as u64, 5), true), Ok(()));
        }
        let one_more = with_group(2 * OVERRIDES_MAX as u64, 5);
        assert_eq!(grants.combine(0, one_more, true), Err(Denied::TooManyOverrides));
        assert_eq!(grants.combine(0, with_group(0, 5), false), Ok(()));
        assert_eq!(grants.combine(0, one_more, true), Ok(()));
    }

    #[test]
    fn refused_move_is_off_and_one_whose_donor_has_ended_is_cancelled() {
        let mut grants = grants(1);
        let refused = grants.propose(&groups(0, &[5], 0, 1)).expect("nothing is open");
        assert_eq!(grants.propose(&groups(0, &[6], 0, 1)), Err(Denied::TooManyMoves));
        let next = grants.on_reply(&Reply::Refused(refused.id));
        assert_eq!(next, Next::Refused(refused));
        let late = grants.propose(&groups(0, &[6], 0, 1)).expect("nothing is open");
        assert!(grants.domains()[0].domain.end(0, 0));
        assert_eq!(grants.on_reply(&Reply::Accepted(late.id)), Next::Cancel(late));
        assert_eq!((grants.open(), grants.domains()[0].domain.epoch()), (0, 0));
    }

    #[test]
    fn moves_and_barriers_exclude_each_other_and_nothing_begins_while_draining() {
        let mut grants = grants(1);
        let moved = grants.propose(&groups(0, &[5], 0, 1)).expect("nothing is open");
        assert!(!grants.begin_barrier());
        assert_eq!(grants.propose(&groups(0, &[6], 1, 2)), Err(Denied::Barrier), "it is wanted");
        grants.on_reply(&Reply::Refused(moved.id));
        assert_eq!(grants.propose(&groups(0, &[5], 0, 1)), Err(Denied::Barrier));
        assert!(grants.begin_barrier() && !grants.begin_barrier());
        assert_eq!(grants.propose(&groups(0, &[5], 0, 1)), Err(Denied::Barrier));
        grants.end_barrier();
        grants.drain();
        assert_eq!(grants.propose(&groups(0, &[5], 0, 1)), Err(Denied::Draining));
        grants.resume();
        assert!(grants.propose(&groups(0, &[5], 0, 1)).is_ok());
    }

    #[test]
    fn what_a_partition_that_has_ended_was_asked_is_forgotten() {
        let mut grants = grants(1);
        grants.propose(&groups(0, &[5], 0, 1)).expect("nothing is open");
        grants.on_end(0);
        assert_eq!(grants.open(), 1, "the taker may still agree");
        grants.on_end(1);
        assert_eq!(grants.open(), 0);
        let mut grants = ranged();
        grants.cut(0, 1, 2).expect("nothing is under way");
        grants.on_end(1);
        assert_eq!(grants.open(), 1);
        grants.on_end(0);
        assert_eq!(grants.open(), 0);
    }

    /// Four ranges of keys, two on each of two partitions.
    fn ranged() -> Grants {
        let ranges = Ranges::learned().starting_with(vec![10, 20, 30]).ranges();
        let movable = Movable {
            domain: Arc::new(Domain::ranged(0, 3, ranges)),
            name: "sorted".into(),
            unmovable: None,
            unmergeable: Some("a key goes with its range"),
            related: Vec::new(),
        };
        Grants::new(vec![movable], 3, 8)
    }

    #[test]
    fn ranges_move_in_order_and_whole() {
        let mut grants = ranged();
        let cases = [
            (key(with_group(77, 0), 0, 1), "a key goes with its range; cut that"),
            (groups(0, &[0], 0, 1), "a partition gives what borders on the taker's"),
            (groups(0, &[1], 0, 2), "a partition gives what borders on the taker's"),
        ];
        for (proposal, why) in cases {
            let denied = grants.propose(&proposal).expect_err("it makes no sense").to_string();
            assert!(denied.ends_with(why), "{denied}");
        }
        let moved = grants.propose(&groups(0, &[1], 0, 1)).expect("it is at the border");
        assert_eq!(grants.propose(&groups(0, &[3], 2, 1)), Err(Denied::TooManyMoves));
        grants.on_reply(&Reply::Refused(moved.id));
        assert!(grants.propose(&groups(0, &[3], 2, 1)).is_ok());
    }

    #[test]
    fn a_range_is_not_cut_or_merged_while_it_moves_nor_moved_while_it_is_cut() {
        let mut grants = ranged();
        assert_eq!(grants.cut(1, 0, 2), Err(Denied::Unknown));
        assert_eq!(grants.cut(0, 4, 2), Err(Denied::NoRange));
        assert_eq!(grants.cut(0, 0, 1), Err(Denied::PartCount(1)));
        assert_eq!(grants.merge(0, 3), Err(Denied::NoRange), "there is none above it");
        assert_eq!(grants.merge(0, 1), Err(Denied::NotOwned), "the one above has another owner");
        let order = Order::Cut { domain: 0, group: 1, parts: 2 };
        assert_eq!(grants.cut(0, 1, 2), Ok((0, order)));
        assert_eq!(grants.open(), 1);
        assert!(!grants.begin_barrier());
        assert_eq!(grants.cut(0, 0, 2), Err(Denied::Barrier), "it is wanted");
        grants.end_barrier();
        assert_eq!(grants.cut(0, 1, 2), Err(Denied::UnderWay));
        assert_eq!(grants.merge(0, 0), Err(Denied::UnderWay));
        assert_eq!(grants.propose(&groups(0, &[1], 0, 1)), Err(Denied::UnderWay));
        let reply = |is_cut| Reply::Cut { domain: 0, group: 1, is_cut };
        assert_eq!(grants.on_reply(&reply(true)), Next::Wake);
        assert_eq!(grants.on_reply(&reply(false)), Next::Nothing);
        let moved = grants.propose(&groups(0, &[1], 0, 1)).expect("nothing is under way");
        assert_eq!(grants.cut(0, 1, 2), Err(Denied::UnderWay));
        assert_eq!(grants.merge(0, 0), Err(Denied::UnderWay));
        grants.on_reply(&Reply::Refused(moved.id));
        assert_eq!(grants.merge(0, 0), Ok(()));
        assert_eq!(grants.merge(0, 0), Err(Denied::NotOwned));
        grants.drain();
        assert_eq!(grants.cut(0, 0, 2), Err(Denied::Draining));
    }
}
