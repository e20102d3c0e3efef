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

/// Runs `K` on what `read` makes of the records that `pact` brings.
///
/// One that fires keeps a capability as early as its input's frontier, so that whoever follows has
/// a frontier no later than what may still come from here.
pub fn through<'scope, K, P, T>(
    records: StreamVec<'scope, u64, T>,
    pact: P,
    read: impl Fn(T) -> Option<K::In> + 'static,
) -> StreamVec<'scope, u64, K::Out>
where
    K: Kernel,
    P: ParallelizationContract<u64, Vec<T>>,
    T: 'static,
{
    records.unary_frontier(pact, std::any::type_name::<K>(), |capability, _| {
        let mut capability = Some(capability).filter(|_| K::FIRES);
        let mut kernel = K::default();
        let mut out = Vec::new();
        move |(input, frontier), output| {
            input.for_each_time(|time, batches| {
                for record in batches.flat_map(|batch| batch.drain(..)).filter_map(&read) {
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

/// Adds up the rows that `read` makes of the records, and answers at the end.
pub fn tallied<'scope, R, T, D>(
    records: StreamVec<'scope, u64, D>,
    read: impl Fn(D) -> Option<R> + 'static,
    answer: Answer,
) -> StreamVec<'scope, u64, ()>
where
    T: Tally<R>,
    D: 'static,
{
    records.unary_frontier(Pipeline, "Tally", |_, _| {
        let mut tally = T::default();
        move |(input, frontier), _output: &mut NoOutput<'_>| {
            input.for_each_time(|_, batches| {
                let records = batches.flat_map(|batch| batch.drain(..));
                records.filter_map(&read).for_each(|row| tally.add(row));
            });
            if frontier.is_empty() && answer.get().is_none() {
                answer.set(Some(tally.checksum()));
            }
        }
    })
}
