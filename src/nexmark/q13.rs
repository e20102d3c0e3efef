//! q13, table: every bid with what a table says of its auction.

use std::sync::Arc;

use crate::connector::nexmark::result::EnrichedBid;
use crate::connector::nexmark::{Bid, Event};
use crate::dataflow::{Chain, DataStream};

const KEYS: u64 = 10_000;

/// Every bid with the value of its auction in a table that all partitions share.
pub fn q13<C>(events: DataStream<C>) -> DataStream<impl Chain<Out = EnrichedBid>>
where
    C: Chain<Out = Event>,
{
    let table: Arc<[String]> = (0..KEYS).map(|key| key.to_string()).collect();
    events.filter_map(Event::bid).map(move |bid| {
        let Bid { auction, bidder, price, time, .. } = bid;
        let value = table[(auction % KEYS) as usize].clone();
        EnrichedBid { auction, bidder, price, time, value }
    })
}
