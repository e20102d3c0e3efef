//! A kernel as an operator of timely, and the end of every query.

use millstream::time::Timestamp;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::{ParallelizationContract, Pipeline};
use timely::dataflow::operators::generic::{Operator, OutputBuilderSession};

use crate::nexmark::kernel::Kernel;
use crate::nexmark::rows::Tally;
use crate::nexmark::timely::Answer;

type NoOutput<'a> = OutputBuilderSession<'a, u64, CapacityContainerBuilder<Vec<()>>>;

/// Runs `K` on what `pact` brings.
///
/// One that fires keeps a capability as early as its input's frontier, so that whoever follows has
/// a frontier no later than what may still come from here.
pub fn through<'scope, K, P>(
    records: StreamVec<'scope, u64, K::In>,
    pact: P,
) -> StreamVec<'scope, u64, K::Out>
where
    K: Kernel,
    P: ParallelizationContract<u64, Vec<K::In>>,
{
    records.unary_frontier(pact, std::any::type_name::<K>(), |capability, _| {
        let mut capability = Some(capability).filter(|_| K::FIRES);
        let mut kernel = K::default();
        let mut out = Vec::new();
        move |(input, frontier), output| {
            input.for_each_time(|time, batches| {
                for record in batches.flat_map(|batch| batch.drain(..)) {
                    kernel.take(record, &mut out);
                }
                if !out.is_empty() {
                    output.session(&time).give_iterator(out.drain(..));
                }
            });
            let Some(held) = &mut capability else { return };
            let time = frontier.frontier().first().copied();
            if time == Some(*held.time()) {
                return;
            }
            kernel.advance(time.map_or(Timestamp::MAX, |time| (time as i64).into()), &mut out);
            if !out.is_empty() {
                output.session(held).give_iterator(out.drain(..));
            }
            match time {
                Some(time) => held.downgrade(&time),
                None => capability = None,
            }
        }
    })
}

/// Adds the rows up, and answers at the end.
pub fn tallied<'scope, R, T>(
    rows: StreamVec<'scope, u64, R>,
    answer: Answer,
) -> StreamVec<'scope, u64, ()>
where
    R: 'static,
    T: Tally<R>,
{
    rows.unary_frontier(Pipeline, "Tally", |_, _| {
        let mut tally = T::default();
        move |(input, frontier), _output: &mut NoOutput<'_>| {
            input.for_each_time(|_, batches| {
                batches.flat_map(|batch| batch.drain(..)).for_each(|row| tally.add(row));
            });
            if frontier.is_empty() && answer.get().is_none() {
                answer.set(Some(tally.checksum()));
            }
        }
    })
}
