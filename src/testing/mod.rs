//! For tests of pipelines and plug-ins, ours and yours: one operator without threads, a suite that
//! any operator can be run through, a whole job on one thread from a seed.

pub mod conformance;
pub mod cores;
mod executor;
pub mod harness;
mod random;
pub mod simulation;

pub use random::Random;
