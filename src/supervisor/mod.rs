//! Who decides which keys are where: grants moves, and follows each to its end.

mod actor;
mod grants;

pub use actor::{Address, Ledger, Supervisor};
pub use grants::{Denied, Grants, Movable, Next, Proposal};
