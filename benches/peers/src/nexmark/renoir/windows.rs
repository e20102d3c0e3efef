//! q3 to q8 with its own keyed operators, as its example has them, but for what
//! `src/connector/nexmark/README.md` defines otherwise.

use millstream::connector::nexmark::result::{CategoryAverage, NewSeller, SellerAverage};
use millstream::connector::nexmark::{Bid, Event, Person};
use renoir::Stream;
use renoir::operator::window::{TransactionOp, TransactionWindow};
use renoir::operator::{ElementGenerator, Operator, StreamElement};

use crate::nexmark::kernel::{LastTen, LocalItems, Lot, Ranked, Top, Winner};
use crate::nexmark::renoir::aligned::Aligned;
use crate::nexmark::renoir::custom::{through, top};
use crate::nexmark::renoir::{End, timed};
use crate::nexmark::rows::{Every, Latest};
use crate::nexmark::{
    SLIDE_MS, WINDOW_MS, auction, by_price, highest, hottest, is_for_local_items, is_no_bid,
    is_no_person, seller, window_start,
};

const TUMBLING: Aligned = Aligned { size: WINDOW_MS, slide: WINDOW_MS };
const SLIDING: Aligned = Aligned { size: WINDOW_MS, slide: SLIDE_MS };

/// Builds the query of this number, with a watermark after each `every` events of a replica.
pub fn build(
    query: usize,
    events: Stream<impl Operator<Out = Event> + 'static>,
    every: usize,
    to: End,
) {
    match query {
        3 => q3(events, to),
        4 => q4(winners(events, every), to),
        5 => q5(timed(events, every), to),
        6 => q6(winners(events, every), to),
        7 => q7(timed(events, every), to),
        _ => q8(timed(events, every), to),
    }
}

fn q3(events: Stream<impl Operator<Out = Event> + 'static>, to: End) {
    let mut routes = events
        .filter(is_for_local_items)
        .route()
        .add_route(|event| matches!(event, Event::Person(_)))
        .add_route(|event| matches!(event, Event::Auction(_)))
        .build()
        .into_iter();
    let mut route = || routes.next().expect("there are two routes");
    let (persons, auctions) =
        (route().filter_map(Event::person), route().filter_map(Event::auction));
    let items = persons.join(auctions, |person| person.id, |auction| auction.seller).drop_key();
    to.end::<_, Every>(items.map(|(person, auction)| LocalItems::row(&person, auction.id)));
}

/// What comes before its auction, until it is there.
#[derive(Clone, Default)]
struct Bids {
    lot: Option<Lot>,
    early: Vec<Bid>,
}

fn winners(
    events: Stream<impl Operator<Out = Event> + 'static>,
    every: usize,
) -> Stream<impl Operator<Out = Winner> + 'static> {
    timed(events, every)
        .filter(is_no_person)
        .group_by(auction)
        .window(TransactionWindow::new(|event: &Event| match event {
            // It commits when the watermark is later than this, not equal.
            Event::Auction(auction) => {
                TransactionOp::CommitAfter(auction.expires().as_millis() - 1)
            }
            Event::Bid(_) | Event::Person(_) => TransactionOp::Continue,
        }))
        .fold(Bids::default(), |bids, event| match (event, &mut bids.lot) {
            (Event::Bid(bid), Some(lot)) => lot.bid(bid),
            (Event::Bid(bid), None) => bids.early.push(*bid),
            (Event::Auction(auction), lot) => {
                let lot = lot.insert(Lot::new(*auction));
                bids.early.drain(..).for_each(|bid| lot.bid(&bid));
            }
            (Event::Person(_), _) => {}
        })
        .drop_key()
        .filter_map(|bids| bids.lot.and_then(|lot| lot.close()))
}

fn q4(winners: Stream<impl Operator<Out = Winner> + 'static>, to: End) {
    let (mut count, mut sum) = (0, 0);
    let averages =
        winners.group_by(|winner| winner.category).rich_map(move |(category, winner)| {
            count += 1;
            sum += u64::from(winner.price);
            CategoryAverage { category: *category, average: sum / count }
        });
    to.end::<_, Latest<_>>(averages.drop_key());
}

fn q5(events: Stream<impl Operator<Out = Event> + 'static>, to: End) {
    let counts = events
        .filter_map(Event::bid)
        .map(|bid| bid.auction)
        .group_by(|auction| *auction)
        .map(|_| ())
        .window(SLIDING)
        .count();
    let of_replica = counts.rich_map_custom(ranked()).rich_map_custom(through::<Top<u64>, _>());
    to.end::<_, Every>(top(of_replica).map(hottest));
}

/// Reads from the time of a count which window it is of.
fn ranked<Op: Operator<Out = (u64, usize)>>()
-> impl FnMut(ElementGenerator<'_, Op>) -> StreamElement<Ranked<u64>> + Clone + Send + 'static {
    |mut input| match input.next() {
        StreamElement::Timestamped((what, bids), time) => StreamElement::Item(Ranked {
            window: (time + 1 - WINDOW_MS).into(),
            rank: bids as u64,
            what,
        }),
        StreamElement::Item(_) => panic!("a window gives its results a time"),
        StreamElement::Watermark(time) => StreamElement::Watermark(time),
        StreamElement::FlushAndRestart => StreamElement::FlushAndRestart,
        StreamElement::FlushBatch => StreamElement::FlushBatch,
        StreamElement::Terminate => StreamElement::Terminate,
    }
}

fn q6(winners: Stream<impl Operator<Out = Winner> + 'static>, to: End) {
    let mut last = LastTen::default();
    let averages = winners.group_by(|winner| winner.seller).rich_map(move |(seller, winner)| {
        SellerAverage { seller: *seller, average: last.add(&winner) }
    });
    to.end::<_, Latest<_>>(averages.drop_key());
}

fn q7(events: Stream<impl Operator<Out = Event> + 'static>, to: End) {
    let keep_highest = |highest: &mut Vec<Ranked<Bid>>, bid: &Ranked<Bid>| {
        match highest.first().map_or(0, |first| first.rank) {
            rank if rank > bid.rank => return,
            rank if rank < bid.rank => highest.clear(),
            _ => {}
        }
        highest.push(*bid);
    };
    let highest_bids = events
        .filter_map(Event::bid)
        .map(by_price)
        .key_by(|_| ())
        .window(TUMBLING)
        .fold(Vec::new(), keep_highest)
        .drop_key()
        .flatten()
        .window_all(TUMBLING)
        .fold(Vec::new(), keep_highest)
        .drop_key()
        .flatten();
    to.end::<_, Every>(highest_bids.map(highest));
}

fn q8(events: Stream<impl Operator<Out = Event> + 'static>, to: End) {
    let sides = events.filter(is_no_bid).group_by(seller).window(TUMBLING);
    let new_sellers = sides
        .fold((None, false), |(person, sells): &mut (Option<Person>, bool), event| match event {
            Event::Person(new) => *person = Some(*new),
            Event::Auction(_) => *sells = true,
            Event::Bid(_) => {}
        })
        .drop_key()
        .filter_map(|(person, sells)| person.filter(|_| sells));
    to.end::<_, Every>(new_sellers.map(|Person { id, time, name, .. }| NewSeller {
        window: window_start(time, WINDOW_MS),
        person: id,
        name,
    }));
}
