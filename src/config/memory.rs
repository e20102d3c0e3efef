//! How much memory the lanes of a job can take, known before any of it is allocated.

use std::fmt;

use crate::config::parse::bytes_text;
use crate::config::{Config, Knob};
use crate::error::{Error, ErrorKind, Result};

/// What the lanes of a job hold when all of them are full.
///
/// An exchange has a lane from every partition to every partition, so the bound grows with the
/// square of the partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneMemory {
    /// Partitions, P: an exchange has P · P lanes.
    pub partitions: usize,
    /// Exchanges of the graph.
    pub exchanges: usize,
    /// Data batches per lane.
    pub lane_capacity: u64,
    /// Records per batch.
    pub batch_records: u64,
    /// Bytes of one record as it lies in a batch, with its time where it has one.
    pub record_bytes: u64,
    /// Bytes of empty buffers that wait for their turn, per partition and exchange.
    pub round_bytes: u64,
}

impl LaneMemory {
    /// The bound, saturating at `u128::MAX`.
    pub fn bytes(&self) -> u128 {
        let product = |start: u128, factors: &[u64]| {
            factors.iter().fold(start, |bytes, factor| bytes.saturating_mul(u128::from(*factor)))
        };
        let outboxes = self.partitions as u128 * self.exchanges as u128;
        let lanes = outboxes * self.partitions as u128;
        product(lanes, &[self.lane_capacity, self.batch_records, self.record_bytes])
            .saturating_add(product(outboxes, &[self.round_bytes]))
    }

    /// Refuses lanes that could hold more than `limit_bytes`.
    ///
    /// * `limit_bytes` - the memory limit: that of `config`, or what the machine allows.
    /// * `config` - says where the lane capacity was written, for the error.
    /// * returns - the bound in bytes.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] if the lane capacity came from a flag or a variable, else
    /// [`ErrorKind::InvalidConfig`]; the text shows the product.
    pub fn check(&self, limit_bytes: u64, config: &Config) -> Result<u64> {
        let bytes = self.bytes();
        match u64::try_from(bytes) {
            Ok(bytes) if bytes <= limit_bytes => return Ok(bytes),
            _ => {}
        }
        let origin = Knob::named("lane-capacity").and_then(|knob| config.origin(knob));
        let place = match origin {
            Some(origin) => origin.to_string(),
            None => "lane-capacity".to_owned(),
        };
        let kind = origin.map_or(ErrorKind::InvalidConfig, |origin| origin.kind());
        let line = format!(
            "lanes exceed the memory limit at {place}: {self}; allowed {}, see memory-limit",
            bytes_text(limit_bytes)
        );
        Err(Error::new(kind, line))
    }
}

/// Writes the product with its factors.
impl fmt::Display for LaneMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{0} * {0} partitions * {1} exchanges * {2} batches * {3} records * {4} bytes + {0} \
             partitions * {1} exchanges * {5} bytes = {6} bytes",
            self.partitions,
            self.exchanges,
            self.lane_capacity,
            self.batch_records,
            self.record_bytes,
            self.round_bytes,
            self.bytes()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Layer, Origin};

    const USUAL: LaneMemory = LaneMemory {
        partitions: 4,
        exchanges: 2,
        lane_capacity: 8,
        batch_records: 1024,
        record_bytes: 24,
        round_bytes: 4 << 20,
    };

    fn config(capacity: &str) -> Config {
        let mut flags = Layer::default();
        let knob = Knob::named("lane-capacity").expect("a knob");
        flags.set(knob, capacity, Origin::Flag(knob.flag()));
        Config::resolve([flags], None).expect("a capacity")
    }

    #[test]
    fn product_below_the_limit_is_the_bound() {
        let bytes = 4 * 4 * 2 * 8 * 1024 * 24 + 4 * 2 * (4 << 20);
        assert_eq!(USUAL.check(bytes, &Config::default()).expect("fits"), bytes);
        let error = USUAL.check(bytes - 1, &Config::default()).expect_err("one byte too many");
        assert_eq!(error.kind().exit_code(), 78);
    }

    #[test]
    fn lane_capacity_of_2_to_the_40_shows_the_product() {
        let capacity = 1 << 40;
        let lanes = LaneMemory { lane_capacity: capacity, ..USUAL };
        let error = lanes.check(1 << 30, &config(&capacity.to_string())).expect_err("too much");
        assert_eq!(error.kind().exit_code(), 64);
        assert_eq!(
            error.to_string(),
            "lanes exceed the memory limit at --lane-capacity: 4 * 4 partitions * 2 exchanges * \
             1099511627776 batches * 1024 records * 24 bytes + 4 partitions * 2 exchanges * \
             4194304 bytes = 864691128488689664 bytes; allowed 1GiB, see memory-limit"
        );
    }

    #[test]
    fn product_beyond_any_integer_is_refused_too() {
        let lanes = LaneMemory {
            lane_capacity: u64::MAX,
            batch_records: u64::MAX,
            record_bytes: u64::MAX,
            ..USUAL
        };
        assert_eq!(lanes.bytes(), u128::MAX);
        assert!(lanes.check(u64::MAX, &Config::default()).is_err());
    }
}
