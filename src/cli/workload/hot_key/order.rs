//! The second keyed stage: whether the records of a key still come in the order of each source.

use serde::{Deserialize, Serialize};

use crate::cli::workload::hot_key::toil::Row;
use crate::connector::generator::{BLOCK, mix64};
use crate::dataflow::{Emit, KeyContext, KeyedOperator};
use crate::record::Never;

/// What one key has seen.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Seen {
    /// By source: the index of the latest record, and 1; 0 before any.
    latest: Vec<u64>,
    inversions: u64,
    repeats: u64,
    count: u64,
    digest: u64,
}

impl Seen {
    fn note(&mut self, index: u64, sources: usize) {
        self.count += 1;
        self.digest = self.digest.wrapping_add(mix64(index));
        self.latest.resize(sources, 0);
        let latest = &mut self.latest[(index / BLOCK) as usize % sources];
        match (index + 1).cmp(latest) {
            std::cmp::Ordering::Greater => *latest = index + 1,
            std::cmp::Ordering::Equal => self.repeats += 1,
            std::cmp::Ordering::Less => self.inversions += 1,
        }
    }
}

/// Passes all on, and tells at the end what it has seen of each key.
#[derive(Clone)]
pub(super) struct Watch {
    /// Partitions that made the records.
    pub(super) sources: usize,
}

impl KeyedOperator<u64, Row> for Watch {
    type Out = Row;
    type State = Seen;
    type Partial = Never;
    const NAME: &'static str = "watch order";

    fn on_record<E: Emit<Row>>(
        &mut self,
        row: Row,
        seen: &mut Seen,
        context: &mut KeyContext<'_, u64, E>,
    ) {
        if let Row::Applied { index, .. } = row {
            seen.note(index, self.sources);
        }
        context.emit(row);
    }

    fn on_partial<E: Emit<Row>>(
        &mut self,
        partial: Never,
        _: &mut Seen,
        _: &mut KeyContext<'_, u64, E>,
    ) {
        match partial {}
    }

    fn on_end<E: Emit<Row>>(&mut self, seen: &mut Seen, context: &mut KeyContext<'_, u64, E>) {
        let Seen { inversions, repeats, count, digest, .. } = *seen;
        let key = *context.key();
        context.emit(Row::Order { key, inversions, repeats, count, digest });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_that_of_each_source() {
        let mut seen = Seen::default();
        // Of two sources, the second one makes the second block.
        for index in [5, BLOCK + 1, 7, BLOCK + 2, 2 * BLOCK] {
            seen.note(index, 2);
        }
        assert_eq!((seen.inversions, seen.repeats, seen.count), (0, 0, 5));
        seen.note(2 * BLOCK, 2);
        seen.note(7, 2);
        seen.note(BLOCK, 2);
        assert_eq!((seen.inversions, seen.repeats, seen.count), (2, 1, 8));
    }
}
