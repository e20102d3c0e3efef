//! For tests of pipelines and plug-ins, ours and yours: a whole job on one thread from a seed.

mod random;
pub mod simulation;

pub use random::Random;
