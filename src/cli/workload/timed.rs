//! The pairs of key and value with a time each: the input of `window-sum`.

use std::ops::Range;

use crate::connector::event_times::{BASE_TIME, EventTimes};
use crate::connector::generator::{BenchInput, Recipe};
use crate::dataflow::{Collector, Emit};
use crate::time::Timestamp;

const VALUE_BITS: u32 = 16;

/// Key, value and time in 16 bytes, as many as the pairs of `keyed-count` have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) key: u64,
    /// Milliseconds since [`BASE_TIME`], and below them the value.
    packed: u64,
}

impl Reading {
    #[inline]
    fn new((key, value): (u64, u64), time: Timestamp) -> Reading {
        let passed = (time.as_millis() - BASE_TIME.as_millis()).cast_unsigned();
        Reading { key, packed: passed << VALUE_BITS | value }
    }

    #[inline]
    pub(crate) fn value(&self) -> u64 {
        self.packed & ((1 << VALUE_BITS) - 1)
    }

    #[inline]
    pub(crate) fn time(&self) -> Timestamp {
        BASE_TIME.plus_millis((self.packed >> VALUE_BITS).cast_signed())
    }
}

/// Record *i* of the input, at the *i*-th of the times.
#[derive(Clone, Debug)]
pub(crate) struct TimedInput {
    pairs: BenchInput,
    times: EventTimes,
}

impl TimedInput {
    pub(crate) fn new(pairs: BenchInput, times: EventTimes) -> TimedInput {
        TimedInput { pairs, times }
    }

    /// Record `index`.
    pub(crate) fn record(&self, index: u64) -> Reading {
        Reading::new(self.pairs.record(index), self.times.at(index))
    }
}

impl Recipe for TimedInput {
    type Item = Reading;

    #[inline]
    fn make<E: Emit<Reading>>(&mut self, indexes: Range<u64>, out: &mut Collector<'_, E>) -> u64 {
        let times = self.times.from(indexes.start);
        let pairs = &self.pairs;
        out.emit_all(indexes.zip(times).map(|(i, time)| Reading::new(pairs.record(i), time)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::generator::Skew;
    use crate::dataflow::Meta;

    #[test]
    fn a_reading_gives_back_what_it_was_made_of() {
        let pairs = BenchInput::new(1, 1_000, Skew::Uniform).expect("valid");
        let times = EventTimes::new(3_000).expect("a rate");
        let mut input = TimedInput::new(pairs.clone(), times);
        let mut made = Vec::new();
        input.make(5_000..5_100, &mut Collector::new(&mut made, Meta::default()));
        for (reading, index) in made.iter().zip(5_000..) {
            assert_eq!(*reading, input.record(index));
            assert_eq!((reading.key, reading.value()), pairs.record(index));
            assert_eq!(reading.time(), times.at(index));
        }
        assert_eq!(made.len(), 100);
    }
}
