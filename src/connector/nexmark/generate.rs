//! `Nexmark`: event *n* as a pure function of seed and *n*.

use std::ops::Range;

use crate::connector::event_times::EventTimes;
use crate::connector::generator::{Dealt, GOLDEN, Recipe, mix64};
use crate::connector::nexmark::event::{Auction, Bid, Event, Person};
use crate::connector::nexmark::text::{Channel, Letters, Name, Word};
use crate::dataflow::{Collector, Emit};
use crate::error::Result;
use crate::time::Timestamp;

/// Id of the first person and of the first auction.
pub const FIRST_ID: u64 = 1000;

/// The lowest category; there are five.
pub const FIRST_CATEGORY: u32 = 10;

// Of 50 events in a row the first is a person, the next three are auctions, the rest bids.
const ROUND: u64 = 50;
const PERSONS: u64 = 1;
const AUCTIONS: u64 = 3;

const CATEGORIES: u32 = 5;
/// Auctions that bids go to, counted back from the latest.
const IN_FLIGHT_AUCTIONS: u64 = 100;
/// Persons that sell and bid, counted back from the latest.
const ACTIVE_PERSONS: u64 = 1000;
/// Ids beyond the latest that are drawn too, so that their bids come before them.
const LEAD: u64 = 10;
/// Every hundredth id is hot, until the next hundred starts.
const HOT_EVERY: u64 = 100;
/// Half of the bids go to the hot auction …
const HOT_AUCTION_ONE_IN: u32 = 2;
/// … three quarters come from the hot bidder, and three quarters of auctions from the hot seller.
const HOT_PERSON_ONE_IN: u32 = 4;
/// Events until as many auctions have opened as are in flight.
const EVENTS_IN_FLIGHT: u64 = IN_FLIGHT_AUCTIONS * ROUND / AUCTIONS;

/// The events of the auction house, made from a seed: a [`Recipe`] for
/// [`generator`](crate::connector::generator::generator).
///
/// Of 50 events one is a person, 3 are auctions, 46 bids. Prices are log-uniform from 1 to
/// 1,000,000 dollars. Half of the bids go to the hot auction and three quarters come from the hot
/// bidder, who both change every hundred auctions or persons; the others are spread evenly over
/// the last 100 auctions and the last 1,000 persons. An auction lasts 1,667 events on average.
///
/// Event *n* depends on the seed and on *n* only; its time is that of [`EventTimes`], so times
/// never go back.
///
/// ```
/// use millstream::connector::generator::generator;
/// use millstream::connector::nexmark::Nexmark;
///
/// let events = generator(Nexmark::new(1, 10_000)?, 1_000_000);
/// # let _ = events;
/// # Ok::<(), millstream::Error>(())
/// ```
///
/// # Source
/// Apache Beam's generator, with its default settings. Left out are strings that no query reads
/// (email address, credit card, description, padding).
#[derive(Clone, Copy, Debug)]
pub struct Nexmark {
    seed: u64,
    times: EventTimes,
}

impl Nexmark {
    /// The events of `seed`.
    ///
    /// * `events_per_second` - of event time, at least 1; the reference's default is 10,000.
    ///
    /// # Errors
    /// [`InvalidConfig`](crate::ErrorKind::InvalidConfig) if `events_per_second` is 0.
    pub fn new(seed: u64, events_per_second: u64) -> Result<Nexmark> {
        Ok(Nexmark { seed, times: EventTimes::new(events_per_second)? })
    }

    /// Event `index`.
    #[inline]
    pub fn event(&self, index: u64) -> Event {
        self.event_at(index, self.times.at(index))
    }

    /// The events of one partition; `events` is the number of all partitions together, `None` is
    /// without end.
    ///
    /// # Panics
    /// If `partition` is not below `partitions`.
    pub fn partition(
        &self,
        partition: usize,
        partitions: usize,
        events: Option<u64>,
    ) -> Dealt<Nexmark> {
        Dealt::new(*self, partition, partitions, events)
    }

    #[inline]
    fn event_at(&self, index: u64, time: Timestamp) -> Event {
        let bits = mix64(self.seed.wrapping_add(index.wrapping_mul(GOLDEN)));
        let draws = Draws(bits);
        let (round, place) = (index / ROUND, index % ROUND);
        if place >= PERSONS + AUCTIONS {
            Event::Bid(bid(round, time, Letters::new(bits), draws))
        } else if place >= PERSONS {
            let id = round * AUCTIONS + place - PERSONS;
            // Auctions are few, so that this division costs little.
            let horizon = self.times.at(index.saturating_add(EVENTS_IN_FLIGHT));
            let horizon_ms = horizon.as_millis() - time.as_millis();
            Event::Auction(auction(id, time, horizon_ms as u32, draws))
        } else {
            Event::Person(person(round, time, draws))
        }
    }
}

impl Recipe for Nexmark {
    type Item = Event;

    #[inline]
    fn make<E: Emit<Event>>(&mut self, indexes: Range<u64>, out: &mut Collector<'_, E>) -> u64 {
        let times = self.times.from(indexes.start);
        out.emit_all(indexes.zip(times).map(|(index, time)| self.event_at(index, time)))
    }
}

/// The random numbers of one event: splitmix64 from a state of its own.
struct Draws(u64);

impl Draws {
    #[inline]
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix64(self.0)
    }

    /// Two numbers of 32 bits.
    #[inline]
    fn pair(&mut self) -> (u32, u32) {
        let bits = self.next();
        ((bits >> 32) as u32, bits as u32)
    }
}

/// `bits` as a fraction of 2^32, times `bound`.
#[inline]
fn below(bits: u32, bound: u64) -> u64 {
    (u64::from(bits) * bound) >> 32
}

/// An id near the latest of them: `hot`, but once in `cold_one_in` one of the last `window`, or one
/// of those that are still to come.
#[inline]
fn near(latest: u64, window: u64, bits: u32, hot: (u64, u32)) -> u64 {
    let (hot, cold_one_in) = hot;
    let oldest = latest.saturating_sub(window);
    let any = oldest + below(bits, latest - oldest + 1 + LEAD);
    // The lowest bits, which say nothing about the place above.
    if bits.is_multiple_of(cold_one_in) { any } else { hot }
}

/// A person for an event of `round`; the `place`-th of the latest hundred is hot.
#[inline]
fn person_id(round: u64, bits: u32, place: u64) -> u64 {
    let hot = round / HOT_EVERY * HOT_EVERY + place;
    FIRST_ID + near(round, ACTIVE_PERSONS - 1, bits, (hot, HOT_PERSON_ONE_IN))
}

fn person(round: u64, time: Timestamp, mut draws: Draws) -> Person {
    let bits = draws.next();
    let [first, last, city, state] = [48, 32, 16, 0].map(|shift| (bits >> shift) as u16);
    Person {
        id: FIRST_ID + round,
        time,
        name: Name::new(first, last),
        city: Word::city(city),
        state: Word::state(state),
    }
}

/// * `horizon_ms` - how long until all auctions that are in flight are new ones.
fn auction(id: u64, time: Timestamp, horizon_ms: u32, mut draws: Draws) -> Auction {
    let (seller, category) = draws.pair();
    let (duration, _) = draws.pair();
    let initial_bid = price(draws.next());
    let duration_ms = 1 + below(duration, u64::from((2 * horizon_ms).max(1))) as u32;
    Auction {
        id: FIRST_ID + id,
        seller: person_id(id / AUCTIONS, seller, 0),
        time,
        duration_ms,
        initial_bid,
        reserve: initial_bid + price(draws.next()),
        category: FIRST_CATEGORY + below(category, CATEGORIES.into()) as u32,
    }
}

#[inline]
fn bid(round: u64, time: Timestamp, extra: Letters, mut draws: Draws) -> Bid {
    let (auction, bidder) = draws.pair();
    let bits = draws.next();
    let latest = round * AUCTIONS + AUCTIONS - 1;
    let hot = latest / HOT_EVERY * HOT_EVERY;
    let auction = near(latest, IN_FLIGHT_AUCTIONS, auction, (hot, HOT_AUCTION_ONE_IN));
    Bid {
        auction: FIRST_ID + auction,
        // The second of the hundred, since the first is the hot seller.
        bidder: person_id(round, bidder, 1),
        price: price(bits),
        channel: Channel::drawn(bits as u32),
        time,
        extra,
    }
}

/// 10^(6 · i / 256) dollars in cents, for i = 0..256.
const PRICES: [f64; 256] = {
    const STEP: f64 = 1.055_449_600_878_603;
    let mut prices = [100.0; 256];
    let mut i = 1;
    while i < prices.len() {
        prices[i] = prices[i - 1] * STEP;
        i += 1;
    }
    prices
};

/// A price in cents: 10^(6u) dollars, where `u` is `bits` as a fraction of 2^64.
///
/// The top 8 bits choose from a table and the next 32 interpolate by the series of e^x, which is
/// exact to 4e-9 here: a fifth of `powf`, and equal on every machine, as that is not.
#[inline]
fn price(bits: u64) -> u32 {
    // ln(10^6) / 256 / 2^32
    const SCALE: f64 = 1.256_513_365_475_645_9e-11;
    let x = f64::from((bits >> 24) as u32) * SCALE;
    let power = 1.0 + x * (1.0 + x * (1.0 / 2.0 + x * (1.0 / 6.0 + x * (1.0 / 24.0))));
    (PRICES[(bits >> 56) as usize] * power + 0.5) as u32
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::connector::event_times::BASE_TIME;

    const COUNT: u64 = 500_000;

    fn events(seed: u64) -> Vec<Event> {
        let input = Nexmark::new(seed, 10_000).unwrap();
        let mut all = Vec::new();
        input.partition(0, 1, Some(COUNT)).fill(usize::MAX, &mut all);
        all
    }

    fn bids() -> Vec<Bid> {
        events(1).into_iter().filter_map(Event::bid).collect()
    }

    fn auctions() -> Vec<Auction> {
        events(1).into_iter().filter_map(Event::auction).collect()
    }

    fn share<T>(of: &[T], is: impl Fn(&T) -> bool) -> f64 {
        of.iter().filter(|one| is(one)).count() as f64 / of.len() as f64
    }

    fn assert_near(seen: f64, expected: f64, tolerance: f64) {
        assert!((seen - expected).abs() < tolerance, "{seen}, not {expected} ± {tolerance}");
    }

    #[test]
    fn events_are_the_same_for_any_number_of_partitions() {
        for rate in [1, 7, 999, 1_000, 10_000, 1_000_000, 3_333_333] {
            let input = Nexmark::new(5, rate).unwrap();
            let alone: Vec<Event> = (0..10_000).map(|index| input.event(index)).collect();
            for partitions in [1, 3] {
                let mut dealt = vec![Vec::new(); partitions];
                for (partition, out) in dealt.iter_mut().enumerate() {
                    input.partition(partition, partitions, Some(10_000)).fill(usize::MAX, out);
                }
                let block = |b: usize| dealt[b % partitions].chunks(1024).nth(b / partitions);
                let together: Vec<Event> =
                    (0..10).flat_map(|b| block(b).unwrap_or_default().to_vec()).collect();
                assert_eq!(together, alone, "rate {rate}, {partitions} partitions");
            }
        }
    }

    #[test]
    fn one_event_in_fifty_is_a_person_and_three_are_auctions_with_ids_in_a_row() {
        let (mut persons, mut auctions) = (FIRST_ID.., FIRST_ID..);
        for (index, event) in events(2).into_iter().enumerate() {
            match (index % 50, event) {
                (0, Event::Person(person)) => assert_eq!(Some(person.id), persons.next()),
                (1..4, Event::Auction(auction)) => assert_eq!(Some(auction.id), auctions.next()),
                (4..50, Event::Bid(_)) => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(persons.start, FIRST_ID + COUNT / 50);
        assert_eq!(auctions.start, FIRST_ID + COUNT * 3 / 50);
    }

    #[test]
    fn times_are_the_index_over_the_rate_and_never_go_back() {
        for (rate, index, millis) in
            [(10_000, 0, 0), (10_000, 10_009, 1_000), (3, 2, 666), (7, 7, 1_000)]
        {
            let event = Nexmark::new(1, rate).unwrap().event(index);
            assert_eq!(event.time(), BASE_TIME.plus_millis(millis), "{index} at {rate}");
        }
        assert!(events(3).is_sorted_by_key(Event::time));
        assert!(Nexmark::new(1, 0).is_err());
        let last = Nexmark::new(1, 1).unwrap().event(u64::MAX);
        assert_eq!(last.time(), Timestamp::MAX);
    }

    #[test]
    fn half_of_the_bids_go_to_the_hot_auction_and_three_quarters_come_from_the_hot_bidder() {
        let bids = bids();
        // Of all ids one in a hundred has such a number.
        assert_near(share(&bids, |bid| bid.auction % 100 == 0), 0.5 + 0.5 / 100.0, 0.003);
        assert_near(share(&bids, |bid| bid.bidder % 100 == 1), 0.75 + 0.25 / 100.0, 0.003);
        assert_near(share(&bids, |bid| bid.channel.is_hot()), 0.5, 0.003);
    }

    #[test]
    fn other_bids_are_spread_over_the_auctions_in_flight_and_the_active_persons() {
        let (mut auctions, mut bidders) = (Vec::new(), Vec::new());
        for (index, event) in events(4).into_iter().enumerate().skip(100_000) {
            let Event::Bid(bid) = event else { continue };
            let round = index as u64 / 50;
            let (auction, person) = (FIRST_ID + round * 3 + 2, FIRST_ID + round);
            auctions.extend((bid.auction % 100 != 0).then(|| bid.auction + 100 - auction));
            bidders.extend((bid.bidder % 100 != 1).then(|| bid.bidder + 999 - person));
        }
        for (places, last) in [(auctions, 110), (bidders, 1009)] {
            let mean = places.iter().sum::<u64>() as f64 / places.len() as f64;
            assert_near(mean, last as f64 / 2.0, last as f64 / 100.0);
            let ends = (places.iter().min(), places.iter().max());
            assert_eq!(ends, (Some(&0), Some(&last)));
        }
    }

    #[test]
    fn prices_are_log_uniform() {
        let bids = bids();
        let prices: BTreeSet<u32> = bids.iter().map(|bid| bid.price).collect();
        assert!(*prices.first().unwrap() == 100 && *prices.last().unwrap() <= 100_000_000);
        for decade in 0..6u32 {
            let from = 100 * 10u32.pow(decade);
            let within = share(&bids, |bid| (from..10 * from).contains(&bid.price));
            assert_near(within, 1.0 / 6.0, 0.003);
        }
        for bits in [0, 1 << 24, u64::MAX / 3, u64::MAX - (1 << 56), u64::MAX] {
            let exact = 100.0 * 1e6f64.powf(bits as f64 / 2f64.powi(64));
            assert!((f64::from(price(bits)) - exact).abs() <= 0.5 + exact * 4e-9, "{bits}");
        }
    }

    #[test]
    fn auctions_last_as_long_as_a_hundred_are_in_flight() {
        let auctions = auctions();
        let total: u64 = auctions.iter().map(|auction| u64::from(auction.duration_ms)).sum();
        // 1,666 events at 10,000 a second; 1 ms is added, half of one rounded off.
        assert_near(total as f64 / auctions.len() as f64, 166.6 + 0.5, 2.0);
        assert!(auctions.iter().all(|auction| (1..=334).contains(&auction.duration_ms)));
    }

    #[test]
    fn auctions_have_a_hot_seller_five_categories_and_a_reserve() {
        let auctions = auctions();
        assert_near(share(&auctions, |auction| auction.seller % 100 == 0), 0.7525, 0.01);
        for category in 10..15 {
            assert_near(share(&auctions, |auction| auction.category == category), 0.2, 0.01);
        }
        assert!(auctions.iter().all(|auction| auction.initial_bid < auction.reserve));
    }

    #[test]
    fn persons_have_every_name_city_and_state() {
        let persons: Vec<Person> = events(1).into_iter().filter_map(Event::person).collect();
        let names: BTreeSet<String> = persons.iter().map(|one| one.name.to_string()).collect();
        assert_eq!(names.len(), 99);
        assert_near(share(&persons, |person| person.city == "Bend"), 0.1, 0.01);
        assert_near(share(&persons, |person| person.state == "OR"), 1.0 / 6.0, 0.015);
        let both = share(&persons, |person| person.city == "Bend" && person.state == "OR");
        assert_near(both, 1.0 / 60.0, 0.004);
    }

    #[test]
    fn no_two_bids_share_their_extra() {
        let extras: BTreeSet<Letters> = bids().into_iter().map(|bid| bid.extra).collect();
        assert_eq!(extras.len() as u64, COUNT / 50 * 46);
    }

    #[test]
    fn seeds_have_different_events() {
        let same = events(1).iter().zip(events(2)).filter(|(a, b)| *a == b).count();
        // Persons of equal name, city and state: one in 99 · 60 of 10,000.
        assert!(same < 10, "{same} events are equal");
    }
}
