//! What flows in jobs whose keys move: numbered events, and how they find their partitions.

use crate::dataflow::{Collector, Emit, Polled, Source, SourceConnector, TaskContext};
use crate::error::Result;
use crate::record::hash_key;
use crate::routing::{KeyedPartitioner, with_group};
use crate::testing::Random;
use crate::time::Nanos;

/// Keys are below this.
pub(super) const KEYS: u8 = 6;
/// Where they lie in ranges, below this.
pub(super) const RANGED_KEYS: u8 = 40;

/// Two keys in each of three groups, so that keys can leave their group.
#[derive(Clone)]
pub(super) struct TwoInEach;

impl KeyedPartitioner<u8> for TwoInEach {
    fn name(&self) -> String {
        "two in each".to_owned()
    }

    fn hash(&self, key: &u8) -> u64 {
        with_group(hash_key(key), usize::from(key % 3) * 1_500)
    }
}

/// What a source sends, and what the stages make of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    pub(super) key: u8,
    /// Who made it: a source, or a key of the stage before.
    pub(super) maker: u16,
    /// The how-manieth of its maker for its key.
    pub(super) number: u32,
    pub(super) time: i64,
}

impl Event {
    pub(super) fn key(&self) -> u8 {
        self.key
    }
}

/// Every partition sends events of its own.
pub(super) struct Feeds {
    pub(super) seed: u64,
    pub(super) edge: u16,
    /// Of one partition, at most.
    pub(super) count: u32,
    /// Keys are below this.
    pub(super) keys: u8,
}

/// What one partition of an edge sends, one at a time.
pub(super) struct Feed {
    random: Random,
    maker: u16,
    left: u32,
    numbers: Vec<u32>,
    time: i64,
}

impl Feed {
    pub(super) fn new(feeds: &Feeds, partition: usize) -> Feed {
        let maker = feeds.edge * 100 + partition as u16;
        let mut random = Random::seeded(feeds.seed ^ u64::from(maker) << 32);
        let left = random.below(u64::from(feeds.count) + 1) as u32;
        Feed { random, maker, left, numbers: vec![0; usize::from(feeds.keys)], time: 0 }
    }

    pub(super) fn next(&mut self) -> Option<Event> {
        self.left = self.left.checked_sub(1)?;
        // Half of them of one key.
        let keys = self.numbers.len() as u64;
        let key = if self.random.one_in(2) { 0 } else { self.random.below(keys) as u8 };
        self.numbers[usize::from(key)] += 1;
        self.time += 2 * self.random.below(3) as i64;
        let number = self.numbers[usize::from(key)];
        Some(Event { key, maker: self.maker, number, time: self.time })
    }
}

impl SourceConnector for Feeds {
    type Item = Event;
    type Source = Feed;

    fn name(&self) -> String {
        "feeds".to_owned()
    }

    fn open(&mut self, context: &TaskContext) -> Result<Feed> {
        Ok(Feed::new(self, context.partition))
    }
}

impl Source for Feed {
    type Item = Event;

    fn poll<E: Emit<Event>>(
        &mut self,
        max: usize,
        _: Nanos,
        out: &mut Collector<'_, E>,
    ) -> Result<Polled> {
        for _ in 0..max {
            if !out.is_open() {
                break;
            }
            let Some(event) = self.next() else { return Ok(Polled::Done) };
            out.emit(event);
        }
        Ok(Polled::Ready)
    }
}
