//! KLL: the quantiles of a stream of anything that has an order, in bounded memory.
//!
//! # Method
//! Items lie in levels; one of level *h* stands for 2^*h* items of the stream. A level that is full
//! is sorted, and every second item of it, from the first or the second on by a coin, goes up a
//! level; the others go. The higher a level, the more it may hold: the one below 2/3 of it, two at
//! least. So n items take about 3 *k* + 2 log2(n / k) places.
//!
//! # Source
//! Karnin, Lang, Liberty, "Optimal quantile approximation in streams", FOCS 2016.

/// The top level holds so many. An estimated rank is off by more than 1 % of all items once in a
/// hundred times; the test below shows that it is no worse.
const TOP_ITEMS: usize = 256;
/// The least that a level holds.
const LEVEL_ITEMS_MIN: usize = 2;

/// A sketch of the items that it was given, in which ranks are known within about 1 %. Sketches
/// [merge](Kll::merge).
///
/// ```
/// use millstream::metrics::Kll;
///
/// let mut sketch = Kll::new();
/// (0..100_000).for_each(|number| sketch.add(number));
/// let weighed = sketch.weighed();
/// let below_half: u64 = weighed.iter().filter(|(n, _)| **n < 50_000).map(|(_, w)| w).sum();
/// assert_eq!(weighed.iter().map(|(_, weight)| weight).sum::<u64>(), sketch.count());
/// assert!(below_half.abs_diff(50_000) < 2_000);
/// ```
#[derive(Clone, Debug)]
pub struct Kll<K> {
    /// `levels[h]` has items that stand for 2^*h* each, in no order.
    levels: Vec<Vec<K>>,
    count: u64,
    coin: u64,
}

impl<K: Ord> Kll<K> {
    /// A sketch of nothing.
    pub fn new() -> Kll<K> {
        Kll { levels: vec![Vec::new()], count: 0, coin: 0x9E37_79B9_7F4A_7C15 }
    }

    /// How many items it was given.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Takes one item in.
    pub fn add(&mut self, item: K) {
        self.levels[0].push(item);
        self.count += 1;
        self.compress();
    }

    /// Takes in what another sketch was given.
    pub fn merge(&mut self, other: Kll<K>) {
        self.count += other.count;
        for (level, mut items) in other.levels.into_iter().enumerate() {
            if level == self.levels.len() {
                self.levels.push(Vec::new());
            }
            self.levels[level].append(&mut items);
        }
        self.compress();
    }

    /// The items that it holds, in order, each with how many items of the stream it stands for;
    /// together as many as it was given.
    pub fn weighed(&self) -> Vec<(&K, u64)> {
        let mut weighed: Vec<(&K, u64)> = Vec::new();
        for (level, items) in self.levels.iter().enumerate() {
            weighed.extend(items.iter().map(|item| (item, 1 << level)));
        }
        weighed.sort_unstable();
        weighed.dedup_by(|next, first| {
            let is_equal = next.0 == first.0;
            first.1 += if is_equal { next.1 } else { 0 };
            is_equal
        });
        weighed
    }

    /// Makes room while there is too much.
    fn compress(&mut self) {
        while let Some(full) = self.full_level() {
            if full + 1 == self.levels.len() {
                self.levels.push(Vec::new());
            }
            self.coin ^= self.coin << 13;
            self.coin ^= self.coin >> 7;
            self.coin ^= self.coin << 17;
            let mut items = std::mem::take(&mut self.levels[full]);
            items.sort_unstable();
            // Pairs go up; one item without another stays, so that nothing gets lost.
            if items.len() % 2 == 1 {
                let at = if self.coin & 2 == 0 { 0 } else { items.len() - 1 };
                self.levels[full].push(items.remove(at));
            }
            let first = (self.coin & 1) as usize;
            self.levels[full + 1].extend(items.into_iter().skip(first).step_by(2));
        }
    }

    /// The lowest level that holds more than it may.
    fn full_level(&self) -> Option<usize> {
        let top = self.levels.len() - 1;
        let may_hold = |level: usize| {
            let below_top = (top - level).min(64) as u32;
            let items = TOP_ITEMS as f64 * (2.0f64 / 3.0).powi(below_top.cast_signed());
            (items as usize).max(LEVEL_ITEMS_MIN)
        };
        (0..=top).find(|level| self.levels[*level].len() > may_hold(*level))
    }
}

impl<K: Ord> Default for Kll<K> {
    fn default() -> Self {
        Kll::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::hash_key;

    /// Numbers that are as good as random, and the same for equal seeds.
    struct Draws(u64);

    impl Draws {
        fn below(&mut self, bound: u64) -> u64 {
            self.0 += 1;
            (hash_key(&self.0) >> 8) % bound
        }
    }

    /// The largest error of any rank, over the number of items.
    fn rank_error(sketch: &Kll<u64>, stream: &mut [u64]) -> f64 {
        stream.sort_unstable();
        let (mut below, mut worst) = (0, 0);
        for (item, weight) in sketch.weighed() {
            let least = stream.partition_point(|other| other < item) as u64;
            let most = stream.partition_point(|other| other <= item) as u64;
            // Its rank is any from `least` to `most`.
            worst = worst.max(least.saturating_sub(below + weight)).max(below.saturating_sub(most));
            below += weight;
        }
        worst as f64 / stream.len() as f64
    }

    fn streams(random: &mut Draws, items: usize) -> [Vec<u64>; 4] {
        [
            (0..items).map(|item| item as u64).collect(),
            (0..items).map(|item| (items - item) as u64).collect(),
            (0..items).map(|_| random.below(1 << 50)).collect(),
            // Half of all is one value.
            (0..items)
                .map(|_| if random.below(2) == 0 { 7 } else { random.below(1_000) })
                .collect(),
        ]
    }

    #[test]
    fn ranks_are_off_by_hardly_more_than_one_percent_whatever_the_order() {
        for seed in 0..20 {
            let mut random = Draws(seed << 32);
            for mut stream in streams(&mut random, 50_000) {
                let mut sketch = Kll::new();
                stream.iter().for_each(|item| sketch.add(*item));
                let held: usize = sketch.levels.iter().map(Vec::len).sum();
                assert!(held < 1_000, "{held} items are held");
                let error = rank_error(&sketch, &mut stream);
                assert!(error < 0.02, "seed {seed}: {error}");
            }
        }
    }

    #[test]
    fn merged_sketches_know_what_one_would_of_both_streams() {
        for seed in 0..20 {
            let mut random = Draws(seed << 32);
            let (mut merged, mut all) = (Kll::new(), Vec::new());
            for stream in streams(&mut random, 10_000) {
                let mut sketch = Kll::new();
                stream.iter().for_each(|item| sketch.add(*item));
                merged.merge(sketch);
                all.extend(stream);
            }
            assert_eq!(merged.count(), 40_000);
            assert_eq!(merged.weighed().iter().map(|(_, weight)| weight).sum::<u64>(), 40_000);
            let error = rank_error(&merged, &mut all);
            assert!(error < 0.02, "seed {seed}: {error}");
        }
    }

    #[test]
    fn few_items_are_known_exactly() {
        let mut sketch = Kll::new();
        ["b", "a", "b", "c"].into_iter().for_each(|item| sketch.add(item));
        assert_eq!(sketch.weighed(), [(&"a", 1), (&"b", 2), (&"c", 1)]);
    }
}
