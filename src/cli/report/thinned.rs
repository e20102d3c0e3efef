//! Samples of a run that may last a second or a week, in memory that is bounded.

/// Keeps every sample at first; when there are too many, every second one, and so on.
#[derive(Debug)]
pub(super) struct Thinned<T> {
    kept: Vec<T>,
    /// Even, so that the sample after a halving is one to keep.
    most: usize,
    /// Every how manieth sample is kept.
    stride: u64,
    offered: u64,
}

impl<T> Thinned<T> {
    /// Room for `most` samples, rounded up to an even number.
    pub(super) fn new(most: usize) -> Thinned<T> {
        Thinned { kept: Vec::new(), most: most.next_multiple_of(2), stride: 1, offered: 0 }
    }

    /// Takes the next sample, if it is one to keep; only then it is made.
    pub(super) fn offer(&mut self, make: impl FnOnce() -> T) {
        if self.offered.is_multiple_of(self.stride) {
            if self.kept.len() == self.most {
                self.halve();
            }
            self.kept.push(make());
        }
        self.offered += 1;
    }

    /// Takes the last sample, whichever it is.
    pub(super) fn close(mut self, last: T) -> Vec<T> {
        self.kept.push(last);
        self.kept
    }

    /// Every how manieth sample is kept.
    pub(super) fn stride(&self) -> u64 {
        self.stride
    }

    fn halve(&mut self) {
        let mut index = 0;
        self.kept.retain(|_| {
            index += 1;
            index % 2 == 1
        });
        self.stride *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_evenly_spaced_and_never_too_many() {
        let mut thinned = Thinned::new(7);
        for offered in 0..1_000u64 {
            thinned.offer(|| offered);
            let (kept, stride) = (&thinned.kept, thinned.stride());
            assert!(kept.len() <= 8 && (offered < 8 || kept.len() > 4), "{kept:?}");
            let expected: Vec<u64> = (0..=offered).step_by(stride as usize).collect();
            assert_eq!(*kept, expected);
        }
        assert_eq!(thinned.stride(), 128);
        assert_eq!(thinned.close(1_000).last(), Some(&1_000));
    }
}
