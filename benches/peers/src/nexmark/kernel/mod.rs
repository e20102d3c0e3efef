//! The state of the queries, as plain code without an engine.

mod averages;
mod closing;
mod hot_auctions;
mod local_items;
mod new_sellers;
mod top;

use hashbrown::HashMap;
use millstream::time::Timestamp;
use rustc_hash::FxBuildHasher;

pub use averages::{LastTen, OfCategories, OfSellers};
pub use closing::{Auctions, Lot, Winner};
pub use hot_auctions::HotAuctions;
pub use local_items::LocalItems;
pub use new_sellers::NewSellers;
pub use top::{Ranked, Top};

type Map<K, V> = HashMap<K, V, FxBuildHasher>;

/// What one worker does behind an exchange, or in front of one.
pub trait Kernel: Default + Clone + Send + 'static {
    /// What it takes.
    type In: Copy + Send + 'static;
    /// What it gives.
    type Out: Copy + Send + 'static;
    /// Whether [`advance`](Kernel::advance) does anything.
    const FIRES: bool;

    /// Takes a record, and appends what follows from it at once.
    fn take(&mut self, record: Self::In, out: &mut Vec<Self::Out>);

    /// All that is earlier than `watermark` has been taken: appends what follows from that.
    fn advance(&mut self, _watermark: Timestamp, _out: &mut Vec<Self::Out>) {}
}
