//! Who should own which key: the load that is seen, the policy that decides, the log of both.
//!
//! A [`LoadView`] is plain data; a [`RebalancePolicy`] answers it with [`Decision`]s; [`checked`]
//! refuses those that make no sense; the decision log writes both down, so that the same policy can
//! be asked again. [`Grants`] say which moves may be open at once. All of this is pure: no thread,
//! no clock, no message. The actor [`Supervisor`] carries out what they say.

mod account;
mod actor;
mod adviser;
mod average;
mod between;
mod check;
mod decision;
#[cfg(feature = "json")]
pub mod decision_log;
mod grants;
mod load;
mod observer;
#[cfg(test)]
mod observer_test;
pub mod policy;
mod rebalancer;
mod regroup;
#[cfg(test)]
mod sample;
mod trace;

pub use account::Account;
pub use actor::{Address, Books, Supervisor};
pub use adviser::Adviser;
pub use average::Average;
pub use check::checked;
pub use decision::{Action, Decision, Rule, Verdict};
pub use grants::{Denied, Grants, Movable, Next, Proposal};
pub use load::{
    CORE, DomainLoad, KeyLoad, KeyRoute, LoadView, Occasion, OpenMove, PartitionLoad, Unit,
};
pub use observer::Observer;
pub use policy::{Balanced, RebalancePolicy};
pub use rebalancer::{DecisionLog, Logged, Rebalancer};
pub use trace::{Trace, TraceWriter};
