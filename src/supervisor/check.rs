//! Whether an action makes sense: any policy's, ours or a user's, is checked before it is done.

use std::collections::BTreeSet;

use crate::routing::{OVERRIDES_MAX, UNITS_MAX};
use crate::supervisor::decision::{Action, Decision, Verdict};
use crate::supervisor::grants::PARTS_MAX;
use crate::supervisor::load::{DomainLoad, KeyRoute, LoadView, Unit};

/// Checks what a policy decided on `view`, in order: each action also against those before it.
/// What makes no sense becomes [`Verdict::Refused`], with the reason.
pub fn checked(view: &LoadView, decisions: Vec<Decision>) -> Vec<Decision> {
    let mut check = Check::new(view);
    let judge = |mut decision: Decision| {
        if let Verdict::Act { action, .. } = &decision.verdict
            && let Err(why) = check.take(action)
        {
            decision.verdict = Verdict::Refused { action: action.clone(), why };
        }
        decision
    };
    decisions.into_iter().map(judge).collect()
}

/// A view, and what is under way in it.
struct Check<'a> {
    view: &'a LoadView,
    /// (domain, unit) in a move, open or accepted before.
    moving: BTreeSet<(usize, Unit)>,
    /// (domain, group) with a key in a move.
    keys_move: BTreeSet<(usize, usize)>,
    /// Routes of their own that accepted actions add, by domain.
    added: Vec<usize>,
    /// Owners of key groups after the accepted actions, by domain; none where they have no order.
    owners: Vec<Vec<u16>>,
}

impl<'a> Check<'a> {
    fn new(view: &'a LoadView) -> Check<'a> {
        let mut check = Check {
            view,
            moving: BTreeSet::new(),
            keys_move: BTreeSet::new(),
            added: vec![0; view.domains.len()],
            owners: view.domains.iter().map(owners_in_order).collect(),
        };
        for open in &view.open_moves {
            check.note(open.domain, &open.units);
        }
        check
    }

    fn note(&mut self, domain: usize, units: &[Unit]) {
        for unit in units {
            self.moving.insert((domain, *unit));
            if let Unit::Key(_) = unit {
                self.keys_move.insert((domain, unit.group()));
            }
        }
    }

    /// Accepts the action, or says why not.
    fn take(&mut self, action: &Action) -> Result<(), String> {
        match action {
            Action::Move { domain, units, from, to } => {
                self.check_ends(*domain, *from, *to)?;
                self.check_units(*domain, units, *from)?;
                self.check_order(*domain, units, *to)?;
                self.note(*domain, units);
            }
            Action::Cut { domain, group, parts } => {
                if !(2..=PARTS_MAX).contains(parts) {
                    return Err(format!("{parts} parts of a range, allowed 2..={PARTS_MAX}"));
                }
                self.check_range(*domain, *group)?;
                self.note(*domain, &[Unit::Group(*group)]);
            }
            Action::Merge { domain, group } => {
                let index = self.check_range(*domain, *group)?;
                let ranges = &self.domain(*domain)?.ranges;
                let above = *ranges.get(index + 1).ok_or("there is no range above the last")?;
                self.check_range(*domain, above)?;
                let owner = |group: u16| self.owners[*domain][usize::from(group)];
                if owner(*group) != owner(above) {
                    return Err(format!("range {group} and the one above it have two owners"));
                }
                self.note(*domain, &[Unit::Group(*group), Unit::Group(above)]);
            }
            Action::Combine { domain, key } => {
                self.check_combine(*domain, *key)?;
                self.note(*domain, &[Unit::Key(*key)]);
            }
            Action::Fold { domain, key } => {
                let known = self.domain(*domain)?.routed_key(*key).map(|key| key.route);
                if known != Some(KeyRoute::Combined) {
                    return Err(format!("key #{key:016x} is not combined"));
                }
                self.check_free(*domain, Unit::Key(*key))?;
                self.note(*domain, &[Unit::Key(*key)]);
            }
        }
        Ok(())
    }

    fn domain(&self, index: usize) -> Result<&'a DomainLoad, String> {
        self.view.domains.get(index).ok_or_else(|| {
            format!("there is no domain {index}, there are {}", self.view.domains.len())
        })
    }

    fn check_ends(&self, domain: usize, from: usize, to: usize) -> Result<(), String> {
        let domain = self.domain(domain)?;
        if let Some(why) = &domain.unmovable {
            return Err(format!("keys of `{}` cannot move: {why}", domain.name));
        }
        let count = self.view.partitions.len();
        if let Some(missing) = [from, to].into_iter().find(|partition| *partition >= count) {
            return Err(format!("there is no partition {missing}, there are {count}"));
        }
        if from == to {
            return Err(format!("partition {to} would give to itself"));
        }
        match &self.view.partitions[to].refuses {
            Some(why) => Err(format!("partition {to} takes nothing: {why}")),
            None => Ok(()),
        }
    }

    fn check_units(&mut self, index: usize, units: &[Unit], from: usize) -> Result<(), String> {
        let domain = self.domain(index)?;
        if units.is_empty() || units.len() > UNITS_MAX {
            let seen = units.len();
            return Err(format!("{seen} units in a move, allowed 1..={UNITS_MAX}"));
        }
        let mut own = BTreeSet::new();
        let mut added = 0;
        for unit in units {
            let owner = domain.owner(*unit).ok_or_else(|| no_group(unit.group(), domain))?;
            if owner != from {
                return Err(format!("{} belongs to partition {owner}, not {from}", named(*unit)));
            }
            self.check_free(index, *unit)?;
            if !own.insert(*unit) {
                return Err(format!("{} is named twice", named(*unit)));
            }
            if let Unit::Key(hash) = unit {
                added += usize::from(domain.routed_key(*hash).is_none());
            }
        }
        let is_key = |unit: &&Unit| matches!(unit, Unit::Key(_));
        let with_group = |unit: &&Unit| own.contains(&Unit::Group(unit.group() as u16));
        if let Some(unit) = units.iter().filter(is_key).find(with_group) {
            return Err(format!("{} would move with its group and alone", named(*unit)));
        }
        self.check_overrides(index, added)
    }

    /// Whether ranges are in order over the partitions also with `units` at `to`; notes it.
    fn check_order(&mut self, index: usize, units: &[Unit], to: usize) -> Result<(), String> {
        let domain = self.domain(index)?;
        if domain.ranges.is_empty() {
            return Ok(());
        }
        let mut owners = self.owners[index].clone();
        for unit in units {
            let Unit::Group(group) = unit else {
                return Err(format!("{} goes with its range", named(*unit)));
            };
            owners[usize::from(*group)] = to as u16;
        }
        if !domain.ranges.iter().is_sorted_by_key(|group| owners[usize::from(*group)]) {
            return Err(format!("ranges of `{}` would not be in order", domain.name));
        }
        self.owners[index] = owners;
        Ok(())
    }

    /// Where a range lies in the order of keys, if it may become another.
    fn check_range(&self, index: usize, group: u16) -> Result<usize, String> {
        let domain = self.domain(index)?;
        let place = domain.ranges.iter().position(|other| *other == group);
        let place = place.ok_or_else(|| format!("`{}` has no range {group}", domain.name))?;
        self.check_free(index, Unit::Group(group))?;
        Ok(place)
    }

    /// A unit is in one move at most, and no key's route begins or ends while its group moves.
    fn check_free(&self, domain: usize, unit: Unit) -> Result<(), String> {
        if self.moving.contains(&(domain, unit)) {
            return Err(format!("{} is in another move", named(unit)));
        }
        let group = unit.group();
        let conflict = match unit {
            Unit::Group(_) => self.keys_move.contains(&(domain, group)),
            Unit::Key(_) => self.moving.contains(&(domain, Unit::Group(group as u16))),
        };
        match (conflict, unit) {
            (false, _) => Ok(()),
            (true, Unit::Group(_)) => Err(format!("a key of group {group} is in a move")),
            (true, Unit::Key(_)) => Err(format!("group {group} of {} is in a move", named(unit))),
        }
    }

    fn check_overrides(&mut self, domain: usize, added: usize) -> Result<(), String> {
        let count = self.domain(domain)?.override_count() + self.added[domain] + added;
        if count > OVERRIDES_MAX {
            return Err(format!("{count} keys with a route of their own, allowed {OVERRIDES_MAX}"));
        }
        self.added[domain] += added;
        Ok(())
    }

    fn check_combine(&mut self, index: usize, key: u64) -> Result<(), String> {
        let domain = self.domain(index)?;
        if let Some(why) = &domain.unmergeable {
            return Err(format!("`{}` does not merge: {why}", domain.name));
        }
        let unit = Unit::Key(key);
        domain.owner(unit).ok_or_else(|| no_group(unit.group(), domain))?;
        let route = domain.routed_key(key).map(|key| key.route);
        if route == Some(KeyRoute::Combined) {
            return Err(format!("{} is combined already", named(unit)));
        }
        self.check_free(index, unit)?;
        self.check_overrides(index, usize::from(route.is_none()))
    }
}

fn owners_in_order(domain: &DomainLoad) -> Vec<u16> {
    if domain.ranges.is_empty() { Vec::new() } else { domain.owners.clone() }
}

fn no_group(group: usize, domain: &DomainLoad) -> String {
    format!("there is no key group {group}, there are {}", domain.owners.len())
}

fn named(unit: Unit) -> String {
    match unit {
        Unit::Group(group) => format!("key group {group}"),
        Unit::Key(hash) => format!("key #{hash:016x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::decision::Rule;
    use crate::supervisor::load::OpenMove;
    use crate::supervisor::sample::{hash, percent, view};

    fn moved(units: &[Unit], from: usize, to: usize) -> Action {
        Action::Move { domain: 0, units: units.to_vec(), from, to }
    }

    /// Why each action is refused; "" for one that is not.
    fn verdicts(view: &LoadView, actions: &[Action]) -> Vec<String> {
        let decision = |action: &Action| {
            let verdict = Verdict::Act { action: action.clone(), gain_ns: 1, cost_ns: 0 };
            Decision { number: 1, rule: Rule::Other, seen: String::new(), verdict }
        };
        let judged = checked(view, actions.iter().map(decision).collect());
        let why = |decision: Decision| match decision.verdict {
            Verdict::Refused { why, .. } => why,
            Verdict::Act { .. } => String::new(),
            other => panic!("{other:?}"),
        };
        judged.into_iter().map(why).collect()
    }

    fn why(view: &LoadView, action: Action) -> String {
        verdicts(view, &[action]).remove(0)
    }

    const G: [Unit; 1] = [Unit::Group(0)];

    #[test]
    fn a_move_that_makes_sense_passes() {
        let view = view(4, percent(100));
        let units = [Unit::Group(0), Unit::Key(hash(1))];
        assert_eq!(why(&view, moved(&units, 0, 3)), "");
    }

    #[test]
    fn a_move_needs_two_partitions_that_exist() {
        let view = view(4, percent(100));
        assert_eq!(why(&view, moved(&G, 0, 0)), "partition 0 would give to itself");
        assert_eq!(why(&view, moved(&G, 0, 4)), "there is no partition 4, there are 4");
        assert_eq!(why(&view, moved(&G, 9, 1)), "there is no partition 9, there are 4");
        let elsewhere = Action::Move { domain: 1, units: G.to_vec(), from: 0, to: 1 };
        assert_eq!(why(&view, elsewhere), "there is no domain 1, there are 1");
    }

    #[test]
    fn a_move_needs_units_that_its_donor_owns() {
        let view = view(4, percent(100));
        let none = why(&view, moved(&[], 0, 1));
        assert_eq!(none, "0 units in a move, allowed 1..=64");
        let many: Vec<_> = (0..65).map(Unit::Group).collect();
        assert_eq!(why(&view, moved(&many, 0, 1)), "65 units in a move, allowed 1..=64");
        let foreign = why(&view, moved(&[Unit::Group(4095)], 0, 1));
        assert_eq!(foreign, "key group 4095 belongs to partition 3, not 0");
        let missing = why(&view, moved(&[Unit::Group(5000)], 0, 1));
        assert_eq!(missing, "there is no key group 5000, there are 4096");
        let twice = why(&view, moved(&[G[0], G[0]], 0, 1));
        assert_eq!(twice, "key group 0 is named twice");
    }

    #[test]
    fn a_key_does_not_move_beside_its_group() {
        let mut view = view(4, percent(100));
        let both = [Unit::Key(hash(0)), Unit::Group(0)];
        assert!(why(&view, moved(&both, 0, 1)).ends_with("would move with its group and alone"));
        let one_by_one = [moved(&both[..1], 0, 1), moved(&both[1..], 0, 2)];
        assert_eq!(verdicts(&view, &one_by_one)[1], "a key of group 0 is in a move");
        let open = OpenMove { domain: 0, units: G.to_vec(), from: 0, to: 1 };
        view.open_moves.push(open);
        let combined = why(&view, Action::Combine { domain: 0, key: hash(0) });
        assert!(combined.starts_with("group 0 of key #"), "{combined}");
    }

    #[test]
    fn a_unit_in_flight_or_in_an_earlier_action_stays() {
        let mut view = view(4, percent(100));
        let pair = [moved(&G, 0, 1), moved(&G, 0, 2)];
        assert_eq!(verdicts(&view, &pair), ["", "key group 0 is in another move"]);
        view.open_moves.push(OpenMove { domain: 0, units: G.to_vec(), from: 0, to: 1 });
        assert_eq!(why(&view, moved(&G, 0, 2)), "key group 0 is in another move");
    }

    #[test]
    fn nothing_goes_where_nothing_is_taken_nor_out_of_an_unmovable_domain() {
        let mut view = view(4, percent(100));
        view.partitions[1].refuses = Some("it drains".into());
        assert_eq!(why(&view, moved(&G, 0, 1)), "partition 1 takes nothing: it drains");
        view.domains[0].unmovable = Some("`async_map` behind it keeps an order".into());
        let refused = why(&view, moved(&G, 0, 2));
        assert_eq!(refused, "keys of `sum` cannot move: `async_map` behind it keeps an order");
    }

    #[test]
    fn combining_needs_an_operator_that_merges_and_folding_a_combined_key() {
        let mut view = view(4, percent(100));
        let key = view.add_key(5, percent(50));
        let (combine, fold) = (Action::Combine { domain: 0, key }, Action::Fold { domain: 0, key });
        assert!(why(&view, fold.clone()).ends_with("is not combined"));
        assert_eq!(why(&view, combine.clone()), "");
        view.domains[0].unmergeable = Some("`process` keeps a user's struct".into());
        let refused = why(&view, combine.clone());
        assert_eq!(refused, "`sum` does not merge: `process` keeps a user's struct");
        view.domains[0].unmergeable = None;
        view.apply(&combine);
        assert!(why(&view, combine).ends_with("is combined already"));
        assert_eq!(why(&view, fold), "");
    }

    #[test]
    fn routes_of_single_keys_are_bounded() {
        let mut view = view(2, percent(100));
        for group in 0..OVERRIDES_MAX - 1 {
            view.add_key(group, 1);
            view.apply(&moved(&[Unit::Key(hash(group))], 0, 1));
        }
        let two = [Unit::Key(hash(1_500)), Unit::Key(hash(1_501))];
        assert_eq!(why(&view, moved(&two[..1], 0, 1)), "");
        let refused = why(&view, moved(&two, 0, 1));
        assert_eq!(refused, "1025 keys with a route of their own, allowed 1024");
    }

    #[test]
    fn ranges_stay_in_order_and_only_what_is_a_range_is_cut_or_merged() {
        let mut view = view(3, percent(100));
        view.domains[0].ranges = vec![0, 7, 1_400, 9, 4_000];
        view.domains[0].owners[9] = 1;
        let groups = |groups: &[u16]| groups.iter().copied().map(Unit::Group).collect::<Vec<_>>();
        let cut = |group, parts| Action::Cut { domain: 0, group, parts };
        let merge = |group| Action::Merge { domain: 0, group };
        let out_of_order = "ranges of `sum` would not be in order";
        assert_eq!(why(&view, moved(&groups(&[7]), 0, 1)), "");
        assert_eq!(why(&view, moved(&groups(&[7]), 0, 2)), out_of_order);
        assert_eq!(why(&view, moved(&groups(&[0]), 0, 1)), out_of_order);
        assert_eq!(why(&view, moved(&groups(&[9]), 1, 2)), "");
        let both = [moved(&groups(&[1_400, 9]), 1, 0), moved(&groups(&[4_000]), 2, 1)];
        assert_eq!(verdicts(&view, &both), ["", ""], "one after the other");
        let key = moved(&[Unit::Key(hash(7))], 0, 1);
        assert!(why(&view, key).ends_with("goes with its range"));
        assert_eq!(why(&view, cut(9, 2)), "");
        assert_eq!(why(&view, cut(9, 1)), "1 parts of a range, allowed 2..=4096");
        assert_eq!(why(&view, cut(8, 2)), "`sum` has no range 8");
        assert_eq!(
            verdicts(&view, &[cut(9, 2), merge(1_400)])[1],
            "key group 9 is in another move"
        );
        assert_eq!(why(&view, merge(0)), "");
        assert_eq!(why(&view, merge(7)), "range 7 and the one above it have two owners");
        assert_eq!(why(&view, merge(4_000)), "there is no range above the last");
        view.domains[0].ranges.clear();
        assert_eq!(why(&view, cut(9, 2)), "`sum` has no range 9");
    }
}
