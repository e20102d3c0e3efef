//! `nexmark`: the NEXMark queries, as a user of the crate writes them.
//!
//! Each takes the events of [`connector::nexmark`](crate::connector::nexmark) and gives the rows of
//! [`result`](crate::connector::nexmark::result). What they mean is defined once, in
//! `src/connector/nexmark/README.md`. Queries with event time make it themselves, from
//! [`Event::time`], which never goes back within a partition.
//!
//! ```
//! use millstream::connector::{generator::generator, nexmark::Nexmark};
//! use millstream::{nexmark, prelude::*};
//!
//! let pipeline = Pipeline::new("nexmark-q5");
//! let events = pipeline.source(generator(Nexmark::new(1, 10_000)?, 50_000));
//! let hot = nexmark::q5(events).collect();
//! Engine::new(Config::default())?.run(pipeline)?;
//! assert!(hot.take().iter().all(|row| row.bids > 0));
//! # Ok::<(), millstream::Error>(())
//! ```

mod closing;
mod leaders;
mod q0;
mod q1;
mod q11;
mod q12;
mod q13;
mod q14;
mod q15;
mod q16;
mod q17;
mod q18;
mod q19;
mod q2;
mod q20;
mod q21;
mod q22;
mod q3;
mod q4;
mod q5;
mod q6;
mod q7;
mod q8;
mod q9;
mod statistics;

pub use q0::q0;
pub use q1::q1;
pub use q2::q2;
pub use q3::q3;
pub use q4::q4;
pub use q5::q5;
pub use q6::q6;
pub use q7::q7;
pub use q8::q8;
pub use q9::q9;
pub use q11::q11;
pub use q12::q12;
pub use q13::q13;
pub use q14::q14;
pub use q15::q15;
pub use q16::q16;
pub use q17::q17;
pub use q18::q18;
pub use q19::q19;
pub use q20::q20;
pub use q21::q21;
pub use q22::q22;

use std::time::Duration;

use crate::connector::nexmark::{Auction, Bid, Event};
use crate::dataflow::{Chain, DataStream, EmitAt, Timed};
use crate::record::Either;
use crate::time::watermark::Monotone;
use crate::time::{Timestamp, millis};

/// The windows of most queries.
const WINDOW: Duration = Duration::from_secs(10);

const DAY: Duration = Duration::from_secs(86_400);

/// When statistics over all bids so far come out: a row for each bid would only be replaced by
/// the next.
const SOMETIMES: EmitAt = EmitAt::Every(Duration::from_secs(1));

/// The events, with the times at which they happened.
fn timed<C>(events: DataStream<C>) -> DataStream<impl Chain<Out = Event, Time = Timed>>
where
    C: Chain<Out = Event>,
{
    events.assign_timestamps(Event::time, Monotone::new())
}

/// The bids, with the times at which they were made.
fn timed_bids<C>(events: DataStream<C>) -> DataStream<impl Chain<Out = Bid, Time = Timed>>
where
    C: Chain<Out = Event>,
{
    events.filter_map(Event::bid).assign_timestamps(|bid| bid.time, Monotone::new())
}

/// What concerns an auction.
fn offer(event: Event) -> Option<Either<Auction, Bid>> {
    match event {
        Event::Person(_) => None,
        Event::Auction(auction) => Some(Either::Left(auction)),
        Event::Bid(bid) => Some(Either::Right(bid)),
    }
}

/// Id of the auction that `offer` concerns.
fn auction_of(offer: &Either<Auction, Bid>) -> u64 {
    match offer {
        Either::Left(auction) => auction.id,
        Either::Right(bid) => bid.auction,
    }
}

/// The start of the window of `size` that `time` lies in, of windows without overlap.
fn window_start(time: Timestamp, size: Duration) -> Timestamp {
    time.plus_millis(-time.as_millis().rem_euclid(millis(size)))
}
