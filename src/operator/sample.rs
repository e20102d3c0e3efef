//! `sample`: keeps a random part of the records, the same one for the same seed.

use crate::dataflow::{Chain, Collector, DataStream, Emit, Operator, TaskContext, Then};
use crate::error::{Error, ErrorKind};

/// A draw has so many bits: those that a floating-point number holds exactly.
const DRAW_BITS: u32 = f64::MANTISSA_DIGITS;

impl<C: Chain> DataStream<C> {
    /// Keeps each record with a chance of `fraction`; order is kept.
    ///
    /// Each partition draws from numbers of its own, which follow from `seed`: the same records in
    /// the same order on the same partition give the same sample in every run.
    ///
    /// * `fraction` - 0.0 keeps none, 1.0 all; anything else than a number in between is an error
    ///   before the job starts.
    ///
    /// ```
    /// # use millstream::{connector::iterator, prelude::*};
    /// # let pipeline = Pipeline::new("example");
    /// let tenth = pipeline.source(iterator(0..10_000)).sample(0.1, 42).collect();
    /// # Engine::new(Config::default())?.run(pipeline)?;
    /// assert!((900..1_100).contains(&tenth.take().len()));
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn sample(self, fraction: f64, seed: u64) -> DataStream<Then<C, Sample>> {
        if !(0.0..=1.0).contains(&fraction) {
            let text = format!("sample of the fraction {fraction}; allowed: 0.0..=1.0");
            self.note_problem(Error::new(ErrorKind::InvalidConfig, text));
        }
        self.apply(Sample::new(fraction, seed))
    }
}

/// The operator of [`DataStream::sample`].
#[derive(Clone, Debug)]
pub struct Sample {
    /// Draws below it are kept.
    limit: u64,
    state: u64,
}

impl Sample {
    fn new(fraction: f64, seed: u64) -> Self {
        Sample { limit: (fraction * (1u64 << DRAW_BITS) as f64) as u64, state: seed }
    }

    #[inline(always)]
    fn keeps_next(&mut self) -> bool {
        self.draw() >> (u64::BITS - DRAW_BITS) < self.limit
    }

    /// SplitMix64: Steele, Lea, Flood, OOPSLA 2014.
    #[inline(always)]
    fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

impl<T: Send + 'static> Operator<T> for Sample {
    type Out = T;
    const NAME: &'static str = "sample";

    fn open(&mut self, context: &TaskContext) {
        // Far apart in the one cycle that all states are on.
        let partition = context.partition as u64;
        self.state = Sample { limit: 0, state: self.state ^ partition.rotate_right(16) }.draw();
    }

    #[inline(always)]
    fn on_record<E: Emit<T>>(&mut self, record: T, out: &mut Collector<'_, E>) {
        if self.keeps_next() {
            out.emit(record);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::wake::wake_pair;

    fn kept(fraction: f64, seed: u64, partition: usize) -> Vec<u32> {
        let mut sample = Sample::new(fraction, seed);
        let context = TaskContext::new(partition, 8, wake_pair().1);
        Operator::<u32>::open(&mut sample, &context);
        (0..100_000).filter(|_| sample.keeps_next()).collect()
    }

    #[test]
    fn same_seed_and_partition_keep_the_same_records_and_others_do_not() {
        assert_eq!(kept(0.3, 1, 2), kept(0.3, 1, 2));
        let others = [kept(0.3, 1, 3), kept(0.3, 2, 2), kept(0.3, 3, 2)];
        for other in others {
            let both = kept(0.3, 1, 2).into_iter().filter(|n| other.binary_search(n).is_ok());
            let both = both.count();
            assert!((8_500..9_500).contains(&both), "independent: 9 % in both, not {both}");
        }
    }

    #[test]
    fn fraction_is_kept_and_its_ends_are_exact() {
        assert_eq!(kept(0.0, 7, 0).len(), 0);
        assert_eq!(kept(1.0, 7, 0).len(), 100_000);
        // Five standard deviations of a binomial.
        for (fraction, spread) in [(0.5, 791.0), (0.01, 157.0), (0.999, 50.0)] {
            let seen = kept(fraction, 7, 0).len() as f64;
            assert!((seen - fraction * 1e5).abs() < spread, "{fraction}: {seen}");
        }
    }
}
