//! q0 to q2, which need neither time nor state.

use millstream::connector::nexmark::Event;
use renoir::Stream;
use renoir::operator::Operator;

use crate::nexmark::renoir::End;
use crate::nexmark::rows::Every;
use crate::nexmark::{chosen, in_euros};

/// Builds the query of this number.
pub fn build(query: usize, events: Stream<impl Operator<Out = Event> + 'static>, to: End) {
    let bids = events.filter_map(Event::bid);
    match query {
        0 => to.end::<_, Every>(bids),
        1 => to.end::<_, Every>(bids.map(in_euros)),
        _ => to.end::<_, Every>(bids.filter_map(|bid| chosen(&bid))),
    }
}
