//! Balance: bundles of units from partitions that have too much to those that have too little.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use crate::routing::KEY_GROUPS;
use crate::routing::UNITS_MAX;
use crate::supervisor::load::Unit;
use crate::supervisor::policy::sight::{Levels, Piece, Sight};
use crate::time::Nanos;

/// The planner stops within 1 % of the fair part: below that it would move jitter about.
const SLACK_PER_FAIR: u64 = 100;
/// What a move brings is counted over 10 s; loads that last shorter are for stealing.
pub(super) const HORIZON_S: u64 = 10;
/// A move must bring ten times what it costs, as its cost is certain and its gain is not.
pub(super) const GAIN_PER_COST: u64 = 10;
/// Sweeping the lanes and telling all partitions: 0.2 to 0.5 ms on the donor.
const MOVE_NS: Nanos = 500_000;
/// Taking one group out and putting it in: 1.5 to 2 µs each.
const UNIT_NS: Nanos = 4_000;
/// A group that shares its segment is copied out, at some 16 bytes a nanosecond; segments above
/// this size are handed over by pointer.
const COPIED_BYTES_MAX: u64 = 64 << 10;
const BYTES_PER_NS: u64 = 16;

/// Units that go together from one partition to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bundle {
    pub(super) domain: usize,
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) units: Vec<Unit>,
    /// Demand that goes with them.
    pub(super) demand: u64,
    /// Core time that the fuller of the two saves within the horizon.
    pub(super) gain_ns: Nanos,
    /// Core time that the move takes.
    pub(super) cost_ns: Nanos,
}

/// Core time that moving `pieces` takes.
pub(super) fn cost_ns(pieces: &[Piece]) -> Nanos {
    let copied = |piece: &Piece| piece.state_bytes.min(COPIED_BYTES_MAX) / BYTES_PER_NS;
    MOVE_NS + pieces.iter().map(|piece| UNIT_NS + copied(piece)).sum::<Nanos>()
}

/// The bundles that make the loads even, donors with most to give first.
pub(super) fn bundles(sight: Sight) -> Vec<Bundle> {
    let mut plan = Plan::new(sight);
    plan.part_giants();
    plan.find_rooms();
    let Levels { loads, .. } = &plan.sight.levels;
    let least = plan.sight.levels.gives_from();
    let mut donors: Vec<usize> = (0..loads.len()).filter(|donor| loads[*donor] > least).collect();
    donors.sort_by_key(|donor| (Reverse(plan.excess(*donor)), *donor));
    for donor in donors {
        if plan.excess(donor) <= plan.slack {
            break;
        }
        plan.empty(donor);
    }
    plan.bundles
}

/// The pieces that are more than the fair part, and no smaller ones inside: keys, and groups
/// without a key of their size.
fn giants(pieces: &[Piece], fair: u64) -> Vec<Piece> {
    let large = pieces.iter().take_while(|piece| piece.demand > fair);
    let large: Vec<Piece> = large.copied().collect();
    let has_key = |piece: &Piece| {
        let inside = |other: &&Piece| {
            let is_key = matches!(other.unit, Unit::Key(_));
            is_key && (other.domain, other.unit.group()) == (piece.domain, piece.unit.group())
        };
        matches!(piece.unit, Unit::Group(_)) && large.iter().any(|other| inside(&other))
    };
    large.iter().filter(|piece| !has_key(piece)).copied().collect()
}

/// Bundles under construction.
struct Plan {
    sight: Sight,
    slack: u64,
    /// Takers by (room, the smaller index first).
    rooms: BinaryHeap<(u64, Reverse<usize>)>,
    bundles: Vec<Bundle>,
    /// `marks[domain][group]`: what is planned for it.
    marks: Vec<Vec<Mark>>,
    /// Keys that go, by (domain, hash).
    keys: BTreeSet<(usize, u64)>,
}

/// What is planned for a key group: it goes as a whole or keys of it do, never both.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    Stays,
    Goes,
    KeysGo,
}

impl Plan {
    fn new(sight: Sight) -> Plan {
        let slack = sight.levels.fair / SLACK_PER_FAIR;
        let marks = vec![vec![Mark::Stays; KEY_GROUPS]; sight.spare_routes.len()];
        let (rooms, bundles, keys) = (BinaryHeap::new(), Vec::new(), BTreeSet::new());
        Plan { sight, slack, rooms, bundles, marks, keys }
    }

    /// Sees to it that of the pieces that are more than the fair part no two share a partition:
    /// nobody has room for one, so somebody must make some.
    fn part_giants(&mut self) {
        let fair = self.sight.levels.fair;
        let giants: Vec<Vec<Piece>> = self.sight.pieces.iter().map(|p| giants(p, fair)).collect();
        let mut hosts: BTreeSet<usize> =
            (0..giants.len()).filter(|host| !giants[*host].is_empty()).collect();
        for (donor, giants) in giants.iter().enumerate() {
            for giant in giants.iter().skip(1) {
                let loads = &self.sight.levels.loads;
                let free = (0..loads.len()).filter(|p| self.sight.takes[*p] && !hosts.contains(p));
                let Some(taker) = free.min_by_key(|partition| (loads[*partition], *partition))
                else {
                    return;
                };
                if self.is_there(giant) && self.bundle(donor, taker, &[*giant]) {
                    self.take(giant);
                    hosts.insert(taker);
                    let target = &mut self.sight.levels.targets[taker];
                    *target = giant.demand.max(*target);
                }
            }
        }
    }

    fn find_rooms(&mut self) {
        let Levels { loads, fair, .. } = &self.sight.levels;
        let takers = (0..loads.len()).filter(|partition| self.sight.takes[*partition]);
        let room = |partition: usize| fair.saturating_sub(loads[partition]);
        self.rooms = takers.map(|taker| (room(taker), Reverse(taker))).collect();
    }

    fn excess(&self, partition: usize) -> u64 {
        self.sight.levels.excess(partition)
    }

    /// Gives away what `donor` has too much, as far as anybody has room for it.
    fn empty(&mut self, donor: usize) {
        let pieces = std::mem::take(&mut self.sight.pieces[donor]);
        while self.excess(donor) > self.slack {
            let Some((_, Reverse(taker))) = self.rooms.pop() else { break };
            // If this one cannot take anything, no other has more room.
            let is_done = taker == donor || !self.give(&pieces, donor, taker);
            let Levels { loads, fair, .. } = &self.sight.levels;
            self.rooms.push((fair.saturating_sub(loads[taker]), Reverse(taker)));
            if is_done {
                break;
            }
        }
        self.sight.pieces[donor] = pieces;
    }

    /// Makes `donor` emptier by giving something to `taker`, in the simplest way that is worth it.
    fn give(&mut self, pieces: &[Piece], donor: usize, taker: usize) -> bool {
        let room = self.sight.levels.fair.saturating_sub(self.sight.levels.loads[taker]);
        let left = room.min(self.excess(donor)) + self.slack;
        let too_big = |piece: &&Piece| piece.demand > left && self.is_there(piece);
        let big = pieces.iter().rev().find(too_big).copied();
        // Giants stay where they are unless nothing else helps: the next one is never far.
        let fair = self.sight.levels.fair;
        if let Some(big) = big.filter(|big| big.demand <= fair)
            && self.reach(pieces, left) < left / 2
            && self.give_big(big, donor, taker)
        {
            return true;
        }
        let fitting = self.choose(pieces, left);
        if !fitting.is_empty() && self.bundle(donor, taker, &fitting) {
            return true;
        }
        let Some(big) = big else { return false };
        if self.give_big(big, donor, taker) {
            return true;
        }
        // A giant for a giant would be jitter.
        let is_giant = big.demand > self.sight.levels.fair;
        self.sight.takes[donor] && !is_giant && self.swap(big, donor, taker)
    }

    /// Gives away what is more than it should be, if the taker ends up emptier than the donor was.
    fn give_big(&mut self, big: Piece, donor: usize, taker: usize) -> bool {
        let Levels { loads, .. } = &self.sight.levels;
        let is_emptier = loads[taker] + big.demand + self.slack < loads[donor];
        if is_emptier && self.bundle(donor, taker, &[big]) {
            self.take(&big);
            return true;
        }
        false
    }

    /// How much of `left` one bundle can have at most.
    fn reach(&self, pieces: &[Piece], left: u64) -> u64 {
        let fitting = pieces.iter().filter(|piece| piece.demand <= left && self.is_there(piece));
        fitting.take(UNITS_MAX).map(|piece| piece.demand).sum()
    }

    /// The largest pieces of one domain that fit into `left` together.
    fn choose(&mut self, pieces: &[Piece], mut left: u64) -> Vec<Piece> {
        let mut chosen: Vec<Piece> = Vec::new();
        for piece in pieces {
            let is_alike = chosen.first().is_none_or(|first| first.domain == piece.domain);
            if piece.demand > left || !is_alike || !self.is_there(piece) {
                continue;
            }
            left -= piece.demand;
            self.take(piece);
            chosen.push(*piece);
            if chosen.len() == UNITS_MAX || left <= self.slack {
                break;
            }
        }
        chosen
    }

    /// Gives `big` to `taker`, which has no room for it, and takes smaller pieces back for the
    /// difference.
    fn swap(&mut self, big: Piece, donor: usize, taker: usize) -> bool {
        let Levels { loads, .. } = &self.sight.levels;
        let (given, got) = (loads[donor], loads[taker]);
        let wanted = self.excess(donor).min(given.saturating_sub(got) / 2);
        let theirs = std::mem::take(&mut self.sight.pieces[taker]);
        self.take(&big);
        let back = self.choose(&theirs, big.demand.saturating_sub(wanted));
        self.sight.pieces[taker] = theirs;
        if back.first().is_none_or(|first| first.domain != big.domain) {
            return false;
        }
        let net = big.demand.saturating_sub(demand(&back));
        let after = given.saturating_sub(net).max(got + net);
        let gain_ns = given.saturating_sub(after) * HORIZON_S;
        if gain_ns < (cost_ns(&[big]) + cost_ns(&back)) * GAIN_PER_COST {
            return false;
        }
        self.push(donor, taker, &[big], gain_ns);
        self.push(taker, donor, &back, gain_ns);
        true
    }

    /// Whether the piece is still the donor's, and can go beside what goes already.
    fn is_there(&self, piece: &Piece) -> bool {
        let mark = self.marks[piece.domain][piece.unit.group()];
        match piece.unit {
            Unit::Group(_) => mark == Mark::Stays,
            Unit::Key(hash) => {
                let has_route = self.sight.spare_routes[piece.domain] > 0;
                has_route && mark != Mark::Goes && !self.keys.contains(&(piece.domain, hash))
            }
        }
    }

    fn take(&mut self, piece: &Piece) {
        let mark = &mut self.marks[piece.domain][piece.unit.group()];
        match piece.unit {
            Unit::Group(_) => *mark = Mark::Goes,
            Unit::Key(hash) => {
                *mark = Mark::KeysGo;
                self.keys.insert((piece.domain, hash));
                self.sight.spare_routes[piece.domain] -= 1;
            }
        }
    }

    /// Notes the bundle if it is worth its cost.
    fn bundle(&mut self, from: usize, to: usize, pieces: &[Piece]) -> bool {
        let loads = &self.sight.levels.loads;
        let demand = demand(pieces);
        let before = loads[from].max(loads[to]);
        let after = loads[from].saturating_sub(demand).max(loads[to] + demand);
        let gain_ns = before.saturating_sub(after) * HORIZON_S;
        let is_worth_it = gain_ns >= cost_ns(pieces) * GAIN_PER_COST;
        if is_worth_it {
            self.push(from, to, pieces, gain_ns);
        }
        is_worth_it
    }

    fn push(&mut self, from: usize, to: usize, pieces: &[Piece], gain_ns: Nanos) {
        let loads = &mut self.sight.levels.loads;
        let demand = demand(pieces);
        loads[from] = loads[from].saturating_sub(demand);
        loads[to] += demand;
        let (domain, cost_ns) = (pieces[0].domain, cost_ns(pieces));
        let units = pieces.iter().map(|piece| piece.unit).collect();
        self.bundles.push(Bundle { domain, from, to, units, demand, gain_ns, cost_ns });
    }
}

fn demand(pieces: &[Piece]) -> u64 {
    pieces.iter().map(|piece| piece.demand).sum()
}
