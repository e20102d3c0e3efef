//! q11, sessions: how often somebody bids without a pause of ten seconds.

use std::time::Duration;

use crate::connector::nexmark::Event;
use crate::connector::nexmark::result::BidderSession;
use crate::dataflow::{Chain, DataStream};
use crate::nexmark::timed_bids;
use crate::operator::window::session;

/// The bids of each bidder, cut where ten seconds pass without one.
pub fn q11<C>(events: DataStream<C>) -> DataStream<impl Chain<Out = BidderSession>>
where
    C: Chain<Out = Event>,
{
    timed_bids(events)
        .key_by(|bid| bid.bidder)
        .window(session(Duration::from_secs(10)))
        .count()
        .map(|one| BidderSession {
            bidder: one.key,
            start: one.window.start,
            end: one.window.end,
            bids: one.value,
        })
}
