//! Query 5: bids of each auction per pane of 2 s, and the hottest of each window of five panes.

use std::collections::VecDeque;

use millstream::time::Timestamp;

use crate::nexmark::kernel::{Kernel, Map, Ranked};
use crate::nexmark::{SLIDE_MS, WINDOW_MS, window_start};

/// Bids of each auction that began in one pane.
#[derive(Clone, Default)]
struct Pane {
    start: Timestamp,
    bids: Map<u64, u64>,
}

/// The hottest auctions of one worker: takes (auction, time) of each bid.
///
/// A window is the sum of its panes: when one fires, the pane that ends with it is added to the
/// sums and the one that ends before the next is taken out again.
#[derive(Clone, Default)]
pub struct HotAuctions {
    /// In order; those of the open windows, of which `summed` are in `sums`.
    panes: VecDeque<Pane>,
    summed: usize,
    sums: Map<u64, u64>,
    /// End of the last window that fired.
    fired: Timestamp,
}

impl HotAuctions {
    fn pane(&mut self, start: Timestamp) -> &mut Pane {
        let after = self.panes.iter().rposition(|pane| pane.start <= start);
        let place = match after {
            Some(place) if self.panes[place].start == start => place,
            earlier => {
                let place = earlier.map_or(0, |place| place + 1);
                self.panes.insert(place, Pane { start, bids: Map::default() });
                place
            }
        };
        &mut self.panes[place]
    }

    /// Adds the panes that begin before `end` to the sums.
    fn add_until(&mut self, end: Timestamp) {
        let HotAuctions { panes, summed, sums, .. } = self;
        while let Some(pane) = panes.get(*summed).filter(|pane| pane.start < end) {
            pane.bids.iter().for_each(|(&auction, bids)| *sums.entry(auction).or_default() += bids);
            *summed += 1;
        }
    }

    /// Takes the first pane out of the sums, if it began at `start`.
    fn remove_at(&mut self, start: Timestamp) {
        if self.panes.front().is_none_or(|pane| pane.start != start) {
            return;
        }
        self.summed -= 1;
        for (auction, bids) in self.panes.pop_front().into_iter().flat_map(|pane| pane.bids) {
            let sum = self.sums.entry(auction).or_default();
            *sum -= bids;
            if *sum == 0 {
                self.sums.remove(&auction);
            }
        }
    }
}

impl Kernel for HotAuctions {
    type In = (u64, Timestamp);
    type Out = Ranked<u64>;
    const FIRES: bool = true;

    #[inline]
    fn take(&mut self, (auction, time): (u64, Timestamp), _: &mut Vec<Ranked<u64>>) {
        let start = window_start(time, SLIDE_MS);
        let pane = match self.panes.back_mut() {
            Some(pane) if pane.start == start => pane,
            _ => self.pane(start),
        };
        *pane.bids.entry(auction).or_default() += 1;
    }

    fn advance(&mut self, watermark: Timestamp, out: &mut Vec<Ranked<u64>>) {
        while let Some(first) = self.panes.front() {
            let end = self.fired.max(first.start).plus_millis(SLIDE_MS);
            if end > watermark {
                return;
            }
            self.fired = end;
            self.add_until(end);
            let window = end.plus_millis(-WINDOW_MS);
            let most = self.sums.values().copied().max().unwrap_or_default();
            let hot = self.sums.iter().filter(|(_, bids)| **bids == most);
            out.extend(hot.map(|(&what, &rank)| Ranked { window, rank, what }));
            self.remove_at(window);
        }
    }
}
