//! `lane`: batches of pairs, 16 bytes a record, from partition 0 to partition 1.
//!
//! Only partition 0 has a source. `checksum` is that of `exchange` over the same records.

use serde_json::json;

use crate::cli::workload::exchange::{bytes_per_second, digest};
use crate::cli::workload::fold::Folded;
use crate::cli::workload::meter::Meter;
use crate::cli::workload::write::Target;
use crate::cli::workload::{Bench, Outcome, object};
use crate::connector::generator::generator;
use crate::dataflow::{Pipeline, Polled, Source, SourceConnector, TaskContext};
use crate::error::Result;
use crate::record::Batch;
use crate::routing::Partitioner;
use crate::time::Nanos;

/// Everything to partition 1, where there is one.
#[derive(Clone)]
struct ToSecond;

impl<T> Partitioner<T> for ToSecond {
    fn name(&self) -> String {
        "second".to_owned()
    }

    #[inline]
    fn partition(&mut self, _: &T, partitions: usize) -> usize {
        usize::from(partitions > 1)
    }
}

/// A source on partition 0 only, which makes all records.
struct OnFirst<C> {
    connector: C,
}

impl<C: SourceConnector> SourceConnector for OnFirst<C> {
    type Item = C::Item;
    type Source = FirstSource<C::Source>;

    fn name(&self) -> String {
        self.connector.name()
    }

    fn is_bounded(&self) -> bool {
        self.connector.is_bounded()
    }

    fn check(&self) -> Result<()> {
        self.connector.check()
    }

    fn open(&mut self, context: &TaskContext) -> Result<Self::Source> {
        let alone = TaskContext { partition: 0, partitions: 1, ..context.clone() };
        let source = (context.partition == 0).then(|| self.connector.open(&alone)).transpose()?;
        Ok(FirstSource { source })
    }
}

/// One partition's share of an [`OnFirst`].
struct FirstSource<S> {
    source: Option<S>,
}

impl<S: Source> Source for FirstSource<S> {
    type Item = S::Item;

    fn poll(&mut self, max: usize, now: Nanos, batch: &mut Batch<S::Item>) -> Result<Polled> {
        match &mut self.source {
            Some(source) => source.poll(max, now, batch),
            None => Ok(Polled::Done),
        }
    }
}

pub(crate) fn run(bench: &Bench<'_>) -> Result<Outcome> {
    let dump = Target::open(bench.options.dump.as_deref())?;
    let input = bench.input()?;
    let mut folded = Folded::default();
    let mut made = 0;
    let runs = bench.repeat(|| {
        let meter = Meter::new(bench.partitions());
        folded = Folded::default();
        let recipe = input.clone();
        let feed = bench.feed(generator(input.clone(), bench.limits.records), move |index, _| {
            recipe.record(index)
        });
        let pipeline = Pipeline::new("lane");
        let source = meter.over(OnFirst { connector: feed });
        pipeline.source(source).partition_by(ToSecond).sink(folded.sink(digest));
        let run = bench.observe(pipeline, &meter)?;
        made = meter.records();
        Ok(run)
    })?;
    if let Some(dump) = dump {
        dump.write_pairs(&input, &[made])?;
    }
    let result = object(json!({
        "total_count": folded.count(),
        "checksum": folded.checksum(),
        "bytes_per_second": bytes_per_second(&runs),
    }));
    Ok(Outcome { runs, result, ..Outcome::default() })
}
