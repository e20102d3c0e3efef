//! Policies: from the load to what should be done about it.

mod balance;
mod balanced;
mod combine;
mod cooling;
mod home;
mod memory;
mod ranges;
mod sight;
mod steal;
mod watch;

pub use balanced::Balanced;

use std::any::Any;

use crate::supervisor::decision::Decision;
use crate::supervisor::load::LoadView;

/// Decides what moves where. Called on the supervisor's thread, at every tick (100 ms) and when a
/// partition asks for work; one call at a time, with views in the order of their time.
///
/// What it returns is checked before it is done: see [`checked`](crate::supervisor::checked).
/// Actions are done in the order given; what has not begun by the next view is dropped, and may
/// be decided again.
pub trait RebalancePolicy: Any + Send {
    /// The name in logs.
    fn name(&self) -> &str;

    /// The decisions on `view`, also those against doing something, with their reasons. Must be a
    /// function of the views since the start and nothing else, so that it can be replayed.
    fn plan(&mut self, view: &LoadView) -> Vec<Decision>;
}
