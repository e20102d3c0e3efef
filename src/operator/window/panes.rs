//! The panes of sliding windows: each record lies in one of them, a window is a run of them.
//!
//! A firing does not merge all panes of its window. The oldest `flipped` panes hold, in place of
//! their own records, the merge of themselves up to the last flipped one; what has been merged
//! since is in `back`. A window that begins at a flipped pane is that pane merged with `back`.
//! When the last flipped pane has gone, all panes are flipped again: each pane is merged about
//! twice in its life, however many windows it is in (the queue of two stacks, as in Tangwongsan
//! et al., "Low-Latency Sliding-Window Aggregation in Worst-Case Constant Time", DEBS 2017).

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// The live panes of a key that have a record, in order of their starts.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Panes<S> {
    /// The latest, apart from the others: most records are for it, and touch nothing else.
    latest: Option<Pane<S>>,
    /// Those before.
    panes: VecDeque<Pane<S>>,
    /// How many of the oldest hold merges.
    flipped: usize,
    /// How many after those are merged into `back`.
    folded: usize,
    back: S,
}

#[derive(Debug, Serialize, Deserialize)]
struct Pane<S> {
    start: i64,
    accumulator: S,
}

impl<S: Clone + Default> Panes<S> {
    /// Where the latest pane begins, unless it has been merged with others.
    #[inline]
    pub(super) fn latest(&self) -> Option<i64> {
        self.latest.as_ref().map(|pane| pane.start)
    }

    /// Applies `add` to the pane that begins at `start`, and wherever its records are merged in.
    /// Returns whether the pane is new.
    #[inline]
    pub(super) fn add(&mut self, start: i64, add: impl Fn(&mut S)) -> bool {
        if let Some(latest) = &mut self.latest
            && latest.start == start
        {
            add(&mut latest.accumulator);
            return false;
        }
        let last = self.latest().or(self.panes.back().map(|pane| pane.start));
        if last.is_some_and(|last| start <= last) {
            return self.add_before(start, add);
        }
        self.panes.extend(self.latest.take());
        let mut accumulator = S::default();
        add(&mut accumulator);
        self.latest = Some(Pane { start, accumulator });
        true
    }

    fn add_before(&mut self, start: i64, add: impl Fn(&mut S)) -> bool {
        let index = self.panes.partition_point(|pane| pane.start < start);
        let is_new = self.panes.get(index).is_none_or(|pane| pane.start != start);
        if is_new {
            let mut accumulator = S::default();
            if index < self.flipped {
                accumulator = self.panes[index].accumulator.clone();
                self.flipped += 1;
            } else if index < self.flipped + self.folded {
                self.folded += 1;
            }
            self.panes.insert(index, Pane { start, accumulator });
        }
        if index < self.flipped {
            for pane in self.panes.range_mut(..=index) {
                add(&mut pane.accumulator);
            }
            return is_new;
        }
        add(&mut self.panes[index].accumulator);
        if index < self.flipped + self.folded {
            add(&mut self.back);
        }
        is_new
    }

    /// The start of the first pane for which `is_wanted` holds; it holds for all after that.
    pub(super) fn first_where(&self, is_wanted: impl Fn(i64) -> bool) -> Option<i64> {
        let index = self.panes.partition_point(|pane| !is_wanted(pane.start));
        let pane =
            self.panes.get(index).or(self.latest.as_ref().filter(|pane| is_wanted(pane.start)));
        pane.map(|pane| pane.start)
    }

    /// Drops the oldest panes as long as `is_gone` holds for their starts.
    #[inline]
    pub(super) fn drop_while(&mut self, is_gone: impl Fn(i64) -> bool) {
        while self.panes.front().is_some_and(|pane| is_gone(pane.start)) {
            self.panes.pop_front();
            match self.flipped {
                0 => self.folded = self.folded.saturating_sub(1),
                _ => self.flipped -= 1,
            }
        }
        if self.panes.is_empty() && self.latest().is_some_and(is_gone) {
            self.latest = None;
        }
    }

    /// All panes that begin before `end`, merged, if there are any. Later calls have a later `end`.
    pub(super) fn merged(&mut self, end: i64, merge: impl Fn(&mut S, S)) -> Option<S> {
        if let Some(latest) = self.latest.as_ref().filter(|latest| latest.start < end) {
            if self.panes.is_empty() {
                return Some(latest.accumulator.clone());
            }
            self.panes.extend(self.latest.take());
        }
        if self.flipped == 0 {
            self.flip(end, &merge);
            let front = self.panes.front().filter(|_| self.flipped > 0)?;
            return Some(front.accumulator.clone());
        }
        while let Some(pane) = self.panes.get(self.flipped + self.folded)
            && pane.start < end
        {
            merge(&mut self.back, pane.accumulator.clone());
            self.folded += 1;
        }
        let mut all = self.panes.front()?.accumulator.clone();
        if self.folded > 0 {
            merge(&mut all, self.back.clone());
        }
        Some(all)
    }

    /// Turns the panes that begin before `end` into merges of themselves and those after them.
    fn flip(&mut self, end: i64, merge: &impl Fn(&mut S, S)) {
        self.back = S::default();
        self.folded = 0;
        self.flipped = self.panes.partition_point(|pane| pane.start < end);
        for index in (1..self.flipped).rev() {
            let later = self.panes[index].accumulator.clone();
            merge(&mut self.panes[index - 1].accumulator, later);
        }
    }

    /// The panes that begin at `start` or later and before `end`, merged, if there are any. Only
    /// where [`merged`](Self::merged) is never called.
    pub(super) fn merged_between(
        &self,
        start: i64,
        end: i64,
        merge: impl Fn(&mut S, S),
    ) -> Option<S> {
        debug_assert_eq!(self.flipped + self.folded, 0, "panes hold their own records only");
        let first = self.panes.partition_point(|pane| pane.start < start);
        let before_latest = self.panes.range(first..);
        let mut run = before_latest
            .chain(self.latest.as_ref().filter(|pane| start <= pane.start))
            .take_while(|pane| pane.start < end);
        let mut all = run.next()?.accumulator.clone();
        for pane in run {
            merge(&mut all, pane.accumulator.clone());
        }
        Some(all)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.panes.is_empty() && self.latest.is_none()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use proptest::prelude::*;

    use super::*;

    fn merge(into: &mut Vec<i64>, from: Vec<i64>) {
        into.extend(from);
        into.sort_unstable();
    }

    proptest! {
        /// Windows of 6 panes that move by one; between two firings come records of any pane that
        /// a later window has, as late ones do.
        #[test]
        fn a_window_is_all_records_of_its_panes(
            steps in prop::collection::vec(prop::collection::vec(0..9_i64, 0..5), 0..40),
        ) {
            let (mut panes, mut all) = (Panes::default(), Vec::new());
            for (start, records) in steps.into_iter().enumerate() {
                let start = start as i64;
                for (number, pane) in records.into_iter().enumerate() {
                    let record = (start + pane) * 100 + start * 10_000 + number as i64;
                    panes.add(start + pane, |kept| merge(kept, vec![record]));
                    all.push((start + pane, record));
                }
                let end = start + 6;
                let inside = |pane: i64| start <= pane && pane < end;
                let mut expected: Vec<i64> =
                    all.iter().filter(|(pane, _)| inside(*pane)).map(|(_, r)| *r).collect();
                expected.sort_unstable();
                let merged = panes.merged(end, merge).unwrap_or_default();
                prop_assert_eq!(merged, expected);
                panes.drop_while(|pane| pane <= start);
            }
        }
    }

    #[test]
    fn a_firing_merges_few_panes_of_many() {
        let merges = Cell::new(0);
        let counted = |into: &mut i64, from: i64| {
            merges.set(merges.get() + 1);
            *into += from;
        };
        let mut panes = Panes::default();
        for pane in 0..60 {
            panes.add(pane, |sum| *sum += 1);
        }
        for start in 0..600 {
            assert_eq!(panes.merged(start + 60, counted), Some(60));
            panes.drop_while(|pane| pane <= start);
            panes.add(start + 60, |sum| *sum += 1);
        }
        assert!(merges.get() <= 3 * 600, "{} merges", merges.get());
    }
}
