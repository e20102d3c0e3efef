//! NEXMark q0 to q8 on all contenders, from events that were made before the clock starts.
//!
//! `src/connector/nexmark/README.md` of the crate defines the queries. Whoever needs state of his
//! own has the same one, of [`kernel`]: so what is compared is how the engines move records and
//! time, not whose hash table is better.

pub mod events;
pub mod kernel;
pub mod oracle;
pub mod renoir;
pub mod rows;
pub mod timely;

use std::sync::Arc;

use millstream::connector::nexmark::result::{ChosenBid, HighestBid, HotAuction};
use millstream::connector::nexmark::{Bid, Event};
use millstream::time::Timestamp;

use crate::feed::Line;
use crate::nexmark::events::Events;
use crate::nexmark::kernel::Ranked;
use crate::options::Options;
use crate::work::Pass;

/// How many queries there are: 0 to 8.
pub const QUERIES: usize = 9;

/// Events of a second of event time: the reference generator's default.
pub const EVENT_RATE: u64 = 10_000;

/// Length of the windows of queries 5, 7 and 8.
pub const WINDOW_MS: i64 = 10_000;

/// From one window of query 5 to the next.
pub const SLIDE_MS: i64 = 2_000;

/// What one pass over a query is made of.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// Number of the query.
    pub query: usize,
    /// Each worker's share.
    pub events: &'a Arc<Events>,
    /// One worker on each of these.
    pub cores: &'a [usize],
    /// Of the contender.
    pub options: Options<'a>,
}

impl Job<'_> {
    /// Where its workers meet before the clock starts.
    pub fn line(&self) -> Arc<Line> {
        Arc::new(Line::new(self.cores.len()))
    }
}

/// How a contender takes part in NEXMark.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The shapes a query is run in, of which the best counts; none if it cannot do the query.
    pub shapes: fn(usize) -> &'static [&'static str],
    /// Runs one pass.
    pub run: fn(&Job<'_>) -> Pass,
}

/// The start of the window that `time` lies in, of windows of `size_ms` without overlap.
#[inline]
pub fn window_start(time: Timestamp, size_ms: i64) -> Timestamp {
    time.plus_millis(-time.as_millis().rem_euclid(size_ms))
}

/// A bid of query 1: its price in euros.
#[inline]
pub fn in_euros(bid: Bid) -> Bid {
    Bid { price: (u64::from(bid.price) * 908 / 1000) as u32, ..bid }
}

/// A bid's row of query 2, if it is for a chosen auction.
#[inline]
pub fn chosen(bid: &Bid) -> Option<ChosenBid> {
    let Bid { auction, price, .. } = *bid;
    (auction % 123 == 0).then_some(ChosenBid { auction, price })
}

/// A bid's place among those of its window in query 7.
#[inline]
pub fn by_price(bid: Bid) -> Ranked<Bid> {
    Ranked { window: window_start(bid.time, WINDOW_MS), rank: bid.price.into(), what: bid }
}

/// The row of a bid with the highest price.
pub fn highest(ranked: Ranked<Bid>) -> HighestBid {
    let Bid { auction, bidder, price, time, extra, .. } = ranked.what;
    HighestBid { window: ranked.window, auction, bidder, price, time, extra }
}

/// The row of an auction with the most bids.
pub fn hottest(ranked: Ranked<u64>) -> HotAuction {
    HotAuction { window: ranked.window, auction: ranked.what, bids: ranked.rank }
}

/// Whether query 3 reads an event: sellers of three states, auctions of category 10.
pub fn is_for_local_items(event: &Event) -> bool {
    match event {
        Event::Person(person) => ["OR", "ID", "CA"].contains(&person.state.as_str()),
        Event::Auction(auction) => auction.category == 10,
        Event::Bid(_) => false,
    }
}

/// Whether an event is a bid.
#[inline]
pub fn is_bid(event: &Event) -> bool {
    matches!(event, Event::Bid(_))
}

/// Whether an event is a person's or an auction's: those that query 8 reads.
pub fn is_no_bid(event: &Event) -> bool {
    !is_bid(event)
}

/// Whether an event is an auction or a bid: those that queries 4 and 6 read.
pub fn is_no_person(event: &Event) -> bool {
    !matches!(event, Event::Person(_))
}

/// The person that an event of queries 3 and 8 is about.
#[inline]
pub fn seller(event: &Event) -> u64 {
    match event {
        Event::Person(person) => person.id,
        Event::Auction(auction) => auction.seller,
        Event::Bid(bid) => bid.bidder,
    }
}

/// The auction that an event of queries 4 and 6 is about.
#[inline]
pub fn auction(event: &Event) -> u64 {
    match event {
        Event::Auction(auction) => auction.id,
        Event::Bid(bid) => bid.auction,
        Event::Person(person) => person.id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cores;
    use crate::work::contenders;

    /// 80 s of event time, with a last block that is not full.
    fn events(seed: u64, workers: usize) -> Arc<Events> {
        Arc::new(Events::new(seed, 1_000, 80_001, workers).unwrap())
    }

    #[test]
    fn every_contender_in_every_shape_answers_as_the_oracle_does() {
        let cores: Vec<usize> = cores::allowed().unwrap().into_iter().take(2).collect();
        for (query, workers) in (0..QUERIES).flat_map(|query| [(query, 1), (query, cores.len())]) {
            let events = events(query as u64, workers);
            let job = Job {
                query,
                events: &events,
                cores: &cores[..workers],
                options: Options("watermark=500"),
            };
            let expected = oracle::run(&job).checksum;
            for contender in contenders() {
                let Some(entry) = contender.nexmark else { continue };
                for shape in (entry.shapes)(query) {
                    let shape = format!("{shape} watermark=500");
                    // A thread of its own, since some contenders pin the one that they run on.
                    let job = Job { options: Options(&shape), ..job };
                    let run = || (entry.run)(&job);
                    let pass = std::thread::scope(|scope| scope.spawn(run).join().unwrap());
                    let name = contender.name;
                    assert_eq!(pass.checksum, expected, "q{query} {name} {shape} {workers}");
                }
            }
        }
    }

    #[test]
    fn shares_of_the_workers_are_all_events_and_each_in_order_of_time() {
        let mut all = events(1, 1).all();
        let shared = events(1, 3);
        assert!((0..3).all(|worker| shared.of(worker).is_sorted_by_key(Event::time)));
        let mut of_three = shared.all();
        for events in [&mut all, &mut of_three] {
            events.sort_by_key(|event| (event.time(), millstream::record::hash_key(event)));
        }
        assert_eq!(all, of_three);
    }
}
