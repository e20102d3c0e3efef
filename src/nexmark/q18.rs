//! q18, last bids: the latest bid of each bidder for each auction.

use crate::connector::nexmark::{Bid, Event};
use crate::dataflow::{Chain, DataStream};
use crate::nexmark::SOMETIMES;
use crate::state::aggregate::{known, last_by};

/// The latest bid so far of each bidder for each auction; of those of one time the better one.
pub fn q18<C>(events: DataStream<C>) -> DataStream<impl Chain<Out = Bid>>
where
    C: Chain<Out = Event>,
{
    events
        .filter_map(Event::bid)
        .key_by(|bid| (bid.auction, bid.bidder))
        .emit_at(SOMETIMES)
        .aggregate(known(last_by(|bid: &Bid| (bid.time, bid.goodness()))))
        .map(|(_, bid)| bid)
}
