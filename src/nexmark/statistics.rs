//! Bids, bidders and auctions, each in all and by rank of price: q15, q16 and q17.

use std::collections::BTreeMap;

use crate::connector::nexmark::Bid;
use crate::connector::nexmark::result::Ranks;
use crate::state::aggregate::Aggregate;

/// Where the rank of `price` stands in [`Ranks`].
fn rank(price: u32) -> usize {
    match price {
        0..10_000 => 1,
        10_000..1_000_000 => 2,
        _ => 3,
    }
}

/// How many bids there are.
#[derive(Clone, Copy)]
pub(super) struct CountBids;

impl Aggregate<Bid> for CountBids {
    type Accumulator = Ranks;
    type Output = Ranks;

    #[inline]
    fn add(&self, counts: &mut Ranks, bid: &Bid) {
        counts[0] += 1;
        counts[rank(bid.price)] += 1;
    }

    fn merge(&self, into: &mut Ranks, from: Ranks) {
        into.iter_mut().zip(from).for_each(|(into, from)| *into += from);
    }

    fn finish(&self, counts: &Ranks) -> Ranks {
        *counts
    }
}

/// How many different values `id(bid)` has: of all bids, and of those of each rank.
pub(super) fn count_ids<F: Fn(&Bid) -> u64>(id: F) -> CountIds<F> {
    CountIds { id }
}

/// See [`count_ids`].
#[derive(Clone, Copy)]
pub(super) struct CountIds<F> {
    id: F,
}

/// The ids so far, each with a bit for every place in the counts that it is counted at.
type Ids = BTreeMap<u64, u8>;

/// Counts `id` at the places of `bits` where it is not yet.
fn note((ids, counts): &mut (Ids, Ranks), id: u64, bits: u8) {
    let seen = ids.entry(id).or_default();
    let fresh = bits & !*seen;
    *seen |= bits;
    for (place, count) in counts.iter_mut().enumerate() {
        *count += u64::from(fresh >> place & 1);
    }
}

impl<F> Aggregate<Bid> for CountIds<F>
where
    F: Fn(&Bid) -> u64 + Clone + Send + 'static,
{
    type Accumulator = (Ids, Ranks);
    type Output = Ranks;

    #[inline]
    fn add(&self, accumulator: &mut Self::Accumulator, bid: &Bid) {
        note(accumulator, (self.id)(bid), 1 | 1 << rank(bid.price));
    }

    fn merge(&self, into: &mut Self::Accumulator, (ids, _): Self::Accumulator) {
        ids.into_iter().for_each(|(id, bits)| note(into, id, bits));
    }

    fn finish(&self, (_, counts): &Self::Accumulator) -> Ranks {
        *counts
    }
}
