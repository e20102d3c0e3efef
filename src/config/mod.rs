//! The configuration of an engine: every knob checked, all errors told at once, then frozen.
//!
//! Each knob has one entry in the table behind [`Knob::all`]; its flag, its variable, its key in a
//! file and its help are printed from it. A value comes from the first layer that has one: flag,
//! environment, file, default.

mod builder;
mod choice;
mod core_list;
#[cfg(feature = "config-file")]
mod file;
mod knob;
mod layer;
mod memory;
pub(crate) mod parse;
pub(crate) mod wording;

use std::time::Duration;

pub use builder::ConfigBuilder;
pub use choice::{BatchSize, Cores, Idle, Metrics, Pin, PreAggregate, Rebalance};
pub use core_list::CoreList;
pub use knob::{Effect, Form, Knob, Lifetime, Preset};
pub use layer::{Layer, Origin};
pub use memory::LaneMemory;

use crate::config::layer::Setting;
use crate::config::wording::together;
use crate::error::{Error, Result};

/// What an engine is started with: every value within its bounds, unchangeable.
///
/// `Config::default()` suits most; [`Config::builder`] sets what a program knows, and
/// [`Config::resolve`] lays flags over the environment over a file.
///
/// ```
/// use millstream::config::{Config, Idle};
///
/// let config = Config::builder().partitions(4).idle(Idle::Spin).build()?;
/// assert_eq!(config.partitions(), Some(4));
/// # Ok::<(), millstream::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Config {
    values: Values,
    origins: Vec<(&'static Knob, Origin)>,
}

/// The value of every knob.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Values {
    cores: Cores,
    partitions: Option<u32>,
    pin: Pin,
    idle: Idle,
    spin_us: u64,
    batch_size: BatchSize,
    linger: Duration,
    lane_capacity: u64,
    pre_aggregate: PreAggregate,
    rebalance: Rebalance,
    memory_limit_bytes: Option<u64>,
    max_outputs_per_record: u64,
    metrics: Metrics,
}

/// Equal to the presets of the knob table; a test holds them together.
impl Default for Values {
    fn default() -> Values {
        Values {
            cores: Cores::Auto,
            partitions: None,
            pin: Pin::Auto,
            idle: Idle::Park,
            spin_us: 50,
            batch_size: BatchSize::Auto,
            linger: Duration::from_micros(500),
            lane_capacity: 8,
            pre_aggregate: PreAggregate::Auto,
            rebalance: Rebalance::Combine,
            memory_limit_bytes: None,
            max_outputs_per_record: 100_000,
            metrics: Metrics::On,
        }
    }
}

impl Config {
    /// Starts from the defaults; what is set is checked by [`ConfigBuilder::build`].
    pub fn builder() -> ConfigBuilder {
        ConfigBuilder::default()
    }

    /// Reads a TOML file over the defaults.
    ///
    /// # Errors
    /// [`ErrorKind::NoInput`](crate::ErrorKind::NoInput) if there is no such file or it is no
    /// regular one, [`ErrorKind::Permission`](crate::ErrorKind::Permission) if it may not be read,
    /// [`ErrorKind::BadData`](crate::ErrorKind::BadData) if it is longer than 1 MiB or not text,
    /// [`ErrorKind::InvalidConfig`](crate::ErrorKind::InvalidConfig) for everything wrong in it.
    #[cfg(feature = "config-file")]
    pub fn from_file(path: impl AsRef<std::path::Path>) -> Result<Config> {
        Config::resolve([Layer::from_file(path.as_ref())], None)
    }

    /// Checks all `layers` and takes each value from the first layer that has it.
    ///
    /// Values that an earlier layer overrides are checked too: a wrong one would surprise on the
    /// day the other goes.
    ///
    /// * `layers` - highest precedence first: flags, environment, file.
    /// * `allowed_cores` - what the process may run on, if the caller knows it; else
    ///   [`Config::check_cores`] is to be called before the start.
    ///
    /// # Errors
    /// One error that tells every problem of every layer, a line each, in the order of the
    /// layers; its kind is that of the first: [`ErrorKind::Usage`](crate::ErrorKind::Usage) from
    /// flags and variables, [`ErrorKind::InvalidConfig`](crate::ErrorKind::InvalidConfig) from
    /// files and code.
    pub fn resolve<I>(layers: I, allowed_cores: Option<&CoreList>) -> Result<Config>
    where
        I: IntoIterator<Item = Layer>,
    {
        let mut config = Config::default();
        let mut problems = Vec::new();
        for layer in layers {
            problems.extend(layer.problems);
            for setting in layer.settings {
                problems.extend(config.apply(setting, allowed_cores).err());
            }
        }
        match together(problems) {
            Some(error) => Err(error),
            None => Ok(config),
        }
    }

    /// Refuses a list of cores that names others than `allowed_cores`.
    ///
    /// # Errors
    /// The kind is that of the place where the list was written; the text names the allowed set.
    pub fn check_cores(&self, allowed_cores: &CoreList) -> Result<()> {
        let Cores::List(list) = &self.values.cores else { return Ok(()) };
        let code = Origin::Code("Config::cores");
        let origin = Knob::named("cores").and_then(|knob| self.origin(knob)).unwrap_or(&code);
        list.within(allowed_cores).map_err(|mut refusal| {
            refusal.allowed.push_str(&naming(allowed_cores));
            origin.refuse(&list.to_string(), &refusal)
        })
    }

    /// Which cores the partitions may run on.
    pub fn cores(&self) -> &Cores {
        &self.values.cores
    }

    /// How many partitions, 1..=1024; `None` means one per core.
    pub fn partitions(&self) -> Option<usize> {
        self.values.partitions.map(|partitions| partitions as usize)
    }

    /// Whether partitions are pinned.
    pub fn pin(&self) -> Pin {
        self.values.pin
    }

    /// What a partition without work ends up doing.
    pub fn idle(&self) -> Idle {
        self.values.idle
    }

    /// How long a partition spins before the next rung, in microseconds.
    pub fn spin_us(&self) -> u64 {
        self.values.spin_us
    }

    /// Records per batch.
    pub fn batch_size(&self) -> BatchSize {
        self.values.batch_size
    }

    /// How long a batch waits to fill; zero sends at once.
    pub fn linger(&self) -> Duration {
        self.values.linger
    }

    /// Data batches per lane, at least 1. Not bounded above: check [`LaneMemory`] before anything
    /// of this size is allocated.
    pub fn lane_capacity(&self) -> u64 {
        self.values.lane_capacity
    }

    /// Whether records of a key are combined before they change partition.
    pub fn pre_aggregate(&self) -> PreAggregate {
        self.values.pre_aggregate
    }

    /// What the supervisor may do about load that is uneven.
    pub fn rebalance(&self) -> Rebalance {
        self.values.rebalance
    }

    /// Most memory for lanes in bytes; `None` means what the machine allows.
    pub fn memory_limit_bytes(&self) -> Option<u64> {
        self.values.memory_limit_bytes
    }

    /// Outputs of one record at which the job fails.
    pub fn max_outputs_per_record(&self) -> u64 {
        self.values.max_outputs_per_record
    }

    /// Whether the job measures itself.
    pub fn metrics(&self) -> Metrics {
        self.values.metrics
    }

    /// Every knob with its value as it would be written; `None` where the engine works it out.
    pub fn entries(&self) -> impl Iterator<Item = (&'static Knob, Option<String>)> + '_ {
        Knob::all().iter().map(|knob| (knob, knob.show(&self.values)))
    }

    /// Where the value of `knob` was written; `None` if it is the default.
    pub fn origin(&self, knob: &Knob) -> Option<&Origin> {
        self.origins.iter().find(|(set, _)| set.key() == knob.key()).map(|(_, origin)| origin)
    }

    /// Checks `setting` and keeps it, unless an earlier layer has set the same knob.
    fn apply(&mut self, setting: Setting, allowed_cores: Option<&CoreList>) -> Result<()> {
        let Setting { knob, text, origin } = setting;
        let mut values = self.values.clone();
        check(knob, &mut values, &text, &origin, allowed_cores)?;
        if self.origin(knob).is_none() {
            self.values = values;
            self.origins.push((knob, origin));
        }
        Ok(())
    }
}

/// Reads `text` into `values`, and holds a list of cores against the allowed ones.
fn check(
    knob: &Knob,
    values: &mut Values,
    text: &str,
    origin: &Origin,
    allowed_cores: Option<&CoreList>,
) -> Result<(), Error> {
    let outcome = knob.set(values, text).and_then(|()| match (&values.cores, allowed_cores) {
        (Cores::List(list), Some(allowed)) => list.within(allowed),
        _ => Ok(()),
    });
    outcome.map_err(|mut refusal| {
        if let (true, Some(allowed)) = (knob.key() == "cores", allowed_cores) {
            refusal.allowed.push_str(&naming(allowed));
        }
        origin.refuse(text, &refusal)
    })
}

fn naming(allowed_cores: &CoreList) -> String {
    format!("; this process may use {allowed_cores}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn flags(settings: &[(&str, &str)]) -> Layer {
        let mut layer = Layer::default();
        for (key, text) in settings {
            let knob = Knob::named(key).expect(key);
            layer.set(knob, *text, Origin::Flag(knob.flag()));
        }
        layer
    }

    fn variables(settings: &[(&str, &str)]) -> Layer {
        Layer::from_variables(settings.iter().map(|(name, value)| (name.into(), value.into())))
    }

    #[test]
    fn earlier_layer_wins_and_defaults_fill_the_rest() {
        let config = Config::resolve(
            [
                flags(&[("partitions", "2")]),
                variables(&[("MILLSTREAM_PARTITIONS", "3"), ("MILLSTREAM_IDLE", "spin")]),
            ],
            None,
        )
        .expect("valid layers");
        assert_eq!(config.partitions(), Some(2));
        assert_eq!(config.idle(), Idle::Spin);
        assert_eq!(config.lane_capacity(), 8);
        let origin = |key: &str| config.origin(Knob::named(key).expect(key)).cloned();
        assert_eq!(origin("partitions"), Some(Origin::Flag("--partitions".to_owned())));
        assert_eq!(origin("idle"), Some(Origin::Variable("MILLSTREAM_IDLE".to_owned())));
        assert_eq!(origin("linger"), None);
    }

    #[test]
    fn every_problem_of_every_layer_is_told_overridden_ones_too() {
        let error = Config::resolve(
            [
                flags(&[("partitions", "0"), ("lane-capacity", "0"), ("linger", "1ms")]),
                variables(&[("MILLSTREAM_LINGER", "5"), ("MILLSTREAM_PINN", "on")]),
            ],
            None,
        )
        .expect_err("four problems");
        assert_eq!(error.kind(), ErrorKind::Usage);
        let text = error.to_string();
        let places: Vec<_> =
            text.lines().map(|line| line.split(';').next().unwrap_or_default()).collect();
        assert_eq!(
            places,
            [
                "out of range at --partitions: 0",
                "out of range at --lane-capacity: 0",
                "unknown variable at environment: MILLSTREAM_PINN",
                "number without a unit at MILLSTREAM_LINGER: 5",
            ]
        );
    }

    #[test]
    fn wrong_cores_name_the_allowed_set() {
        let allowed: CoreList = [0, 1].into_iter().collect();
        for (list, what) in [
            ("5000", "core not available"),
            ("0,2", "core not available"),
            ("3-1", "reversed range"),
            ("0,0", "core named twice"),
        ] {
            let error = Config::resolve([flags(&[("cores", list)])], Some(&allowed))
                .expect_err("cores 0 and 1 only");
            assert_eq!(error.kind().exit_code(), 64);
            let line = error.to_string();
            assert!(line.starts_with(&format!("{what} at --cores: {list}; allowed ")), "{line}");
            assert!(line.ends_with("; this process may use 0-1"), "{line}");
        }
        let config = Config::resolve([flags(&[("cores", "1")])], Some(&allowed)).expect("core 1");
        assert_eq!(config.cores().to_owned(), Cores::List([1].into_iter().collect()));
    }

    #[test]
    fn cores_can_be_checked_once_the_allowed_set_is_known() {
        let config = Config::resolve([flags(&[("cores", "5000")])], None).expect("a list");
        let allowed: CoreList = [0, 1].into_iter().collect();
        let error = config.check_cores(&allowed).expect_err("no core 5000");
        assert_eq!(error.kind().exit_code(), 64);
        assert!(error.to_string().ends_with("this process may use 0-1"), "{error}");
        Config::default().check_cores(&allowed).expect("auto suits every machine");
    }

    #[test]
    fn entries_show_every_knob() {
        let config = Config::builder().partitions(3).build().expect("valid");
        let shown: Vec<_> = config.entries().map(|(knob, value)| (knob.key(), value)).collect();
        assert_eq!(shown.len(), Knob::all().len());
        assert!(shown.contains(&("partitions", Some("3".to_owned()))));
        assert!(shown.contains(&("memory-limit", None)));
    }
}
