//! q1, currency: every bid with its price in euros.

use crate::connector::nexmark::{Bid, Event};
use crate::dataflow::{Chain, DataStream};

/// Every bid, with its price in cents of a euro.
pub fn q1<C>(events: DataStream<C>) -> DataStream<impl Chain<Out = Bid>>
where
    C: Chain<Out = Event>,
{
    events.filter_map(Event::bid).map(|bid| Bid { price: in_euros(bid.price), ..bid })
}

/// Cents of a euro for cents of a dollar.
#[inline]
pub(super) fn in_euros(price: u32) -> u32 {
    // At most the price, so that it fits.
    (u64::from(price) * 908 / 1000) as u32
}
