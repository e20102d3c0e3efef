//! q17, statistics of auctions: bids and prices of each auction and day.

use crate::connector::nexmark::result::AuctionStatistics;
use crate::connector::nexmark::{Bid, Event};
use crate::dataflow::{Chain, DataStream};
use crate::nexmark::statistics::CountBids;
use crate::nexmark::{DAY, SOMETIMES, window_start};
use crate::state::aggregate::{known, max, min, sum};

/// How many bids each auction has had so far on each day, and their prices.
pub fn q17<C>(events: DataStream<C>) -> DataStream<impl Chain<Out = AuctionStatistics>>
where
    C: Chain<Out = Event>,
{
    events
        .filter_map(Event::bid)
        .key_by(|bid| (bid.auction, window_start(bid.time, DAY)))
        .emit_at(SOMETIMES)
        .aggregate((
            CountBids,
            known(min(|bid: &Bid| bid.price)),
            known(max(|bid: &Bid| bid.price)),
            sum(|bid: &Bid| u64::from(bid.price)),
        ))
        .map(|((auction, day), (bids, min, max, sum))| AuctionStatistics {
            auction,
            day,
            bids,
            min,
            max,
            average: sum / bids[0],
            sum,
        })
}
