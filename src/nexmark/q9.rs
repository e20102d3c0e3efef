//! q9, winning bids: each auction that closes, with its best bid.

use crate::connector::nexmark::Event;
use crate::connector::nexmark::result::AuctionBid;
use crate::dataflow::{Chain, DataStream};
use crate::nexmark::closing::sales;

/// Every auction that has closed, with its winning bid.
pub fn q9<C>(events: DataStream<C>) -> DataStream<impl Chain<Out = AuctionBid>>
where
    C: Chain<Out = Event>,
{
    sales(events).map(|sale| AuctionBid::new(&sale.auction, &sale.bid))
}
