//! What a keyed task does about key groups that are ranges: it follows those of the routing table,
//! and cuts them.

use crate::dataflow::input::Input;
use crate::dataflow::task::{ChainTask, Phase, Reply};
use crate::dataflow::{Chain, End, Handling};
use crate::exchange::planted::{Fault, is_planted, is_planted_in_turns};

impl<C: Chain, E: End<C::Out>> ChainTask<C, E> {
    /// Looks for moves that it has to give for; before it knows of one, it knows the ranges that
    /// the move speaks of. They change between two records, and in the middle of no signal: keys
    /// that are still to be told of one are known by their groups.
    ///
    /// Returns whether there is more to learn that nobody wakes the partition for: never, but where
    /// a test says that it has looked too early.
    pub(super) fn learn(&mut self) -> bool {
        let Input::Lanes { moves: Some(moves), .. } = &mut self.input else { return false };
        let is_in_signal = self.passing.is_some() && !is_planted(Fault::FollowsInSignal);
        let is_unseen = is_planted_in_turns(Fault::EpochSeenLate)
            || is_planted_in_turns(Fault::TakerFollowsLate);
        if moves.is_ranged() && (is_in_signal || is_unseen) {
            return is_unseen;
        }
        moves.learn();
        self.follow_ranges();
        false
    }

    /// Goes over to the ranges that hold now, before anything of units that are taken on is told
    /// from the rest: what came from others may speak of groups that are new.
    pub(super) fn follow_ranges_to_take(&mut self) {
        if !is_planted(Fault::TakerFollowsLate) {
            self.follow_ranges();
        }
    }

    /// Goes over to the ranges that hold now. Between two records, in the middle of no signal.
    pub(super) fn follow_ranges(&mut self) {
        let Input::Lanes { moves: Some(moves), .. } = &mut self.input else { return };
        let Some(table) = moves.new_ranges() else { return };
        self.chain.handle(Handling::Follow { table: &table }, &mut self.end);
        if let Some(costs) = &mut self.costs {
            costs.forget();
        }
    }

    /// Cuts the range of `group`, if it keeps the state of `domain`; says that it is done, or that
    /// there is no reason to.
    pub(super) fn cut(&mut self, domain: usize, group: u16, parts: usize) -> Option<Reply> {
        let Input::Lanes { moves: Some(moves), .. } = &self.input else { return None };
        if moves.domain() != domain {
            return None;
        }
        let (chain, end) = (&mut self.chain, &mut self.end);
        let is_cut = self.phase == Phase::Running
            && moves.routes().cut(moves.partition(), group, |table| {
                let mut ranges = None;
                let cut = Handling::Cut { table, group, parts, ranges: &mut ranges };
                chain.handle(cut, end);
                ranges
            });
        Some(Reply::Cut { domain, group, is_cut })
    }
}
