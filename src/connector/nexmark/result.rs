//! `result`: the rows that the NEXMark queries come to, one type a query.
//!
//! `README.md` beside this file says what each row stands for; the fields are its columns, in the
//! same order, and their names those of `--output`. Queries 0, 1 and 18 come to bids.
//!
//! A set of rows has a checksum that no order changes: the wrapping sum of
//! [`hash_key`](crate::record::hash_key) over them.

use serde::{Deserialize, Serialize};

use crate::connector::nexmark::event::{Auction, Bid};
use crate::connector::nexmark::text::{Channel, Letters, Name, Word};
use crate::time::Timestamp;

/// Query 2: a bid for a chosen auction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ChosenBid {
    /// Id of the auction.
    pub auction: u64,
    /// In cents.
    pub price: u32,
}

/// Query 3: something for sale in one of three states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct LocalItem {
    /// Of the seller.
    pub name: Name,
    /// Of the seller.
    pub city: Word,
    /// Of the seller.
    pub state: Word,
    /// Id of the auction.
    pub auction: u64,
}

/// Query 4: what the auctions of a category close at on average, so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct CategoryAverage {
    /// The key: a later row replaces an earlier one.
    pub category: u32,
    /// In cents, rounded down.
    pub average: u64,
}

/// Query 5: an auction with the most bids of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct HotAuction {
    /// Start of the window.
    pub window: Timestamp,
    /// Id of the auction.
    pub auction: u64,
    /// How many it had.
    pub bids: u64,
}

/// Query 6: what the last ten auctions of a seller closed at on average.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct SellerAverage {
    /// The key: a later row replaces an earlier one.
    pub seller: u64,
    /// In cents, rounded down.
    pub average: u64,
}

/// Query 7: a bid with the highest price of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct HighestBid {
    /// Start of the window.
    pub window: Timestamp,
    /// Id of the auction.
    pub auction: u64,
    /// Id of the person who bids.
    pub bidder: u64,
    /// In cents.
    pub price: u32,
    /// When the bid was made.
    pub time: Timestamp,
    /// Its text.
    pub extra: Letters,
}

/// Query 8: a person who sells in the window in which she registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct NewSeller {
    /// Start of the window.
    pub window: Timestamp,
    /// Id of the person.
    pub person: u64,
    /// Her name.
    pub name: Name,
}

/// Queries 9 and 20: an auction and a bid for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct AuctionBid {
    /// Id of the auction.
    pub auction: u64,
    /// What is for sale.
    pub item: Letters,
    /// Lowest bid, in cents.
    pub initial_bid: u32,
    /// Lowest price that the seller wants, in cents.
    pub reserve: u32,
    /// When the auction opened.
    pub opened: Timestamp,
    /// When it closes.
    pub expires: Timestamp,
    /// Id of the person who sells.
    pub seller: u64,
    /// One of five.
    pub category: u32,
    /// Id of the person who bids.
    pub bidder: u64,
    /// In cents.
    pub price: u32,
    /// Where the bid came from.
    pub channel: Channel,
    /// When it was made.
    pub time: Timestamp,
    /// Its text.
    pub extra: Letters,
}

impl AuctionBid {
    /// The row of `auction` and one of its bids.
    pub fn new(auction: &Auction, bid: &Bid) -> AuctionBid {
        AuctionBid {
            auction: auction.id,
            item: auction.item(),
            initial_bid: auction.initial_bid,
            reserve: auction.reserve,
            opened: auction.time,
            expires: auction.expires(),
            seller: auction.seller,
            category: auction.category,
            bidder: bid.bidder,
            price: bid.price,
            channel: bid.channel,
            time: bid.time,
            extra: bid.extra,
        }
    }
}

/// Query 11: a time in which somebody bids again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct BidderSession {
    /// Id of the person who bids.
    pub bidder: u64,
    /// Her first bid.
    pub start: Timestamp,
    /// Her last bid and the gap.
    pub end: Timestamp,
    /// How many there were.
    pub bids: u64,
}

/// Query 12: how often somebody bids in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct BidderCount {
    /// Start of the window.
    pub window: Timestamp,
    /// Id of the person who bids.
    pub bidder: u64,
    /// How often.
    pub bids: u64,
}

/// Query 13: a bid with what a table says of its auction.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct EnrichedBid {
    /// Id of the auction.
    pub auction: u64,
    /// Id of the person who bids.
    pub bidder: u64,
    /// In cents.
    pub price: u32,
    /// When the bid was made.
    pub time: Timestamp,
    /// From the table.
    pub value: String,
}

/// The part of the day in which a bid of query 14 was made, in hours of UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PartOfDay {
    /// 8:00 to 18:59.
    Day,
    /// 20:00 to 6:59.
    Night,
    /// Between them.
    Other,
}

/// Query 14: a bid of a middling price, and what can be said of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct MiddlingBid {
    /// Id of the auction.
    pub auction: u64,
    /// Id of the person who bids.
    pub bidder: u64,
    /// In cents of a euro, rounded down.
    pub price: u32,
    /// When it was made, roughly.
    pub part_of_day: PartOfDay,
    /// When it was made.
    pub time: Timestamp,
    /// Its text.
    pub extra: Letters,
    /// How often the letter c is in it.
    pub count_of_c: u64,
}

/// A count of four things: all, and those of the three ranks of price.
///
/// `[all, below 10,000 cents, below 1,000,000 cents, the rest]`
pub type Ranks = [u64; 4];

/// Query 15: bids of a day, so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct DayStatistics {
    /// The key: midnight, UTC. A later row replaces an earlier one.
    pub day: Timestamp,
    /// How many there are.
    pub bids: Ranks,
    /// How many persons made them.
    pub bidders: Ranks,
    /// How many auctions they were for.
    pub auctions: Ranks,
}

/// Query 16: bids of a day through a channel, so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ChannelStatistics {
    /// The key, with the day.
    pub channel: Channel,
    /// Midnight, UTC. A later row of channel and day replaces an earlier one.
    pub day: Timestamp,
    /// Minute of the day of the last one.
    pub minute: u32,
    /// How many there are.
    pub bids: Ranks,
    /// How many persons made them.
    pub bidders: Ranks,
    /// How many auctions they were for.
    pub auctions: Ranks,
}

/// Query 17: bids of a day for an auction, so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct AuctionStatistics {
    /// The key, with the day.
    pub auction: u64,
    /// Midnight, UTC. A later row of auction and day replaces an earlier one.
    pub day: Timestamp,
    /// How many there are.
    pub bids: Ranks,
    /// Lowest price, in cents.
    pub min: u32,
    /// Highest price, in cents.
    pub max: u32,
    /// Mean price, in cents, rounded down.
    pub average: u64,
    /// All prices together, in cents.
    pub sum: u64,
}

/// Query 19: one of the ten highest bids for an auction, so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct RankedBid {
    /// Id of the auction: the key, with the rank.
    pub auction: u64,
    /// 1 is the highest. A later row of auction and rank replaces an earlier one.
    pub rank: u64,
    /// Id of the person who bids.
    pub bidder: u64,
    /// In cents.
    pub price: u32,
    /// Where the bid came from.
    pub channel: Channel,
    /// When it was made.
    pub time: Timestamp,
    /// Its text.
    pub extra: Letters,
}

/// Query 21: a bid whose channel has a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct NumberedBid {
    /// Id of the auction.
    pub auction: u64,
    /// Id of the person who bids.
    pub bidder: u64,
    /// In cents.
    pub price: u32,
    /// Where it came from.
    pub channel: Channel,
    /// The number of the channel.
    pub channel_id: u32,
}

/// Query 22: a bid with the directories of its URL.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct LocatedBid {
    /// Id of the auction.
    pub auction: u64,
    /// Id of the person who bids.
    pub bidder: u64,
    /// In cents.
    pub price: u32,
    /// Where it came from.
    pub channel: Channel,
    /// In order.
    pub directories: [String; 3],
}
