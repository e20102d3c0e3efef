//! Steal: a partition that ran dry takes units with their backlog from the one that is behind most.

use crate::routing::UNITS_MAX;
use crate::supervisor::decision::{Action, Decision, Rule, Verdict};
use crate::supervisor::load::LoadView;
use crate::supervisor::policy::balance::cost_ns;
use crate::supervisor::policy::memory::Memory;
use crate::supervisor::policy::sight::{Levels, Look, Piece};
use crate::time::Nanos;

/// The backlog must be worth twenty moves: half of it is handed over, and the rest goes on.
const BACKLOG_PER_COST: u64 = 20;
/// What is handed over must be an eighth of the backlog, and four times the work of handing it
/// over: a donor whose backlog is one hot key's has only crumbs to give.
const BACKLOG_PER_GAIN: u64 = 8;
const GAIN_PER_COST: u64 = 4;
/// A thief may get 2.5 % of the fair part more than its half: that is not uneven yet, and what
/// is would be brought back.
const ROOM_PER_FAIR: u64 = 40;

/// A steal that is worth it, or why it is not.
pub(super) struct Theft {
    donor: usize,
    seen: String,
    pieces: Vec<Piece>,
    gain_ns: Nanos,
}

/// What `thief` may take; `None` if nobody has anything.
pub(super) fn theft(look: &Look<'_>, thief: usize) -> Option<Theft> {
    let view = look.view;
    let backlog = |partition: usize| view.partitions[partition].backlog_ns;
    let donors = (0..view.partitions.len()).filter(|partition| *partition != thief);
    let donor = donors.max_by_key(|partition| (backlog(*partition), usize::MAX - partition))?;
    let behind = backlog(donor);
    let seen = format!(
        "partition {thief} is dry, partition {donor} has {:.1} ms of work waiting",
        ms(behind)
    );
    let levels = look.levels();
    let pieces = choose(look, &levels, donor, thief);
    let load = levels.loads[donor];
    let gain_ns = pieces.iter().map(|piece| waiting(piece.demand, behind, load)).sum();
    Some(Theft { donor, seen, pieces, gain_ns })
}

impl Theft {
    /// What follows from it.
    pub(super) fn decide(
        self,
        view: &LoadView,
        thief: usize,
        memory: &mut Memory,
    ) -> Option<Decision> {
        let cost_ns = cost_ns(&self.pieces);
        let behind = view.partitions[self.donor].backlog_ns;
        let why_not = if self.pieces.is_empty() {
            Some("none of its units is free and small enough".to_owned())
        } else if behind < cost_ns * BACKLOG_PER_COST {
            Some(format!("the move itself takes {:.3} ms", ms(cost_ns)))
        } else if self.gain_ns < (cost_ns * GAIN_PER_COST).max(behind / BACKLOG_PER_GAIN) {
            Some(format!("what is free and small enough has only {:.3} ms", ms(self.gain_ns)))
        } else {
            None
        };
        if let Some(why) = why_not {
            let may = memory.may_say(Rule::Steal, self.donor as u64, view.at);
            return may.then(|| memory.decide(Rule::Steal, self.seen, Verdict::No { why }));
        }
        let units: Vec<_> = self.pieces.iter().map(|piece| piece.unit).collect();
        let domain = self.pieces[0].domain;
        memory.cool(domain, &units, view.at, 0);
        let action = Action::Move { domain, units, from: self.donor, to: thief };
        let verdict = Verdict::Act { action, gain_ns: self.gain_ns, cost_ns };
        Some(memory.decide(Rule::Steal, self.seen, verdict))
    }
}

/// The donor's units, largest first, until half of the difference in backlog is reached. A unit
/// that is more than that stays: it would take its queue along and leave the thief behind.
fn choose(look: &Look<'_>, levels: &Levels, donor: usize, thief: usize) -> Vec<Piece> {
    let backlog = |partition: usize| look.view.partitions[partition].backlog_ns;
    let (behind, loads) = (backlog(donor), &levels.loads);
    let mut left = behind.saturating_sub(backlog(thief)) / 2;
    // Nor may the thief become the fullest for good: balancing would have to bring it back.
    let mut room = loads[donor].saturating_sub(loads[thief]) / 2 + levels.fair / ROOM_PER_FAIR;
    let mut chosen: Vec<Piece> = Vec::new();
    for piece in &look.pieces(levels, Some(donor))[donor] {
        let share = waiting(piece.demand, behind, loads[donor]);
        let is_alike = chosen.first().is_none_or(|first| first.domain == piece.domain);
        let clashes = chosen.iter().any(|other| other.unit.group() == piece.unit.group());
        if share > left || piece.demand > room || !is_alike || clashes {
            continue;
        }
        left -= share;
        room -= piece.demand;
        chosen.push(*piece);
        if chosen.len() == UNITS_MAX {
            break;
        }
    }
    chosen
}

fn ms(ns: Nanos) -> f64 {
    ns as f64 / 1e6
}

/// The part of a backlog that belongs to a unit with this demand.
fn waiting(demand: u64, backlog_ns: Nanos, load: u64) -> Nanos {
    let share = u128::from(backlog_ns) * u128::from(demand) / u128::from(load.max(1));
    Nanos::try_from(share).unwrap_or(Nanos::MAX)
}
