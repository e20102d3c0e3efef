//! Where a workload's records come from: as fast as it goes or on a schedule, counted as they come.

use crate::cli::workload::meter::Meter;
use crate::connector::generator::{Generator, Recipe};
use crate::connector::{Paced, PacedSource};
use crate::dataflow::{Collector, Emit, Polled, Source, SourceConnector, TaskContext};
use crate::error::Result;
use crate::time::Nanos;

/// Which partitions have a share of the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Every,
    /// Partition 0 makes them all.
    First,
}

/// When records come.
pub(crate) enum Pace<R, F> {
    Free(Generator<R>),
    Scheduled(Paced<F>),
}

/// The source of a workload, counted by a [`Meter`].
pub(crate) struct Feed<R, F> {
    pace: Pace<R, F>,
    origin: Origin,
    meter: Meter,
}

impl<R, F> Feed<R, F> {
    /// Records from every partition.
    pub(super) fn new(pace: Pace<R, F>, meter: &Meter) -> Self {
        Feed { pace, origin: Origin::Every, meter: meter.clone() }
    }

    /// Says which partitions make the records.
    pub(super) fn made_on(mut self, origin: Origin) -> Self {
        self.origin = origin;
        self
    }
}

impl<R, F> SourceConnector for Feed<R, F>
where
    R: Recipe,
    F: FnMut(u64, Nanos) -> R::Item + Clone + Send + 'static,
{
    type Item = R::Item;
    type Source = FeedSource<<Generator<R> as SourceConnector>::Source, PacedSource<F>>;

    fn name(&self) -> String {
        match &self.pace {
            Pace::Free(generator) => generator.name(),
            Pace::Scheduled(paced) => paced.name(),
        }
    }

    fn is_bounded(&self) -> bool {
        match &self.pace {
            Pace::Free(generator) => generator.is_bounded(),
            Pace::Scheduled(paced) => paced.is_bounded(),
        }
    }

    fn check(&self) -> Result<()> {
        match &self.pace {
            Pace::Free(generator) => generator.check(),
            Pace::Scheduled(paced) => paced.check(),
        }
    }

    fn open(&mut self, context: &TaskContext) -> Result<Self::Source> {
        let (meter, partition) = (self.meter.clone(), context.partition);
        let context = match self.origin {
            Origin::Every => context.clone(),
            Origin::First if partition == 0 => TaskContext { partitions: 1, ..context.clone() },
            Origin::First => return Ok(FeedSource { share: Share::None, meter, partition }),
        };
        let share = match &mut self.pace {
            Pace::Free(generator) => Share::Free(generator.open(&context)?),
            Pace::Scheduled(paced) => Share::Scheduled(paced.open(&context)?),
        };
        Ok(FeedSource { share, meter, partition })
    }
}

/// What one partition makes of a [`Feed`].
enum Share<G, P> {
    Free(G),
    Scheduled(P),
    None,
}

/// One partition's end of a [`Feed`].
pub(crate) struct FeedSource<G, P> {
    share: Share<G, P>,
    meter: Meter,
    partition: usize,
}

impl<G, P> Source for FeedSource<G, P>
where
    G: Source,
    P: Source<Item = G::Item>,
{
    type Item = G::Item;

    #[inline]
    fn poll<E: Emit<G::Item>>(
        &mut self,
        max: usize,
        now: Nanos,
        out: &mut Collector<'_, E>,
    ) -> Result<Polled> {
        let before = out.emitted();
        let polled = match &mut self.share {
            Share::Free(source) => source.poll(max, now, out),
            Share::Scheduled(source) => source.poll(max, now, out),
            Share::None => Ok(Polled::Done),
        };
        let made = out.emitted() - before;
        if made > 0 {
            self.meter.add(self.partition, made, now);
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::generator::generate;
    use crate::dataflow::Meta;
    use crate::exchange::wake::wake_pair;

    /// Records that each of two partitions makes of 3,000, by the meter.
    fn made(origin: Origin) -> Vec<u64> {
        let meter = Meter::new(2);
        let pace: Pace<_, fn(u64, Nanos) -> u64> = Pace::Free(generate(3_000, |index| index));
        let mut feed = Feed::new(pace, &meter).made_on(origin);
        for partition in 0..2 {
            let context = TaskContext::new(partition, 2, wake_pair().1);
            let mut source = feed.open(&context).expect("opens");
            let mut records = Vec::new();
            let mut out = Collector::new(&mut records, Meta::default());
            while source.poll(100, 1, &mut out).expect("polls") == Polled::Ready {}
        }
        meter.by_partition()
    }

    #[test]
    fn every_partition_has_its_share_unless_the_first_makes_all() {
        assert_eq!(made(Origin::Every), [1_976, 1_024]);
        assert_eq!(made(Origin::First), [3_000, 0]);
    }
}
