//! What windows mean, written so that one can see that it is right: all records are kept, and each
//! result is computed anew. Tests and simulations compare the windows of the engine with it.

use crate::operator::window::{
    Change, Early, Firing, Mode, Taken, Window, WindowAssigner, Windowed,
};
use crate::time::Timestamp;

/// A kind of windows, in milliseconds or records.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// As [`tumbling`](super::tumbling).
    Tumbling {
        /// How long they are.
        size: i64,
        /// When the first one begins.
        offset: i64,
    },
    /// As [`sliding`](super::sliding).
    Sliding {
        /// How long they are.
        size: i64,
        /// From one start to the next.
        slide: i64,
        /// When the first one begins.
        offset: i64,
    },
    /// As [`session`](super::session).
    Session {
        /// The silence that ends one.
        gap: i64,
    },
    /// As [`count_sliding`](super::count_sliding).
    Count {
        /// Records in each.
        size: usize,
        /// From one start to the next.
        slide: usize,
    },
    /// As [`global`](super::global()).
    Global,
    /// As [`Growing`] assigns them.
    Growing,
}

/// When results come out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// Before the watermark has passed the window.
    pub(crate) early: Early,
    /// What a second result is.
    pub(crate) mode: Mode,
    /// For how long a window is kept, in milliseconds.
    pub(crate) lateness: i64,
}

/// Windows of one's own: none at the multiples of 7, else from the last multiple of 20 to each of
/// 5, 10 and 20 after it.
#[derive(Clone, Copy)]
pub(crate) struct Growing;

impl<T> WindowAssigner<T> for Growing {
    type Id = Window;

    fn assign(&self, _: &T, time: Timestamp, take: impl FnMut(Window)) {
        growing(time.as_millis()).into_iter().for_each(take);
    }

    fn window(&self, id: Window) -> Window {
        id
    }
}

fn growing(time: i64) -> Vec<Window> {
    let start = time - time.rem_euclid(20);
    let has_come = |length: &i64| time < start.saturating_add(*length);
    let lengths = [5, 10, 20].into_iter().filter(|length| time % 7 != 0 && has_come(length));
    lengths.map(|length| Window::from_start(start.into(), length)).collect()
}

/// A result: the values of its records, sorted.
pub(crate) type Computed = Windowed<(), Vec<i64>>;

fn sorted(values: &[i64]) -> Vec<i64> {
    let mut all = values.to_vec();
    all.sort_unstable();
    all
}

/// What has come of a window in the model.
#[derive(Default)]
struct Cell {
    all: Vec<i64>,
    unseen: Vec<i64>,
    index: u32,
    early_at: Option<i64>,
    standing: Vec<Computed>,
}

/// The windows of one key.
pub(crate) struct Model {
    kind: Kind,
    rules: Rules,
    pub(super) watermark: i64,
    pub(super) now: i64,
    cells: Vec<(Window, Cell)>,
    /// Values and times, where windows are counted.
    counted: Vec<(i64, i64)>,
    results: Vec<Computed>,
}

fn last(window: Window) -> i64 {
    window.end.as_millis() - 1
}

impl Model {
    /// Without records so far.
    pub(crate) fn new(kind: Kind, rules: Rules, watermark: i64) -> Model {
        let (cells, counted, results) = (Vec::new(), Vec::new(), Vec::new());
        Model { kind, rules, watermark, now: 0, cells, counted, results }
    }

    /// What has come out since the last call, in order.
    pub(crate) fn take_results(&mut self) -> Vec<Computed> {
        std::mem::take(&mut self.results)
    }

    /// Whether nothing is kept.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    fn is_gone(&self, window: Window) -> bool {
        last(window).saturating_add(self.rules.lateness) <= self.watermark
    }

    fn windows(&self, time: i64) -> Vec<Window> {
        let aligned = |size: i64, slide: i64, offset: i64| {
            let starts = time.saturating_sub(size - 1)..=time;
            let is_start = move |start: &i64| {
                (i128::from(*start) - i128::from(offset)).rem_euclid(i128::from(slide)) == 0
            };
            starts.filter(is_start).map(|start| Window::from_start(start.into(), size)).collect()
        };
        match self.kind {
            Kind::Tumbling { size, offset } => aligned(size, size, offset),
            Kind::Sliding { size, slide, offset } => aligned(size, slide, offset),
            Kind::Session { gap } => vec![Window::from_start(time.into(), gap)],
            Kind::Global => vec![Window { start: Timestamp::MIN, end: Timestamp::MAX }],
            Kind::Growing => growing(time),
            Kind::Count { .. } => unreachable!("counted, not timed"),
        }
    }

    /// Takes a record.
    pub(crate) fn record(&mut self, value: i64, time: i64) -> Taken {
        if let Kind::Count { size, slide } = self.kind {
            self.count(value, time, size, slide);
            return Taken::Applied;
        }
        let windows = self.windows(time);
        let mut is_applied = windows.is_empty();
        for window in windows {
            let window = match self.kind {
                Kind::Session { .. } => self.merge_sessions(window),
                _ => window,
            };
            if self.is_gone(window) {
                continue;
            }
            is_applied = true;
            let place = match self.cells.iter().position(|(other, _)| *other == window) {
                Some(place) => place,
                None => {
                    self.cells.push((window, Cell::default()));
                    self.cells.sort_by_key(|(window, _)| *window);
                    self.cells
                        .iter()
                        .position(|(other, _)| *other == window)
                        .expect("it was put there")
                }
            };
            let cell = &mut self.cells[place].1;
            cell.all.push(value);
            cell.unseen.push(value);
            if last(window) <= self.watermark {
                self.fire(place, Firing::Late);
                continue;
            }
            match self.rules.early {
                Early::Records(count) if cell.unseen.len() as u64 >= count => {
                    self.fire(place, Firing::Early);
                }
                Early::After(delay) if cell.early_at.is_none() => {
                    cell.early_at = Some(self.now + delay.as_millis() as i64);
                }
                Early::Every(interval) if cell.early_at.is_none() => {
                    let interval = interval.as_millis() as i64;
                    cell.early_at = Some((self.now / interval + 1) * interval);
                }
                _ => {}
            }
        }
        if is_applied { Taken::Applied } else { Taken::Late }
    }

    /// Takes a record of windows that are counted.
    fn count(&mut self, value: i64, time: i64, size: usize, slide: usize) {
        self.counted.push((value, time));
        if !self.counted.len().is_multiple_of(slide) {
            return;
        }
        let last = &self.counted[self.counted.len().saturating_sub(size)..];
        let times = || last.iter().map(|(_, time)| *time);
        let (Some(earliest), Some(latest)) = (times().min(), times().max()) else { return };
        let mut value: Vec<i64> = last.iter().map(|(value, _)| *value).collect();
        value.sort_unstable();
        self.results.push(Windowed {
            key: (),
            window: Window { start: earliest.into(), end: Timestamp::from(latest).plus_millis(1) },
            firing: Firing::OnTime,
            index: 0,
            change: Change::Insert,
            value,
        });
    }

    /// Merges the sessions that `new` overlaps into one, and returns what `new` is a part of.
    fn merge_sessions(&mut self, new: Window) -> Window {
        let is_near = |other: Window| other.start < new.end && new.start < other.end;
        let (near, far): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.cells).into_iter().partition(|(other, _)| is_near(*other));
        self.cells = far;
        let mut near = near.into_iter();
        let Some((before, mut cell)) = near.next() else { return new };
        let mut window =
            Window { start: before.start.min(new.start), end: before.end.max(new.end) };
        for (other, more) in near {
            window.end = window.end.max(other.end);
            cell.all.extend(more.all);
            cell.unseen.extend(more.unseen);
            cell.standing.extend(more.standing);
            cell.early_at = cell.early_at.into_iter().chain(more.early_at).min();
        }
        if window != before {
            cell.index = 0;
        }
        self.cells.push((window, cell));
        self.cells.sort_by_key(|(window, _)| *window);
        window
    }

    fn fire(&mut self, place: usize, firing: Firing) {
        let (window, cell) = &mut self.cells[place];
        cell.early_at = None;
        let (records, holds) = match self.rules.mode {
            Mode::Discarding if cell.unseen.is_empty() => return,
            Mode::Discarding => (&cell.unseen, false),
            Mode::Accumulating => (&cell.all, false),
            Mode::Retracting => (&cell.all, true),
        };
        let value = sorted(records);
        let index = cell.index;
        let result =
            Windowed { key: (), window: *window, firing, index, change: Change::Insert, value };
        for old in cell.standing.drain(..) {
            self.results.push(Windowed { change: Change::Retract, ..old });
        }
        if holds {
            cell.standing.push(result.clone());
        }
        self.results.push(result);
        cell.unseen.clear();
        cell.index += 1;
    }

    /// The watermark has come to `to`; an earlier one changes nothing.
    pub(crate) fn advance_watermark(&mut self, to: i64) {
        if to <= self.watermark {
            return;
        }
        let before = std::mem::replace(&mut self.watermark, to);
        let mut due: Vec<_> = (0..self.cells.len())
            .filter(|place| (before + 1..=to).contains(&last(self.cells[*place].0)))
            .collect();
        due.sort_by_key(|place| (last(self.cells[*place].0), self.cells[*place].0));
        for place in due {
            self.fire(place, Firing::OnTime);
        }
        let mut cells = std::mem::take(&mut self.cells);
        cells.retain(|(window, _)| !self.is_gone(*window));
        self.cells = cells;
    }

    /// The clock has come to `to`.
    #[cfg(test)]
    pub(super) fn advance_clock(&mut self, to: i64) {
        self.now = to;
        while let Some(at) = self.cells.iter().filter_map(|(_, cell)| cell.early_at).min()
            && at <= to
        {
            for place in 0..self.cells.len() {
                if self.cells[place].1.early_at == Some(at) {
                    self.fire(place, Firing::Early);
                }
            }
        }
    }
}
