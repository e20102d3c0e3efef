//! Every knob of the engine, one entry each; flag, variable, config key and help come from here.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::config::Values;
use crate::config::choice::{BatchSize, Cores};
use crate::config::core_list::CoreList;
use crate::config::parse::{self, Choice, Refusal};

const PARTITIONS: RangeInclusive<u64> = 1..=1024;
const SPIN_US: RangeInclusive<u64> = 0..=1_000_000;
const BATCH_RECORDS: RangeInclusive<u64> = 1..=65_536;
const LINGER: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(10);
// No bound but its type: what is too much depends on the memory, see `LaneMemory`.
const LANE_CAPACITY: RangeInclusive<u64> = 1..=u64::MAX;
const MEMORY_BYTES: RangeInclusive<u64> = 1 << 20..=1 << 50;
const OUTPUTS_PER_RECORD: RangeInclusive<u64> = 1..=1_000_000_000;

/// One thing that a user can set: its names, its bounds, what it does.
#[derive(Debug)]
pub struct Knob {
    key: &'static str,
    preset: Preset,
    allowed: &'static str,
    form: Form,
    lifetime: Lifetime,
    help: &'static str,
    docs: &'static str,
    effect: Effect,
    set: fn(&mut Values, &str) -> Result<(), Refusal>,
    show: fn(&Values) -> Option<String>,
}

/// What holds when nobody sets a knob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// A value that could have been written.
    Value(&'static str),
    /// What the engine works out at the start, described.
    Derived(&'static str),
}

/// When a change of a knob takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// While the job runs.
    Live,
    /// At the next start.
    Start,
    /// Never for stored state: a change would orphan it.
    Snapshot,
}

/// How a configuration file writes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A string.
    Text,
    /// An integer.
    Integer,
    /// An integer, or a string such as `"auto"` or `"64KiB"`.
    IntegerOrText,
}

/// A benchmark that shows what a knob does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effect {
    /// The arguments of `millstream bench`, the knob left out.
    pub bench: &'static str,
    /// Two values of the knob that are far apart.
    pub values: [&'static str; 2],
    /// Where the two runs differ: a field of the report as JSON, or the exit code.
    pub shows: &'static str,
}

impl Knob {
    /// Every knob, in the order in which help lists them.
    pub fn all() -> &'static [Knob] {
        &KNOBS
    }

    /// The knob with this key, as in `lane-capacity`.
    pub fn named(key: &str) -> Option<&'static Knob> {
        KNOBS.iter().find(|knob| knob.key == key)
    }

    /// The name in a configuration file, as in `lane-capacity`.
    pub fn key(&self) -> &'static str {
        self.key
    }

    /// The flag, as in `--lane-capacity`.
    pub fn flag(&self) -> String {
        format!("--{}", self.key)
    }

    /// The environment variable, as in `MILLSTREAM_LANE_CAPACITY`.
    pub fn variable(&self) -> String {
        format!("MILLSTREAM_{}", self.key.to_ascii_uppercase().replace('-', "_"))
    }

    /// What holds when nobody sets it.
    pub fn preset(&self) -> Preset {
        self.preset
    }

    /// The allowed values, as help shows them.
    pub fn allowed(&self) -> &'static str {
        self.allowed
    }

    /// How a configuration file writes it.
    pub fn form(&self) -> Form {
        self.form
    }

    /// When a change takes effect.
    pub fn lifetime(&self) -> Lifetime {
        self.lifetime
    }

    /// What it does, in one line.
    pub fn help(&self) -> &'static str {
        self.help
    }

    /// When to change it and what that costs, for the reference page.
    pub fn docs(&self) -> &'static str {
        self.docs
    }

    /// The benchmark that shows what it does.
    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// Reads `text` into `values`.
    pub(in crate::config) fn set(&self, values: &mut Values, text: &str) -> Result<(), Refusal> {
        (self.set)(values, text)
    }

    /// Writes the value so that `set` reads it back; `None` where the engine works it out.
    pub(in crate::config) fn show(&self, values: &Values) -> Option<String> {
        (self.show)(values)
    }
}

static KNOBS: [Knob; 13] = [
    Knob {
        key: "cores",
        preset: Preset::Value("auto"),
        allowed: "auto or a list such as 0-3,8",
        form: Form::IntegerOrText,
        lifetime: Lifetime::Start,
        help: "cores to run on",
        docs: "Partition i runs on the i-th core of the list. auto takes the cores that the \
               process may use, and leaves one to housekeeping when there are more than two.",
        effect: Effect {
            bench: "keyed-count --pre-aggregate off --partitions 2",
            values: ["0", "auto"],
            shows: "records_per_second",
        },
        set: |values, text| {
            values.cores = match text {
                "auto" => Cores::Auto,
                _ => CoreList::parse(text).map(Cores::List).map_err(or_auto)?,
            };
            Ok(())
        },
        show: |values| match &values.cores {
            Cores::Auto => Some("auto".to_owned()),
            Cores::List(list) => Some(list.to_string()),
        },
    },
    Knob {
        key: "partitions",
        preset: Preset::Derived("one per core given"),
        allowed: "1..=1024",
        form: Form::Integer,
        lifetime: Lifetime::Start,
        help: "how many partitions share the work",
        docs: "More partitions than cores run, but contend: a warning says so, and they park \
               instead of spinning. Results do not depend on it.",
        effect: Effect {
            bench: "keyed-count --pre-aggregate off",
            values: ["1", "2"],
            shows: "records_per_second",
        },
        set: |values, text| {
            values.partitions = Some(small(parse::count(text, PARTITIONS)?));
            Ok(())
        },
        show: |values| values.partitions.map(|partitions| partitions.to_string()),
    },
    Knob {
        key: "pin",
        preset: Preset::Value("auto"),
        allowed: "auto|on|off",
        form: Form::Text,
        lifetime: Lifetime::Start,
        help: "keep each partition on its core",
        docs: "auto pins where that is permitted and no core has two partitions, and says what \
               it did. on fails the start with exit code 77 where it cannot pin.",
        effect: Effect { bench: "lane", values: ["off", "on"], shows: "latency_ns" },
        set: |values, text| choose(&mut values.pin, text),
        show: |values| Some(values.pin.name().to_owned()),
    },
    Knob {
        key: "idle",
        preset: Preset::Value("park"),
        allowed: "park|yield|spin",
        form: Form::Text,
        lifetime: Lifetime::Start,
        help: "what a partition without work ends up doing",
        docs: "park costs some tens of microseconds to wake up and no processor time; where work \
               comes in drops it naps, so that they gather. spin answers fastest and needs a \
               core of its own: on a shared core it is the slowest by far.",
        effect: Effect {
            bench: "idle",
            values: ["park", "spin"],
            shows: "result.cpu_fraction_of_one_core",
        },
        set: |values, text| choose(&mut values.idle, text),
        show: |values| Some(values.idle.name().to_owned()),
    },
    Knob {
        key: "spin-us",
        preset: Preset::Value("50"),
        allowed: "0..=1000000",
        form: Form::Integer,
        lifetime: Lifetime::Start,
        help: "microseconds to spin before the next rung of --idle",
        docs: "Longer spins save wake-ups in the pauses of full work, and burn the core in \
               between. The time starts anew after 50 us of work without a pause.",
        effect: Effect {
            bench: "latency --rate 100000",
            values: ["0", "1000"],
            shows: "latency_ns",
        },
        set: |values, text| {
            values.spin_us = parse::count(text, SPIN_US)?;
            Ok(())
        },
        show: |values| Some(values.spin_us.to_string()),
    },
    Knob {
        key: "batch-size",
        preset: Preset::Value("auto"),
        allowed: "auto or 1..=65536 records",
        form: Form::IntegerOrText,
        lifetime: Lifetime::Start,
        help: "records that a batch holds before it is sent",
        docs: "Larger batches cost less per record until they leave the cache, and wait longer \
               to fill. auto goes by the size of a record.",
        effect: Effect { bench: "exchange", values: ["1", "1024"], shows: "records_per_second" },
        set: |values, text| {
            values.batch_size = match text {
                "auto" => BatchSize::Auto,
                _ => BatchSize::Records(small(parse::count(text, BATCH_RECORDS).map_err(or_auto)?)),
            };
            Ok(())
        },
        show: |values| match values.batch_size {
            BatchSize::Auto => Some("auto".to_owned()),
            BatchSize::Records(records) => Some(records.to_string()),
        },
    },
    Knob {
        key: "linger",
        preset: Preset::Value("500us"),
        allowed: "0..=10s, with a unit",
        form: Form::IntegerOrText,
        lifetime: Lifetime::Start,
        help: "how long a batch waits to fill; 0 sends at once",
        docs: "A batch is also sent when it is full, or when its receiver has run dry. 0 gives \
               the lowest latency and the smallest batches.",
        effect: Effect {
            bench: "hot-key --rate 200000 --work-ns 1000 --mergeable no --rebalance off",
            values: ["0", "10ms"],
            shows: "latency_ns",
        },
        set: |values, text| {
            values.linger = parse::duration(text, LINGER)?;
            Ok(())
        },
        show: |values| Some(parse::duration_text(values.linger)),
    },
    Knob {
        key: "lane-capacity",
        preset: Preset::Value("8"),
        allowed: "at least 1 batch",
        form: Form::Integer,
        lifetime: Lifetime::Start,
        help: "data batches that a lane between two partitions holds",
        docs: "Short lanes stay in cache and give a move little backlog; one slot more is kept \
               for control. Memory grows with the square of the partitions times this.",
        effect: Effect {
            bench: "hot-key --mergeable no --rebalance off",
            values: ["1", "64"],
            shows: "queue_wait_ns",
        },
        set: |values, text| {
            values.lane_capacity = parse::count(text, LANE_CAPACITY)?;
            Ok(())
        },
        show: |values| Some(values.lane_capacity.to_string()),
    },
    Knob {
        key: "pre-aggregate",
        preset: Preset::Value("auto"),
        allowed: "auto|on|off",
        form: Form::Text,
        lifetime: Lifetime::Start,
        help: "combine records of a key before they change partition",
        docs: "Only for aggregates that merge; the result is the same. auto measures per \
               partition how many records fold into one.",
        effect: Effect {
            bench: "keyed-count --keys 1000",
            values: ["off", "on"],
            shows: "records_per_second",
        },
        set: |values, text| choose(&mut values.pre_aggregate, text),
        show: |values| Some(values.pre_aggregate.name().to_owned()),
    },
    Knob {
        key: "rebalance",
        preset: Preset::Value("combine"),
        allowed: "off|groups|keys|combine",
        form: Form::Text,
        lifetime: Lifetime::Start,
        help: "what is done about uneven load; each includes the one before",
        docs: "groups moves key groups, with their state, to partitions that have less to do; \
               keys moves single hot keys too; combine also folds the records of a key that is \
               too hot for one core before they change partition, where its aggregate merges. \
               Results do not depend on it.",
        effect: Effect {
            bench: "hot-key --share 0.9 --pre-aggregate off --work-rounds 92",
            values: ["off", "combine"],
            shows: "records_per_second",
        },
        set: |values, text| choose(&mut values.rebalance, text),
        show: |values| Some(values.rebalance.name().to_owned()),
    },
    Knob {
        key: "memory-limit",
        preset: Preset::Derived("what the machine allows"),
        allowed: "1MiB..=1PiB: bytes, or with a unit",
        form: Form::IntegerOrText,
        lifetime: Lifetime::Start,
        help: "most memory that lanes may take",
        docs: "What the lanes can hold when all are full is checked against it before the start; \
               it grows with lane-capacity, batch-size and the square of the partitions. State \
               is not counted: leave it room.",
        effect: Effect { bench: "exchange", values: ["1MiB", "1GiB"], shows: "exit code" },
        set: |values, text| {
            values.memory_limit_bytes = Some(parse::bytes(text, MEMORY_BYTES)?);
            Ok(())
        },
        show: |values| values.memory_limit_bytes.map(parse::bytes_text),
    },
    Knob {
        key: "max-outputs-per-record",
        preset: Preset::Value("100000"),
        allowed: "1..=1000000000",
        form: Form::Integer,
        lifetime: Lifetime::Start,
        help: "outputs of one record at which the job fails",
        docs: "It stops an operator that would fill the memory from a single record; the error \
               names operator and key.",
        effect: Effect { bench: "nexmark-q19", values: ["1", "100000"], shows: "exit code" },
        set: |values, text| {
            values.max_outputs_per_record = parse::count(text, OUTPUTS_PER_RECORD)?;
            Ok(())
        },
        show: |values| Some(values.max_outputs_per_record.to_string()),
    },
    Knob {
        key: "metrics",
        preset: Preset::Value("on"),
        allowed: "on|off",
        form: Form::Text,
        lifetime: Lifetime::Start,
        help: "measure latency and load",
        docs: "Clocks are read per batch, never per record. off shows what measuring costs.",
        effect: Effect { bench: "exchange", values: ["off", "on"], shows: "records_per_second" },
        set: |values, text| choose(&mut values.metrics, text),
        show: |values| Some(values.metrics.name().to_owned()),
    },
];

fn choose<T: Choice>(place: &mut T, text: &str) -> Result<(), Refusal> {
    *place = parse::choice(text)?;
    Ok(())
}

fn or_auto(mut refusal: Refusal) -> Refusal {
    refusal.allowed.push_str(", or auto");
    refusal
}

fn small(number: u64) -> u32 {
    u32::try_from(number).expect("the bounds of the knob fit into 32 bits")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn presets_are_what_the_default_values_show() {
        for knob in Knob::all() {
            let shown = knob.show(&Values::default());
            match knob.preset() {
                Preset::Value(text) => {
                    assert_eq!(shown.as_deref(), Some(text), "{}", knob.key());
                    let mut values = Values::default();
                    assert_eq!(knob.set(&mut values, text), Ok(()), "{}", knob.key());
                    assert_eq!(values, Values::default(), "{}", knob.key());
                }
                Preset::Derived(_) => assert_eq!(shown, None, "{}", knob.key()),
            }
        }
    }

    #[test]
    fn names_are_distinct_and_regular() {
        let keys: BTreeSet<_> = Knob::all().iter().map(Knob::key).collect();
        assert_eq!(keys.len(), Knob::all().len());
        for key in keys {
            assert!(key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{key}");
            assert_eq!(Knob::named(key).map(Knob::key), Some(key));
        }
        let lanes = Knob::named("lane-capacity").expect("a knob");
        assert_eq!(lanes.flag(), "--lane-capacity");
        assert_eq!(lanes.variable(), "MILLSTREAM_LANE_CAPACITY");
    }

    #[test]
    fn value_that_was_set_is_shown_as_it_can_be_read() {
        let texts = [
            ("cores", "0-3,8"),
            ("partitions", "1024"),
            ("pin", "on"),
            ("idle", "spin"),
            ("spin-us", "0"),
            ("batch-size", "65536"),
            ("linger", "10ms"),
            ("lane-capacity", "1099511627776"),
            ("pre-aggregate", "off"),
            ("rebalance", "groups"),
            ("memory-limit", "64MiB"),
            ("max-outputs-per-record", "7"),
            ("metrics", "off"),
        ];
        assert_eq!(texts.len(), Knob::all().len());
        for (key, text) in texts {
            let knob = Knob::named(key).expect(key);
            let mut values = Values::default();
            knob.set(&mut values, text).expect(key);
            assert_eq!(knob.show(&values).as_deref(), Some(text), "{key}");
            assert_ne!(values, Values::default(), "{key}");
        }
    }

    #[test]
    fn bounds_that_help_shows_are_those_that_hold() {
        let refusal = |key: &str, text: &str| {
            let knob = Knob::named(key).expect(key);
            knob.set(&mut Values::default(), text).expect_err(key).allowed
        };
        for key in ["partitions", "spin-us", "max-outputs-per-record"] {
            let allowed = Knob::named(key).expect(key).allowed();
            assert_eq!(refusal(key, "-1"), format!("allowed {allowed}"));
        }
        for key in ["pin", "idle", "pre-aggregate", "rebalance", "metrics"] {
            let allowed = Knob::named(key).expect(key).allowed();
            assert_eq!(refusal(key, "?"), format!("allowed {allowed}"));
        }
        assert_eq!(refusal("batch-size", "0"), "allowed 1..=65536, or auto");
        assert_eq!(refusal("lane-capacity", "0"), format!("allowed 1..={}", u64::MAX));
        assert!(refusal("linger", "5").starts_with("allowed 0..=10s"));
        assert!(refusal("memory-limit", "1").starts_with("allowed 1MiB..=1PiB"));
    }

    proptest! {
        #[test]
        fn no_text_makes_a_knob_panic(text in any::<String>()) {
            for knob in Knob::all() {
                let _ = knob.set(&mut Values::default(), &text);
            }
        }
    }
}
