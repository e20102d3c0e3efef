//! q6, averages of sellers: what the last auctions of each seller closed at.

use serde::{Deserialize, Serialize};

use crate::connector::nexmark::Event;
use crate::connector::nexmark::result::SellerAverage;
use crate::dataflow::{Chain, DataStream, EmitAt};
use crate::nexmark::closing::{Sale, sales};
use crate::state::aggregate::top_k;
use crate::time::Timestamp;

const LAST: usize = 10;

/// The mean price of the winning bids of the last ten auctions of each seller, whenever one more
/// has closed. Auctions come in the order in which they close on each partition, not over all, so
/// the last are found by that time.
pub fn q6<C>(events: DataStream<C>) -> DataStream<impl Chain<Out = SellerAverage>>
where
    C: Chain<Out = Event>,
{
    sales(events)
        .map(Closed::from)
        .key_by(|closed| closed.seller)
        .emit_at(EmitAt::EachRecord)
        .aggregate(top_k(LAST, |closed: &Closed| (closed.at, closed.auction)))
        .map(|(seller, last)| {
            let sum: u64 = last.iter().map(|closed| u64::from(closed.price)).sum();
            SellerAverage { seller, average: sum / last.len() as u64 }
        })
}

/// What is kept of a sale.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Closed {
    seller: u64,
    at: Timestamp,
    auction: u64,
    price: u32,
}

impl From<Sale> for Closed {
    fn from(Sale { auction, bid }: Sale) -> Closed {
        Closed {
            seller: auction.seller,
            at: auction.expires(),
            auction: auction.id,
            price: bid.price,
        }
    }
}
