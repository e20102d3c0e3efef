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
    SLIDE_MS, auction, by_price, chosen, highest, hottest, in_euros, is_for_local_items, is_no_bid,
    is_no_person, seller,
};

type Events<'scope> = StreamVec<'scope, u64, Event>;

/// Builds the query of this number.
pub fn build(query: usize, events: Events<'_>, answer: Answer, probe: &ProbeHandle<u64>) {
    let to = End { answer, probe };
    match query {
        0 => to.end::<_, Every>(events.flat_map(Event::bid)),
        1 => to.end::<_, Every>(events.flat_map(Event::bid).map(in_euros)),
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
        tallied::<R, T>(rows, self.answer).probe_with(self.probe);
    }
}

fn q3(events: Events<'_>) -> StreamVec<'_, u64, <LocalItems as Kernel>::Out> {
    let sides = events.filter(is_for_local_items);
    through::<LocalItems, _>(sides, Exchange::new(|event| mix64(seller(event))))
}

fn winners(events: Events<'_>) -> StreamVec<'_, u64, Winner> {
    through::<Auctions, _>(
        events.filter(is_no_person),
        Exchange::new(|event| mix64(auction(event))),
    )
}

fn q4(events: Events<'_>) -> StreamVec<'_, u64, <OfCategories as Kernel>::Out> {
    let by_category = Exchange::new(|winner: &Winner| winner.category.into());
    through::<OfCategories, _>(winners(events), by_category)
}

fn q5(events: Events<'_>) -> StreamVec<'_, u64, HotAuction> {
    let bids = events.flat_map(|event| event.bid().map(|bid| (bid.auction, bid.time)));
    let of_worker = through::<HotAuctions, _>(bids, Exchange::new(|bid: &(u64, _)| mix64(bid.0)));
    through::<Top<u64>, _>(of_worker, Exchange::new(window)).map(hottest)
}

fn q6(events: Events<'_>) -> StreamVec<'_, u64, <OfSellers as Kernel>::Out> {
    let by_seller = Exchange::new(|winner: &Winner| mix64(winner.seller));
    through::<OfSellers, _>(winners(events), by_seller)
}

fn q7(events: Events<'_>) -> StreamVec<'_, u64, HighestBid> {
    let bids = events.flat_map(|event| event.bid().map(by_price));
    let of_worker = through::<Top<Bid>, _>(bids, Pipeline);
    through::<Top<Bid>, _>(of_worker, Exchange::new(window)).map(highest)
}

fn q8(events: Events<'_>) -> StreamVec<'_, u64, <NewSellers as Kernel>::Out> {
    through::<NewSellers, _>(events.filter(is_no_bid), Exchange::new(|event| mix64(seller(event))))
}

/// Routes by the number of the window.
fn window<T>(ranked: &Ranked<T>) -> u64 {
    (ranked.window.as_millis() / SLIDE_MS) as u64
}
