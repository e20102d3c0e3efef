//! Pre-aggregation in front of an exchange: folds records of one key into a partial before they
//! travel.
//!
//! A combiner is a small two-way associative table, so it is bounded and streams: a record whose
//! two slots hold other keys sends one of their partials on and takes its slot. It pays where few
//! keys make many records and costs where they do not, so in [`Mode::Auto`] it measures its own
//! ratio of partials sent to records taken and switches itself off and on, with hysteresis. The
//! result is the same either way, because the aggregate's `merge` is associative and commutative.
//!
//! Keys that the routing table names are folded whatever the mode: they are too hot for one
//! partition, so that it is their owner that has to be spared.

use std::num::NonZeroU64;

use crate::config::PreAggregate;
use crate::record::Never;

/// A key's folded records on their way to its owner.
#[derive(Debug, PartialEq, Eq)]
pub struct Partial<K, S> {
    /// The hash of `key`; never 0, so that an empty slot needs no flag of its own.
    pub hash: NonZeroU64,
    /// Whose records these were.
    pub key: K,
    /// What they came to.
    pub state: S,
}

/// When a combiner works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It decides itself.
    Auto,
    /// Always.
    On,
    /// Never, but for keys that the routing table names.
    Off,
}

impl Mode {
    /// The mode that a program or a knob asks for.
    pub fn asked(asked: PreAggregate) -> Mode {
        match asked {
            PreAggregate::Auto => Mode::Auto,
            PreAggregate::On => Mode::On,
            PreAggregate::Off => Mode::Off,
        }
    }
}

/// Folds records in front of an exchange, or passes them.
pub trait Combine<T, K>: Send {
    /// What it sends in place of records.
    type Partial: Send;

    /// Another batch is about to be worked off.
    fn begin_slice(&mut self);

    /// Whether records are to be folded now; asked before each.
    fn is_on(&self) -> bool;

    /// Folds a record whose key's carried hash is `hash`; returns the partial that had to go for
    /// it, if one had.
    fn fold(&mut self, record: &T, hash: u64, key: K) -> Option<Self::Partial>;

    /// As [`fold`](Self::fold), of a key that the routing table names; also while it is not on.
    fn fold_named(&mut self, record: &T, hash: u64, key: K) -> Option<Self::Partial>;

    /// A partial that is held of a key with this hash, if any; ask again, since keys may share it.
    fn take(&mut self, hash: u64) -> Option<Self::Partial>;

    /// The next partial that is still held, if any; with `None` the combiner is empty.
    fn take_next(&mut self) -> Option<Self::Partial>;

    /// Whether nothing is held.
    fn is_empty(&self) -> bool;

    /// The carried hash of a partial's key.
    fn hash_of(partial: &Self::Partial) -> u64;
}

/// The combiner of an edge that does not combine, whose keyed task takes partials of type `P`.
pub struct NoCombine<P = Never> {
    partial: std::marker::PhantomData<fn() -> P>,
}

impl<P> NoCombine<P> {
    /// Passes everything.
    pub fn new() -> Self {
        NoCombine { partial: std::marker::PhantomData }
    }
}

impl<P> Default for NoCombine<P> {
    fn default() -> Self {
        NoCombine::new()
    }
}

impl<T, K, P: Send> Combine<T, K> for NoCombine<P> {
    type Partial = P;

    fn begin_slice(&mut self) {}

    #[inline(always)]
    fn is_on(&self) -> bool {
        false
    }

    fn fold(&mut self, _: &T, _: u64, _: K) -> Option<P> {
        unreachable!("an edge that does not combine is never on")
    }

    fn fold_named(&mut self, _: &T, _: u64, _: K) -> Option<P> {
        unreachable!("no key is named where the operator behind does not merge")
    }

    fn take(&mut self, _: u64) -> Option<P> {
        None
    }

    fn take_next(&mut self) -> Option<P> {
        None
    }

    fn is_empty(&self) -> bool {
        true
    }

    fn hash_of(_: &P) -> u64 {
        unreachable!("an edge that does not combine makes no partials")
    }
}

/// Slots that a key may lie in: compared together, so that neither is a branch to be foreseen.
const WAYS: usize = 2;
/// Pairs of slots of a combiner: at 32 bytes a slot they fill 128 KiB, a fraction of a
/// second-level cache.
const SETS: usize = 2_048;
const _: () = assert!(SETS.is_power_of_two());
/// The bits of a hash that choose the set begin here: above the lowest, which are the weakest.
const SET_SHIFT: u32 = 20;
/// Records between two looks at the ratio.
const WINDOW: u32 = 16_384;
/// Partials per window above which combining costs more than it saves: 3 in 16. With none a record
/// takes 6.6 ns, with 1 in 2 23 ns, and not combined 12 ns (run 2026-11-21-epyc-peers).
const OFF_ABOVE: u32 = WINDOW / 16 * 3;
/// Partials in a probe window below which it is switched on again: 1 in 8.
const ON_BELOW: u32 = WINDOW / 8;
/// Slices (batches worked off) that pass before the first probe; doubled with each failed one up
/// to the last.
const FIRST_REST: u32 = 256;
const LAST_REST: u32 = 16_384;

/// A bounded combiner over any way of adding a record to a state, which may have to give up a state
/// for it, as a record of the next window does.
pub struct Combiner<K, S, Add> {
    /// None before the first record that is folded.
    sets: Vec<[Option<Partial<K, S>>; WAYS]>,
    add: Add,
    decision: Decision,
    /// Where [`Combine::take_next`] goes on.
    cursor: usize,
    held: usize,
}

impl<K, S, Add> Combiner<K, S, Add> {
    /// An empty combiner; `add` puts a record into a state, and returns another one of the same key
    /// that has to go for it.
    pub fn new(mode: Mode, add: Add) -> Self {
        let mut combiner =
            Combiner { sets: Vec::new(), add, decision: Decision::new(mode), cursor: 0, held: 0 };
        if mode != Mode::Off {
            combiner.make_sets();
        }
        combiner
    }

    #[cold]
    fn make_sets(&mut self) {
        self.sets = (0..SETS).map(|_| [None, None]).collect();
    }
}

impl<T, K, S, Add> Combine<T, K> for Combiner<K, S, Add>
where
    K: Eq + Send,
    S: Default + Send,
    Add: FnMut(&mut S, &T) -> Option<S> + Send,
{
    type Partial = Partial<K, S>;

    fn begin_slice(&mut self) {
        self.decision.pass_slice();
    }

    #[inline(always)]
    fn is_on(&self) -> bool {
        self.decision.is_on
    }

    #[inline(always)]
    fn fold(&mut self, record: &T, hash: u64, key: K) -> Option<Partial<K, S>> {
        self.decision.count_record();
        self.fold_in(record, hash, key)
    }

    #[inline(always)]
    fn fold_named(&mut self, record: &T, hash: u64, key: K) -> Option<Partial<K, S>> {
        if self.sets.is_empty() {
            self.make_sets();
        }
        // Says nothing of other keys, so it is not counted.
        self.fold_in(record, hash, key)
    }

    fn take(&mut self, hash: u64) -> Option<Partial<K, S>> {
        let set = self.sets.get_mut(set_of(hash))?;
        let slot = set.iter_mut().find(|slot| hash_in(slot) == hash)?;
        self.held -= 1;
        self.decision.evicted += 1;
        slot.take()
    }

    fn take_next(&mut self) -> Option<Partial<K, S>> {
        if self.held == 0 {
            self.cursor = 0;
            return None;
        }
        // It goes round: between two calls records may have taken slots behind the cursor.
        loop {
            let slot = self.sets[self.cursor / WAYS][self.cursor % WAYS].take();
            self.cursor = (self.cursor + 1) % (SETS * WAYS);
            if slot.is_some() {
                self.held -= 1;
                self.decision.evicted += 1;
                return slot;
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.held == 0
    }

    fn hash_of(partial: &Partial<K, S>) -> u64 {
        partial.hash.get()
    }
}

/// The set in which a key with this hash lies.
#[inline(always)]
fn set_of(hash: u64) -> usize {
    (hash >> SET_SHIFT) as usize & (SETS - 1)
}

#[inline(always)]
fn hash_in<K, S>(slot: &Option<Partial<K, S>>) -> u64 {
    slot.as_ref().map_or(0, |partial| partial.hash.get())
}

impl<K, S: Default, Add> Combiner<K, S, Add> {
    /// Folds a record into what is held of its key.
    #[inline(always)]
    fn fold_in<T>(&mut self, record: &T, hash: u64, key: K) -> Option<Partial<K, S>>
    where
        K: Eq,
        Add: FnMut(&mut S, &T) -> Option<S>,
    {
        let set = &mut self.sets[set_of(hash)];
        let way = usize::from(hash_in(&set[0]) != hash);
        if let Some(partial) = &mut set[way]
            && partial.hash.get() == hash
            && partial.key == key
        {
            let state = (self.add)(&mut partial.state, record)?;
            self.decision.evicted += 1;
            return Some(Partial { hash: partial.hash, key, state });
        }
        self.take_slot(record, hash, key)
    }

    /// Begins a partial for `key`, in place of another one if its set is full: of the first, and
    /// what is in the second moves up, so that the one that stays is the younger.
    #[inline(never)]
    fn take_slot<T>(&mut self, record: &T, hash: u64, key: K) -> Option<Partial<K, S>>
    where
        Add: FnMut(&mut S, &T) -> Option<S>,
    {
        let mut state = S::default();
        let displaced = (self.add)(&mut state, record);
        debug_assert!(displaced.is_none(), "a state without records gives up nothing");
        let hash = NonZeroU64::new(hash).expect("a hash is never 0");
        let set = &mut self.sets[set_of(hash.get())];
        let begun = Some(Partial { hash, key, state });
        match set.iter().position(Option::is_none) {
            Some(free) => {
                set[free] = begun;
                self.held += 1;
                None
            }
            None => {
                set.swap(0, 1);
                self.decision.evicted += 1;
                std::mem::replace(&mut set[1], begun)
            }
        }
    }
}

/// Whether to combine, from measured ratios.
#[derive(Debug)]
struct Decision {
    mode: Mode,
    is_on: bool,
    /// Records left in the current window.
    records_left: u32,
    evicted: u32,
    /// Slices left to rest while it is off.
    slices_left: u32,
    probing: bool,
    /// Slices to rest after the next failed window.
    rest: u32,
}

impl Decision {
    fn new(mode: Mode) -> Self {
        Decision {
            mode,
            is_on: mode != Mode::Off,
            records_left: WINDOW,
            evicted: 0,
            slices_left: 0,
            probing: false,
            rest: FIRST_REST,
        }
    }

    #[inline(always)]
    fn count_record(&mut self) {
        self.records_left -= 1;
        if self.records_left == 0 {
            self.judge();
        }
    }

    fn pass_slice(&mut self) {
        if self.is_on || self.mode != Mode::Auto {
            return;
        }
        self.slices_left -= 1;
        if self.slices_left == 0 {
            // What went meanwhile was of named keys.
            (self.is_on, self.probing, self.evicted) = (true, true, 0);
        }
    }

    /// Looks at the window that is over.
    #[cold]
    fn judge(&mut self) {
        self.records_left = WINDOW;
        let evicted = std::mem::take(&mut self.evicted);
        if self.mode != Mode::Auto {
            return;
        }
        let limit = if self.probing { ON_BELOW } else { OFF_ABOVE };
        if evicted <= limit {
            (self.probing, self.rest) = (false, FIRST_REST);
            return;
        }
        self.is_on = false;
        self.slices_left = self.rest;
        self.rest = (self.rest * 2).min(LAST_REST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Counting = Combiner<u64, u64, fn(&mut u64, &u64) -> Option<u64>>;

    fn counting(mode: Mode) -> Counting {
        Combiner::new(mode, |count, _| {
            *count += 1;
            None
        })
    }

    /// Feeds `records` keys from `key_of` and returns (partials, passed, total counted).
    fn run(combiner: &mut Counting, records: u64, key_of: impl Fn(u64) -> u64) -> (u64, u64, u64) {
        let (mut partials, mut passed, mut total) = (0, 0, 0);
        for i in 0..records {
            if i % 1_000 == 0 {
                Combine::<u64, u64>::begin_slice(combiner);
            }
            let key = key_of(i);
            if !Combine::<u64, u64>::is_on(combiner) {
                (passed, total) = (passed + 1, total + 1);
            } else if let Some(partial) = combiner.fold(&key, crate::record::hash_key(&key), key) {
                (partials, total) = (partials + 1, total + partial.state);
            }
        }
        while let Some(partial) = Combine::<u64, u64>::take_next(combiner) {
            (partials, total) = (partials + 1, total + partial.state);
        }
        (partials, passed, total)
    }

    #[test]
    fn few_keys_are_folded_and_none_is_lost() {
        let (partials, passed, total) = run(&mut counting(Mode::Auto), 100_000, |i| i % 10);
        assert_eq!((partials, passed, total), (10, 0, 100_000));
    }

    #[test]
    fn auto_switches_off_on_many_keys_and_on_again_when_they_are_few() {
        let mut combiner = counting(Mode::Auto);
        let (_, passed, total) = run(&mut combiner, 200_000, |i| i);
        assert!(passed > 150_000, "only {passed} of 200,000 passed");
        assert_eq!(total, 200_000);
        let (_, passed, total) = run(&mut combiner, 1_000_000, |i| i % 10);
        assert!(passed < 600_000, "{passed} of 1,000,000 passed");
        assert_eq!(total, 1_000_000);
    }

    #[test]
    fn on_combines_even_where_it_costs() {
        let (_, passed, total) = run(&mut counting(Mode::On), 200_000, |i| i);
        assert_eq!((passed, total), (0, 200_000));
    }

    #[test]
    fn what_comes_in_while_it_is_being_emptied_is_emptied_too() {
        let mut combiner = counting(Mode::On);
        let fold = |combiner: &mut Counting, keys: std::ops::Range<u64>| {
            keys.filter_map(|key| combiner.fold(&key, crate::record::hash_key(&key), key)).count()
        };
        let mut out = fold(&mut combiner, 0..1_000);
        for _ in 0..500 {
            out += Combine::<u64, u64>::take_next(&mut combiner).iter().count();
        }
        out += fold(&mut combiner, 1_000..2_000);
        while Combine::<u64, u64>::take_next(&mut combiner).is_some() {
            out += 1;
        }
        assert_eq!(out, 2_000);
        assert!(Combine::<u64, u64>::is_empty(&combiner));
    }

    #[test]
    fn named_key_is_folded_while_it_is_off_and_costs_nothing_before() {
        let mut combiner = counting(Mode::Off);
        assert!(!Combine::<u64, u64>::is_on(&combiner) && combiner.sets.capacity() == 0);
        assert_eq!(Combine::<u64, u64>::take(&mut combiner, 1), None);
        let hash = crate::record::hash_key(&7);
        for _ in 0..WINDOW * 2 {
            assert_eq!(combiner.fold_named(&7, hash, 7), None);
        }
        assert!(!Combine::<u64, u64>::is_on(&combiner));
        assert_eq!(Combine::<u64, u64>::take(&mut combiner, hash ^ 1), None);
        let partial = Combine::<u64, u64>::take(&mut combiner, hash).expect("it is held");
        assert_eq!((partial.key, partial.state), (7, u64::from(WINDOW) * 2));
        assert!(Combine::<u64, u64>::is_empty(&combiner));
    }

    #[test]
    fn keys_that_share_a_hash_are_taken_one_after_the_other() {
        let mut combiner = counting(Mode::On);
        for key in [7, 8, 7] {
            assert_eq!(combiner.fold(&key, 1 << 40, key), None);
        }
        let mut keys = Vec::new();
        while let Some(partial) = Combine::<u64, u64>::take(&mut combiner, 1 << 40) {
            keys.push(partial.key);
        }
        assert_eq!(keys, [7, 8]);
    }

    #[test]
    fn what_named_keys_send_does_not_keep_it_off() {
        let mut combiner = counting(Mode::Auto);
        let (_, passed, _) = run(&mut combiner, 100_000, |i| i);
        assert!(passed > 0 && !Combine::<u64, u64>::is_on(&combiner));
        let hash = crate::record::hash_key(&7);
        for _ in 0..u64::from(FIRST_REST + ON_BELOW) {
            assert_eq!(combiner.fold_named(&7, hash, 7), None);
            assert!(Combine::<u64, u64>::take(&mut combiner, hash).is_some());
        }
        let (_, passed, _) = run(&mut combiner, 1_000_000, |i| i % 10);
        assert!(passed < 600_000, "{passed} of 1,000,000 passed");
    }

    #[test]
    fn emptied_combiner_can_be_used_again() {
        let mut combiner = counting(Mode::On);
        assert_eq!(run(&mut combiner, 100, |i| i % 7).2, 100);
        assert_eq!(run(&mut combiner, 100, |i| i % 7).2, 100);
    }
}
