//! The live windows of one key, compact: most keys have one, and one takes no allocation.

use serde::{Deserialize, Serialize};

use crate::operator::window::{Firing, Window};
use crate::time::Timestamp;

/// The live windows of a key, by id. A count in one window takes 24 bytes.
#[derive(Debug, Default, Serialize, Deserialize)]
pub enum Slots<I, S> {
    /// None.
    #[default]
    Empty,
    /// One, of which nothing but the accumulator is to be kept.
    One(I, S),
    /// Sorted by id.
    Many(Vec<Slot<I, S>>),
}

/// One window.
#[derive(Debug, Serialize, Deserialize)]
pub struct Slot<I, S> {
    /// Which.
    pub id: I,
    /// Its records, or under [`Mode::Discarding`](super::Mode) those since its last result.
    pub accumulator: S,
    /// What came out of it, once that matters.
    pub progress: Option<Box<Progress<S>>>,
}

/// What came out of a window, and what is to.
#[derive(Debug, Serialize, Deserialize)]
pub struct Progress<S> {
    /// Results that came out.
    pub index: u32,
    /// Records that are in no result.
    pub pending: u64,
    /// When it fires early, if by time and a record is pending.
    pub early_at: Option<Timestamp>,
    /// Results that hold and are to be retracted; only under
    /// [`Mode::Retracting`](super::Mode). More than one where sessions have merged.
    pub emitted: Vec<Emitted<S>>,
}

impl<S> Default for Progress<S> {
    fn default() -> Self {
        Progress { index: 0, pending: 0, early_at: None, emitted: Vec::new() }
    }
}

/// A result that holds.
#[derive(Debug, Serialize, Deserialize)]
pub struct Emitted<S> {
    /// Its window: a session has grown since.
    pub window: Window,
    /// Why it came out.
    pub firing: Firing,
    /// Which of its window's results it is.
    pub index: u32,
    /// What it was made of.
    pub accumulator: S,
}

impl<I: Copy + Ord, S> Slots<I, S> {
    /// The accumulator of window `id`, and whether it is new.
    #[inline]
    pub(super) fn accumulator(&mut self, id: I) -> (&mut S, bool)
    where
        S: Default,
    {
        let is_new = match self {
            Slots::Empty => {
                *self = Slots::One(id, S::default());
                true
            }
            Slots::One(own, _) if *own == id => false,
            Slots::One(..) | Slots::Many(_) => {
                let (slot, is_new) = self.slot(id);
                return (&mut slot.accumulator, is_new);
            }
        };
        let Slots::One(_, accumulator) = self else { unreachable!("it is the one, or was made") };
        (accumulator, is_new)
    }

    /// The slot of window `id`, and whether it is new.
    pub(super) fn slot(&mut self, id: I) -> (&mut Slot<I, S>, bool)
    where
        S: Default,
    {
        let slots = self.many();
        // Records are nearly in order: most are of the latest window.
        let place = match slots.last() {
            Some(last) if last.id == id => Ok(slots.len() - 1),
            Some(last) if last.id < id => Err(slots.len()),
            _ => slots.binary_search_by(|slot| slot.id.cmp(&id)),
        };
        match place {
            Ok(index) => (&mut slots[index], false),
            Err(index) => {
                slots.insert(index, Slot { id, accumulator: S::default(), progress: None });
                (&mut slots[index], true)
            }
        }
    }

    /// All slots, to be changed; [`settle`](Self::settle) afterwards.
    pub(super) fn many(&mut self) -> &mut Vec<Slot<I, S>> {
        if !matches!(self, Slots::Many(_)) {
            let slots = match std::mem::take(self) {
                Slots::One(id, accumulator) => {
                    let mut slots = Vec::with_capacity(2);
                    slots.push(Slot { id, accumulator, progress: None });
                    slots
                }
                Slots::Empty | Slots::Many(_) => Vec::with_capacity(1),
            };
            *self = Slots::Many(slots);
        }
        let Slots::Many(slots) = self else { unreachable!("just set") };
        slots
    }

    /// Gives back the allocation where none is needed any more.
    pub(super) fn settle(&mut self) {
        let Slots::Many(slots) = self else { return };
        if slots.len() > 1 || slots.first().is_some_and(|slot| slot.progress.is_some()) {
            return;
        }
        *self = match slots.pop() {
            Some(slot) => Slots::One(slot.id, slot.accumulator),
            None => Slots::Empty,
        };
    }

    /// Calls `visit` with each id, in order.
    pub(super) fn each_id(&self, mut visit: impl FnMut(I)) {
        match self {
            Slots::Empty => {}
            Slots::One(id, _) => visit(*id),
            Slots::Many(slots) => slots.iter().for_each(|slot| visit(slot.id)),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Slots::Empty => true,
            Slots::One(..) => false,
            Slots::Many(slots) => slots.is_empty(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_in_one_window_takes_24_bytes() {
        assert_eq!(size_of::<Slots<Timestamp, u64>>(), 24);
        assert!(size_of::<Slots<Window, u64>>() <= 32);
        assert_eq!(size_of::<Slot<Timestamp, u64>>(), 24);
    }

    #[test]
    fn windows_stay_sorted_and_one_alone_gives_its_allocation_back() {
        let mut slots = Slots::default();
        for (id, is_first) in [(5, true), (5, false), (9, true), (3, true), (9, false), (4, true)] {
            let (count, is_new): (&mut u32, bool) = slots.accumulator(id);
            assert_eq!(is_new, is_first, "window {id}");
            *count += id;
        }
        let ids: Vec<_> = slots.many().iter().map(|slot| (slot.id, slot.accumulator)).collect();
        assert_eq!(ids, [(3, 3), (4, 4), (5, 10), (9, 18)]);
        slots.many().retain(|slot| slot.id == 5);
        slots.settle();
        assert!(matches!(slots, Slots::One(5, 10)));
        slots.many().clear();
        slots.settle();
        assert!(slots.is_empty());
    }
}
