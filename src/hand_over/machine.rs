//! One instance of a keyed task, as moves see it: what it gives, what it gets, and where each of
//! these stands. It knows neither lanes nor operators; its task asks it what to do next.

use std::sync::Arc;

use crate::exchange::Swept;
use crate::exchange::planted::{Fault, is_planted};
use crate::hand_over::cargo::{Cargo, Docks, Parcel};
use crate::hand_over::donor::{self, Giving};
use crate::hand_over::taker::{self, Taking};
use crate::record::Batch;
use crate::routing::{Domain, KeyRanges, Move, MoveId, RoutingTable};
use crate::time::Nanos;

/// A move that is done, as its taker has seen it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MoveReport {
    /// Its number.
    pub id: MoveId,
    /// How long nothing of its units was worked off, in nanoseconds.
    pub pause: Nanos,
    /// Records that were taken out of the donor's queues.
    pub stolen: u64,
}

/// The moves of one instance of a keyed task.
pub struct HandOver<T, P> {
    partition: usize,
    domain: Arc<Domain>,
    /// Up to here the domain's moves are known.
    epoch: u32,
    /// The ranges that the state is grouped by, and up to which epoch they hold.
    ranges: Option<(u32, Arc<dyn KeyRanges>)>,
    lanes: usize,
    docks: Docks<T, P>,
    giving: Vec<Giving>,
    taking: Vec<Taking<T, P>>,
}

/// What the task has to do for a donor before it takes anything in.
pub enum Give<'a> {
    /// Put the hold of this move, of this domain, behind all that it has emitted.
    Hold(MoveId, usize),
    /// Give these units.
    Units(&'a Arc<Move>),
}

/// What came from a donor.
pub enum Arrived {
    /// State: to be installed, and told to those behind.
    State {
        /// The move.
        moved: Arc<Move>,
        /// What to install.
        parcel: Parcel,
    },
    /// The lane may go on.
    Seen {
        /// The move for which it waited.
        id: MoveId,
        /// The lane.
        lane: usize,
    },
    /// Records; they wait to be worked off.
    Records,
}

impl<T, P> HandOver<T, P> {
    /// No moves yet, of a task that reads `lanes` lanes.
    pub fn new(partition: usize, domain: Arc<Domain>, lanes: usize, docks: Docks<T, P>) -> Self {
        HandOver {
            partition,
            epoch: domain.epoch(),
            ranges: None,
            domain,
            lanes,
            docks,
            giving: Vec::new(),
            taking: Vec::new(),
        }
    }

    /// The partition that it is on.
    pub fn partition(&self) -> usize {
        self.partition
    }

    /// Index of its domain.
    pub fn domain(&self) -> usize {
        self.domain.index()
    }

    /// Whether there is nothing to do about moves, now.
    #[inline]
    pub fn is_at_rest(&self) -> bool {
        self.domain.epoch() == self.epoch && self.giving.is_empty() && self.taking.is_empty()
    }

    /// Takes units on: from now on it lets nothing of them in before their state, and does not end.
    pub fn accept(&mut self, moved: &Arc<Move>) {
        self.taking.push(Taking::new(Arc::clone(moved), self.lanes));
    }

    /// Forgets a move that it has accepted and that will not be.
    pub fn cancel(&mut self, id: MoveId) {
        self.taking.retain(|taking| taking.moved.id != id);
    }

    /// Who owns which of its keys.
    pub fn routes(&self) -> &Arc<Domain> {
        &self.domain
    }

    /// Whether key groups are ranges that change while the job runs.
    pub fn is_ranged(&self) -> bool {
        self.domain.is_ranged()
    }

    /// The table that holds now, if it has ranges and others than were known.
    pub fn new_ranges(&mut self) -> Option<Arc<RoutingTable>> {
        let known = self.ranges.as_ref();
        if !self.is_ranged() || known.is_some_and(|(epoch, _)| *epoch == self.domain.epoch()) {
            return None;
        }
        let table = self.domain.table();
        let ranges = Arc::clone(table.ranges()?);
        let is_new = known.is_none_or(|(_, known)| !Arc::ptr_eq(known, &ranges));
        self.ranges = Some((table.epoch(), ranges));
        is_new.then_some(table)
    }

    /// Looks for moves that it has to give for.
    pub fn learn(&mut self) {
        if self.domain.epoch() == self.epoch {
            return;
        }
        let (table, moves) = self.domain.since(self.epoch);
        self.epoch = table.epoch();
        let own = moves.into_iter().filter(|moved| moved.donor == self.partition);
        self.giving.extend(own.map(Giving::new));
    }

    /// Whether the task may end: nothing is under way, and nothing will be given any more.
    pub fn may_end(&mut self) -> bool {
        let forgets = is_planted(Fault::HoldAfterEnd);
        (self.is_at_rest() && (forgets || self.domain.end(self.partition, self.epoch)))
            || is_planted(Fault::EndsUnderMove)
    }

    /// Whether the task has to take nothing in: it is about to give, or moved units catch up.
    pub fn is_pausing(&self) -> bool {
        let thaws = |taking: &Taking<T, P>| {
            matches!(taking.stage, taker::Stage::Thawing | taker::Stage::Releasing)
        };
        self.is_giving() || self.taking.iter().any(thaws)
    }

    /// What to do next for a move that has to be given for, if there is one.
    pub fn next_to_give(&mut self, now: Nanos) -> Option<Give<'_>> {
        let giving = self.giving.iter_mut().find(|giving| !giving.has_given())?;
        Some(match giving.stage {
            donor::Stage::Asked => {
                giving.stage = donor::Stage::Holding;
                giving.since = now;
                Give::Hold(giving.moved.id, giving.moved.domain)
            }
            _ => Give::Units(&giving.moved),
        })
    }

    /// Whether it is about to give: nothing from donors may be taken in until it has.
    pub fn is_giving(&self) -> bool {
        let waits_for_room = is_planted(Fault::GiveWaitsForRoom)
            && self.docks.outgoing.iter().any(|way| !way.is_empty());
        let goes_on = is_planted(Fault::TakesInWhileHolding);
        let gives = |giving: &Giving| match giving.stage {
            donor::Stage::Asked => true,
            donor::Stage::Holding => !goes_on,
            donor::Stage::Sweeping(_) => false,
        };
        waits_for_room || self.giving.iter().any(gives)
    }

    /// Sends what was given for move `id`.
    pub fn give(&mut self, id: MoveId, parcel: Parcel) {
        let lanes = self.lanes;
        let giving = self.giving.iter_mut().find(|giving| giving.moved.id == id);
        let giving = giving.expect("what is given for was asked for");
        giving.stage = donor::Stage::Sweeping(lanes);
        let cargo = Cargo::State { id, parcel, since: giving.since };
        self.docks.outgoing[giving.moved.taker].push(cargo);
    }

    /// Sends what a sweep has found; `false` if nothing more has room.
    pub fn forward(&mut self, swept: Swept<T, P>, is_received: bool) -> bool {
        let (id, cargo) = match swept {
            Swept::Records { id, lane, batch } => {
                (id, Cargo::Records { id, lane, batch, is_received })
            }
            Swept::Seen { id, lane } => (id, Cargo::Seen { id, lane }),
        };
        let is_seen = matches!(cargo, Cargo::Seen { .. });
        let giving = self.giving.iter_mut().find(|giving| giving.moved.id == id);
        let giving = giving.expect("a sweep belongs to a move that was given for");
        let way = &mut self.docks.outgoing[giving.moved.taker];
        way.push(cargo);
        way.send();
        let has_room = way.is_empty();
        if is_seen && let donor::Stage::Sweeping(unseen) = &mut giving.stage {
            *unseen -= 1;
        }
        has_room
    }

    /// Whether takers have room for what sweeps find.
    pub fn has_room(&self) -> bool {
        let gives = |giving: &&Giving| giving.has_given();
        let mut takers = self.giving.iter().filter(gives).map(|giving| giving.moved.taker);
        takers.all(|taker| self.docks.outgoing[taker].is_empty())
    }

    /// Sends what has waited for room, and forgets moves of which everything is sent; `true` if
    /// something moved.
    pub fn send(&mut self) -> bool {
        let mut sent = false;
        for way in &mut self.docks.outgoing {
            sent |= way.send();
        }
        let before = self.giving.len();
        let outgoing = &self.docks.outgoing;
        self.giving.retain(|giving| {
            giving.stage != donor::Stage::Sweeping(0) || !outgoing[giving.moved.taker].is_empty()
        });
        sent || self.giving.len() < before
    }

    /// Takes the next thing that a donor has sent.
    pub fn receive(&mut self, now: Nanos) -> Option<Arrived> {
        let cargo = self.docks.incoming.iter_mut().find_map(|pipe| pipe.try_recv())?;
        Some(match cargo {
            Cargo::State { id, parcel, since } => {
                let taking = self.taking_of(id);
                taking.stage = taker::Stage::Serving;
                taking.pause = now.saturating_sub(since);
                Arrived::State { moved: Arc::clone(&taking.moved), parcel }
            }
            Cargo::Records { id, lane, batch, is_received } => {
                let taking = self.taking_of(id);
                taking.stolen += batch.len() as u64;
                taking.waiting.push_back((lane, is_received, batch));
                Arrived::Records
            }
            Cargo::Seen { id, lane } => {
                self.taking_of(id).see(lane);
                Arrived::Seen { id, lane }
            }
        })
    }

    fn taking_of(&mut self, id: MoveId) -> &mut Taking<T, P> {
        let taking = self.taking.iter_mut().find(|taking| taking.moved.id == id);
        taking.expect("a donor sends only for what its taker has accepted")
    }

    /// Whether units are on their way here, or not settled yet.
    #[inline]
    pub fn is_taking(&self) -> bool {
        !self.taking.is_empty()
    }

    /// The moves whose units may be among what comes over `lane`, each with whether there is room
    /// to [keep](Self::keep) their records: as much as between two partitions, for each lane.
    pub fn expected(&self, lane: usize) -> impl Iterator<Item = (&Arc<Move>, bool)> {
        let waits = |taking: &&Taking<T, P>| match taking.stage {
            taker::Stage::Waiting => !is_planted(Fault::TakerLearnsLate),
            taker::Stage::Serving | taker::Stage::Thawing => true,
            taker::Stage::Releasing => false,
        };
        let early_max = self.docks.slots;
        let taking = self.taking.iter().filter(waits);
        taking.map(move |taking| (&taking.moved, taking.early[lane].len() < early_max))
    }

    /// Keeps records of a move's units that came directly, behind what the donor forwards of that
    /// lane.
    pub fn keep(&mut self, id: MoveId, lane: usize, batch: Batch<T, P>) {
        self.taking_of(id).keep(lane, batch);
    }

    /// The next records of moved units to be worked off, with their move, the lane over which they
    /// came, and whether they are counted as received. Stays until it is empty.
    pub fn next_records(&mut self) -> Option<(MoveId, usize, &mut bool, &mut Batch<T, P>)> {
        let taking = self.taking.iter_mut().filter(|taking| taking.stage == taker::Stage::Serving);
        for taking in taking {
            while taking.waiting.front().is_some_and(|(_, _, batch)| batch.is_empty()) {
                taking.waiting.pop_front();
            }
            if let Some((lane, is_received, batch)) = taking.waiting.front_mut() {
                return Some((taking.moved.id, *lane, is_received, batch));
            }
        }
        None
    }

    /// A move whose units may catch up with the partition, or are about to.
    pub fn next_to_thaw(&mut self) -> Option<MoveId> {
        let taking = self.taking.iter_mut().find(|taking| {
            let has_all = taking.has_all()
                || (is_planted(Fault::DoneBeforeLastSeen)
                    && taking.stage == taker::Stage::Serving
                    && taking.seen.iter().filter(|seen| !**seen).count() <= 1);
            has_all || taking.stage == taker::Stage::Thawing
        })?;
        taking.stage = taker::Stage::Thawing;
        Some(taking.moved.id)
    }

    /// The units of a move have caught up; its release is on its way.
    pub fn thawed(&mut self, id: MoveId) {
        self.taking_of(id).stage = taker::Stage::Releasing;
    }

    /// Forgets a move whose release is on all lanes; says what it came to.
    pub fn close_released(&mut self) -> Option<MoveReport> {
        let is_released = |taking: &Taking<T, P>| taking.stage == taker::Stage::Releasing;
        let at = self.taking.iter().position(is_released)?;
        let Taking { moved, pause, stolen, .. } = self.taking.swap_remove(at);
        Some(MoveReport { id: moved.id, pause, stolen })
    }
}
