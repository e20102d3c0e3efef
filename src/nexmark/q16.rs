//! q16, statistics of channels: bids, bidders and auctions of each channel and day.

use crate::connector::nexmark::result::ChannelStatistics;
use crate::connector::nexmark::{Bid, Event};
use crate::dataflow::{Chain, DataStream};
use crate::nexmark::statistics::{CountBids, count_ids};
use crate::nexmark::{DAY, SOMETIMES, window_start};
use crate::state::aggregate::{known, max};
use crate::time::Timestamp;

const MINUTE_MS: i64 = 60_000;

/// How many bids, bidders and auctions each channel has had so far on each day, and the minute of
/// its latest bid.
pub fn q16<C>(events: DataStream<C>) -> DataStream<impl Chain<Out = ChannelStatistics>>
where
    C: Chain<Out = Event>,
{
    events
        .filter_map(Event::bid)
        .key_by(|bid| (bid.channel, window_start(bid.time, DAY)))
        .emit_at(SOMETIMES)
        .aggregate((
            known(max(|bid: &Bid| bid.time)),
            CountBids,
            count_ids(|bid| bid.bidder),
            count_ids(|bid| bid.auction),
        ))
        .map(|((channel, day), (last, bids, bidders, auctions))| {
            let minute = minute_of_day(day, last);
            ChannelStatistics { channel, day, minute, bids, bidders, auctions }
        })
}

fn minute_of_day(day: Timestamp, time: Timestamp) -> u32 {
    // Below 1,440.
    ((time.as_millis() - day.as_millis()) / MINUTE_MS) as u32
}
