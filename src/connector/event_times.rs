//! `EventTimes`: when generated records happened.

use crate::error::{Error, ErrorKind, Result};
use crate::time::Timestamp;

/// Event time of record 0: midnight of 15 July 2015, UTC.
pub const BASE_TIME: Timestamp = Timestamp::from_millis(1_436_918_400_000);

/// Record *i* happened at [`BASE_TIME`] + *i* / rate, rounded down to a millisecond, so that times
/// never go back.
#[derive(Clone, Copy, Debug)]
pub struct EventTimes {
    per_second: u64,
}

impl EventTimes {
    /// * `per_second` - records per second of event time, at least 1.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] if it is 0.
    pub fn new(per_second: u64) -> Result<EventTimes> {
        match per_second {
            0 => {
                let context = "events per second of event time is 0, not at least 1";
                Err(Error::new(ErrorKind::InvalidConfig, context))
            }
            _ => Ok(EventTimes { per_second }),
        }
    }

    /// The time of record `index`.
    pub fn at(&self, index: u64) -> Timestamp {
        let millis = u128::from(index) * 1000 / u128::from(self.per_second);
        BASE_TIME.plus_millis(i64::try_from(millis).unwrap_or(i64::MAX))
    }

    /// The first record that is not before `time`.
    pub fn first_from(&self, time: Timestamp) -> u64 {
        let passed_ms = i128::from(time.as_millis()) - i128::from(BASE_TIME.as_millis());
        let records = passed_ms.max(0).unsigned_abs() * u128::from(self.per_second);
        u64::try_from(records.div_ceil(1000)).unwrap_or(u64::MAX)
    }

    /// The times of record `index` and those after it, without a division for each.
    #[inline]
    pub fn from(&self, index: u64) -> impl Iterator<Item = Timestamp> + use<> {
        let rate = self.per_second;
        let mut time = self.at(index);
        // What rounding has cut off, in parts of a millisecond: below `rate`.
        let mut rest = (u128::from(index) * 1000 % u128::from(rate)) as u64;
        let (step_ms, step_rest) = ((1000 / rate) as i64, 1000 % rate);
        std::iter::from_fn(move || {
            let now = time;
            rest += step_rest;
            let carry = rest >= rate;
            rest -= if carry { rate } else { 0 };
            time = now.plus_millis(step_ms + i64::from(carry));
            Some(now)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_a_row_are_those_of_each_index_and_lead_back_to_it() {
        for per_second in [1, 7, 999, 1_000, 1_001, 10_000, 3_000_000] {
            let times = EventTimes::new(per_second).expect("above 0");
            for start in [0, 5, 1_023, 10_000_019] {
                let seen: Vec<_> = times.from(start).take(3_000).collect();
                let expected: Vec<_> = (start..start + 3_000).map(|i| times.at(i)).collect();
                assert_eq!(seen, expected, "{per_second} a second from {start}");
            }
        }
        for per_second in [1, 7, 999, 1_000, 10_000, 3_000_000] {
            let times = EventTimes::new(per_second).expect("above 0");
            for index in [0, 1, 5_000, 10_000_019] {
                let first = times.first_from(times.at(index));
                assert_eq!(times.at(first), times.at(index), "{per_second} a second, {index}");
                assert!(first == 0 || times.at(first - 1) < times.at(index));
            }
        }
        assert_eq!(EventTimes::new(0).expect_err("no rate").kind(), ErrorKind::InvalidConfig);
    }
}
