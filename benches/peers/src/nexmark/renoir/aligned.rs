//! Event-time windows that start at multiples of their slide since the epoch.
//!
//! Renoir's own start at the first record of each key, so that windows of two keys are not the
//! same. Otherwise this is as they are: a queue of accumulators for each key, and every record goes
//! into all those of its windows.

use std::collections::VecDeque;

use renoir::operator::window::{WindowAccumulator, WindowDescription, WindowManager, WindowResult};
use renoir::operator::{Data, StreamElement, Timestamp};

/// Windows of `size` milliseconds, one every `slide`.
#[derive(Clone, Copy, Debug)]
pub struct Aligned {
    /// Length, a multiple of the slide.
    pub size: Timestamp,
    /// From the start of one to that of the next.
    pub slide: Timestamp,
}

impl<T: Data> WindowDescription<T> for Aligned {
    type Manager<A: WindowAccumulator<In = T>> = AlignedManager<A>;

    fn build<A: WindowAccumulator<In = T>>(&self, accumulator: A) -> AlignedManager<A> {
        AlignedManager { init: accumulator, windows: *self, open: VecDeque::new() }
    }
}

/// The open windows of one key.
#[derive(Clone)]
pub struct AlignedManager<A> {
    init: A,
    windows: Aligned,
    /// By start, those without a record left out.
    open: VecDeque<(Timestamp, A)>,
}

impl<A: WindowAccumulator> AlignedManager<A> {
    fn add(&mut self, record: &A::In, time: Timestamp) {
        let Aligned { size, slide } = self.windows;
        let mut start = time - time.rem_euclid(slide);
        let mut place = self.open.len();
        while start > time - size {
            while place > 0 && self.open[place - 1].0 > start {
                place -= 1;
            }
            if place == 0 || self.open[place - 1].0 != start {
                self.open.insert(place, (start, self.init.clone()));
                place += 1;
            }
            self.open[place - 1].1.process(record);
            start -= slide;
        }
    }
}

impl<A: WindowAccumulator> WindowManager for AlignedManager<A> {
    type In = A::In;
    type Out = A::Out;
    type Output = Vec<WindowResult<A::Out>>;

    fn process(&mut self, element: StreamElement<A::In>) -> Self::Output {
        let size = self.windows.size;
        let closed = match element {
            StreamElement::Timestamped(record, time) => {
                self.add(&record, time);
                0
            }
            StreamElement::Watermark(time) => {
                self.open.partition_point(|(start, _)| start + size <= time)
            }
            StreamElement::FlushAndRestart | StreamElement::Terminate => self.open.len(),
            StreamElement::Item(_) => panic!("a record of an event-time window has a time"),
            StreamElement::FlushBatch => 0,
        };
        // The last millisecond of the window, so that a window of windows is the same one.
        let result = |(start, accumulator): (Timestamp, A)| {
            WindowResult::Timestamped(accumulator.output(), start + size - 1)
        };
        self.open.drain(..closed).map(result).collect()
    }

    fn recycle(&self) -> bool {
        self.open.is_empty()
    }
}
