//! q19, top ten: the best bids for each auction.

use crate::connector::nexmark::result::RankedBid;
use crate::connector::nexmark::{Bid, Event};
use crate::dataflow::{Chain, DataStream};
use crate::nexmark::SOMETIMES;
use crate::state::aggregate::top_k;

const BEST: usize = 10;

/// The ten best bids so far for each auction, best first.
pub fn q19<C>(events: DataStream<C>) -> DataStream<impl Chain<Out = RankedBid>>
where
    C: Chain<Out = Event>,
{
    events
        .filter_map(Event::bid)
        .key_by(|bid| bid.auction)
        .emit_at(SOMETIMES)
        .aggregate(top_k(BEST, Bid::goodness))
        .flat_map(|(_, bids)| bids.into_iter().zip(1..).map(row))
}

fn row((bid, rank): (Bid, u64)) -> RankedBid {
    let Bid { auction, bidder, price, channel, time, extra } = bid;
    RankedBid { auction, rank, bidder, price, channel, time, extra }
}
