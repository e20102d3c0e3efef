//! `KeyedStore` against std's map, on random operations from a printed seed.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use crate::record::{Key, hash_key};
use crate::routing::{KeyedPartitioner, key_group, with_group};
use crate::state::{Cursor, Group, KeyedStore};

#[derive(Clone, Debug)]
enum Step {
    Add(u32, u32),
    Remove(u32),
    Get(u32),
    MoveGroup(u32),
    BringBack,
    Walk(u8),
    Drain(u8),
}

fn steps(keys: u32) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        20 => (0..keys, 1..100u32).prop_map(|(key, run)| Step::Add(key, run)),
        4 => (0..keys).prop_map(Step::Remove),
        2 => (0..keys).prop_map(Step::Get),
        3 => (0..keys).prop_map(Step::MoveGroup),
        2 => Just(Step::BringBack),
        4 => any::<u8>().prop_map(Step::Walk),
        1 => any::<u8>().prop_map(Step::Drain),
    ];
    prop::collection::vec(step, 1..120)
}

/// Hashes as a function says.
#[derive(Clone)]
struct By<K>(fn(&K) -> u64);

impl<K: Key> KeyedPartitioner<K> for By<K> {
    fn name(&self) -> String {
        "by".into()
    }
    fn hash(&self, key: &K) -> u64 {
        (self.0)(key)
    }
}

/// A store, what it should hold, a walk under way, and a group that is elsewhere.
struct Rig<K, S> {
    store: KeyedStore<K, S, By<K>>,
    model: HashMap<K, u32>,
    cursor: Cursor,
    due: HashSet<K>,
    met: HashSet<K>,
    away: Option<Group<K, S>>,
    make: fn(u32) -> K,
    hash: fn(&K) -> u64,
    /// Then a walk is not gone on with after a change.
    hashes_collide: bool,
}

/// A state that counts.
trait Tally: Default + Send + 'static {
    fn increment(&mut self);
    fn matches(&self, count: u32) -> bool;
}

impl Tally for u64 {
    fn increment(&mut self) {
        *self += 1;
    }
    fn matches(&self, count: u32) -> bool {
        *self == u64::from(count)
    }
}

impl Tally for () {
    fn increment(&mut self) {}
    fn matches(&self, _count: u32) -> bool {
        true
    }
}

/// A large state that owns memory.
#[derive(Default)]
struct Large([u64; 12], Vec<u8>);

impl Tally for Large {
    fn increment(&mut self) {
        self.0[11] += 1;
        self.1.push(0);
    }
    fn matches(&self, count: u32) -> bool {
        self.0[11] == u64::from(count) && self.1.len() == count as usize
    }
}

impl<K: Key, S: Tally> Rig<K, S> {
    fn new(make: fn(u32) -> K, hash: fn(&K) -> u64) -> Self {
        Rig {
            store: KeyedStore::with_partitioner(By(hash)),
            model: HashMap::new(),
            cursor: Cursor::new(),
            due: HashSet::new(),
            met: HashSet::new(),
            away: None,
            make,
            hash,
            hashes_collide: hash(&make(0)) == hash(&make(40)),
        }
    }

    fn forget(&mut self, key: &K) {
        self.due.remove(key);
        self.met.remove(key);
    }

    fn step(&mut self, step: &Step) {
        if self.hashes_collide {
            self.due.clear();
            self.begin_walk();
        }
        match *step {
            Step::Add(first, run) => (first..first + run).for_each(|n| self.add(n)),
            Step::Remove(n) => {
                let key = (self.make)(n);
                if self.is_away(&key) {
                    return;
                }
                let removed = self.store.remove((self.hash)(&key), &key);
                let expected = self.model.remove(&key);
                assert_eq!(removed.is_some(), expected.is_some(), "remove {key:?}");
                if let (Some((removed, state)), Some(count)) = (removed, expected) {
                    assert!(removed == key && state.matches(count), "remove {key:?}");
                }
                self.forget(&key);
            }
            Step::Get(n) => {
                let key = (self.make)(n);
                let seen = self.store.get((self.hash)(&key), &key);
                match self.model.get(&key) {
                    _ if self.is_away(&key) => assert!(seen.is_none()),
                    Some(count) => assert!(seen.is_some_and(|state| state.matches(*count))),
                    None => assert!(seen.is_none()),
                }
            }
            Step::MoveGroup(n) if self.away.is_none() => {
                self.take(key_group((self.hash)(&(self.make)(n))));
            }
            Step::MoveGroup(_) | Step::BringBack => {
                if let Some(group) = self.away.take() {
                    self.store.install_group(group);
                }
            }
            Step::Walk(count) => (0..count).for_each(|_| self.walk_one()),
            Step::Drain(count) => (0..count).for_each(|_| self.drain_one()),
        }
    }

    fn group_away(&self) -> Option<usize> {
        self.away.as_ref().map(Group::index)
    }

    fn is_away(&self, key: &K) -> bool {
        self.group_away() == Some(key_group((self.hash)(key)))
    }

    fn add(&mut self, n: u32) {
        let key = (self.make)(n);
        if self.is_away(&key) {
            return;
        }
        let hash = (self.hash)(&key);
        self.store.get_or_insert(hash, key.clone()).increment();
        *self.model.entry(key).or_default() += 1;
    }

    fn take(&mut self, index: usize) {
        let expected = self.model.keys().filter(|k| key_group((self.hash)(k)) == index).count();
        assert_eq!(self.store.group_len(index), expected);
        let group = self.store.take_group(index);
        assert_eq!((group.index(), group.len()), (index, expected));
        assert_eq!(self.store.group_len(index), 0);
        for (key, state) in group.iter() {
            assert_eq!(key_group((self.hash)(key)), index);
            assert!(state.matches(self.model[key]), "{key:?} in a group");
        }
        // What is away may come back before or behind the walk.
        let keys: Vec<K> = group.iter().map(|(key, _)| key.clone()).collect();
        keys.iter().for_each(|key| self.forget(key));
        self.away = Some(group);
    }

    fn walk_one(&mut self) {
        if self.due.is_empty() && self.met.is_empty() {
            self.begin_walk();
        }
        match self.store.walk(&mut self.cursor) {
            Some((hash, key, state)) => {
                assert_eq!(hash, (self.hash)(key));
                assert!(state.matches(self.model[key]), "{key:?} on a walk");
                assert!(self.met.insert(key.clone()), "{key:?} was met twice");
                self.due.remove(&key.clone());
            }
            None => self.begin_walk(),
        }
    }

    fn drain_one(&mut self) {
        if self.due.is_empty() && self.met.is_empty() {
            self.begin_walk();
        }
        match self.store.drain_next(&mut self.cursor) {
            Some((hash, key, state)) => {
                assert_eq!(hash, (self.hash)(&key));
                let count = self.model.remove(&key).expect("drained keys are known");
                assert!(state.matches(count), "{key:?} drained");
                assert!(!self.met.contains(&key), "{key:?} was met and drained");
                self.forget(&key);
            }
            None => self.begin_walk(),
        }
    }

    fn begin_walk(&mut self) {
        assert!(self.due.is_empty(), "not met: {:?}", self.due);
        self.cursor = Cursor::new();
        self.met.clear();
        self.due = self.model.keys().filter(|key| !self.is_away(key)).cloned().collect();
    }

    fn finish(mut self) {
        if let Some(group) = self.away.take() {
            self.store.install_group(group);
        }
        assert_eq!(self.store.len(), self.model.len());
        let mut lengths = vec![0; 4096];
        self.model.keys().for_each(|key| lengths[key_group((self.hash)(key))] += 1);
        // Not all of them: each is counted out of all that share its segment.
        for group in (0..4096).step_by(97).chain([7, 2048]) {
            assert_eq!(self.store.group_len(group), lengths[group], "key group {group}");
        }
        let mut cursor = Cursor::new();
        while let Some((hash, key, state)) = self.store.drain_next(&mut cursor) {
            assert_eq!(hash, (self.hash)(&key));
            assert!(state.matches(self.model.remove(&key).expect("known")), "{key:?} at the end");
        }
        assert!(self.model.is_empty() && self.store.is_empty());
    }
}

fn run<K: Key, S: Tally>(steps: &[Step], make: fn(u32) -> K, hash: fn(&K) -> u64) {
    let mut rig = Rig::<K, S>::new(make, hash);
    steps.iter().for_each(|step| rig.step(step));
    rig.finish();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn integers_behave_as_in_a_map(steps in steps(20_000)) {
        run::<u64, u64>(&steps, u64::from, hash_key);
    }

    #[test]
    fn strings_with_large_states_behave_as_in_a_map(steps in steps(3_000)) {
        run::<String, Large>(&steps, |n| format!("key {n}"), hash_key);
    }

    #[test]
    fn states_without_size_behave_as_in_a_map(steps in steps(3_000)) {
        run::<u32, ()>(&steps, |n| n, hash_key);
    }

    #[test]
    fn keys_of_one_group_behave_as_in_a_map(steps in steps(20_000)) {
        run::<u64, u64>(&steps, u64::from, |key| with_group(hash_key(key), 7));
    }

    #[test]
    fn keys_of_two_groups_behave_as_in_a_map(steps in steps(5_000)) {
        run::<u32, u64>(&steps, |n| n, |key| with_group(hash_key(key), *key as usize % 2 * 2048));
    }

    #[test]
    fn keys_with_few_hashes_behave_as_in_a_map(steps in steps(300)) {
        run::<u32, u64>(&steps, |n| n, |key| hash_key(&(key % 40)));
    }
}

/// Neighbouring groups, and every how many of them, that go from one store to the other.
fn journeys() -> impl Strategy<Value = Vec<(usize, usize, usize)>> {
    let step = prop_oneof![3 => Just(1usize), 1 => 2..9usize];
    prop::collection::vec((0..4096usize, 1..2048usize, step), 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn runs_of_groups_go_back_and_forth_between_stores_of_any_shape(
        keys in prop::array::uniform2(0..60_000u64),
        journeys in journeys(),
    ) {
        // Even keys begin in one store and odd ones in the other, so runs come over keys that are
        // there already.
        let mut stores = [KeyedStore::<u64, u64>::new(), KeyedStore::new()];
        for (store, (count, odd)) in stores.iter_mut().zip([(keys[0], 0), (keys[1], 1)]) {
            for key in (0..count).map(|nth| 2 * nth + odd) {
                *store.get_or_insert(hash_key(&key), key) = key;
            }
        }
        for (nth, (first, count, step)) in journeys.into_iter().enumerate() {
            let groups = || (first..(first + count).min(4096)).step_by(step);
            let (donor, taker) = (nth % 2, 1 - nth % 2);
            let runs = stores[donor].take_groups(groups());
            prop_assert!(groups().step_by(7).all(|group| stores[donor].group_len(group) == 0));
            runs.into_iter().for_each(|run| stores[taker].put_run(run));
        }
        let mut found = 0;
        for (count, odd) in [(keys[0], 0), (keys[1], 1)] {
            for key in (0..count).map(|nth| 2 * nth + odd) {
                let held = stores.iter().filter_map(|store| store.get(hash_key(&key), &key));
                prop_assert_eq!(held.collect::<Vec<_>>(), [&key]);
                found += 1;
            }
        }
        prop_assert_eq!(stores[0].len() + stores[1].len(), found);
    }
}

#[test]
fn groups_with_segments_to_themselves_go_by_few_pointers() {
    let mut store = KeyedStore::<u64, u64>::new();
    for key in 0..100_000u64 {
        *store.get_or_insert(hash_key(&key), key) = key;
    }
    let segment = 4096 / 64;
    let runs = store.take_groups(segment / 2..2048);
    let alone = runs.iter().filter(|run| run.depth == 12).count();
    assert_eq!(alone, segment / 2, "the rest of the first segment");
    assert!(runs.len() - alone <= 2048 / 8, "{} runs", runs.len());
}

#[test]
fn many_keys_split_down_to_their_groups_and_hand_over_pointers() {
    let mut store = KeyedStore::<u64, u64>::new();
    for key in 0..600_000u64 {
        *store.get_or_insert(hash_key(&key), key) += key;
    }
    let mut other = KeyedStore::<u64, u64>::new();
    for group in 0..4096 {
        let (held, before) = (store.group_len(group), store.len());
        other.install_group(store.take_group(group));
        assert_eq!(other.group_len(group), held);
        assert_eq!(store.len() + held, before);
    }
    assert_eq!((store.len(), other.len()), (0, 600_000));
    for key in 0..600_000u64 {
        assert_eq!(other.get(hash_key(&key), &key), Some(&key));
    }
}

#[test]
#[should_panic(expected = "is installed over 1 keys of its own")]
fn a_group_is_not_installed_over_keys_of_its_own() {
    let mut store = KeyedStore::<u64, u64>::new();
    store.get_or_insert(hash_key(&1u64), 1);
    let group = store.take_group(key_group(hash_key(&1u64)));
    store.get_or_insert(hash_key(&1u64), 1);
    store.install_group(group);
}

#[test]
fn a_group_is_built_from_its_entries_in_any_order() {
    let by = By(|key: &u64| with_group(hash_key(key), 9));
    let mut store = KeyedStore::<u64, u64, _>::with_partitioner(by.clone());
    let entries: Vec<(u64, u64)> = (0..5_000).map(|key| (key, key * 2)).collect();
    store.install_group(Group::build(9, &by, entries.into_iter()));
    assert_eq!(store.group_len(9), 5_000);
    for key in 0..5_000 {
        assert_eq!(store.get(by.hash(&key), &key), Some(&(key * 2)));
    }
}

#[test]
#[should_panic(expected = "key 4 comes twice")]
fn a_group_is_not_built_from_a_key_that_comes_twice() {
    let by = By(|key: &u64| with_group(hash_key(key), 9));
    Group::build(9, &by, [(4, ()), (5, ()), (4, ())].into_iter());
}

#[test]
fn a_walk_goes_on_where_the_store_has_grown_and_split_meanwhile() {
    let mut store = KeyedStore::<u64, u64>::new();
    let mut cursor = Cursor::new();
    let mut met = HashSet::new();
    (0..1_000).for_each(|key| *store.get_or_insert(hash_key(&key), key) = key);
    // With 400 keys more for each that is met, the only segment doubles again and again, splits
    // into many, and those split too.
    for next in (1_000..).step_by(400) {
        let Some((hash, key, _)) = store.walk(&mut cursor) else { break };
        assert_eq!(hash, hash_key(key));
        assert!(met.insert(*key), "{key} was met twice");
        if next < 400_000 {
            (next..next + 400).for_each(|key| *store.get_or_insert(hash_key(&key), key) = key);
        }
    }
    assert!((0..1_000).all(|key| met.contains(&key)), "some of the first keys were not met");
}

#[test]
fn bytes_follow_what_is_allocated() {
    let mut store = KeyedStore::<u64, (u64, u64)>::new();
    let empty = store.bytes();
    for key in 0..100_000u64 {
        store.get_or_insert(hash_key(&key), key);
    }
    let full = store.bytes();
    assert!((25..58).contains(&(full / 100_000)), "{} bytes a key", full / 100_000);
    for group in 0..4096 {
        store.take_group(group);
    }
    assert!(store.bytes() < full / 8, "{} of {full} bytes left, {empty} at first", store.bytes());
}
