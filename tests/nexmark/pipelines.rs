//! The pipelines give the oracle's rows, on threads and in simulations.

use std::collections::BTreeMap;
use std::fmt::Debug;

use millstream::connector::generator::GeneratorSource;
use millstream::connector::generator::{Generator, generator};
use millstream::connector::nexmark::{Event, Nexmark};
use millstream::dataflow::{Chain, FromSource};
use millstream::nexmark;
use millstream::prelude::*;
use millstream::testing::simulation::Simulation;

use crate::oracle;

const EVENTS: u64 = 20_000;

/// Few, so that there are some windows of ten seconds.
const EVENTS_PER_SECOND: u64 = 400;

fn input(seed: u64) -> Nexmark {
    Nexmark::new(seed, EVENTS_PER_SECOND).unwrap()
}

fn source(seed: u64) -> Generator<Nexmark> {
    generator(input(seed), EVENTS)
}

type Events = DataStream<FromSource<GeneratorSource<Nexmark>>>;

/// Runs `query` on one to three threads, and in a simulation, for three seeds; `settle` makes of
/// its rows, in their order, those that count.
fn check<C, R>(
    query: impl Fn(Events) -> DataStream<C>,
    settle: impl Fn(Vec<R>) -> Vec<R>,
    oracle: impl Fn(&[Event]) -> Vec<R>,
) where
    C: Chain<Out = R>,
    R: Ord + Debug + Send + 'static,
{
    for seed in 1..=3 {
        let events: Vec<Event> = (0..EVENTS).map(|index| input(seed).event(index)).collect();
        let expected = oracle(&events);
        assert!(!expected.is_empty(), "seed {seed}");
        let run = |how: &str, run: &dyn Fn(Pipeline) -> millstream::Result<()>| {
            let pipeline = Pipeline::new("nexmark");
            let rows = query(pipeline.source(source(seed))).collect();
            run(pipeline).unwrap();
            let mut rows = settle(rows.take());
            rows.sort();
            let differs = rows.iter().zip(&expected).find(|(row, expected)| row != expected);
            assert_eq!(differs, None, "seed {seed}, {how}: ours and the oracle's");
            assert_eq!(rows.len(), expected.len(), "seed {seed}, {how}");
        };
        for partitions in 1..=3 {
            run(&format!("{partitions} partitions"), &|pipeline| {
                let config = Config::builder().partitions(partitions).build()?;
                Engine::new(config)?.run(pipeline).map(drop)
            });
        }
        run("simulated", &|pipeline| Simulation::seeded(seed).run(pipeline).map(drop));
    }
}

/// As [`check`], of a query that updates: the last row of each key counts.
fn check_latest<C, R, K: Ord>(
    query: impl Fn(Events) -> DataStream<C>,
    oracle: impl Fn(&[Event]) -> Vec<R>,
    key: impl Fn(&R) -> K,
) where
    C: Chain<Out = R>,
    R: Ord + Debug + Send + 'static,
{
    let settle = |rows: Vec<R>| {
        let by_key: BTreeMap<K, R> = rows.into_iter().map(|row| (key(&row), row)).collect();
        by_key.into_values().collect()
    };
    check(query, settle, oracle);
}

/// A test for each query; of those that update, with the key of its rows.
macro_rules! pipelines {
    ($($query:ident $name:ident $(by $key:expr)?;)*) => {$(
        #[test]
        fn $name() {
            pipelines!(@check $query $($key)?);
        }
    )*};
    (@check $query:ident) => { check(nexmark::$query, |rows| rows, oracle::$query) };
    (@check $query:ident $key:expr) => {
        check_latest(nexmark::$query, oracle::$query, $key)
    };
}

pipelines! {
    q0 q0_gives_every_bid;
    q1 q1_gives_every_bid_in_euros;
    q2 q2_gives_the_bids_for_chosen_auctions;
    q3 q3_joins_sellers_with_their_auctions;
    q4 q4_comes_to_the_averages_of_categories by |row| row.category;
    q5 q5_gives_the_hottest_auctions_of_each_window;
    q6 q6_comes_to_the_averages_of_sellers by |row| row.seller;
    q7 q7_gives_the_highest_bids_of_each_window;
    q8 q8_gives_the_new_sellers_of_each_window;
    q9 q9_gives_the_winning_bids;
    q11 q11_gives_the_sessions_of_bidders;
    q13 q13_gives_every_bid_with_a_value;
    q14 q14_gives_the_middling_bids;
    q15 q15_comes_to_the_statistics_of_days by |row| row.day;
    q16 q16_comes_to_the_statistics_of_channels by |row| (row.channel, row.day);
    q17 q17_comes_to_the_statistics_of_auctions by |row| (row.auction, row.day);
    q18 q18_comes_to_the_last_bids by |row| (row.auction, row.bidder);
    q19 q19_comes_to_the_ten_best_bids by |row| (row.auction, row.rank);
    q20 q20_gives_the_bids_for_auctions_of_a_category;
    q21 q21_gives_the_bids_through_numbered_channels;
    q22 q22_gives_every_bid_with_its_directories;
}
