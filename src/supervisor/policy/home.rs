//! Home: keys that have cooled lose the route they got when they were hot.

use crate::routing::OVERRIDES_MAX;
use crate::routing::key_group;
use crate::supervisor::decision::{Action, Decision, Rule, Verdict};
use crate::supervisor::load::{KeyLoad, KeyRoute, LoadView, Unit};
use crate::supervisor::policy::balance::cost_ns;
use crate::supervisor::policy::memory::Memory;
use crate::supervisor::policy::sight::{KEY_SHARE_MIN, Levels, Look, Piece};

/// Routes of a domain that nobody minds: half of what feeders take. A load that drifts would use
/// up the others too, one every time another key turns hot.
const ROUTES_KEPT: usize = OVERRIDES_MAX / 2;

/// A key that needs its route no more.
pub(super) struct ColdKey {
    piece: Piece,
    from: usize,
    to: usize,
    seen: String,
}

/// The coldest key of a domain with many routes, if it is not worth its own. One a tick is enough.
pub(super) fn cold_key(look: &Look<'_>, levels: &Levels) -> Option<ColdKey> {
    let cold = |index: usize| {
        let domain = &look.view.domains[index];
        let routes = domain.override_count();
        if routes <= ROUTES_KEPT || domain.unmovable.is_some() {
            return None;
        }
        let held = look.held(index);
        let home = |key: &KeyLoad| usize::from(domain.owners[key_group(key.hash)]);
        let may_go = |(key, peak): &(&KeyLoad, u64)| {
            key.route == KeyRoute::Override
                && home(key) != usize::from(key.owner)
                && look.view.partitions[home(key)].refuses.is_none()
                && *peak < levels.fair / KEY_SHARE_MIN
                && !held.moves[key_group(key.hash)]
                && look.is_free(index, Unit::Key(key.hash))
        };
        let coldest = look.single(index).filter(may_go).min_by_key(|(key, peak)| (*peak, key.hash));
        let (key, demand) = coldest?;
        let (unit, state_bytes) = (Unit::Key(key.hash), key.state_bytes);
        Some(ColdKey {
            piece: Piece { domain: index, unit, demand, state_bytes },
            from: usize::from(key.owner),
            to: home(key),
            seen: format!(
                "{routes} keys of `{}` have a route of their own, key {} has cooled",
                domain.name,
                key.shown()
            ),
        })
    };
    (0..look.view.domains.len()).find_map(cold)
}

impl ColdKey {
    /// The move that ends its route.
    pub(super) fn send_home(self, view: &LoadView, memory: &mut Memory) -> Decision {
        let ColdKey { piece, from, to, seen } = self;
        let (domain, units) = (piece.domain, vec![piece.unit]);
        memory.cool(domain, &units, view.at, 0);
        let action = Action::Move { domain, units, from, to };
        let verdict = Verdict::Act { action, gain_ns: 0, cost_ns: cost_ns(&[piece]) };
        memory.decide(Rule::Home, seen, verdict)
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Rebalance;
    use crate::supervisor::decision::{Action, Decision, Rule};
    use crate::supervisor::load::{LoadView, Unit};
    use crate::supervisor::policy::{Balanced, RebalancePolicy};
    use crate::supervisor::sample::{hash, percent, view};

    /// A view of even load in which `routes` keys of partition 0 have a route to partition 1; key
    /// *k* has a demand of `demand(k)`.
    fn routed(routes: usize, demand: fn(usize) -> u64) -> LoadView {
        let mut view = view(2, percent(100));
        for key in 0..routes {
            view.add_key(key, demand(key));
            let units = vec![Unit::Key(hash(key))];
            view.apply(&Action::Move { domain: 0, units, from: 0, to: 1 });
        }
        // What they have brought along, the groups of partition 1 have less.
        let (groups, brought) = (2_048..4_096, (0..routes).map(demand).sum::<u64>());
        groups.for_each(|group| view.domains[0].demands[group] -= brought / 2_048);
        view
    }

    fn sent_home(view: &mut LoadView, ticks: u32) -> Vec<Unit> {
        let mut policy = Balanced::new(Rebalance::Keys);
        let mut sent = Vec::new();
        for _ in 0..ticks {
            view.pass();
            for decision in policy.plan(view).iter().filter(|one| one.rule == Rule::Home) {
                let Some(action @ Action::Move { units, .. }) = Decision::action(decision) else {
                    panic!("{decision}")
                };
                sent.extend(units);
                view.apply(action);
            }
        }
        sent
    }

    #[test]
    fn coldest_keys_go_home_one_a_tick_until_half_of_the_routes_are_free() {
        let mut view = routed(515, |key| key as u64 + 1);
        let coldest: Vec<_> = (0..3).map(|key| Unit::Key(hash(key))).collect();
        assert_eq!(sent_home(&mut view, 1), coldest[..1]);
        assert_eq!(sent_home(&mut view, 50), coldest[1..]);
        assert_eq!(view.domains[0].override_count(), 512);
    }

    #[test]
    fn hot_keys_keep_their_routes() {
        let mut view = view(16, 0);
        for key in 0..515 {
            let hash = view.add_key(key * 7, percent(1));
            let from = usize::from(view.domains[0].owners[key * 7]);
            let (units, to) = (vec![Unit::Key(hash)], (from + 1) % 16);
            view.apply(&Action::Move { domain: 0, units, from, to });
        }
        assert_eq!(view.domains[0].override_count(), 515);
        assert_eq!(sent_home(&mut view, 20), []);
    }

    #[test]
    fn few_routes_disturb_nobody() {
        assert_eq!(sent_home(&mut routed(512, |_| 1), 20), []);
    }
}
