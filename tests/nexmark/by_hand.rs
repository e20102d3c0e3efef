//! The oracle against rows worked out by hand, from a few events.

use millstream::connector::nexmark::result::{
    AuctionBid, AuctionStatistics, BidderCount, BidderSession, CategoryAverage, ChannelStatistics,
    ChosenBid, DayStatistics, EnrichedBid, HighestBid, HotAuction, LocalItem, NewSeller, PartOfDay,
    SellerAverage,
};
use millstream::connector::nexmark::{Auction, Bid, Event, Letters, Person};
use millstream::time::Timestamp;

use crate::oracle;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn person(id: u64, millis: i64, name: &str, city: &str, state: &str) -> Event {
    let [city, state] = [city, state].map(|word| word.parse().unwrap());
    Event::Person(Person { id, time: at(millis), name: name.parse().unwrap(), city, state })
}

fn auction(id: u64, seller: u64, millis: i64, duration_ms: u32, category: u32) -> Auction {
    let (initial_bid, reserve) = (100, 5_000_000);
    Auction { id, seller, time: at(millis), duration_ms, initial_bid, reserve, category }
}

/// A bid through `Apple` whose extra is its time's number.
fn bid(auction: u64, bidder: u64, price: u32, millis: i64) -> Bid {
    let (channel, extra) = ("Apple".parse().unwrap(), Letters::new(millis as u64));
    Bid { auction, bidder, price, channel, time: at(millis), extra }
}

fn auctions() -> [Auction; 5] {
    [
        auction(1000, 1000, 2_000, 6_000, 10),
        auction(1001, 1001, 3_000, 9_000, 11),
        auction(1002, 1000, 11_000, 1_000, 10),
        auction(1003, 1002, 12_000, 5_000, 10),
        auction(1107, 1003, 9_000, 3_000, 11),
    ]
}

fn bids() -> [Bid; 11] {
    let other = "channel-7".parse().unwrap();
    [
        bid(1000, 1001, 500, 1_500), // Before the auction opens.
        bid(1000, 1001, 20_000, 2_000),
        bid(1000, 1002, 30_000, 5_000),
        bid(1000, 1003, 30_000, 4_000), // Wins: the same price, but earlier.
        bid(1000, 1001, 99_000, 8_000), // When the auction has just closed.
        Bid { extra: Letters::new(9), ..bid(1001, 1002, 1_000_000, 3_000) },
        Bid { extra: Letters::new(8), ..bid(1001, 1003, 1_000_000, 3_000) }, // Wins by its extra.
        bid(1002, 1003, 7_001, 11_999),
        Bid { channel: other, ..bid(1107, 1000, 900_000, 9_500) },
        Bid { channel: other, ..bid(1107, 1000, 100, 21_500) },
        Bid { channel: other, ..bid(1003, 1001, 400, 18_000) }, // The only one, and too late.
    ]
}

fn events() -> Vec<Event> {
    let persons = [
        person(1000, 0, "Peter Shultz", "Portland", "OR"),
        person(1001, 1_000, "Kate Smith", "Boise", "ID"),
        person(1002, 11_000, "Paul Jones", "Phoenix", "AZ"),
        person(1003, 12_000, "John White", "Bend", "OR"),
    ];
    // Bids first, so that nothing leans on the order.
    let bids = bids().map(Event::Bid).into_iter();
    bids.chain(auctions().map(Event::Auction)).chain(persons).collect()
}

fn sorted<T: Ord, const N: usize>(mut rows: [T; N]) -> Vec<T> {
    rows.sort();
    rows.into()
}

#[test]
fn q0_q1_q2_look_at_bids_alone() {
    assert_eq!(oracle::q0(&events()), sorted(bids()));
    let euros = [454, 18_160, 27_240, 27_240, 89_892, 908_000, 908_000, 6_356, 817_200, 90, 363];
    let mut converted = bids();
    converted.iter_mut().zip(euros).for_each(|(bid, price)| bid.price = price);
    assert_eq!(oracle::q1(&events()), sorted(converted));
    let chosen = |price| ChosenBid { auction: 1107, price };
    assert_eq!(oracle::q2(&events()), [chosen(100), chosen(900_000)]);
}

#[test]
fn q3_joins_sellers_of_three_states_with_their_auctions_of_category_10() {
    let [name, city, state] = ["Peter Shultz", "Portland", "OR"];
    let item = |auction| LocalItem {
        name: name.parse().unwrap(),
        city: city.parse().unwrap(),
        state: state.parse().unwrap(),
        auction,
    };
    assert_eq!(oracle::q3(&events()), [item(1000), item(1002)]);
}

#[test]
fn q4_q6_q9_take_the_best_bid_within_the_time_of_an_auction() {
    let average = |category, average| CategoryAverage { category, average };
    assert_eq!(oracle::q4(&events()), [average(10, 18_500), average(11, 950_000)]);
    let average = |seller, average| SellerAverage { seller, average };
    let sellers = [average(1000, 18_500), average(1001, 1_000_000), average(1003, 900_000)];
    assert_eq!(oracle::q6(&events()), sellers);
    let won = [(0, 3), (1, 6), (2, 7), (4, 8)];
    let rows = won.map(|(auction, bid)| AuctionBid::new(&auctions()[auction], &bids()[bid]));
    assert_eq!(oracle::q9(&events()), rows);
}

#[test]
fn q6_looks_at_the_last_ten_auctions_by_closing_time_then_id() {
    // The first to open closes last, all others at 20 s: of those the lowest id is out.
    let mut events = Vec::new();
    for id in (0..11).rev() {
        let duration_ms = if id == 0 { 25_000 } else { 20_000 - id as u32 };
        events.push(Event::Auction(auction(id, 7, id as i64, duration_ms, 10)));
        events.push(Event::Bid(bid(id, 1, 1 << id, 10_000)));
    }
    let average = ((1 << 11) - 1 - 2) / 10;
    assert_eq!(oracle::q6(&events), [SellerAverage { seller: 7, average }]);
}

#[test]
fn q5_gives_all_auctions_with_the_most_bids_of_each_sliding_window() {
    let expected: [(i64, &[u64], u64); 15] = [
        (-8, &[1000], 1),
        (-6, &[1000, 1001], 2),
        (-4, &[1000], 4),
        (-2, &[1000], 4),
        (0, &[1000], 5),
        (2, &[1000], 4),
        (4, &[1000], 3),
        (6, &[1000, 1002, 1107], 1),
        (8, &[1000, 1002, 1107], 1),
        (10, &[1002, 1003], 1),
        (12, &[1003, 1107], 1),
        (14, &[1003, 1107], 1),
        (16, &[1003, 1107], 1),
        (18, &[1003, 1107], 1),
        (20, &[1107], 1),
    ];
    let rows = expected.iter().flat_map(|&(second, auctions, bids)| {
        let window = at(second * 1_000);
        auctions.iter().map(move |&auction| HotAuction { window, auction, bids })
    });
    assert_eq!(oracle::q5(&events()), rows.collect::<Vec<_>>());
}

#[test]
fn q7_gives_all_bids_with_the_highest_price_of_each_window() {
    let rows = [(0, 5), (0, 6), (10_000, 7), (20_000, 9)].map(|(window, index)| {
        let Bid { auction, bidder, price, time, extra, .. } = bids()[index];
        HighestBid { window: at(window), auction, bidder, price, time, extra }
    });
    // The eleventh bid is in the second window, but low.
    assert_eq!(oracle::q7(&events()), rows);
}

#[test]
fn q8_gives_persons_who_sell_in_the_window_in_which_they_registered() {
    let row = |window, person, name: &str| NewSeller {
        window: at(window),
        person,
        name: name.parse().unwrap(),
    };
    let rows =
        [row(0, 1000, "Peter Shultz"), row(0, 1001, "Kate Smith"), row(10_000, 1002, "Paul Jones")];
    assert_eq!(oracle::q8(&events()), rows);
}

#[test]
fn q11_starts_a_new_session_ten_seconds_after_the_last_bid() {
    let row =
        |bidder, start, end, bids| BidderSession { bidder, start: at(start), end: at(end), bids };
    let rows = [
        row(1000, 9_500, 19_500, 1),
        row(1000, 21_500, 31_500, 1),
        row(1001, 1_500, 18_000, 3),
        row(1001, 18_000, 28_000, 1),
        row(1002, 3_000, 15_000, 2),
        row(1003, 3_000, 21_999, 3),
    ];
    assert_eq!(oracle::q11(&events()), rows);
}

#[test]
fn q12_counts_the_bids_of_each_bidder_and_window() {
    let row = |window, bidder, bids| BidderCount { window: at(window), bidder, bids };
    let rows = [
        row(0, 1000, 1),
        row(0, 1001, 3),
        row(0, 1002, 2),
        row(0, 1003, 2),
        row(10_000, 1001, 1),
        row(10_000, 1003, 1),
        row(20_000, 1000, 1),
    ];
    assert_eq!(oracle::q12(&events()), rows);
}

#[test]
fn q13_looks_the_auction_up_by_its_remainder() {
    let events = [Event::Bid(bid(31_415, 1, 2, 3))];
    let row =
        EnrichedBid { auction: 31_415, bidder: 1, price: 2, time: at(3), value: "1415".into() };
    assert_eq!(oracle::q13(&events), [row]);
}

#[test]
fn q14_takes_prices_between_one_and_fifty_million_and_tells_the_part_of_day() {
    let hour = 3_600_000;
    let cases = [
        (1_101_321, 0, None),
        (1_101_322, 7 * hour - 1, Some((1_000_000, PartOfDay::Night))),
        (2_000_000, 7 * hour, Some((1_816_000, PartOfDay::Other))),
        (2_000_000, 32 * hour, Some((1_816_000, PartOfDay::Day))),
        (2_000_000, 19 * hour - 1, Some((1_816_000, PartOfDay::Day))),
        (2_000_000, 19 * hour, Some((1_816_000, PartOfDay::Other))),
        (55_066_079, 20 * hour, Some((49_999_999, PartOfDay::Night))),
        (55_066_080, 20 * hour, None),
    ];
    for (price, millis, expected) in cases {
        let rows = oracle::q14(&[Event::Bid(bid(1, 2, price, millis))]);
        let seen = rows.first().map(|row| (row.price, row.part_of_day));
        assert_eq!(seen, expected, "{price} at {millis}");
    }
    let extra = "cabcaaaaaaaaac".parse().unwrap();
    let rows = oracle::q14(&[Event::Bid(Bid { extra, ..bid(1, 2, 2_000_000, 0) })]);
    assert_eq!(rows[0].count_of_c, 3);
}

#[test]
fn q15_counts_bids_bidders_and_auctions_of_a_day_by_rank() {
    let row = DayStatistics {
        day: at(0),
        bids: [11, 4, 5, 2],
        bidders: [4, 3, 4, 2],
        auctions: [5, 4, 2, 1],
    };
    assert_eq!(oracle::q15(&events()), [row]);
}

#[test]
fn q16_counts_the_same_per_channel_with_the_minute_of_the_last_bid() {
    let [apple, other] = ["Apple", "channel-7"].map(|text| text.parse().unwrap());
    let mut events = events();
    let next_day = 86_400_000 + 61 * 60_000;
    events.push(Event::Bid(bid(5, 6, 999_999, next_day + 59_999)));
    events.push(Event::Bid(bid(5, 6, 9_999, next_day - 1)));
    let row = |channel, day, minute, [bids, bidders, auctions]: [[u64; 4]; 3]| ChannelStatistics {
        channel,
        day: at(day),
        minute,
        bids,
        bidders,
        auctions,
    };
    let rows = [
        row(apple, 0, 0, [[8, 2, 4, 2], [3, 2, 3, 2], [3, 2, 1, 1]]),
        row(apple, 86_400_000, 61, [[2, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 0]]),
        row(other, 0, 0, [[3, 2, 1, 0], [2, 2, 1, 0], [2, 2, 1, 0]]),
    ];
    assert_eq!(oracle::q16(&events), rows);
}

#[test]
fn q17_sums_up_the_bids_of_an_auction_and_day() {
    let row = |auction, bids, [min, max]: [u32; 2], average, sum| AuctionStatistics {
        auction,
        day: at(0),
        bids,
        min,
        max,
        average,
        sum,
    };
    let rows = [
        row(1000, [5, 1, 4, 0], [500, 99_000], 35_900, 179_500),
        row(1001, [2, 0, 0, 2], [1_000_000, 1_000_000], 1_000_000, 2_000_000),
        row(1002, [1, 1, 0, 0], [7_001, 7_001], 7_001, 7_001),
        row(1003, [1, 1, 0, 0], [400, 400], 400, 400),
        row(1107, [2, 1, 1, 0], [100, 900_000], 450_050, 900_100),
    ];
    assert_eq!(oracle::q17(&events()), rows);
}

#[test]
fn q18_keeps_the_last_bid_of_each_bidder_for_each_auction() {
    let last = [2, 3, 4, 5, 6, 7, 9, 10].map(|index| bids()[index]);
    assert_eq!(oracle::q18(&events()), sorted(last));
    let tied = [5, 7, 6].map(|price| Event::Bid(bid(1, 2, price, 3)));
    assert_eq!(oracle::q18(&tied), [bid(1, 2, 7, 3)]);
}

#[test]
fn q19_ranks_the_ten_best_bids_of_an_auction() {
    let rows = oracle::q19(&events());
    let of = |auction| rows.iter().filter(move |row| row.auction == auction);
    let times: Vec<i64> = of(1000).map(|row| row.time.as_millis()).collect();
    assert_eq!(times, [8_000, 4_000, 5_000, 2_000, 1_500]);
    assert!(of(1000).map(|row| row.rank).eq(1..=5));
    assert!(of(1001).map(|row| row.extra).eq([8, 9].map(Letters::new)));
    assert_eq!(rows.len(), bids().len());

    let many: Vec<Event> = (1..=12).map(|price| Event::Bid(bid(1, 2, price, 3))).collect();
    let prices: Vec<u32> = oracle::q19(&many).iter().map(|row| row.price).collect();
    assert_eq!(prices, [12, 11, 10, 9, 8, 7, 6, 5, 4, 3]);
}

#[test]
fn q20_joins_every_bid_with_its_auction_of_category_10() {
    let pairs = [(0, 0), (0, 1), (0, 2), (0, 3), (0, 4), (2, 7), (3, 10)];
    let rows = pairs.map(|(auction, bid)| AuctionBid::new(&auctions()[auction], &bids()[bid]));
    assert_eq!(oracle::q20(&events()), sorted(rows));
}

#[test]
fn q21_q22_take_the_url_apart() {
    let rows = oracle::q21(&events());
    let apple = rows.iter().filter(|row| row.channel_id == 0);
    assert_eq!(apple.count(), 8);
    let other = bids()[10].channel;
    let with_id = rows.iter().filter(|row| row.channel == other).count();
    assert_eq!(with_id, if other.url().contains("&channel_id=") { 3 } else { 0 });

    let rows = oracle::q22(&events());
    assert_eq!(rows.len(), bids().len());
    for row in rows {
        let path = format!("nexmark.com/{}/item.htm", row.directories.join("/"));
        assert!(row.channel.url().contains(&path), "{row:?}");
    }
}
