//! Moves of key groups and keys from one partition to another, while the job runs.
//!
//! The README of this folder has the protocol, its races, and why they cannot bite.

mod cargo;
mod donor;
mod machine;
mod relay;
mod taker;

pub use cargo::{Cargo, Docks, PARCELS, Parcel, docks};
pub use machine::{Arrived, Give, HandOver, MoveReport};
pub use relay::{Place, Relay, Stage};
