//! Queries 5 and 7: all of the highest rank of each window.

use millstream::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::nexmark::WINDOW_MS;
use crate::nexmark::kernel::Kernel;

/// Something with its rank in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ranked<T> {
    /// Start of the window.
    pub window: Timestamp,
    /// The higher the better.
    pub rank: u64,
    /// What it is.
    pub what: T,
}

/// The highest of each window that is open: first of each worker, then of all.
#[derive(Clone)]
pub struct Top<T> {
    /// Of each window those that tie for the highest rank.
    windows: Vec<Vec<Ranked<T>>>,
}

impl<T> Default for Top<T> {
    fn default() -> Top<T> {
        Top { windows: Vec::new() }
    }
}

impl<T: Copy + Send + 'static> Kernel for Top<T> {
    type In = Ranked<T>;
    type Out = Ranked<T>;
    const FIRES: bool = true;

    #[inline]
    fn take(&mut self, ranked: Ranked<T>, _: &mut Vec<Ranked<T>>) {
        let mut windows = self.windows.iter_mut().rev();
        match windows.find(|window| window[0].window == ranked.window) {
            Some(window) if window[0].rank > ranked.rank => {}
            Some(window) => {
                if window[0].rank < ranked.rank {
                    window.clear();
                }
                window.push(ranked);
            }
            None => self.windows.push(vec![ranked]),
        }
    }

    fn advance(&mut self, watermark: Timestamp, out: &mut Vec<Ranked<T>>) {
        self.windows.retain_mut(|window| {
            let is_open = window[0].window.plus_millis(WINDOW_MS) > watermark;
            if !is_open {
                out.append(window);
            }
            is_open
        });
    }
}
