//! q0, pass through: every bid.

use crate::connector::nexmark::{Bid, Event};
use crate::dataflow::{Chain, DataStream};

/// Every bid.
pub fn q0<C>(events: DataStream<C>) -> DataStream<impl Chain<Out = Bid>>
where
    C: Chain<Out = Event>,
{
    events.filter_map(Event::bid)
}
