//! `Windowed`: a result with the window that it is of, and what it is to results before it.

use serde::{Deserialize, Serialize};

use crate::operator::window::Window;

/// The value of one window of one key, at one firing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Windowed<K, V> {
    /// Whose records these are.
    pub key: K,
    /// Which of them: those with a time in this window.
    pub window: Window,
    /// Why it came out when it did.
    pub firing: Firing,
    /// How many results of this window came out before it. A session that grows is a new window
    /// and counts from 0 again.
    pub index: u32,
    /// Whether it holds from now on, or no longer.
    pub change: Change,
    /// What the records of the window come to.
    pub value: V,
}

impl<V> Windowed<(), V> {
    /// The same result, of `key`.
    pub fn of<K>(self, key: K) -> Windowed<K, V> {
        let Windowed { key: (), window, firing, index, change, value } = self;
        Windowed { key, window, firing, index, change, value }
    }
}

/// Why a result came out when it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Firing {
    /// Before the watermark had passed the window, as the trigger asks: more may follow.
    Early,
    /// When the watermark passed the window, or the count was reached.
    OnTime,
    /// After that, for a record within the allowed lateness.
    Late,
}

/// Whether a result holds from now on, or no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Change {
    /// It holds.
    Insert,
    /// It was emitted with the same window, firing, index and value, and what follows replaces it.
    Retract,
}
