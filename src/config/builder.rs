//! A configuration written in a program: a method per knob, all checked by `build`.

use std::time::Duration;

use crate::config::choice::{BatchSize, Idle, Metrics, Pin, PreAggregate, Rebalance};
use crate::config::knob::Knob;
use crate::config::layer::{Layer, Origin};
use crate::config::parse::{Choice, duration_text};
use crate::config::{Config, CoreList};
use crate::error::Result;

/// Sets what a program knows about its job; the rest keeps its default.
///
/// Values go through the same table as flags and files, so that each bound stands in one place.
/// A method that is called twice keeps its first value.
///
/// ```
/// use std::time::Duration;
/// use millstream::config::Config;
///
/// let error = Config::builder().partitions(0).linger(Duration::from_secs(60)).build();
/// let text = error.expect_err("both are out of range").to_string();
/// assert_eq!(text.lines().count(), 2);
/// ```
#[derive(Debug, Default)]
pub struct ConfigBuilder {
    layer: Layer,
}

impl ConfigBuilder {
    /// Runs on these cores, partition 0 on the first.
    pub fn cores(self, cores: CoreList) -> ConfigBuilder {
        self.set("cores", "Config::cores", cores.to_string())
    }

    /// Shares the work among so many partitions, 1..=1024.
    pub fn partitions(self, partitions: usize) -> ConfigBuilder {
        self.set("partitions", "Config::partitions", partitions.to_string())
    }

    /// Pins partitions to their cores.
    pub fn pin(self, pin: Pin) -> ConfigBuilder {
        self.set("pin", "Config::pin", pin.name())
    }

    /// What a partition without work ends up doing.
    pub fn idle(self, idle: Idle) -> ConfigBuilder {
        self.set("idle", "Config::idle", idle.name())
    }

    /// Microseconds to spin before the next rung, 0..=1000000.
    pub fn spin_us(self, spin_us: u64) -> ConfigBuilder {
        self.set("spin-us", "Config::spin_us", spin_us.to_string())
    }

    /// Records per batch.
    pub fn batch_size(self, batch_size: BatchSize) -> ConfigBuilder {
        let text = match batch_size {
            BatchSize::Auto => "auto".to_owned(),
            BatchSize::Records(records) => records.to_string(),
        };
        self.set("batch-size", "Config::batch_size", text)
    }

    /// How long a batch waits to fill, at most 10 s; zero sends at once.
    pub fn linger(self, linger: Duration) -> ConfigBuilder {
        self.set("linger", "Config::linger", duration_text(linger))
    }

    /// Data batches per lane, at least 1.
    pub fn lane_capacity(self, batches: u64) -> ConfigBuilder {
        self.set("lane-capacity", "Config::lane_capacity", batches.to_string())
    }

    /// Combines records of a key before they change partition.
    pub fn pre_aggregate(self, pre_aggregate: PreAggregate) -> ConfigBuilder {
        self.set("pre-aggregate", "Config::pre_aggregate", pre_aggregate.name())
    }

    /// What the supervisor may do about load that is uneven.
    pub fn rebalance(self, rebalance: Rebalance) -> ConfigBuilder {
        self.set("rebalance", "Config::rebalance", rebalance.name())
    }

    /// Most memory for lanes in bytes, 1 MiB..=1 PiB.
    pub fn memory_limit_bytes(self, bytes: u64) -> ConfigBuilder {
        self.set("memory-limit", "Config::memory_limit_bytes", bytes.to_string())
    }

    /// Outputs of one record at which the job fails, 1..=1000000000.
    pub fn max_outputs_per_record(self, outputs: u64) -> ConfigBuilder {
        self.set("max-outputs-per-record", "Config::max_outputs_per_record", outputs.to_string())
    }

    /// Measures latency and load.
    pub fn metrics(self, metrics: Metrics) -> ConfigBuilder {
        self.set("metrics", "Config::metrics", metrics.name())
    }

    /// Checks everything that was set.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`](crate::ErrorKind::InvalidConfig); a line for each value out of
    /// its bounds.
    pub fn build(self) -> Result<Config> {
        Config::resolve([self.layer], None)
    }

    fn set(mut self, key: &str, method: &'static str, text: impl Into<String>) -> ConfigBuilder {
        let knob = Knob::named(key).expect("each method names a knob of the table");
        self.layer.set(knob, text, Origin::Code(method));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Cores;

    #[test]
    fn every_knob_can_be_set_in_code() {
        let cores: CoreList = [4, 2].into_iter().collect();
        let config = Config::builder()
            .cores(cores.clone())
            .partitions(3)
            .pin(Pin::Off)
            .idle(Idle::Yield)
            .spin_us(7)
            .batch_size(BatchSize::Records(512))
            .linger(Duration::from_nanos(1_500))
            .lane_capacity(1 << 40)
            .pre_aggregate(PreAggregate::On)
            .rebalance(Rebalance::Keys)
            .memory_limit_bytes(1 << 30)
            .max_outputs_per_record(9)
            .metrics(Metrics::Off)
            .build()
            .expect("all within bounds");
        assert_eq!(config.cores(), &Cores::List(cores));
        assert_eq!(config.partitions(), Some(3));
        assert_eq!(config.pin(), Pin::Off);
        assert_eq!(config.idle(), Idle::Yield);
        assert_eq!(config.spin_us(), 7);
        assert_eq!(config.batch_size(), BatchSize::Records(512));
        assert_eq!(config.linger(), Duration::from_nanos(1_500));
        assert_eq!(config.lane_capacity(), 1 << 40);
        assert_eq!(config.pre_aggregate(), PreAggregate::On);
        assert_eq!(config.rebalance(), Rebalance::Keys);
        assert_eq!(config.memory_limit_bytes(), Some(1 << 30));
        assert_eq!(config.max_outputs_per_record(), 9);
        assert_eq!(config.metrics(), Metrics::Off);
        for knob in Knob::all() {
            assert!(config.origin(knob).is_some(), "no method for {}", knob.key());
        }
    }

    #[test]
    fn empty_builder_gives_the_default() {
        let config = Config::builder().build().expect("defaults");
        assert_eq!(config.values, Config::default().values);
    }

    #[test]
    fn value_out_of_bounds_names_the_method() {
        let error = Config::builder().lane_capacity(0).build().expect_err("no lane of 0");
        let expected =
            format!("out of range at Config::lane_capacity: 0; allowed 1..={}", u64::MAX);
        assert_eq!(error.to_string(), expected);
        assert_eq!(error.kind().exit_code(), 78);
    }
}
