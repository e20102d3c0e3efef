//! Millstream: a stream-processing engine for one machine.
//!
//! A program builds a [`Pipeline`](dataflow::Pipeline) of typed operators; an
//! [`Engine`](engine::Engine) runs it on pinned partitions that exchange batches of records over
//! lock-free lanes. The modules stand in layer order: each imports only from those above it.

#![cfg_attr(test, allow(clippy::disallowed_methods))] // Unit tests start threads and use maps.

pub mod config;
pub mod error;
pub mod time;

pub mod metrics;
pub mod record;

pub mod routing;
pub mod state;

pub mod exchange;
pub mod hand_over;

pub mod dataflow;

pub mod connector;
pub mod operator;

pub mod runtime;

pub mod supervisor;

#[cfg(feature = "cli")]
pub mod cli;
pub mod engine;
#[cfg(feature = "nexmark")]
pub mod nexmark;
pub mod prelude;
pub mod testing;

// The allocator of a program that asks for it with the feature; the binary sets its own.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub use error::{Error, ErrorKind, Result};
