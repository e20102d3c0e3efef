//! q14, calculation: bids of middling prices, and what can be said of them.

use crate::connector::nexmark::result::{MiddlingBid, PartOfDay};
use crate::connector::nexmark::{Bid, Event};
use crate::dataflow::{Chain, DataStream};
use crate::nexmark::q1::in_euros;
use crate::time::Timestamp;

const HOUR_MS: i64 = 3_600_000;

/// Every bid between one and fifty million cents of a euro, with its part of the day and the
/// letters c in its text.
pub fn q14<C>(events: DataStream<C>) -> DataStream<impl Chain<Out = MiddlingBid>>
where
    C: Chain<Out = Event>,
{
    events.filter_map(Event::bid).filter(is_middling).map(row)
}

fn is_middling(bid: &Bid) -> bool {
    let price = u64::from(bid.price) * 908;
    1_000_000_000 < price && price < 50_000_000_000
}

fn row(bid: Bid) -> MiddlingBid {
    let Bid { auction, bidder, price, time, extra, .. } = bid;
    MiddlingBid {
        auction,
        bidder,
        price: in_euros(price),
        part_of_day: part_of_day(time),
        time,
        extra,
        count_of_c: extra.bytes().iter().filter(|byte| **byte == b'c').count() as u64,
    }
}

fn part_of_day(time: Timestamp) -> PartOfDay {
    match time.as_millis().div_euclid(HOUR_MS).rem_euclid(24) {
        8..=18 => PartOfDay::Day,
        20.. | ..=6 => PartOfDay::Night,
        _ => PartOfDay::Other,
    }
}
