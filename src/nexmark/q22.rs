//! q22, directories: every bid with those of its URL.

use crate::connector::nexmark::Event;
use crate::connector::nexmark::result::LocatedBid;
use crate::dataflow::{Chain, DataStream};

/// Every bid with the first three directories in the path of its URL.
pub fn q22<C>(events: DataStream<C>) -> DataStream<impl Chain<Out = LocatedBid>>
where
    C: Chain<Out = Event>,
{
    events.filter_map(Event::bid).map(|bid| LocatedBid {
        auction: bid.auction,
        bidder: bid.bidder,
        price: bid.price,
        channel: bid.channel,
        directories: bid.channel.directories(),
    })
}
