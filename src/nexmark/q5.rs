//! q5, hot auctions: those with the most bids of the last ten seconds.

use std::time::Duration;

use crate::connector::nexmark::Event;
use crate::connector::nexmark::result::HotAuction;
use crate::dataflow::{Chain, DataStream};
use crate::nexmark::leaders::{leaders, unbeaten};
use crate::nexmark::{WINDOW, timed_bids};
use crate::operator::window::{sliding, tumbling};

const SLIDE: Duration = Duration::from_secs(2);

/// Every two seconds the auctions with the most bids of the last ten.
pub fn q5<C>(events: DataStream<C>) -> DataStream<impl Chain<Out = HotAuction>>
where
    C: Chain<Out = Event>,
{
    timed_bids(events)
        .key_by(|bid| bid.auction)
        .window(sliding(WINDOW, SLIDE))
        .count()
        .map(|one| HotAuction { window: one.window.start, auction: one.key, bids: one.value })
        .filter(unbeaten(|row: &HotAuction| (row.window, row.bids)))
        .key_by(|row| row.window)
        // A row's time is the last one of its window, so here are exactly those of one window.
        .window(tumbling(SLIDE))
        .aggregate(leaders(|row: &HotAuction| row.bids))
        .flat_map(|one| one.value)
}
