//! Queries 4 and 6: auctions close at the watermark, and the best of their bids wins.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use millstream::connector::nexmark::{Auction, Bid, Event};
use millstream::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::nexmark::kernel::{Kernel, Map};

/// A closed auction, with the price of the bid that won.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Winner {
    /// When the auction closed, and its id: the order of query 6.
    pub closed: (Timestamp, u64),
    /// Of the auction.
    pub category: u32,
    /// Of the auction.
    pub seller: u64,
    /// Of the bid, in cents.
    pub price: u32,
}

/// An auction with the best bid so far.
#[derive(Clone, Copy, Debug)]
pub struct Lot {
    auction: Auction,
    best: Option<Bid>,
}

impl Lot {
    /// One that nobody has bid for.
    pub fn new(auction: Auction) -> Lot {
        Lot { auction, best: None }
    }

    /// Lets a bid count, if its time is right.
    pub fn bid(&mut self, bid: &Bid) {
        let is_better = |best: &Bid| {
            let of = |bid: &Bid| (bid.price, Reverse(bid.time), Reverse(bid.extra));
            of(bid) > of(best)
        };
        if self.auction.is_open_at(bid.time) && self.best.as_ref().is_none_or(is_better) {
            self.best = Some(*bid);
        }
    }

    /// What comes of it when it closes; nothing, if no bid counted.
    pub fn close(&self) -> Option<Winner> {
        let Auction { id, category, seller, .. } = self.auction;
        let price = self.best?.price;
        Some(Winner { closed: (self.auction.expires(), id), category, seller, price })
    }
}

/// The auctions that are open, and bids for others.
///
/// A bid whose auction is not known is for one that is still to come, or for one that has closed.
/// Which, is known when the watermark has passed the bid, since an auction must not be later than
/// its bids; so such bids are kept until then.
#[derive(Clone, Default)]
pub struct Auctions {
    open: Map<u64, Lot>,
    closings: BinaryHeap<Reverse<(Timestamp, u64)>>,
    unknown: Vec<Bid>,
}

impl Kernel for Auctions {
    type In = Event;
    type Out = Winner;
    const FIRES: bool = true;

    #[inline]
    fn take(&mut self, event: Event, _: &mut Vec<Winner>) {
        match event {
            Event::Bid(bid) => match self.open.get_mut(&bid.auction) {
                Some(lot) => lot.bid(&bid),
                None => self.unknown.push(bid),
            },
            Event::Auction(auction) => {
                self.closings.push(Reverse((auction.expires(), auction.id)));
                self.open.insert(auction.id, Lot::new(auction));
            }
            Event::Person(_) => {}
        }
    }

    fn advance(&mut self, watermark: Timestamp, out: &mut Vec<Winner>) {
        self.unknown.retain(|bid| {
            let lot = self.open.get_mut(&bid.auction);
            let is_settled = lot.is_some() || bid.time < watermark;
            if let Some(lot) = lot {
                lot.bid(bid);
            }
            !is_settled
        });
        while let Some(&Reverse((expires, id))) = self.closings.peek() {
            if expires > watermark {
                break;
            }
            self.closings.pop();
            out.extend(self.open.remove(&id).and_then(|lot| lot.close()));
        }
    }
}
