//! The three kinds of NEXMark events, at most 48 bytes each.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

use crate::connector::generator::mix64;
use crate::connector::nexmark::text::{Channel, Letters, Name, Word};
use crate::time::Timestamp;

/// What happens in the auction house.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Event {
    /// Somebody registers.
    Person(Person),
    /// Something is put up for sale.
    Auction(Auction),
    /// Somebody offers a price for it.
    Bid(Bid),
}

// What a batch of 256 to 1,024 events may take for lanes to stay in cache.
const _: () = assert!(size_of::<Event>() <= 48);

impl Event {
    /// When it happened: the event time of every query.
    #[inline]
    pub fn time(&self) -> Timestamp {
        match self {
            Event::Person(person) => person.time,
            Event::Auction(auction) => auction.time,
            Event::Bid(bid) => bid.time,
        }
    }

    /// The person, if it is one; made for `filter_map(Event::person)`.
    #[inline]
    pub fn person(self) -> Option<Person> {
        if let Event::Person(person) = self { Some(person) } else { None }
    }

    /// The auction, if it is one.
    #[inline]
    pub fn auction(self) -> Option<Auction> {
        if let Event::Auction(auction) = self { Some(auction) } else { None }
    }

    /// The bid, if it is one.
    #[inline]
    pub fn bid(self) -> Option<Bid> {
        if let Event::Bid(bid) = self { Some(bid) } else { None }
    }
}

/// A person who sells or bids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Person {
    /// Counts up from [`FIRST_ID`](super::FIRST_ID).
    pub id: u64,
    /// When the person registered.
    pub time: Timestamp,
    /// First and last name.
    pub name: Name,
    /// City, drawn apart from the state.
    pub city: Word,
    /// State, as two capitals.
    pub state: Word,
}

/// Something for sale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Auction {
    /// Counts up from [`FIRST_ID`](super::FIRST_ID).
    pub id: u64,
    /// Id of the person who sells; she may register up to 10 persons later.
    pub seller: u64,
    /// When it opened.
    pub time: Timestamp,
    /// How long it is open, in milliseconds; at least 1.
    pub duration_ms: u32,
    /// Lowest bid, in cents.
    pub initial_bid: u32,
    /// Lowest price that the seller wants, in cents. No query reads it.
    pub reserve: u32,
    /// One of five, from [`FIRST_CATEGORY`](super::FIRST_CATEGORY) on.
    pub category: u32,
}

impl Auction {
    /// When it closes: the first instant at which a bid is too late.
    #[inline]
    pub fn expires(&self) -> Timestamp {
        self.time.plus_millis(self.duration_ms.into())
    }

    /// The name of what is for sale, a function of the id.
    pub fn item(&self) -> Letters {
        Letters::new(mix64(self.id))
    }

    /// Whether a bid made at `time` is neither too early nor too late.
    #[inline]
    pub fn is_open_at(&self, time: Timestamp) -> bool {
        self.time <= time && time < self.expires()
    }
}

/// An offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Bid {
    /// Id of the auction, which may open up to 10 auctions later, or have closed.
    pub auction: u64,
    /// Id of the person who bids; she may register up to 10 persons later.
    pub bidder: u64,
    /// In cents, 100 to 100,000,000.
    pub price: u32,
    /// Where it came from.
    pub channel: Channel,
    /// When it was made.
    pub time: Timestamp,
    /// Text that no two bids of a seed share: the last word where bids tie.
    pub extra: Letters,
}

impl Bid {
    /// What makes it better than others: of two bids the better one's is greater.
    #[inline]
    pub fn goodness(&self) -> (u32, Reverse<Timestamp>, Reverse<Letters>) {
        (self.price, Reverse(self.time), Reverse(self.extra))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auction_is_open_from_its_time_until_before_it_expires() {
        let auction = Auction {
            id: 1000,
            seller: 1000,
            time: 50.into(),
            duration_ms: 10,
            initial_bid: 1,
            reserve: 2,
            category: 10,
        };
        let open = |millis: i64| auction.is_open_at(millis.into());
        assert_eq!([49, 50, 59, 60].map(open), [false, true, true, false]);
        assert_eq!(auction.expires(), 60.into());
    }

    #[test]
    fn event_is_of_one_kind_only() {
        let person = Person {
            id: 1000,
            time: 7.into(),
            name: Name::new(0, 0),
            city: Word::city(0),
            state: Word::state(0),
        };
        let event = Event::Person(person);
        assert_eq!(event.time(), 7.into());
        assert_eq!((event.person(), event.auction(), event.bid()), (Some(person), None, None));
    }
}
