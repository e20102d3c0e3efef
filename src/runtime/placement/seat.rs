//! The CPUs that partitions may get, and which of them come first.

use std::collections::BTreeMap;

use crate::runtime::placement::{Cpu, Leased, Machine};

/// A CPU that a partition may get.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seat {
    pub(super) cpu: Cpu,
    /// How many CPUs of the same physical core come before it.
    pub(super) sibling_rank: usize,
}

impl Seat {
    pub(super) fn shares_core_with(&self, other: &Seat) -> bool {
        let core = |seat: &Seat| (seat.cpu.package, seat.cpu.core);
        self.cpu.id != other.cpu.id && core(self) == core(other)
    }
}

/// The CPUs that were named, in their order.
pub(super) fn named_seats(machine: &Machine, cores: &[usize]) -> Vec<Seat> {
    let mut seats: Vec<Seat> = Vec::with_capacity(cores.len());
    for core in cores {
        let mut seat = Seat { cpu: machine.topology.cpu(*core), sibling_rank: 0 };
        seat.sibling_rank = seats.iter().filter(|before| before.shares_core_with(&seat)).count();
        seats.push(seat);
    }
    seats
}

/// All allowed CPUs but the `leased` ones, the best first. A leased one counts as the first of its
/// physical core.
pub(super) fn ranked_seats(
    machine: &Machine,
    leased: &[Leased],
    partitions: Option<usize>,
) -> Vec<Seat> {
    let is_leased = |id: usize| leased.iter().any(|one| one.core == id);
    let mut allowed = machine.allowed.clone();
    allowed.sort_unstable();
    let first = allowed.first().map(|id| machine.topology.cpu(*id));
    allowed.sort_by_key(|id| (!is_leased(*id), *id));
    let mut seats = named_seats(machine, &allowed);
    seats.retain(|seat| !is_leased(seat.cpu.id));
    let on_first = |cpu: &Cpu| {
        first.is_some_and(|first| (first.package, first.core) == (cpu.package, cpu.core))
    };
    let partitions = partitions.unwrap_or(usize::MAX);
    let nodes = domain_order(&seats, partitions, |cpu| cpu.node, |_| false);
    let caches = domain_order(&seats, partitions, |cpu| (cpu.node, cpu.cache), on_first);
    seats.sort_by_key(|seat| {
        let cpu = seat.cpu;
        let domain = (nodes[&cpu.node], caches[&(cpu.node, cpu.cache)]);
        (seat.sibling_rank, cpu.kind, domain, on_first(&cpu), cpu.id)
    });
    seats
}

/// The rank of each `domain` of CPUs: first the smallest one in which all partitions find a
/// physical core of the best kind, then the others by size; of equals one without a `shunned` CPU.
fn domain_order<D: Ord + Copy>(
    seats: &[Seat],
    partitions: usize,
    domain: impl Fn(&Cpu) -> D,
    shunned: impl Fn(&Cpu) -> bool,
) -> BTreeMap<D, usize> {
    let best = seats.iter().map(|seat| seat.cpu.kind).min();
    let mut sizes: BTreeMap<D, (usize, bool)> = BTreeMap::new();
    for seat in seats {
        let counts = seat.sibling_rank == 0 && Some(seat.cpu.kind) == best;
        let (size, is_shunned) = sizes.entry(domain(&seat.cpu)).or_default();
        *size += usize::from(counts);
        *is_shunned |= shunned(&seat.cpu);
    }
    let mut order: Vec<(D, (usize, bool))> = sizes.into_iter().collect();
    order.sort_by_key(|&(domain, (size, is_shunned))| match size >= partitions {
        true => (0, size, is_shunned, domain),
        false => (1, usize::MAX - size, is_shunned, domain),
    });
    order.into_iter().enumerate().map(|(rank, (domain, _))| (domain, rank)).collect()
}
