//! q15, statistics: bids, bidders and auctions of each day.

use crate::connector::nexmark::Event;
use crate::connector::nexmark::result::DayStatistics;
use crate::dataflow::{Chain, DataStream};
use crate::nexmark::statistics::{CountBids, count_ids};
use crate::nexmark::{DAY, SOMETIMES, window_start};

/// How many bids, bidders and auctions each day has had so far.
pub fn q15<C>(events: DataStream<C>) -> DataStream<impl Chain<Out = DayStatistics>>
where
    C: Chain<Out = Event>,
{
    events
        .filter_map(Event::bid)
        .key_by(|bid| window_start(bid.time, DAY))
        .emit_at(SOMETIMES)
        .aggregate((CountBids, count_ids(|bid| bid.bidder), count_ids(|bid| bid.auction)))
        .map(|(day, (bids, bidders, auctions))| DayStatistics { day, bids, bidders, auctions })
}
