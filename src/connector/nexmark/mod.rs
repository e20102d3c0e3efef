//! `nexmark`: the events of an auction house, for the NEXMark queries.
//!
//! [`Nexmark`] makes persons, auctions and bids; `generator(Nexmark::new(seed, rate)?, count)` is
//! the source. `README.md` beside this file defines the queries, whose results are the rows of
//! [`result`]; [`dump`] writes events for other programs.
//!
//! # Source
//! Tucker, Tufte, Papadimos, Maier: NEXMark, a benchmark for queries over data streams, 2002. The
//! distributions are those of Apache Beam's generator.

pub mod dump;
mod event;
mod generate;
pub mod result;
mod text;

pub use crate::connector::event_times::BASE_TIME;
pub use event::{Auction, Bid, Event, Person};
pub use generate::{FIRST_CATEGORY, FIRST_ID, Nexmark};
pub use text::{Channel, Letters, Name, Word};
