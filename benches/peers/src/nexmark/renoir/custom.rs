//! q3 to q8 with kernels in `rich_map_custom`, as its example does the faster of its two q4.

use millstream::connector::generator::mix64;
use millstream::connector::nexmark::{Bid, Event};
use renoir::operator::{ElementGenerator, Operator, StreamElement};
use renoir::{Replication, Stream};

use crate::nexmark::kernel::{
    Auctions, HotAuctions, Kernel, LocalItems, NewSellers, OfCategories, OfSellers, Ranked, Top,
    Winner,
};
use crate::nexmark::renoir::{End, timed};
use crate::nexmark::rows::{Every, Latest};
use crate::nexmark::{
    SLIDE_MS, auction, by_price, highest, hottest, is_for_local_items, is_no_bid, is_no_person,
    seller,
};

/// Builds the query of this number, with a watermark after each `every` events of a replica.
pub fn build(
    query: usize,
    events: Stream<impl Operator<Out = Event> + 'static>,
    every: usize,
    to: End,
) {
    match query {
        3 => {
            let sides = events.filter(is_for_local_items);
            let sides = sides.repartition_by(ALL, |event| mix64(seller(event)));
            to.end::<_, Every>(sides.rich_map_custom(through::<LocalItems, _>()));
        }
        4 => {
            let winners = winners(events, every)
                .repartition_by(ALL, |winner: &Winner| winner.category.into());
            to.end::<_, Latest<_>>(winners.rich_map_custom(through::<OfCategories, _>()));
        }
        5 => {
            let bids = timed(events, every).filter_map(Event::bid);
            let bids = bids.map(|bid| (bid.auction, bid.time));
            let bids = bids.repartition_by(ALL, |bid| mix64(bid.0));
            let hot = top(bids.rich_map_custom(through::<HotAuctions, _>()));
            to.end::<_, Every>(hot.map(hottest));
        }
        6 => {
            let winners =
                winners(events, every).repartition_by(ALL, |winner: &Winner| mix64(winner.seller));
            to.end::<_, Latest<_>>(winners.rich_map_custom(through::<OfSellers, _>()));
        }
        7 => {
            let bids = timed(events, every).filter_map(Event::bid).map(by_price);
            let highest_bids = top(bids.rich_map_custom(through::<Top<Bid>, _>()));
            to.end::<_, Every>(highest_bids.map(highest));
        }
        _ => {
            let sides = timed(events, every).filter(is_no_bid);
            let sides = sides.repartition_by(ALL, |event| mix64(seller(event)));
            to.end::<_, Every>(sides.rich_map_custom(through::<NewSellers, _>()));
        }
    }
}

const ALL: Replication = Replication::Unlimited;

fn winners(
    events: Stream<impl Operator<Out = Event> + 'static>,
    every: usize,
) -> Stream<impl Operator<Out = Winner> + 'static> {
    let lots = timed(events, every).filter(is_no_person);
    let lots = lots.repartition_by(ALL, |event| mix64(auction(event)));
    lots.rich_map_custom(through::<Auctions, _>())
}

/// The highest of each window, of those of each replica.
pub fn top<T>(
    of_replica: Stream<impl Operator<Out = Ranked<T>> + 'static>,
) -> Stream<impl Operator<Out = Ranked<T>> + 'static>
where
    T: Copy + Send + serde::Serialize + serde::de::DeserializeOwned + 'static,
{
    let window = |ranked: &Ranked<T>| (ranked.window.as_millis() / SLIDE_MS) as u64;
    of_replica.repartition_by(ALL, window).rich_map_custom(through::<Top<T>, _>())
}

/// Runs `K` on what the operator before gives.
pub fn through<K, Op>()
-> impl FnMut(ElementGenerator<'_, Op>) -> StreamElement<K::Out> + Clone + Send + 'static
where
    K: Kernel,
    Op: Operator<Out = K::In>,
{
    let mut kernel = K::default();
    // What goes out next, the last first, and then what follows it.
    let mut out: Vec<K::Out> = Vec::new();
    let mut mark: Option<StreamElement<K::Out>> = None;
    move |mut input| {
        loop {
            if let Some(row) = out.pop() {
                return StreamElement::Item(row);
            }
            if let Some(mark) = mark.take() {
                return mark;
            }
            match input.next() {
                StreamElement::Item(record) | StreamElement::Timestamped(record, _) => {
                    kernel.take(record, &mut out);
                }
                StreamElement::Watermark(time) => {
                    kernel.advance(time.into(), &mut out);
                    mark = Some(StreamElement::Watermark(time));
                }
                StreamElement::FlushAndRestart => {
                    kernel.advance(millstream::time::Timestamp::MAX, &mut out);
                    mark = Some(StreamElement::FlushAndRestart);
                }
                StreamElement::FlushBatch => return StreamElement::FlushBatch,
                StreamElement::Terminate => return StreamElement::Terminate,
            }
        }
    }
}
