//! q7, highest bids: those with the highest price of each ten seconds.

use crate::connector::nexmark::result::HighestBid;
use crate::connector::nexmark::{Bid, Event};
use crate::dataflow::{Chain, DataStream};
use crate::nexmark::leaders::{leaders, unbeaten};
use crate::nexmark::{WINDOW, timed_bids, window_start};
use crate::operator::window::{Windowed, tumbling};

/// Of every ten seconds the bids with the highest price.
pub fn q7<C>(events: DataStream<C>) -> DataStream<impl Chain<Out = HighestBid>>
where
    C: Chain<Out = Event>,
{
    timed_bids(events)
        .filter(unbeaten(|bid: &Bid| (window_start(bid.time, WINDOW), bid.price)))
        .window_all(tumbling(WINDOW))
        .aggregate(leaders(|bid: &Bid| bid.price))
        .flat_map(rows)
}

fn rows(highest: Windowed<(), Vec<Bid>>) -> impl Iterator<Item = HighestBid> {
    let window = highest.window.start;
    highest.value.into_iter().map(move |bid| {
        let Bid { auction, bidder, price, time, extra, .. } = bid;
        HighestBid { window, auction, bidder, price, time, extra }
    })
}
