//! q4, averages of categories: what the auctions of each category close at.

use crate::connector::nexmark::Event;
use crate::connector::nexmark::result::CategoryAverage;
use crate::dataflow::{Chain, DataStream, EmitAt};
use crate::nexmark::closing::sales;
use crate::state::aggregate::{Count, sum};

/// The mean price of the winning bids of each category, whenever one more auction has closed.
pub fn q4<C>(events: DataStream<C>) -> DataStream<impl Chain<Out = CategoryAverage>>
where
    C: Chain<Out = Event>,
{
    sales(events)
        .map(|sale| (sale.auction.category, u64::from(sale.bid.price)))
        .key_by(|(category, _)| *category)
        .emit_at(EmitAt::EachRecord)
        .aggregate((Count, sum(|(_, price): &(u32, u64)| *price)))
        .map(|(category, (count, sum))| CategoryAverage { category, average: sum / count })
}
