//! Built-in operators: one file each, with the method on streams, the operator and its tests.

mod aggregate;
mod assign_timestamps;
mod async_map;
#[cfg(test)]
mod chain_test;
mod dedup;
mod filter;
mod filter_map;
mod flat_map;
#[cfg(test)]
mod graph_test;
mod inspect;
pub mod join;
mod map;
mod process;
mod rate_limit;
mod rebalance;
mod reduce;
mod route;
mod sample;
mod sort;
pub mod window;

pub use aggregate::Running;
pub use assign_timestamps::RecordTime;
pub use async_map::{AsyncMap, Failed, Failure};
pub use dedup::{Dedup, DedupOutput, Seen};
pub use filter::Filter;
pub use filter_map::FilterMap;
pub use flat_map::FlatMap;
pub use inspect::Inspect;
pub use map::Map;
pub use process::{Process, ProcessContext, ProcessFunction, Processed, Timer};
pub use rate_limit::{RateLimit, RateLimited};
pub use reduce::Reducing;
pub use sample::Sample;
pub use sort::{SortByTime, SortedStream};
