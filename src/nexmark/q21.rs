//! q21, numbers of channels: bids whose channel has one.

use crate::connector::nexmark::Event;
use crate::connector::nexmark::result::NumberedBid;
use crate::dataflow::{Chain, DataStream};

/// Every bid whose channel has a number, by its name or in its URL.
pub fn q21<C>(events: DataStream<C>) -> DataStream<impl Chain<Out = NumberedBid>>
where
    C: Chain<Out = Event>,
{
    events.filter_map(Event::bid).filter_map(|bid| {
        Some(NumberedBid {
            auction: bid.auction,
            bidder: bid.bidder,
            price: bid.price,
            channel: bid.channel,
            channel_id: bid.channel.id()?,
        })
    })
}
