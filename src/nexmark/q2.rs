//! q2, selection: the bids for some auctions.

use crate::connector::nexmark::Event;
use crate::connector::nexmark::result::ChosenBid;
use crate::dataflow::{Chain, DataStream};

/// The bids for every 123rd auction.
pub fn q2<C>(events: DataStream<C>) -> DataStream<impl Chain<Out = ChosenBid>>
where
    C: Chain<Out = Event>,
{
    events
        .filter_map(Event::bid)
        .filter(|bid| bid.auction % 123 == 0)
        .map(|bid| ChosenBid { auction: bid.auction, price: bid.price })
}
