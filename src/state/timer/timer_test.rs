//! Timers of keys on two partitions against sets of times, on random operations from a printed
//! seed; and what a queue alone promises.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use crate::routing::{KEY_GROUPS, key_group, with_group};
use crate::state::{KeyTimers, TimerQueue};
use crate::time::Timestamp;

const KEYS: u32 = 12;
const GROUPS: usize = 3;

/// Every two keys share a hash, and every four of those a key group.
fn hash_of(key: u32) -> u64 {
    with_group(u64::from(key / 2) << 20 | 1, key as usize / 2 % GROUPS)
}

#[derive(Clone, Debug)]
enum Step {
    /// A timer so long after the watermark, or before it.
    Set(u32, i64),
    /// The n-th timer of the key.
    Delete(u32, usize),
    /// By how much, and how many timers fire at a time.
    Advance(i64, usize),
    MoveGroup(usize),
    Sweep,
    End,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let ahead = prop_oneof![-20..10i64, 0..300i64, 0..100_000i64, Just(i64::MAX), Just(i64::MIN)];
    let step = prop_oneof![
        40 => (0..KEYS, ahead).prop_map(|(key, ahead)| Step::Set(key, ahead)),
        15 => (0..KEYS, 0..4usize).prop_map(|(key, nth)| Step::Delete(key, nth)),
        20 => (prop_oneof![0..3i64, 0..200i64, 0..50_000i64], 1..9usize)
            .prop_map(|(by, slice)| Step::Advance(by, slice)),
        3 => (0..GROUPS).prop_map(Step::MoveGroup),
        2 => Just(Step::Sweep),
        1 => Just(Step::End),
    ];
    prop::collection::vec(step, 1..150)
}

/// One partition's keys with timers and their queue. A key without timers is dropped.
#[derive(Default)]
struct Partition {
    keys: BTreeMap<u32, KeyTimers>,
    queue: TimerQueue,
}

struct Rig {
    partitions: [Partition; 2],
    owner: [usize; GROUPS],
    model: BTreeMap<u32, BTreeSet<i64>>,
    watermark: i64,
    /// How many timers the firing of others may still set.
    set_while_firing: u32,
}

impl Rig {
    fn new() -> Rig {
        Rig {
            partitions: Default::default(),
            owner: [0; GROUPS],
            model: (0..KEYS).map(|key| (key, BTreeSet::new())).collect(),
            watermark: -1_000,
            set_while_firing: 0,
        }
    }

    fn owner(&mut self, key: u32) -> &mut Partition {
        &mut self.partitions[self.owner[key_group(hash_of(key))]]
    }

    fn set(&mut self, key: u32, time: i64) {
        let Partition { keys, queue } = self.owner(key);
        keys.entry(key).or_default().set(time.into(), hash_of(key), queue);
        self.times(key).insert(time.min(i64::MAX - 1));
    }

    fn times(&mut self, key: u32) -> &mut BTreeSet<i64> {
        self.model.get_mut(&key).expect("the model has all keys")
    }

    fn delete(&mut self, key: u32, nth: usize) {
        let Some(time) = self.times(key).iter().nth(nth).copied() else { return };
        self.times(key).remove(&time);
        let keys = &mut self.owner(key).keys;
        let timers = keys.get_mut(&key).expect("a key with timers is there");
        assert!(timers.delete(time.into()));
        assert!(!timers.delete(time.into()), "deleted twice");
        if timers.is_empty() {
            keys.remove(&key);
        }
    }

    /// Fires what is due, `slice` timers at a time. Between slices nothing else happens.
    fn advance(&mut self, to: i64, slice: usize) {
        self.watermark = self.watermark.max(to);
        self.set_while_firing = 20;
        for partition in 0..2 {
            let (mut hashes, mut position) = (Vec::new(), 0);
            while self.fire_slice(partition, &mut hashes, &mut position, slice) {}
            let next = self.partitions[partition].queue.next_at();
            assert!(next.is_none_or(|at| at.as_millis() > self.watermark), "{next:?} is left");
        }
        for (key, times) in &self.model {
            let first = times.first().copied();
            assert!(first.is_none_or(|at| at > self.watermark), "{key} missed {first:?}");
        }
    }

    /// Fires up to `room` timers; `false` when none is left.
    fn fire_slice(
        &mut self,
        at: usize,
        hashes: &mut Vec<(Timestamp, u64)>,
        position: &mut usize,
        mut room: usize,
    ) -> bool {
        loop {
            if *position == hashes.len() {
                hashes.clear();
                *position = 0;
                self.partitions[at].queue.take_due(self.watermark.into(), hashes);
                if hashes.is_empty() {
                    return false;
                }
            }
            let (_, hash) = hashes[*position];
            for key in (0..KEYS).filter(|key| hash_of(*key) == hash) {
                if !self.fire_key(at, key, &mut room) {
                    return true;
                }
            }
            *position += 1;
        }
    }

    /// Fires a key's timers; `false` if there is no room for all.
    fn fire_key(&mut self, at: usize, key: u32, room: &mut usize) -> bool {
        while *room > 0 {
            let Partition { keys, queue } = &mut self.partitions[at];
            let Some(timers) = keys.get_mut(&key) else { return true };
            let due = timers.pop_due(self.watermark.into(), hash_of(key), queue);
            let Some(time) = due else {
                if timers.is_empty() {
                    keys.remove(&key);
                }
                return true;
            };
            *room -= 1;
            self.fired(key, time.as_millis());
        }
        false
    }

    /// Each timer that fires is due, and the first of its key; it may set others, at any time.
    fn fired(&mut self, key: u32, time: i64) {
        assert!(time <= self.watermark, "{time} fired at {}", self.watermark);
        assert_eq!(self.times(key).pop_first(), Some(time), "of key {key}");
        if self.set_while_firing > 0 && time < i64::MAX / 2 {
            self.set_while_firing -= 1;
            let step = [-7, 0, 1, 40][self.set_while_firing as usize % 4];
            self.set(key, time.saturating_add(step));
        }
    }

    /// The entries of the queue go along, or are left behind and made anew, in turns.
    fn move_group(&mut self, group: usize) {
        let from = self.owner[group];
        self.owner[group] = 1 - from;
        let [first, second] = &mut self.partitions;
        let (donor, taker) = if from == 0 { (first, second) } else { (second, first) };
        let of_group = |key: &u32| key_group(hash_of(*key)) == group;
        let keys: Vec<u32> = donor.keys.keys().copied().filter(of_group).collect();
        let goes_along = self.watermark % 2 == 0;
        if goes_along {
            for (time, hash) in donor.queue.take_group(group) {
                assert_eq!(key_group(hash), group);
                taker.queue.set(time, hash);
            }
        }
        for key in keys {
            let mut timers = donor.keys.remove(&key).expect("it was there just now");
            if !goes_along {
                let text = serde_json::to_string(&timers).expect("times can be written");
                timers = serde_json::from_str(&text).expect("what was written can be read");
                timers.enqueue(hash_of(key), &mut taker.queue);
            }
            taker.keys.insert(key, timers);
        }
    }

    fn sweep(&mut self) {
        for Partition { keys, queue } in &mut self.partitions {
            let hashes: BTreeSet<u64> = keys.keys().map(|key| hash_of(*key)).collect();
            queue.retain(|hash| hashes.contains(&hash));
            assert!(hashes.is_empty() == queue.is_empty(), "no key, no entry");
        }
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Set(key, ahead) => self.set(key, self.watermark.saturating_add(ahead)),
            Step::Delete(key, nth) => self.delete(key, nth),
            Step::Advance(by, slice) => self.advance(self.watermark.saturating_add(by), slice),
            Step::MoveGroup(group) => self.move_group(group),
            Step::Sweep => self.sweep(),
            Step::End => self.advance(i64::MAX, 5),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn timers_fire_once_in_order_of_time_per_key_wherever_the_key_is(steps in steps()) {
        let mut rig = Rig::new();
        steps.into_iter().for_each(|step| rig.run(step));
        rig.advance(i64::MAX, 100);
        prop_assert!(rig.partitions.iter().all(|of| of.queue.is_empty() && of.keys.is_empty()));
    }

    #[test]
    fn queue_hands_out_each_entry_when_it_is_due_and_not_before(
        times in prop::collection::vec(any::<i64>(), 0..200),
        shift in 0..60u32,
    ) {
        let mut queue = TimerQueue::new();
        let mut left: Vec<(i64, u64)> = (1..).zip(&times).map(|(i, t)| (t >> shift, i)).collect();
        left.iter().for_each(|(time, hash)| queue.set((*time).into(), *hash));
        left.sort_unstable();
        let mut watermarks: Vec<i64> = times.iter().map(|time| (time >> shift) ^ 1).collect();
        watermarks.sort_unstable();
        for watermark in watermarks {
            let next = queue.next_at().map(Timestamp::as_millis);
            prop_assert_eq!(next, left.first().map(|(time, _)| *time), "nothing was taken out");
            let due = left.partition_point(|(time, _)| *time <= watermark);
            let mut due: Vec<_> = left.drain(..due).map(|(at, hash)| (at.into(), hash)).collect();
            due.sort_unstable();
            prop_assert_eq!(sorted_due(&mut queue, watermark), due);
            prop_assert_eq!(queue.len(), left.len());
        }
    }
}

fn sorted_due(queue: &mut TimerQueue, watermark: i64) -> Vec<(Timestamp, u64)> {
    let (mut all, mut some) = (Vec::new(), Vec::new());
    loop {
        queue.take_due(watermark.into(), &mut some);
        if some.is_empty() {
            all.sort_unstable();
            return all;
        }
        all.append(&mut some);
    }
}

fn hashes_due(queue: &mut TimerQueue, watermark: i64) -> Vec<u64> {
    sorted_due(queue, watermark).into_iter().map(|(_, hash)| hash).collect()
}

#[test]
fn key_that_puts_its_timer_off_has_one_entry() {
    let (mut timers, mut queue) = (KeyTimers::new(), TimerQueue::new());
    for time in 1..1_000 {
        timers.delete((time - 1).into());
        timers.set(time.into(), 77, &mut queue);
        timers.set(time.into(), 77, &mut queue);
    }
    assert_eq!(queue.len(), 1);
    assert_eq!(hashes_due(&mut queue, 500), [77]);
    assert_eq!(timers.pop_due(500.into(), 77, &mut queue), None);
    assert_eq!(queue.next_at(), Some(999.into()));
}

#[test]
fn timer_set_while_another_fires_comes_in_its_turn() {
    let (mut timers, mut queue) = (KeyTimers::new(), TimerQueue::new());
    let mut pop = |set: Option<i64>| {
        set.into_iter().for_each(|time| timers.set(time.into(), 7, &mut queue));
        timers.pop_due(100.into(), 7, &mut queue).map(Timestamp::as_millis)
    };
    assert_eq!(pop(Some(50)), Some(50));
    assert_eq!(pop(Some(90)), Some(90));
    assert_eq!(pop(Some(20)), Some(20));
    assert_eq!(pop(Some(101)), None);
    assert_eq!(hashes_due(&mut queue, 100), [7, 7], "it was set earlier and earlier twice");
    assert_eq!(timers.pop_due(100.into(), 7, &mut queue), None);
    assert_eq!(hashes_due(&mut queue, 101), [7]);
    assert_eq!(timers.pop_due(101.into(), 7, &mut queue), Some(101.into()));
}

#[test]
fn timer_at_the_end_of_time_fires_at_the_last_watermark() {
    let (mut timers, mut queue) = (KeyTimers::new(), TimerQueue::new());
    timers.set(Timestamp::MAX, 7, &mut queue);
    assert!(sorted_due(&mut queue, i64::MAX - 2).is_empty());
    assert_eq!(hashes_due(&mut queue, i64::MAX), [7]);
    let fired = timers.pop_due(Timestamp::MAX, 7, &mut queue);
    assert_eq!(fired, Some(Timestamp::MAX.plus_millis(-1)));
    assert!(!timers.delete(Timestamp::MAX) && timers.is_empty());
}

#[test]
fn entry_takes_16_bytes_and_gives_them_back() {
    let mut queue = TimerQueue::new();
    let empty = queue.bytes();
    let count = 1 << 20;
    (0..count).for_each(|i| queue.set((i % 1_000_000).into(), i as u64));
    let per_entry = (queue.bytes() - empty) as f64 / count as f64;
    assert!(per_entry < 17.5, "{per_entry} bytes an entry");
    assert_eq!(sorted_due(&mut queue, 1_000_000).len(), count as usize);
    assert!(queue.bytes() < empty + (260 << 10), "{} bytes of an empty queue", queue.bytes());
}

#[test]
fn group_taken_out_leaves_the_others_where_they_were() {
    let mut queue = TimerQueue::new();
    let hash = |i: i64| with_group(i as u64 * 2 + 1, i as usize % KEY_GROUPS);
    (0..100_000).for_each(|i| queue.set((i * 37 % 5_000).into(), hash(i)));
    let bytes = queue.bytes();
    for group in 0..KEY_GROUPS / 2 {
        for (time, hash) in queue.take_group(group) {
            assert_eq!(key_group(hash), group);
            assert_eq!(time, ((hash >> 1) as i64 % (1 << 51) * 37 % 5_000).into());
        }
    }
    assert!(queue.bytes() <= bytes);
    let rest = (0..100_000).filter(|i| *i as usize % KEY_GROUPS >= KEY_GROUPS / 2).count();
    assert_eq!((queue.len(), sorted_due(&mut queue, 5_000).len()), (rest, rest));
}

#[test]
fn queue_of_a_million_at_one_time_is_dropped_without_deep_recursion() {
    let mut queue = TimerQueue::new();
    (0..1_000_000).for_each(|hash| queue.set(1.into(), hash));
    drop(queue);
}
