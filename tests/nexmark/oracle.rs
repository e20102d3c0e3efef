//! Every NEXMark query as a plain function: from all events to all rows, sorted.
//!
//! Written for being obviously what `src/connector/nexmark/README.md` says. Of updating queries the
//! last row of each key comes out.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use millstream::connector::nexmark::result::{
    AuctionBid, AuctionStatistics, BidderCount, BidderSession, CategoryAverage, ChannelStatistics,
    ChosenBid, DayStatistics, EnrichedBid, HighestBid, HotAuction, LocalItem, LocatedBid,
    MiddlingBid, NewSeller, NumberedBid, PartOfDay, RankedBid, Ranks, SellerAverage,
};
use millstream::connector::nexmark::{Auction, Bid, Event, Person};
use millstream::time::Timestamp;

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

fn persons(events: &[Event]) -> Vec<Person> {
    events.iter().filter_map(|event| event.person()).collect()
}

fn auctions(events: &[Event]) -> Vec<Auction> {
    events.iter().filter_map(|event| event.auction()).collect()
}

fn bids(events: &[Event]) -> Vec<Bid> {
    events.iter().filter_map(|event| event.bid()).collect()
}

fn sorted<T: Ord>(rows: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut rows: Vec<T> = rows.into_iter().collect();
    rows.sort();
    rows
}

/// The start of the window of `size_ms` that `time` lies in.
fn window(time: Timestamp, size_ms: i64) -> Timestamp {
    time.plus_millis(-time.as_millis().rem_euclid(size_ms))
}

fn grouped<K: Ord, T>(rows: Vec<T>, key: impl Fn(&T) -> K) -> BTreeMap<K, Vec<T>> {
    let mut groups: BTreeMap<K, Vec<T>> = BTreeMap::new();
    rows.into_iter().for_each(|row| groups.entry(key(&row)).or_default().push(row));
    groups
}

/// The better of two bids is the greater here.
fn goodness(bid: &Bid) -> impl Ord + use<> {
    (bid.price, Reverse(bid.time), Reverse(bid.extra))
}

fn euros(price: u32) -> u32 {
    (u64::from(price) * 908 / 1000) as u32
}

fn mean(prices: &[u64]) -> u64 {
    prices.iter().sum::<u64>() / prices.len() as u64
}

/// Auctions with their winning bids.
fn winners(events: &[Event]) -> Vec<(Auction, Bid)> {
    let bids = grouped(bids(events), |bid| bid.auction);
    let winner = |auction: &Auction| {
        let open = bids.get(&auction.id)?.iter().filter(|bid| {
            auction.time <= bid.time
                && bid.time < auction.time.plus_millis(auction.duration_ms.into())
        });
        Some((*auction, *open.max_by_key(|bid| goodness(bid))?))
    };
    auctions(events).iter().filter_map(winner).collect()
}

pub(crate) fn q0(events: &[Event]) -> Vec<Bid> {
    sorted(bids(events))
}

pub(crate) fn q1(events: &[Event]) -> Vec<Bid> {
    sorted(bids(events).into_iter().map(|bid| Bid { price: euros(bid.price), ..bid }))
}

pub(crate) fn q2(events: &[Event]) -> Vec<ChosenBid> {
    let chosen = bids(events).into_iter().filter(|bid| bid.auction % 123 == 0);
    sorted(chosen.map(|bid| ChosenBid { auction: bid.auction, price: bid.price }))
}

pub(crate) fn q3(events: &[Event]) -> Vec<LocalItem> {
    let persons = persons(events).into_iter().map(|person| (person.id, person));
    let persons: BTreeMap<u64, Person> = persons.collect();
    let row = |auction: &Auction| {
        let seller = persons.get(&auction.seller)?;
        let Person { name, city, state, .. } = *seller;
        let local = auction.category == 10 && ["OR", "ID", "CA"].contains(&state.as_str());
        local.then_some(LocalItem { name, city, state, auction: auction.id })
    };
    sorted(auctions(events).iter().filter_map(row))
}

pub(crate) fn q4(events: &[Event]) -> Vec<CategoryAverage> {
    let groups = grouped(winners(events), |(auction, _)| auction.category);
    sorted(groups.into_iter().map(|(category, winners)| {
        let prices: Vec<u64> = winners.iter().map(|(_, bid)| bid.price.into()).collect();
        CategoryAverage { category, average: mean(&prices) }
    }))
}

pub(crate) fn q5(events: &[Event]) -> Vec<HotAuction> {
    let mut counts: BTreeMap<Timestamp, BTreeMap<u64, u64>> = BTreeMap::new();
    for bid in bids(events) {
        for back in 0..5 {
            let start = window(bid.time, 2 * SECOND).plus_millis(-back * 2 * SECOND);
            *counts.entry(start).or_default().entry(bid.auction).or_default() += 1;
        }
    }
    let mut rows = Vec::new();
    for (window, counts) in counts {
        let most = counts.values().copied().max();
        let hot = counts.into_iter().filter(|(_, bids)| Some(*bids) == most);
        rows.extend(hot.map(|(auction, bids)| HotAuction { window, auction, bids }));
    }
    sorted(rows)
}

pub(crate) fn q6(events: &[Event]) -> Vec<SellerAverage> {
    let groups = grouped(winners(events), |(auction, _)| auction.seller);
    sorted(groups.into_iter().map(|(seller, mut winners)| {
        winners.sort_by_key(|(auction, _)| (auction.expires(), auction.id));
        let last = &winners[winners.len().saturating_sub(10)..];
        let prices: Vec<u64> = last.iter().map(|(_, bid)| bid.price.into()).collect();
        SellerAverage { seller, average: mean(&prices) }
    }))
}

pub(crate) fn q7(events: &[Event]) -> Vec<HighestBid> {
    let mut rows = Vec::new();
    for (window, bids) in grouped(bids(events), |bid| window(bid.time, 10 * SECOND)) {
        let highest = bids.iter().map(|bid| bid.price).max();
        for Bid { auction, bidder, price, time, extra, .. } in bids {
            if Some(price) == highest {
                rows.push(HighestBid { window, auction, bidder, price, time, extra });
            }
        }
    }
    sorted(rows)
}

pub(crate) fn q8(events: &[Event]) -> Vec<NewSeller> {
    let sales = auctions(events);
    let sales: BTreeSet<(Timestamp, u64)> =
        sales.iter().map(|auction| (window(auction.time, 10 * SECOND), auction.seller)).collect();
    let row = |person: Person| {
        let window = window(person.time, 10 * SECOND);
        let Person { id, name, .. } = person;
        sales.contains(&(window, id)).then_some(NewSeller { window, person: id, name })
    };
    sorted(persons(events).into_iter().filter_map(row))
}

pub(crate) fn q9(events: &[Event]) -> Vec<AuctionBid> {
    sorted(winners(events).iter().map(|(auction, bid)| AuctionBid::new(auction, bid)))
}

pub(crate) fn q11(events: &[Event]) -> Vec<BidderSession> {
    let mut rows = Vec::new();
    for (bidder, bids) in grouped(bids(events), |bid| bid.bidder) {
        let times = sorted(bids.iter().map(|bid| bid.time));
        for session in times.chunk_by(|a, b| b.as_millis() - a.as_millis() < 10 * SECOND) {
            let (start, last) = (session[0], session[session.len() - 1]);
            let (end, bids) = (last.plus_millis(10 * SECOND), session.len() as u64);
            rows.push(BidderSession { bidder, start, end, bids });
        }
    }
    sorted(rows)
}

pub(crate) fn q12(events: &[Event]) -> Vec<BidderCount> {
    let groups = grouped(bids(events), |bid| (window(bid.time, 10 * SECOND), bid.bidder));
    let row = |((window, bidder), bids): (_, Vec<Bid>)| BidderCount {
        window,
        bidder,
        bids: bids.len() as u64,
    };
    sorted(groups.into_iter().map(row))
}

pub(crate) fn q13(events: &[Event]) -> Vec<EnrichedBid> {
    let row = |Bid { auction, bidder, price, time, .. }| EnrichedBid {
        auction,
        bidder,
        price,
        time,
        value: (auction % 10_000).to_string(),
    };
    sorted(bids(events).into_iter().map(row))
}

pub(crate) fn q14(events: &[Event]) -> Vec<MiddlingBid> {
    let middling = |bid: &Bid| {
        let thousandths = u64::from(bid.price) * 908;
        1_000_000_000 < thousandths && thousandths < 50_000_000_000
    };
    let row = |Bid { auction, bidder, price, time, extra, .. }| {
        let part_of_day = match time.as_millis().rem_euclid(DAY) / HOUR {
            8..=18 => PartOfDay::Day,
            ..=6 | 20.. => PartOfDay::Night,
            _ => PartOfDay::Other,
        };
        let count_of_c = extra.to_string().matches('c').count() as u64;
        MiddlingBid { auction, bidder, price: euros(price), part_of_day, time, extra, count_of_c }
    };
    sorted(bids(events).into_iter().filter(middling).map(row))
}

/// Counts what `of` gives: over all bids, and over those of each rank of price.
fn ranks<T>(bids: &[Bid], of: impl Fn(Vec<&Bid>) -> T) -> [T; 4] {
    let within = |from: u32, to: u32| {
        of(bids.iter().filter(|bid| from <= bid.price && bid.price < to).collect())
    };
    [within(0, u32::MAX), within(0, 10_000), within(10_000, 1_000_000), within(1_000_000, u32::MAX)]
}

fn distinct(bids: &[Bid], column: impl Fn(&Bid) -> u64) -> Ranks {
    ranks(bids, |bids| bids.into_iter().map(&column).collect::<BTreeSet<u64>>().len() as u64)
}

/// Bids, bidders, auctions.
fn statistics(bids: &[Bid]) -> [Ranks; 3] {
    let count = ranks(bids, |bids| bids.len() as u64);
    [count, distinct(bids, |bid| bid.bidder), distinct(bids, |bid| bid.auction)]
}

pub(crate) fn q15(events: &[Event]) -> Vec<DayStatistics> {
    let groups = grouped(bids(events), |bid| window(bid.time, DAY));
    sorted(groups.into_iter().map(|(day, bids)| {
        let [bids, bidders, auctions] = statistics(&bids);
        DayStatistics { day, bids, bidders, auctions }
    }))
}

pub(crate) fn q16(events: &[Event]) -> Vec<ChannelStatistics> {
    let groups = grouped(bids(events), |bid| (bid.channel, window(bid.time, DAY)));
    sorted(groups.into_iter().map(|((channel, day), bids)| {
        let last = bids.iter().map(|bid| bid.time).max().unwrap();
        let minute = ((last.as_millis() - day.as_millis()) / MINUTE) as u32;
        let [bids, bidders, auctions] = statistics(&bids);
        ChannelStatistics { channel, day, minute, bids, bidders, auctions }
    }))
}

pub(crate) fn q17(events: &[Event]) -> Vec<AuctionStatistics> {
    let groups = grouped(bids(events), |bid| (bid.auction, window(bid.time, DAY)));
    sorted(groups.into_iter().map(|((auction, day), bids)| {
        let prices = sorted(bids.iter().map(|bid| bid.price));
        let wide: Vec<u64> = prices.iter().copied().map(u64::from).collect();
        AuctionStatistics {
            auction,
            day,
            bids: ranks(&bids, |bids| bids.len() as u64),
            min: prices[0],
            max: prices[prices.len() - 1],
            average: mean(&wide),
            sum: wide.iter().sum(),
        }
    }))
}

pub(crate) fn q18(events: &[Event]) -> Vec<Bid> {
    let groups = grouped(bids(events), |bid| (bid.auction, bid.bidder));
    let last = |bids: Vec<Bid>| bids.into_iter().max_by_key(|bid| (bid.time, goodness(bid)));
    sorted(groups.into_values().filter_map(last))
}

pub(crate) fn q19(events: &[Event]) -> Vec<RankedBid> {
    let mut rows = Vec::new();
    for (auction, mut bids) in grouped(bids(events), |bid| bid.auction) {
        bids.sort_by_key(|bid| Reverse(goodness(bid)));
        for (Bid { bidder, price, channel, time, extra, .. }, rank) in bids.into_iter().zip(1..=10)
        {
            rows.push(RankedBid { auction, rank, bidder, price, channel, time, extra });
        }
    }
    sorted(rows)
}

pub(crate) fn q20(events: &[Event]) -> Vec<AuctionBid> {
    let bids = grouped(bids(events), |bid| bid.auction);
    let chosen = auctions(events).into_iter().filter(|auction| auction.category == 10);
    let rows = |auction: Auction| {
        let bids = bids.get(&auction.id).into_iter().flatten();
        bids.map(move |bid| AuctionBid::new(&auction, bid))
    };
    sorted(chosen.flat_map(rows))
}

pub(crate) fn q21(events: &[Event]) -> Vec<NumberedBid> {
    let row = |Bid { auction, bidder, price, channel, .. }| {
        let channel_id = match channel.to_string().as_str() {
            "Apple" => 0,
            "Google" => 1,
            "Facebook" => 2,
            "Baidu" => 3,
            _ => channel.url().split_once("channel_id=")?.1.parse().unwrap(),
        };
        Some(NumberedBid { auction, bidder, price, channel, channel_id })
    };
    sorted(bids(events).into_iter().filter_map(row))
}

pub(crate) fn q22(events: &[Event]) -> Vec<LocatedBid> {
    let row = |Bid { auction, bidder, price, channel, .. }| {
        let url = channel.url();
        let parts: Vec<&str> = url.split('/').collect();
        let directories = [parts[3], parts[4], parts[5]].map(str::to_owned);
        LocatedBid { auction, bidder, price, channel, directories }
    };
    sorted(bids(events).into_iter().map(row))
}
