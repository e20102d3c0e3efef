//! Puts a plan into words.

use crate::runtime::placement::seat::Seat;
use crate::runtime::placement::{CoreKind, core_list};

/// What of the choice may hold the partitions up.
pub(super) fn slow_seats(taken: &[Seat]) -> Vec<String> {
    let mut warnings = Vec::new();
    let shared = taken.iter().filter(|seat| taken.iter().any(|other| seat.shares_core_with(other)));
    let shared = shared.count();
    if shared > 0 {
        warnings.push(format!(
            "{shared} of {} partitions share a physical core with another (SMT)",
            taken.len()
        ));
    }
    let small = taken.iter().filter(|seat| seat.cpu.kind == CoreKind::Efficiency).count();
    if small > 0 && small < taken.len() {
        warnings.push(format!(
            "{small} of {} partitions run on efficiency cores and may hold up the others",
            taken.len()
        ));
    }
    warnings
}

/// Puts the choice of a seat into words.
pub(super) struct Explained<'a> {
    pub(super) seats: &'a [Seat],
    pub(super) taken: &'a [Seat],
    /// Those that other jobs have pinned.
    pub(super) leased: &'a [Seat],
    /// Whether they were asked for by number.
    pub(super) named: bool,
}

impl Explained<'_> {
    /// Why `seat` was taken.
    pub(super) fn why(&self, seat: &Seat) -> String {
        let named = self.named.then(|| "named by --cores".to_owned());
        let about_core = Some(self.about_core(seat));
        let parts = [named, self.about_kind(seat), about_core, self.node(seat), self.cache(seat)];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    fn about_core(&self, seat: &Seat) -> String {
        let siblings = |seats: &[Seat]| -> Vec<usize> {
            seats.iter().filter(|other| other.shares_core_with(seat)).map(|s| s.cpu.id).collect()
        };
        let (taken, all) = (siblings(self.taken), siblings(self.seats));
        if !taken.is_empty() {
            return format!("shares its physical core with {}", core_list(&taken));
        }
        let leased = siblings(self.leased);
        if !leased.is_empty() {
            let cores = core_list(&leased);
            return format!("shares its physical core with {cores}, which another job has pinned");
        }
        match all.is_empty() {
            true => "a physical core of its own".to_owned(),
            false => format!("a physical core whose SMT sibling {} is free", core_list(&all)),
        }
    }

    fn about_kind(&self, seat: &Seat) -> Option<String> {
        let kind = seat.cpu.kind;
        if self.seats.iter().all(|other| other.cpu.kind == kind) {
            return None;
        }
        Some(match kind {
            CoreKind::Performance => "performance core".to_owned(),
            CoreKind::Efficiency if self.named => "efficiency core".to_owned(),
            CoreKind::Efficiency => {
                "efficiency core, as the performance cores are taken".to_owned()
            }
        })
    }

    fn node(&self, seat: &Seat) -> Option<String> {
        let node = seat.cpu.node;
        if self.seats.iter().all(|other| other.cpu.node == node) {
            return None;
        }
        let together = self.taken.iter().all(|other| other.cpu.node == node);
        Some(match together {
            true => format!("NUMA node {node} like all others"),
            false => format!("NUMA node {node}, as they do not fit into one"),
        })
    }

    fn cache(&self, seat: &Seat) -> Option<String> {
        let (node, cache) = (seat.cpu.node, seat.cpu.cache);
        let has_other = |seats: &[Seat]| {
            seats.iter().any(|other| other.cpu.node == node && other.cpu.cache != cache)
        };
        let name = cache.filter(|_| has_other(self.seats))?;
        Some(match has_other(self.taken) {
            false => format!("last-level cache of core {name} like all others"),
            true => format!("last-level cache of core {name}, as they do not fit into one"),
        })
    }
}
