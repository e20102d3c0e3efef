//! q0 to q8, as timely's own NEXMark programs have them: hand-written operators behind an exchange
//! by key, with state per window or auction that the frontier closes.
//!
//! Routed by a hash of the key: the ids of what is hot are all even, so that the key itself would
//! put three quarters of the bids on one of two workers.

use millstream::connector::generator::mix64;
use millstream::connector::nexmark::result::{HighestBid, HotAuction};
use millstream::connector::nexmark::{Bid, Event};
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::Probe;
use timely::dataflow::operators::vec::{Filter, Map};
use timely::dataflow::{ProbeHandle, StreamVec};

use crate::nexmark::kernel::{
    Auctions, HotAuctions, Kernel, LocalItems, NewSellers, OfCategories, OfSellers, Ranked, Top,
    Winner,
};
use crate::nexmark::rows::{Every, Latest, Tally};
use crate::nexmark::timely::Answer;
use crate::nexmark::timely::operators::{tallied, through};
use crate::nexmark::{
    SLIDE_MS, auction, by_price, chosen, highest, hottest, in_euros, is_bid, is_for_local_items,
    is_no_bid, is_no_person, seller,
};

type Events<'scope> = StreamVec<'scope, u64, Event>;

/// Builds the query of this number.
pub fn build(query: usize, events: Events<'_>, answer: Answer, probe: &ProbeHandle<u64>) {
    let to = End { answer, probe };
    match query {
        // In place, without a copy of the bids.
        0 => to.end_by::<_, Every, _>(events.filter(is_bid), Event::bid),
        1 => to.end_by::<_, Every, _>(q1(events), Event::bid),
        2 => to.end::<_, Every>(events.flat_map(|event| event.bid().and_then(|bid| chosen(&bid)))),
        3 => to.end::<_, Every>(q3(events)),
        4 => to.end::<_, Latest<_>>(q4(events)),
        5 => to.end::<_, Every>(q5(events)),
        6 => to.end::<_, Latest<_>>(q6(events)),
        7 => to.end::<_, Every>(q7(events)),
        _ => to.end::<_, Every>(q8(events)),
    }
}

/// Where the rows go.
struct End<'a> {
    answer: Answer,
    probe: &'a ProbeHandle<u64>,
}

impl End<'_> {
    fn end<R: 'static, T: Tally<R>>(self, rows: StreamVec<'_, u64, R>) {
        self.end_by::<R, T, R>(rows, Some);
    }

    fn end_by<R, T, D>(self, records: StreamVec<'_, u64, D>, read: fn(D) -> Option<R>)
    where
        R: 'static,
        T: Tally<R>,
        D: 'static,
    {
        tallied::<R, T, D>(records, read, self.answer).probe_with(self.probe);
    }
}

fn q1(events: Events<'_>) -> Events<'_> {
    events.filter(is_bid).map_in_place(|event| {
        if let Event::Bid(bid) = event {
            *bid = in_euros(*bid);
        }
    })
}

fn q3(events: Events<'_>) -> StreamVec<'_, u64, <LocalItems as Kernel>::Out> {
    let sides = events.filter(is_for_local_items);
    through::<LocalItems, _, _>(sides, Exchange::new(|event| mix64(seller(event))), Some)
}

fn winners(events: Events<'_>) -> StreamVec<'_, u64, Winner> {
    through::<Auctions, _, _>(
        events.filter(is_no_person),
        Exchange::new(|event| mix64(auction(event))),
        Some,
    )
}

fn q4(events: Events<'_>) -> StreamVec<'_, u64, <OfCategories as Kernel>::Out> {
    let by_category = Exchange::new(|winner: &Winner| winner.category.into());
    through::<OfCategories, _, _>(winners(events), by_category, Some)
}

fn q5(events: Events<'_>) -> StreamVec<'_, u64, HotAuction> {
    let bids = events.flat_map(|event| event.bid().map(|bid| (bid.auction, bid.time)));
    let by_auction = Exchange::new(|bid: &(u64, _)| mix64(bid.0));
    let of_worker = through::<HotAuctions, _, _>(bids, by_auction, Some);
    through::<Top<u64>, _, _>(of_worker, Exchange::new(window), Some).map(hottest)
}

fn q6(events: Events<'_>) -> StreamVec<'_, u64, <OfSellers as Kernel>::Out> {
    let by_seller = Exchange::new(|winner: &Winner| mix64(winner.seller));
    through::<OfSellers, _, _>(winners(events), by_seller, Some)
}

fn q7(events: Events<'_>) -> StreamVec<'_, u64, HighestBid> {
    let of_worker = through::<Top<Bid>, _, _>(events, Pipeline, |event| event.bid().map(by_price));
    through::<Top<Bid>, _, _>(of_worker, Exchange::new(window), Some).map(highest)
}

fn q8(events: Events<'_>) -> StreamVec<'_, u64, <NewSellers as Kernel>::Out> {
    through::<NewSellers, _, _>(
        events.filter(is_no_bid),
        Exchange::new(|event| mix64(seller(event))),
        Some,
    )
}

/// Routes by the number of the window.
fn window<T>(ranked: &Ranked<T>) -> u64 {
    (ranked.window.as_millis() / SLIDE_MS) as u64
}
