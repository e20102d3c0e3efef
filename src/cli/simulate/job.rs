//! A job with windows as data, drawn from a seed: what its sources give and when, the way to the
//! windows, and the windows.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::PreAggregate;
use crate::operator::window::model::{Kind, Rules};
use crate::operator::window::{Early, Mode};
use crate::testing::Random;
use crate::time::Nanos;

/// What flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Event {
    pub(super) key: u64,
    pub(super) value: i64,
    /// Milliseconds.
    pub(super) time: i64,
    /// It was not late where it got its time, and its split had not been idle: it is late nowhere.
    pub(super) is_timely: bool,
}

/// A random job.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) seed: u64,
    pub(super) partitions: usize,
    pub(super) batch_size: u32,
    pub(super) lane_capacity: u64,
    /// Where a stage has no setting of its own.
    pub(super) pre_aggregate: PreAggregate,
    pub(super) disorder: Disorder,
    /// The time of day at the start, where records that are far ahead of it are among them.
    pub(super) wall_time: Option<i64>,
    pub(super) clock_jumps: bool,
    pub(super) feeds: Vec<Feed>,
    /// Windows, and perhaps others over their results.
    pub(super) stages: Vec<Stage>,
}

/// How far records are behind each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disorder {
    /// As far as their watermarks allow: none is late.
    Within,
    /// Some further; and inputs may be idle for a while, so that time goes on without them.
    Beyond,
}

/// A source, and the way from there to the windows.
#[derive(Clone, Debug)]
pub(super) struct Feed {
    /// `shares[p]` - what partition `p` gives, in this order.
    pub(super) shares: Vec<Vec<Given>>,
    pub(super) bound: Duration,
    pub(super) idle_after: Option<Duration>,
    /// Values that it divides are dropped; none if 0.
    pub(super) modulus: u64,
    pub(super) way: Way,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Given {
    Event(Event),
    /// Nothing, for so long.
    Silence(Nanos),
}

/// How records are spread before the windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Straight,
    Rebalance,
    RoundRobin,
    Broadcast,
    /// Two copies, of which one is mapped, and both together again.
    Fork,
}

/// One stage of windows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stage {
    pub(super) kind: Kind,
    pub(super) rules: Rules,
    pub(super) measure: Measure,
    /// Distinct keys; `None`: the windows are of all records, whatever their keys.
    pub(super) keys: Option<u64>,
    pub(super) pre_aggregate: PreAggregate,
    pub(super) domain: Domain,
}

/// Which time windows are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Domain {
    Event,
    Processing,
}

/// What windows come to, as one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    Count,
    /// The sum of the values; late records come out.
    Sum,
    /// All values, whatever their order.
    Collect,
}

/// Far ahead of every clock: the year 9999.
pub(super) const FAR_FUTURE: i64 = 253_402_300_799_000;
/// How far ahead of the clock at the start a record moves time.
pub(super) const FUTURE_SKEW: Duration = Duration::from_secs(1_000);

const PRE_AGGREGATE: [PreAggregate; 3] = [PreAggregate::Off, PreAggregate::Auto, PreAggregate::On];

impl Job {
    pub(super) fn drawn(seed: u64) -> Job {
        let mut random = Random::seeded(seed);
        let partitions = random.within(1..=4) as usize;
        let disorder = *random.one_of(&[Disorder::Within, Disorder::Beyond]);
        let start = *random.one_of(&[0, 1_700_000_000_000, -5_000_000]);
        let has_outliers = random.one_in(4);
        let feed = |random: &mut Random| Feed {
            shares: Vec::new(),
            bound: Duration::from_millis(random.below(60)),
            idle_after: match disorder {
                Disorder::Within => None,
                Disorder::Beyond => {
                    random.one_in(2).then(|| Duration::from_nanos(1 << random.below(24)))
                }
            },
            modulus: random.below(5),
            way: *random.one_of(&[
                Way::Straight,
                Way::Straight,
                Way::Rebalance,
                Way::RoundRobin,
                Way::Broadcast,
                Way::Fork,
            ]),
        };
        let mut feeds: Vec<Feed> = (0..random.within(1..=3)).map(|_| feed(&mut random)).collect();
        for feed in &mut feeds {
            let mut share =
                |_| Share { random: &mut random, disorder, start, has_outliers }.draw(feed);
            feed.shares = (0..partitions).map(&mut share).collect();
        }
        let stages = random.within(1..=2);
        Job {
            seed,
            partitions,
            batch_size: *random.one_of(&[1, 2, 3, 7, 64]),
            lane_capacity: *random.one_of(&[1, 1, 1, 2, 8]),
            pre_aggregate: *random.one_of(&PRE_AGGREGATE),
            disorder,
            wall_time: has_outliers.then_some(start),
            clock_jumps: random.one_in(3),
            feeds,
            stages: (1..=stages)
                .map(|number| Stage::drawn(&mut random, disorder, number == stages))
                .collect(),
        }
    }

    /// Everything that comes to the first windows, in any order.
    pub(super) fn events(&self) -> Vec<Event> {
        let mut events = Vec::new();
        for feed in &self.feeds {
            let kept = feed.given().filter(|event| feed.keeps(event));
            for event in kept {
                // Only the run shows whether its split was idle.
                let is_timely = event.is_timely && feed.idle_after.is_none();
                let event = Event { is_timely, ..event };
                let copies = if feed.way == Way::Broadcast { self.partitions } else { 1 };
                events.extend(std::iter::repeat_n(event, copies));
                if feed.way == Way::Fork {
                    events.push(event.mapped());
                }
            }
        }
        events
    }

    /// Whether no input of it can be idle.
    pub(super) fn is_never_idle(&self) -> bool {
        self.feeds.iter().all(|feed| feed.idle_after.is_none())
    }

    /// How many of the records that are given a time are too far ahead to move it.
    pub(super) fn outliers(&self) -> u64 {
        let is_far = |feed: &Feed, event: &Event| event.time == FAR_FUTURE && feed.keeps(event);
        let far = |feed: &Feed| feed.given().filter(|event| is_far(feed, event)).count() as u64;
        self.feeds.iter().map(far).sum()
    }
}

impl Event {
    /// What becomes of one of two copies.
    pub(super) fn mapped(self) -> Event {
        Event { key: self.key / 2, value: self.value - 7, ..self }
    }
}

impl Feed {
    fn given(&self) -> impl Iterator<Item = Event> + '_ {
        self.shares.iter().flatten().filter_map(|given| match given {
            Given::Event(event) => Some(*event),
            Given::Silence(_) => None,
        })
    }

    pub(super) fn keeps(&self, event: &Event) -> bool {
        keeps(self.modulus, event)
    }
}

/// Whether a filter by `modulus` lets `event` pass.
pub(super) fn keeps(modulus: u64, event: &Event) -> bool {
    modulus == 0 || !event.value.unsigned_abs().is_multiple_of(modulus)
}

/// Draws what one partition of a source gives.
struct Share<'a> {
    random: &'a mut Random,
    disorder: Disorder,
    start: i64,
    has_outliers: bool,
}

impl Share<'_> {
    fn draw(mut self, feed: &Feed) -> Vec<Given> {
        let count = self.random.below(40);
        let step = self.random.within(1..=20);
        let mut latest = self.start + self.random.below(100).cast_signed();
        let (mut given, mut watermark) = (Vec::new(), i64::MIN);
        for _ in 0..count {
            if self.random.one_in(12) {
                // From a microsecond to some milliseconds, each magnitude equally likely.
                given.push(Given::Silence(1 << self.random.within(10..=23)));
            }
            latest += self.random.below(step).cast_signed();
            let time = self.time(latest, feed);
            let event = Event {
                key: self.random.below(64),
                value: self.random.below(200).cast_signed() - 100,
                time,
                is_timely: time > watermark,
            };
            if feed.keeps(&event) && time != FAR_FUTURE {
                watermark = watermark.max(time - feed.bound.as_millis() as i64 - 1);
            }
            given.push(Given::Event(event));
        }
        given
    }

    fn time(&mut self, latest: i64, feed: &Feed) -> i64 {
        if self.has_outliers && self.random.one_in(20) {
            return FAR_FUTURE;
        }
        let bound = feed.bound.as_millis() as u64;
        let behind = match self.disorder {
            Disorder::Beyond if self.random.one_in(6) => self.random.below(4 * bound + 40),
            Disorder::Within | Disorder::Beyond => self.random.below(bound + 1),
        };
        latest - behind.cast_signed()
    }
}

/// Once, and never again.
pub(super) const AT_WATERMARK: Rules =
    Rules { early: Early::Never, mode: Mode::Accumulating, lateness: 0 };

impl Stage {
    fn drawn(random: &mut Random, disorder: Disorder, is_last: bool) -> Stage {
        let kind = Self::kind(random);
        let stage = Stage {
            kind,
            rules: Self::rules(random, kind, disorder),
            measure: Self::measure(random, kind),
            keys: Some(random.within(1..=12)),
            pre_aggregate: *random.one_of(&PRE_AGGREGATE),
            domain: Domain::Event,
        };
        match (kind, random.below(8)) {
            (Kind::Tumbling { .. }, 0 | 1) => {
                Stage { keys: None, measure: Measure::Count, ..stage }
            }
            // Its results lie where the clock is, which is no time for further windows.
            (Kind::Tumbling { .. } | Kind::Session { .. }, 2) if is_last => Stage {
                rules: AT_WATERMARK,
                measure: Measure::Count,
                domain: Domain::Processing,
                ..stage
            },
            _ => stage,
        }
    }

    fn measure(random: &mut Random, kind: Kind) -> Measure {
        let measures: &[Measure] = match kind {
            Kind::Tumbling { .. } | Kind::Sliding { .. } | Kind::Growing => {
                &[Measure::Count, Measure::Sum, Measure::Collect]
            }
            // What does not merge is not for windows that do.
            Kind::Session { .. } | Kind::Count { .. } | Kind::Global => {
                &[Measure::Count, Measure::Sum]
            }
        };
        *random.one_of(measures)
    }

    fn kind(random: &mut Random) -> Kind {
        let offset = random.below(60).cast_signed() - 30;
        let size = random.within(1..=60).cast_signed();
        match random.below(10) {
            0..=2 => Kind::Tumbling { size, offset },
            3..=5 => {
                let slide = random.within(1..=size.unsigned_abs()).cast_signed();
                Kind::Sliding { size, slide, offset }
            }
            6..=7 => Kind::Session { gap: size },
            8 => {
                let size = random.within(1..=6);
                Kind::Count { size: size as usize, slide: random.within(1..=size) as usize }
            }
            _ if random.one_in(2) => Kind::Global,
            _ => Kind::Growing,
        }
    }

    fn rules(random: &mut Random, kind: Kind, disorder: Disorder) -> Rules {
        if matches!(kind, Kind::Count { .. }) {
            return AT_WATERMARK; // They fire when they are full.
        }
        let interval = Duration::from_millis(random.within(1..=8));
        let early = match (random.below(6), disorder) {
            (0 | 1, _) => Early::Records(random.within(1..=4)),
            // When the clock is read is not written down, so that only the outcome can be checked.
            (2, Disorder::Within) => Early::After(interval),
            (3, Disorder::Within) => Early::Every(interval),
            _ => Early::Never,
        };
        let modes = [Mode::Accumulating, Mode::Accumulating, Mode::Discarding, Mode::Retracting];
        let mode = *random.one_of(&modes);
        Rules { early, mode, lateness: *random.one_of(&[0, 0, 1, 20, 200]) }
    }

    /// Whether what comes out does not depend on the order in which its records came.
    pub(super) fn is_orderless(&self) -> bool {
        self.rules.early == Early::Never
            && self.domain == Domain::Event
            && !matches!(self.kind, Kind::Count { .. })
    }

    /// Whether the time of a result is still to come when it is said for the first time.
    pub(super) fn is_prompt(&self) -> bool {
        self.domain == Domain::Event && !matches!(self.kind, Kind::Count { .. })
    }

    /// Whether it fires early when the clock says so.
    pub(super) fn hears_the_clock(&self) -> bool {
        self.domain == Domain::Processing
            || matches!(self.rules.early, Early::After(_) | Early::Every(_))
    }

    pub(super) fn key_of(&self, event: &Event) -> u64 {
        self.keys.map_or(0, |keys| event.key % keys)
    }
}

impl Measure {
    /// What `values` come to.
    pub(super) fn of(self, values: &[i64]) -> i64 {
        match self {
            Measure::Count => values.len() as i64,
            Measure::Sum => values.iter().sum(),
            Measure::Collect => values.iter().fold(0, |all, value| all.wrapping_add(mixed(*value))),
        }
    }
}

/// A number for each value, so that sums of them tell bags of values apart.
fn mixed(value: i64) -> i64 {
    Random::seeded(value.cast_unsigned()).draw().cast_signed() >> 16
}
