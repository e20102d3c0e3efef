//! q12, bids in processing time: how often somebody bids in each ten seconds on the clock.

use crate::connector::nexmark::Event;
use crate::connector::nexmark::result::BidderCount;
use crate::dataflow::{Chain, DataStream};
use crate::nexmark::WINDOW;
use crate::operator::window::tumbling;

/// The bids of each bidder in every ten seconds of processing time.
pub fn q12<C>(events: DataStream<C>) -> DataStream<impl Chain<Out = BidderCount>>
where
    C: Chain<Out = Event>,
{
    events
        .filter_map(Event::bid)
        .key_by(|bid| bid.bidder)
        .window_in_processing_time(tumbling(WINDOW))
        .count()
        .map(|one| BidderCount { window: one.window.start, bidder: one.key, bids: one.value })
}
