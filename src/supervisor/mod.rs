//! Who decides which keys are where: grants moves, and follows each to its end.

mod grants;

pub use grants::{Denied, Grants, Movable, Next, Proposal};
